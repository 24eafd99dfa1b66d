"""Training that goes on from an adapter file."""

from pathlib import Path

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from models.test_attention_sharing import tiny_unet
from pellucid.errors import ConfigError, WeightsError
from pellucid.training.denoiser.parameters import go_on_from, select_parameters
from pellucid.weights.adapter_files import save_adapter, trained_in


def same_unet() -> UNet2DConditionModel:
    torch.manual_seed(0)
    return tiny_unet()


def trained(path: Path, method: str, rank: int = 2) -> dict[str, torch.Tensor]:
    """Writes the adapter of a net that has learned something; returns its parameters."""
    net = same_unet()
    start = select_parameters(net, method, rank=rank)
    with torch.no_grad():
        for value in net.parameters():
            if value.requires_grad:
                value.add_(torch.randn(value.shape, generator=torch.Generator().manual_seed(1)))
    save_adapter(net, start, path)
    return trained_in(net)


@pytest.mark.parametrize("method", ["lora", "locon", "outside-attention", "full"])
def test_what_was_written_is_where_training_goes_on(method: str, tmp_path: Path) -> None:
    learned = trained(tmp_path / "first.safetensors", method)
    net = same_unet()
    start = select_parameters(net, method, rank=2)
    go_on_from(net, tmp_path / "first.safetensors")
    found = trained_in(net)
    assert found.keys() == learned.keys()
    for name, value in found.items():
        assert torch.allclose(value, learned[name], atol=2e-3), name  # files are in half precision
    # and what is written next holds both trainings
    save_adapter(net, start, tmp_path / "second.safetensors")
    assert (tmp_path / "second.safetensors").stat().st_size == (tmp_path / "first.safetensors").stat().st_size


@pytest.mark.parametrize(("method", "rank"), [("lora", 3), ("locon", 2)])
def test_an_adapter_of_another_method_or_rank_is_refused(method: str, rank: int, tmp_path: Path) -> None:
    trained(tmp_path / "first.safetensors", "lora")
    net = same_unet()
    select_parameters(net, method, rank=rank)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(ConfigError, match=r"method, rank and base model.*init_adapter"):
        go_on_from(net, tmp_path / "first.safetensors")
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_an_absent_adapter_is_one_error(tmp_path: Path) -> None:
    net = same_unet()
    select_parameters(net, "lora", rank=2)
    with pytest.raises(WeightsError, match=r"none.safetensors"):
        go_on_from(net, tmp_path / "none.safetensors")
