from pathlib import Path
from typing import TypedDict

import pytest
import torch

from building import build
from goldens.loading import Golden, alpha_first, alpha_last, close, keys
from pellucid.errors import InputError
from pellucid.models import row_bands as bands
from pellucid.models.alpha_decoder import AlphaDecoder
from pellucid.models.blocks import norm_silu_conv
from pellucid.models.discriminator import PatchDiscriminator
from pellucid.models.offset_encoder import OffsetEncoder

CONVOLUTION = 1e-5  # 3.4e-6 was seen with AVX-512, 0 on the machine that made the goldens
NETWORK = 1e-5


class Folded(TypedDict):
    widths: tuple[int, ...]
    latent_channels: int
    latent_level: int
    fold: int
    attention_head_dim: int


FOLDED: Folded = {
    "widths": (8, 16),
    "latent_channels": 16,
    "latent_level": 1,
    "fold": 4,
    "attention_head_dim": 8,
}


def test_default_networks_have_the_released_names_and_shapes() -> None:
    for module, name in ((AlphaDecoder(), "decoder"), (OffsetEncoder(), "encoder")):
        found = {key: tuple(value.shape) for key, value in module.state_dict().items()}
        assert found == keys(f"vae_transparent_{name}")


def test_offset_encoder_equals_the_released() -> None:
    golden = Golden("offset_encoder")
    close(golden.fill(OffsetEncoder())(alpha_last(golden["x"])), golden["out"], CONVOLUTION)


def test_alpha_decoder_equals_the_released() -> None:
    golden = Golden("decoder_single")
    decoder = golden.fill(AlphaDecoder())
    for i in range(3):
        with torch.no_grad():
            found = decoder(golden[f"pixel{i}"], golden[f"latent{i}"])
        close(alpha_first(found), golden[f"out{i}"], NETWORK)


@pytest.mark.parametrize("values", [1, 2**9, 2**20])
@pytest.mark.parametrize("widths", [(8, 16), (8, 8, 16)])
def test_bands_of_any_height_give_the_numbers_of_training(
    values: int, widths: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bands, "BAND_VALUES", values)
    decoder = AlphaDecoder(widths, latent_level=1, attention_levels=1)
    for value in decoder.parameters():
        torch.nn.init.normal_(value, 0.1, 0.2)
    rgb, latent = torch.rand(2, 3, 16, 24), torch.rand(2, 4, 8, 12)
    with torch.no_grad():
        found = decoder(rgb, latent)
    wanted = decoder(rgb, latent).detach()
    close(found, wanted, NETWORK * max(1.0, wanted.abs().max().item()))


def test_sums_of_a_large_image_far_from_zero_are_exact() -> None:
    norm, conv = torch.nn.GroupNorm(4, 32, 1e-5), torch.nn.Conv2d(32, 1, 3, padding=1)
    x = torch.randn(1, 32, 256, 256) + 3
    with torch.no_grad():
        found = norm_silu_conv(x.contiguous(memory_format=torch.channels_last), norm, conv)
    precise = norm_silu_conv(x.double(), norm.double(), conv.double())
    close(found, precise.detach().float(), NETWORK)


@pytest.mark.parametrize("attention_levels", [0, 1])
def test_folded_networks_have_eight_pixels_a_latent(attention_levels: int) -> None:
    decoder = AlphaDecoder(**FOLDED, attention_levels=attention_levels)
    assert (decoder.pixels_per_latent, decoder.multiple) == (8, 8)
    assert decoder(torch.rand(2, 3, 16, 24), torch.rand(2, 16, 2, 3)).shape == (2, 4, 16, 24)
    encoder = OffsetEncoder((8, 16), 16, 4)
    assert encoder.pixels_per_latent == 8
    assert encoder(torch.rand(2, 4, 16, 24)).shape == (2, 16, 2, 3)


def test_an_untrained_encoder_gives_zero_and_an_untrained_decoder_ignores_the_latent() -> None:
    assert not OffsetEncoder((4, 8))(torch.rand(1, 4, 8, 8)).any()
    decoder, rgb = AlphaDecoder(**FOLDED, attention_levels=0), torch.rand(1, 3, 8, 8)
    assert torch.equal(decoder(rgb, torch.rand(1, 16, 1, 1)), decoder(rgb, torch.zeros(1, 16, 1, 1)))


def test_every_parameter_learns() -> None:
    decoder = AlphaDecoder(**FOLDED, attention_levels=1)
    decoder(torch.rand(1, 3, 16, 16), torch.rand(1, 16, 2, 2)).square().sum().backward()
    assert [name for name, value in decoder.named_parameters() if value.grad is None] == []


def test_details_change_nothing_until_they_learn_and_then_every_pixel_apart() -> None:
    torch.manual_seed(0)
    plain = AlphaDecoder(**FOLDED, attention_levels=0)
    fine = AlphaDecoder(**FOLDED, attention_levels=0, detail_width=8)
    keys_of = fine.load_state_dict(plain.state_dict(), strict=False)
    missing: list[str] = keys_of.missing_keys
    assert not keys_of.unexpected_keys
    assert missing
    assert {name.partition(".")[0] for name in missing} == {"detail"}
    given = torch.rand(2, 3, 16, 24), torch.rand(2, 16, 2, 3)
    torch.testing.assert_close(fine(*given), plain(*given))
    optimizer = torch.optim.SGD(fine.detail.parameters(), lr=0.05)  # type: ignore[union-attr]
    for _ in range(2):  # the last convolution starts at zero, so the others move in the second step
        fine(*given).square().sum().backward()
        optimizer.step()
    assert [name for name, value in fine.named_parameters() if value.grad is None] == []
    assert not torch.allclose(fine(*given), plain(*given))


@pytest.mark.parametrize("wrong", [{"fold": 1}, {"widths": (6, 16), "norm_num_groups": 2}])
def test_details_need_pixels_that_are_folded(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match="needs an even fold and widths in fours"):
        build(AlphaDecoder, **{**FOLDED, **wrong}, attention_levels=0, detail_width=8)


def test_a_wrong_size_is_named() -> None:
    with pytest.raises(InputError, match="divide by 8, found 8 x 12"):
        AlphaDecoder(**FOLDED)(torch.rand(1, 3, 8, 12), torch.rand(1, 16, 1, 1))


def test_saved_networks_load_bit_for_bit(tmp_path: Path) -> None:
    decoder = AlphaDecoder(**FOLDED)
    decoder.save_pretrained(tmp_path)
    loaded = AlphaDecoder.from_pretrained(tmp_path)
    assert loaded.multiple == 8
    assert all(torch.equal(a, b) for a, b in zip(decoder.parameters(), loaded.parameters(), strict=True))


def test_discriminator_has_five_convolutions_and_scores_patches() -> None:
    model = PatchDiscriminator(8)
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in model.modules()) == 5
    assert model(torch.rand(2, 4, 64, 64)).shape == (2, 1, 6, 6)
