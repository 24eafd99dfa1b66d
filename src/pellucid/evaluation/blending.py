"""Images laid over backgrounds, and how near two images are there: blend-then-RGB of AlphaVAE.

Images are uint8 (h, w, 4), straight alpha. Source: AlphaVAE (arXiv 2507.09308), section 4: nine plain
backgrounds, the mean over backgrounds of the mean over images. Ours are lossless unless the protocol is
"jpeg": the authors' script writes blends as JPEG before it compares them, which moves a PSNR by decibels in
either direction, so figures of the two protocols cannot be compared.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Literal

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

from pellucid.errors import InputError, missing_package
from pellucid.rgba.defects import NINE_COLOURS
from pellucid.rgba.types import RGBA8, AnyArray

Protocol = Literal["lossless", "jpeg"]
"""How blends are kept before they are compared."""
RGBFloat = Float[np.ndarray, "h w 3"]
Background = UInt8[np.ndarray, "h w 3"]
PSNR_MAX = 120.0
"""dB that equal images get."""
SSIM_SIDE_PX = 11
"""Window of SSIM; smaller images have none."""


def backgrounds(
    height: int, width: int, photographs: Mapping[str, UInt8[np.ndarray, "p q 3"]] | None = None
) -> dict[str, Background]:
    """Returns the nine colours and the given photographs at one size, by name.

    Args:
        height: px.
        width: px.
        photographs: of any size; their middle is scaled to fill.
    """
    plain: dict[str, Background] = {
        name: np.full((height, width, 3), colour, np.uint8) for name, colour in NINE_COLOURS.items()
    }
    return plain | {name: _filling(photo, height, width) for name, photo in (photographs or {}).items()}


def blend(rgba: RGBA8, background: Background, protocol: Protocol = "lossless") -> RGBFloat:
    """Lays an image over a background; returns floats in [0, 1].

    Args:
        rgba: uint8 (h, w, 4).
        background: uint8 (h, w, 3).
        protocol: "lossless" keeps what is computed; "jpeg" cuts it to bytes and through a JPEG file of
            Pillow's usual quality, as AlphaVAE's script does.
    """
    alpha = rgba[..., 3:].astype(np.float64) / 255
    mixed = rgba[..., :3] * alpha + background * (1 - alpha)
    if protocol == "lossless":
        return mixed / 255
    file = io.BytesIO()
    Image.fromarray(mixed.astype(np.uint8)).save(file, "JPEG")  # truncated, not rounded, as there
    with Image.open(file) as kept:
        return np.asarray(kept.convert("RGB"), dtype=np.float64) / 255


def on_white(rgba: RGBA8) -> RGBFloat:
    """Lays an image over white, as models that know no transparency are shown it; floats in [0, 1]."""
    return blend(rgba, np.full((*rgba.shape[:2], 3), 255, np.uint8))


def blended_scores(
    found: AnyArray, wanted: AnyArray, behind: Mapping[str, Background], protocol: Protocol = "lossless"
) -> dict[str, float]:
    """Compares two images on backgrounds.

    Args:
        found: uint8 (h, w, 4), to judge.
        wanted: true image, same shape.
        behind: backgrounds by name, see `backgrounds`.
        protocol: see `blend`.

    Returns:
        `psnr` (dB, at most 120), `ssim` (not of images below 11 px), their means over all backgrounds;
        `worst_psnr`, the lowest of any background.

    Raises:
        InputError: shapes differ.
    """
    if found.shape != wanted.shape:
        raise InputError(
            f"Expected two images of one shape, found {found.shape} and {wanted.shape}. Resize one."
        )
    psnrs: list[float] = []
    ssims: list[float] = []
    for background in behind.values():
        first, second = (blend(rgba, background, protocol) for rgba in (found, wanted))
        error = float(np.square(first - second).mean())
        psnrs.append(min(PSNR_MAX, -10 * float(np.log10(max(error, 1e-12)))))
        if min(found.shape[:2]) >= SSIM_SIDE_PX:
            ssims.append(ssim(first, second))
    scores = {"psnr": float(np.mean(psnrs)), "worst_psnr": min(psnrs)}
    return scores | ({"ssim": float(np.mean(ssims))} if ssims else {})


def ssim(first: RGBFloat, second: RGBFloat) -> float:
    """Returns the structural similarity of two images in [0, 1]: Gaussian window of 11 px, sigma 1.5.

    Source: Wang et al. 2004, by torchmetrics: mean over channels and windows that lie wholly inside.
    """
    try:
        from torchmetrics.functional.image import structural_similarity_index_measure
    except ImportError as error:
        raise missing_package("torchmetrics", "structural similarity", "eval") from error
    # in float32: with float64, torch's grouped convolution takes 25 times as long on a CPU
    tensors = [torch.from_numpy(image).float().permute(2, 0, 1)[None] for image in (first, second)]
    _, everywhere = structural_similarity_index_measure(
        tensors[0], tensors[1], data_range=1.0, return_full_image=True
    )
    # its own mean counts windows that reach over the border, which the paper and scikit-image leave out
    inner = slice(SSIM_SIDE_PX // 2, -(SSIM_SIDE_PX // 2))
    return float(everywhere[..., inner, inner].mean())


def _filling(photo: UInt8[np.ndarray, "p q 3"], height: int, width: int) -> Background:
    scale = max(height / photo.shape[0], width / photo.shape[1])
    sides: Sequence[int] = (
        max(width, round(photo.shape[1] * scale)),
        max(height, round(photo.shape[0] * scale)),
    )
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    filled = cv2.resize(photo, sides, interpolation=way)
    top, left = (filled.shape[0] - height) // 2, (filled.shape[1] - width) // 2
    return np.ascontiguousarray(filled[top : top + height, left : left + width])
