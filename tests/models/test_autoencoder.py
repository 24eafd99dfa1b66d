import json
import re

import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from building import build, present
from goldens.loading import Golden, alpha_first, alpha_last, close
from pellucid.errors import InputError
from pellucid.models.alpha_decoder import AlphaDecoder
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.models.offset_encoder import OffsetEncoder
from pellucid.models.test_time_augmentation import (
    ORIENTATIONS,
    decode_augmented,
    decode_tiled,
    median_in_place,
)
from pellucid.rgba.padding import pad_rgb

NETWORK = 1e-5


def vae_of(golden: Golden) -> AutoencoderKL:
    text: str = present(re.search(r"AutoencoderKL config: (\{.*?\})", golden.meta["note"]))[1]
    return golden.fill(AutoencoderKL(**json.loads(text)), "vae.")


def last_weight(encoder: torch.nn.Module) -> torch.Tensor:
    return [
        value
        for name, value in encoder.named_parameters()
        if name.startswith("blocks.") and name.endswith(".weight")
    ][-1]


def tiny(convention: str = "embedded", channels: int = 4) -> RGBAAutoencoder:
    vae = build(
        AutoencoderKL,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(4, 4, 8, 8), latent_channels=channels, norm_num_groups=2, layers_per_block=1,
        scaling_factor=0.5, shift_factor=0.1,
    ).eval()  # fmt: skip
    encoder = OffsetEncoder((8, 16), channels, 4)
    torch.nn.init.normal_(last_weight(encoder))
    decoder = AlphaDecoder((8, 16), channels, 1, 0, fold=4)
    return RGBAAutoencoder(vae, encoder, decoder, convention=convention).requires_grad_(False)


def image(height: int = 24, width: int = 40) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 4), np.uint8)


def close_to_largest(found: torch.Tensor, wanted: torch.Tensor) -> None:
    close(found, wanted, NETWORK * max(1.0, wanted.abs().max().item()))  # the goldens' own measure


def test_released_encoding() -> None:
    golden = Golden("tvae_encoder")
    codec = RGBAAutoencoder(vae_of(golden), golden.fill(OffsetEncoder()), None, convention="cli")
    for i, rgba in enumerate(golden.arrays["rgba"]):
        straight = torch.from_numpy(rgba).permute(2, 0, 1)[None] / 255
        padded = torch.from_numpy(pad_rgb(rgba)).permute(2, 0, 1)[None]
        close(codec.vae_input(straight, padded), golden["vae_feed"][i : i + 1], 1e-6)
        latent = codec.encode(straight, padded, scaled=False)
        close_to_largest(latent, golden["latent"][i : i + 1])
        close_to_largest(codec.to_raw(codec.encode_image(rgba)), latent)


def test_released_decoding_of_the_second_extension() -> None:
    golden = Golden("forge_tvae")
    rgba = golden.arrays["rgba"]
    padded = torch.from_numpy(pad_rgb(rgba)).permute(2, 0, 1)[None]
    alpha = torch.from_numpy(rgba[..., 3]).float()[None, None] / 255
    encoder = golden.fill(OffsetEncoder())
    close_to_largest(encoder(torch.cat([padded, alpha], 1)), golden["offset"])


@pytest.mark.slow
def test_released_bytes_from_the_second_extension() -> None:
    golden = Golden("forge_tvae")
    decoder = golden.fill(AlphaDecoder())
    rgb = golden["pixel_u8"].permute(2, 0, 1)[None] / 255
    median = decode_augmented(decoder, rgb, golden["latent"][None])
    found = (median[0].permute(1, 2, 0) * 255).to(torch.uint8).int()
    assert (found - golden["png"].int()).abs().max() <= 1


@pytest.mark.slow
def test_released_augmented_decoding() -> None:
    golden = Golden("decoder_augmented")
    decoder = golden.fill(AlphaDecoder())
    for name in ("", "sq_"):
        found = decode_augmented(decoder, golden[f"{name}pixel"], golden[f"{name}latent"])
        close(alpha_first(found), golden[f"{name}median"], NETWORK)


@pytest.mark.slow
def test_released_images_from_latents() -> None:
    golden = Golden("tvae_decoder")
    codec = RGBAAutoencoder(vae_of(golden), None, golden.fill(AlphaDecoder()), convention="cli")
    scaled = codec.to_scaled(golden["latent_1tile"])
    found = codec.decode_image(scaled, exact=True).astype(int)
    assert np.abs(found - golden.arrays["png_1tile"][0].astype(int)).max() <= 1
    close(alpha_first(codec.decode(golden["latent"][:1], scaled=False)), golden["est"][:1], NETWORK)


def test_median_of_the_stored_predictions_is_exact() -> None:
    golden = Golden("decoder_augmented")
    assert torch.equal(median_in_place(golden["sq_stack"][:, None].clone())[0], golden["sq_median"][0])


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_median_sorts_any_order(count: int) -> None:
    stack = torch.rand(count, 1, 4, 5, 6)
    ordered = stack.sort(0).values
    middle = ordered[3] if count == 8 else ordered[[(count - 1) // 2, count // 2]].mean(0)
    torch.testing.assert_close(median_in_place(stack), middle)


@pytest.mark.parametrize("passes", [1, 2, 4, 8])
def test_an_equivariant_network_needs_no_augmentation(passes: int) -> None:
    rgb, latent = torch.rand(2, 3, 16, 24), torch.zeros(2, 4, 2, 3)
    found = decode_augmented(lambda x, _: torch.cat([x, x[:, :1]], 1), rgb, latent, passes=passes)
    torch.testing.assert_close(found, torch.cat([rgb, rgb[:, :1]], 1))
    assert len(ORIENTATIONS[passes]) == passes


def test_other_numbers_of_passes_are_refused() -> None:
    with pytest.raises(InputError, match=r"one of .*found 3"):
        decode_augmented(lambda x, _: x, torch.rand(1, 3, 8, 8), torch.rand(1, 4, 1, 1), passes=3)


def test_tiles_blend_without_a_seam() -> None:
    rgb, latent = torch.rand(1, 3, 72, 100)[..., :96], torch.rand(1, 4, 9, 12)
    found = decode_tiled(lambda x, _: torch.cat([x, x[:, :1]], 1), rgb, latent, tile=32, overlap=8)
    close(found, torch.cat([rgb, rgb[:, :1]], 1), 1e-6)


def test_any_size_comes_back_at_its_size() -> None:
    codec, rgba = tiny(), image(21, 43)
    latent = codec.encode_image(rgba)
    assert latent.shape == (1, 4, 3, 6)
    assert codec.decode_image(latent, height=21, width=43, passes=2).shape == rgba.shape


def test_former_names_work_and_say_the_present_ones() -> None:
    codec, rgba = tiny(), image(8, 8)
    with pytest.warns(DeprecationWarning, match="encode_image"):
        latent = codec.encode_picture(rgba)
    assert torch.equal(latent, codec.encode_image(rgba))
    with pytest.warns(DeprecationWarning, match="decode_image"):
        decoded = codec.decode_picture(latent, passes=1)
    assert (decoded == codec.decode_image(latent, passes=1)).all()


def test_sixteen_channels_and_a_shift() -> None:
    codec = tiny(channels=16)
    latent = codec.encode_image(image())
    assert latent.shape == (1, 16, 3, 5)
    close(codec.to_scaled(codec.to_raw(latent)), latent, 1e-5)


def test_an_untrained_encoder_changes_no_latent() -> None:
    for convention in ("cli", "forge", "embedded"):
        codec = tiny(convention)
        torch.nn.init.zeros_(last_weight(present(codec.offset_encoder)))
        rgba = torch.rand(1, 4, 16, 16)
        assert torch.equal(codec.encode(rgba), codec.encode(rgba, use_offset=False))


def test_additive_offset_is_in_scaled_units() -> None:
    codec, rgba = tiny(), torch.rand(1, 4, 16, 16)
    offset = present(codec.offset_encoder)(rgba)
    close(codec.encode(rgba) - codec.encode(rgba, use_offset=False), offset, 1e-5)


def test_an_image_does_not_depend_on_its_batch() -> None:
    codec, latents = tiny(), torch.randn(2, 4, 2, 3)
    both = codec.decode_alpha(torch.full((2, 3, 16, 24), 0.5), latents, passes=4)
    alone = codec.decode_alpha(torch.full((1, 3, 16, 24), 0.5), latents[1:], passes=4)
    close(both[1:], alone, 1e-6)


def test_networks_of_different_scale_are_refused() -> None:
    codec = tiny()
    with pytest.raises(InputError, match="8 pixels a latent, OffsetEncoder 4"):
        RGBAAutoencoder(codec.vae, OffsetEncoder((4, 4, 4)), None)


def test_alpha_moves_to_the_end_and_back() -> None:
    x = torch.rand(1, 4, 2, 2)
    assert torch.equal(alpha_first(alpha_last(x)), x)
