"""Canvases larger than what is drawn on them: their flattened images come by strips."""

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from psd_tools import PSDImage

from pellucid import Layer, Scene
from pellucid.files.png_strips import write_png
from pellucid.rgba.strips import StripShrinker
from pellucid.rgba.types import RGBA8
from pellucid.scene.formats import merged

RANDOM = np.random.default_rng(7)


def noise(height: int, width: int) -> RGBA8:
    return RANDOM.integers(0, 256, (height, width, 4), np.uint8)


@pytest.mark.parametrize("width", [1, 2, 97])
def test_a_png_by_strips_is_read_as_what_was_written(width: int) -> None:
    strips = [noise(3, width), 4, noise(1, width), 2]
    file = io.BytesIO()
    write_png(file, 10, width, strips, {"Title": "größer"})
    with Image.open(file) as image:
        image.load()
        read = np.asarray(image)
        assert image.info["Title"] == "größer"
    clear = [np.zeros((strip, width, 4), np.uint8) if isinstance(strip, int) else strip for strip in strips]
    assert np.array_equal(read, np.concatenate(clear))


@pytest.mark.parametrize("size", [(50, 64), (301, 407)])
def test_a_small_version_is_the_mean_of_what_it_stands_for(size: tuple[int, int]) -> None:
    image = noise(*size)
    shrinker = StripShrinker(*size, least=64)
    for top in range(0, size[0], 7):
        shrinker.add(top, image[top : top + 7])
    factor = shrinker.factor
    block = image[factor : 2 * factor, factor : 2 * factor].reshape(-1, 4).astype(float)
    assert shrinker.image.shape == (-(-size[0] // factor), -(-size[1] // factor), 4)
    alpha = block[:, 3]
    colour = (block[:, :3] * alpha[:, None]).sum(axis=0) / alpha.sum()
    assert np.abs(shrinker.image[1, 1] - [*colour, alpha.mean()]).max() <= 0.51


@pytest.fixture
def sparse() -> Scene:
    """Two layers of noise on a canvas of 16 megapixels."""
    layers = tuple(
        Layer(image=noise(200, 300), name=name, offset=offset, opacity=0.5)
        for name, offset in (("low", (2000, 2500)), ("high", (2100, 2600)))
    )
    return Scene(layers=layers, height=4000, width=4000)


@pytest.mark.parametrize("ending", ["png", "ora", "psd"])
def test_a_sparse_canvas_is_saved_in_a_part_of_its_memory(
    sparse: Scene, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merged, "LARGE_CANVAS", 1 << 20)  # which the canvas has, in less time than 2^26
    path = tmp_path / f"large.{ending}"
    sparse.save(path)  # what is loaded at the first time is not counted
    tracemalloc.start()
    sparse.save(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32e6, "the canvas alone would be 64 MB"
    part = (slice(1900, 2400), slice(2400, 3000))
    wanted = sparse.composite()[part]
    assert np.abs(Scene.open(path).composite()[part].astype(int) - wanted).max() <= (ending == "psd")


def test_other_programs_find_the_flattened_image_of_a_sparse_psd(sparse: Scene, tmp_path: Path) -> None:
    path = sparse.save(tmp_path / "large.psd")
    flat = np.asarray(PSDImage.open(path).topil())
    alpha = sparse.composite()[..., 3]
    assert np.abs(flat[..., 3].astype(int) - alpha).max() <= 1  # opacity is in 255ths


def test_strips_make_the_image_that_is_made_as_a_whole(sparse: Scene) -> None:
    whole = np.zeros((4000, 4000, 4), np.uint8)
    for top, strip in sparse.composite_strips("#204060"):
        assert strip is not None
        whole[top : top + len(strip)] = strip
    assert np.array_equal(whole, sparse.composite("#204060"))
