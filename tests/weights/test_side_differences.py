"""Adapters on weights that nothing can be merged into stand beside them, and come off without a trace."""

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel as UNet
from safetensors.torch import save_file
from torch import nn

from building import hooks_in, submodule
from pellucid.errors import WeightsError
from pellucid.weights.adapter_manager import AdapterManager
from weights.orders import delta_file, lora_file

Kind = Callable[[UNet], UNet]
"""Quantises a denoiser in place, and returns a dense one of the same numbers."""
PACKED = ("attn1", "attn2", "ff.net.0.proj")
"""Layers whose sides suit formats of 4 bits."""
CLOSE = 2e-5


def small_unet() -> UNet:
    """Wide enough for the blocks of 32 that packed formats have."""
    return (
        UNet(
            block_out_channels=(32, 64),
            layers_per_block=1,
            norm_num_groups=4,
            cross_attention_dim=12,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            attention_head_dim=8,
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        )
        .eval()
        .requires_grad_(False)
    )


def packed_layers(net: nn.Module) -> dict[str, nn.Linear]:
    return {
        name: layer
        for name, layer in net.named_modules()
        if isinstance(layer, nn.Linear) and any(part in name for part in PACKED)
    }


def replace(net: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(net.get_submodule(parent), leaf, layer)


def in_float8(net: UNet) -> UNet:
    """Layerwise casting, by which diffusers stores weights in 8 bits and computes in 32."""
    net.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32)
    dense = small_unet()
    dense.load_state_dict({name: value.float() for name, value in net.state_dict().items()})
    return dense


def in_gguf(net: UNet) -> UNet:
    gguf = pytest.importorskip("gguf")
    from diffusers.quantizers.gguf.utils import GGUFLinear, GGUFParameter, dequantize_gguf_tensor

    dense, kind = copy.deepcopy(net), gguf.GGMLQuantizationType.Q8_0
    for name, layer in packed_layers(net).items():
        if layer.in_features % 32:  # a block of the format
            continue
        has_bias = layer.bias is not None  # pyright: ignore[reportUnnecessaryComparison] - torch's types deny it
        made = GGUFLinear(layer.in_features, layer.out_features, has_bias, compute_dtype=torch.float32)
        packed = torch.from_numpy(gguf.quantize(layer.weight.detach().numpy(), kind))
        made.weight = GGUFParameter(packed, quant_type=kind)  # pyright: ignore[reportCallIssue] - made by __new__
        made.bias = layer.bias
        replace(net, name, made)
        dense.get_submodule(name).weight.data = (
            dequantize_gguf_tensor(made.weight).float().reshape(layer.weight.shape)
        )
    return dense


def in_bitsandbytes(net: UNet) -> UNet:
    bnb = pytest.importorskip("bitsandbytes")
    dense = copy.deepcopy(net)
    for name, layer in packed_layers(net).items():
        has_bias = layer.bias is not None  # pyright: ignore[reportUnnecessaryComparison] - torch's types deny it
        made = bnb.nn.Linear4bit(
            layer.in_features, layer.out_features, has_bias, compute_dtype=torch.float32, quant_type="nf4"
        )
        made.load_state_dict(layer.state_dict())
        made.to("cpu")
        replace(net, name, made)
        whole = bnb.functional.dequantize_4bit(made.weight.data, made.weight.quant_state)
        dense.get_submodule(name).weight.data = whole.float()
    return dense


def in_torchao(net: UNet) -> UNet:
    quantization = pytest.importorskip("torchao.quantization")
    quantization.quantize_(net, quantization.Int8WeightOnlyConfig())
    dense = small_unet()
    for name, value in dense.named_parameters():
        stored = net.get_parameter(name).detach()
        value.data = (
            stored.dequantize()
            if hasattr(stored, "dequantize") and type(stored) is not torch.Tensor
            else stored
        )
    return dense


KINDS: dict[str, Kind] = {
    "float8": in_float8, "gguf": in_gguf, "bitsandbytes": in_bitsandbytes, "torchao": in_torchao,
}  # fmt: skip


@pytest.fixture(params=KINDS)
def pair(request: pytest.FixtureRequest) -> tuple[UNet, UNet]:
    """A quantised denoiser and a dense one of the same numbers."""
    torch.manual_seed(0)
    net = small_unet()
    dense = KINDS[request.param](net)
    return net, dense.eval()


def convolutions_file(path: Path, net: UNet) -> Path:
    """Differences of convolutions, biases and norms, as `layer_xl_transparent_conv` has."""
    values = {
        name: torch.randn(value.shape) * 0.1
        for name, value in net.named_parameters()
        if "conv" in name or "norm" in name or name.endswith("proj_in.bias")
    }
    save_file(values, path)
    return path


@torch.no_grad()
def predict(net: nn.Module) -> torch.Tensor:
    noise = torch.Generator().manual_seed(1)
    x, text = torch.randn(2, 4, 8, 8, generator=noise), torch.randn(2, 5, 12, generator=noise)
    return net(x, 10, text).sample


def assert_close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    assert (found - wanted).abs().max() <= CLOSE * wanted.abs().max() + 1e-5


@pytest.mark.parametrize("strength", [1.0, 0.4])
@pytest.mark.parametrize("adapter", ["lora", "delta", "convolutions"])
def test_an_adapter_beside_is_the_adapter_merged(
    pair: tuple[UNet, UNet], adapter: str, strength: float, tmp_path: Path
) -> None:
    net, dense = pair
    path = tmp_path / "adapter.safetensors"
    if adapter == "convolutions":
        file = convolutions_file(path, dense)
    else:
        file = lora_file(path, dense, 1) if adapter == "lora" else delta_file(path, dense, 2)
    plain = predict(net)
    assert_close(plain, predict(dense))
    AdapterManager(dense, strength).set(file)
    wanted, manager = predict(dense), AdapterManager(net, strength)
    assert not torch.allclose(wanted, plain, atol=1e-3)
    report = manager.set(file)
    assert report is not None
    assert report.changed
    assert_close(predict(net), wanted)
    with manager.disabled():
        assert torch.equal(predict(net), plain)
    assert_close(predict(net), wanted)
    manager.unload()
    assert torch.equal(predict(net), plain)


def test_adapters_stack_and_leave_no_hook(pair: tuple[UNet, UNet], tmp_path: Path) -> None:
    net, dense = pair
    files = (
        lora_file(tmp_path / "one.safetensors", dense, 1),
        lora_file(tmp_path / "two.safetensors", dense, 2),
    )
    before, names = hooks_in(net), list(net.state_dict())
    AdapterManager(dense).set(files)
    manager = AdapterManager(net)
    manager.set(files[1])
    manager.set(files)
    assert_close(predict(net), predict(dense))
    assert list(net.state_dict()) == names  # what `save_pretrained` writes
    manager.unload()
    assert hooks_in(net) == before


COMPILED = """
import sys, torch
from pathlib import Path
from safetensors.torch import save_file
from torch import nn
from pellucid.weights.adapter_manager import AdapterManager
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(16, 16), nn.SiLU(), nn.Linear(16, 16)).requires_grad_(False)
x = torch.randn(3, 16)
plain, factors = net(x), (torch.randn(16, 2), torch.randn(2, 16))
names = {f"0.weight::lora::{i}": factor for i, factor in enumerate(factors)}
save_file(names, sys.argv[1])
dense = AdapterManager(net)
dense.set(Path(sys.argv[1]))
wanted = net(x)
dense.unload()
from pellucid.weights import adapters
adapters.is_dense = lambda value: False  # beside, though these weights could be merged into
compiled = torch.compile(net, backend="eager")
torch.testing.assert_close(compiled(x), plain)
manager = AdapterManager(compiled)
manager.set(Path(sys.argv[1]))
torch.testing.assert_close(compiled(x), wanted)
manager.unload()
torch.testing.assert_close(compiled(x), plain)
"""


def test_compiled_code_notices_that_adapters_come_and_go(tmp_path: Path) -> None:
    # in a process of its own, since the tests' type checks cannot be compiled
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    subprocess.run(
        [sys.executable, "-c", COMPILED, str(tmp_path / "one.safetensors")],
        env={**os.environ, "PYTHONPATH": path},
        check=True,
        timeout=300,
    )


def test_a_layer_that_nothing_can_stand_beside_is_told(tmp_path: Path) -> None:
    net = small_unet()
    norm = submodule(net, "conv_norm_out", nn.GroupNorm)
    norm.weight = nn.Parameter(norm.weight.detach().to(torch.float8_e4m3fn), requires_grad=False)
    file = tmp_path / "norm.safetensors"
    save_file({"conv_norm_out.weight": torch.ones(norm.weight.shape)}, file)
    with pytest.raises(WeightsError, match=r"conv_norm_out\.weight.*float8.*without quantisation"):
        AdapterManager(net).set(file)


def test_a_first_convolution_in_8_bits_cannot_grow(tmp_path: Path) -> None:
    net = small_unet()
    net.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32)
    outer = net.conv_in.out_channels
    file = tmp_path / "grown.safetensors"
    save_file({"conv_in.weight": torch.randn(outer, 12, 3, 3)}, file)
    with pytest.raises(WeightsError, match="other shapes"):
        AdapterManager(net).set(file)
