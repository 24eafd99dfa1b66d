"""Glass: what is turned on a wheel (bottles, cups, bulbs), balls, panes, lenses and cut shapes.

Light through glass is told by four things: a faint tint, walls that are seen the more the farther they turn
away (Fresnel), white highlights of a window, and bright edges.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from pellucid.data.rendering.cushions import CLEAR
from pellucid.data.rendering.noise import Floats
from pellucid.data.rendering.sketch import BLACK, WHITE, Sketch, Stop, layer, lit, over, ramp, smooth, stacked

METAL: Sequence[Stop] = ((0.0, 0.32, 0.005, 260), (0.5, 0.66, 0.006, 260), (1.0, 0.95, 0.003, 90))
GOLD: Sequence[Stop] = ((0.0, 0.45, 0.09, 70), (0.5, 0.76, 0.14, 85), (1.0, 0.96, 0.08, 98))
LIQUIDS: dict[str, Sequence[Stop]] = {
    "water": ((0.0, 0.70, 0.06, 230), (1.0, 0.93, 0.03, 220)),
    "milk": ((0.0, 0.86, 0.012, 85), (1.0, 0.99, 0.004, 90)),
    "orange juice": ((0.0, 0.70, 0.17, 60), (1.0, 0.85, 0.14, 75)),
    "red wine": ((0.0, 0.22, 0.11, 18), (1.0, 0.46, 0.17, 20)),
    "cola": ((0.0, 0.18, 0.05, 45), (1.0, 0.42, 0.10, 50)),
    "beer": ((0.0, 0.66, 0.14, 72), (1.0, 0.85, 0.13, 88)),
    "green potion": ((0.0, 0.52, 0.19, 142), (1.0, 0.86, 0.19, 135)),
    "purple potion": ((0.0, 0.40, 0.20, 305), (1.0, 0.72, 0.17, 312)),
}
CLOUDY = ("milk", "orange juice", "cola")

Profile = tuple[tuple[float, float], ...]
"""Half widths of a turned thing: pairs of height, 0 at the top to 1 at the foot, and half width."""
PROFILES: dict[str, Profile] = {
    "cup": ((0, 0.40), (1, 0.31)),
    "tumbler": ((0, 0.44), (1, 0.40)),
    "bottle": ((0, 0.13), (0.3, 0.13), (0.42, 0.22), (0.52, 0.32), (0.95, 0.32), (1, 0.30)),
    "flask": ((0, 0.14), (0.34, 0.14), (0.6, 0.3), (0.9, 0.56), (1, 0.52)),
    "round flask": ((0, 0.13), (0.32, 0.13), (0.4, 0.24), (0.55, 0.46), (0.7, 0.54), (0.86, 0.46), (1, 0.24)),
    "vase": ((0, 0.26), (0.12, 0.18), (0.3, 0.24), (0.55, 0.42), (0.78, 0.36), (1, 0.2)),
    "slim vase": ((0, 0.2), (0.25, 0.13), (0.6, 0.22), (0.85, 0.26), (1, 0.22)),
    "jar": ((0, 0.34), (0.12, 0.34), (0.2, 0.44), (0.95, 0.44), (1, 0.41)),
    "bowl": ((0, 0.34), (0.15, 0.46), (0.5, 0.62), (0.8, 0.54), (1, 0.34)),
    "test tube": ((0, 0.15), (0.9, 0.15), (0.97, 0.1), (1, 0.03)),
}
STEMMED: dict[str, Profile] = {
    "wine glass": (
        (0, 0.27),
        (0.25, 0.36),
        (0.45, 0.33),
        (0.58, 0.12),
        (0.61, 0.03),
        (0.9, 0.03),
        (0.96, 0.1),
        (1, 0.3),
    ),
    "goblet": ((0, 0.34), (0.4, 0.33), (0.52, 0.2), (0.58, 0.05), (0.86, 0.05), (0.95, 0.2), (1, 0.32)),
    "martini glass": ((0, 0.5), (0.42, 0.05), (0.46, 0.025), (0.92, 0.025), (0.97, 0.12), (1, 0.3)),
    "champagne flute": (
        (0, 0.17),
        (0.3, 0.2),
        (0.55, 0.13),
        (0.64, 0.025),
        (0.92, 0.025),
        (0.97, 0.1),
        (1, 0.24),
    ),
}


class Turned:
    """A turned thing on the plane: where it is, and how far each pixel lies from its middle."""

    def __init__(self, sketch: Sketch, profile: Profile, top: float, foot: float, scale: float = 1.0) -> None:
        heights, halves = (np.array(each, np.float64) for each in zip(*profile, strict=True))
        rows = np.clip((sketch.y[:, :1] - top) / (foot - top), 0, 1)
        half = np.interp(rows, heights, halves * scale).astype(np.float32)
        soft = (0.02 if profile[0][1] > 4 * min(halves) else 0.05) / sketch.pixel  # stems stay thin
        half = cv2.GaussianBlur(half, (1, 2 * int(3 * soft) + 1), 0.1, sigmaY=soft)
        self.half: Floats = np.asarray(half, np.float32).reshape(-1, 1)
        self.sketch, self.top, self.foot = sketch, top, foot
        self.top_half, self.foot_half = float(halves[0] * scale), float(halves[-1] * scale)
        self.across: Floats = np.clip(sketch.x / self.half, -1, 1)
        bulge = np.sqrt(np.maximum(1 - (sketch.x / self.foot_half) ** 2, 0))
        self.end: Floats = foot + 0.16 * self.foot_half * bulge
        walls = sketch.inside(self.half - np.abs(sketch.x))
        self.mask: Floats = walls * sketch.inside(sketch.y - top) * sketch.inside(self.end - sketch.y)
        self.mask = np.maximum(self.mask, self.ellipse(top, self.top_half))
        self.rim: Floats = 1 - np.sqrt(1 - self.across**2)

    def ellipse(self, y: float, half: float, flat: float = 0.16) -> Floats:
        """Covers a level round of this thing: an opening, a surface of water."""
        away = np.hypot(self.sketch.x, (self.sketch.y - y) / flat)
        return self.sketch.inside((half - away) * flat)

    def ring(self, y: float, half: float, wide: float, flat: float = 0.16) -> Floats:
        """Draws the edge of such a round."""
        away = np.abs(np.hypot(self.sketch.x, (self.sketch.y - y) / flat) - half)
        return np.exp(-((away / wide) ** 2)) * self.sketch.inside(0.02 + half * 1.06 - np.abs(self.sketch.x))


def walls(turned: Turned, tint: Floats, density: float = 1.0, thick_foot: bool = True) -> Floats:
    """Paints the glass of a turned thing, without its highlights."""
    sketch = turned.sketch
    alpha = (0.19 + 0.62 * turned.rim**1.2) * density**0.6
    if thick_foot:
        alpha = alpha + 0.3 * smooth(sketch.y - turned.end, -0.13, 0.0)
    place = 0.62 - 0.4 * turned.rim + 0.15 * turned.across
    made = layer(tint, place, alpha * turned.mask)
    edge = np.exp(-(((turned.half - np.abs(sketch.x)) / 0.018) ** 2)) * turned.mask
    return over(layer(tint, 0.08, 0.58 * edge), made)


def highlights(turned: Turned, opening: bool = True) -> Floats:
    """Paints what mirrors the light: a tall window on the left, a thin one on the right, the rim."""
    sketch = turned.sketch
    side = -sketch.uniform(0.52, 0.68)
    body = smooth(sketch.y - turned.top, 0.04, 0.12) * smooth(turned.end - sketch.y, 0.1, 0.2)
    wide = smooth(turned.half, 0.03, 0.12)
    left = smooth(0.12 - np.abs(turned.across - side), 0.0, 0.07) * 0.72
    right = smooth(0.05 - np.abs(turned.across - 0.78), 0.0, 0.04) * 0.5
    light = (left + right) * body * wide * turned.mask
    if opening:
        light = np.maximum(light, 0.75 * turned.ring(turned.top, turned.top_half * 0.985, 0.014))
    return layer(WHITE, 1.0, np.minimum(light, 0.9).astype(np.float32))


def filled(
    turned: Turned, liquid: Sequence[Stop], level: float, cloudy: bool, bottom: float | None = None
) -> Floats:
    """Paints what stands in a glass up to `level`, a y of the plane."""
    sketch = turned.sketch
    inner = turned.half - 0.035
    at = float(np.interp(level, sketch.y[:, 0], inner[:, 0]))
    end = turned.end - 0.07 if bottom is None else bottom + 0 * turned.end
    body = (
        sketch.inside(inner - np.abs(sketch.x))
        * sketch.inside(sketch.y - level)
        * sketch.inside(end - sketch.y)
    )
    body = np.maximum(body, turned.ellipse(level, at) * (sketch.y < level + 0.05))
    colours = ramp(liquid)
    alpha = body * ((0.94 if cloudy else 0.5) + 0.1 * turned.rim)
    made = layer(colours, 0.6 - 0.35 * turned.across - 0.3 * turned.rim, alpha)
    surface = turned.ellipse(level, at)
    made = over(layer(colours, 1.0, surface * (0.7 if cloudy else 0.35)), made)
    return over(layer(colours, 1.0, turned.ring(level, at * 0.98, 0.013) * 0.5), made)


def vessel(names: Sequence[str], liquid: str = "") -> Callable[[Sketch], Floats]:
    """Makes the painter of a turned vessel, one of several profiles, empty or filled."""

    def paint(sketch: Sketch) -> Floats:
        name = names[sketch.among(0, len(names) - 1)]
        stemmed = name in STEMMED
        profile = STEMMED[name] if stemmed else PROFILES[name]
        tall = sketch.uniform(0.74, 0.86) if stemmed or len(profile) > 2 else sketch.uniform(0.55, 0.75)
        scale = sketch.uniform(0.88, 1.08)
        turned = Turned(sketch, profile, -tall, tall - 0.04, scale)
        tint = sketch.matte(CLEAR)
        layers = [layer(tint, 0.4, 0.16 * turned.ellipse(-tall, turned.top_half))]
        layers.append(walls(turned, tint, sketch.density, thick_foot=not stemmed))
        if liquid:
            bottom = -tall + 2 * tall * 0.55 if stemmed else None
            low, high = (0.08, 0.3) if stemmed else (0.2, 0.55)
            level = -tall + 2 * tall * sketch.uniform(low, high)
            if name in ("bottle", "flask", "round flask"):
                level = -tall + 2 * tall * sketch.uniform(0.4, 0.62)
            layers.append(filled(turned, LIQUIDS[liquid], level, liquid in CLOUDY, bottom))
        if stemmed:
            foot = tall - 0.04
            layers.append(layer(tint, 0.9, 0.5 * turned.ring(foot, turned.foot_half, 0.014)))
        return stacked([*layers, highlights(turned)])

    return paint


Window = tuple[slice, slice]


def window(sketch: Sketch, x: float, y: float, reach: float) -> Window:
    """Returns the rows and columns around a place: small things need not touch the whole image."""
    low_x, high_x, low_y, high_y = (
        min(max(round((each + 1) / sketch.pixel), 0), sketch.size_px)
        for each in (x - reach - 0.03, x + reach + 0.05, y - reach - 0.03, y + reach + 0.05)
    )
    return slice(low_y, high_y), slice(low_x, high_x)


def sphere(
    sketch: Sketch, x: float, y: float, radius: float, at: Window = (slice(None), slice(None))
) -> tuple[Floats, Floats, Floats, Floats]:
    """Returns of a ball its cover, its Fresnel rim, and the place on it from -1 to 1, right and down."""
    u, v = (sketch.x[at] - x) / radius, (sketch.y[at] - y) / radius
    away = np.hypot(u, v)
    cover = sketch.inside((1 - away) * radius)
    rim = 1 - np.sqrt(np.maximum(1 - away**2, 0))
    return cover, rim, u, v


def window_light(u: Floats, v: Floats, x: float = -0.42, y: float = -0.48, size: float = 0.2) -> Floats:
    """Returns the mirrored light on a ball: a soft bright spot, longer along the ball's rim, (h, w)."""
    away = np.hypot(x, y)
    along = (u * -y + v * x) / away
    out = (u * x + v * y) / away - away
    return smooth(1.25 - np.hypot(along / (size * 1.5), out / (size * 0.75)), 0.0, 0.6)


def ball(sketch: Sketch) -> Floats:
    """Paints a ball of glass: rim, highlight, and the light that it gathers opposite to the lamp."""
    radius = sketch.uniform(0.6, 0.8)
    tint = sketch.matte(CLEAR)
    cover, rim, u, v = sphere(sketch, 0, 0, radius)
    alpha = (0.14 + 0.68 * rim**0.9) * sketch.density**0.6
    made = layer(tint, 0.62 - 0.5 * rim + 0.1 * v, alpha * cover)
    gathered = np.exp(-(((u - 0.36) / 0.36) ** 2) - ((v - 0.46) / 0.3) ** 2) * cover
    made = over(layer(tint, 1.0, 0.55 * gathered), made)
    swirl = (
        smooth(sketch.noise("ridge", 1.2), 0.5, 0.95)
        * cover
        * (1 - rim)
        * (0.25 if sketch.chance(0.4) else 0)
    )
    made = over(layer(tint, 0.9, swirl), made)
    inner = np.exp(-(((np.hypot(u, v) - 0.95) / 0.025) ** 2)) * smooth(-v - 0.2 * u, -0.3, 0.9) * 0.5
    light = (
        0.92 * window_light(u, v)
        + inner
        + 0.4 * np.exp(-(((u - 0.55) / 0.06) ** 2) - ((v - 0.55) / 0.06) ** 2)
    )
    return over(layer(WHITE, 1.0, light * cover), made)


def crystal_ball(sketch: Sketch) -> Floats:
    """Paints a crystal ball on its stand, with mist and a light in it."""
    small = Sketch(sketch.rng, sketch.size_px, sketch.colour, sketch.density)
    radius, y = sketch.uniform(0.54, 0.62), -0.2
    tint = small.matte((((0.0, 0.42, 0.17, 300), (0.5, 0.66, 0.13, 300), (1.0, 0.94, 0.05, 300)), *CLEAR))
    foot = Turned(sketch, ((0, 0.3), (0.3, 0.26), (0.5, 0.3), (1, 0.46)), y + radius - 0.06, 0.78)
    metal = ramp(GOLD if sketch.chance(0.5) else METAL)
    stand = layer(metal, 0.55 - 0.4 * foot.across + 0.25 * np.cos(9 * foot.across), foot.mask)
    cover, rim, u, v = sphere(sketch, 0, y, radius)
    mist = np.clip(sketch.noise("fractal", 1.3) * 0.35 + 0.3, 0, 1) * (1 - rim)
    alpha = 0.16 + 0.66 * rim**0.9 + 0.45 * mist
    made = layer(tint, 0.5 - 0.35 * rim + 0.5 * mist, alpha * cover)
    heart = np.exp(-((np.hypot(u, v - 0.1) / 0.3) ** 2)) * 0.5
    light = np.maximum(0.9 * window_light(u, v), heart)
    return stacked([stand, made, layer(WHITE, 1.0, light * cover)])


def bulb(sketch: Sketch) -> Floats:
    """Paints a light bulb of glass; mostly it shines."""
    y, radius = -0.24, sketch.uniform(0.46, 0.54)
    tint = sketch.matte(CLEAR)
    neck = ((0, 0.5), (0.32, 0.49), (0.6, 0.34), (0.8, 0.22), (1, 0.2))
    cap_top = y + radius + 0.26
    lower = Turned(sketch, tuple((a, b * radius / 0.5) for a, b in neck), y, cap_top)
    cover, rim, u, v = sphere(sketch, 0, y, radius)
    upper = sketch.y < y
    mask = np.where(upper, cover, np.maximum(lower.mask * (lower.half >= np.abs(sketch.x) - 0.02), 0))
    edge = np.where(upper, rim, lower.rim)
    glass = layer(tint, 0.7 - 0.5 * edge, (0.14 + 0.6 * edge) * mask)
    cap = Turned(sketch, ((0, 0.21), (0.7, 0.2), (1, 0.1)), cap_top, cap_top + 0.3, radius / 0.5)
    thread = 0.5 - 0.35 * cap.across + 0.3 * np.cos((sketch.y + 0.06 * sketch.x) * 70)
    made = over(glass, layer(ramp(METAL), thread, cap.mask))
    on = sketch.chance(0.75)
    warm = sketch.shining((((0.0, 0.80, 0.15, 75), (0.5, 0.90, 0.13, 95), (1.0, 0.995, 0.02, 100)),))
    wire = np.abs(sketch.y - y - 0.05 - 0.05 * np.cos(sketch.x * 40)) + np.maximum(np.abs(sketch.x) - 0.14, 0)
    posts = np.maximum(
        np.abs(np.abs(sketch.x) - 0.13 + 0.15 * (sketch.y - y)), np.where(sketch.y > y + 0.03, 0, 1)
    )
    wires = np.maximum(np.exp(-((wire / 0.02) ** 2)), np.exp(-((posts / 0.014) ** 2)) * (sketch.y < cap_top))
    made = over(layer(BLACK if not on else warm, 1.0, wires * 0.85 * mask), made)
    light = 0.85 * window_light(u, v) * cover
    made = over(layer(WHITE, 1.0, light), made)
    if not on:
        return made
    away = np.hypot(sketch.x, sketch.y - y)
    shine = 0.8 * np.exp(-((away / 0.34) ** 2)) + 0.38 * smooth(1 - away / 0.92, 0.0, 1.0)
    return lit(made, layer(warm, 0.25 + 0.6 * shine, shine * sketch.away_from_border(0.2)))


def lens(sketch: Sketch) -> Floats:
    """Paints a magnifying glass: a clear lens in a ring, with a handle."""
    x, y, radius, wide = -0.16, -0.18, sketch.uniform(0.46, 0.54), sketch.uniform(0.06, 0.09)
    flip = -1.0 if sketch.chance(0.4) else 1.0
    across = sketch.x * np.float32(flip)
    along, aside = (across - x + sketch.y - y) / np.sqrt(2), (sketch.y - y - across + x) / np.sqrt(2)
    metal = ramp((METAL, GOLD)[sketch.among(0, 1)])
    wood = sketch.matte(
        (
            ((0.0, 0.22, 0.02, 50), (0.5, 0.4, 0.07, 50), (1.0, 0.66, 0.06, 60)),
            ((0.0, 0.15, 0.0, 0), (1.0, 0.5, 0.01, 260)),
        )
    )
    grip = 0.085 + 0.02 * smooth(along, radius, radius + 0.6)
    end = radius + wide + 0.58
    middle = np.clip(along, radius + wide + 0.12, end)
    handle = sketch.inside(grip - np.hypot(along - middle, aside))
    neck = sketch.inside(0.05 - np.abs(aside)) * sketch.inside(along - radius) * sketch.inside(end - along)
    made = over(layer(wood, 0.5 - aside / 0.1 * 0.45, handle), layer(metal, 0.5 - aside / 0.05 * 0.4, neck))
    away = np.hypot(across - x, sketch.y - y)
    ring = sketch.inside(wide / 2 - np.abs(away - radius))
    turn = np.arctan2(sketch.y - y, across - x)
    made = over(
        layer(metal, 0.5 + 0.35 * np.cos(2 * turn + 1.6) + 0.2 * np.sin((away - radius) / wide * 3), ring),
        made,
    )
    cover, rim, u, v = sphere(sketch, x * flip, y, radius - wide / 4)
    tint = ramp(CLEAR[sketch.among(0, 2)])
    pane = layer(tint, 0.75 - 0.3 * rim, (0.16 + 0.3 * rim) * cover * sketch.density**0.5)
    sheen = (
        smooth(0.2 - np.abs(u + v + 0.55), 0.0, 0.05) * 0.4
        + smooth(0.07 - np.abs(u + v + 0.1), 0.0, 0.04) * 0.3
    )
    pane = over(
        layer(WHITE, 1.0, np.maximum(sheen * (1 - rim), 0.6 * window_light(u, v, size=0.12)) * cover), pane
    )
    return over(made, pane)


def pane(sketch: Sketch) -> Floats:
    """Paints a window: clear panes in a frame, with a slanting sheen."""
    half_x, half_y = sketch.uniform(0.5, 0.74), sketch.uniform(0.62, 0.8)
    bar = sketch.uniform(0.05, 0.09)
    framed = sketch.chance(0.75)
    inside = np.minimum(half_x - np.abs(sketch.x), half_y - np.abs(sketch.y))
    cross = np.minimum(np.abs(sketch.x), np.abs(sketch.y + 0.1) if sketch.chance(0.6) else 9.0)
    cover = sketch.inside(inside)
    tint = sketch.matte(CLEAR)
    sweep = sketch.x * 0.8 + sketch.y
    sheen = smooth(sketch.noise("fractal", 0.8, x=sweep, y=0 * sweep), 0.1, 0.35) * 0.3
    edge = np.exp(-((inside / 0.03) ** 2))
    alpha = (0.2 + 0.1 * sketch.y + 0.35 * (0 if framed else 1) * edge) * sketch.density**0.6
    made = over(layer(WHITE, 1.0, sheen * cover), layer(tint, 0.6 - 0.15 * sketch.y, alpha * cover))
    if not framed:
        return made
    paints: Sequence[Sequence[Stop]] = (
        ((0.0, 0.70, 0.01, 90), (1.0, 0.98, 0.0, 90)),
        ((0.0, 0.32, 0.06, 50), (1.0, 0.62, 0.09, 60)),
        ((0.0, 0.22, 0.01, 260), (1.0, 0.52, 0.01, 260)),
    )
    paint = ramp(paints[sketch.among(0, 2)])
    outer = sketch.inside(bar - np.abs(inside))
    inner = sketch.inside(bar * 0.4 - cross) * cover
    light = 0.75 + (np.where(outer > 0, np.abs(inside) / bar, cross / (bar * 0.4)) - 0.5) * -0.4
    return over(layer(paint, light, np.maximum(outer, inner)), made)
