"""A file that ends early is refused, or nothing of its picture was behind the cut: at every byte."""

from pathlib import Path

import numpy as np
import pytest

from corpus.features import Case, Feature
from corpus.model import Document, Node, noise
from corpus.seeds import seed_files
from pellucid.errors import FileError
from pellucid.scene.scene import Scene

LONG = 1300
"""Bytes of a file that is cut at every eleventh of them, but in slow tests."""
ENDINGS = ("apng", "avif", "bmp", "gif", "ico", "jpg", "ora", "png", "psd", "tga", "tiff", "webp", "zip")


def tiny(document: Document) -> None:
    document.nodes = [Node(name="a", image=noise(4, 5, 1)), Node(name="b", image=noise(3, 2, 2), top=9)]


def smallest(ending: str, folder: Path) -> bytes:
    if ending in ("psd", "ora"):
        return Case((Feature("tiny", "", tiny),), ending).content()
    if ending == "zip":
        document = Scene.of([(noise(4, 5, seed) >> 8).astype(np.uint8) for seed in (1, 2)])
        return document.save(folder / "x.zip").read_bytes()
    return min((content for each, content in seed_files(1, 9) if each == ending), key=len)


@pytest.mark.parametrize("step", [11, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.filterwarnings("ignore::pellucid.errors.FileWarning")
def test_a_file_that_ends_early_is_refused_or_whole(ending: str, step: int, tmp_path: Path) -> None:
    content, path = smallest(ending, tmp_path), tmp_path / f"y.{ending}"
    path.write_bytes(content)
    whole = Scene.open(path).composite()
    for end in range(0, len(content), step if len(content) > LONG else 1):
        path.write_bytes(content[:end])
        try:
            cut = Scene.open(path)
        except FileError:
            continue
        assert np.array_equal(cut.composite(), whole), f"cut after {end} of {len(content)} bytes"
