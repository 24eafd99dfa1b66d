import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

import tiny
from building import present
from pellucid.apps.commands.models import models_command
from pellucid.errors import WeightsError
from pellucid.models.autoencoder import CONVENTIONS
from pellucid.models.mini_vae import MiniVAE
from pellucid.models.offset_encoder import OffsetEncoder
from pellucid.weights.catalog import CATALOG, get
from pellucid.weights.store import load_codec, load_offset_encoder, locate, verify


def released(path: Path, **changes: torch.Tensor) -> Path:
    tensors = {key: torch.rand_like(value) for key, value in OffsetEncoder().state_dict().items()}
    save_file({**tensors, **changes}, path)
    return path


def test_catalog_has_all_files_once() -> None:
    assert len(CATALOG) == len({row.name for row in CATALOG}) == len({row.file for row in CATALOG}) == 17
    assert get("sdxl-encoder-300").offset_multiplier == 300
    assert get("layer_sd15_joint.safetensors").frames == 3


def test_a_released_encoder_loads_in_any_precision(tmp_path: Path) -> None:
    path = released(tmp_path / "a.safetensors")
    assert load_offset_encoder(path, dtype=torch.float16).dtype == torch.float16
    encoder = load_offset_encoder(path)
    encoder.save_pretrained(tmp_path / "saved")
    again = load_offset_encoder(tmp_path / "saved")
    assert all(torch.equal(a, b) for a, b in zip(encoder.parameters(), again.parameters(), strict=True))


def test_wrong_names_and_shapes_are_named(tmp_path: Path) -> None:
    path = released(tmp_path / "a.safetensors", extra=torch.zeros(1))
    with pytest.raises(WeightsError, match=r"1 not expected \['extra'\]"):
        load_offset_encoder(path)
    path = released(tmp_path / "b.safetensors", **{"blocks.16.bias": torch.zeros(5)})
    with pytest.raises(WeightsError, match=r"blocks.16.bias \(4,\) but \(5,\)"):
        load_offset_encoder(path)


@pytest.mark.parametrize("name", ["a.pt", "a.ckpt", "a.bin", "unheard-of"])
def test_only_safetensors_are_opened(name: str) -> None:
    with pytest.raises(WeightsError, match=r"Expected a \.safetensors file or a name of the catalog"):
        locate(name)


def test_a_missing_file_and_an_absent_network_are_said(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="found no file"):
        locate(tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="not in the local cache and could not be fetched"):
        locate("sdxl-attn")


def test_a_damaged_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        load_offset_encoder(tmp_path / "a.safetensors")


def test_verify_compares_size_hash_and_count(tmp_path: Path) -> None:
    path, row = released(tmp_path / "a.safetensors"), get("sdxl-encoder")
    digest = verify(path, row)
    assert verify(path, replace(row, sha256=digest[:16])) == digest
    with pytest.raises(WeightsError, match="should have SHA-256 0000"):
        verify(path, replace(row, sha256="0000"))
    with pytest.raises(WeightsError, match="should have 7 bytes"):
        verify(path, replace(row, bytes=7, bytes_certain=True))
    with pytest.raises(WeightsError, match="should have 19 tensors, found 18"):
        verify(path, replace(row, tensors=19))


def test_the_command_lists_shows_and_verifies(tmp_path: Path) -> None:
    run = CliRunner().invoke
    assert len(run(models_command, ["list"]).output.splitlines()) == 17
    assert len(json.loads(run(models_command, ["list", "--json"]).output)) == 17
    assert "sdxl-attn" in run(models_command, ["show", "sdxl-attn"]).output
    path = str(released(tmp_path / "a.safetensors"))
    assert "18 tensors" in run(models_command, ["verify", "sdxl-encoder", path]).output
    assert json.loads(run(models_command, ["verify", "sdxl-encoder", path, "--json"]).output)["path"] == path


def test_a_codec_is_joined_as_its_folder_says(tmp_path: Path) -> None:
    folder = tiny.save_mini(tmp_path / "mini") / "rgba"
    frozen = MiniVAE.from_pretrained(tmp_path / "mini" / "vae")
    assert load_codec(folder, frozen).convention == CONVENTIONS["embedded"]
    (folder / "convention.json").write_text('{"convention": "forge", "offset_multiplier": 2.0}')
    codec = load_codec(folder, frozen)
    assert codec.convention == replace(CONVENTIONS["forge"], offset_multiplier=2.0)
    assert codec.vae is frozen
    assert not any(value.requires_grad for value in present(codec.alpha_decoder).parameters())


@pytest.mark.parametrize(
    ("text", "message"), [("{", "Expecting"), ('{"x": 1}', "fields"), ('{"convention": "y"}', "'y'")]
)
def test_a_damaged_codec_is_explained(text: str, message: str, tmp_path: Path) -> None:
    folder = tiny.save_mini(tmp_path / "mini") / "rgba"
    frozen = MiniVAE.from_pretrained(tmp_path / "mini" / "vae")
    (folder / "convention.json").write_text(text)
    with pytest.raises(WeightsError, match=message):
        load_codec(folder, frozen)
    with pytest.raises(WeightsError, match="RGBA networks"):
        load_codec(tmp_path / "absent", frozen)
