"""Scores of files: folders of images or documents, found by their names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import UInt8

from pellucid.data.datasets import shards_of
from pellucid.data.engines import Engine, LocalEngine, WorkerDied
from pellucid.data.shards import read_shard
from pellucid.data.spread import evenly
from pellucid.errors import FileError, InputError, first_line
from pellucid.evaluation.blending import backgrounds, blend
from pellucid.evaluation.distributions import set_distance
from pellucid.evaluation.eval_data import ENDINGS, OPAQUE_ENDINGS, files_by_stem
from pellucid.evaluation.features import FeatureModel
from pellucid.evaluation.layer_metrics import layer_scores
from pellucid.evaluation.matting import Matter
from pellucid.evaluation.pair_scores import PairSettings, score_pair
from pellucid.evaluation.score_table import ScoreTable
from pellucid.evaluation.transparency import soft_distance
from pellucid.files.images import read_rgba, write_image
from pellucid.progress import track
from pellucid.rgba.types import RGBA8
from pellucid.scene.scene import Scene

PART = 16
"""Images that a worker scores at a time."""
DOCUMENTS = (".psd", ".ora", ".tif", ".tiff")
T = TypeVar("T")
RGB = UInt8[np.ndarray, "h w 3"]


@dataclass(frozen=True, slots=True)
class PairFiles:
    """Images to judge and true ones, by their common names."""

    found: Mapping[str, Path]
    wanted: Mapping[str, Path]

    @classmethod
    def of_folders(cls, found: Path, wanted: Path) -> "PairFiles":
        """Pairs the images of two folders by their names without ending.

        Raises:
            InputError: see `_paired`.
        """
        return cls(*_paired(found, wanted, ENDINGS))

    def case(self, name: str) -> list[RGBA8]:
        """Returns the judged and the true image of a name.

        Raises:
            InputError: they differ in size.
        """
        pair = [read_rgba(files[name]) for files in (self.found, self.wanted)]
        if pair[0].shape != pair[1].shape:
            raise InputError(
                f"Expected {name} at one size in both folders, found {pair[0].shape[:2]} and "
                f"{pair[1].shape[:2]}. Resize one: no filter is silently chosen here."
            )
        return pair

    def scored(self, settings: PairSettings, engine: Engine | None = None) -> ScoreTable:
        """Scores all pairs, in this process or by an engine: scores do not depend on it."""
        return _scored(partial(_score_pair, files=self, settings=settings), list(self.found), "image", engine)

    def set_distances(self, model: FeatureModel, settings: PairSettings) -> dict[str, object]:
        """Returns KID and Frechet distance on each background, and the distance of semi-transparency."""
        images = [self.case(name) for name in self.found]
        by_background: dict[str, object] = {}
        names = settings.background_names
        for background in track(names, total=len(names), label="comparing sets", unit="background"):
            found, wanted = (
                model.features([self._over(pair[side], background, settings) for pair in images])
                for side in (0, 1)
            )
            by_background[background] = set_distance(found, wanted, model.name).plain()
        sides = [[pair[side] for pair in images] for side in (0, 1)]
        return {"soft_distance": round(soft_distance(*sides), 6), "by_background": by_background}

    def about(self, settings: PairSettings, contamination: str) -> dict[str, object]:
        """Returns what a result must say beside its scores."""
        return {
            "kind": "composition",
            "backgrounds": settings.background_names,
            "protocol": settings.protocol,
            "perceptual": settings.perceptual.name if settings.perceptual else None,
            "unknown": "within 1/50 of the longer side of what is partly transparent in the true alpha",
            "contamination": contamination,
        }

    def _over(self, rgba: RGBA8, background: str, settings: PairSettings) -> np.ndarray:
        behind = backgrounds(rgba.shape[0], rgba.shape[1], settings.photographs)[background]
        return blend(rgba, behind, settings.protocol)


def cut_out(wanted: Path, folder: Path, matter: Matter, photographs: Mapping[str, RGB]) -> PairFiles:
    """Lays true images over photographs in turns, cuts them out again, and writes the results.

    Args:
        wanted: folder of true images.
        folder: where the results go, under the same names.
        matter: cuts out.
        photographs: by name; none takes the nine colours.

    Returns:
        The results with the true images.

    Raises:
        InputError: `folder` is `wanted`, whose images would be overwritten, or see `files_by_stem`.
        FileError: an image cannot be read, or a result not be written.
    """
    files = files_by_stem(wanted)
    if folder.resolve() == wanted.resolve():
        raise InputError(f"Expected a folder of its own for what is cut out, found {folder}. Name another.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"Cannot write into {folder}: {first_line(error)}. Name another folder.") from error
    found = {name: folder / f"{name}.png" for name in files}
    for place, (name, path) in enumerate(
        track(files.items(), total=len(files), label="matting", unit="image")
    ):
        rgba = read_rgba(path)
        behind = backgrounds(rgba.shape[0], rgba.shape[1], photographs)
        names = list(photographs or behind)
        opaque = np.rint(blend(rgba, behind[names[place % len(names)]]) * 255).astype(np.uint8)
        write_image(matter.cut(opaque), found[name])
    return PairFiles(found, files)


@dataclass(frozen=True, slots=True)
class DocumentFiles:
    """Layered documents to judge and true ones, by their common names."""

    found: Mapping[str, Path]
    wanted: Mapping[str, Path]

    @classmethod
    def of_paths(cls, found: Path, wanted: Path) -> "DocumentFiles":
        """Pairs two documents, or those of two folders by their names without ending.

        Raises:
            InputError: one is a folder and one a file, or see `_paired`.
        """
        if found.is_dir() != wanted.is_dir():
            raise InputError(
                f"Expected two documents or two folders, found {found} and {wanted}. Name two of a kind."
            )
        if found.is_dir():
            return cls(*_paired(found, wanted, DOCUMENTS))
        return cls({found.stem: found}, {found.stem: wanted})

    def layers(self, name: str) -> tuple[list[RGBA8], list[RGBA8]]:
        """Returns the visible layers of the judged and of the true document, the lowest first."""
        first, second = (_layers(Scene.open(files[name])) for files in (self.found, self.wanted))
        return first, second

    def case(self, name: str) -> list[RGBA8]:
        """Returns the composites of both, then the layers of both."""
        found, wanted = self.layers(name)
        whole = [Scene.open(files[name]).composite() for files in (self.found, self.wanted)]
        return [*whole, *found, *wanted]

    def scored(self, merges: int, engine: Engine | None = None) -> ScoreTable:
        """Scores all documents, each after the number of merges up to `merges` that fits it best."""
        score = partial(_score_document, files=self, merges=merges)
        return _scored(score, list(self.found), "document", engine)

    def about(self, contamination: str) -> dict[str, object]:
        """Returns what a result must say beside its scores."""
        return {"kind": "layers", "contamination": contamination}


def _score_pair(name: str, files: PairFiles, settings: PairSettings) -> dict[str, float]:
    found, wanted = files.case(name)
    return score_pair(found, wanted, settings)


def _score_document(name: str, files: DocumentFiles, merges: int) -> dict[str, float]:
    found, wanted = files.layers(name)
    try:
        last = layer_scores(found, wanted, merges=merges)[-1]
    except InputError as error:
        raise InputError(f"In {name}: {error}") from error
    scores = {"rgb_l1": last.rgb_l1, "soft_iou": last.soft_iou}
    return {**scores, "layer_count_error": abs(len(found) - len(wanted))}


def _scored(
    score: Callable[[str], dict[str, float]], names: Sequence[str], unit: str, engine: Engine | None
) -> ScoreTable:
    """Scores each name, in parts of `PART` that an engine may give to several workers.

    Raises:
        WorkerDied: a part took its worker down each time.
    """
    parts = [names[start : start + PART] for start in range(0, len(names), PART)]
    done: dict[int, list[dict[str, float]]] = {}
    run = (engine or LocalEngine()).map(partial(_score_part, score=score), parts)
    for number, found in track(run, total=len(parts), label="scoring", unit=f"{PART} {unit}s"):
        if isinstance(found, WorkerDied):
            raise found
        done[number] = found
    table = ScoreTable()
    for name, scores in zip(names, (row for number in sorted(done) for row in done[number]), strict=True):
        table.add(name, scores)
    return table


def _score_part(names: Sequence[str], score: Callable[[str], dict[str, float]]) -> list[dict[str, float]]:
    return [score(name) for name in names]


def read_photographs(source: str, count: int) -> dict[str, RGB]:
    """Reads photographs to judge on, evenly spread over a set or folder.

    Args:
        source: folder of images, or a set of `pellucid data pull`, such as land-photos.
        count: how many.

    Raises:
        InputError: a folder without images.
        FileError: a set cannot be fetched, or a file cannot be read.
    """
    if Path(source).is_dir():
        paths = files_by_stem(Path(source), (*ENDINGS, *OPAQUE_ENDINGS))
        named = [(name, read_rgba(path)) for name, path in _spread(list(paths.items()), count)]
    else:
        samples = [sample for shard in shards_of(source) for sample in read_shard(shard)]
        named = [(record.name, rgba) for record, rgba in _spread(samples, count)]
    return {name: np.ascontiguousarray(rgba[..., :3]) for name, rgba in named}


def _spread(items: Sequence[T], count: int) -> list[T]:
    return [items[place] for place in evenly(len(items), count)]


def _paired(found: Path, wanted: Path, endings: Sequence[str]) -> tuple[dict[str, Path], dict[str, Path]]:
    """Returns the files of both folders by name.

    Raises:
        InputError: see `files_by_stem`, or a name of `wanted` is missing in `found`: leaving it out would
            flatter.
    """
    one, other = files_by_stem(found, endings), files_by_stem(wanted, endings)
    if missing := sorted(other.keys() - one.keys()):
        raise InputError(
            f"Expected all {len(other)} names of {wanted} in {found}, found {len(missing)} missing, such as "
            f"{missing[0]}. Add them, or judge against a folder without them."
        )
    names = sorted(other)
    return {name: one[name] for name in names}, {name: other[name] for name in names}


def _layers(scene: Scene) -> list[RGBA8]:
    """Returns each visible layer on the whole canvas."""
    return [replace(scene, layers=(layer,)).composite() for layer in scene.layers if layer.visible]
