"""The shape that an image shows, guessed from its outline and its shading, and noise to draw on it.

An outline is taken for a pillow: flat inside, round towards the edge. Shading adds relief to it. That gives
normals good enough for the reflections of metal and the rims of glass.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from pellucid.rgba.oklab import TO_CONES, TO_LAB
from pellucid.rgba.srgb import decode_srgb
from pellucid.rgba.types import RGBA8, AnyArray

Plane = AnyArray
"""float32 (h, w)."""
Planes = AnyArray
"""float32 (h, w, c)."""

LINEAR = decode_srgb(np.arange(256) / 255).astype(np.float32)
"""Linear light of each byte."""
NOISE_PX = 512


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """What a material is drawn on; all planes are float32 (h, w)."""

    alpha: Plane
    """[0, 1]."""
    light: Plane
    """OKLab lightness, stretched so that the object's own darkest is 0 and its lightest 1."""
    depth: Plane
    """Distance to the outline over the size of the image."""
    normal: tuple[Plane, Plane, Plane]
    """Right, down and towards the viewer; of length 1."""
    lines: Plane
    """[0, 1], large where parts of different lightness meet."""

    @property
    def size_px(self) -> int:
        return len(self.alpha)

    @property
    def rim(self) -> Plane:
        """Returns how much a glancing look meets the surface, [0, 1]: 1 at the outline."""
        return (1 - self.normal[2]).clip(0, 1)


def lightness_of(rgba: RGBA8) -> Plane:
    """Returns OKLab's lightness of every pixel, clear ones too."""
    lms = cv2.transform(LINEAR[rgba[..., :3]], TO_CONES.astype(np.float32))
    return cv2.transform(np.cbrt(lms), TO_LAB[:1].astype(np.float32)).reshape(rgba.shape[:2])


def surface_of(rgba: RGBA8) -> Surface:
    """Reads the shape of an image, uint8 (h, w, 4) with something visible in it."""
    size = len(rgba)
    alpha = rgba[..., 3].astype(np.float32) / 255
    solid = alpha > 0.5
    raw = lightness_of(rgba)
    low, high = np.percentile(raw[solid], (3, 97)) if solid.any() else (0.0, 1.0)
    light = ((raw - low) / max(high - low, 0.12)).clip(0, 1).astype(np.float32)
    # outside, the lightness of what is next to it goes on, or the outline would be an edge of shading
    light = np.where(solid, light, _spread(light * solid, solid, size))
    depth = cv2.distanceTransform(np.pad(solid.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1] / size
    bevel = (depth / 0.13).clip(0, 1)
    pillow = np.sqrt(1 - (1 - bevel) ** 2) * 0.13
    relief = blurred(pillow.astype(np.float32), size / 70) + 0.05 * blurred(light, size / 110)
    right = cv2.Sobel(relief, cv2.CV_32F, 1, 0, ksize=3) * (size / 8)
    down = cv2.Sobel(relief, cv2.CV_32F, 0, 1, ksize=3) * (size / 8)
    length = np.sqrt(right**2 + down**2 + 0.55)
    normal = (-right / length, -down / length, np.float32(0.55**0.5) / length)
    lines = np.hypot(cv2.Sobel(light, cv2.CV_32F, 1, 0, ksize=3), cv2.Sobel(light, cv2.CV_32F, 0, 1, ksize=3))
    return Surface(alpha, light, depth.astype(np.float32), normal, (lines / 2.2).clip(0, 1))


def _spread(values: Plane, solid: NDArray[np.bool_], size: int) -> Plane:
    weight = blurred(solid.astype(np.float32), size / 40)
    return blurred(values, size / 40) / np.maximum(weight, 1e-3)


def blurred(plane: Plane, sigma: float) -> Plane:
    """Blurs with a Gaussian of `sigma` px."""
    return cv2.GaussianBlur(plane, (0, 0), max(sigma, 0.3), borderType=cv2.BORDER_REPLICATE)


@cache
def _noise_table() -> Plane:
    rng = np.random.default_rng(0)
    total = np.zeros((NOISE_PX, NOISE_PX), np.float32)
    for octave in range(2, 9):
        cells = rng.standard_normal((2**octave, 2**octave)).astype(np.float32)
        total += cv2.resize(cells, (NOISE_PX, NOISE_PX), interpolation=cv2.INTER_CUBIC) / 2 ** (octave - 2)
    # by rank: as much of every level as of every other
    ranks = np.empty(total.size, np.float32)
    ranks[np.argsort(total, axis=None)] = np.linspace(0, 1, total.size, dtype=np.float32)
    return ranks.reshape(total.shape)


def noise(rng: np.random.Generator, size_px: int, across: float, down: float | None = None) -> Plane:
    """Cuts a piece out of fractal noise, values evenly spread over [0, 1].

    Args:
        rng: says which piece.
        size_px: side of the piece.
        across: how much of the table a row spans, 0 to 1: small is coarse.
        down: the same of a column; None is as across. Another one stretches the grain.
    """
    table = _noise_table()
    width, height = (max(int(NOISE_PX * share), 2) for share in (across, down or across))
    left, top = rng.integers(0, NOISE_PX - width + 1), rng.integers(0, NOISE_PX - height + 1)
    piece = table[top : top + height, left : left + width]
    return cv2.resize(piece, (size_px, size_px), interpolation=cv2.INTER_LINEAR)


def cells(rng: np.random.Generator, size_px: int, count: int) -> tuple[AnyArray, Plane]:
    """Splits a square into cells around random points: number of the cell, and distance to its border, px."""
    points = np.full((size_px, size_px), 255, np.uint8)
    points[rng.integers(0, size_px, count), rng.integers(0, size_px, count)] = 0
    _, number = cv2.distanceTransformWithLabels(points, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    inside = np.ones_like(points)
    inside[:, 1:][number[:, 1:] != number[:, :-1]] = 0
    inside[1:][number[1:] != number[:-1]] = 0
    return number, cv2.distanceTransform(inside, cv2.DIST_L2, 3)


def ramp(values: Plane, *stops: tuple[int, int, int]) -> Planes:
    """Maps [0, 1] to colours between evenly spaced stops of sRGB levels; returns (h, w, 3) in [0, 1]."""
    along, places = np.linspace(0, 1, 256), np.linspace(0, 1, len(stops))
    levels = [np.interp(along, places, channel) for channel in zip(*stops, strict=True)]
    table = (np.stack(levels, axis=1) / 255).astype(np.float32)
    return table[(values.clip(0, 1) * 255).astype(np.uint8)]


def straight(rgb: Planes, alpha: Plane) -> RGBA8:
    """Rounds floats in [0, 1] to an image; nothing lies hidden under clear pixels."""
    levels = np.rint(np.dstack([rgb, alpha]).clip(0, 1) * 255).astype(np.uint8)
    levels[levels[..., 3] == 0] = 0
    return levels
