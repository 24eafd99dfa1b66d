"""Materials: the shape that an image shows, as if it were made of glass, gold, wood or light.

Each is drawn from outline and shading alone, so that eyes, wheels and strings stay where they were. Glass,
crystal, ice, ghosts and neon get an alpha of their own; the others keep the image's.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pellucid.data.composing.surfaces import (
    Plane,
    Planes,
    Surface,
    blurred,
    cells,
    noise,
    ramp,
    straight,
    surface_of,
)
from pellucid.data.recolouring import COLOURS, Colour
from pellucid.rgba.oklab import from_oklab
from pellucid.rgba.types import RGBA8

Draw = Callable[[np.random.Generator, Surface, RGBA8, Colour | None], tuple[Planes, Plane]]
"""(draws, shape, image, tint) -> colour in [0, 1] (h, w, 3), alpha in [0, 1] (h, w)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """A row of the table of materials."""

    adjectives: tuple[str, ...]
    """Words before the noun: "a golden key"."""
    phrases: tuple[str, ...]
    """Words after it: "a key made of gold"."""
    draw: Draw
    tints: tuple[str, ...] = ()
    """Colours in which it may be asked for: "a blue glass cat"."""
    share: float = 1.0
    """How often it is drawn, relative to the others."""
    translucent: bool = False


def tint_of(colour: Colour | None, usual: tuple[int, int, int]) -> Planes:
    """Returns a colour as sRGB in [0, 1], (3,); `usual` levels where none is asked for."""
    if colour is None:
        return np.array(usual, np.float32) / 255
    hue = np.radians(colour.hue)
    lightness = max(colour.lightness, 0.35)
    lab = np.array([[lightness, colour.chroma * np.cos(hue), colour.chroma * np.sin(hue)]])
    return from_oklab(lab)[0].astype(np.float32)


def facing(surface: Surface, right: float, down: float, sharpness: float) -> Plane:
    """Returns the highlight of a lamp in a direction, [0, 1]."""
    towards = np.array([right, down, 1.0]) / np.sqrt(right**2 + down**2 + 1)
    x, y, z = surface.normal
    return ((x * towards[0] + y * towards[1] + z * towards[2]).clip(0, 1) ** sharpness).astype(np.float32)


def mixed(back: Planes, front: Planes, share: Plane) -> Planes:
    """Mixes colours (h, w, 3) or (3,) by a share (h, w)."""
    return back + (front - back) * share[..., None]


def glass(rng: np.random.Generator, surface: Surface, _: RGBA8, tint: Colour | None) -> tuple[Planes, Plane]:
    """Thin and clear inside, denser where one looks along the wall, with bright reflections."""
    colour = tint_of(tint, (176, 214, 224))
    rim = surface.rim
    edge = np.exp(-surface.depth * surface.size_px / 2.2).astype(np.float32)
    shade = 0.62 + 0.38 * surface.light - 0.30 * rim
    rgb = colour * shade[..., None]
    window = facing(surface, -0.75, -0.85, 26) + 0.7 * facing(surface, 0.8, 0.75, 22)
    shine = (1.15 * window + 0.35 * (surface.light - 0.86).clip(0, 1) / 0.14).clip(0, 1)
    body = 0.20 + rng.uniform(0, 0.08) + (0.12 if tint else 0.0)
    alpha = body + 0.30 * rim**1.3 + 0.42 * edge + 0.38 * surface.lines + 0.12 * (1 - surface.light)
    alpha = np.maximum(alpha, 0.92 * shine)
    return mixed(rgb, np.ones(3, np.float32), shine), surface.alpha * alpha.clip(0, 0.95)


def crystal(
    rng: np.random.Generator, surface: Surface, __: RGBA8, tint: Colour | None
) -> tuple[Planes, Plane]:
    """Facets of which each catches another light."""
    size = surface.size_px
    number, border = cells(rng, size, 46)
    turned = rng.uniform(-1, 1, (int(number.max()) + 1, 2)).astype(np.float32)[number]
    x, y, _ = surface.normal
    lit = 0.5 - 0.42 * (x + 0.75 * turned[..., 0]) - 0.42 * (y + 0.75 * turned[..., 1])
    lit = (0.5 + 1.25 * (0.62 * lit + 0.38 * surface.light - 0.55)).clip(0, 1)
    ridge = np.exp(-border / 1.1).astype(np.float32)
    edge = np.exp(-surface.depth * size / 1.8).astype(np.float32)
    colour = tint_of(tint, (132, 160, 238))
    rgb = mixed(
        colour * (0.30 + 0.85 * lit)[..., None], np.ones(3, np.float32), (lit - 0.62).clip(0, 1) / 0.38
    )
    rgb = mixed(rgb, np.ones(3, np.float32), 0.55 * ridge * (0.3 + lit).clip(0, 1))
    alpha = (
        0.22
        + 0.52 * np.abs(lit - 0.5)
        + 0.25 * (lit > 0.88)
        + 0.22 * ridge
        + 0.46 * edge
        + 0.34 * surface.lines
    )
    return rgb, surface.alpha * alpha.astype(np.float32).clip(0, 0.95)


def ice(rng: np.random.Generator, surface: Surface, _: RGBA8, tint: Colour | None) -> tuple[Planes, Plane]:
    """Cold and cloudy, frosted at the rim, with cracks inside."""
    size = surface.size_px
    _, border = cells(rng, size, 16)
    broken = noise(rng, size, 0.5)
    crack = np.exp(-border / 0.8).astype(np.float32) * (broken > 0.45)
    cloudy = noise(rng, size, 0.35)
    edge = np.exp(-surface.depth * size / 3.0).astype(np.float32)
    base = ramp(
        0.25 + 0.55 * surface.light + 0.25 * (cloudy - 0.5), (58, 124, 190), (132, 194, 236), (214, 240, 255)
    )
    if tint:
        base = 0.45 * base + 0.55 * tint_of(tint, (0, 0, 0))
    frost = (0.75 * edge + 0.55 * crack + 0.30 * (cloudy - 0.62).clip(0, 1) / 0.38).clip(0, 1)
    shine = facing(surface, -0.7, -0.9, 24)
    white = (frost * 0.85 + shine).clip(0, 1)
    alpha = 0.25 + 0.16 * cloudy + 0.28 * frost + 0.40 * surface.lines + 0.6 * shine + 0.16 * surface.rim
    return mixed(base, np.ones(3, np.float32), white), surface.alpha * alpha.clip(0, 0.95)


def transparent(
    rng: np.random.Generator, surface: Surface, rgba: RGBA8, _: Colour | None
) -> tuple[Planes, Plane]:
    """The image itself, seen through: its own colours, thin inside and denser at outline and lines."""
    edge = np.exp(-surface.depth * surface.size_px / 2.5).astype(np.float32)
    alpha = rng.uniform(0.30, 0.42) + 0.28 * edge + 0.30 * surface.lines + 0.10 * surface.rim
    return rgba[..., :3].astype(np.float32) / 255, surface.alpha * alpha.clip(0, 0.85)


def ghost(rng: np.random.Generator, surface: Surface, _: RGBA8, tint: Colour | None) -> tuple[Planes, Plane]:
    """Pale light that thins towards the ground, with a glow around and dark eyes."""
    size = surface.size_px
    pale = tint_of(tint, (206, 228, 246))
    down = np.linspace(0, 1, size, dtype=np.float32)[:, None]
    rows = np.flatnonzero(surface.alpha.max(axis=1) > 0.5)
    top, bottom = (rows[0] / size, rows[-1] / size) if len(rows) else (0.0, 1.0)
    fading = 1 - 0.66 * ((down - top) / max(bottom - top, 0.1)).clip(0, 1) ** 1.6
    mist = noise(rng, size, 0.25)
    inside = blurred(surface.alpha, size / 80)
    halo = blurred(surface.alpha, size / 22)
    shade = ramp(surface.light, (52, 72, 112), (160, 190, 220), (255, 255, 255)) * (pale / pale.max())
    edge = np.exp(-surface.depth * size / 2.5).astype(np.float32)
    body = inside * (
        0.26 * edge
        + 0.30
        + 0.22 * surface.light
        + 0.20 * surface.rim
        + 0.45 * surface.lines
        + 0.18 * (mist - 0.5)
    )
    alpha = fading * np.maximum(body, 0.30 * halo * (1 - 0.3 * inside))
    inner = (surface.alpha > 0.5).astype(np.float32)
    return mixed(np.broadcast_to(pale, shade.shape), shade, blurred(inner, 1.0)), alpha.clip(0, 0.8)


def neon(rng: np.random.Generator, surface: Surface, _: RGBA8, tint: Colour | None) -> tuple[Planes, Plane]:
    """Lit tubes along outline and lines, and their glow; nothing else."""
    size = surface.size_px
    usual = [(255, 40, 150), (40, 220, 255), (90, 255, 120), (255, 150, 40), (170, 90, 255)]
    colour = tint_of(tint, usual[int(rng.integers(len(usual)))])
    colour = colour / colour.max()
    from_outline = surface.depth * size
    outline = np.exp(-(((from_outline - 2.6 * size / 128) / (1.25 * size / 128)) ** 2)) * surface.alpha
    parts = blurred(surface.lines * (from_outline > 5 * size / 128), 0.8)
    tube = np.maximum(outline, (1.5 * parts).clip(0, 1) ** 1.5).astype(np.float32)
    glow = 1.6 * blurred(tube, size / 42) + 1.3 * blurred(tube, size / 16)
    core = (tube - 0.55).clip(0, 1) / 0.45
    alpha = 1 - (1 - tube.clip(0, 1)) * (1 - 0.62 * (1 - np.exp(-1.6 * glow)))
    # the canvas must not cut the glow off
    ramp_in = np.minimum(np.arange(size), np.arange(size)[::-1]).clip(0, 6).astype(np.float32) / 6
    faded = alpha * np.minimum(ramp_in[:, None], ramp_in[None, :]).clip(0, 1)
    return mixed(np.broadcast_to(colour, (size, size, 3)), np.ones(3, np.float32), 0.85 * core), faded


def metal(*stops: tuple[int, int, int]) -> Draw:
    """Makes a polished metal of five or more colours from dark to light."""

    def draw(rng: np.random.Generator, surface: Surface, _: RGBA8, __: Colour | None) -> tuple[Planes, Plane]:
        x, y, z = surface.normal
        # a room: bright above, dark at the horizon, light of the floor below
        height = -2 * z * y + 0.35 * x
        room = 0.52 + 0.40 * np.sin(3.6 * height + rng.uniform(-0.2, 0.3)) * (0.55 + 0.45 * np.abs(height))
        value = 0.50 * surface.light + 0.46 * room - 0.22 * surface.lines - 0.10 * surface.rim**2
        value = value + 0.55 * facing(surface, -0.6, -0.8, 30)
        edge = np.exp(-surface.depth * surface.size_px / 1.3).astype(np.float32)
        return ramp(value - 0.22 * edge, *stops), surface.alpha

    return draw


def wood(rng: np.random.Generator, surface: Surface, _: RGBA8, __: Colour | None) -> tuple[Planes, Plane]:
    """Grain of year rings, cut along the trunk."""
    size = surface.size_px
    slow, fine = noise(rng, size, 0.22, 0.06), noise(rng, size, 0.04, 0.9)
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    if rng.random() < 0.5:
        slow, fine, x, y = slow.T, fine.T, y, x
    rings = 0.5 + 0.5 * np.sin(2 * np.pi * (10.5 * y + 2.6 * slow + 0.6 * x))
    grain = 0.60 * rings**1.5 + 0.40 * fine
    lit = 0.5 + 0.5 * facing(surface, -0.5, -0.8, 2)
    value = (0.22 + 0.62 * surface.light) * lit + 0.34 * (grain - 0.45) - 0.24 * surface.lines + 0.14
    edge = np.exp(-surface.depth * size / 1.5).astype(np.float32)
    dark, light = ((66, 36, 18), (236, 190, 130)) if rng.random() < 0.7 else ((48, 26, 14), (196, 134, 84))
    middle = tuple(int(0.45 * a + 0.55 * b) for a, b in zip(dark, light, strict=True))
    return ramp(value - 0.16 * edge, dark, middle, light), surface.alpha  # type: ignore[arg-type]


def stone(rng: np.random.Generator, surface: Surface, _: RGBA8, __: Colour | None) -> tuple[Planes, Plane]:
    """Rough and grey, lit from the upper left."""
    size = surface.size_px
    coarse, fine = noise(rng, size, 0.3), noise(rng, size, 1.0)
    speck = rng.random((size, size), np.float32)
    lit = facing(surface, -0.8, -0.9, 1.6)
    value = (
        0.46 * surface.light + 0.40 * lit + 0.24 * (coarse - 0.5) + 0.26 * (fine - 0.5) + 0.10 * (speck - 0.5)
    )
    value = value - 0.30 * surface.lines - 0.16 * (fine < 0.12)
    warm = int(rng.integers(-4, 12))
    return ramp(value, (46 + warm, 46, 46), (128 + warm, 126, 122), (206 + warm, 204, 198)), surface.alpha


def marble(rng: np.random.Generator, surface: Surface, _: RGBA8, __: Colour | None) -> tuple[Planes, Plane]:
    """White and polished, with grey veins."""
    size = surface.size_px
    slow, fine = noise(rng, size, 0.3), noise(rng, size, 0.6)
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    wave = np.abs(np.sin(np.pi * (1.6 * x + 2.4 * y + 3.2 * slow + 0.5 * fine)))
    vein = (1 - wave) ** 5 + 0.35 * (1 - np.abs(np.sin(np.pi * (3.1 * x - 1.7 * y + 4 * slow)))) ** 7
    lit = facing(surface, -0.6, -0.8, 1.5)
    value = 0.36 + 0.30 * surface.light + 0.38 * lit - 0.42 * vein - 0.34 * surface.lines
    value = value + 0.4 * facing(surface, -0.6, -0.8, 40)
    return ramp(value, (58, 60, 66), (158, 160, 166), (230, 230, 230), (255, 254, 252)), surface.alpha


def chocolate(
    rng: np.random.Generator, surface: Surface, _: RGBA8, __: Colour | None
) -> tuple[Planes, Plane]:
    """Brown and smooth, with soft shine."""
    light = blurred(surface.light, surface.size_px / 160)
    lit = facing(surface, -0.6, -0.9, 2.2)
    value = 0.10 + 0.34 * light + 0.34 * lit - 0.16 * surface.lines + 0.5 * facing(surface, -0.6, -0.85, 26)
    white = rng.random() < 0.12
    stops = (
        ((150, 110, 66), (232, 206, 160), (255, 248, 228))
        if white
        else ((34, 16, 8), (94, 50, 26), (158, 98, 58), (236, 198, 160))
    )
    return ramp(value, *stops), surface.alpha


CLEAR_TINTS = ("red", "orange", "yellow", "green", "turquoise", "blue", "purple", "pink")
MATERIALS: dict[str, Material] = {
    "glass": Material(
        adjectives=("glass", "clear glass"),
        phrases=("made of glass",),
        draw=glass,
        tints=CLEAR_TINTS,
        share=2.0,
        translucent=True,
    ),
    "crystal": Material(
        adjectives=("crystal",),
        phrases=("made of crystal",),
        draw=crystal,
        tints=CLEAR_TINTS,
        share=1.4,
        translucent=True,
    ),
    "ice": Material(
        adjectives=("ice", "frozen"),
        phrases=("made of ice", "carved from ice"),
        draw=ice,
        share=1.4,
        translucent=True,
    ),
    "ghost": Material(
        adjectives=("ghostly", "ghost", "spectral"),
        phrases=(),
        draw=ghost,
        tints=("green", "blue", "purple"),
        share=1.2,
        translucent=True,
    ),
    "transparent": Material(
        adjectives=("transparent", "translucent", "see-through"),
        phrases=("one can see through",),
        draw=transparent,
        share=1.4,
        translucent=True,
    ),
    "neon": Material(
        adjectives=("neon",),
        phrases=("as a neon sign", "in neon light"),
        draw=neon,
        tints=CLEAR_TINTS,
        share=1.4,
        translucent=True,
    ),
    "gold": Material(
        adjectives=("gold", "golden"),
        phrases=("made of gold",),
        share=1.6,
        draw=metal((62, 30, 4), (146, 88, 12), (214, 150, 28), (250, 206, 82), (255, 246, 196)),
    ),
    "silver": Material(
        adjectives=("silver",),
        phrases=("made of silver",),
        share=1.2,
        draw=metal((34, 38, 46), (98, 104, 116), (168, 174, 184), (220, 224, 232), (255, 255, 255)),
    ),
    "bronze": Material(
        adjectives=("bronze",),
        phrases=("made of bronze",),
        share=0.8,
        draw=metal((34, 20, 8), (92, 58, 24), (144, 98, 46), (190, 142, 82), (246, 218, 170)),
    ),
    "copper": Material(
        adjectives=("copper",),
        phrases=("made of copper",),
        share=0.8,
        draw=metal((48, 14, 6), (128, 54, 28), (190, 96, 60), (232, 152, 112), (255, 222, 200)),
    ),
    "wood": Material(
        adjectives=("wooden",), phrases=("made of wood", "carved from wood"), draw=wood, share=1.6
    ),
    "stone": Material(
        adjectives=("stone",), phrases=("made of stone", "carved from stone"), draw=stone, share=1.2
    ),
    "marble": Material(adjectives=("marble",), phrases=("made of marble",), draw=marble),
    "chocolate": Material(adjectives=("chocolate",), phrases=("made of chocolate",), draw=chocolate),
}


def made_of(rgba: RGBA8, material: str, rng: np.random.Generator, colour: str | None = None) -> RGBA8:
    """Shows a thing as if it were made of a material.

    Args:
        rgba: uint8 (s, s, 4), straight alpha, something visible in it.
        material: a key of `MATERIALS`.
        rng: draws grain, facets, cracks and the like.
        colour: a key of `COLOURS`, of the material's `tints`; None is the material's own.

    Returns:
        uint8 (s, s, 4); colour is 0 where alpha is 0.
    """
    drawn = MATERIALS[material].draw(rng, surface_of(rgba), rgba, COLOURS[colour] if colour else None)
    return straight(*drawn)
