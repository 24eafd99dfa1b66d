"""Alpha decoders whose images are larger than the frozen VAE's."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import tiny
from building import present
from pellucid.errors import InputError
from pellucid.models.alpha_decoder import AlphaDecoder
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.models.enlarging import enlarged
from pellucid.models.test_time_augmentation import decode_padded, decode_tiled
from pellucid.weights.store import load_alpha_decoder


def decoder(**arguments: object) -> AlphaDecoder:
    usual: dict[str, object] = {
        "widths": (8, 16), "latent_level": 1, "fold": 4, "attention_levels": 0, "layers_per_block": 1,
        "upscale_width": 8, "upscale_blocks": 1,
    }  # fmt: skip
    torch.manual_seed(0)
    return AlphaDecoder(**(usual | arguments)).eval()  # pyright: ignore[reportArgumentType]


def inputs(count: int = 1, rows: int = 2, columns: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(count, 3, 8 * rows, 8 * columns), torch.rand(count, 4, rows, columns)


def random_enlarger(network: AlphaDecoder) -> AlphaDecoder:
    for value in present(network.enlarger).parameters():
        torch.nn.init.normal_(value, 0, 0.1)
    return network


@pytest.mark.parametrize("background", [None, 0.5])
@pytest.mark.parametrize("detail_width", [0, 8])
def test_before_training_the_image_is_enlarged_and_no_more(background: float, detail_width: int) -> None:
    plain = decoder(background=background, detail_width=detail_width)
    larger = decoder(background=background, detail_width=detail_width, upscale=2)
    found = larger.load_state_dict(plain.state_dict(), strict=False)
    missing: list[str] = found.missing_keys
    assert {name.partition(".")[0] for name in missing} == {"enlarger"}
    given = inputs(2)
    assert torch.equal(larger(*given), enlarged(plain(*given).clamp(0, 1), 2))


@pytest.mark.parametrize(("fold", "level", "upscale"), [(1, 3, 2), (2, 2, 2), (4, 1, 3), (8, 0, 4)])
def test_any_fold_and_factor(fold: int, level: int, upscale: int) -> None:
    larger = decoder(widths=(8,) * (level + 1), fold=fold, latent_level=level, upscale=upscale)
    assert (larger.pixels_per_latent, larger.upscale) == (8, upscale)
    assert larger(*inputs()).shape == (1, 4, 16 * upscale, 24 * upscale)


def test_every_parameter_learns_the_finer_pixels() -> None:
    torch.manual_seed(0)
    larger, given, wanted = decoder(upscale=2), inputs(), torch.rand(1, 4, 32, 48)
    optimizer = torch.optim.Adam(larger.parameters(), lr=1e-3)
    losses: list[float] = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (larger(*given) - wanted).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert [name for name, value in larger.named_parameters() if value.grad is None] == []
    assert losses[-1] < 0.95 * losses[0]


@pytest.mark.parametrize("upscale", [0, -1])
def test_a_factor_below_one_is_refused(upscale: int) -> None:
    with pytest.raises(InputError, match=f"found {upscale}"):
        decoder(upscale=upscale)


def test_folders_keep_the_factor_and_old_ones_have_none(tmp_path: Path) -> None:
    larger = random_enlarger(decoder(upscale=2))
    larger.save_pretrained(tmp_path / "new")
    given = inputs()
    loaded = load_alpha_decoder(tmp_path / "new")
    assert loaded.upscale == 2
    with torch.no_grad():
        assert torch.equal(loaded(*given), larger(*given))
    config = tmp_path / "old" / "config.json"
    decoder().save_pretrained(tmp_path / "old")
    lines = config.read_text().splitlines()
    kept = [line for line in lines if "upscale" not in line]
    assert len(kept) < len(lines)
    config.write_text("\n".join(kept))
    assert load_alpha_decoder(tmp_path / "old").upscale == 1


@pytest.mark.parametrize("passes", [1, 2, 4, 8])
def test_passes_agree_on_what_has_no_direction(passes: int) -> None:
    codec = codec_with(decoder(upscale=2))
    rgb, latent = torch.full((1, 3, 16, 24), 0.5), torch.zeros(1, 4, 2, 3)
    found = codec.decode_alpha(rgb, latent, passes=passes)
    assert found.shape == (1, 4, 32, 48)
    assert (found >= 0).all()
    assert (found <= 1).all()


def test_tiles_and_padding_keep_every_finer_pixel_in_its_place() -> None:
    def predict(rgb: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return torch.cat([rgb, rgb[:, :1]], 1).repeat_interleave(2, 2).repeat_interleave(2, 3)

    rgb, latent = torch.rand(1, 3, 72, 96), torch.rand(1, 4, 9, 12)
    wanted = predict(rgb, latent)
    tiled = decode_tiled(predict, rgb, latent, tile=32, overlap=8, upscale=2)
    torch.testing.assert_close(tiled, wanted, atol=1e-6, rtol=0)
    assert torch.equal(decode_padded(predict, rgb, latent, multiple=64), wanted)
    whole = partial(decode_padded, predict, multiple=16)
    both = decode_tiled(whole, rgb, latent, tile=40, overlap=8, upscale=2)
    torch.testing.assert_close(both, wanted, atol=1e-6, rtol=0)


def codec_with(network: AlphaDecoder) -> RGBAAutoencoder:
    frozen = tiny.vae()
    encoder, _ = tiny.networks_of(tiny.codec(frozen))
    return RGBAAutoencoder(frozen, encoder, network, convention="embedded")


def test_an_image_comes_back_at_its_size_through_latents_of_half_of_it() -> None:
    codec = codec_with(random_enlarger(decoder(upscale=2)))
    rgba = np.random.default_rng(0).integers(0, 256, (41, 86, 4), np.uint8)
    latent = codec.encode_image(rgba)
    assert latent.shape == (1, 4, 3, 6)
    assert codec.decode_image(latent, height=41, width=86, passes=2).shape == rgba.shape
    assert codec.decode(latent, passes=1, tile=16, overlap=8).shape == (1, 4, 48, 96)
    assert codec.decode_opaque(latent).shape == (1, 3, 24, 48)
