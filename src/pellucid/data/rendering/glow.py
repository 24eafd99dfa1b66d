"""Light in air: glows, halos, neon, beams, rays, sparkles, comets, lightning, aurora, rainbows."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from pellucid.data.rendering.noise import Floats
from pellucid.data.rendering.sketch import Sketch, Stop, layer, lit, ramp, smooth

WARM: Sequence[Sequence[Stop]] = (
    ((0.0, 0.80, 0.15, 75), (0.5, 0.90, 0.13, 95), (1.0, 0.995, 0.02, 100)),
    ((0.0, 0.90, 0.06, 95), (1.0, 1.0, 0.0, 100)),
    ((0.0, 0.74, 0.17, 60), (0.5, 0.86, 0.14, 85), (1.0, 0.99, 0.03, 98)),
)
COOL: Sequence[Sequence[Stop]] = (
    ((0.0, 0.70, 0.14, 240), (0.5, 0.86, 0.09, 215), (1.0, 0.99, 0.01, 200)),
    ((0.0, 0.92, 0.03, 230), (1.0, 1.0, 0.0, 100)),
)
NEON: Sequence[Sequence[Stop]] = (
    ((0.0, 0.62, 0.26, 345), (0.5, 0.76, 0.19, 345), (1.0, 0.98, 0.03, 345)),
    ((0.0, 0.68, 0.16, 215), (0.5, 0.84, 0.13, 205), (1.0, 0.99, 0.02, 200)),
    ((0.0, 0.74, 0.22, 142), (0.5, 0.88, 0.18, 145), (1.0, 0.99, 0.04, 145)),
    ((0.0, 0.58, 0.24, 300), (0.5, 0.72, 0.19, 305), (1.0, 0.97, 0.03, 310)),
)
AURORA: Sequence[Sequence[Stop]] = (
    ((0.0, 0.55, 0.19, 310), (0.4, 0.72, 0.15, 180), (1.0, 0.90, 0.18, 150)),
    ((0.0, 0.60, 0.20, 345), (0.4, 0.72, 0.16, 165), (1.0, 0.92, 0.16, 140)),
    ((0.0, 0.50, 0.19, 275), (0.5, 0.72, 0.13, 210), (1.0, 0.92, 0.12, 170)),
)


def glow(sketch: Sketch) -> Floats:
    """Paints a round glow that fades to nothing."""
    reach, heart = sketch.uniform(0.65, 0.92), sketch.uniform(0.1, 0.3)
    flat = sketch.uniform(0.85, 1.1)
    away = np.hypot(sketch.x, sketch.y * flat)
    fade = smooth(1 - away / reach, 0.0, 1.0)
    core = np.exp(-((away / heart) ** 2))
    light = np.clip(0.72 * sketch.density**0.7 * fade**1.3 + 0.9 * core, 0, 1)
    return layer(sketch.shining(WARM), 0.3 * fade + 0.8 * core, light.astype(np.float32))


def halo(sketch: Sketch) -> Floats:
    """Paints a ring of light, seen from the front or as it hovers over a head."""
    size, flat = sketch.uniform(0.48, 0.64), sketch.uniform(0.25, 0.4) if sketch.chance(0.5) else 1.0
    away = np.abs(np.hypot(sketch.x, sketch.y / flat) - size) * (flat if flat < 1 else 1)
    tube = sketch.uniform(0.02, 0.05)
    core = np.exp(-((away / tube) ** 2))
    fade = np.exp(-away / (0.11 * sketch.density**0.5)) * 0.75
    light = np.clip(core + fade, 0, 1) * sketch.within()
    return layer(sketch.shining(WARM), 0.25 + 0.75 * core, light.astype(np.float32))


def ball_of_light(sketch: Sketch) -> Floats:
    """Paints a ball of light with threads of brightness in it."""
    size = sketch.uniform(0.38, 0.52)
    away = np.hypot(sketch.x, sketch.y)
    threads = sketch.noise("ridge", 1.8) * 0.6
    ball = smooth(size - away, -0.05, 0.3)
    rim = np.exp(-(((away - size * 0.93) / 0.05) ** 2))
    fade = 0.55 * np.exp(-np.maximum(away - size, 0) / 0.13)
    light = np.clip(0.45 * ball + threads * ball + 0.4 * rim + fade * (away > size * 0.9), 0, 1)
    place = 0.25 + 0.5 * ball * threads + 0.55 * np.exp(-((away / 0.2) ** 2))
    light = np.clip(light + 0.8 * np.exp(-((away / 0.2) ** 2)), 0, 1) * sketch.within()
    return layer(sketch.shining(COOL), place, light.astype(np.float32))


def _round(count: int, inner: float, turn: float) -> Floats:
    """Returns corners of a star (`inner` below 1) or of a polygon, (n, 2)."""
    angle = turn + np.arange(count) * 2 * np.pi / count
    reach = np.where(np.arange(count) % 2, inner, 1.0)
    return np.stack([reach * np.cos(angle), reach * np.sin(angle)], axis=1).astype(np.float32)


def _heart() -> Floats:
    t = np.linspace(0, 2 * np.pi, 60)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return (np.stack([x, y], axis=1) / 16).astype(np.float32)


def _moon() -> Floats:
    t = np.linspace(-2.2, 2.2, 40)
    outer = np.stack([-np.cos(t), np.sin(t)], axis=1)
    inner = np.stack([0.45 - 0.98 * np.cos(t[::-1] * 0.76), np.sin(t[::-1]) * 1.0], axis=1)
    return np.concatenate([outer, inner]).astype(np.float32)


OUTLINES: dict[str, Callable[[], Floats]] = {
    "circle": lambda: _round(48, 1.0, 0.0),
    "triangle": lambda: _round(3, 1.0, -np.pi / 2),
    "square": lambda: _round(4, 1.0, np.pi / 4),
    "star": lambda: _round(10, 0.45, -np.pi / 2),
    "heart": _heart,
    "crescent moon": _moon,
    "diamond": lambda: _round(4, 1.0, 0.0) * np.array([0.75, 1.0], np.float32),
}


def neon(outline: str) -> Callable[[Sketch], Floats]:
    """Makes the painter of an outline as a tube of light."""

    def paint(sketch: Sketch) -> Floats:
        size = sketch.uniform(0.45, 0.6)
        corners = OUTLINES[outline]() * size
        field = np.full((sketch.size_px, sketch.size_px), 255, np.uint8)
        line = np.rint((corners + 1) / sketch.pixel * 16 - 8).astype(np.int32)
        cv2.polylines(field, [line], True, 0, 1, cv2.LINE_8, 4)
        away = cv2.distanceTransform(field, cv2.DIST_L2, 5) * np.float32(sketch.pixel)
        tube = sketch.uniform(0.028, 0.05)
        core = smooth(tube * 1.6 - away, 0.0, tube)
        fade = 0.8 * np.exp(-away / (0.1 * sketch.density**0.5)) + 0.15 * np.exp(-((away / 0.3) ** 2))
        light = np.clip(core + fade, 0, 1) * sketch.within()
        return layer(sketch.shining(NEON), 0.2 + 0.8 * core * smooth(tube - away, -tube * 0.4, tube), light)

    return paint


def beam(sketch: Sketch) -> Floats:
    """Paints a cone of light from a lamp, with motes of dust in it."""
    slant, top = sketch.uniform(-0.5, 0.5), sketch.uniform(-1.25, -0.8)
    spread, mouth = sketch.uniform(0.22, 0.5), sketch.uniform(0.02, 0.12)
    down = sketch.y - top
    half = mouth + spread * np.maximum(down, 0)
    across = (sketch.x + slant * 0.5 - slant * down * 0.6) / half
    shape = smooth(1 - np.abs(across), 0.0, sketch.uniform(0.35, 0.9))
    fade = np.exp(-0.75 * np.maximum(down, 0)) * smooth(0.95 - sketch.y, 0.0, 1.0)
    grain = 0.8 + 0.28 * sketch.noise("fractal", 1.2)
    motes = smooth(sketch.noise("ridge", 7.0), 0.86, 0.97) * 0.35
    light = shape * (down > 0) * fade * (grain + motes) * sketch.density**0.7 * 1.05
    return layer(sketch.shining(WARM), 0.15 + 0.6 * light, np.clip(light, 0, 0.9).astype(np.float32))


def spotlight(sketch: Sketch) -> Floats:
    """Paints a cone of light from above and the bright spot where it meets the floor."""
    wide, floor = sketch.uniform(0.4, 0.62), sketch.uniform(0.55, 0.68)
    down = np.clip((sketch.y + 0.92) / (floor + 0.92), 0, 1)
    side = sketch.uniform(-0.3, 0.3)
    across = (sketch.x - side * (1 - down) * 1.6) / (0.05 + wide * down)
    cone = smooth(1 - np.abs(across), 0.0, 0.5) * smooth(sketch.y, -0.97, -0.8)
    flat = 0.26
    spot = smooth(1.06 - np.hypot(sketch.x / wide, (sketch.y - floor) / (wide * flat)), 0.0, 0.35)
    cone = cone * (sketch.y < floor) * (0.5 - 0.25 * down) * (0.85 + 0.25 * sketch.noise("fractal", 1.0))
    light = np.clip(np.maximum(cone, 0) + spot * 0.62, 0, 1) * min(1.25, sketch.density**0.6)
    light = np.clip(light, 0, 0.95) * sketch.away_from_border(0.06)
    return layer(sketch.shining(WARM), 0.2 + 0.55 * light, light.astype(np.float32))


def rays(sketch: Sketch) -> Floats:
    """Paints rays of light that spread from one place."""
    centre = (sketch.uniform(-0.7, 0.7), -1.0) if sketch.chance(0.5) else (0.0, 0.0)
    x, y = sketch.x - centre[0], sketch.y - centre[1]
    away = np.hypot(x, y)
    angle = np.arctan2(y, x) * sketch.among(3, 5) / np.pi  # a whole number of waves: no seam
    streak = sketch.noise("fractal", 1.0, x=np.abs(angle), y=np.zeros_like(angle))
    reach = sketch.uniform(0.7, 0.92) if centre[1] == 0 else sketch.uniform(1.2, 1.7)
    fade = smooth(1 - away / reach, 0.0, 1.0)
    light = fade * (0.3 + 0.8 * np.clip(streak + 0.25, 0, 1.2)) * sketch.density**0.6
    light = np.clip(light + 0.8 * np.exp(-((away / 0.14) ** 2)), 0, 0.97)
    return layer(sketch.shining(WARM), 0.1 + 0.75 * light, light.astype(np.float32))


def _twinkle(sketch: Sketch, x: float, y: float, size: float) -> Floats:
    """Returns one star with four long points and a glow, (h, w)."""
    across, down = np.abs(sketch.x - x) / size, np.abs(sketch.y - y) / size
    away = np.hypot(across, down)
    points = np.exp(-9 * np.sqrt(across * down)) * np.clip(1 - away, 0, 1) ** 1.2
    return points * 1.2 + np.exp(-((away / 0.16) ** 2)) + 0.3 * np.exp(-((away / 0.45) ** 2))


def sparkles(sketch: Sketch) -> Floats:
    """Paints some twinkling stars of light."""
    count = sketch.among(1, 7)
    light = np.zeros_like(sketch.x)
    for index in range(count):
        size = sketch.uniform(0.5, 0.75) if count == 1 else sketch.uniform(0.14, 0.42)
        reach = 0.0 if count == 1 else 0.82 - size
        at = sketch.uniform(-reach, reach), sketch.uniform(-reach, reach)
        light = np.maximum(light, _twinkle(sketch, *at, size * (1.2 if index == 0 else 1.0)))
    light = np.clip(light, 0, 1).astype(np.float32) * sketch.away_from_border(0.1)
    return layer(sketch.shining(WARM), light * 0.95, light)


def lens_flare(sketch: Sketch) -> Floats:
    """Paints a bright light and its reflections in a lens, along one line."""
    turn, far = sketch.uniform(0, 6.3), sketch.uniform(0.35, 0.5)
    way = np.array([np.cos(turn), np.sin(turn)]) * far
    light = _twinkle(sketch, float(way[0]), float(way[1]), 0.42) * 1.1
    away = np.hypot(sketch.x - way[0], sketch.y - way[1])
    light = light + 0.35 * np.exp(-(((away - 0.34) / 0.03) ** 2))
    light = np.maximum(
        light, 0.7 * np.exp(-(np.abs(sketch.y - way[1]) / 0.012)) * np.exp(-np.abs(sketch.x - way[0]) * 2.5)
    )
    for part in (-0.35, -0.75, -1.2, 0.45)[: sketch.among(2, 4)]:
        radius = sketch.uniform(0.06, 0.17)
        ghost = np.hypot(sketch.x - part * way[0], sketch.y - part * way[1])
        light = light + sketch.inside(radius - ghost) * 0.22 * (0.4 + 0.6 * ghost / radius)
    light = np.clip(light, 0, 1).astype(np.float32) * sketch.away_from_border(0.12)
    return layer(sketch.shining(WARM), light, light)


def comet(sketch: Sketch) -> Floats:
    """Paints a comet: a bright head and a tail that widens and fades."""
    turn = sketch.uniform(-1.1, -0.4) if sketch.chance(0.5) else np.pi - sketch.uniform(-1.1, -0.4)
    head = -np.array([np.cos(turn), np.sin(turn)]) * sketch.uniform(0.4, 0.5)
    x, y = sketch.x - head[0], sketch.y - head[1]
    along, aside = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    back = np.maximum(along, 0)
    wide = 0.1 + 0.2 * back
    streaks = 0.65 + 0.5 * sketch.noise("fractal", 2.2, stretch=7, x=aside / wide * 0.5, y=along)
    tail = np.exp(-((aside / wide) ** 2)) * np.exp(-1.5 * back) * (along > 0) * streaks
    tail = tail * smooth(1.35 - back, 0.0, 0.9)
    away = np.hypot(x, y)
    head_light = np.exp(-((away / 0.11) ** 2)) * 1.3 + 0.5 * np.exp(-((away / 0.24) ** 2))
    light = np.clip(tail * 0.85 * (1 - np.exp(-((away / 0.06) ** 2))) + head_light, 0, 1)
    light = light.astype(np.float32) * sketch.away_from_border(0.12)
    return layer(sketch.shining(COOL), light * 0.95, light)


def _bolt(sketch: Sketch, start: Floats, end: Floats, jag: float) -> Floats:
    """Returns a jagged way between two places, (17, 2), by halving and moving."""
    way = np.stack([start, end])
    for _ in range(4):
        middle = (way[:-1] + way[1:]) / 2 + sketch.rng.normal(0, jag, (len(way) - 1, 2))
        joined = np.empty((2 * len(way) - 1, 2))
        joined[::2], joined[1::2] = way, middle
        way, jag = joined, jag * 0.52
    return way.astype(np.float32)


def lightning(sketch: Sketch) -> Floats:
    """Paints a bolt of lightning with branches."""
    field = np.zeros((sketch.size_px, sketch.size_px), np.float32)
    start = np.array([sketch.uniform(-0.3, 0.3), -0.86], np.float32)
    main = _bolt(sketch, start, np.array([sketch.uniform(-0.35, 0.35), 0.86], np.float32), 0.17)
    ways = [(main, max(1, sketch.size_px // 56))]
    for _ in range(sketch.among(1, 4)):
        root = main[sketch.among(3, 11)]
        tip = root + np.array([sketch.uniform(-0.5, 0.5), sketch.uniform(0.25, 0.5)], np.float32)
        ways.append((_bolt(sketch, root, tip.clip(-0.8, 0.8), 0.06), max(1, sketch.size_px // 128)))
    for way, thick in ways:
        line = np.rint((way + 1) / sketch.pixel * 16 - 8).astype(np.int32)
        cv2.polylines(field, [line], False, 1.0, thick, cv2.LINE_AA, 4)
    near, far = sketch.blurred(field, 0.03), sketch.blurred(field, 0.12)
    light = np.clip(field + 0.8 * near + 1.1 * far * sketch.density, 0, 1) * sketch.away_from_border(0.1)
    return layer(sketch.shining(COOL), field + near * 0.5, light)


def aurora(sketch: Sketch) -> Floats:
    """Paints curtains of northern lights."""
    light = np.zeros_like(sketch.x)
    for _ in range(sketch.among(1, 3)):
        foot = sketch.uniform(0.05, 0.5) + 0.22 * np.sin(
            sketch.uniform(1.5, 3) * sketch.x + sketch.uniform(0, 6)
        )
        foot = foot + 0.1 * sketch.noise("fractal", 0.9, y=np.zeros_like(sketch.y))
        above = (foot - sketch.y) / sketch.uniform(0.45, 0.8)
        pleats = 0.5 + 0.55 * sketch.noise("fractal", 2.6, y=sketch.y * 0.05)
        curtain = (
            np.exp(-2.2 * np.maximum(above, 0)) * smooth(above, -0.06, 0.08) * np.clip(pleats, 0.08, 1.2)
        )
        light = np.maximum(light, curtain)
    light = light * smooth(1 - np.abs(sketch.x), 0.0, 0.45) * smooth(1 + sketch.y, 0.0, 0.4)
    light = np.clip(light * sketch.density, 0, 0.92).astype(np.float32)
    return layer(sketch.shining(AURORA), light * 1.1, light)


def rainbow(sketch: Sketch) -> Floats:
    """Paints a rainbow that fades towards its feet."""
    size, band = sketch.uniform(0.62, 0.74), sketch.uniform(0.13, 0.22)
    away = np.hypot(sketch.x, sketch.y - 0.38)
    place = (away - (size - band)) / band
    bows = ramp(
        (
            (0.0, 0.55, 0.2, 305),
            (0.2, 0.6, 0.18, 265),
            (0.45, 0.74, 0.19, 145),
            (0.65, 0.9, 0.17, 102),
            (0.82, 0.74, 0.17, 55),
            (1.0, 0.62, 0.22, 25),
        )
    )
    alpha = smooth(place, -0.1, 0.16) * smooth(1 - place, -0.1, 0.16) * sketch.uniform(0.45, 0.75)
    alpha = alpha * smooth(0.62 - sketch.y, 0.0, 0.55) * min(1.2, sketch.density)
    return layer(bows, place, alpha)


def fireworks(sketch: Sketch) -> Floats:
    """Paints one or two bursts of fireworks."""
    made = np.zeros((sketch.size_px, sketch.size_px, 4), np.float32)
    for index in range(sketch.among(1, 2)):
        field = np.zeros((sketch.size_px, sketch.size_px), np.float32)
        reach = sketch.uniform(0.55, 0.8) if index == 0 else sketch.uniform(0.25, 0.4)
        spare = 0.86 - reach
        centre = np.array([sketch.uniform(-spare, spare), sketch.uniform(-spare, spare)])
        for turn in np.linspace(0, 2 * np.pi, sketch.among(14, 30), endpoint=False):
            own, angle = reach * sketch.uniform(0.75, 1), turn + sketch.uniform(-0.1, 0.1)
            part = np.linspace(0.18, 1, 8)[:, None]
            way = centre + own * part * np.array([np.cos(angle), np.sin(angle)]) + part**2 * (0, 0.08 * reach)
            line = np.rint((way + 1) / sketch.pixel * 16 - 8).astype(np.int32)
            cv2.polylines(field, [line], False, 0.75, 1, cv2.LINE_AA, 4)
            cv2.circle(field, line[-1].tolist(), max(16, sketch.size_px // 4), 1.0, -1, cv2.LINE_AA, 4)
        near, far = sketch.blurred(field, 0.02), sketch.blurred(field, 0.08)
        light = np.clip(field * 0.8 + near + far, 0, 1) * sketch.away_from_border(0.1)
        made = lit(made, layer(sketch.shining(NEON), 0.15 + field * 0.6 + near * 0.5, light))
    return made
