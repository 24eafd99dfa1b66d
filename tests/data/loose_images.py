"""Loose images for tests of ingest: one good subject, and one image for each reason to drop it."""

import io

import numpy as np
from PIL import Image

from pellucid.rgba.types import RGBA8


def subject(seed: int, side: int = 96) -> RGBA8:
    """Draws a shaded blob on a transparent ground; each seed another outline and colour."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side - 0.5
    angle = np.arctan2(y, x)
    waves = sum(rng.uniform(0, 0.05) * np.cos(k * angle + rng.uniform(0, 6.3)) for k in range(1, 7))
    alpha = np.clip((0.3 + waves - np.hypot(x, y)) * side, 0, 1)
    shade = 0.6 + x * rng.uniform(-1, 1) + y * rng.uniform(-1, 1)
    ripple = 0.2 * np.sin(rng.uniform(10, 40) * x + rng.uniform(10, 40) * y + rng.uniform(0, 6))
    colour = np.clip((shade + ripple)[..., None] * rng.uniform(40, 255, 3), 0, 255)
    rgba = np.concatenate([colour, alpha[..., None] * 255], axis=2).round().astype(np.uint8)
    rgba[rgba[..., 3] == 0, :3] = 0
    return rgba


def over(rgba: RGBA8, background: np.ndarray) -> RGBA8:
    """Lays an image over an opaque one."""
    alpha = rgba[..., 3:] / 255
    colour = np.rint(rgba[..., :3] * alpha + background * (1 - alpha)).astype(np.uint8)
    return np.concatenate([colour, np.full_like(colour[..., :1], 255)], axis=2)


def checkerboard(side: int, cell: float = 8, levels: tuple[int, int] = (255, 204)) -> np.ndarray:
    """Draws two greys in cells, (side, side, 3)."""
    y, x = np.mgrid[:side, :side]
    odd = ((x / cell).astype(int) + (y / cell).astype(int)) % 2
    return np.repeat(np.where(odd, levels[1], levels[0])[..., None], 3, axis=2)


def encode(rgba: RGBA8, kind: str = "PNG", **options: object) -> bytes:
    """Encodes an image file; JPEG without alpha."""
    file = io.BytesIO()
    image = Image.fromarray(rgba)
    (image.convert("RGB") if kind == "JPEG" else image).save(file, kind, **options)  # type: ignore[arg-type]
    return file.getvalue()
