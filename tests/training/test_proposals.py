"""Recipes for a model and pictures at hand: right for any of them, explained, and within the memory."""

import os
import re
import tomllib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from drawn_pictures import draw_pictures
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import tiny
from pellucid.data.shards import read_shard
from pellucid.errors import ConfigError, FileError
from pellucid.training.data.in_memory import load_images
from pellucid.training.proposals.memory import SHARE, fit_adapter, fit_codec
from pellucid.training.proposals.new_recipe import write_new_recipe
from pellucid.training.proposals.plan import Setting, plain, plan_recipe
from pellucid.training.proposals.recipe_text import argument_docs, recipe_text
from pellucid.training.proposals.start_model import StartModel, read_start_model
from pellucid.training.recipe import Recipe, read_recipe, recipe_stages

CPU = torch.device("cpu")
XL = StartModel(
    name="stabilityai/stable-diffusion-xl-base-1.0",
    title="Stable Diffusion XL",
    native_px=1024,
    pixels_per_latent=8,
    size_multiple=32,
    denoiser_parameters=2_567_463_684,
    text_parameters=817_720_320,
    vae_parameters=83_653_863,
    vae_width=128,
    lora_parameters_per_rank=1_451_520,
    codec="released",
    codec_name="sdxl-attn",
    base_adapter="sdxl-attn",
)
"""The released model's numbers."""
EMBEDDED = replace(
    XL, name="mini", native_px=128, denoiser_parameters=26_000_000, text_parameters=22_000_000,
    vae_parameters=4_000_000, vae_width=48, lora_parameters_per_rank=20_000, codec="own", codec_name=None,
    base_adapter="transparent",
)  # fmt: skip
WITHOUT = replace(XL, codec="none", codec_name=None, base_adapter="")
MODELS = [XL, EMBEDDED, *(replace(WITHOUT, pixels_per_latent=pixels) for pixels in (1, 2, 4, 8, 16, 32))]
settings = st.builds(
    Setting,
    model=st.sampled_from(MODELS),
    data=st.just(("a folder/pictures.tar",)),
    pictures=st.integers(2, 200_000),
    size_px=st.sampled_from([128, 512, 1024]),
    memory_gib=st.floats(1, 200),
    gpu=st.booleans(),
)


@hypothesis_settings(max_examples=40)
@given(setting=settings)
def test_every_recipe_is_read_back_and_right(
    tmp_path_factory: pytest.TempPathFactory, setting: Setting
) -> None:
    plan, fit = plan_recipe(setting)
    path = tmp_path_factory.mktemp("recipes") / "recipe.toml"
    path.write_text(recipe_text(plan, "Words on top."))
    assert tomllib.loads(path.read_text()) == plain(plan)
    found = [read_recipe(path, stage) for stage in recipe_stages(path)]
    needs_codec = setting.model.codec == "none"
    assert [each.stage for each in found] == ["autoencoder", "transparent"][not needs_codec :]
    last = found[-1]
    seen = last.steps * last.batch_size * last.accumulation
    assert seen >= 40 * setting.pictures
    assert last.steps % last.sample_every == 0, "the last sheet shows what is exported"
    assert (last.batch_size, last.gradient_checkpointing) == (fit.batch_size, fit.checkpointing)


@hypothesis_settings(max_examples=40)
@given(setting=settings)
def test_every_field_stands_below_its_meaning(setting: Setting) -> None:
    lines = recipe_text(plan_recipe(setting)[0], "Words on top.").splitlines()
    for above, line in pairwise(lines):
        if re.match(r"\w+ = ", line):
            assert above.startswith("# "), line
            assert above != "# "
        assert len(line) <= 110 or line.startswith("data")


@hypothesis_settings(max_examples=40)
@given(setting=settings, more=st.floats(1, 4))
def test_more_memory_never_makes_steps_slower(setting: Setting, more: float) -> None:
    def fitted(memory_gib: float) -> tuple[int, int, int]:
        fit = fit_adapter(
            setting.model,
            size_px=setting.size_px,
            rank=16,
            images_a_step=4,
            memory_gib=memory_gib,
            gpu=setting.gpu,
        )
        assert fit.batch_size * fit.accumulation == 4
        smallest = (fit.batch_size, fit.checkpointing, fit.rank) == (1, True, 4)
        assert fit.gib <= SHARE * memory_gib + 0.05 or smallest
        return fit.rank, -fit.checkpointing, fit.batch_size

    assert fitted(setting.memory_gib * more) >= fitted(setting.memory_gib)
    batch, accumulation = fit_codec(
        setting.model, size_px=256, images_a_step=16, memory_gib=setting.memory_gib
    )
    assert batch * accumulation == 16


def test_forty_pictures_of_a_thousand_pixels_fit_a_card_of_16_gb() -> None:
    setting = Setting(model=XL, data=("x.tar",), pictures=40, size_px=1024, memory_gib=16, gpu=True)
    plan, fit = plan_recipe(setting)
    assert fit.gib < 16 * SHARE
    assert fit.half_frozen
    values = plain(plan)["transparent"]
    assert isinstance(values, dict)
    # 1.5 seconds for each image are 40 minutes
    assert values["steps"] * values["batch_size"] * values["accumulation"] == 1600


def test_what_a_docstring_says_of_an_argument() -> None:
    from pellucid.models.alpha_decoder import AlphaDecoder

    found = argument_docs(AlphaDecoder.__init__)
    assert found["latent_level"] == "halvings after which the latent enters."
    assert found["background"].startswith("grey in [0, 1]")
    assert found["background"].endswith("only where alpha is low.")


def test_numbers_of_a_model_are_counted(tmp_path: Path) -> None:
    pipeline = tiny.sd15()
    pipeline.save_pretrained(tmp_path / "model")
    found = read_start_model(str(tmp_path / "model"))
    parts = pipeline.unet, pipeline.text_encoder, pipeline.vae
    counted = tuple(sum(p.numel() for p in part.parameters()) for part in parts)
    assert (found.denoiser_parameters, found.text_parameters, found.vae_parameters) == counted
    assert (found.codec, found.base_adapter, found.native_px, found.pixels_per_latent) == ("none", "", 64, 8)
    # what training of that rank adds
    from pellucid.training.denoiser.parameters import select_parameters
    from pellucid.weights.adapter_files import trained_in

    select_parameters(pipeline.unet, "lora", rank=2)
    assert (
        sum(value.numel() for value in trained_in(pipeline.unet).values())
        == 2 * found.lora_parameters_per_rank
    )
    tiny.save_codec(tiny.codec(pipeline.vae), tmp_path / "model" / "rgba")
    assert read_start_model(str(tmp_path / "model")).codec == "own"
    (tmp_path / "model" / "adapter").mkdir()
    (tmp_path / "model" / "adapter" / "single-layer.safetensors").touch()
    with pytest.raises(ConfigError, match="an adapter lies on one other at most"):
        read_start_model(str(tmp_path / "model"))


def test_a_recipe_that_is_there_is_not_overwritten_and_one_picture_is_not_enough(tmp_path: Path) -> None:
    model = str(tiny.save_mini(tmp_path / "model"))
    left: list[str] = []

    def set_aside(path: Path, error: FileError) -> None:
        left.append(path.name)

    def write(pictures: Path, size_px: int = 32, **options: bool) -> Recipe:
        path = tmp_path / "new" / "recipe.toml"
        made = write_new_recipe(
            model, pictures, path, size_px=size_px, device=CPU, set_aside=set_aside, **options
        )
        return read_recipe(made.recipe, "transparent")

    with pytest.raises(ConfigError, match=r"multiples of 16 for .*found 40. Take 32 or 48"):
        write(tmp_path, 40)
    one = draw_pictures(tmp_path / "one", count=1, side_px=32)
    with pytest.raises(ConfigError, match=r"Expected two pictures or more in .*found 1"):
        write(one)
    assert not (tmp_path / "new" / "pictures.tar").exists()
    assert sorted(left) == ["cut.png", "photo.jpg", "scan.png", "text.webp"]
    # with the two opaque ones there are three
    made = write(one, keep_opaque=True)
    assert len([*read_shard(made.data[0])]) == 3
    assert (made.size_px, made.init) == (32, model)
    with pytest.raises(ConfigError, match=r"Expected no .*recipe.toml, found one"):
        write(one, keep_opaque=True)


def test_a_system_that_does_not_tell_its_memory_is_asked_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = str(tiny.save_mini(tmp_path / "model"))
    pictures = draw_pictures(tmp_path / "pictures [2024] {a,b}", count=2, side_px=32)
    monkeypatch.chdir(tmp_path)
    recipe = Path("new {1..2} [x]") / "recipe.toml"

    def write(**options: float) -> Recipe:
        made = write_new_recipe(
            "model", pictures, recipe, size_px=32, device=CPU, keep_opaque=True,
            set_aside=lambda path, error: None, **options,
        )  # fmt: skip
        return read_recipe(made.recipe, "transparent")

    # as on Windows
    monkeypatch.delattr(os, "sysconf")
    with pytest.raises(ConfigError, match=r"how much memory it has.* --memory"):
        write()
    assert not recipe.parent.exists()
    made = write(memory_gib=4.0)
    # what it names is found from anywhere, whatever signs are in the path
    monkeypatch.chdir("/")
    assert made.init == model
    assert load_images(made).count == 4
