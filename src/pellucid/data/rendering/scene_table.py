"""The table of effects behind, before and around a subject: "a cat in fog", "a sword with a blue glow"."""

from collections.abc import Callable

from pellucid.data.rendering import scenes
from pellucid.data.rendering.kinds import ANY, BRIGHT, DIM, LIGHTS, NONE, PEOPLE, THICK, THIN, Scene
from pellucid.data.rendering.noise import Floats
from pellucid.data.rendering.sketch import Sketch

Painter = Callable[[Sketch, Floats], Floats]


def _split(phrases: str) -> tuple[str, ...]:
    return tuple(phrases.split("|")) if phrases else ()


def _scene(
    name: str,
    paint: Painter,
    phrases: str,
    *,
    plain: str = "",
    colours: tuple[str, ...] = ANY,
    thin: tuple[str, ...] = (),
    thick: tuple[str, ...] = (),
    share: float = 1.0,
    never: tuple[str, ...] = (),
) -> Scene:
    return Scene(
        name=name,
        phrases=_split(phrases),
        plain=_split(plain),
        paint=paint,
        colours=colours,
        thin=thin,
        thick=thick,
        share=share,
        never=never,
    )


def _vapour(
    name: str,
    paint: Painter,
    phrases: str,
    *,
    plain: str = "",
    share: float = 1.0,
    never: tuple[str, ...] = (),
) -> Scene:
    return _scene(name, paint, phrases, thin=THIN, thick=THICK, plain=plain, share=share, never=never)


def _light(name: str, paint: Painter, phrases: str, *, plain: str = "", share: float = 1.0) -> Scene:
    return _scene(name, paint, phrases, colours=LIGHTS, thin=DIM, thick=BRIGHT, plain=plain, share=share)


def _shining(
    name: str,
    paint: Painter,
    phrases: str,
    *,
    plain: str = "",
    share: float = 1.0,
    never: tuple[str, ...] = (),
) -> Scene:
    return _scene(name, paint, phrases, colours=LIGHTS, plain=plain, share=share, never=never)


SCENES: tuple[Scene, ...] = (
    _light(
        "glow",
        scenes.glowing,
        "{s} with a {}glow|{s} with a {}aura|{s} in a {}glow|{s} in {}light|{s} glowing in {}light",
        plain="[a ]glowing {l}|[a ]shining {l}",
        share=3,
    ),
    _vapour("fog", scenes.in_fog, "{s} in {}fog|{s} in {}mist|{s} in the {}fog|{}fog around {s}", share=2.5),
    _vapour(
        "smoke",
        scenes.smoking,
        "{s} with {}smoke|{s} and {}smoke|{}smoke rising from {s}|{s} with rising {}smoke",
        plain="[a ]smoking {l}",
        share=2,
        never=PEOPLE,
    ),
    _vapour(
        "smoke cloud", scenes.in_smoke, "{s} in {}smoke|{s} in a cloud of {}smoke|{s} surrounded by {}smoke"
    ),
    _vapour(
        "steam",
        scenes.steaming,
        "{s} with {}steam|{}steam rising from {s}|{s} with rising {}steam",
        plain="[a ]steaming {l}|[a ]steaming hot {l}",
        share=1.3,
        never=PEOPLE,
    ),
    _vapour("dust", scenes.in_dust, "{s} in a cloud of {}dust|{s} in {}dust", share=0.6),
    _scene("cloud", scenes.on_cloud, "{s} on a {}cloud|{s} in the {}clouds|{s} on top of a {}cloud"),
    _shining(
        "fire",
        scenes.on_fire,
        "{s} in {}flames|{s} in {}fire|{s} with {}flames",
        plain="{s} on fire|[a ]burning {l}",
        share=2,
        never=PEOPLE,
    ),
    _shining(
        "sparks",
        scenes.with_sparks,
        "{s} with {}sparks|{s} with flying {}sparks|{s} in a shower of {}sparks",
        share=0.8,
    ),
    _shining(
        "sparkles",
        scenes.sparkling,
        "{s} with {}sparkles|{s} with {}glitter|{s} surrounded by {}sparkles",
        share=1.3,
    ),
    _shining(
        "spotlight",
        scenes.in_spotlight,
        "{s} in a {}spotlight|{s} in a beam of {}light|{s} under a {}spotlight",
        share=1.2,
    ),
    _shining("rays", scenes.with_rays, "{s} with rays of {}light|{s} in front of {}light rays", share=0.8),
    _shining(
        "lightning",
        scenes.with_lightning,
        "{s} with {}lightning|{s} and {}lightning bolts",
        share=0.6,
        never=PEOPLE,
    ),
    _shining("halo", scenes.with_halo, "{s} with a {}halo|{s} under a {}halo", share=0.9),
    _scene(
        "rain",
        scenes.in_rain,
        "{s} in {}rain|{s} in the {}rain|{s} in falling {}rain",
        colours=NONE,
        thin=("light",),
        thick=("heavy", "pouring"),
        share=0.8,
    ),
    _scene(
        "snow",
        scenes.in_snow,
        "{s} in {}snow|{s} in the {}snow|{s} in falling {}snow",
        colours=NONE,
        thin=("light",),
        thick=("heavy", "thick"),
        share=0.8,
    ),
    _scene(
        "rainbow",
        scenes.under_rainbow,
        "{s} under a rainbow|{s} with a rainbow|{s} in front of a rainbow",
        colours=NONE,
        share=0.5,
    ),
    _scene(
        "veil",
        scenes.behind_veil,
        "{s} behind a {}veil|{s} behind a sheer {}curtain|{s} under a {}veil",
        share=1.3,
    ),
    _scene(
        "soap bubble",
        scenes.in_bubble,
        "{s} in a {}soap bubble|{s} in a {}bubble|{s} inside a {}bubble",
        share=1.5,
    ),
    _scene(
        "glass ball",
        scenes.in_ball,
        "{s} in a {}glass ball|{s} inside a {}glass sphere|{s} in a {}crystal ball",
    ),
    _scene("glass dome", scenes.under_dome, "{s} under a {}glass dome|{s} under {}glass"),
    _scene(
        "glass jar",
        scenes.in_jar,
        "{s} in a {}glass jar|{s} in a {}jar|{s} inside a {}glass jar",
        never=PEOPLE,
    ),
    _scene(
        "ice",
        scenes.in_ice,
        "{s} in {}ice|{s} frozen in {}ice|{s} in a block of {}ice",
        plain="[a ]frozen {l}",
        share=1.5,
    ),
    _scene("window", scenes.behind_window, "{s} behind a window|{s} behind glass", colours=NONE, share=0.8),
    _scene(
        "splash",
        scenes.in_splash,
        "{s} in a splash of {}water|{s} with a {}water splash|{s} splashing into {}water",
    ),
    _scene("water", scenes.in_water, "{s} in {}water|{s} in clear {}water", share=1.2),
    _scene(
        "water drops",
        scenes.wet,
        "{s} with {}water drops|{s} covered in {}water drops",
        plain="[a ]wet {l}",
        share=0.6,
    ),
    _scene("bubbles", scenes.among_bubbles, "{s} with {}bubbles|{s} among {}bubbles|{s} with {}soap bubbles"),
    _scene(
        "shadow",
        scenes.with_shadow,
        "{s} with a soft shadow|{s} with a shadow|{s} and its shadow",
        colours=NONE,
        share=0.9,
    ),
    _scene("drop shadow", scenes.with_drop_shadow, "{s} with a drop shadow", colours=NONE, share=0.5),
    _scene(
        "reflection",
        scenes.mirrored,
        "{s} with a reflection|{s} and its reflection|{s} mirrored in the floor",
        colours=NONE,
        share=0.6,
    ),
)
