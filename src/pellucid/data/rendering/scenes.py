"""Effects behind, before and around a subject.

A painter gets the subject over the whole image, premultiplied, and returns the whole, premultiplied.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from pellucid.data.rendering import cloth, falling, fire, glass, glow, vapour, water
from pellucid.data.rendering.cushions import CLEAR
from pellucid.data.rendering.noise import Floats
from pellucid.data.rendering.sketch import BLACK, Sketch, layer, lit, over, ramp, smooth, stacked


def placed(sketch: Sketch, subject: Floats, scale: float, x: float = 0.0, y: float = 0.0) -> Floats:
    """Returns the subject smaller, its middle at x and y of the plane; what leaves the image is cut."""
    side = max(1, round(scale * sketch.size_px))
    small = cv2.resize(subject, (side, side), interpolation=cv2.INTER_AREA)
    left, top = (round((each + 1) / sketch.pixel - side / 2) for each in (x, y))
    made = np.zeros((sketch.size_px, sketch.size_px, 4), np.float32)
    low_x, low_y = max(0, left), max(0, top)
    high_x, high_y = min(sketch.size_px, left + side), min(sketch.size_px, top + side)
    made[low_y:high_y, low_x:high_x] = small[low_y - top : high_y - top, low_x - left : high_x - left]
    return made


def bounds(sketch: Sketch, subject: Floats) -> tuple[float, float, float, float]:
    """Returns left, top, right and bottom of what is seen, in the plane; the whole plane if nothing is."""
    seen = subject[..., 3] > 0.3
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if not len(rows):
        return -1.0, -1.0, 1.0, 1.0
    places = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    left, top, right, bottom = (float(each * sketch.pixel - 1) for each in places)
    return left, top, right, bottom


def glowing(sketch: Sketch, subject: Floats) -> Floats:
    """Paints light that leaves the subject's outline, and a little of it on the subject."""
    thing = placed(sketch, subject, sketch.uniform(0.66, 0.76))
    alpha = thing[..., 3]
    near, far = sketch.blurred(alpha, 0.06), sketch.blurred(alpha, 0.2)
    reach = sketch.uniform(0.8, 1.1)
    light = np.clip(0.85 * smooth(near, 0.0, 0.55) + reach * far * 0.9, 0, 0.96) * sketch.density**0.5
    colours = sketch.shining(glow.WARM)
    halo = layer(colours, 0.15 + 0.5 * smooth(near, 0.1, 0.7), light * sketch.away_from_border(0.3))
    rim = smooth(alpha - sketch.blurred(alpha, 0.05), 0.05, 0.5) * 0.4
    return over(over(layer(colours, 0.6, rim * alpha), thing), halo)


def in_fog(sketch: Sketch, subject: Floats) -> Floats:
    """Lays fog before the subject and some behind it: more below than above."""
    thing = placed(sketch, subject, sketch.uniform(0.8, 0.95))
    colours = sketch.matte(vapour.WHITES)
    edge = np.ones_like(sketch.x)
    if sketch.chance(0.6):  # a patch with a torn rim; otherwise all of the image
        away = np.hypot(sketch.x, sketch.y) + 0.16 * sketch.noise("fractal", 0.9)
        edge = smooth(0.95 - away, -0.12, 0.5) * sketch.away_from_border(0.2)
    layers: list[Floats] = []
    for weight, rise in ((0.8, 0.7), (1.25, 0.55)):
        thick = (
            vapour.fog_field(sketch) * (0.35 + 0.65 * smooth(sketch.y, -0.7, rise)) * weight * sketch.density
        )
        alpha = np.minimum(1 - np.exp(-1.35 * thick), 0.9) * edge
        layers.append(layer(colours, 0.6 - 0.2 * sketch.y + 0.25 * (thick - 0.5), alpha))
    return stacked([layers[0], thing, layers[1]])


def smoking(sketch: Sketch, subject: Floats) -> Floats:
    """Lets smoke rise from the subject's top."""
    scale = sketch.uniform(0.52, 0.62)
    thing = placed(sketch, subject, scale, 0, 0.96 - scale)
    _, top, _, _ = bounds(sketch, thing)
    smoke = vapour.rising(sketch, top + 0.22, top + 0.22 + 0.75, 2.3)
    return over(thing, smoke) if sketch.chance(0.6) else over(smoke, thing)


def in_smoke(sketch: Sketch, subject: Floats) -> Floats:
    """Puts a cloud of smoke behind the subject and a thinner one before its foot."""
    thing = placed(sketch, subject, sketch.uniform(0.58, 0.7))
    back = vapour.puff(sketch, sketch.uniform(1.7, 2.0))
    front = vapour.dust(Sketch(sketch.rng, sketch.size_px, sketch.colour or "white", sketch.density * 0.6))
    return stacked([back, thing, front * np.float32(0.8)])


def steaming(sketch: Sketch, subject: Floats) -> Floats:
    """Lets steam rise from the subject's top."""
    scale = sketch.uniform(0.58, 0.68)
    thing = placed(sketch, subject, scale, 0, 0.97 - scale)
    left, top, right, _ = bounds(sketch, thing)
    thick = vapour.threads(sketch, sketch.among(2, 4), top + 0.12, -0.97, 0.45 * (right - left))
    thick = sketch.blurred(thick, 0.022)
    alpha = (1 - np.exp(-2.6 * sketch.density * thick)) * sketch.away_from_border()
    return over(layer(sketch.matte(vapour.WHITES), np.clip(0.5 + 0.4 * thick, 0, 1), alpha), thing)


def in_dust(sketch: Sketch, subject: Floats) -> Floats:
    """Raises dust about the subject's foot."""
    thing = placed(sketch, subject, sketch.uniform(0.66, 0.78), 0, -0.05)
    back, front = vapour.dust(sketch), vapour.dust(sketch)
    return stacked([moved(sketch, back, 0, -0.05), thing, moved(sketch, front, 0, 0.18)])


def moved(sketch: Sketch, made: Floats, x: float, y: float) -> Floats:
    """Moves a layer right and down, in the plane's units."""
    move = np.array([[1, 0, x / sketch.pixel], [0, 1, y / sketch.pixel]], np.float32)
    return np.asarray(cv2.warpAffine(made, move, (sketch.size_px, sketch.size_px)), np.float32)


def on_cloud(sketch: Sketch, subject: Floats) -> Floats:
    """Sets the subject on a cloud, its foot in it."""
    scale = sketch.uniform(0.5, 0.62)
    thing = placed(sketch, subject, scale, 0, -0.28)
    back, front = vapour.cloud(sketch), vapour.cloud(sketch)
    return stacked([moved(sketch, back, 0, 0.3), thing, moved(sketch, front, 0, 0.5)])


def on_fire(sketch: Sketch, subject: Floats) -> Floats:
    """Puts flames behind the subject, and lower ones before it."""
    thing = placed(sketch, subject, sketch.uniform(0.6, 0.7), 0, 0.22)
    colours = sketch.shining(fire.HOT)
    back = fire.burning(sketch, fire.tongues(sketch, 0.86, 1.65, 0.68, 7, 1.0), colours)
    heat = fire.tongues(sketch, 0.9, sketch.uniform(0.6, 1.0), 0.62, 7, 1.0)
    front = fire.burning(sketch, heat, colours, 0.2) * np.float32(0.75)
    fade = sketch.away_from_border(0.1)[..., None]
    return stacked([back * fade, thing, front * fade])


def with_sparks(sketch: Sketch, subject: Floats) -> Floats:
    """Lets sparks fly about the subject."""
    thing = placed(sketch, subject, sketch.uniform(0.6, 0.74))
    painter = (fire.sparks, fire.embers)[sketch.among(0, 1)]
    return stacked([painter(sketch), thing, fire.embers(sketch)])


def sparkling(sketch: Sketch, subject: Floats) -> Floats:
    """Sets twinkling stars about and on the subject."""
    thing = placed(sketch, subject, sketch.uniform(0.66, 0.8))
    return over(lit(glow.sparkles(sketch), glow.sparkles(sketch)), thing)


def in_spotlight(sketch: Sketch, subject: Floats) -> Floats:
    """Stands the subject in a cone of light."""
    scale = sketch.uniform(0.5, 0.6)
    light = glow.spotlight(sketch)
    thing = placed(sketch, subject, scale)
    _, _, _, bottom = bounds(sketch, thing)
    thing = moved(sketch, thing, 0, 0.62 - bottom)
    return over(light * np.float32(0.3), over(thing, light))


def with_rays(sketch: Sketch, subject: Floats) -> Floats:
    """Sends rays of light from behind the subject."""
    rays = Sketch(sketch.rng, sketch.size_px, sketch.colour, sketch.density * 1.4)
    return over(placed(sketch, subject, sketch.uniform(0.56, 0.68)), glow.rays(rays))


def with_lightning(sketch: Sketch, subject: Floats) -> Floats:
    """Puts bolts of lightning behind and beside the subject."""
    bolts = [moved(sketch, glow.lightning(sketch), side * sketch.uniform(0.3, 0.5), 0) for side in (-1, 1)]
    return over(placed(sketch, subject, sketch.uniform(0.6, 0.72)), lit(bolts[0], bolts[1]))


def with_halo(sketch: Sketch, subject: Floats) -> Floats:
    """Lets a ring of light hover over the subject."""
    thing = placed(sketch, subject, 0.7, 0, 0.27)
    left, top, right, _ = bounds(sketch, thing)
    size, flat, y = sketch.uniform(0.28, 0.4), 0.3, max(top - 0.1, -0.72)
    away = np.abs(np.hypot(sketch.x - (left + right) / 2, (sketch.y - y) / flat) - size) * flat
    core = np.exp(-((away / 0.025) ** 2))
    light = np.clip(core + 0.7 * np.exp(-away / 0.08), 0, 1) * sketch.away_from_border(0.3)
    return lit(thing, layer(sketch.shining(glow.WARM), 0.3 + 0.65 * core, light.astype(np.float32)))


def in_rain(sketch: Sketch, subject: Floats) -> Floats:
    """Lets rain fall behind and before the subject."""
    thing = placed(sketch, subject, sketch.uniform(0.72, 0.86))
    return stacked([falling.rain(sketch), thing, falling.rain(sketch)])


def in_snow(sketch: Sketch, subject: Floats) -> Floats:
    """Lets snow fall behind and before the subject."""
    thing = placed(sketch, subject, sketch.uniform(0.72, 0.86))
    return stacked([falling.snow(sketch), thing, falling.snow(sketch)])


def under_rainbow(sketch: Sketch, subject: Floats) -> Floats:
    """Puts a rainbow behind the subject."""
    return over(placed(sketch, subject, sketch.uniform(0.48, 0.6), 0, 0.3), glow.rainbow(sketch))


def behind_veil(sketch: Sketch, subject: Floats) -> Floats:
    """Hangs a veil before the subject, wider than it."""
    thing = placed(sketch, subject, sketch.uniform(0.62, 0.74), 0, 0.04)
    cloths = cloth.veil_field(sketch, sketch.matte(cloth.CLOTHS))
    waves, phase = sketch.uniform(5, 9), sketch.uniform(0, 6)
    hem = sketch.uniform(0.72, 0.86) + 0.05 * np.sin(waves * sketch.x + phase)
    half = sketch.uniform(0.74, 0.86) + 0.03 * np.sin(4 * sketch.y + phase)
    cover = (
        sketch.inside(half - np.abs(sketch.x)) * sketch.inside(hem - sketch.y) * sketch.inside(sketch.y + 0.9)
    )
    return over(cloths * cover[..., None], thing)


def in_bubble(sketch: Sketch, subject: Floats) -> Floats:
    """Encloses the subject in a soap bubble."""
    return over(water.bubble(sketch), placed(sketch, subject, sketch.uniform(0.44, 0.52), 0, 0.04))


def in_ball(sketch: Sketch, subject: Floats) -> Floats:
    """Encloses the subject in a ball of glass."""
    return over(glass.ball(sketch), placed(sketch, subject, sketch.uniform(0.42, 0.5), 0, 0.06))


def _under(dome: bool) -> Callable[[Sketch, Floats], Floats]:
    """Makes the painter of glass over a subject: a dome on a board, or a jar."""

    def paint(sketch: Sketch, subject: Floats) -> Floats:
        profile = (
            ((0, 0.04), (0.06, 0.3), (0.16, 0.48), (0.3, 0.6), (1, 0.62)) if dome else glass.PROFILES["jar"]
        )
        top, foot, scale = (-0.84, 0.62, 1.05) if dome else (-0.84, 0.8, 1.35)
        turned = glass.Turned(sketch, profile, top, foot, scale)
        thing = placed(sketch, subject, sketch.uniform(0.42, 0.5))
        _, _, _, bottom = bounds(sketch, thing)
        thing = moved(sketch, thing, 0, foot - bottom + 0.02)
        tint = sketch.matte(CLEAR)
        shell = over(
            glass.highlights(turned, opening=not dome), glass.walls(turned, tint, sketch.density, not dome)
        )
        if not dome:
            return over(shell, thing)
        board = glass.Turned(sketch, ((0, 0.76), (1, 0.72)), foot + 0.02, foot + 0.12)
        wood = ramp(((0.0, 0.28, 0.05, 50), (0.6, 0.48, 0.08, 55), (1.0, 0.68, 0.08, 65)))
        stand = layer(wood, 0.55 - 0.35 * board.across + 0.25 * (sketch.y < foot + 0.05), board.mask)
        return stacked([stand, thing, shell])

    return paint


under_dome, in_jar = _under(dome=True), _under(dome=False)


def in_ice(sketch: Sketch, subject: Floats) -> Floats:
    """Freezes the subject in a block of ice."""
    thing = placed(sketch, subject, sketch.uniform(0.52, 0.6), 0.03, 0.04)
    front, depth = sketch.uniform(0.56, 0.64), sketch.uniform(0.16, 0.24)
    near = np.array([(-front, -front), (front, -front), (front, front), (-front, front)])
    near = near + np.array([-depth / 2, depth / 2])
    far = near + np.array([depth, -depth])
    corners = [far, near[[0, 1]], near[[1, 2]]]
    faces: Sequence[tuple[Floats, float, float]] = [
        (corners[0].astype(np.float32), 0.5, 0.16),
        (np.concatenate([near[[0, 1]], far[[1, 0]]]).astype(np.float32), 0.95, 0.4),
        (np.concatenate([near[[1, 2]], far[[2, 1]]]).astype(np.float32), 0.4, 0.42),
    ]
    tint = sketch.matte(water.ICE)
    back = water.facets(sketch, faces, tint, 1.6)
    pane = water.facets(sketch, [(near.astype(np.float32), 0.72, 0.36)], tint, 2.2)
    return stacked([back, thing, pane])


def behind_window(sketch: Sketch, subject: Floats) -> Floats:
    """Sets a window before the subject."""
    return over(glass.pane(sketch), placed(sketch, subject, sketch.uniform(0.46, 0.54)))


def in_splash(sketch: Sketch, subject: Floats) -> Floats:
    """Lets the subject fall into water: splashes behind it and before it."""
    thing = placed(sketch, subject, sketch.uniform(0.54, 0.64), 0, -0.1)
    front = moved(sketch, water.splash(sketch), 0, 0.16)
    return stacked([moved(sketch, water.splash(sketch), 0, 0.05), thing, front])


def in_water(sketch: Sketch, subject: Floats) -> Floats:
    """Lets the subject stand in clear water."""
    return over(water.wave(sketch), placed(sketch, subject, sketch.uniform(0.58, 0.7), 0, 0.04))


def wet(sketch: Sketch, subject: Floats) -> Floats:
    """Covers the subject with drops."""
    thing = placed(sketch, subject, sketch.uniform(0.82, 0.94))
    on_it = smooth(sketch.blurred(thing[..., 3], 0.02), 0.5, 0.9)
    drops = water.dewdrops(sketch, 90, 0.03, 0.13)
    return over(drops * on_it[..., None], thing)


def among_bubbles(sketch: Sketch, subject: Floats) -> Floats:
    """Lets soap bubbles float behind and before the subject."""
    thing = placed(sketch, subject, sketch.uniform(0.62, 0.74))
    return stacked([water.bubbles(sketch), thing, water.bubbles(sketch)])


def with_shadow(sketch: Sketch, subject: Floats) -> Floats:
    """Gives the subject a soft shadow on the ground."""
    thing = placed(sketch, subject, sketch.uniform(0.68, 0.78), 0, -0.1)
    left, _, right, bottom = bounds(sketch, thing)
    wide = max(0.15, (right - left) / 2) * sketch.uniform(0.85, 1.1)
    x, y = (left + right) / 2 + sketch.uniform(-0.06, 0.1), bottom - 0.02
    away = np.hypot((sketch.x - x) / wide, (sketch.y - y) / (wide * 0.24))
    alpha = 0.62 * smooth(1.25 - away, 0.0, 0.9) * sketch.density**0.6 * sketch.away_from_border(0.1)
    return over(thing, layer(sketch.matte((((0.0, 0.0, 0.0, 0.0), (1.0, 0.1, 0.0, 0.0)),)), 0.2, alpha))


def with_drop_shadow(sketch: Sketch, subject: Floats) -> Floats:
    """Gives the subject a soft shadow on a wall behind it."""
    thing = placed(sketch, subject, sketch.uniform(0.7, 0.8), -0.05, -0.05)
    away = sketch.uniform(0.06, 0.13)
    soft = sketch.blurred(
        sketch.shifted(thing[..., 3], away * sketch.uniform(0.4, 1), away), sketch.uniform(0.03, 0.07)
    )
    return over(thing, layer(BLACK, 0.2, 0.6 * soft * sketch.density**0.5 * sketch.away_from_border(0.08)))


def mirrored(sketch: Sketch, subject: Floats) -> Floats:
    """Mirrors the subject in a floor, the farther down the fainter."""
    thing = placed(sketch, subject, sketch.uniform(0.54, 0.6))
    _, _, _, bottom = bounds(sketch, thing)
    thing = moved(sketch, thing, 0, 0.3 - bottom)
    floor = round(1.3 / sketch.pixel)
    below = np.zeros_like(thing)
    rows = min(sketch.size_px - floor, floor)
    below[floor : floor + rows] = thing[floor - rows : floor][::-1]
    fade = sketch.uniform(0.35, 0.6) * smooth(0.98 - sketch.y, 0.0, 0.75) * sketch.density**0.4
    return over(thing, below * fade[..., None])
