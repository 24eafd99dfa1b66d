"""Between images and the latents of an `RGBAAutoencoder`: canvases, crops, and codecs that fit."""

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from pellucid.errors import InputError
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.models.latent_space import Factor, latent_space
from pellucid.pipelines.arguments import round_up
from pellucid.pipelines.modes import Codec, resolve_source
from pellucid.pipelines.stock import StockPipeline
from pellucid.rgba.quantization import to_bytes
from pellucid.rgba.types import RGBA8, AnyArray
from pellucid.weights.store import load_alpha_decoder, load_offset_encoder


def pad_to_multiple(rgba: RGBA8, multiple: int) -> AnyArray:
    """Centres an image on transparent black whose sides are the next multiples."""
    height, width = rgba.shape[:2]
    canvas = np.zeros((round_up(height, multiple), round_up(width, multiple), 4), np.uint8)
    top, left = centre_offset(canvas.shape[:2], (height, width))
    canvas[top : top + height, left : left + width] = rgba
    return canvas


def centre_offset(canvas: Sequence[int], size: Sequence[int]) -> tuple[int, int]:
    """Returns (top, left) at which `size` lies in the middle of `canvas`; both are (height, width)."""
    return (canvas[0] - size[0]) // 2, (canvas[1] - size[1]) // 2


def to_image8(rgba: Tensor, crop: tuple[int, int] | None) -> RGBA8:
    """Converts one decoded tensor (1, 4, h, w) to uint8 (h, w, 4), its middle if `crop` is given."""
    return to_bytes(centre_crop(rgba, crop))


def centre_crop(rgba: Tensor, crop: tuple[int, int] | None) -> AnyArray:
    """Converts as `to_image8`, to float32 (h, w, 4) in [0, 1]."""
    array = rgba[0].permute(1, 2, 0).float().cpu().numpy()
    if crop is not None:
        height, width = crop
        top, left = centre_offset(array.shape[:2], crop)
        if min(top, left) < 0 or min(crop) < 1:
            raise InputError(
                f"Expected a crop within {array.shape[0]} x {array.shape[1]}, found {height} x {width}. "
                "Shrink it."
            )
        array = array[top : top + height, left : left + width]
    return np.ascontiguousarray(array)


def size_multiple(stock: StockPipeline, autoencoder: RGBAAutoencoder) -> int:
    """Returns what sides of results must divide by, px, for the denoiser and the alpha decoder's halvings."""
    decoder = autoencoder.alpha_decoder
    denoiser_multiple = stock.vae_scale_factor * stock.latents_multiple
    # each halves the image as often as it likes, and both must come out whole
    return math.lcm(denoiser_multiple, decoder.multiple if decoder else 1) * autoencoder.upscale


def check_autoencoder(stock: StockPipeline, autoencoder: RGBAAutoencoder) -> None:
    """Raises InputError for an autoencoder whose latents are not those of the pipeline's denoiser."""
    theirs = latent_space(stock.vae)
    expected: dict[str, tuple[Factor, Factor]] = {
        "scaling_factor": (autoencoder.scaling_factor, theirs.scale),
        "shift_factor": (autoencoder.shift_factor, theirs.shift),
        "pixels_per_latent": (autoencoder.pixels_per_latent, theirs.pixels_per_latent),
    }
    for part in filter(None, (autoencoder.offset_encoder, autoencoder.alpha_decoder)):
        expected[type(part).__name__] = part.config["latent_channels"], stock.latent_channels
    wrong = [
        f"{name} {_short(ours)} for {_short(wanted)}"
        for name, (ours, wanted) in expected.items()
        if not _agree(ours, wanted)
    ]
    if wrong:
        raise InputError(
            f"Expected a codec over the VAE of this {stock.family.title}, found {', '.join(wrong)}. "
            "Take one that was trained over this model's VAE."
        )


def _agree(ours: Factor, wanted: Factor) -> bool:
    """Compares factors; those of each channel may have been cast to half precision since, with the VAE."""
    if isinstance(ours, tuple) and isinstance(wanted, tuple):
        return len(ours) == len(wanted) and np.allclose(ours, wanted, rtol=1e-2, atol=1e-3)
    return ours == wanted


def _short(factor: Factor) -> str:
    return f"{len(factor)} of channels" if isinstance(factor, tuple) else str(factor)


def load_autoencoder(codec: Codec, stock: StockPipeline) -> RGBAAutoencoder:
    """Loads the networks of a mode over the VAE of a pipeline.

    Raises:
        WeightsError: a file is absent or damaged.
    """
    encoder = load_offset_encoder(resolve_source(codec.offset_encoder))
    decoder = load_alpha_decoder(resolve_source(codec.alpha_decoder))
    return RGBAAutoencoder(stock.vae, encoder, decoder, convention=codec.convention)
