"""What every painter draws with: a plane, noise, ramps of colour, and layers of premultiplied RGBA."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from pellucid.data.recolouring import COLOURS
from pellucid.data.rendering.noise import Floats, look_up
from pellucid.rgba.oklab import from_oklab
from pellucid.rgba.types import RGBA8

Stop = tuple[float, float, float, float]
"""Of a ramp of colours: place in [0, 1], then lightness, chroma and hue in degrees (OKLCH)."""


@lru_cache(maxsize=8)
def plane(size_px: int) -> tuple[Floats, Floats]:
    """Returns x to the right and y down of all pixels' centres, both in -1 to 1."""
    line = ((np.arange(size_px, dtype=np.float32) + 0.5) / size_px * 2 - 1).astype(np.float32)
    x, y = (np.ascontiguousarray(each, np.float32) for each in np.meshgrid(line, line))
    x.setflags(write=False)
    y.setflags(write=False)
    return x, y


@dataclass(frozen=True, slots=True)
class Sketch:
    """One image to be: where chance comes from, its side, the colour that was asked for, and how dense."""

    rng: np.random.Generator
    size_px: int
    colour: str = ""
    """A word of `COLOURS`; empty is the thing's own colour."""
    density: float = 1.0
    """0.5 is thin, 1 is usual, 1.7 is thick."""

    @property
    def x(self) -> Floats:
        return plane(self.size_px)[0]

    @property
    def y(self) -> Floats:
        return plane(self.size_px)[1]

    @property
    def pixel(self) -> float:
        """Side of a pixel in the plane."""
        return 2 / self.size_px

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def among(self, low: int, high: int) -> int:
        """Draws a whole number from `low` to `high`, both possible."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def noise(
        self,
        name: str,
        pitch: float,
        *,
        stretch: float = 1.0,
        x: Floats | None = None,
        y: Floats | None = None,
    ) -> Floats:
        """Draws a field of noise from a place of its own.

        Args:
            name: of the table.
            pitch: longest waves in one unit of the plane, which is half an image.
            stretch: how much longer than wide its grains are, upright; below 1 they lie.
            x: instead of the plane's own, (h, w).
            y: likewise.
        """
        across, down = self.rng.uniform(0, 8, 2).astype(np.float32)
        u = (self.x if x is None else x) * np.float32(pitch) + across
        v = (self.y if y is None else y) * np.float32(pitch / stretch) + down
        return look_up(name, u, v)

    def inside(self, distance: Floats) -> Floats:
        """Covers what lies inside an outline, with one pixel of soft edge.

        Args:
            distance: to the outline in the plane, (h, w), positive inside.
        """
        return np.clip(distance / np.float32(self.pixel) + np.float32(0.5), 0, 1)

    def away_from_border(self, margin: float = 0.14) -> Floats:
        """Fades to 0 at the border of the image, from `margin` inside it on."""
        near = 1 - np.maximum(np.abs(self.x), np.abs(self.y))
        return smooth(near, 0.02, margin)

    def within(self, reach: float = 0.97) -> Floats:
        """Fades to 0 at a circle of radius `reach`, so that a halo shows no corners."""
        return smooth(reach - np.hypot(self.x, self.y), 0.0, 0.45 * reach)

    def blurred(self, field: Floats, radius: float) -> Floats:
        """Blurs by a Gaussian whose deviation is `radius` in the plane; quick for wide ones, too."""
        sigma = radius / self.pixel
        shrink = min(8, 2 ** int(np.log2(max(1.0, sigma / 2))))
        if shrink == 1 or self.size_px % shrink:
            return np.asarray(cv2.GaussianBlur(field, (0, 0), max(sigma, 0.1)), np.float32)
        side = self.size_px // shrink
        small = cv2.resize(field, (side, side), interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), sigma / shrink, borderType=cv2.BORDER_REFLECT)
        large = cv2.resize(small, (self.size_px, self.size_px), interpolation=cv2.INTER_LINEAR)
        return np.asarray(large, np.float32)

    def shifted(self, field: Floats, x: float, y: float) -> Floats:
        """Moves a field right and down, in the plane's units; 0 comes in."""
        move = np.array([[1, 0, x / self.pixel], [0, 1, y / self.pixel]], np.float32)
        return np.asarray(cv2.warpAffine(field, move, (self.size_px, self.size_px)), np.float32)

    def matte(self, natural: Sequence[Sequence[Stop]]) -> Floats:
        """Chooses the ramp of a thing that light falls on, (256, 3): dark side to light side."""
        if not self.colour:
            return ramp(natural[self.among(0, len(natural) - 1)])
        colour = COLOURS[self.colour]
        light, chroma, hue = colour.lightness, colour.chroma, colour.hue
        return ramp(
            (
                (0.0, max(0.08, light - 0.24), chroma * 0.85, hue),
                (0.5, light, chroma, hue),
                (1.0, min(0.985, light + 0.2), chroma * 0.55, hue),
            )
        )

    def shining(self, natural: Sequence[Sequence[Stop]]) -> Floats:
        """Chooses the ramp of a thing that shines by itself, (256, 3): faint to its white-hot heart."""
        if not self.colour:
            return ramp(natural[self.among(0, len(natural) - 1)])
        colour = COLOURS[self.colour]
        light, chroma, hue = colour.lightness, colour.chroma, colour.hue
        heart = 0.55 if self.colour == "black" else 0.985
        # what has no hue to tell its parts apart needs more shades
        edge, middle = (0.86, 1.0) if chroma else (0.7, 0.92)
        return ramp(
            (
                (0.0, light * edge, chroma, hue),
                (0.45, light * middle, chroma, hue),
                (0.75, light + 0.5 * (heart - light), chroma * 0.7, hue),
                (1.0, heart, chroma * 0.12, hue),
            )
        )


def ramp(stops: Sequence[Stop]) -> Floats:
    """Makes a table of 256 colours from a few, (256, 3), sRGB in [0, 1]; blended in OKLab."""
    return _ramp(tuple(stops))


@lru_cache(maxsize=512)
def _ramp(stops: tuple[Stop, ...]) -> Floats:
    places, lightness, chroma, hue = (np.array(each, np.float64) for each in zip(*stops, strict=True))
    angle = np.radians(hue)
    line = np.linspace(0, 1, 256)
    parts = (lightness, chroma * np.cos(angle), chroma * np.sin(angle))
    made = from_oklab(np.stack([np.interp(line, places, part) for part in parts], axis=1))
    return made.astype(np.float32)


def smooth(value: Floats, low: float, high: float) -> Floats:
    """Rises smoothly from 0 at `low` to 1 at `high`."""
    part = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
    return part * part * (3 - 2 * part)


def layer(colours: Floats, place: Floats | float, alpha: Floats) -> Floats:
    """Paints a layer: the ramp's colour at `place`, seen as much as `alpha`.

    Args:
        colours: a ramp, (256, 3).
        place: in the ramp, (h, w) or one number, cut to [0, 1].
        alpha: (h, w), cut to [0, 1].

    Returns:
        float32 (h, w, 4), premultiplied.
    """
    alpha = np.clip(alpha, 0, 1)
    made = np.empty((*alpha.shape, 4), np.float32)
    if isinstance(place, np.ndarray):
        index = (np.clip(place, 0, 1) * np.float32(255)).astype(np.uint8)
        np.multiply(colours[index], alpha[..., None], out=made[..., :3])
    else:
        made[..., :3] = colours[round(min(max(place, 0.0), 1.0) * 255)] * alpha[..., None]
    made[..., 3] = alpha
    return made


def over(top: Floats, bottom: Floats) -> Floats:
    """Lays one premultiplied layer over another."""
    return top + bottom * (1 - top[..., 3:])


def stacked(layers: Sequence[Floats]) -> Floats:
    """Lays premultiplied layers over one another, the lowest first."""
    result = layers[0]
    for each in layers[1:]:
        result = over(each, result)
    return result


def lit(bottom: Floats, light: Floats) -> Floats:
    """Adds light to a layer as `screen` does, which never leaves colour above alpha."""
    return 1 - (1 - bottom) * (1 - light)


def mixed(below: Floats, above: Floats, share: Floats) -> Floats:
    """Goes from one layer to another by a share, (h, w)."""
    return below + (above - below) * share[..., None]


def finished(premultiplied: Floats) -> RGBA8:
    """Returns the image, uint8 (h, w, 4): straight alpha, black where nothing is seen."""
    alpha = premultiplied[..., 3:]
    result = np.empty(premultiplied.shape, np.uint8)
    seen = np.rint(np.clip(alpha, 0, 1) * 255)
    straight = premultiplied[..., :3] / np.maximum(alpha, 1e-6)
    result[..., :3] = np.rint(np.clip(straight, 0, 1) * 255) * (seen > 0)
    result[..., 3:] = seen
    return result


WHITE = ramp(((0.0, 1.0, 0.0, 0.0), (1.0, 1.0, 0.0, 0.0)))
BLACK = ramp(((0.0, 0.0, 0.0, 0.0), (1.0, 0.12, 0.0, 0.0)))
