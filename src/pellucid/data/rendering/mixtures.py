"""Two effects at once: fires that smoke, a glass with ice in it."""

from collections.abc import Callable

from pellucid.data.rendering import glass, vapour, water
from pellucid.data.rendering.cushions import CLEAR
from pellucid.data.rendering.noise import Floats
from pellucid.data.rendering.scenes import placed
from pellucid.data.rendering.sketch import Sketch, over, stacked


def smoky(burn: Callable[[Sketch], Floats], scale: float, top: float) -> Callable[[Sketch], Floats]:
    """Makes the painter of a fire with smoke above it; the asked colour is the smoke's.

    Args:
        burn: paints the fire.
        scale: of the fire.
        top: y of the plane where the smoke begins.
    """

    def paint(sketch: Sketch) -> Floats:
        plain = Sketch(sketch.rng, sketch.size_px)
        flames = placed(sketch, burn(plain), scale, 0, 0.98 - scale)
        smoke = vapour.rising(sketch, top + 0.15, top + 0.15 + 0.72, 1.9)
        return over(flames, smoke)

    return paint


def iced(sketch: Sketch) -> Floats:
    """Paints a glass of water with cubes of ice in it."""
    turned = glass.Turned(sketch, glass.PROFILES["tumbler"], -0.68, 0.66, sketch.uniform(1.0, 1.12))
    tint = sketch.matte(CLEAR)
    level = sketch.uniform(-0.42, -0.2)
    cubes: list[Floats] = []
    for side in (-0.17, 0.15)[: sketch.among(1, 2)]:
        cube = water.ice_cube(Sketch(sketch.rng, sketch.size_px))
        cubes.append(placed(sketch, cube, 0.34, side, level + sketch.uniform(-0.02, 0.14)))
    layers = [glass.walls(turned, tint), *cubes]
    layers.append(glass.filled(turned, glass.LIQUIDS["water"], level, cloudy=False))
    return stacked([*layers, glass.highlights(turned)])
