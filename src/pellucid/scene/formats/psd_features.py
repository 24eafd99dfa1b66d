"""What a layer of a PSD asks for that layers here cannot show: told by an allow-list of tags.

A layer carries tagged blocks. Those that are known to change nothing of what its stored pixels show are
listed; whatever else a layer carries is refused by its name, since a feature that nobody looked for would
vanish in silence. Source: "Adobe Photoshop File Formats Specification", "Additional Layer Information".
"""

from collections.abc import Iterator

from psd_tools.api.layers import Layer as Entry
from psd_tools.constants import EffectOSType, Tag
from psd_tools.psd.descriptor import Descriptor
from psd_tools.psd.effects_layer import EffectsLayer

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
        # how effects, knockouts and clipped layers are drawn, all of which are refused themselves
        Tag.BLEND_CLIPPING_ELEMENTS,
        Tag.BLEND_INTERIOR_ELEMENTS,
        Tag.TRANSPARENCY_SHAPES_LAYER,
        Tag.LAYER_MASK_AS_GLOBAL_MASK,
        Tag.VECTOR_MASK_AS_GLOBAL_MASK,
        # what the stored pixels were drawn from
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


def feature_obstacle(entry: Entry) -> str:
    """Says what of a layer's tagged blocks cannot be shown, as the end of a sentence; empty where all can."""
    blocks = {bytes(tag): block.data for tag, block in entry.tagged_blocks.items()}
    if _has_effects(blocks):
        return "has effects"
    return next((obstacle for key, data in blocks.items() if (obstacle := _obstacle(key, data))), "")


def _obstacle(key: bytes, data: object) -> str:
    if key in HARMLESS or key in EFFECT_KEYS:
        return ""
    if key in ADJUSTMENTS:
        return f"is an adjustment, {ADJUSTMENTS[key]}"
    if key in SWITCHES:
        return SWITCHES[key] if data else ""
    return f"has a feature that is not known here ({key.decode('latin-1')!r})"


def _has_effects(blocks: dict[bytes, object]) -> bool:
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
