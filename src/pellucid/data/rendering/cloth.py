"""Thin things that hang or swim: veils, silk, ghosts, jellyfish; and soft shadows."""

from collections.abc import Sequence

import numpy as np

from pellucid.data.rendering.noise import Floats
from pellucid.data.rendering.sketch import BLACK, Sketch, Stop, layer, over, smooth

CLOTHS: Sequence[Sequence[Stop]] = (
    ((0.0, 0.70, 0.012, 260), (0.5, 0.92, 0.006, 260), (1.0, 1.0, 0.0, 90)),
    ((0.0, 0.62, 0.05, 350), (0.5, 0.85, 0.06, 355), (1.0, 0.98, 0.01, 0)),
    ((0.0, 0.50, 0.08, 255), (0.5, 0.76, 0.08, 245), (1.0, 0.97, 0.02, 230)),
)
GHOSTS: Sequence[Sequence[Stop]] = (
    ((0.0, 0.72, 0.04, 250), (0.5, 0.93, 0.015, 240), (1.0, 1.0, 0.0, 90)),
    ((0.0, 0.66, 0.06, 215), (0.5, 0.90, 0.035, 205), (1.0, 1.0, 0.0, 90)),
)
JELLIES: Sequence[Sequence[Stop]] = (
    ((0.0, 0.52, 0.16, 310), (0.5, 0.74, 0.13, 325), (1.0, 0.96, 0.03, 340)),
    ((0.0, 0.52, 0.13, 255), (0.5, 0.76, 0.10, 235), (1.0, 0.97, 0.02, 220)),
    ((0.0, 0.60, 0.15, 20), (0.5, 0.80, 0.10, 30), (1.0, 0.97, 0.03, 50)),
)


def folds(sketch: Sketch, pleats: float, spread: float) -> tuple[Floats, Floats]:
    """Returns of a hanging cloth how steep it stands and how much light it takes, (h, w) each.

    Args:
        sketch: of the image.
        pleats: folds from side to side.
        spread: how much they spread downwards.
    """
    bend = sketch.blurred(sketch.noise("fractal", 0.6, stretch=3.0), 0.08) * 0.18
    fan = 1 + spread * (sketch.y + 1) / 2
    phase = (sketch.x / fan + bend) * pleats * np.pi + sketch.uniform(0, 6.3)
    phase = phase + 1.1 * np.sin(0.43 * phase + sketch.uniform(0, 6.3))
    steep = 1 - np.abs(np.cos(phase)) ** 1.4
    return steep.astype(np.float32), (0.5 + 0.5 * np.sin(phase + 0.9)).astype(np.float32)


def veil_field(sketch: Sketch, ramp: Floats) -> Floats:
    """Paints thin cloth over all of the image: the steeper it stands, the more of it the eye goes through."""
    steep, light = folds(sketch, sketch.uniform(3, 5.5), 0.5)
    alpha = (0.24 + 0.42 * steep) * sketch.density**0.7
    return layer(ramp, 0.25 + 0.65 * light, np.minimum(alpha, 0.92))


def veil(sketch: Sketch) -> Floats:
    """Paints a veil that hangs down."""
    cloth = veil_field(sketch, sketch.matte(CLOTHS))
    top, foot = sketch.uniform(-0.88, -0.75), sketch.uniform(0.6, 0.82)
    wide, flare = sketch.uniform(0.34, 0.55), sketch.uniform(0.05, 0.3)
    down = np.clip((sketch.y - top) / (foot - top), 0, 1)
    half = wide + flare * down**1.3 + 0.035 * np.sin(sketch.y * 5 + sketch.uniform(0, 6))
    waves, phase = sketch.uniform(6, 11), sketch.uniform(0, 6)
    hem = foot + 0.05 * np.sin(waves * sketch.x + phase) + 0.03 * np.sin(2.3 * waves * sketch.x)
    sag = top + 0.09 * (1 - (sketch.x / (wide + 0.01)) ** 2)
    cover = (
        sketch.inside(half - np.abs(sketch.x)) * sketch.inside(hem - sketch.y) * sketch.inside(sketch.y - sag)
    )
    return cloth * np.clip(cover, 0, 1)[..., None]


def silk(sketch: Sketch) -> Floats:
    """Paints a strip of thin silk that floats on the wind."""
    turn = sketch.uniform(-0.6, 0.6)
    along = sketch.x * np.cos(turn) + sketch.y * np.sin(turn)
    aside = sketch.y * np.cos(turn) - sketch.x * np.sin(turn)
    wave, phase, swing = sketch.uniform(2.5, 4.5), sketch.uniform(0, 6), sketch.uniform(0.12, 0.22)
    middle = swing * np.sin(wave * along + phase) + sketch.noise("fractal", 0.6) * 0.05
    half = sketch.uniform(0.2, 0.32) * (1 + 0.4 * np.sin(wave * 0.8 * along + phase + 1.4))
    across = (aside - middle) / half
    phase_of = 2.6 * across + 1.5 * wave * along + sketch.blurred(sketch.noise("fractal", 0.7), 0.08) * 1.6
    steep = 1 - np.abs(np.cos(phase_of)) ** 1.5
    cover = sketch.inside((1 - np.abs(across)) * half) * smooth(0.86 - np.abs(along), 0.0, 0.16)
    hem = np.exp(-((((1 - np.abs(across)) * half) / 0.02) ** 2)) * 0.25
    alpha = (0.28 + 0.45 * steep + hem) * sketch.density**0.6
    light = 0.5 + 0.42 * np.sin(phase_of + 0.8)
    return (
        layer(sketch.matte(CLOTHS), light, (alpha * cover).astype(np.float32))
        * sketch.away_from_border(0.06)[..., None]
    )


def ghost(sketch: Sketch) -> Floats:
    """Paints a ghost: a sheet with two eyes, clearer towards its hem."""
    wide, top, foot = sketch.uniform(0.42, 0.54), sketch.uniform(-0.82, -0.7), sketch.uniform(0.68, 0.82)
    sway = sketch.uniform(-0.14, 0.14) * smooth(sketch.y, -0.2, 0.9) + sketch.noise("fractal", 0.7) * 0.035
    x = sketch.x - sway
    head = top + wide
    half = np.where(
        sketch.y < head,
        np.sqrt(np.maximum(wide**2 - (sketch.y - head) ** 2, 0)),
        wide + 0.14 * np.maximum(sketch.y - head, 0),
    )
    waves = sketch.among(2, 3)
    hem = foot + 0.08 * np.cos(x / wide * np.pi * waves / 1.15 + sketch.uniform(-0.3, 0.3))
    cover = sketch.inside((half - np.abs(x)).astype(np.float32)) * sketch.inside(hem - sketch.y)
    cover = cover * sketch.inside(sketch.y - top)
    across = np.clip(x / np.maximum(half, 0.01), -1, 1)
    rim = 1 - np.sqrt(1 - across**2)
    down = np.clip((sketch.y - top) / (foot - top), 0, 1)
    fade = 1 - sketch.uniform(0.45, 0.85) * down**1.2
    pleat = 0.16 * np.sin(across * 7 + sketch.noise("fractal", 0.8)) * down
    alpha = (0.52 + 0.3 * rim + pleat * 0.5) * fade * sketch.density**0.5
    made = layer(
        sketch.matte(GHOSTS),
        0.78 - 0.35 * across * 0.6 - 0.45 * rim + pleat,
        (alpha * cover).astype(np.float32),
    )
    gap, size = wide * sketch.uniform(0.3, 0.4), wide * sketch.uniform(0.13, 0.18)
    eyes = size - np.hypot(np.abs(x + 0.03) - gap, (sketch.y - head + 0.02) * 0.72)
    mouth = size * 0.9 - np.hypot(x + 0.03, (sketch.y - head - wide * 0.52) * sketch.uniform(0.7, 1.2))
    face = sketch.inside(eyes) if sketch.chance(0.4) else sketch.inside(np.maximum(eyes, mouth))
    return over(layer(BLACK, 0.8, face * 0.88 * cover), made)


def jellyfish(sketch: Sketch) -> Floats:
    """Paints a jellyfish: a clear bell and trailing arms."""
    wide, y, tall = sketch.uniform(0.46, 0.6), sketch.uniform(-0.22, -0.1), sketch.uniform(0.46, 0.58)
    tint = sketch.matte(JELLIES)
    made = np.zeros((sketch.size_px, sketch.size_px, 4), np.float32)
    down = np.clip((sketch.y - y) / (0.9 - y), 0, 1)
    for index in range(sketch.among(6, 10)):
        start = sketch.uniform(-0.8, 0.8) * wide
        way = start * (1 - 0.25 * down) + 0.09 * np.sin(
            sketch.uniform(5, 9) * sketch.y + sketch.uniform(0, 6)
        ) * (0.3 + down)
        half = (0.055 if index < 3 else 0.016) * (1 - down) ** 0.6 + 0.004
        arm = (
            np.exp(-(((sketch.x - way) / half) ** 2))
            * (sketch.y > y - 0.08)
            * smooth(1 - down, 0.0, sketch.uniform(0.3, 0.7))
        )
        made = over(layer(tint, 0.7, (0.5 * arm).astype(np.float32)), made)
    scallop = 0.04 * np.abs(np.sin(sketch.x / wide * 9))
    u, v = sketch.x / wide, (sketch.y - y) / tall
    away = np.hypot(u, np.minimum(v, 0)) + np.maximum(v, 0) * 3
    cover = sketch.inside((1 - away) * wide) * sketch.inside(y + 0.1 - scallop + 0.05 * (1 - u**2) - sketch.y)
    rim = 1 - np.sqrt(np.maximum(1 - np.minimum(away, 1) ** 2, 0))
    ribs = 0.5 + 0.5 * np.cos(np.arctan2(u, -v + 0.35) * 14)
    alpha = (0.26 + 0.42 * rim + 0.12 * ribs * smooth(v, -0.9, 0.0)) * sketch.density**0.5
    made = over(
        layer(tint, 0.62 - 0.35 * rim + 0.2 * ribs - 0.2 * v, (alpha * cover).astype(np.float32)), made
    )
    gleam = smooth(0.3 - np.hypot((u + 0.35) * 0.8, v + 0.62), 0.0, 0.22) * 0.55
    heart = np.exp(-(((u / 0.45) ** 2) + ((v + 0.3) / 0.32) ** 2)) * 0.35
    made = over(layer(tint, 0.95, (heart * cover).astype(np.float32)), made)
    return over(layer(tint, 1.0, gleam * cover), made)


def shadow(sketch: Sketch) -> Floats:
    """Paints the soft shadow of something that is not there: dark where it stood, wide and faint around."""
    wide, flat, y = sketch.uniform(0.4, 0.66), sketch.uniform(0.18, 0.45), sketch.uniform(0.0, 0.35)
    slant = sketch.uniform(-0.5, 0.5)
    away = np.hypot((sketch.x - slant * (sketch.y - y)) / wide, (sketch.y - y) / (wide * flat))
    soft = sketch.uniform(0.25, 0.6)
    alpha = 0.62 * smooth(1 + soft - away, 0.0, 2 * soft) * min(1.4, sketch.density**0.6)
    ramp = sketch.matte((((0.0, 0.0, 0.0, 0.0), (1.0, 0.1, 0.0, 0.0)),))
    return layer(ramp, 0.3, alpha * sketch.away_from_border(0.2))
