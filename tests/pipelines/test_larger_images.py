"""Models whose alpha decoder makes more pixels than their VAE: every method at the larger size."""

from pathlib import Path

import numpy as np
import pytest
import torch

import pellucid
import tiny
from building import QuickSeeded, build, present
from pellucid.models.alpha_decoder import AlphaDecoder
from pellucid.pipelines.keywords import SamplingKeywords
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.rgba.resizing import shrunk

QUICK: QuickSeeded = {"seed": 1, "num_inference_steps": 2, "passes": 1}


def enlarging(old: AlphaDecoder, upscale: int = 2) -> AlphaDecoder:
    """Makes a decoder of twice the side with the same weights, untrained where it enlarges."""
    config = {name: value for name, value in old.config.items() if not name.startswith("_")}
    network = build(AlphaDecoder, **(config | {"upscale": upscale, "upscale_width": 8}))
    network.load_state_dict(old.state_dict(), strict=False)
    return network.eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model's layout, with a decoder of twice the side."""
    made = tiny.save_mini(tmp_path_factory.mktemp("models") / "mini")
    decoder = present(pellucid.load(made).autoencoder.alpha_decoder)
    assert isinstance(decoder, AlphaDecoder)
    enlarging(decoder).save_pretrained(made / "rgba" / "alpha_decoder")
    return made


@pytest.fixture(scope="module")
def pipe(folder: Path) -> TransparentPipeline:
    return pellucid.load(folder)


def test_images_have_twice_the_side_and_other_sizes_are_made_of_it(pipe: TransparentPipeline) -> None:
    assert pipe.native_size == (128, 128)
    assert pipe.pipeline.unet.config.sample_size == 8  # pyright: ignore[reportAttributeAccessIssue]
    scene = pipe.generate("a cat", **QUICK)
    assert scene.layers[0].image.shape == (128, 128, 4)
    assert present(scene.provenance).seed == 1
    assert pipe.generate("a cat", height=70, width=90, **QUICK).layers[0].image.shape == (70, 90, 4)
    large = pipe.generate("a cat", hires_strength=0.5, height=192, **QUICK).layers[0].image
    assert large.shape == (192, 128, 4)
    assert pipe.generate("a cat", fix_background=True, **QUICK).layers[0].image.shape == (128, 128, 4)


def test_what_is_repainted_keeps_its_size_and_what_is_outside_a_mask_its_bytes(
    pipe: TransparentPipeline,
) -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (45, 130, 4), np.uint8)
    assert pipe.encode(rgba).shape[-2:] == (4, 10)
    assert pipe.decode(pipe.encode(rgba), crop=(45, 130)).shape == rgba.shape
    assert pipe.vary(rgba, "a", strength=0.5, **QUICK).layers[0].image.shape == rgba.shape
    assert pipe.upscale(rgba, "a", scale=1.5, **QUICK).layers[0].image.shape == (68, 195, 4)
    mask = np.zeros((45, 130), np.uint8)
    mask[10:30, 60:90] = 255
    painted = pipe.inpaint(rgba, mask, "a", **QUICK).layers[0].image
    assert (painted[mask == 0] == rgba[mask == 0]).all()
    assert (painted[mask == 255] != rgba[mask == 255]).any(axis=-1).mean() > 0.5


def test_other_families_may_have_one_too() -> None:
    stock = tiny.sd15()
    codec = tiny.codec(stock.vae)
    _, decoder = tiny.networks_of(codec)
    codec.alpha_decoder = enlarging(decoder)
    pipe = TransparentPipeline(stock, codec)
    assert pipe.generate("a", height=150, width=96, **QUICK).layers[0].image.shape == (150, 96, 4)
    assert pipe.generate("a", **QUICK).layers[0].image.shape == (128, 128, 4)


@torch.no_grad()
def test_the_embedded_model_makes_the_same_images_finer() -> None:
    plain, larger = pellucid.load(), pellucid.load()
    decoder = larger.autoencoder.alpha_decoder
    assert isinstance(decoder, AlphaDecoder)
    plain.autoencoder.alpha_decoder = small = enlarging(decoder, upscale=1)
    larger.autoencoder.alpha_decoder = enlarging(small)
    settings: SamplingKeywords = {"seed": 3, "num_inference_steps": 4}
    ground = np.full((128, 128, 4), 255, np.uint8)
    ground[:, :64, :3] = 90
    scenes = [
        (
            each.generate("a red apple", **settings),
            each.generate("a red apple", control=ground, **settings),
            each.joint("a red apple", "a beach", **settings),
            each.foreground_on(ground, "a cat", height=128 * size, width=128 * size, **settings),
        )
        for size, each in ((1, plain), (2, larger))
    ]
    for one, two in zip(*scenes, strict=True):
        assert (two.height, two.width) == (256, 256)
        for coarse, fine in zip(one.layers, two.layers, strict=True):
            alpha = shrunk(fine.image, 2)[..., 3].astype(int)
            assert np.abs(alpha - coarse.image[..., 3]).mean() < 3
            seen = coarse.image[..., 3] > 250
            assert np.abs(shrunk(fine.image, 2).astype(int) - coarse.image)[seen].mean() < 6
