"""Smoke, steam, fog, clouds, dust and wind: heaps and threads of noise that light falls on."""

from collections.abc import Sequence

import numpy as np

from pellucid.data.rendering.noise import Floats
from pellucid.data.rendering.sketch import Sketch, Stop, layer, smooth

GREYS: Sequence[Sequence[Stop]] = (
    ((0.0, 0.42, 0.005, 260), (1.0, 0.88, 0.004, 90)),
    ((0.0, 0.30, 0.005, 260), (1.0, 0.74, 0.004, 90)),
    ((0.0, 0.62, 0.008, 260), (1.0, 0.98, 0.003, 90)),
)
WHITES: Sequence[Sequence[Stop]] = (
    ((0.0, 0.78, 0.012, 250), (1.0, 1.0, 0.0, 90)),
    ((0.0, 0.86, 0.006, 250), (1.0, 0.99, 0.0, 90)),
)
CLOUDS: Sequence[Sequence[Stop]] = (
    ((0.0, 0.68, 0.035, 255), (0.6, 0.93, 0.01, 250), (1.0, 1.0, 0.0, 90)),
    ((0.0, 0.50, 0.02, 260), (1.0, 0.90, 0.006, 250)),
)
DUSTS: Sequence[Sequence[Stop]] = (
    ((0.0, 0.52, 0.055, 70), (1.0, 0.86, 0.04, 85)),
    ((0.0, 0.60, 0.03, 75), (1.0, 0.90, 0.02, 85)),
)
LIGHT = (-0.5, -0.75)
"""Where light comes from: from above, a little from the left, as in the sets of emoji."""


def heap(sketch: Sketch, centres: Floats, radii: Floats, warp: float) -> Floats:
    """Returns how thick a heap of balls is, (h, w), their outlines torn by noise.

    Args:
        sketch: of the image.
        centres: (n, 2), x and y in the plane.
        radii: (n,).
        warp: how far outlines are torn.
    """
    pull = sketch.noise("fractal", 1.1), sketch.noise("fractal", 1.1)
    curl = sketch.noise("billow", 2.6), sketch.noise("fractal", 3.2)
    x = sketch.x + np.float32(warp) * (pull[0] + np.float32(0.45) * curl[1])
    y = sketch.y + np.float32(warp) * (pull[1] + np.float32(0.7) * (curl[0] - np.float32(0.4)))
    thick = np.zeros_like(x)
    for (across, down), radius in zip(centres.tolist(), radii.tolist(), strict=True):
        thick += np.sqrt(np.maximum(radius * radius - (x - across) ** 2 - (y - down) ** 2, 0))
    return thick


def shaded(sketch: Sketch, thick: Floats, ramp: Floats, opacity: float, relief: float = 1.0) -> Floats:
    """Lights a volume: the side towards the light is bright, what lies behind much of it is dark.

    Args:
        sketch: of the image.
        thick: how much there is of it, (h, w).
        ramp: its colours.
        opacity: how much of it hides what is behind.
        relief: how strongly its heaps stand out.
    """
    soft = sketch.blurred(thick, 0.03)
    slope_y, slope_x = np.gradient(soft, sketch.pixel)
    lean = (slope_x * LIGHT[0] + slope_y * LIGHT[1]) * -relief
    facing = lean / np.sqrt(1 + slope_x**2 + slope_y**2)
    behind = sketch.blurred(sketch.shifted(thick, -LIGHT[0] * 0.3, -LIGHT[1] * 0.3), 0.08)
    place = 0.28 + 0.42 * facing.astype(np.float32) + 0.45 * np.exp(-1.1 * behind)
    alpha = 1 - np.exp(-np.float32(opacity) * thick)
    return layer(ramp, place, alpha * sketch.away_from_border())


def _torn(sketch: Sketch, thick: Floats, amount: float, pitch: float = 1.8) -> Floats:
    """Thins a volume where noise is low, most at its rim."""
    holes = sketch.noise("billow", pitch)
    return np.maximum(thick * (1 - amount + 1.6 * amount * holes) - 0.12 * amount * (1 - holes), 0)


def puff(sketch: Sketch, size: float = 0.0) -> Floats:
    """Paints a round puff; `size` 1.1 to 2, or drawn."""
    count = sketch.among(7, 16)
    angle = sketch.rng.uniform(0, 2 * np.pi, count)
    reach = sketch.rng.uniform(0, 0.42, count)
    size = size or sketch.uniform(1.1, 1.6)
    width, height = size * sketch.uniform(0.85, 1.15), size * sketch.uniform(0.65, 1.0)
    centres = np.stack([reach * np.cos(angle) * width, reach * np.sin(angle) * height], axis=1)
    radii = size * sketch.rng.uniform(0.16, 0.36, count) * (1.1 - 0.7 * reach)
    thick = _torn(sketch, heap(sketch, centres, radii, 0.16), sketch.uniform(0.4, 0.9), 1.4)
    return shaded(sketch, thick, sketch.matte(GREYS), 1.1 * sketch.density)


def plume(sketch: Sketch) -> Floats:
    """Paints smoke that rises from below and spreads."""
    return rising(sketch, 0.84, 1.42, 2.1)


def rising(sketch: Sketch, foot: float, tall: float, opacity: float) -> Floats:
    """Paints smoke that rises from y = `foot` by `tall` and spreads."""
    count = sketch.among(14, 24)
    rise = np.sort(sketch.rng.uniform(0, 1, count)) ** 0.9
    lean, sway, wave = sketch.uniform(-0.35, 0.35), sketch.uniform(0.04, 0.16), sketch.uniform(3, 7)
    spread = sketch.uniform(0.2, 0.42) * max(0.85, tall / 1.42)
    x = lean * (rise**1.4 - 0.4) + sway * np.sin(wave * rise + sketch.uniform(0, 6)) * rise
    x += sketch.rng.normal(0, 0.5, count) * spread * rise
    radii = 0.07 + spread * rise * sketch.rng.uniform(0.7, 1.1, count)
    centres = np.stack([x, foot - tall * rise], axis=1)
    thick = _torn(sketch, heap(sketch, centres, radii, 0.13), sketch.uniform(0.4, 0.85), 1.8)
    fade = smooth(sketch.y, -1.0, -0.1) * 0.75 + 0.25
    return shaded(sketch, thick * fade, sketch.matte(GREYS), opacity * sketch.density)


def threads(sketch: Sketch, count: int, foot: float, top: float, width: float) -> Floats:
    """Returns how thick some rising threads are, (h, w): thin at their foot, wide and torn above.

    Args:
        sketch: of the image.
        count: of threads.
        foot: y of their lower ends.
        top: y of their upper ends.
        width: of them all together at the foot.
    """
    rise = np.clip((foot - sketch.y) / np.float32(foot - top), 0, 1)
    bend = sketch.noise("fractal", 0.9, stretch=1.3) * 0.42 * rise
    curl = sketch.noise("fractal", 2.0, stretch=1.5) * 0.13 * rise
    x = sketch.x + bend + curl
    thick = np.zeros_like(x)
    for index in range(count):
        start = (index - (count - 1) / 2) * width / max(1, count - 1)
        wave, phase, swing = sketch.uniform(4, 8), sketch.uniform(0, 6.3), sketch.uniform(0.03, 0.1)
        way = start + (swing * np.sin(wave * rise + phase) + (sketch.uniform(-0.18, 0.18))) * rise
        wide = 0.018 + sketch.uniform(0.05, 0.13) * rise
        away = (x - way) / wide
        # a sheet seen from its edge: one side sharp, the other fading
        sheet = np.where(away > 0, np.exp(-(away**2) * 3), np.exp(-(np.abs(away) ** 1.3)))
        thick += sheet * sketch.uniform(0.5, 1.0) / (1 + 1.6 * rise)
    ends = smooth(rise, 0.0, 0.12) * smooth(1 - rise, 0.0, 0.55)
    grain = 0.55 + 0.75 * sketch.noise("billow", 1.5, stretch=2.2)
    return (thick * ends * grain).astype(np.float32)


def wisp(sketch: Sketch) -> Floats:
    """Paints a thin thread of smoke."""
    thick = threads(sketch, sketch.among(1, 3), 0.92, -0.94, 0.1)
    place = np.clip(0.45 + 0.4 * thick, 0, 1)
    alpha = 1 - np.exp(-1.6 * sketch.density * thick)
    return layer(sketch.matte(GREYS), place, alpha * sketch.away_from_border())


def steam(sketch: Sketch) -> Floats:
    """Paints soft white threads that rise side by side."""
    thick = threads(sketch, sketch.among(2, 4), 0.85, -0.9, sketch.uniform(0.4, 0.8))
    thick = sketch.blurred(thick, 0.025)
    alpha = 1 - np.exp(-2.4 * sketch.density * thick)
    return layer(sketch.matte(WHITES), np.clip(0.5 + 0.4 * thick, 0, 1), alpha * sketch.away_from_border())


def fog_field(sketch: Sketch) -> Floats:
    """Returns how thick lying fog is, (h, w), about 0 to 1."""
    bend = sketch.noise("fractal", 0.5) * 0.09
    veils = sketch.noise("fractal", 0.75, stretch=0.38, y=sketch.y + bend)
    banks = sketch.noise("fractal", 0.5, stretch=0.6, y=sketch.y + bend)
    return np.clip(sketch.blurred(0.45 + 0.34 * veils + 0.28 * banks, 0.03), 0, 1.2)


def fog(sketch: Sketch) -> Floats:
    """Paints fog: over all of the image, a bank that lies below, or a drifting patch."""
    thick = fog_field(sketch)
    form = sketch.among(0, 2)
    if form == 0:
        thick = thick * smooth(sketch.y, sketch.uniform(-1.2, -0.6), sketch.uniform(0.0, 0.5))
    elif form == 1:
        middle, tall = sketch.uniform(-0.1, 0.35), sketch.uniform(0.3, 0.5)
        torn = sketch.noise("fractal", 0.9) * 0.14
        thick = thick * np.exp(-(((sketch.y - middle + torn) / tall) ** 2)) * 1.3
        thick = thick * smooth(1 - np.abs(sketch.x), 0.0, 0.4)
    alpha = 1 - np.exp(-1.5 * sketch.density * thick)
    lighter = 0.62 - 0.25 * sketch.y + 0.3 * (thick - 0.5)
    return layer(sketch.matte(WHITES), np.clip(lighter, 0, 1), np.minimum(alpha, 0.93))


def cloud(sketch: Sketch) -> Floats:
    """Paints a cloud of fair weather: heaps above, nearly flat below."""
    wide = sketch.uniform(0.5, 0.68)
    count = sketch.among(8, 14)
    x = np.linspace(-wide, wide, count) + sketch.rng.normal(0, 0.05, count)
    tall = (1 - (x / (wide * 1.25)) ** 2).clip(0.15, 1)
    radii = 0.14 + 0.32 * tall * sketch.rng.uniform(0.6, 1.1, count)
    floor = sketch.uniform(0.2, 0.35)
    y = floor - radii * 0.8 - 0.12 * tall * sketch.rng.uniform(0, 1.6, count)
    thick = heap(sketch, np.stack([x, y], axis=1), radii, 0.075)
    thick = thick * smooth(floor + 0.12 - sketch.y + 0.06 * sketch.noise("fractal", 2.0), 0.0, 0.26)
    thick = _torn(sketch, thick, 0.3, 2.4)
    return shaded(sketch, thick, sketch.matte(CLOUDS), 4.0 * sketch.density, 1.2)


def dust(sketch: Sketch) -> Floats:
    """Paints a cloud of dust along the ground, with grains in it."""
    count = sketch.among(8, 15)
    x = np.linspace(-0.6, 0.6, count) + sketch.rng.normal(0, 0.08, count)
    radii = sketch.rng.uniform(0.24, 0.44, count) * (1.1 - np.abs(x)).clip(0.4)
    y = 0.5 - radii * sketch.rng.uniform(0.4, 1.1, count)
    thick = heap(sketch, np.stack([x, y], axis=1), radii, 0.16)
    thick = thick * smooth(0.68 - sketch.y, 0.0, 0.25)
    thick = _torn(sketch, thick, 0.6, 1.8)
    grains = smooth(sketch.noise("ridge", 9.0), 0.75, 0.95) * sketch.blurred(thick, 0.12)
    return shaded(sketch, thick + 0.8 * grains, sketch.matte(DUSTS), 1.5 * sketch.density)


def smoke_ring(sketch: Sketch) -> Floats:
    """Paints a ring of smoke, seen a little from the side."""
    size, flat, tube = sketch.uniform(0.48, 0.62), sketch.uniform(0.5, 0.95), sketch.uniform(0.1, 0.16)
    torn_x, torn_y = (sketch.noise("fractal", 1.6) * 0.09 for _ in range(2))
    turn = sketch.uniform(-0.5, 0.5)
    x = sketch.x * np.cos(turn) + sketch.y * np.sin(turn) + torn_x
    y = (sketch.y * np.cos(turn) - sketch.x * np.sin(turn) + torn_y) / flat
    away = np.hypot(x, y) - size
    thick = np.exp(-((away / tube) ** 2)).astype(np.float32) * 0.7
    thick = _torn(sketch, thick, 0.9, 2.0)
    return shaded(sketch, thick, sketch.matte(GREYS), 1.5 * sketch.density)


def wind(sketch: Sketch) -> Floats:
    """Paints a gust: long soft stripes that lie on one another."""
    bend = sketch.noise("fractal", 0.5) * 0.1 + 0.13 * np.sin(2.6 * sketch.x + sketch.uniform(0, 6))
    y = sketch.y + bend
    thick = np.zeros_like(y)
    for _ in range(sketch.among(4, 7)):
        height, wide = sketch.uniform(-0.55, 0.55), sketch.uniform(0.03, 0.09)
        start, long = sketch.uniform(-0.9, -0.2), sketch.uniform(0.8, 1.5)
        along = (sketch.x - start) / long
        tip = smooth(along, 0.0, 0.7) * smooth(1 - along, 0.0, 0.18)
        thick += tip * np.exp(-(((y - height) / wide) ** 2)) * sketch.uniform(0.4, 0.9)
    grain = 0.9 + 0.4 * sketch.noise("fractal", 1.4, stretch=0.2, y=y)
    thick = (thick * grain).astype(np.float32)
    alpha = 1 - np.exp(-1.5 * sketch.density * thick)
    return layer(sketch.matte(WHITES), np.clip(0.4 + 0.5 * thick, 0, 1), alpha * sketch.away_from_border())
