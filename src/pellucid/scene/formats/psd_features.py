"""What a layer of a PSD asks for that layers here cannot show: of its tags told by an allow-list.

A layer carries tagged blocks. Those that are known to change nothing of what its stored pixels show are
listed; whatever else a layer carries is refused by its name, since a feature that nobody looked for would
vanish in silence. Source: "Adobe Photoshop File Formats Specification", "Additional Layer Information".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from psd_tools.api.layers import AdjustmentLayer, Artboard, FillLayer
from psd_tools.api.layers import Group as Folder
from psd_tools.api.layers import Layer as Entry
from psd_tools.constants import BlendMode, ChannelID, EffectOSType, Tag
from psd_tools.psd.descriptor import Descriptor
from psd_tools.psd.effects_layer import EffectsLayer
from psd_tools.psd.layer_and_mask import ChannelData, MaskParameters

from pellucid.rgba.blend_modes import BLEND_FUNCTIONS
from pellucid.rgba.blend_modes import BlendMode as PixelMode
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
        Tag.VECTOR_MASK_SETTING1,
        Tag.VECTOR_MASK_SETTING2,
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
EFFECTS = (
    Tag.OBJECT_BASED_EFFECTS_LAYER_INFO,
    Tag.OBJECT_BASED_EFFECTS_LAYER_INFO_V0,
    Tag.OBJECT_BASED_EFFECTS_LAYER_INFO_V1,
)
EFFECT_KEYS = {Tag.EFFECTS_LAYER.value, *(tag.value for tag in EFFECTS)}
SWITCHES = {
    Tag.KNOCKOUT_SETTING.value: "knocks out the layers below",
    Tag.CHANNEL_BLENDING_RESTRICTIONS_SETTING.value: "leaves some channels alone",
}
"""Blocks that change nothing while they hold nothing."""
MASTER_SWITCH, ENABLED, PRESENT = b"masterFXSwitch", b"enab", b"present"
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


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What of a layer or group cannot be shown."""

    words: str
    """The end of a sentence that begins with the layer's name."""
    whole: bool
    """Whether nothing of it can be, as of an adjustment; else it can without what the words say."""


def is_clipped(entry: Entry) -> bool:
    """Says whether a layer or group is clipped to what is below it."""
    # the record's own flag: psd-tools has none for groups
    return bool(entry._record.clipping)  # pyright: ignore[reportPrivateUsage]


def find_obstacle(entry: Entry, base: Entry | None) -> Obstacle | None:
    """Finds what of a layer or group cannot be shown.

    Args:
        entry: it.
        base: the nearest one below that is not clipped, in the same group.
    """
    if isinstance(entry, AdjustmentLayer | Artboard):
        return Obstacle("is an adjustment, a fill or an artboard, no image", whole=True)
    if isinstance(entry, FillLayer) and (words := fill_obstacle(entry)):
        return Obstacle(words, whole=True)
    if is_clipped(entry) and (words := _clipping_obstacle(base)):
        return Obstacle(words, whole=True)
    blocks = {bytes(tag): block.data for tag, block in entry.tagged_blocks.items()}
    adjustment = next((ADJUSTMENTS[key] for key in blocks if key in ADJUSTMENTS), None)
    if adjustment is not None:
        return Obstacle(f"is an adjustment, {adjustment}", whole=True)
    words = (
        _mode_obstacle(entry) or _block_obstacle(blocks) or _mask_obstacle(entry) or _range_obstacle(entry)
    )
    return Obstacle(words, whole=False) if words else None


def _mode_obstacle(entry: Entry) -> str:
    mode = entry.blend_mode
    if mode not in MODES and not (mode is BlendMode.PASS_THROUGH and entry.is_group()):
        return f"blends by {mode.name.lower()}, which is not known here"
    if mode in FILL_COUNTS_OTHERWISE and entry.fill_opacity < OPAQUE:
        return f"blends by {mode.name.lower()} with a fill opacity, which is not known here"
    return ""


def _block_obstacle(blocks: Mapping[bytes, object]) -> str:
    if _has_effects(blocks):
        return "has effects"
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


def _mask_obstacle(entry: Entry) -> str:
    mask = entry.mask
    if mask is not None and mask.disabled:
        mask = None
    if mask is not None and (mask.flags.invert_mask or _is_softened(mask.parameters)):
        return "has a mask that is inverted, thinned or feathered"
    vector = entry.vector_mask
    if vector is None or vector.disabled or is_drawn_shape(entry) or (mask is not None and mask.has_real()):
        return ""
    return "has a vector mask, of which no pixels are stored"


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


def _is_softened(parameters: MaskParameters | None) -> bool:
    if parameters is None:
        return False
    densities = (parameters.user_mask_density, parameters.vector_mask_density)
    feathers = (parameters.user_mask_feather, parameters.vector_mask_feather)
    return any(value not in (None, 255) for value in densities) or any(feathers)


def _range_obstacle(entry: Entry) -> str:
    ranges = entry._record.blending_ranges  # pyright: ignore[reportPrivateUsage]
    pairs = [*(ranges.composite_ranges or []), *(pair for row in ranges.channel_ranges or [] for pair in row)]
    return "" if all(tuple(pair) == WHOLE_RANGE for pair in pairs) else "blends only some levels"


def _has_effects(blocks: Mapping[bytes, object]) -> bool:
    """Tells whether a layer draws an effect, or may: a block that cannot be read counts as one that does.

    Photoshop leaves the blocks behind when the last effect is gone, switched off or empty.
    """
    described = [blocks[tag.value] for tag in EFFECTS if tag.value in blocks]
    if described:
        # older programs write "lrFX" beside, for those that are older still
        return not all(isinstance(data, Descriptor) and not _is_drawn(data) for data in described)
    old = blocks.get(Tag.EFFECTS_LAYER.value)
    if old is None:
        return False
    if not isinstance(old, EffectsLayer) or old.version != 0:
        return True
    state = old.get(EffectOSType.COMMON_STATE)
    if state is not None and not state.visible:
        return False
    return any(getattr(effect, "enabled", 0) for effect in old.values())


def _is_drawn(effects: Descriptor) -> bool:
    if MASTER_SWITCH in effects and not bool(effects[MASTER_SWITCH]):
        return False
    return any(_is_enabled(item) for item in _items(effects))


def _items(effects: Descriptor) -> Iterator[Descriptor]:
    """Yields the effects of a layer; there may be several of a kind, in lists."""
    for value in effects.values():
        if isinstance(value, Descriptor):
            yield value
        elif hasattr(value, "__iter__") and not isinstance(value, str | bytes):
            yield from (item for item in value if isinstance(item, Descriptor))


def _is_enabled(effect: Descriptor) -> bool:
    # files of older programs have no "present"; one that says False was taken away and kept its settings
    present = PRESENT not in effect or bool(effect[PRESENT])
    return present and ENABLED in effect and bool(effect[ENABLED])
