"""Scores by image: means with intervals, two results compared image by image, and their file."""

import json
import math
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pellucid.data.estimates import Estimate
from pellucid.errors import FileError, InputError, first_line
from pellucid.files.atomic import write_atomically

RESAMPLES = 2000
SEED = 0
FORMAT = "pellucid-scores-1"
SETTINGS = ("protocol", "backgrounds", "perceptual")
"""Fields of a result on which its numbers depend beside the images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """What a number means."""

    name: str
    title: str
    unit: str = ""
    better: Literal["higher", "lower", "neither"] = "lower"
    source: str = ""


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(name="psnr", title="PSNR on backgrounds", unit="dB", better="higher", source="AlphaVAE"),
        Metric(name="worst_psnr", title="PSNR on the worst background", unit="dB", better="higher"),
        Metric(name="ssim", title="SSIM on backgrounds", better="higher", source="Wang et al. 2004"),
        Metric(name="perceptual", title="perceptual distance on backgrounds", source="ST-LPIPS"),
        Metric(name="sad", title="SAD", unit="k", source="Rhemann et al. 2009"),
        Metric(name="mse", title="MSE", source="Rhemann et al. 2009"),
        Metric(name="mad", title="MAD", source="mean absolute difference"),
        Metric(name="grad", title="Grad", unit="k", source="Rhemann et al. 2009"),
        Metric(name="conn", title="Conn", unit="k", source="Rhemann et al. 2009"),
        Metric(name="sad_unknown", title="SAD, unknown region", unit="k", source="Rhemann et al. 2009"),
        Metric(name="mse_unknown", title="MSE, unknown region", source="Rhemann et al. 2009"),
        Metric(name="mad_unknown", title="MAD, unknown region"),
        Metric(name="grad_unknown", title="Grad, unknown region", unit="k", source="Rhemann et al. 2009"),
        Metric(name="conn_unknown", title="Conn, unknown region", unit="k", source="Rhemann et al. 2009"),
        Metric(name="soft_distance", title="distance of semi-transparency", source="pellucid"),
        Metric(name="partial", title="partly transparent share of what is visible", better="neither"),
        Metric(name="fringe", title="fringe on nine colours", unit="levels", source="pellucid"),
        Metric(name="fringe_photo", title="fringe on photographs", unit="levels", source="pellucid"),
        Metric(name="dirty", title="dirty alpha", source="pellucid"),
        Metric(name="hidden", title="colour hidden under alpha 0", unit="levels", source="pellucid"),
        Metric(
            name="identity", title="opaque image, adjusted against plain latent", unit="dB", better="higher"
        ),
        Metric(name="top1", title="nearest training image is the right one", better="higher"),
        Metric(name="top5", title="right one among the five nearest", better="higher"),
        Metric(
            name="clip", title="CLIP: cosine of image and text, times 100", better="higher", source="CLIP"
        ),
        Metric(name="aesthetic", title="score of an ONNX model", better="higher"),
        Metric(name="rgb_l1", title="RGB L1 of layers", source="LayerD"),
        Metric(name="soft_iou", title="soft IoU of layers", better="higher", source="LayerD"),
        Metric(name="layer_count_error", title="layers too many or too few"),
    )
}
"""Every score of an image or a pair by name, in the order of reports."""


@dataclass(slots=True)
class ScoreTable:
    """Scores of images: a row an image, a column a metric."""

    names: list[str] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=dict)
    """By metric; NaN where an image has none."""
    settings: dict[str, object] = field(default_factory=dict)
    """Of a file: `SETTINGS` that it states. Figures under other ones cannot be compared."""

    def add(self, name: str, scores: Mapping[str, float]) -> None:
        """Adds the scores of an image.

        Raises:
            InputError: a score that `METRICS` does not know, or a name that is taken.
        """
        if name in self.names or not scores.keys() <= METRICS.keys():
            raise InputError(
                f"Expected an image of its own with scores of METRICS, found {name!r} with "
                f"{', '.join(scores)}. Rename one."
            )
        for metric in scores:
            self.values.setdefault(metric, [math.nan] * len(self.names))
        self.names.append(name)
        for metric, column in self.values.items():
            column.append(float(scores.get(metric, math.nan)))

    def summary(self) -> dict[str, Estimate]:
        """Returns the mean of each metric with its interval of 95 %, by bootstrap over images."""
        columns = [name for name in METRICS if name in self.values]
        return {name: mean_interval(np.asarray(self.values[name])) for name in columns}

    def worst(self, metric: str, count: int) -> list[tuple[str, float]]:
        """Returns the images with the worst values of a metric, the worst first."""
        rows = zip(self.names, self.values[metric], strict=True)
        rated = [row for row in rows if not math.isnan(row[1])]
        # not `reverse`, which would turn the order of equal ones around, too
        sign = 1 if METRICS[metric].better == "higher" else -1
        return sorted(rated, key=lambda row: sign * row[1])[:count]


@dataclass(frozen=True, slots=True)
class Difference:
    """Of a metric between two results, over the images that both have."""

    first: float
    second: float
    """Means."""
    difference: Estimate
    """Second minus first, with its paired interval."""
    better: Literal["first", "second", "neither"]
    """Whose interval lies wholly on the better side of 0."""


def compare(first: ScoreTable, second: ScoreTable) -> dict[str, Difference]:
    """Compares two results image by image, by the names of images.

    Raises:
        InputError: they have fewer than two images, or no metric, in common, or were made in other ways.
    """
    for name in SETTINGS:
        one, other = first.settings.get(name), second.settings.get(name)
        if one is not None and other is not None and one != other:
            raise InputError(
                f"Expected two results with one {name}, found {one} and {other}. Score both in one way."
            )
    names = [name for name in first.names if name in set(second.names)]
    metrics = [name for name in METRICS if name in first.values and name in second.values]
    if len(names) < 2 or not metrics:
        raise InputError(
            f"Expected two results with images and metrics in common, found {len(names)} images and "
            f"{len(metrics)} metrics. Score the same images with both."
        )
    found: dict[str, Difference] = {}
    for metric in metrics:
        one, two = (_column(table, metric, names) for table in (first, second))
        both = ~np.isnan(one) & ~np.isnan(two)
        interval = mean_interval((two - one)[both])
        better: Literal["first", "second", "neither"] = "neither"
        if METRICS[metric].better != "neither" and (interval.low > 0 or interval.high < 0):
            grew = interval.low > 0
            better = "second" if grew == (METRICS[metric].better == "higher") else "first"
        mean = [float(values[both].mean()) if both.any() else math.nan for values in (one, two)]
        found[metric] = Difference(mean[0], mean[1], interval, better)
    return found


def mean_interval(values: Float[np.ndarray, " n"]) -> Estimate:
    """Returns the mean of values that are no NaN, with its percentile bootstrap interval of 95 %."""
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    draw = np.random.default_rng(SEED)
    means = [known[draw.integers(len(known), size=len(known))].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(float(known.mean()), float(low), float(high), len(known))


class _Document(BaseModel):
    """A file of results; further fields are for people."""

    model_config = ConfigDict(extra="allow")

    format: Literal["pellucid-scores-1"]
    images: list[str]
    scores: dict[str, list[Annotated[float, Field(allow_inf_nan=False)] | None]]


def document(table: ScoreTable, about: Mapping[str, object]) -> dict[str, object]:
    """Returns a result as JSON's own types: how it was made, means with intervals, and every image's scores.

    Args:
        table: of all images.
        about: settings of the run, such as backgrounds, protocol, seeds and the note on contamination.
    """
    return {
        "format": FORMAT,
        **about,
        "made": circumstances(),
        "n": len(table.names),
        "metrics": {
            name: {**estimate.plain(), "unit": METRICS[name].unit, "better": METRICS[name].better}
            for name, estimate in table.summary().items()
        },
        "images": list(table.names),
        "scores": {
            name: [None if math.isnan(value) else round(value, 6) for value in table.values[name]]
            for name in METRICS
            if name in table.values
        },
    }


def circumstances() -> dict[str, object]:
    """Returns what a figure depends on beside its input: command, versions, machine."""
    program = Path(sys.argv[0])
    # the program by its name: its path says nothing to others
    name = program.parent.name if program.name == "__main__.py" else program.name
    packages = ("pellucid", "torch", "numpy", "opencv-python-headless", "pillow")
    return {
        # file names may be no text
        "command": " ".join([name, *sys.argv[1:]]).encode("utf-8", "replace").decode(),
        "commit": _commit(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "device": "cuda" if torch.cuda.is_available() else platform.machine(),
        "intervals": f"95 %, percentile bootstrap over images, {RESAMPLES} resamples, seed {SEED}",
    }


def _commit() -> str | None:
    """Returns the commit of the checkout that runs, with a + where files differ; None if installed."""
    root = Path(__file__).parents[3]
    if not (root / ".git").exists():
        return None
    try:
        words = ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--exclude=*"]
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def write_document(path: Path, values: Mapping[str, object]) -> None:
    """Writes a result as JSON."""
    write_atomically(path, (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode())


def read_table(path: Path) -> ScoreTable:
    """Reads a result that `write_document` wrote.

    Raises:
        FileError: the file is no such result.
    """
    try:
        found = _Document.model_validate_json(path.read_text(encoding="utf-8"))
        if unknown := sorted(found.scores.keys() - METRICS.keys()):
            raise ValueError(f"the unknown metric {unknown[0][:40]}")
        for name, column in found.scores.items():
            if len(column) != len(found.images):
                raise ValueError(f"{len(column)} scores by {name} of {len(found.images)} images")
        if len(set(found.images)) < len(found.images):
            raise ValueError("an image that is named twice")
    except (OSError, ValidationError, ValueError) as error:
        raise FileError(
            f"Expected scores of `pellucid eval` in {path}, found {first_line(error)}. Score again."
        ) from error
    filled = {
        name: [math.nan if value is None else value for value in column]
        for name, column in found.scores.items()
    }
    stated = found.model_extra or {}
    return ScoreTable(found.images, filled, {name: stated[name] for name in SETTINGS if name in stated})


def pooled(tables: Sequence[ScoreTable]) -> ScoreTable:
    """Puts the rows of several tables into one."""
    whole = ScoreTable()
    for table in tables:
        for index, name in enumerate(table.names):
            scores = {metric: column[index] for metric, column in table.values.items()}
            whole.add(name, {metric: value for metric, value in scores.items() if not math.isnan(value)})
    return whole


def _column(table: ScoreTable, metric: str, names: Sequence[str]) -> Float[np.ndarray, " n"]:
    place = {name: index for index, name in enumerate(table.names)}
    return np.asarray([table.values[metric][place[name]] for name in names])
