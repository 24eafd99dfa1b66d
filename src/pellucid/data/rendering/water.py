"""Water and ice: drops, splashes, spray, bubbles, waves, cubes, shards, icicles, snow."""

from collections.abc import Sequence

import cv2
import numpy as np

from pellucid.data.rendering.cushions import cushion, outline_of
from pellucid.data.rendering.glass import sphere, window, window_light
from pellucid.data.rendering.noise import Floats
from pellucid.data.rendering.sketch import WHITE, Sketch, Stop, layer, over, ramp, smooth

WATER: Sequence[Sequence[Stop]] = (
    ((0.0, 0.52, 0.10, 245), (0.5, 0.76, 0.08, 232), (1.0, 0.97, 0.02, 220)),
    ((0.0, 0.58, 0.07, 235), (0.5, 0.82, 0.045, 225), (1.0, 0.98, 0.01, 220)),
    ((0.0, 0.50, 0.14, 255), (0.5, 0.70, 0.12, 245), (1.0, 0.95, 0.03, 230)),
)
ICE: Sequence[Sequence[Stop]] = (
    ((0.0, 0.60, 0.07, 240), (0.5, 0.86, 0.045, 225), (1.0, 0.99, 0.008, 220)),
    ((0.0, 0.66, 0.05, 225), (0.5, 0.90, 0.025, 220), (1.0, 1.0, 0.0, 220)),
)
FILM = ramp(
    (
        (0.0, 0.82, 0.10, 330),
        (0.2, 0.86, 0.09, 20),
        (0.4, 0.93, 0.08, 100),
        (0.6, 0.88, 0.09, 170),
        (0.8, 0.80, 0.10, 240),
        (1.0, 0.82, 0.10, 330),
    )
)
"""Colours of a thin film that grows thicker."""


def _fallen(x: float, y: float, size: float, turn: float = 0.0) -> Floats:
    """Returns the corners of a drop, (n, 2): round below, a point above; turned about its middle."""
    t = np.linspace(0, 2 * np.pi, 48)
    across = np.sin(t) * np.sin(t / 2) ** 1.5 * 0.92
    down = -np.cos(t)
    shape = np.stack(
        [across * np.cos(turn) - down * np.sin(turn), across * np.sin(turn) + down * np.cos(turn)], 1
    )
    return (shape * size + (x, y)).astype(np.float32)


def drop(sketch: Sketch) -> Floats:
    """Paints one large drop of water."""
    size = sketch.uniform(0.68, 0.84)
    cover = outline_of(sketch, _fallen(0, 0, size))
    made = cushion(sketch, cover, sketch.matte(WATER), sketch.uniform(0.3, 0.42), 0.35)
    _, _, u, v = sphere(sketch, 0, 0.3 * size, 0.62 * size)
    return over(layer(WHITE, 1.0, 0.9 * window_light(u, v, size=0.22) * cover), made)


def drops(sketch: Sketch) -> Floats:
    """Paints drops of water that lie on something that is not there."""
    return dewdrops(sketch, sketch.among(8, 22), 0.05, 0.24)


def dewdrops(sketch: Sketch, count: int, least: float, most: float) -> Floats:
    """Paints flat round drops that do not touch: bright where light gathers, dark at the side it comes from.

    Args:
        sketch: of the image.
        count: of drops that are tried.
        least: radius of the smallest in the plane.
        most: radius of the largest.
    """
    made = np.zeros((sketch.size_px, sketch.size_px, 4), np.float32)
    tint = sketch.matte(WATER)
    placed: list[tuple[float, float, float]] = []
    for _ in range(count):
        size = least + (most - least) * sketch.rng.random() ** 2
        x, y = (sketch.uniform(size - 0.88, 0.88 - size) for _ in range(2))
        if all(np.hypot(x - a, y - b) > 1.08 * (size + c) for a, b, c in placed):
            placed.append((x, y, size))
            at = window(sketch, x, y, size)
            cover, rim, u, v = sphere(sketch, x, y, size, at)
            lower = 0.5 + 0.5 * (0.45 * u + 0.8 * v)
            drop_of = layer(
                tint, 0.15 + 0.75 * lower - 0.25 * rim, (0.3 + 0.4 * rim + 0.12 * (1 - lower)) * cover
            )
            gathered = np.exp(-(((u - 0.35) / 0.3) ** 2) - ((v - 0.45) / 0.25) ** 2) * 0.6
            light = np.maximum(0.95 * window_light(u, v, size=0.2), gathered) * cover
            made[at] = over(over(layer(WHITE, 1.0, light), drop_of), made[at])
    return made


def _jets(sketch: Sketch) -> Floats:
    """Returns the cover of a splash: jets that leave one place upwards, and drops that flew off."""
    field = np.zeros((sketch.size_px, sketch.size_px), np.uint8)
    scale = 16 / sketch.pixel
    foot = 0.55
    for side in np.linspace(-1, 1, sketch.among(5, 9)):
        angle = -np.pi / 2 + side * 0.95 + sketch.uniform(-0.12, 0.12)
        reach = sketch.uniform(0.75, 1.5) * (1.1 - 0.35 * abs(side))
        part = np.linspace(0, 1, 12)
        x = side * 0.2 + reach * part * np.cos(angle)
        y = foot + reach * part * np.sin(angle) + 0.3 * part**2
        wide = 0.14 * (1 - part) ** 1.2 + 0.024 + 0.03 * np.exp(-(((part - 0.97) / 0.07) ** 2))
        for a, b, c in zip(x, y, wide, strict=True):
            cv2.circle(
                field,
                (round((a + 1) * scale), round((b + 1) * scale)),
                round(c * scale),
                255,
                -1,
                cv2.LINE_AA,
                4,
            )
        points = np.stack([x, y], 1)
        for k in range(11):  # joins the circles
            line = np.rint((points[k : k + 2] + 1) * scale).astype(np.int32)
            cv2.polylines(
                field, [line], False, 255, max(1, round(wide[k + 1] * 1.7 / sketch.pixel)), cv2.LINE_AA, 4
            )
    for _ in range(sketch.among(5, 16)):
        a, b, c = sketch.uniform(-0.78, 0.78), sketch.uniform(-0.8, 0.25), sketch.uniform(0.018, 0.06)
        cv2.circle(
            field, (round((a + 1) * scale), round((b + 1) * scale)), round(c * scale), 255, -1, cv2.LINE_AA, 4
        )
    pool = sketch.inside(0.1 - np.hypot(sketch.x / 4.6, sketch.y - foot - 0.05))
    return np.maximum(field.astype(np.float32) / 255, pool)


def splash(sketch: Sketch) -> Floats:
    """Paints a splash of water, or of any colour: paint."""
    cover = _jets(sketch) * sketch.away_from_border(0.05)
    soft = sketch.blurred(cover, 0.012)
    return cushion(sketch, sketch.inside((soft - 0.5) * 0.05), sketch.matte(WATER), 0.09)


def spray(sketch: Sketch) -> Floats:
    """Paints fine drops that leave a nozzle, in mist."""
    turn, fan = sketch.uniform(0, 6.3), sketch.uniform(0.3, 0.6)
    way = np.array([np.cos(turn), np.sin(turn)])
    field = np.zeros((sketch.size_px, sketch.size_px), np.float32)
    count = sketch.among(150, 380)
    far = 1.5 * np.sqrt(sketch.rng.random(count))
    angle = turn + np.clip(sketch.rng.normal(0, 0.5, count), -1, 1) * fan
    x, y = -0.72 * way[0] + far * np.cos(angle), -0.72 * way[1] + far * np.sin(angle)
    sizes = sketch.rng.uniform(0.006, 0.026, count) * (0.5 + 0.6 * far)
    for a, b, c, d in zip(x, y, sizes, sketch.rng.uniform(0.3, 1, count), strict=True):
        place = round((a + 1) / sketch.pixel * 16), round((b + 1) / sketch.pixel * 16)
        cv2.circle(field, place, max(5, round(c / sketch.pixel * 16)), float(d), -1, cv2.LINE_AA, 4)
    along = (sketch.x + 0.72 * way[0]) * way[0] + (sketch.y + 0.72 * way[1]) * way[1]
    aside = (sketch.y + 0.72 * way[1]) * way[0] - (sketch.x + 0.72 * way[0]) * way[1]
    mist = np.exp(-((aside / (0.03 + 0.36 * np.maximum(along, 0) * np.tan(fan))) ** 2)) * (along > 0)
    mist = mist * np.exp(-1.5 * np.maximum(along, 0)) * (0.6 + 0.4 * sketch.noise("fractal", 1.5))
    alpha = np.maximum(np.clip(mist, 0, 1) * 0.5 * sketch.density, field * 0.85)
    light = 0.55 + 0.45 * field + 0.5 * (field - sketch.shifted(field, 0.01, 0.015))
    return layer(sketch.matte(WATER), light, alpha.astype(np.float32) * sketch.away_from_border())


def _add_film(sketch: Sketch, below: Floats, ball: tuple[float, float, float], tint: Floats | None) -> None:
    """Paints a soap bubble over what is there; in the colours of thin films if it has none of its own."""
    x, y, radius = ball
    at = window(sketch, x, y, radius)
    cover, rim, u, v = sphere(sketch, x, y, radius, at)
    bands = sketch.noise("fractal", 0.8 / radius, x=sketch.x[at], y=sketch.y[at]) * 0.16
    place = (0.55 * rim + 0.42 * v + 0.25 * u + bands + sketch.uniform(0, 1)) % 1
    alpha = (0.1 + 0.5 * rim**1.1 + 0.12 * np.clip(bands * 4, 0, 1)) * cover * min(1.4, sketch.density**0.5)
    made = layer(FILM, place, alpha) if tint is None else layer(tint, 0.75 - 0.35 * rim + bands, alpha)
    edge = np.exp(-(((np.hypot(u, v) - 0.975) * radius / 0.014) ** 2)) * 0.4
    light = 0.9 * window_light(u, v, size=0.17) + edge + 0.5 * window_light(-u, -v, size=0.1)
    below[at] = over(over(layer(WHITE, 1.0, np.clip(light, 0, 0.95) * cover), made), below[at])


def bubble(sketch: Sketch) -> Floats:
    """Paints one soap bubble."""
    made = np.zeros((sketch.size_px, sketch.size_px, 4), np.float32)
    tint = sketch.matte(WATER) if sketch.colour else None
    _add_film(sketch, made, (0, 0, sketch.uniform(0.62, 0.84)), tint)
    return made


def bubbles(sketch: Sketch) -> Floats:
    """Paints some soap bubbles of different sizes."""
    made = np.zeros((sketch.size_px, sketch.size_px, 4), np.float32)
    tint = sketch.matte(WATER) if sketch.colour else None
    placed: list[tuple[float, float, float]] = []
    for attempt in range(40):
        size = sketch.uniform(0.09, 0.36) * (1 if attempt > 2 else 1.25)
        x, y = sketch.uniform(size - 0.92, 0.92 - size), sketch.uniform(size - 0.92, 0.92 - size)
        if all(np.hypot(x - a, y - b) > 0.93 * (size + c) for a, b, c in placed):
            placed.append((x, y, size))
            _add_film(sketch, made, (x, y, size), tint)
        if len(placed) == 8:
            break
    return made


def foam(sketch: Sketch) -> Floats:
    """Paints a heap of foam: many small bubbles close together."""
    made = np.zeros((sketch.size_px, sketch.size_px, 4), np.float32)
    count = sketch.among(35, 60)
    x = np.clip(sketch.rng.normal(0, 0.36, count), -0.74, 0.74)
    y = 0.42 - np.abs(sketch.rng.normal(0, 0.4, count)) * np.exp(-((x / 0.5) ** 2))
    sizes = sketch.rng.uniform(0.06, 0.2, count)
    tint = sketch.matte((((0.0, 0.72, 0.03, 235), (0.6, 0.94, 0.01, 235), (1.0, 1.0, 0.0, 0)),))
    for a, b, c in zip(x.tolist(), y.tolist(), sizes.tolist(), strict=True):
        at = window(sketch, a, b, c)
        cover, rim, u, v = sphere(sketch, a, b, c, at)
        film = layer(tint, 0.85 - 0.6 * rim - 0.1 * v, (0.14 + 0.5 * rim) * cover)
        film = over(layer(WHITE, 1.0, 0.8 * window_light(u, v) * cover), film)
        made[at] = over(film, made[at])
    return made


def wave(sketch: Sketch) -> Floats:
    """Paints a body of water under a wavy surface, clear above and deep below."""
    top = sketch.uniform(-0.35, 0.05)
    waves, phase, high = sketch.uniform(2.5, 5), sketch.uniform(0, 6), sketch.uniform(0.07, 0.16)
    tint = sketch.matte(WATER)
    made = np.zeros((sketch.size_px, sketch.size_px, 4), np.float32)
    corner = np.hypot(np.maximum(np.abs(sketch.x) - 0.6, 0), np.maximum(sketch.y - 0.5, 0))
    frame = sketch.inside(0.28 - corner)
    for back in (1.0, 0.0):
        surface = top - 0.1 * back + high * np.sin(waves * sketch.x + phase + 1.7 * back)
        surface = surface + 0.02 * sketch.noise("fractal", 1.6, y=0 * sketch.y)
        depth = sketch.y - surface
        cover = sketch.inside(depth) * frame
        caustics = smooth(sketch.noise("ridge", 1.3, stretch=0.5), 0.45, 0.9) * np.exp(
            -2.2 * np.maximum(depth, 0)
        )
        alpha = (0.34 + 0.42 * smooth(depth, 0.0, 1.0)) * sketch.density**0.5
        made = over(layer(tint, 0.72 - 0.45 * depth + 0.3 * caustics, cover * alpha), made)
        crest = np.exp(-(((depth - 0.02) / 0.022) ** 2)) * frame * 0.75
        made = over(layer(WHITE, 1.0, crest.astype(np.float32)), made)
    return made


def _frost(sketch: Sketch, cover: Floats) -> Floats:
    """Returns cracks and trapped air in ice, (h, w)."""
    cracks = smooth(sketch.noise("ridge", 1.5), 0.62, 0.98)
    milk = np.clip(sketch.noise("fractal", 1.4) * 0.5 + 0.15, 0, 1)
    return (0.45 * cracks + 0.35 * milk) * cover


def facets(
    sketch: Sketch, faces: Sequence[tuple[Floats, float, float]], tint: Floats, edge_px: float
) -> Floats:
    """Paints flat faces of ice or crystal, far ones first, with bright edges.

    Args:
        sketch: of the image.
        faces: corners (n, 2), place in the ramp, alpha.
        tint: the ramp.
        edge_px: width of edges at a side of 128.
    """
    made = np.zeros((sketch.size_px, sketch.size_px, 4), np.float32)
    edges = np.zeros((sketch.size_px, sketch.size_px), np.uint8)
    for corners, place, alpha in faces:
        (low_x, low_y), (high_x, high_y) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        reach = max(high_x - low_x, high_y - low_y) / 2
        at = window(sketch, (low_x + high_x) / 2, (low_y + high_y) / 2, reach)
        cover = outline_of(sketch, corners)[at]
        slope = 0.16 * (sketch.x[at] * 0.5 + sketch.y[at])
        made[at] = over(layer(tint, place - slope, cover * alpha * sketch.density**0.5), made[at])
        line = np.rint((corners + 1) / sketch.pixel * 16 - 8).astype(np.int32)
        cv2.polylines(edges, [line], True, 255, max(1, round(edge_px * sketch.size_px / 128)), cv2.LINE_AA, 4)
    seen = smooth(made[..., 3], 0.0, 0.1)
    light = sketch.blurred(edges.astype(np.float32) / 255, 0.012)
    made = over(layer(WHITE, 1.0, _frost(sketch, seen) * 0.7), made)
    shade = sketch.blurred(light, 0.03) * 0.55  # on a white ground white edges alone are not seen
    made = over(layer(tint, 0.12, shade * seen), made)
    return over(layer(WHITE, 1.0, np.clip(0.85 * light, 0, 1) * seen), made)


def ice_cube(sketch: Sketch) -> Floats:
    """Paints a cube of ice, seen from above one of its corners."""
    turn, size, tilt = sketch.uniform(-0.45, 0.45), sketch.uniform(0.62, 0.74), sketch.uniform(0.38, 0.55)
    angle = turn + np.arange(4) * np.pi / 2
    ground = np.stack([np.cos(angle), np.sin(angle) * tilt], axis=1) * size
    high = size * sketch.uniform(1.05, 1.2)
    up = np.array([0, high / 2])
    upper, lower = ground - up, ground + up
    sides = [np.array([upper[i], upper[(i + 1) % 4], lower[(i + 1) % 4], lower[i]]) for i in range(4)]
    far_first = sorted(sides, key=lambda face: float(face[:, 1].mean()))
    places = (
        0.75,
        0.7,
        *((0.55, 0.35) if far_first[2][:, 0].mean() < far_first[3][:, 0].mean() else (0.35, 0.55)),
    )
    faces = [
        (lower, 0.5, 0.2),
        *zip(far_first, places, (0.16, 0.16, 0.34, 0.4), strict=True),
        (upper, 0.9, 0.42),
    ]
    return facets(sketch, [(a.astype(np.float32), float(b), c) for a, b, c in faces], sketch.matte(ICE), 2.2)


def shard(sketch: Sketch) -> Floats:
    """Paints one pointed crystal."""
    return shards(sketch, 1)


def shards(sketch: Sketch, count: int = 0) -> Floats:
    """Paints pointed crystals that grow from one place; `count` of them, or 3 to 5."""
    count = count or sketch.among(3, 5)
    faces: list[tuple[Floats, float, float]] = []
    lean = np.linspace(-0.75, 0.75, count) if count > 1 else np.array([sketch.uniform(-0.4, 0.4)])
    for angle in sorted(lean, key=lambda each: -abs(each)):
        tall = (1.5 if count > 1 else 1.6) * (1 - 0.45 * abs(angle)) * sketch.uniform(0.8, 1.0)
        wide = tall * sketch.uniform(0.11, 0.17) * (1.0 if count > 1 else 1.3)
        tip, inner = sketch.uniform(0.65, 0.8), sketch.uniform(-0.35, 0.35) * wide
        shape = np.array(
            [
                (-wide, 0.0),
                (-wide, tip * tall),
                (0, tall),
                (inner, tip * tall * 0.94),
                (inner, 0.0),
                (wide, 0.0),
                (wide, tip * tall),
            ]
        )
        turned = np.stack(
            [
                shape[:, 0] * np.cos(angle) + shape[:, 1] * np.sin(angle),
                shape[:, 0] * np.sin(angle) - shape[:, 1] * np.cos(angle),
            ],
            1,
        )
        at = (turned + np.array([0.25 * angle, 0.78])).astype(np.float32)
        faces.append((at[[0, 1, 3, 4]], 0.8, 0.34))
        faces.append((at[[4, 3, 6, 5]], 0.4, 0.42))
        faces.append((at[[1, 2, 3]], 1.0, 0.3))
        faces.append((at[[3, 2, 6]], 0.6, 0.38))
    return facets(sketch, faces, sketch.matte(ICE), 1.2)


def icicles(sketch: Sketch) -> Floats:
    """Paints icicles that hang from a rim of ice."""
    cover = sketch.inside(
        0.07 + 0.02 * sketch.noise("fractal", 1.5) - np.abs(sketch.y + 0.72)
    ) * sketch.inside(0.76 - np.abs(sketch.x))
    for x in np.linspace(-0.66, 0.66, sketch.among(4, 8)):
        long, wide = sketch.uniform(0.4, 1.4), sketch.uniform(0.08, 0.15)
        down = (sketch.y + 0.74) / long
        half = wide * np.clip(1 - down, 0, 1) ** 0.8 * (1 + 0.1 * np.sin(sketch.y * 22 + x * 9)) - 0.004
        cover = np.maximum(
            cover,
            sketch.inside(half - np.abs(sketch.x - x))
            * sketch.inside(down * long)
            * sketch.inside((1 - down) * long),
        )
    tint = sketch.matte(ICE)
    made = cushion(sketch, cover.astype(np.float32), tint, 0.1)
    return over(layer(WHITE, 1.0, 0.5 * _frost(sketch, cover)), made)


def snowflake(sketch: Sketch) -> Floats:
    """Paints one crystal of snow as clear ice."""
    field = np.zeros((sketch.size_px, sketch.size_px), np.uint8)
    scale, reach = 16 / sketch.pixel, sketch.uniform(0.72, 0.86)
    thick = max(1, round(sketch.uniform(4.0, 6.5) * sketch.size_px / 128))
    twigs = [
        (at, sketch.uniform(0.12, 0.3) * (1.25 - at)) for at in np.linspace(0.3, 0.85, sketch.among(2, 4))
    ]
    turn = sketch.uniform(0, 1)
    for arm in turn + np.arange(6) * np.pi / 3:
        way = np.array([np.cos(arm), np.sin(arm)]) * reach
        lines = [(0 * way, way)]
        for at, long in twigs:
            for side in (arm + 0.95, arm - 0.95):
                lines.append((way * at, way * at + long * np.array([np.cos(side), np.sin(side)])))
        for line in lines:
            cv2.polylines(
                field,
                [np.rint((np.array(line) + 1) * scale - 8).astype(np.int32)],
                False,
                255,
                thick,
                cv2.LINE_AA,
                4,
            )
    cover = field.astype(np.float32) / 255
    return cushion(sketch, cover, sketch.matte(ICE), 0.08)
