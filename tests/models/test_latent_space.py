"""Every kind of VAE: pixels become scaled latents and come back, and codecs know whose latents they have."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import tiny
import tiny_vaes
from pellucid.errors import InputError
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.models.latent_space import KINDS, latent_space
from pellucid.weights.store import load_codec, read_vae

PIXELS = {"AutoencoderDC": 32, "AutoencoderKLHunyuanImage": 32, "AutoencoderKLFlux2": 16}


@pytest.mark.parametrize("name", tiny_vaes.MADE)
def test_scaling_is_undone_and_numbers_are_the_vaes(name: str) -> None:
    vae = tiny_vaes.seeded(name)
    space, pixels = latent_space(vae), torch.rand(2, 3, 64, 96) * 2 - 1
    with torch.no_grad():
        mean, std = space.encode(vae, pixels)
        image = space.decode(vae, mean)
    side = PIXELS.get(name, 8)
    assert space.pixels_per_latent == side
    assert mean.shape == std.shape == (2, space.channels, 64 // side, 96 // side)
    assert image.shape == pixels.shape
    assert std.min() >= 0
    torch.testing.assert_close(space.to_raw(space.to_scaled(mean)), mean, rtol=1e-5, atol=1e-5)
    # what is told apart by channel is scaled by channel
    if isinstance(space.scale, tuple):
        assert len(space.scale) == space.channels
        wider = torch.cat([mean, torch.ones_like(mean[:, :1])], dim=1)
        assert (space.to_scaled(wider)[:, -1] == 1).all()
        torch.testing.assert_close(space.to_scaled(wider)[:, :-1], space.to_scaled(mean))


def test_flux2_is_normalised_by_its_running_statistics() -> None:
    vae = tiny_vaes.seeded("AutoencoderKLFlux2")
    assert isinstance(vae, nn.Module)
    space, raw = latent_space(vae), torch.randn(2, 16, 3, 5)
    norm = vae.bn
    assert isinstance(norm, nn.BatchNorm2d)
    torch.testing.assert_close(space.to_scaled(raw), norm.eval()(raw), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", tiny_vaes.MADE)
def test_a_codec_over_any_kind_encodes_decodes_and_is_loaded_again(name: str, tmp_path: Path) -> None:
    vae = tiny_vaes.seeded(name)
    space = latent_space(vae)
    codec = tiny_vaes.codec_over(vae)
    encoder, decoder = tiny.networks_of(codec)
    rgba = np.random.default_rng(0).integers(0, 256, (70, 50, 4), np.uint8)
    latent, plain = codec.encode_image(rgba), codec.encode_image(rgba, use_offset=False)
    assert (latent - plain).abs().max() > 1e-3
    made = codec.decode_image(latent, height=70, width=50, passes=1)
    assert made.shape == rgba.shape
    torch.testing.assert_close(
        codec.decode_opaque(plain),
        (space.decode(vae, space.to_raw(plain)) / 2 + 0.5).clamp(0, 1).detach(),
    )
    encoder.save_pretrained(tmp_path / "rgba" / "offset_encoder")
    decoder.save_pretrained(tmp_path / "rgba" / "alpha_decoder")
    vae.save_pretrained(tmp_path / "vae")
    again = load_codec(tmp_path / "rgba", read_vae(tmp_path / "vae"))
    assert type(again.vae) is type(vae)
    assert again.space == space
    torch.testing.assert_close(again.encode_image(rgba), latent)


@pytest.mark.parametrize("name", ["AutoencoderTiny", "AutoencoderDC"])
def test_a_released_codec_needs_a_deviation_to_hide_alpha_in(name: str) -> None:
    vae = tiny_vaes.seeded(name)
    networks = tiny.networks_of(tiny_vaes.codec_over(vae))
    codec = RGBAAutoencoder(vae, *networks, convention="forge")
    rgba = np.zeros((64, 64, 4), np.uint8)
    with pytest.raises(InputError, match=rf"tells a deviation.*found {name}\. Take the model's own VAE"):
        codec.encode_image(rgba)
    assert codec.encode_image(rgba, use_offset=False).ndim == 4


def test_a_kind_that_is_not_known_is_refused() -> None:
    with pytest.raises(InputError, match=r"Expected a VAE of images, found Strange\. Take one of Auto"):
        latent_space(Strange())
    assert set(tiny_vaes.MADE) < set(KINDS)


class Strange(nn.Module):
    """Says nothing of its levels."""

    config: dict[str, int] = {"latent_channels": 4}  # noqa: RUF012 - as diffusers' own, which nobody changes
