from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import tiny
from building import build, present
from goldens.loading import Golden, close, keys, table
from models.test_attention_sharing import predict, tiny_unet
from pellucid.errors import InputError, WeightsError
from pellucid.models.attention_sharing import AttentionSharing
from pellucid.weights.adapter_files import BITS, write_adapter
from pellucid.weights.adapters import apply_adapter, merge_delta, merge_lora, remove_adapter
from pellucid.weights.key_maps import attention_layers, ldm_to_diffusers
from pellucid.weights.store import in_eight_bits, read

MERGE = Golden("lora_merge")


def bits(unet: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in unet.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def lora_file(path: Path, unet: torch.nn.Module) -> Path:
    name = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight"
    outer, inner = unet.get_parameter(name).shape
    patch = "diffusion_model.middle_block.1.transformer_blocks.0.attn1.to_q.weight::lora::"
    save_file({f"{patch}0": torch.rand(outer, 2), f"{patch}1": torch.rand(2, inner)}, path)
    return path


def delta_file(path: Path, channels: int = 8, **more: torch.Tensor) -> Path:
    first = {"diffusion_model.input_blocks.0.0.weight::diff::0": torch.rand(8, channels, 3, 3)}
    save_file(first | {"diffusion_model.out.2.bias::diff::0": torch.rand(4)} | more, path)
    return path


@pytest.mark.parametrize("bits_of", ["fp32", "fp16"])
@pytest.mark.parametrize("strength", [1.0, 0.7])
def test_low_rank_merge_equals_the_released(bits_of: str, strength: float) -> None:
    end = "16" if bits_of == "fp16" else ""
    found = merge_lora(MERGE["W" + end], MERGE["up" + end], MERGE["down" + end], strength)
    close(found, MERGE[f"lora_{bits_of}_s{strength}_out"], 1e-6)


@pytest.mark.parametrize("channels", [4, 8, 12])
def test_differences_merge_and_grow_as_released(channels: int) -> None:
    delta = MERGE[f"diff{channels}"]
    for strength in (1.0, 0.7):
        close(
            merge_delta(MERGE["conv"], delta, strength), MERGE[f"diff{channels}_fp32_s{strength}_out"], 1e-6
        )
    half = merge_delta(MERGE["conv"].half(), delta.half(), 1.0)
    close(half, MERGE[f"diff{channels}_fp16_s1.0_out"], 1e-3)


def test_every_sdxl_name_maps() -> None:
    for released, diffusers, _ in table("sdxl_unet_ldm_to_diffusers"):
        assert ldm_to_diffusers(f"diffusion_model.{released}") == diffusers
    assert ldm_to_diffusers("first_stage_model.x") is None


def test_every_name_of_the_sdxl_files_maps() -> None:
    known = {row[1] for row in table("sdxl_unet_ldm_to_diffusers")}
    for name in ("transparent_attn", "transparent_conv", "fg2ble", "fgble2bg"):
        assert {ldm_to_diffusers(key.split("::")[0]) for key in keys(f"layer_xl_{name}")} <= known
    assert keys("ld_diffusers_sdxl_attn").keys() <= known


def test_sd15_attentions_have_the_released_order() -> None:
    assert attention_layers() == [row[2] for row in table("sd15_layer_index")]


@pytest.mark.parametrize(
    ("name", "frames", "control"), [("transparent_attn", 1, False), ("joint", 3, False), ("fg2bg", 2, True)]
)
def test_sd15_units_have_the_released_names_and_shapes(name: str, frames: int, control: bool) -> None:
    sizes = [(int(row[3]), int(row[4])) for row in table("sd15_layer_index")]
    with torch.device("meta"):
        sharing = AttentionSharing(sizes, frames, 256, 8, control)
    found = {
        ("" if "kwargs" in key else "hookers.") + key: tuple(v.shape)
        for key, v in sharing.state_dict().items()
    }
    assert found == keys(f"layer_sd15_{name}")


def test_a_lora_file_merges_and_comes_off_bit_for_bit(tmp_path: Path) -> None:
    unet = tiny_unet()
    before, path = bits(unet), lora_file(tmp_path / "a.safetensors", unet)
    report = apply_adapter(unet, path, 0.5)
    assert (report.kind, len(report.changed), report.unmatched) == ("lora", 1, ())
    assert not same(bits(unet), before)
    remove_adapter(unet)
    assert same(bits(unet), before)


def test_strength_zero_equals_the_base(tmp_path: Path) -> None:
    unet = tiny_unet().half()
    before = bits(unet)
    apply_adapter(unet, lora_file(tmp_path / "a.safetensors", unet), 0.0)
    assert same(bits(unet), before)


def test_differences_grow_the_first_convolution_and_shrink_back(tmp_path: Path) -> None:
    unet = tiny_unet()
    before, output = bits(unet), predict(unet)
    report = apply_adapter(unet, delta_file(tmp_path / "b.safetensors", 12))
    assert unet.conv_in.in_channels == 12
    assert unet.conv_in.weight.shape[1] == 12
    assert report.changed == ("conv_in.weight", "conv_out.bias")
    remove_adapter(unet)
    assert unet.conv_in.in_channels == 4
    assert same(bits(unet), before)
    assert torch.equal(predict(unet), output)


def test_two_adapters_come_off_together(tmp_path: Path) -> None:
    unet = tiny_unet()
    before = bits(unet)
    apply_adapter(unet, delta_file(tmp_path / "b.safetensors"))
    apply_adapter(unet, delta_file(tmp_path / "c.safetensors"))
    remove_adapter(unet)
    remove_adapter(unet)
    assert same(bits(unet), before)


def test_names_that_fit_nothing_are_refused(tmp_path: Path) -> None:
    unet = tiny_unet()
    before, path = bits(unet), delta_file(tmp_path / "b.safetensors", odd=torch.rand(1))
    with pytest.raises(WeightsError, match=r"1 of its 3 tensors have no place, such as odd. Take the file"):
        apply_adapter(unet, path)
    foreign = {"unet.conv_in.lora_A.weight": torch.rand(1)}
    path = build(delta_file, path=tmp_path / "c.safetensors", **foreign)
    with pytest.raises(WeightsError, match=r"1 of its 3 tensors .* load_lora_weights"):
        apply_adapter(unet, path)
    assert same(bits(unet), before)


def test_plain_diffusers_names_are_added(tmp_path: Path) -> None:
    unet = tiny_unet()
    before = unet.get_parameter("conv_out.bias").clone()
    save_file({"conv_out.bias": torch.ones(4)}, tmp_path / "d.safetensors")
    apply_adapter(unet, tmp_path / "d.safetensors", 2.0)
    assert torch.equal(unet.get_parameter("conv_out.bias"), before + 2)


def test_a_wrong_file_leaves_the_unet_whole(tmp_path: Path) -> None:
    unet = tiny_unet()
    before = bits(unet)
    save_file({"conv_out.bias": torch.ones(4), "conv_in.bias": torch.ones(9)}, tmp_path / "e.safetensors")
    with pytest.raises(WeightsError, match=r"1 tensors have other shapes: conv_in.bias \(8,\) but \(9,\)"):
        apply_adapter(unet, tmp_path / "e.safetensors")
    save_file({"nothing": torch.ones(4)}, tmp_path / "f.safetensors")
    with pytest.raises(WeightsError, match="does not fit this model"):
        apply_adapter(unet, tmp_path / "f.safetensors")
    assert same(bits(unet), before)


def test_attention_sharing_attaches_and_comes_off(tmp_path: Path) -> None:
    unet = tiny_unet()
    output = predict(unet)
    units = AttentionSharing.for_unet(unet, frames=1, rank=2)
    torch.nn.init.ones_(units.get_parameter("layers.1.temporal_o.bias"))
    path = tmp_path / "g.safetensors"
    save_file({f"hookers.{key}": value for key, value in units.state_dict().items()}, path)
    report = apply_adapter(unet, path)
    assert report.kind == "attention_sharing"
    assert len(report.changed) == len(units.layers)
    assert not torch.equal(predict(unet), output)
    remove_adapter(unet)
    assert torch.equal(predict(unet), output)
    with pytest.raises(InputError, match=r"strength 0 or 1, found 0\.5"):
        apply_adapter(unet, path, 0.5)


def test_units_come_from_their_file_alone(tmp_path: Path) -> None:
    net = tiny_unet()
    path = tiny.sharing_file(tmp_path / "sharing.safetensors", net, 2, control=True)
    before = torch.get_rng_state()
    sharing = apply_adapter(net, path).sharing
    assert torch.equal(torch.get_rng_state(), before)
    held, stored = present(sharing).state_dict(), load_file(path)
    assert {name if "kwargs" in name else f"hookers.{name}" for name in held} == set(stored)
    assert all(torch.equal(held[name.removeprefix("hookers.")], stored[name]) for name in stored)


def test_eight_bits_halve_a_file_and_keep_what_it_does(tmp_path: Path) -> None:
    """Also where differences are far below what 8-bit floats can tell from 0."""
    name = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight"
    unet, generator = tiny_unet(), torch.Generator().manual_seed(0)
    width = unet.get_parameter(name).shape[0]
    state = {
        f"{name}::lora::0": torch.randn(width, 4, generator=generator) * 1e-4,
        f"{name}::lora::1": torch.randn(4, width, generator=generator),
        "conv_out.weight": torch.randn(4, 8, 3, 3, generator=generator) * 3e-3,
        "conv_in.bias": torch.randn(8, generator=generator),
        "conv_out.bias": torch.zeros(4),
    }
    for bits_of in BITS:
        write_adapter(state, tmp_path / f"{bits_of}.safetensors", about={"over": ""}, bits=bits_of)
    sizes = [sum(value.nbytes for value in load_file(tmp_path / f"{n}.safetensors").values()) for n in BITS]
    assert sizes[1] < 0.6 * sizes[0]
    made = []
    for bits_of in BITS:
        assert apply_adapter(unet, tmp_path / f"{bits_of}.safetensors").unmatched == ()
        made.append(bits(unet))
        remove_adapter(unet)
    before = bits(unet)
    for key in (name, "conv_out.weight", "conv_in.bias"):
        whole, rounded = (each[key] - before[key] for each in made)
        assert (whole - rounded).norm().item() < 0.05 * whole.norm().item()
    kept = read(tmp_path / "8.safetensors")
    assert {value.dtype for value in kept.values()} == {torch.float16}
    assert torch.equal(kept["conv_in.bias"], state["conv_in.bias"].half())


def test_zeros_survive_eight_bits() -> None:
    packed, _ = in_eight_bits({"zeros": torch.zeros(2, 2), "one": torch.ones(1, 1)})
    assert not packed["zeros"].any()
    assert packed["one"].dtype == torch.float8_e4m3fn
