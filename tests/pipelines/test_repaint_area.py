"""Repainting images of any size: the model paints near its own number of pixels, whatever it is given."""

from pathlib import Path

import numpy as np
import pytest
import torch

import pellucid
import tiny
from building import QuickSeeded
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.pipelines.repaint_area import around_mask, whole_image
from pellucid.scene.layer import Layer
from pellucid.scene.scene import Scene

QUICK: QuickSeeded = {"seed": 1, "num_inference_steps": 2, "passes": 1}
SIZES = [(96, 96), (200, 200), (333, 777), (5, 300), (1, 1)]


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> TransparentPipeline:
    """Returns a model that knows 64 px alone."""
    return pellucid.load(tiny.save_mini(tmp_path_factory.mktemp("models") / "mini"))


@pytest.fixture(scope="module")
def free() -> TransparentPipeline:
    """Returns a model of 64 px that paints other sizes as well."""
    stock = tiny.sd15()
    return pellucid.attach(stock, None, autoencoder=tiny.codec(stock.vae))


def image_of(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*size, 4), np.uint8)


def mask_of(size: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(size, np.uint8)
    mask[size[0] // 3 : size[0] // 3 + 20, size[1] // 2 : size[1] // 2 + 30] = 255
    return mask


class Watched:
    """Keeps the shapes of the latents that are sampled."""

    def __init__(self) -> None:
        self.shapes: set[tuple[int, int]] = set()

    def __call__(self, _: object, __: int, ___: object, values: dict[str, torch.Tensor]) -> dict[str, object]:
        rows, columns = values["latents"].shape[-2:]
        self.shapes.add((rows, columns))
        return {}


@pytest.mark.parametrize("size", SIZES)
def test_a_model_of_one_size_paints_there(fixed: TransparentPipeline, size: tuple[int, int]) -> None:
    watched = Watched()
    native = fixed.native_size[0] // fixed.autoencoder.pixels_per_latent
    inputs = {"callback_on_step_end": watched}
    varied = fixed.vary(image_of(size), "a", pipeline_inputs=inputs, **QUICK)
    painted = fixed.inpaint(image_of(size), mask_of(size), "a", pipeline_inputs=inputs, **QUICK)
    assert watched.shapes == {(native, native)}
    assert varied.layers[0].image.shape == painted.layers[0].image.shape == (*size, 4)
    outside = mask_of(size) == 0
    assert (painted.layers[0].image[outside] == image_of(size)[outside]).all()


@pytest.mark.parametrize(
    ("size", "sampled"),
    [
        ((64, 64), (8, 8)),
        ((100, 110), (14, 14)),  # whole multiples
        ((20, 20), (8, 8)),
        ((400, 400), (16, 16)),
    ],
)
def test_others_paint_the_size_itself_unless_it_is_far_off(
    free: TransparentPipeline, size: tuple[int, int], sampled: tuple[int, int]
) -> None:
    watched = Watched()
    scene = free.vary(image_of(size), "a", pipeline_inputs={"callback_on_step_end": watched}, **QUICK)
    assert watched.shapes == {sampled}
    assert scene.layers[0].image.shape == (*size, 4)


def test_of_a_large_image_the_surroundings_of_the_mask_are_repainted(free: TransparentPipeline) -> None:
    size, watched = (300, 500), Watched()
    mask = mask_of(size)
    before = image_of(size)
    area = around_mask(free.model, before, mask / np.float32(255))
    assert area.size == area.canvas == (64, 64)
    assert (area.top, area.left) == (300 // 3 + 10 - 32, 500 // 2 + 15 - 32)
    scene = free.inpaint(before, mask, "a", pipeline_inputs={"callback_on_step_end": watched}, **QUICK)
    assert watched.shapes == {(8, 8)}
    after = scene.layers[0].image
    assert (after[mask == 0] == before[mask == 0]).all()
    assert (after[mask == 255] != before[mask == 255]).any(axis=-1).mean() > 0.9


@pytest.mark.parametrize("corner", [(0, 0), (0, 470), (285, 0), (299, 499)])
def test_the_area_stays_inside_and_covers_the_mask(
    free: TransparentPipeline, fixed: TransparentPipeline, corner: tuple[int, int]
) -> None:
    share = np.zeros((300, 500), np.float32)
    share[corner[0] : corner[0] + 60, corner[1] : corner[1] + 70] = 1
    for model in (free.model, fixed.model):
        area = around_mask(model, image_of((300, 500)), share)
        assert 0 <= area.top <= 300 - area.size[0]
        assert 0 <= area.left <= 500 - area.size[1]
        rows = slice(area.top, area.top + area.size[0])
        assert share[rows, area.left : area.left + area.size[1]].sum() == share.sum()
        assert (area.cut_mask(share) > 0).any()


@pytest.mark.parametrize("size", [(64, 64), (100, 50), (50, 37), (333, 777)])
def test_what_was_cut_is_restored_where_it_was(fixed: TransparentPipeline, size: tuple[int, int]) -> None:
    rgba = np.zeros((*size, 4), np.uint8)
    rgba[size[0] // 4 : -size[0] // 4, size[1] // 4 : -size[1] // 4] = (200, 90, 30, 255)
    area = whole_image(fixed.model, rgba)
    assert area.cut(rgba).shape == (*fixed.native_size, 4)
    back = area.lay(rgba, area.cut(rgba))
    off = np.abs(back.astype(int) - rgba)[..., 3]
    assert (off > 128).mean() < 0.01  # edges alone, and within a pixel of the canvas
    assert off.mean() < 12


def test_of_a_large_image_a_model_of_one_size_repaints_the_subject(fixed: TransparentPipeline) -> None:
    rgba = np.zeros((333, 777, 4), np.uint8)
    rgba[100:300, 500:650] = (200, 90, 30, 255)
    rgba[:100, :300, 3] = 5  # haze
    area = whole_image(fixed.model, rgba)
    assert area.size == (220, 220)
    assert (area.top, area.left) == (90, 465)
    scene = fixed.vary(rgba, "a", **QUICK)
    outside = np.ones(rgba.shape[:2], bool)
    outside[90:310, 465:685] = False
    assert not scene.layers[0].image[outside].any()


def test_scenes_and_layers_are_images_too(fixed: TransparentPipeline, tmp_path: Path) -> None:
    rgba = image_of((64, 64))
    layer = Layer(image=rgba, name="cat")
    scene = Scene(layers=(layer,), height=64, width=64)
    path = scene.save(tmp_path / "cat.png")
    wanted = fixed.vary(rgba, "a", **QUICK).layers[0].image
    for given in (layer, scene, path):
        assert (fixed.vary(given, "a", **QUICK).layers[0].image == wanted).all()
