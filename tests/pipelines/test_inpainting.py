"""Inpainting: the inside changes, the outside does not, on tiny real pipelines."""

from pathlib import Path
from typing import Unpack

import numpy as np
import pytest
from click.testing import CliRunner

import pellucid
import tiny
from pellucid.apps.cli import cli
from pellucid.errors import InputError
from pellucid.files.images import read_rgba, write_image
from pellucid.pipelines.inpainting import latent_mask, paste, to_mask
from pellucid.pipelines.keywords import RepaintKeywords
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.pipelines.schedulers import SCHEDULERS

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 56, 4), dtype=np.uint8)


def square(height: int = 40, width: int = 56) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    mask[8:24, 16:40] = 255
    return mask


@pytest.fixture(scope="module", params=["sd15", "sdxl"])
def pipe(request: pytest.FixtureRequest) -> TransparentPipeline:
    pipeline = getattr(tiny, request.param)()
    return pellucid.attach(pipeline, None, autoencoder=tiny.codec(pipeline.vae))


def painted(pipe: TransparentPipeline, mask: np.ndarray, **options: Unpack[RepaintKeywords]) -> np.ndarray:
    settings: RepaintKeywords = {"seed": 1, "num_inference_steps": 3, "passes": 1, **options}
    scene = pipe.inpaint(PICTURE, mask, "a cat", **settings)
    assert not isinstance(scene, list)
    return scene.layers[0].image


def test_outside_not_a_byte_changes_and_inside_much_does(pipe: TransparentPipeline) -> None:
    found, inside = painted(pipe, square()), square() > 0
    assert np.array_equal(found[~inside], PICTURE[~inside])
    assert (found[inside] != PICTURE[inside]).any(axis=-1).mean() > 0.9
    assert np.array_equal(found, painted(pipe, square()))
    assert not np.array_equal(found, painted(pipe, square(), seed=2))


def test_what_is_outside_reaches_the_inside(pipe: TransparentPipeline) -> None:
    """The same noise and prompt beside another image paint something else."""
    other = 255 - PICTURE
    scene = pipe.inpaint(other, square(), "a cat", seed=1, num_inference_steps=3, passes=1)
    assert not isinstance(scene, list)
    inside = square() > 0
    assert not np.array_equal(scene.layers[0].image[inside], painted(pipe, square())[inside])


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_scheduler_keeps_the_outside(name: str) -> None:
    pipeline = tiny.sd15()
    pipe = pellucid.attach(pipeline, None, autoencoder=tiny.codec(pipeline.vae))
    found = painted(pipe, square(), scheduler=name, strength=0.7, num_inference_steps=4)
    assert np.array_equal(found[square() == 0], PICTURE[square() == 0])


def test_grey_mixes_premultiplied() -> None:
    red, clear = (np.full((1, 1, 4), value, np.uint8) for value in ((255, 0, 0, 255), (0, 255, 0, 0)))
    half = np.full((1, 1), 0.5, np.float32)
    assert paste(red, clear, half).tolist() == [[[255, 0, 0, 128]]]


def test_every_cell_that_holds_some_white_is_repainted() -> None:
    mask = np.zeros((16, 16), np.float32)
    mask[7, 8] = 0.1
    assert latent_mask(mask, 2, 2, 8)[0, 0].tolist() == [[0, 1], [0, 0]]
    assert latent_mask(mask, 4, 4, 8)[0, 0].sum() == 1  # a margin of 8 px on all sides
    assert latent_mask(mask, 4, 4, 8)[0, 0, 1, 2] == 1


def test_a_mask_may_be_any_image_and_must_fit() -> None:
    see_through = np.dstack([np.full((40, 56, 3), 255, np.uint8), square()])
    assert np.array_equal(to_mask(see_through, PICTURE), to_mask(square(), PICTURE))
    with pytest.raises(InputError, match="40 x 56 like the image, found 56 x 40"):
        to_mask(square().T, PICTURE)
    with pytest.raises(InputError, match="something white"):
        to_mask(np.zeros_like(square()), PICTURE)


def test_the_command_repaints_with_the_embedded_model(tmp_path: Path) -> None:
    write_image(PICTURE, tmp_path / "p.png")
    write_image(np.dstack([square()] * 3 + [np.full_like(square(), 255)]), tmp_path / "m.png")
    out = tmp_path / "out.png"
    words = ["inpaint", str(tmp_path / "p.png"), str(tmp_path / "m.png"), "a star", "-o", str(out)]
    result = CliRunner().invoke(cli, [*words, "--steps", "2", "--seed", "1"], catch_exceptions=False)
    assert result.exit_code == 0
    found = read_rgba(out)
    assert np.array_equal(found[square() == 0], PICTURE[square() == 0])
