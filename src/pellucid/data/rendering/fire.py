"""Flames and what they leave: tongues of fire torn by rising noise, hot inside and clear at their rims."""

from collections.abc import Sequence

import cv2
import numpy as np

from pellucid.data.rendering.noise import Floats
from pellucid.data.rendering.sketch import Sketch, Stop, layer, lit, over, ramp, smooth

HOT: Sequence[Sequence[Stop]] = (
    (
        (0.0, 0.50, 0.19, 28),
        (0.3, 0.64, 0.20, 40),
        (0.55, 0.76, 0.17, 65),
        (0.8, 0.90, 0.15, 95),
        (1.0, 0.985, 0.05, 100),
    ),
    (
        (0.0, 0.56, 0.19, 33),
        (0.35, 0.70, 0.18, 52),
        (0.7, 0.86, 0.16, 85),
        (1.0, 0.97, 0.08, 98),
    ),
)
WOOD = ramp(((0.0, 0.24, 0.05, 45), (0.6, 0.42, 0.08, 50), (1.0, 0.60, 0.09, 60)))
WAX: Sequence[Sequence[Stop]] = (
    ((0.0, 0.72, 0.04, 80), (0.5, 0.92, 0.03, 90), (1.0, 0.98, 0.01, 95)),
    ((0.0, 0.40, 0.16, 25), (0.5, 0.56, 0.20, 27), (1.0, 0.78, 0.11, 25)),
)


def tongues(sketch: Sketch, foot: float, tall: float, wide: float, count: int, wild: float) -> Floats:
    """Returns how hot a fire is, (h, w), 0 to about 1: most at the foot and in the middle of each tongue.

    Args:
        sketch: of the image.
        foot: y of its foot.
        tall: its height.
        wide: half its width at the foot.
        count: of tongues, an odd number: the middle one is the tallest.
        wild: how far noise tears it.
    """
    rise = (foot - sketch.y) / np.float32(tall) - 0.1 * (sketch.x / np.float32(wide)) ** 2
    above = np.clip(rise, 0, 1.3)
    sweep = sketch.noise("fractal", 1.0, stretch=1.6) * wild * 0.36 * above
    flicker = sketch.noise("fractal", 2.6, stretch=2.4) * wild * 0.11 * np.sqrt(above)
    x = sketch.x + sweep + flicker
    heat = np.full_like(x, -1)
    for index in range(count):
        side = 0.0 if count == 1 else (index / (count - 1) * 2 - 1)
        way = side * wide * 0.6 + sketch.uniform(-0.05, 0.05)
        height = (1 - 0.5 * abs(side)) * (sketch.uniform(0.75, 1.0) if count > 1 else 1.0)
        own = np.clip(rise / height, -0.2, 1.2)
        lean = way * (1 - 0.35 * np.clip(own, 0, 1))
        narrow = wide * (0.42 + 0.3 / count if count > 1 else 0.9)
        # wide a little above the foot, then to a point
        girth = narrow * np.sqrt(np.clip(own + 0.2, 0, 2)) * np.clip(1 - own, 0, 1) ** 1.15 * 2.0
        bulge = (1 - ((x - lean) / (girth + 0.012)) ** 2) * (1.08 - 0.5 * np.clip(own, 0, 1))
        heat = np.maximum(heat, bulge * smooth(1 - own, 0.0, 0.16))
    holes = sketch.noise("billow", 1.7, stretch=2.4, x=x) - 0.45
    heat = heat - wild * 0.4 * above * np.abs(holes) + 0.22 * wild * holes
    return (heat * smooth(rise, -0.1, 0.06)).astype(np.float32)


def burning(sketch: Sketch, heat: Floats, colours: Floats, glow: float = 0.5) -> Floats:
    """Paints heat: clear where it begins, coloured by how hot it is, in a faint glow of its own."""
    seen = smooth(heat, 0.0, 0.5) * min(1.0, 0.9 * sketch.density**0.3)
    body = layer(colours, np.clip(heat, 0, 1) ** 1.25 * 0.98 - 0.03, seen)
    halo = sketch.blurred(smooth(heat, 0.0, 0.6), 0.12) * np.float32(glow)
    return lit(body, layer(colours, 0.12, halo * sketch.within(1.05)))


def flame(sketch: Sketch) -> Floats:
    """Paints one flame, of one tongue or a few."""
    tall = sketch.uniform(1.35, 1.7)
    wide = tall * sketch.uniform(0.2, 0.29)
    heat = tongues(sketch, 0.8, tall, wide, (1, 3, 5)[sketch.among(0, 2)], sketch.uniform(0.5, 1.0))
    return burning(sketch, heat, sketch.shining(HOT)) * sketch.away_from_border(0.1)[..., None]


def blaze(sketch: Sketch) -> Floats:
    """Paints a fire of many tongues."""
    heat = tongues(
        sketch, 0.82, sketch.uniform(1.4, 1.7), sketch.uniform(0.5, 0.66), (5, 7)[sketch.among(0, 1)], 1.0
    )
    colours = sketch.shining(HOT)
    fire = lit(burning(sketch, heat, colours), sparks_rising(sketch, colours, sketch.among(0, 14)))
    return fire * sketch.away_from_border(0.12)[..., None]


def sparks_rising(sketch: Sketch, colours: Floats, count: int) -> Floats:
    """Paints sparks above a fire, the higher the fainter."""
    points = np.stack([sketch.rng.normal(0, 0.3, count), sketch.rng.uniform(-0.85, 0.4, count)], axis=1)
    sizes = sketch.rng.uniform(0.012, 0.03, count)
    return points_of_light(sketch, points, sizes, colours)


def points_of_light(sketch: Sketch, points: Floats, sizes: Floats, colours: Floats) -> Floats:
    """Paints small round lights, each with a halo, as one layer of light.

    Args:
        sketch: of the image.
        points: (n, 2), x and y in the plane.
        sizes: (n,), their radii.
        colours: a ramp.
    """
    field = np.zeros((sketch.size_px, sketch.size_px), np.float32)
    for (x, y), size in zip(points.tolist(), sizes.tolist(), strict=True):
        place = [round((each + 1) / sketch.pixel * 16 - 8) for each in (x, y)]
        cv2.circle(field, place, max(8, round(size / sketch.pixel * 16)), 1.0, -1, cv2.LINE_AA, 4)
    near, far = sketch.blurred(field, 0.018), sketch.blurred(field, 0.06)
    light = np.clip(field * 0.9 + near * 1.0 + far * 1.4, 0, 1)
    return layer(colours, np.clip(field + near, 0, 1) * 0.8 + 0.2, light * sketch.away_from_border(0.1))


def embers(sketch: Sketch) -> Floats:
    """Paints glowing embers that drift up."""
    count = sketch.among(12, 40)
    points = np.stack(
        [sketch.rng.normal(0, 0.34, count), 0.7 - 1.5 * sketch.rng.random(count) ** 1.3], axis=1
    )
    sizes = sketch.rng.uniform(0.01, 0.04, count) * sketch.density**0.5
    return points_of_light(sketch, points.clip(-0.85, 0.85), sizes, sketch.shining(HOT))


def sparks(sketch: Sketch) -> Floats:
    """Paints sparks that fly from one place, as from steel on a grindstone or a sparkler."""
    field = np.zeros((sketch.size_px, sketch.size_px), np.float32)
    centre = np.array([sketch.uniform(-0.15, 0.15), sketch.uniform(-0.15, 0.15)])
    turn, fan = sketch.uniform(0, 6.3), np.pi if sketch.chance(0.6) else sketch.uniform(0.4, 0.9)
    if fan < np.pi:  # from a corner into the image
        centre = centre - 0.62 * np.array([np.cos(turn), np.sin(turn)])
    for _ in range(sketch.among(18, 60)):
        angle, reach = (
            turn + sketch.uniform(-fan, fan),
            sketch.uniform(0.15, 0.8) * (1.5 if fan < np.pi else 1),
        )
        fall = sketch.uniform(0.0, 0.18)
        part = np.linspace(sketch.uniform(0, 0.6), 1, 7)[:, None]
        way = centre + reach * part * np.array([np.cos(angle), np.sin(angle)]) + part**2 * (0, fall)
        line = np.rint((way + 1) / sketch.pixel * 16 - 8).astype(np.int32)
        thick = 1 if sketch.chance(0.7) else max(1, sketch.size_px // 96)
        cv2.polylines(field, [line], False, sketch.uniform(0.5, 1), thick, cv2.LINE_AA, 4)
    near, far = sketch.blurred(field, 0.02), sketch.blurred(field, 0.08)
    away = np.hypot(sketch.x - centre[0], sketch.y - centre[1])
    heart = np.exp(-((away / 0.12) ** 2)).astype(np.float32) if fan == np.pi else np.zeros_like(near)
    light = field * 0.95 + near + far * 1.2 + heart
    return layer(sketch.shining(HOT), field * 0.7 + near + heart, light * sketch.away_from_border(0.1))


def candle_flame(sketch: Sketch) -> Floats:
    """Paints the flame of a candle: a drop, dark and blue at its foot, in a round glow."""
    return _drop_of_fire(sketch, sketch.shining(HOT[1:]), 0.55, sketch.uniform(1.0, 1.25))


def _drop_of_fire(sketch: Sketch, colours: Floats, foot: float, tall: float) -> Floats:
    rise = (foot - sketch.y) / np.float32(tall)
    own = np.clip(rise, 0, 1)
    lean = sketch.uniform(-0.12, 0.12) * tall * own**2
    girth = tall * sketch.uniform(0.2, 0.25) * np.sqrt(np.clip(own, 0, 1)) * (1 - own) ** 0.72 * 2.0
    heat = (
        (1 - ((sketch.x - lean) / (girth + 0.008)) ** 2)
        * smooth(rise, -0.02, 0.05)
        * smooth(1 - rise, 0, 0.1)
    )
    seen = smooth(heat, 0.0, 0.45) * (0.5 + 0.5 * smooth(rise, 0.02, 0.3)) * 0.95
    place = np.clip(0.35 + 0.65 * heat * smooth(1 - rise, 0.0, 0.75), 0, 1)
    body = layer(colours, place, seen)
    if not sketch.colour:
        cool = ramp(((0.0, 0.5, 0.18, 262), (1.0, 0.68, 0.13, 250)))
        foot_blue = smooth(heat, 0.0, 0.4) * smooth(0.26 - rise, 0.0, 0.26) * 0.75
        body = over(layer(cool, 0.5, foot_blue), body * (1 - 0.5 * foot_blue[..., None]))
    away = np.hypot(sketch.x, (sketch.y - foot + 0.5 * tall) * 0.8) / (0.62 * tall)
    halo = 0.42 * np.exp(-((away * 1.25) ** 2)) * smooth(1.35 - away, 0.0, 0.9) * sketch.away_from_border(0.1)
    return lit(body, layer(colours, 0.3, halo.astype(np.float32)))


def candle(sketch: Sketch) -> Floats:
    """Paints a burning candle with its glow."""
    half, top, foot = sketch.uniform(0.13, 0.24), sketch.uniform(-0.1, 0.15), 0.86
    wax = sketch.matte(WAX)
    side = np.clip(sketch.x / half, -1, 1)
    arch = 0.22 * half * np.sqrt(1 - side**2)
    edge = half - np.abs(sketch.x)
    body = (
        sketch.inside(edge) * sketch.inside(sketch.y - (top - arch)) * sketch.inside(foot + arch - sketch.y)
    )
    shade = 0.55 - 0.42 * side - 0.15 * side**2 + 0.35 * np.exp(-(((sketch.y - top) / 0.16) ** 2))
    lid = sketch.inside(0.04 - np.hypot(sketch.x / half * 0.04, (sketch.y - top) / (0.22 * half) * 0.04))
    made = layer(wax, shade, body)
    made = over(layer(wax, 0.88 - 0.2 * np.abs(side), lid), made)
    wick = sketch.inside(0.016 - np.abs(sketch.x)) * sketch.inside(0.075 - np.abs(sketch.y - top + 0.06))
    made = over(layer(WOOD, 0.0, wick), made)
    fire = _drop_of_fire(
        Sketch(sketch.rng, sketch.size_px), ramp(HOT[1]), top - 0.07, sketch.uniform(0.45, 0.62)
    )
    return lit(made, fire)


def campfire(sketch: Sketch) -> Floats:
    """Paints a fire over crossed logs."""
    foot = 0.62
    heat = tongues(
        sketch, foot, sketch.uniform(1.2, 1.45), sketch.uniform(0.36, 0.5), (3, 5)[sketch.among(0, 1)], 1.0
    )
    colours = sketch.shining(HOT)
    fire = burning(sketch, heat, colours, 0.6)
    fire = lit(fire, sparks_rising(sketch, colours, sketch.among(0, 12)))
    wood = np.zeros_like(fire)
    for turn in (0.32, -0.32, 0.12)[: sketch.among(2, 3)]:
        turn = turn + sketch.uniform(-0.08, 0.08)
        along = sketch.x * np.cos(turn) + (sketch.y - foot - 0.04) * np.sin(turn)
        aside = (sketch.y - foot - 0.04) * np.cos(turn) - sketch.x * np.sin(turn)
        half = 0.085
        bark = sketch.inside(half - np.hypot(np.maximum(np.abs(along) - 0.5, 0), aside))
        grain = sketch.noise("ridge", 2.5, stretch=0.15, x=aside * 3, y=along)
        place = 0.5 - 0.5 * aside / half * 0.9 + 0.3 * (grain - 0.4)
        wood = over(layer(WOOD, place, bark), wood)
    return over(wood, fire * sketch.away_from_border(0.1)[..., None])
