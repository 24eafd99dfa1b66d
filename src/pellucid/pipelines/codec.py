"""Between pictures of any kind and the tensors of an `RGBAAutoencoder`."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from pellucid.errors import InputError
from pellucid.files.images import read_rgba
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.pipelines.families import latent_channels, latents_multiple, pixels_per_latent, row_of
from pellucid.pipelines.modes import Codec, source_of
from pellucid.pipelines.requests import MAX_SIDE_PX, padded
from pellucid.rgba.quantization import narrow_to_bytes, to_bytes
from pellucid.rgba.types import RGBA8, AnyArray

if TYPE_CHECKING:
    from PIL import Image


def rgba_of(picture: object) -> RGBA8:
    """Any picture as uint8 (h, w, 4): array, PIL picture of any mode, or path.

    Raises:
        InputError: none of these, or a shape that is no picture.
        FileError: a path that cannot be read.
    """
    if isinstance(picture, (str, Path)):
        array: AnyArray = read_rgba(picture)
    elif isinstance(picture, np.ndarray):
        array = _bytes_of(picture)
    elif hasattr(picture, "convert"):
        array = np.asarray(_converted(picture))
    else:
        raise InputError(
            f"Expected a picture as array, PIL image or path, found {type(picture).__name__}. "
            "Convert it first."
        )
    if max(array.shape[:2]) > MAX_SIDE_PX:
        raise InputError(
            f"Expected at most {MAX_SIDE_PX} pixels a side, found {array.shape[0]} x {array.shape[1]}. "
            "Shrink it first."
        )
    return array


def _converted(picture: Any) -> "Image.Image":  # noqa: ANN401 - a PIL picture
    from PIL import ImageOps

    return ImageOps.exif_transpose(picture).convert("RGBA")


def _bytes_of(array: AnyArray) -> AnyArray:
    levels = to_bytes(array) if np.issubdtype(array.dtype, np.floating) else narrow_to_bytes(array)
    if levels.ndim == 2:
        levels = levels[..., None]
    if levels.ndim != 3 or levels.shape[2] not in (1, 3, 4) or levels.size == 0:
        raise InputError(
            f"Expected a picture of shape (h, w), (h, w, 3) or (h, w, 4), found {array.shape}. "
            "Put channels last."
        )
    if levels.shape[2] == 4:
        return levels
    rgb = np.broadcast_to(levels, (*levels.shape[:2], 3))
    return np.dstack([rgb, np.full(levels.shape[:2], 255, np.uint8)])


def with_margin(rgba: RGBA8, multiple: int) -> AnyArray:
    """Centres the picture on transparent black whose sides are the next multiples."""
    height, width = rgba.shape[:2]
    canvas = np.zeros((padded(height, multiple), padded(width, multiple), 4), np.uint8)
    top, left = middle_of(canvas.shape[:2], (height, width))
    canvas[top : top + height, left : left + width] = rgba
    return canvas


def middle_of(canvas: Sequence[int], size: Sequence[int]) -> tuple[int, int]:
    """(top, left) at which `size` lies in the middle of `canvas`; both are (height, width)."""
    return (canvas[0] - size[0]) // 2, (canvas[1] - size[1]) // 2


def to_picture(rgba: Tensor, crop: tuple[int, int] | None) -> RGBA8:
    """One decoded tensor (1, 4, h, w) to a picture, its middle if `crop` is given."""
    return to_bytes(middle_pixels(rgba, crop))


def middle_pixels(rgba: Tensor, crop: tuple[int, int] | None) -> AnyArray:
    """As `to_picture`, float32 (h, w, 4) in [0, 1]."""
    array = rgba[0].permute(1, 2, 0).float().cpu().numpy()
    if crop is not None:
        height, width = crop
        top, left = middle_of(array.shape[:2], crop)
        if min(top, left) < 0 or min(crop) < 1:
            raise InputError(
                f"Expected a crop within {array.shape[0]} x {array.shape[1]}, found {height} x {width}. "
                "Shrink it."
            )
        array = array[top : top + height, left : left + width]
    return np.ascontiguousarray(array)


def latent_multiple(pipeline: Any, autoencoder: RGBAAutoencoder) -> int:  # noqa: ANN401 - any diffusers pipeline
    """Sides in pixels must divide by this, for the denoiser and for the alpha decoder's halvings."""
    decoder = autoencoder.alpha_decoder
    own = pixels_per_latent(pipeline) * latents_multiple(pipeline)
    return math.lcm(own, decoder.multiple if decoder else 1)


def check_codec(pipeline: Any, autoencoder: RGBAAutoencoder) -> None:  # noqa: ANN401 - any diffusers pipeline
    """Raises InputError for a codec whose latents are not those of the pipeline's denoiser."""
    config = pipeline.vae.config
    expected = {
        "scaling_factor": (autoencoder.scaling_factor, float(config.scaling_factor)),
        "shift_factor": (autoencoder.shift_factor, float(getattr(config, "shift_factor", None) or 0.0)),
        "pixels_per_latent": (autoencoder.pixels_per_latent, pixels_per_latent(pipeline)),
    }
    for part in filter(None, (autoencoder.offset_encoder, autoencoder.alpha_decoder)):
        channels: Any = part.config
        expected[type(part).__name__] = channels.latent_channels, latent_channels(pipeline)
    wrong = [f"{name} {found} for {wanted}" for name, (found, wanted) in expected.items() if found != wanted]
    if wrong:
        raise InputError(
            f"Expected a codec over the VAE of this {row_of(pipeline).title}, found {', '.join(wrong)}. "
            "Take one that was trained over this model's VAE."
        )


def autoencoder_of(codec: Codec, vae: Any) -> RGBAAutoencoder:  # noqa: ANN401 - any diffusers VAE
    """The codec that a mode's files make over `vae`.

    Raises:
        WeightsError: a file is absent or damaged.
    """
    from pellucid.weights.store import load_alpha_decoder, load_offset_encoder

    encoder = load_offset_encoder(source_of(codec.offset_encoder))
    decoder = load_alpha_decoder(source_of(codec.alpha_decoder))
    encoder.to(vae.device)
    decoder.to(vae.device)
    return RGBAAutoencoder(vae, encoder, decoder, convention=codec.convention)
