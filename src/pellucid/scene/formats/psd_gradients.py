"""Gradients of a PSD: from stops to colours along a line, and from the line to the plane.

Adobe's specification has the numbers and not what they mean. Where "smoothness" is full, Photoshop puts a
Catmull-Rom spline through the stops, whose ends count twice: so does a real document of two stops, within
a level. The ramp is taken at a pixel's corner, not its middle.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from psd_tools.psd.descriptor import Descriptor
from psd_tools.terminology import Enum, Key, Type

from pellucid.rgba.types import AnyArray
from pellucid.scene.formats.psd_descriptors import NOTHING, colour_levels, enumerated, number

FULL = 4096
"""The end of the ramp, and full smoothness."""
STEPS = 1 << 12
TINY = 1e-9
KINDS = (Enum.Linear, Enum.Radial, Enum.Angle, Enum.Reflected, Enum.Diamond)
ALIGNED, OFFSET, USER_STOP = b"Algn", b"Ofst", b"UsrS"

Box = tuple[int, int, int, int]
"""(top, left, bottom, right), pixels of the canvas."""


@dataclass(frozen=True, eq=False)
class Gradient:
    """A gradient, ready to be painted."""

    kind: bytes
    angle: float
    """Radians, from the right, against the clock."""
    scale: float
    reverse: bool
    aligned: bool
    """Whether it is laid over the layer's own box, else over the canvas."""
    offset: tuple[float, float]
    """Right and down, in shares of the box."""
    ramp: AnyArray
    """Levels and, last, opacity, at even steps: (STEPS + 1, channels + 1), [0, 1]."""

    def paint(self, box: Box, rows: slice, columns: slice) -> AnyArray:
        """Returns levels and opacity, float (h, w, channels + 1), of a part of the canvas."""
        along = self._places(box, rows, columns)
        if self.reverse:
            along = 1 - along
        places = np.clip(along, 0, 1) * STEPS
        steps = np.arange(STEPS + 1)
        channels = [np.interp(places, steps, self.ramp[:, number]) for number in range(self.ramp.shape[1])]
        return np.stack(channels, axis=-1)

    def _places(self, box: Box, rows: slice, columns: slice) -> AnyArray:
        top, left, bottom, right = box
        height, width = bottom - top, right - left
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        # as long as the line through the middle is within the box
        reaches = (width / max(abs(cosine), TINY), height / max(abs(sine), TINY))
        length = max(min(reaches), 1) * self.scale
        down: AnyArray = (
            np.arange(rows.start, rows.stop, dtype=np.float64)[:, None]
            - (top + bottom) / 2
            - self.offset[1] * height
        )
        aside: AnyArray = (
            np.arange(columns.start, columns.stop, dtype=np.float64)
            - (left + right) / 2
            - self.offset[0] * width
        )
        along: AnyArray = (aside * cosine - down * sine) / length
        if self.kind == Enum.Linear:
            return along + 0.5
        if self.kind == Enum.Reflected:
            return np.abs(along) * 2
        across: AnyArray = (aside * sine + down * cosine) / length
        if self.kind == Enum.Radial:
            return np.hypot(along, across) * 2
        if self.kind == Enum.Diamond:
            return (np.abs(along) + np.abs(across)) * 2
        return (np.arctan2(-across, along) / (2 * np.pi)) % 1


def parse_gradient(fill: Descriptor, classes: Iterable[bytes]) -> Gradient | None:
    """Reads what a fill or an effect says of its gradient; returns None if it is of a kind not known here.

    Args:
        fill: with a gradient.
        classes: kinds of colours that are levels of the document.

    Raises:
        ValueError, LookupError: the file is damaged.
    """
    gradient = fill.get(Key.Gradient)
    if not isinstance(gradient, Descriptor) or enumerated(gradient, Type.GradientForm) != Enum.CustomStops:
        return None
    kind = enumerated(fill, Key.Type)
    colours = [stop for stop in gradient.get(Key.Colors, ()) if isinstance(stop, Descriptor)]
    opacities = [stop for stop in gradient.get(Key.Transparency, ()) if isinstance(stop, Descriptor)]
    if kind not in KINDS or not colours or not all(_is_own(stop, tuple(classes)) for stop in colours):
        return None
    smooth = min(max(number(gradient, Key.Interpolation, FULL) / FULL, 0), 1)
    levels = _ramp(colours, [colour_levels(stop[Key.Color])[0, 0] for stop in colours], smooth)
    shares = [np.array([number(stop, Key.Opacity, 100) / 100]) for stop in opacities]
    alpha = _ramp(opacities, shares, smooth) if opacities else np.ones((STEPS + 1, 1))
    offset = fill.get(OFFSET)
    known = offset if isinstance(offset, Descriptor) else NOTHING
    return Gradient(
        kind=kind,
        angle=float(np.radians(number(fill, Key.Angle, 0))),
        scale=max(number(fill, Key.Scale, 100) / 100, 0.01),
        reverse=bool(fill.get(Key.Reverse, False)),
        aligned=bool(fill.get(ALIGNED, True)),
        offset=(number(known, Key.Horizontal, 0) / 100, number(known, Key.Vertical, 0) / 100),
        ramp=np.concatenate([levels, alpha], axis=1),
    )


def _is_own(stop: Descriptor, classes: Sequence[bytes]) -> bool:
    """Says whether a stop has a colour of the document's kind, not the one that a brush had at the time."""
    colour = stop.get(Key.Color)
    return enumerated(stop, Key.Type) == USER_STOP and (
        isinstance(colour, Descriptor) and colour.classID in classes
    )


def _ramp(stops: Sequence[Descriptor], values: Sequence[AnyArray], smooth: float) -> AnyArray:
    """Returns values at even steps between 0 and 1, (STEPS + 1, n)."""
    places = np.array([number(stop, Key.Location, 0) / FULL for stop in stops])
    middles = np.clip(np.array([number(stop, Key.Midpoint, 50) / 100 for stop in stops]), 0.01, 0.99)
    order = np.argsort(places, kind="stable")
    places, middles, known = places[order], middles[order], np.array(values)[order]
    if len(known) == 1:
        return np.repeat(known, STEPS + 1, axis=0)
    at = np.clip(np.linspace(0, 1, STEPS + 1), places[0], places[-1])
    after = np.clip(np.searchsorted(places, at, side="right"), 1, len(places) - 1)
    before = after - 1
    gap = places[after] - places[before]
    share = np.clip((at - places[before]) / np.where(gap > 0, gap, 1), 0, 1)
    # of a pair of stops the upper one has the place of the middle colour
    middle = middles[after]
    share = np.where(share < middle, share / (2 * middle), 1 - (1 - share) / (2 - 2 * middle))[:, None]
    low, high = known[before], known[after]
    straight = low + (high - low) * share
    ends = np.concatenate([known[:1], known, known[-1:]])
    slopes = (ends[2:] - ends[:-2]) / 2
    first, second = slopes[before], slopes[after]
    bent = low + share * first + share**2 * (3 * (high - low) - 2 * first - second)
    bent += share**3 * (first + second - 2 * (high - low))
    return np.clip(straight + smooth * (bent - straight), 0, 1)
