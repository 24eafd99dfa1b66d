"""The learned score: its file, its card, and what it says of an image. Nothing here needs scikit-learn.

FOLDER/score.safetensors   weights and what features are normalised by
FOLDER/score.json          names of the features, threshold and figures
FOLDER/README.md           the same for people
"""

import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from pellucid.data.estimates import Estimate
from pellucid.data.records import Record
from pellucid.data.verdict_scores.features import feature_names, image_features, plugin_features
from pellucid.errors import WeightsError, first_line
from pellucid.files.atomic import write_atomically
from pellucid.rgba.types import RGBA8

NAME = "verdict"
"""Of the score in `Record.scores` and in the funnel."""
UNCERTAINTY = "uncertainty"
"""Of the score by which `pellucid data rounds new --order uncertainty` sorts."""
TENSORS, CARD = "score.safetensors", "score.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreCard:
    """What was learned from, and how well it does.

    All figures are of images in a fold that was not learned from.
    """

    features: tuple[str, ...]
    """Names, in order."""
    plugin: str
    """Function of further features; empty for none."""
    threshold: float
    """Score from which an image is taken for one that people keep."""
    wanted_recall: float
    """Share of what people keep that was to be found."""
    images: int
    kept: int
    """Images of those that people kept."""
    recall: Estimate
    """At the threshold: share of what people keep that is taken."""
    precision: Estimate
    """At the threshold: share of what is taken that people keep."""
    taken: Estimate
    """At the threshold: share of all images that is taken."""
    area: float
    """Under the ROC curve: chance that a kept image scores above a rejected one."""
    brier: float
    """Mean square of score minus verdict; the lower the better."""
    brier_of_base_rate: float
    """The same of a score that says the share of kept images of every image."""
    source: str
    """Where the verdicts are from."""
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictScore:
    """A logistic regression on normalised features, and the curve that makes its answer a probability."""

    card: ScoreCard
    mean: Float[np.ndarray, "features"]
    scale: Float[np.ndarray, "features"]
    weights: Float[np.ndarray, "features"]
    calibration: Float[np.ndarray, "2"]
    """Slope and offset of the sigmoid."""

    def of_features(self, features: Float[np.ndarray, "n features"]) -> Float[np.ndarray, "n"]:
        """Returns the probability that people keep each image, 0 to 1."""
        margins = ((features - self.mean) / self.scale) @ self.weights
        slope, offset = self.calibration
        return sigmoid(slope * margins + offset)

    def of_image(self, rgba: RGBA8, record: Record) -> float:
        """Returns the probability that people keep an image, 0 to 1; errors of `plugin_features`."""
        features = image_features(rgba)
        if self.card.plugin:
            features = np.concatenate([features, plugin_features(self.card.plugin, rgba, record)])
        return float(self.of_features(features[None])[0])

    def of_round(self, rgba: RGBA8, record: Record) -> dict[str, float]:
        """Scores an image: `verdict`, and `uncertainty`, which is 1 at a verdict of 0.5 and 0 at its ends."""
        value = self.of_image(rgba, record)
        return {NAME: round(value, 4), UNCERTAINTY: round(1 - abs(2 * value - 1), 4)}

    def save(self, folder: Path) -> None:
        """Writes the three files; the folder may be new.

        Raises:
            FileError: the folder refuses, or the disk is full.
        """
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {name: getattr(self, name) for name in ("mean", "scale", "weights", "calibration")}
        write_atomically(folder / TENSORS, save(arrays))
        write_atomically(folder / "README.md", describe(self).encode())
        write_atomically(folder / CARD, json.dumps(asdict(self.card), indent=1).encode())


@lru_cache(maxsize=2)
def load_score(folder: str) -> VerdictScore:
    """Loads a score once a process.

    Raises:
        WeightsError: the folder holds none, or one of other features than this version computes.
    """
    path = Path(folder)
    try:
        card = TypeAdapter(ScoreCard).validate_json((path / CARD).read_bytes())
        arrays = load_file(path / TENSORS)
        score = VerdictScore(card=card, **arrays)
        shapes = {name: value.shape for name, value in arrays.items()}
        count = len(card.features)
        if shapes != {"mean": (count,), "scale": (count,), "weights": (count,), "calibration": (2,)}:
            raise ValueError(f"arrays of {shapes}")
    except (OSError, ValueError, TypeError, ValidationError, SafetensorError) as error:
        raise WeightsError(
            f"Expected a score in {folder}, found {first_line(error)}. Learn one with `pellucid data learn`."
        ) from None
    own = feature_names()
    if card.features[: len(own)] != own or (len(card.features) > len(own)) != bool(card.plugin):
        raise WeightsError(
            f"Expected a score on the features of this version in {folder}, found one of {card.version} on "
            "others. Learn it again with `pellucid data learn`."
        )
    return score


def sigmoid(values: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """Returns 1 / (1 + exp(-x)), which does not overflow at either end."""
    return 0.5 * (1 + np.tanh(0.5 * values))


def describe(score: VerdictScore) -> str:
    """Describes a score for people, as Markdown."""
    card = score.card

    def share(estimate: Estimate) -> str:
        return f"{estimate.value:.1%} (95 % interval {estimate.low:.1%} to {estimate.high:.1%})"

    order = np.argsort(-np.abs(score.weights))[:8]
    strongest = "\n".join(f"- {card.features[i]}: {score.weights[i]:+.2f}" for i in order)
    return f"""# What people keep

A logistic regression on {len(card.features)} features of an image, calibrated by cross-validation. It looks
at the image alone: whether it shows what was asked for, it does not know.

Learned from {card.images:,} verdicts in {card.source}, {card.kept:,} of them to keep
({card.kept / card.images:.1%}), by version {card.version}. Figures are of images in folds that were not
learned from; images of one prompt are always in one fold.

| at the threshold of {card.threshold:.4f} | |
|---|---|
| share found of what people keep (asked for: {card.wanted_recall:.0%}) | {share(card.recall)} |
| share of what is taken that people keep | {share(card.precision)} |
| share of all images that is taken | {share(card.taken)} |

Area under the ROC curve {card.area:.3f}; Brier score {card.brier:.4f}, of the base rate
{card.brier_of_base_rate:.4f}.
The threshold was chosen on the same folds, so recall is what was asked for by construction.

The strongest weights, in standard deviations:

{strongest}

Limits: it repeats the taste of these reviewers, on images of this kind of model. Learn it again after
a round.
"""
