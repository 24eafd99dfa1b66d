"""A path is a path, a name is a name, and the hub is asked only when somebody writes hf://."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import tiny
from models.test_attention_sharing import tiny_unet
from pellucid.errors import WeightsError
from pellucid.models.mini_vae import MiniVAE
from pellucid.weights.adapters import apply_adapter
from pellucid.weights.catalog import find, get, named
from pellucid.weights.hub import is_path, locate
from pellucid.weights.store import load_alpha_decoder, load_codec, load_offset_encoder
from pellucid.weights.tensor_files import EXPONENTS, read

OFFICIAL = "layer_xl_transparent_attn.safetensors"
NOT_FETCHED = "not in the local cache and could not be fetched"


@pytest.mark.parametrize(
    "source",
    [
        Path("sdxl-attn"), Path("a/b/c.safetensors"), "./sdxl-attn", "../x", "/x", "~/x", ".x", "a\\b",
        "C:/x", "c:x", "x.safetensors", "me/repo/x.safetensors",
    ],
)  # fmt: skip
def test_paths_are_paths_and_never_asked_of_the_hub(source: str | Path) -> None:
    assert is_path(source)
    with pytest.raises(WeightsError) as refusal:
        locate(source)
    assert "could not be fetched" not in str(refusal.value)
    assert repr(str(source)) in str(refusal.value) or str(source) in str(refusal.value)


@pytest.mark.parametrize("name", [f"me/repo/{OFFICIAL}", f"folder/{OFFICIAL}", OFFICIAL])
def test_the_official_file_is_not_fetched_for_a_file_of_its_name(name: str) -> None:
    with pytest.raises(WeightsError, match="found no file"):
        locate(name)
    assert named(name) is None
    assert find(f"me/repo/{OFFICIAL}") is None
    assert get(OFFICIAL).name == "sdxl-attn"  # what `pellucid models show` is asked


def test_three_parts_are_told_how_to_mean_the_hub() -> None:
    with pytest.raises(WeightsError, match=r"write hf://me/repo/x\.safetensors"):
        locate("me/repo/x.safetensors")
    with pytest.raises(WeightsError, match=f"me/repo/x.safetensors is {NOT_FETCHED}"):
        locate("hf://me/repo/x.safetensors")
    for wrong in ("hf://me/x.safetensors", "hf://me/repo/x.bin", "hf://", "hf://a//x.safetensors"):
        with pytest.raises(WeightsError, match="Name all three parts"):
            locate(wrong)
    with pytest.raises(WeightsError):
        locate("hf://-bad-/..repo/x.safetensors")


def test_a_folder_hides_no_row_of_the_catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, load in [("sdxl-encoder", load_offset_encoder), ("sdxl-decoder", load_alpha_decoder)]:
        (tmp_path / name).mkdir()
        with pytest.raises(WeightsError, match=NOT_FETCHED):
            load(name)
    (tmp_path / "sdxl-attn").mkdir()
    with pytest.raises(WeightsError, match=NOT_FETCHED):
        locate("sdxl-attn")


def test_a_local_file_is_found_by_any_spelling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "me" / "repo").mkdir(parents=True)
    for name in ("x.safetensors", "./x.safetensors", "~/x.safetensors", "me/repo/x.safetensors"):
        save_file({"a": torch.zeros(1)}, Path(name).expanduser())
        assert locate(name).is_file()
        assert locate(Path(name)).is_file()


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"conv_in.bias": "3"}', '{"conv_in.bias": 1.5}', '{"odd": 1}', '{"conv_in.bias": 999}'],
)
def test_damaged_metadata_is_a_weights_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"conv_in.bias": torch.zeros(8)}, path, {EXPONENTS: text})
    for call in (lambda: read(path), lambda: apply_adapter(tiny_unet(), path)):
        with pytest.raises(WeightsError, match="Expected a power of two for each 8-bit tensor"):
            call()


@pytest.mark.parametrize(
    "text",
    [
        '{"offset": "nonsense"}', '{"latent_input": "x"}', '{"offset_multiplier": "3"}',
        '{"convention": ["cli"]}', '{"offset_multiplier": true}', "[]", "3", "\x00",
    ],
)  # fmt: skip
def test_a_nonsense_convention_is_refused(text: str, tmp_path: Path) -> None:
    folder = tiny.save_mini(tmp_path / "mini") / "rgba"
    (folder / "convention.json").write_text(text)
    with pytest.raises(WeightsError, match="Expected RGBA networks"):
        load_codec(folder, MiniVAE.from_pretrained(tmp_path / "mini" / "vae"))


def damage_config(folder: Path) -> None:
    (folder / "config.json").write_text("{")


def damage_values(folder: Path) -> None:
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(values | {"widths": "wide"}))


def damage_weights(folder: Path) -> None:
    next(folder.glob("*.safetensors")).write_bytes(b"damaged")


def pickled(folder: Path) -> None:
    next(folder.glob("*.safetensors")).unlink()
    torch.save({}, folder / "diffusion_pytorch_model.bin")


@pytest.mark.parametrize("damage", [damage_config, damage_values, damage_weights, pickled])
@pytest.mark.parametrize(
    ("part", "load"), [("offset_encoder", load_offset_encoder), ("alpha_decoder", load_alpha_decoder)]
)
def test_a_damaged_codec_folder_is_a_weights_error(
    damage: Callable[[Path], None], part: str, load: Callable[[Path], object], tmp_path: Path
) -> None:
    folder = tiny.save_mini(tmp_path / "mini") / "rgba"
    vae = MiniVAE.from_pretrained(tmp_path / "mini" / "vae")
    damage(folder / part)
    with pytest.raises(WeightsError, match="Expected"):
        load(folder / part)
    with pytest.raises(WeightsError, match="Expected RGBA networks"):
        load_codec(folder, vae)
