import pytest
import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import nn

from goldens.loading import Golden, close
from pellucid.errors import InputError
from pellucid.models.attention_sharing import AttentionSharing, AttentionSharingUnit, SharingState
from pellucid.models.hint_encoder import HintEncoder

GOLDEN = Golden("attention_sharing")
CASES = sorted(key.removesuffix("_out") for key in GOLDEN.arrays if key.endswith("_out"))


def tiny_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4, cross_attention_dim=12,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), attention_head_dim=2,
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    ).eval().requires_grad_(False)  # fmt: skip


def predict(unet: UNet2DConditionModel, rows: int = 3) -> torch.Tensor:
    noise = torch.Generator().manual_seed(1)
    x, text = torch.randn(rows, 4, 8, 8, generator=noise), torch.randn(rows, 5, 12, generator=noise)
    return unet(x, 10, text).sample


def test_hint_features_equal_the_released() -> None:
    signals = GOLDEN.fill(HintEncoder(), "kwargs_encoder.")(GOLDEN["hint_img"] * 2 - 1)
    for tokens, signal in signals.items():
        close(signal if tokens <= 32 else signal[:, ::16], GOLDEN[f"hint_signal_{tokens}"], 1e-5)


@pytest.mark.parametrize("case", CASES)
def test_unit_equals_the_released(case: str) -> None:
    frames, kind = int(case[1]), "self" if "self" in case else "cross"
    context = 32 if kind == "self" else 24
    unit = AttentionSharingUnit(32, context, frames=frames, rank=8, heads=4, control="ctrl" in case)
    overrides = [GOLDEN[key] if (key := f"{case}_overwrite{i}") in GOLDEN else None for i in range(frames)]
    state = SharingState(
        control_features={32: GOLDEN["hint_signal_32"]},
        prompt_overrides=overrides,
        is_unconditional=GOLDEN[f"{case}_cond_mark"],
    )
    found = GOLDEN.fill(unit, f"{kind}.unit.")(
        GOLDEN[f"{case}_h"],
        GOLDEN.fill(Attention(32, context, heads=4, dim_head=8), f"{kind}.base."),
        GOLDEN[f"{case}_context"] if kind == "cross" else None,
        state,
    )
    close(found, GOLDEN[f"{case}_out"], 1e-5)


def test_untrained_units_change_nothing_and_come_off() -> None:
    unet = tiny_unet()
    before = predict(unet)
    sharing = AttentionSharing.for_unet(unet, frames=3, rank=2)
    previous = sharing.attach(unet)
    close(predict(unet), before, 1e-5)
    nn.init.ones_(sharing.get_parameter("layers.0.temporal_o.bias"))
    assert (predict(unet) - before).abs().max() > 1e-4
    sharing.detach(unet, previous)
    assert torch.equal(predict(unet), before)


def test_frames_see_each_other_only_through_frame_attention() -> None:
    unet = tiny_unet()
    sharing = AttentionSharing.for_unet(unet, frames=3, rank=2)
    sharing.attach(unet)
    sharing.state.guided = False
    sharing.state.prompt_overrides = [None, torch.ones(1, 5, 12), None]
    changed = predict(unet) - predict(tiny_unet_like(unet))
    assert changed[1].abs().max() > 1e-5
    close(changed[[0, 2]], torch.zeros_like(changed[[0, 2]]), 1e-5)


def tiny_unet_like(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    twin = tiny_unet()
    twin.load_state_dict(unet.state_dict())
    return twin


def test_half_a_scene_is_refused() -> None:
    unit = AttentionSharingUnit(8, 8, frames=3, rank=2, heads=2, control=False)
    with pytest.raises(InputError, match="multiple of 3 layers, found 4"):
        unit(torch.rand(4, 5, 8), Attention(8, heads=2, dim_head=4))


def test_a_hint_needs_control_and_control_needs_a_hint() -> None:
    unet = tiny_unet()
    with pytest.raises(InputError, match="take no hint"):
        AttentionSharing.for_unet(unet).set_hint(torch.rand(1, 3, 64, 64))
    sharing = AttentionSharing.for_unet(unet, frames=2, rank=2, control=True)
    sharing.attach(unet)
    with pytest.raises(InputError, match="No control signal has"):
        predict(unet, 2)
    sharing.set_hint(torch.rand(1, 3, 64, 64))
    assert sorted(sharing.state.control_features) == [1, 4, 16, 64]
    sharing.state.control_features = {1: torch.rand(1, 256, 1, 1), **sharing.state.control_features}
    assert predict(unet, 2).isfinite().all()
