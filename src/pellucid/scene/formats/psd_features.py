"""What a layer of a PSD asks for that layers here cannot show: of its tags told by an allow-list.

A layer carries tagged blocks. Those that are known to change nothing of what its stored pixels show are
listed; whatever else a layer carries is refused by its name, since a feature that nobody looked for would
vanish in silence. Source: "Adobe Photoshop File Formats Specification", "Additional Layer Information".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast

from psd_tools.api.layers import AdjustmentLayer, Artboard
from psd_tools.api.layers import Group as Folder
from psd_tools.api.layers import Layer as Entry
from psd_tools.constants import BlendMode, ChannelID, Resource, Tag
from psd_tools.psd.layer_and_mask import ChannelData, MaskParameters

from pellucid.rgba.blend_modes import BLEND_FUNCTIONS
from pellucid.rgba.blend_modes import BlendMode as PixelMode
from pellucid.scene.formats.psd_descriptors import OWN
from pellucid.scene.formats.psd_effects import EFFECT_KEYS, OUTER, Effect, has_effects, parse_effects
from pellucid.scene.formats.psd_fills import KINDS, fill_obstacle

MODES: dict[BlendMode, PixelMode] = {
    mode: cast(PixelMode, mode.name.lower())
    for mode in BlendMode
    if mode.name.lower() in (*BLEND_FUNCTIONS, "normal")
}
"""Those of psd-tools that are known here, by the same names."""
FILL_COUNTS_OTHERWISE = (
    BlendMode.COLOR_BURN,
    BlendMode.LINEAR_BURN,
    BlendMode.COLOR_DODGE,
    BlendMode.LINEAR_DODGE,
    BlendMode.VIVID_LIGHT,
    BlendMode.LINEAR_LIGHT,
    BlendMode.HARD_MIX,
    BlendMode.DIFFERENCE,
)
"""Modes in which Photoshop's fill opacity is another thing than its opacity."""
OPAQUE = 255
VECTOR_MASKS = (Tag.VECTOR_MASK_SETTING1, Tag.VECTOR_MASK_SETTING2)
WHOLE_RANGE = (0, 65535)
"""Of a blending range: black and white ends of both sliders."""


HARMLESS = {
    tag.value
    for tag in (
        # names, numbers, labels, locks, places that nothing is drawn from
        Tag.UNICODE_LAYER_NAME,
        Tag.LAYER_ID,
        Tag.LAYER_VERSION,
        Tag.LAYER_NAME_SOURCE_SETTING,
        Tag.SHEET_COLOR_SETTING,
        Tag.PROTECTED_SETTING,
        Tag.REFERENCE_POINT,
        Tag.METADATA_SETTING,
        Tag.FOREIGN_EFFECT_ID,
        Tag.UNICODE_PATH_NAME,
        Tag.USING_ALIGNED_RENDERING,
        Tag.ANIMATION_EFFECTS,
        Tag.EXPORT_SETTING1,
        Tag.EXPORT_SETTING2,
        Tag.COMPOSITOR_INFO,
        Tag.CAI,
        Tag.GENI,
        # read elsewhere: groups, opacity, masks
        Tag.SECTION_DIVIDER_SETTING,
        Tag.NESTED_SECTION_DIVIDER_SETTING,
        Tag.BLEND_FILL_OPACITY,
        *VECTOR_MASKS,
        # how effects, knockouts and clipped layers are drawn, which is looked at with these
        Tag.BLEND_CLIPPING_ELEMENTS,
        Tag.BLEND_INTERIOR_ELEMENTS,
        Tag.TRANSPARENCY_SHAPES_LAYER,
        Tag.LAYER_MASK_AS_GLOBAL_MASK,
        Tag.VECTOR_MASK_AS_GLOBAL_MASK,
        # what the stored pixels were drawn from; a fill without any is looked at elsewhere
        Tag.SOLID_COLOR_SHEET_SETTING,
        Tag.GRADIENT_FILL_SETTING,
        Tag.PATTERN_FILL_SETTING,
        Tag.TYPE_TOOL_INFO,
        Tag.TYPE_TOOL_OBJECT_SETTING,
        Tag.PLACED_LAYER1,
        Tag.PLACED_LAYER2,
        Tag.SMART_OBJECT_LAYER_DATA1,
        Tag.SMART_OBJECT_LAYER_DATA2,
        Tag.PIXEL_SOURCE_DATA1,
        Tag.PIXEL_SOURCE_DATA2,
        Tag.VECTOR_ORIGINATION_DATA,
        Tag.VECTOR_ORIGINATION_UNKNOWN,
        Tag.VECTOR_STROKE_DATA,
        Tag.VECTOR_STROKE_CONTENT_DATA,
    )
}
"""Keys of blocks that change nothing, or nothing that is not looked at elsewhere."""
SWITCHES = {
    Tag.KNOCKOUT_SETTING.value: "knocks out the layers below",
    Tag.CHANNEL_BLENDING_RESTRICTIONS_SETTING.value: "leaves some channels alone",
}
"""Blocks that change nothing while they hold nothing."""
ADJUSTMENTS = {
    b"brit": "brightness and contrast",
    b"levl": "levels",
    b"curv": "curves",
    b"expA": "exposure",
    b"vibA": "vibrance",
    b"hue ": "hue and saturation",
    b"hue2": "hue and saturation",
    b"blnc": "color balance",
    b"blwh": "black and white",
    b"phfl": "a photo filter",
    b"mixr": "a channel mixer",
    b"clrL": "a color lookup",
    b"nvrt": "inversion",
    b"post": "posterizing",
    b"thrs": "a threshold",
    b"selc": "selective color",
    b"grdm": "a gradient map",
}
"""Blocks that make an adjustment of a layer, also of one that stores pixels besides."""


Drawable = Literal["fill", "vector mask", "soft mask", "effects"]


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What of a layer or group cannot be shown for certain."""

    words: str
    """The end of a sentence that begins with the layer's name."""
    whole: bool
    """Whether nothing of it can be, as of an adjustment; else it can without what the words say."""
    drawable: Drawable | None = None
    """What can be drawn all the same, if the result is compared with the file's own image."""


def is_clipped(entry: Entry) -> bool:
    """Says whether a layer or group is clipped to what is below it."""
    # the record's own flag: psd-tools has none for groups
    return bool(entry._record.clipping)  # pyright: ignore[reportPrivateUsage]


def find_obstacles(entry: Entry, base: Entry | None, *, holds: bool = False) -> list[Obstacle]:
    """Finds what of a layer or group cannot be shown for certain, first what cannot be shown at all.

    Args:
        entry: it.
        base: the nearest one below that is not clipped, in the same group.
        holds: something is clipped to it.
    """
    found = list(_obstacles(entry, base, holds))
    return sorted(found, key=lambda obstacle: obstacle.drawable is not None)


def _obstacles(entry: Entry, base: Entry | None, holds: bool) -> Iterator[Obstacle]:
    blocks = blocks_of(entry)
    if words := _no_image(entry, base, blocks):
        yield Obstacle(words, whole=True)
        return
    if fill := fill_obstacle(entry):
        yield Obstacle(fill.words, whole=True, drawable="fill" if fill.may_be_drawn else None)
    if words := _mode_obstacle(entry) or _key_obstacles(blocks) or _range_obstacle(entry):
        yield Obstacle(words, whole=False)
    if has_effects(blocks):
        drawable = effects_of(entry, holds=holds) is not None
        yield Obstacle("has effects", whole=False, drawable="effects" if drawable else None)
    yield from _mask_obstacles(entry)


def _no_image(entry: Entry, base: Entry | None, blocks: Mapping[bytes, object]) -> str:
    """Says why nothing of a layer or group can be shown; empty if that is not so."""
    if isinstance(entry, AdjustmentLayer | Artboard):
        return "is an adjustment, a fill or an artboard, no image"
    if is_clipped(entry) and (words := _clipping_obstacle(base)):
        return words
    return next((f"is an adjustment, {ADJUSTMENTS[key]}" for key in blocks if key in ADJUSTMENTS), "")


def blocks_of(entry: Entry) -> dict[bytes, object]:
    """Returns the tagged blocks of a layer or group by their keys."""
    return {bytes(tag): block.data for tag, block in entry.tagged_blocks.items()}


def _mode_obstacle(entry: Entry) -> str:
    mode = entry.blend_mode
    if mode not in MODES and not (mode is BlendMode.PASS_THROUGH and entry.is_group()):
        return f"blends by {mode.name.lower()}, which is not known here"
    if mode in FILL_COUNTS_OTHERWISE and entry.fill_opacity < OPAQUE:
        return f"blends by {mode.name.lower()} with a fill opacity, which is not known here"
    return ""


def _key_obstacles(blocks: Mapping[bytes, object]) -> str:
    return next((words for key, data in blocks.items() if (words := _key_obstacle(key, data))), "")


def _key_obstacle(key: bytes, data: object) -> str:
    if key in HARMLESS or key in EFFECT_KEYS:
        return ""
    if key in SWITCHES:
        return SWITCHES[key] if data else ""
    return f"has a feature that is not known here ({key.decode('latin-1')!r})"


def _clipping_obstacle(base: Entry | None) -> str:
    """Says why nothing can be clipped to a layer or group."""
    if base is None:
        return "is clipped, with nothing below it in its group"
    if not base.tagged_blocks.get_data(Tag.BLEND_CLIPPING_ELEMENTS, True):
        return "is clipped, and blended not with the layer below but with all"
    if base.fill_opacity < OPAQUE:
        return "is clipped to a layer with a fill opacity"
    if isinstance(base, Folder) and base.blend_mode is BlendMode.PASS_THROUGH and not _all_normal(base):
        return "is clipped to a group that lets its blend modes through"
    return ""


def _all_normal(folder: Folder) -> bool:
    normal = (BlendMode.NORMAL, BlendMode.PASS_THROUGH)
    return all(entry.blend_mode in normal for entry in folder.descendants())


def _mask_obstacles(entry: Entry) -> Iterator[Obstacle]:
    mask = entry.mask
    if mask is not None and mask.disabled:
        mask = None
    if mask is not None and (mask.flags.invert_mask or is_softened(mask.parameters)):
        words = "has a mask that is inverted, thinned or feathered"
        yield Obstacle(words, whole=False, drawable=None if mask.flags.invert_mask else "soft mask")
    if is_drawn_shape(entry) or (mask is not None and mask.has_real()):
        return
    blocks = blocks_of(entry)
    if any(isinstance(blocks.get(tag.value), bytes) for tag in VECTOR_MASKS):
        yield Obstacle("has a vector mask that cannot be read", whole=False)
        return
    vector = entry.vector_mask
    if vector is None or vector.disabled:
        return
    words = "has a vector mask, of which no pixels are stored"
    yield Obstacle(words, whole=False, drawable=None if vector.inverted else "vector mask")


def effects_of(entry: Entry, *, holds: bool) -> list[Effect] | None:
    """Reads the effects of a layer as they are drawn, bottom first; None if they are not all known here.

    Args:
        entry: a layer or group.
        holds: something is clipped to it, which effects inside its edge would have to go over.
    """
    document, blocks = entry._psd, entry.tagged_blocks  # pyright: ignore[reportPrivateUsage]
    light = document.image_resources.get_data(Resource.GLOBAL_ANGLE)
    angle = 120.0 if light is None else float(light)  # Photoshop's default
    found = parse_effects(blocks_of(entry), OWN.get(document.color_mode, ()), angle)
    # settings of what effects are measured from, as they are by default
    plain = blocks.get_data(Tag.TRANSPARENCY_SHAPES_LAYER, True) and not any(
        blocks.get_data(tag, False) for tag in (Tag.LAYER_MASK_AS_GLOBAL_MASK, Tag.VECTOR_MASK_AS_GLOBAL_MASK)
    )
    if found is None or not plain or isinstance(entry, Folder):
        return None
    inside = [effect for effect in found if effect.kind not in OUTER]
    faded = entry.fill_opacity < OPAQUE and any(effect.mode != "normal" for effect in inside)
    outside = len(inside) < len(found) or any(effect.band[1] > 0 for effect in found)
    return None if faded or (holds and inside) or (is_clipped(entry) and outside) else found


def is_drawn_shape(entry: Entry) -> bool:
    """Says whether a layer is a shape whose stored alpha is its vector mask, drawn.

    Of a fill with a vector mask Photoshop stores the pixels of both together. Of a layer of pixels it does
    not, and of no layer some other programs do.
    """
    drawn = any(
        number == ChannelID.TRANSPARENCY_MASK and channel.data for number, channel in channels_of(entry)
    )
    return drawn and any(bytes(tag) in KINDS for tag in entry.tagged_blocks)


def channels_of(entry: Entry) -> Iterator[tuple[int, ChannelData]]:
    """Yields the number and content of each channel of a layer or group, as they are stored."""
    numbers = (int(information.id) for information in entry._record.channel_info)  # pyright: ignore[reportPrivateUsage]
    yield from zip(numbers, entry._channels, strict=False)  # pyright: ignore[reportPrivateUsage]


def is_softened(parameters: MaskParameters | None) -> bool:
    """Says whether a mask is thinned or feathered."""
    if parameters is None:
        return False
    densities = (parameters.user_mask_density, parameters.vector_mask_density)
    feathers = (parameters.user_mask_feather, parameters.vector_mask_feather)
    return any(value not in (None, 255) for value in densities) or any(feathers)


def _range_obstacle(entry: Entry) -> str:
    ranges = entry._record.blending_ranges  # pyright: ignore[reportPrivateUsage]
    pairs = [*(ranges.composite_ranges or []), *(pair for row in ranges.channel_ranges or [] for pair in row)]
    return "" if all(tuple(pair) == WHOLE_RANGE for pair in pairs) else "blends only some levels"
