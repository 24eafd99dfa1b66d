"""Documents are read piece by piece, and their images by several threads, with what one by one gives."""

import os
import tracemalloc
import warnings
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pellucid import Layer, Scene
from pellucid.errors import FileError, FileWarning
from pellucid.files.sources import read_source
from pellucid.scene.formats import archive_images, psd_pixels
from scene.psd_files import CLEAR, RGB, Stored, psd_file
from scene.scenes import noise


def stacked(count: int) -> Scene:
    layers = tuple(Layer(image=noise(12, 9, seed=number), name=str(number)) for number in range(count))
    return Scene(layers=layers, height=12, width=9)


def altered(path: Path, name: str, content: bytes) -> None:
    """Puts other content under a name of an archive."""
    with zipfile.ZipFile(path) as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for each, old in members.items():
            archive.writestr(each, content if each == name else old)


@pytest.fixture(params=[1, 4])
def processors(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Lets as many threads unpack."""
    monkeypatch.setattr(os, "cpu_count", lambda: request.param)
    return request.param


@pytest.mark.usefixtures("processors")
@pytest.mark.parametrize("ending", ["ora", "zip"])
@pytest.mark.parametrize("ahead", [0, 1 << 25])
def test_layers_are_those_of_the_file(
    tmp_path: Path, ending: str, ahead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_images, "AHEAD_PIXELS", ahead)
    scene = stacked(7)
    opened = Scene.open(scene.save(tmp_path / f"a.{ending}"))
    for layer, expected in zip(opened.layers, scene.layers, strict=True):
        np.testing.assert_array_equal(layer.image, expected.image)


@pytest.mark.usefixtures("processors")
@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a"])
def test_a_damaged_image_among_others_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = stacked(5).save(tmp_path / "a.ora")
    altered(path, "data/layer002.png", content)
    with pytest.raises(FileError, match=r"Cannot read .*a\.ora"):
        Scene.open(path)


@pytest.mark.usefixtures("processors")
def test_the_limit_counts_all_layers(tmp_path: Path) -> None:
    path = stacked(5).save(tmp_path / "a.ora")
    with pytest.raises(FileError, match="pixels"):
        Scene.open(path, max_pixels=12 * 9)
    assert len(Scene.open(path, max_pixels=5 * 12 * 9 // 3).layers) == 5


@pytest.mark.usefixtures("processors")
def test_notes_on_images_are_warned_of_with_the_name_of_the_document(tmp_path: Path) -> None:
    path, file = stacked(5).save(tmp_path / "a.ora"), BytesIO()
    Image.fromarray(noise(12, 9)).save(file, "PNG", icc_profile=b"no profile at all")
    altered(path, "data/layer002.png", file.getvalue())
    with pytest.warns(FileWarning, match=r"a\.ora: ") as caught:
        Scene.open(path)
    assert len(caught) == 1


@pytest.mark.parametrize("ending", ["ora", "zip"])
def test_threads_leave_the_filters_of_warnings_as_they_were(tmp_path: Path, ending: str) -> None:
    before = list(warnings.filters)
    for _ in range(20):  # whether two threads meet is chance
        Scene.open(stacked(12).save(tmp_path / f"a.{ending}"))
    assert warnings.filters == before


@pytest.mark.parametrize("ending", ["psd", "ora", "zip"])
def test_a_document_is_not_held_beside_its_pixels(tmp_path: Path, ending: str) -> None:
    path = stacked(2).save(tmp_path / f"a.{ending}")
    assert read_source(path).stored == path
    assert read_source(path).content == path.read_bytes()
    with path.open("rb") as file:
        assert read_source(file).stored == path.read_bytes()


def test_deep_layers_are_the_same_in_strips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    levels = np.random.default_rng(0).integers(0, 1 << 16, (4, 40, 30))
    layer = Stored(dict(zip((CLEAR, 2, 0, 1), levels, strict=True)))
    path = tmp_path / "a.psd"
    path.write_bytes(psd_file(RGB, 16, levels[1:], [layer]))
    whole = Scene.open(path).layers[0].image
    monkeypatch.setattr(psd_pixels, "DEEP_PIXELS", 90)
    np.testing.assert_array_equal(Scene.open(path).layers[0].image, whole)


def test_packed_layers_are_freed_as_they_are_unpacked(tmp_path: Path) -> None:
    side, count = 400, 12
    layers = tuple(Layer(image=noise(side, side, seed=number)) for number in range(count))
    path = Scene(layers=layers, height=side, width=side).save(tmp_path / "a.psd")
    pixels = count * side * side * 4
    Scene.open(path)  # imports
    tracemalloc.start()
    Scene.open(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # noise does not pack: the file is as large as the pixels, and both were held before
    assert peak < 1.5 * pixels
