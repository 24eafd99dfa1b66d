"""Effects of PSD layers: whether any is drawn, and those that can be drawn here.

Solid overlays, gradient overlays, strokes of one colour, drop shadows and outer glows are known; bevels,
satin, inner shadows and inner glows are not.

Source: "Adobe Photoshop File Formats Specification", "Object-based effects layer info".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from psd_tools.constants import BlendMode as FileMode
from psd_tools.constants import EffectOSType, Tag
from psd_tools.psd.descriptor import Descriptor
from psd_tools.psd.effects_layer import EffectsLayer
from psd_tools.terminology import Enum, Key

from pellucid.rgba.blend_modes import BLEND_FUNCTIONS, BlendMode
from pellucid.rgba.types import AnyArray
from pellucid.scene.formats.psd_descriptors import enumerated, number
from pellucid.scene.formats.psd_gradients import parse_gradient

EFFECTS = (
    Tag.OBJECT_BASED_EFFECTS_LAYER_INFO,
    Tag.OBJECT_BASED_EFFECTS_LAYER_INFO_V0,
    Tag.OBJECT_BASED_EFFECTS_LAYER_INFO_V1,
)
EFFECT_KEYS = {Tag.EFFECTS_LAYER.value, *(tag.value for tag in EFFECTS)}
MASTER_SWITCH, ENABLED, PRESENT = b"masterFXSwitch", b"enab", b"present"
CONCEALS, RANGE, OVERPRINT, CONTOUR = b"layerConceals", b"Inpr", b"overprint", b"TrnS"
SMOOTH = b"Cnty"
CONTOUR_STEPS = 1024
MAX_POINTS = 64

Kind = Literal["drop shadow", "outer glow", "gradient overlay", "colour overlay", "stroke"]
KINDS: dict[bytes, Kind] = {
    b"DrSh": "drop shadow",
    b"OrGl": "outer glow",
    b"GrFl": "gradient overlay",
    b"SoFi": "colour overlay",
    b"FrFX": "stroke",
}
"""By class, in the order in which they are drawn, bottom first."""
OUTER: tuple[Kind, ...] = ("drop shadow", "outer glow")
BELOW: tuple[Kind, ...] = (*OUTER, "stroke")
"""Those that become layers of their own."""
BANDS = {
    Enum.OutsetFrame.value: (0.0, 1.0),
    Enum.CenteredFrame.value: (-0.5, 0.5),
    Enum.InsetFrame.value: (-1.0, 0.0),
}
"""Where a stroke lies, in shares of its width, outward from the edge."""
MAX_SIZE = 250
"""As in Photoshop."""
MODE_KEYS: dict[bytes, BlendMode] = {
    b"Nrml": "normal", b"Mltp": "multiply", b"Scrn": "screen", b"Ovrl": "overlay", b"Drkn": "darken",
    b"Lghn": "lighten", b"CBrn": "color_burn", b"CDdg": "color_dodge", b"HrdL": "hard_light",
    b"SftL": "soft_light", b"Dfrn": "difference", b"Xclu": "exclusion", b"linearBurn": "linear_burn",
    b"linearDodge": "linear_dodge", b"vividLight": "vivid_light", b"linearLight": "linear_light",
    b"pinLight": "pin_light", b"hardMix": "hard_mix", b"H   ": "hue", b"Strt": "saturation",
    b"Clr ": "color", b"Lmns": "luminosity", b"darkerColor": "darker_color",
    b"lighterColor": "lighter_color", b"blendSubtraction": "subtract", b"blendDivide": "divide",
}  # fmt: skip
"""Blend modes as descriptors spell them."""


@dataclass(frozen=True, eq=False)
class Effect:
    """One effect that can be drawn."""

    kind: Kind
    paint: Descriptor
    """Its own block: with a colour, or a gradient."""
    mode: BlendMode
    opacity: float
    size: float = 0
    """Width of a stroke, or how far a shadow or glow reaches, pixels."""
    spread: float = 0
    """The share of the size in which a shadow or glow is whole."""
    shift: tuple[int, int] = (0, 0)
    """Down and right, pixels."""
    conceals: bool = True
    """Whether the layer hides a shadow under what is transparent of it, too."""
    range: float = 1
    """The share of a glow's fall in which it is seen."""
    contour: AnyArray | None = None
    """What becomes of even strengths of a shadow or glow between 0 and 1; None for the same."""
    band: tuple[float, float] = (0, 0)
    """From where to where a stroke lies, outward from the edge, pixels."""

    @property
    def grown(self) -> float:
        """How far a shadow or glow is whole beyond the layer, pixels."""
        return self.size * self.spread

    @property
    def reach(self) -> int:
        """How far it can be seen beyond the layer, pixels, before it is moved."""
        return int(np.ceil(self.size)) + 2


def has_effects(blocks: Mapping[bytes, object]) -> bool:
    """Tells whether a layer draws an effect, or may: a block that cannot be read counts as one that does.

    Photoshop leaves the blocks behind when the last effect is gone, switched off or empty.
    """
    described = [blocks[tag.value] for tag in EFFECTS if tag.value in blocks]
    if described:
        # older programs write "lrFX" beside, for those that are older still
        return not all(isinstance(data, Descriptor) and not list(_drawn(data)) for data in described)
    old = blocks.get(Tag.EFFECTS_LAYER.value)
    if old is None:
        return False
    if not isinstance(old, EffectsLayer) or old.version != 0:
        return True
    state = old.get(EffectOSType.COMMON_STATE)
    if state is not None and not state.visible:
        return False
    return any(getattr(effect, "enabled", 0) for effect in old.values())


def parse_effects(
    blocks: Mapping[bytes, object], classes: tuple[bytes, ...], light: float
) -> list[Effect] | None:
    """Reads the effects of a layer, in the order in which they are drawn; None if one is not known here.

    Args:
        blocks: of the layer, by their keys.
        classes: kinds of colours that are levels of the document.
        light: the document's angle of light, degrees, for effects that follow it.

    Raises:
        ValueError, LookupError: the file is damaged.
    """
    described = [data for tag in EFFECTS if isinstance(data := blocks.get(tag.value), Descriptor)]
    if len(described) != 1:
        return None
    # several of a kind stand top first
    found = [_effect(item, classes, light) for item in reversed(list(_drawn(described[0])))]
    known = [effect for effect in found if effect is not None]
    order = list(KINDS.values())
    known.sort(key=lambda effect: order.index(effect.kind))
    strokes = sum(effect.kind == "stroke" for effect in known)
    return known if len(known) == len(found) and strokes <= 1 else None


def _drawn(effects: Descriptor) -> Iterator[Descriptor]:
    if MASTER_SWITCH in effects and not bool(effects[MASTER_SWITCH]):
        return
    for item in _items(effects):
        # files of older programs have no "present"; one that says False was taken away and kept its settings
        present = PRESENT not in item or bool(item[PRESENT])
        if present and ENABLED in item and bool(item[ENABLED]):
            yield item


def _items(effects: Descriptor) -> Iterator[Descriptor]:
    """Yields the effects of a layer; there may be several of a kind, in lists."""
    for value in effects.values():
        if isinstance(value, Descriptor):
            yield value
        elif hasattr(value, "__iter__") and not isinstance(value, str | bytes):
            yield from (item for item in value if isinstance(item, Descriptor))


def _effect(item: Descriptor, classes: tuple[bytes, ...], light: float) -> Effect | None:
    kind, mode = KINDS.get(item.classID), _mode(item)
    if kind is None or mode is None:
        return None
    opacity = min(max(number(item, Key.Opacity, 100) / 100, 0), 1)
    if kind == "gradient overlay":
        return Effect(kind, item, mode, opacity) if parse_gradient(item, classes) else None
    colour = item.get(Key.Color)
    if not isinstance(colour, Descriptor) or colour.classID not in classes:
        return None
    if kind == "colour overlay":
        return Effect(kind, item, mode, opacity)
    return _stroke(item, mode, opacity) if kind == "stroke" else _soft(kind, item, mode, opacity, light)


def _mode(item: Descriptor) -> BlendMode | None:
    said = enumerated(item, Key.Mode)
    if said in MODE_KEYS:
        return MODE_KEYS[said]
    name = FileMode(said).name.lower() if said in {mode.value for mode in FileMode} else ""
    return cast(BlendMode, name) if name == "normal" or name in BLEND_FUNCTIONS else None


def _stroke(item: Descriptor, mode: BlendMode, opacity: float) -> Effect | None:
    size, band = number(item, Key.SizeKey, 0), BANDS.get(enumerated(item, Key.Style))
    plain = enumerated(item, Key.PaintType) == Enum.SolidColor and not bool(item.get(OVERPRINT, False))
    if band is None or not plain or not 0 <= size <= MAX_SIZE:
        return None
    return Effect("stroke", item, mode, opacity, size=size, band=(band[0] * size, band[1] * size))


def _soft(kind: Kind, item: Descriptor, mode: BlendMode, opacity: float, light: float) -> Effect | None:
    size, spread = number(item, Key.Blur, 0), number(item, Key.ChokeMatte, 0) / 100
    contour = _contour(item.get(CONTOUR))
    if contour is None or number(item, Key.Noise, 0) != 0 or not (0 <= size <= MAX_SIZE and 0 <= spread <= 1):
        return None
    if kind == "outer glow":
        share = number(item, RANGE, 50) / 100
        soft = enumerated(item, b"GlwT") in (b"", b"SfBL") and Key.Gradient not in item
        known = soft and 0 < share <= 1
        if not known:
            return None
        return Effect(kind, item, mode, opacity, size, spread, range=share, contour=contour)
    follows = bool(item.get(Key.UseGlobalAngle, False))
    angle = np.radians(light if follows else number(item, Key.LocalLightingAngle, 0))
    distance = number(item, Key.Distance, 0)
    if abs(distance) > 30000:
        return None
    shift = (round(float(np.sin(angle) * distance)), round(float(-np.cos(angle) * distance)))
    conceals = bool(item.get(CONCEALS, True))
    return Effect(kind, item, mode, opacity, size, spread, shift, conceals, contour=contour)


def _contour(contour: object) -> AnyArray | None:
    """Returns what a curve makes of even strengths, (CONTOUR_STEPS + 1,); None if it is not known here.

    Photoshop's curves are natural cubic splines through their points, as far as a real document shows.
    """
    even = np.linspace(0, 1, CONTOUR_STEPS + 1)
    if contour is None:
        return even
    if not isinstance(contour, Descriptor):
        return None
    points = [point for point in contour.get(Key.Curve, ()) if isinstance(point, Descriptor)]
    places = [(number(point, Key.Horizontal, -1), number(point, Key.Vertical, -1)) for point in points]
    x, y = np.array(places, np.float64).reshape(-1, 2).T / 255
    corners = any(not bool(point.get(SMOOTH, True)) for point in points)
    if corners or len(x) < 2 or (np.diff(x) <= 0).any() or x[0] != 0 or x[-1] != 1 or len(x) > MAX_POINTS:
        return None
    return np.clip(_spline(x, y, even), 0, 1)


def _spline(x: AnyArray, y: AnyArray, places: AnyArray) -> AnyArray:
    """Returns the natural cubic spline through some points, at other places between them."""
    gaps, rises = np.diff(x), np.diff(y) / np.diff(x)
    matrix, right = np.eye(len(x)), np.zeros(len(x))
    for place in range(1, len(x) - 1):
        before, after = gaps[place - 1], gaps[place]
        matrix[place, place - 1 : place + 2] = before, 2 * (before + after), after
        right[place] = 6 * (rises[place] - rises[place - 1])
    bends = np.linalg.solve(matrix, right)
    part = np.clip(np.searchsorted(x, places, side="right") - 1, 0, len(x) - 2)
    gap, low, high = gaps[part], places - x[part], x[part + 1] - places
    curved = (bends[part] * high**3 + bends[part + 1] * low**3) / (6 * gap)
    ends = (y[part] / gap - bends[part] * gap / 6) * high + (
        y[part + 1] / gap - bends[part + 1] * gap / 6
    ) * low
    return curved + ends
