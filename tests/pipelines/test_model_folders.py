"""Light folders: what was trained, and the name of the model below."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import pellucid
import tiny
from pellucid.errors import WeightsError
from pellucid.pipelines.mode_discovery import adapters_of
from pellucid.pipelines.model_folders import (
    FILE,
    base_model,
    find_part,
    folders_below,
    mini_folder,
    write_base_model,
)
from pellucid.weights.adapter_files import write_adapter

CONV = "mid_block.resnets.0.conv1.weight"


def adapter(path: Path, unet_width: int = 32, *, over: str = "", scale: float = 0.2) -> Path:
    """An adapter file of a single layer; `scale` is how far it moves the UNet."""
    torch.manual_seed(int(scale * 100))
    about = {"frames": ["foreground"], "hint": "", "over": over} if over else None
    write_adapter({CONV: torch.randn(unet_width, unet_width, 3, 3) * scale}, path, about=about)
    return path


@pytest.fixture
def below(tmp_path: Path) -> Path:
    folder = tiny.save_mini(tmp_path / "below")
    adapter(folder / "adapter" / "transparent.safetensors")
    return folder


def image(model: Path, **options: str) -> np.ndarray:
    pipe = pellucid.load(model, device="cpu", **options)  # type: ignore[arg-type]
    return pipe.generate("a ring", seed=3, num_inference_steps=2, scheduler="ddim").layers[0].image


def test_an_empty_light_folder_is_the_model_below_to_the_bit(below: Path, tmp_path: Path) -> None:
    write_base_model(tmp_path / "light", str(below))
    assert np.array_equal(image(tmp_path / "light"), image(below))


def test_what_a_light_folder_has_goes_before_what_lies_below(below: Path, tmp_path: Path) -> None:
    light = tmp_path / "light"
    write_base_model(light, str(below))
    own = adapter(light / "adapter" / "single-layer.safetensors", over="transparent", scale=0.3)
    found = image(light)
    assert not np.array_equal(found, image(below))
    assert adapters_of(own, below / "adapter") == (below / "adapter" / "transparent.safetensors", own)
    # the same two files in one whole folder
    whole = tmp_path / "whole"
    shutil.copytree(below, whole)
    shutil.copy(own, whole / "adapter")
    assert np.array_equal(found, image(whole))
    assert find_part(light, "rgba") == below / "rgba"
    shutil.copytree(below / "rgba", light / "rgba")
    assert find_part(light, "rgba") == light / "rgba"
    assert find_part(light, "nothing") == light / "nothing"


def test_light_folders_may_lie_on_light_folders(below: Path, tmp_path: Path) -> None:
    write_base_model(tmp_path / "first", str(below))
    write_base_model(tmp_path / "second", str(tmp_path / "first"))
    assert folders_below(tmp_path / "second") == (tmp_path / "second", tmp_path / "first", below)
    assert np.array_equal(image(tmp_path / "second"), image(below))


def test_the_embedded_model_is_named_and_a_path_may_be_meant_from_the_folder(
    below: Path, tmp_path: Path
) -> None:
    write_base_model(tmp_path / "light", "mini")
    assert json.loads((tmp_path / "light" / FILE).read_text()) == {"base_model_name_or_path": "mini"}
    assert folders_below(tmp_path / "light") == (tmp_path / "light", mini_folder())
    (tmp_path / "light" / FILE).write_text('{"base_model_name_or_path": "../below"}')
    assert folders_below(tmp_path / "light")[1].resolve() == below.resolve()
    write_base_model(tmp_path / "hub", "owner/name")
    assert base_model(tmp_path / "hub") == "owner/name"
    assert folders_below(tmp_path / "hub") == (tmp_path / "hub",)
    assert base_model(below) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "Expected JSON in"),
        ("[]", "Expected base_model_name_or_path in"),
        ('{"base_model_name_or_path": 3}', "Expected base_model_name_or_path in"),
        ('{"base_model_name_or_path": "/nowhere/at/all"}', "at /nowhere/at/all, found no folder"),
        ('{"base_model_name_or_path": "."}', "found itself"),
    ],
)
def test_a_damaged_light_folder_is_one_clear_error(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(WeightsError, match=message):
        pellucid.load(tmp_path)


def test_an_adapter_may_lie_on_a_released_one(tmp_path: Path) -> None:
    own = adapter(tmp_path / "own.safetensors", over="sdxl-attn")
    assert adapters_of(own) == ("sdxl-attn", own)
    # a file of that name goes before
    save_file({"x": torch.zeros(1)}, tmp_path / "sdxl-attn.safetensors")
    assert adapters_of(own) == (tmp_path / "sdxl-attn.safetensors", own)
    with pytest.raises(WeightsError, match=r"Expected none-such.safetensors, over which"):
        adapters_of(adapter(tmp_path / "other.safetensors", over="none-such"))
