"""Canvases larger than what is drawn on them: their flattened images come by strips."""

import io
import itertools
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from psd_tools import PSDImage

from building import present
from pellucid import Layer, Scene
from pellucid.files import tiff_strips
from pellucid.files.metadata import GenerationMetadata
from pellucid.files.png_strips import write_png
from pellucid.files.tiff_layout import XMP
from pellucid.files.tiff_pages import decode_pages, page_tags
from pellucid.rgba import strips
from pellucid.rgba.compositing import premultiply
from pellucid.rgba.strips import StripImage, StripShrinker
from pellucid.rgba.types import RGBA8
from pellucid.scene.layer import Mask
from pellucid.scene.stacking import PlacedScene, flatten_to_layer, stack_scenes

RANDOM = np.random.default_rng(7)


def noise(height: int, width: int) -> RGBA8:
    return RANDOM.integers(0, 256, (height, width, 4), np.uint8)


def in_strips(width: int) -> tuple[RGBA8, StripImage]:
    """Returns an image with clear rows, and the same by strips."""
    image = noise(10, width)
    image[3:6] = image[9:] = 0
    clear = (3, 9)
    strips = [
        (slice(top, stop), None if top in clear else image[top:stop])
        for top, stop in itertools.pairwise((0, 3, 6, 9, 10))
    ]
    return image, StripImage(10, width, strips)


@pytest.mark.parametrize("width", [1, 2, 97])
def test_a_png_by_strips_is_read_as_what_was_written(width: int) -> None:
    image, by_strips = in_strips(width)
    file = io.BytesIO()
    write_png(file, by_strips, {"Title": "größer"})
    with Image.open(file) as found:
        found.load()
        assert found.info["Title"] == "größer"
        assert np.array_equal(np.asarray(found), image)


@pytest.mark.parametrize("reach", [0, 1 << 32], ids=["BigTIFF", "TIFF"])
@pytest.mark.parametrize("width", [1, 2, 97])
def test_a_tiff_by_strips_is_read_as_what_was_written(
    width: int, reach: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiff_strips, "CLASSIC_BYTES", reach)
    file = io.BytesIO()
    images, pages = zip(*(in_strips(width) for _ in range(3)), strict=True)
    provenance = GenerationMetadata(prompt="größer")
    tags = page_tags(name="größer", provenance=provenance, xmp=b"<x/>")
    tiff_strips.write_tiff_strips(file, [(page, tags) for page in pages])
    assert file.getvalue()[2] == (42 if reach else 43)
    found = decode_pages("it", file.getvalue(), lambda _height, _width: None)
    for page, image in zip(found, images, strict=True):
        assert np.array_equal(page.rgba, image)
        assert page.name == "größer"
        assert page.provenance == provenance
        assert page.tags == {XMP: b"<x/>"}


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


@pytest.mark.parametrize("ending", ["png", "ora", "psd", "tiff"])
def test_a_sparse_canvas_is_saved_in_a_part_of_its_memory(
    sparse: Scene, ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strips, "LARGE_CANVAS", 1 << 20)  # which the canvas has, in less time than 2^26
    path = tmp_path / f"large.{ending}"
    sparse.save(path)  # what is loaded at the first time is not counted
    tracemalloc.start()
    sparse.save(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32e6, "the canvas alone would be 64 MB"
    part = (slice(1900, 2400), slice(2400, 3000))
    wanted, found = sparse.composite()[part], Scene.open(path).composite()[part]
    if ending == "tiff":  # whose pages are rounded each by itself
        wanted, found = premultiply(wanted), premultiply(found)
    assert np.abs(found.astype(int) - wanted).max() <= {"psd": 1, "tiff": 2}.get(ending, 0)


def test_other_programs_find_the_flattened_image_of_a_sparse_psd(sparse: Scene, tmp_path: Path) -> None:
    path = sparse.save(tmp_path / "large.psd")
    flat = np.asarray(PSDImage.open(path).topil())
    alpha = sparse.composite()[..., 3]
    assert np.abs(flat[..., 3].astype(int) - alpha).max() <= 1  # opacity is in 255ths


def test_strips_make_the_image_that_is_made_as_a_whole(sparse: Scene) -> None:
    whole = np.zeros((4000, 4000, 4), np.uint8)
    for rows, strip in sparse.composite_strips("#204060"):
        assert strip is not None
        whole[rows] = strip
    assert np.array_equal(whole, sparse.composite("#204060"))


@pytest.mark.parametrize("background", [None, "#204060"])
@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("count", [1, 3, 4])
def test_scenes_over_one_another_are_their_flattened_images_over_one_another(
    background: str | None, linear: bool, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scene(height: int, width: int, top: int) -> Scene:
        layers = tuple(Layer(image=noise(20, 30), offset=(top + 3 * number, 5)) for number in range(2))
        return Scene(layers=layers, height=height, width=width)

    placed = [
        PlacedScene(Scene.of(noise(40, 50))),
        PlacedScene(scene(70, 31, 40), offset=(-13, 7), opacity=0.3),
        PlacedScene(scene(35, 80, 4), offset=(6, -5), blend_mode="multiply"),
        PlacedScene(scene(20, 30, 2), offset=(3, 3), blend_mode="destination_in"),
    ][:count]
    size = (40, 50) if count == 1 else (61, 66)
    layers = tuple(each.as_layer() for each in placed)
    wanted = Scene(layers=layers, height=size[0], width=size[1]).composite(background, linear=linear)
    monkeypatch.setattr(strips, "STRIP_PIXELS", 700)
    assert np.array_equal(stack_scenes(placed, size, background, linear=linear).gather(), wanted)


def test_scenes_over_one_another_hold_no_canvas(sparse: Scene) -> None:
    tracemalloc.start()
    for _ in stack_scenes([PlacedScene(sparse), PlacedScene(sparse, offset=(7, 9))], (4000, 4000)).strips:
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32e6, "a canvas would be 64 MB"


def test_a_flattened_scene_of_a_large_canvas_is_as_large_as_what_is_on_it(
    sparse: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = flatten_to_layer(sparse, "whole")
    monkeypatch.setattr(strips, "LARGE_CANVAS", 1 << 20)
    layer = flatten_to_layer(sparse, "part")
    assert layer.offset == (2000, 2500)
    assert layer.image.shape == (300, 400, 4)
    again = Scene(layers=(layer,), height=4000, width=4000).composite()
    assert np.array_equal(again, whole.image)


@pytest.mark.parametrize("ending", ["psd", "ora", "tiff"])
def test_large_layers_are_written_by_strips_with_the_same_pixels(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = noise(70, 40)
    image[20:45] = 0
    layers = (
        Layer(image=noise(80, 50), name="below"),
        Layer(image=image, name="above", offset=(5, -3), opacity=0.4, mask=Mask(image=noise(9, 9)[..., 0])),
    )
    scene = Scene(layers=layers, height=80, width=50)
    whole = Scene.open(scene.save(tmp_path / f"whole.{ending}"))
    monkeypatch.setattr(strips, "LARGE_CANVAS", 50)
    monkeypatch.setattr(strips, "STRIP_PIXELS", 300)
    by_strips = Scene.open(scene.save(tmp_path / f"strips.{ending}"))
    for one, other in zip(whole.layers, by_strips.layers, strict=True):
        assert (one.name, one.offset, one.opacity) == (other.name, other.offset, other.opacity)
        np.testing.assert_array_equal(one.image, other.image)
    if ending == "psd":  # what other programs make of the channels
        channels = present(PSDImage.open(tmp_path / "strips.psd")[0].numpy())
        np.testing.assert_array_equal(np.rint(channels * 255), whole.layers[0].image)


@pytest.mark.parametrize("large", [1, 1 << 26])
def test_a_flattened_scene_is_a_layer_of_what_is_on_it(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips, "LARGE_CANVAS", large)
    layers = (
        Layer(image=noise(9, 7), offset=(30, 4)),
        Layer(image=noise(5, 6), offset=(60, 20), opacity=0.5),
    )
    scene = Scene(layers=layers, height=90, width=70)
    layer = flatten_to_layer(scene, "x")
    np.testing.assert_array_equal(Scene(layers=(layer,), height=90, width=70).composite(), scene.composite())


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read there")
def test_clear_pixels_of_a_large_layer_take_no_memory() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    before = resident()
    image = strips.sparse_zeros(12_000, 12_000)
    image[5000:5010, 300:800] = 9
    seen = sum(int(strip.max()) for _, strip in strips.strips_of(image).strips if strip is not None)
    assert seen % 9 == 0
    assert seen > 0
    assert resident() - before < 1 << 24
