"""What the tables of kinds say of each.

A phrase has one place, `{}`, where density and colour are said: "a puff of {}smoke". An article in brackets
is left out at times, as people do. `{s}` is a subject with its article, `{l}` one without.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pellucid.data.recolouring import COLOURS
from pellucid.data.rendering.noise import Floats
from pellucid.data.rendering.sketch import Sketch

ANY = tuple(COLOURS)
NONE: tuple[str, ...] = ()
LIGHTS = tuple(name for name in COLOURS if name not in ("black", "brown", "grey"))
"""Colours that light can have."""
THIN, THICK = ("thin", "faint", "wispy"), ("thick", "dense", "heavy")
# not "light": before a colour it would be the colour's
PEOPLE = ("people", "smileys")
"""Groups that are not set on fire."""
DIM, BRIGHT = ("faint", "dim", "soft"), ("bright", "strong")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of image."""

    name: str
    phrases: tuple[str, ...]
    coloured: tuple[str, ...] = ()
    """Phrases that are used instead where a colour is named, since it is only a part's."""
    plain: tuple[str, ...] = ()
    """Further phrases where neither colour nor density is named: "a burning house"."""
    colours: tuple[str, ...] = ANY
    thin: tuple[str, ...] = ()
    """Words for half the usual density; none where nobody would speak of it."""
    thick: tuple[str, ...] = ()
    share: float = 1.0
    """How often it is drawn, relative to one of share 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect(Kind):
    """A kind of thing that is rendered alone."""

    paint: Callable[[Sketch], Floats]
    """Returns float32 (h, w, 4), premultiplied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene(Kind):
    """A kind of thing that happens to a subject."""

    paint: Callable[[Sketch, Floats], Floats]
    """Gets the subject over the whole image and returns all, float32 (h, w, 4), premultiplied."""
    never: tuple[str, ...] = ()
    """Groups of subjects to which this does not happen."""
