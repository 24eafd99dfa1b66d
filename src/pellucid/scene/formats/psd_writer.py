"""A scene as a PSD, written with psd-tools: layers, groups, places, opacity, and the flattened image.

| what | how |
|---|---|
| pixels | 8 bits, every byte, colour under alpha 0 included |
| opacity | to the nearest 255th |
| blend modes, clipping, masks | as they are; the operators of OpenRaster are refused |
| blend profile | embedded, and colours in its levels, to the nearest one; of grey there is no place |
| names | 255 UTF-16 units; longer ones whole in the XMP |
| provenance | XMP, and the prompt as `dc:description` |
| preview | the flattened image, its colour laid on white as Photoshop does, and a JPEG thumbnail |

Source: Adobe Photoshop File Formats Specification.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image
from psd_tools import PSDImage
from psd_tools.api.layers import Group as Folder
from psd_tools.api.layers import Layer as Entry
from psd_tools.constants import BlendMode, ChannelID, Clipping, ColorMode, Compression, Resource, Tag
from psd_tools.psd import PSD
from psd_tools.psd.header import FileHeader
from psd_tools.psd.image_resources import ImageResource, ImageResources, ThumbnailResource
from psd_tools.psd.layer_and_mask import ChannelDataList

from pellucid.errors import InputError
from pellucid.files.atomic import open_atomically
from pellucid.files.blend_space import BlendSpace, blend_space, in_levels
from pellucid.files.image_decoding import warn_of
from pellucid.rgba.preview import pil_image, thumbnail_jpeg
from pellucid.rgba.strips import is_large, strips_of
from pellucid.rgba.types import RGBA8
from pellucid.scene.formats.layer_metadata import LayerMetadata
from pellucid.scene.formats.limits import MIXED_IN_SRGB
from pellucid.scene.formats.psd_preview import MATTE, make_preview, pack_channels
from pellucid.scene.formats.xmp import build_xmp
from pellucid.scene.layer import Group, GroupNode, Layer, Mask, clipping_runs, facts, layer_tree
from pellucid.scene.scene import Scene

MAX_SIDE = 30000
MAX_NAME_BYTES = 2 * 255  # of UTF-16
OPAQUE = 255
DARKEST = 6
COMPRESSION_BYTES = 2
"""Before the pixels of a channel."""
THUMBNAIL_SIDE = 160


def write_psd(scene: Scene, path: Path) -> None:
    """Writes the document.

    Raises:
        InputError: a side of more than 30000 pixels, a place as far out, or a blend mode of OpenRaster alone.
        FileError: the file cannot be written.
    """
    metadata, scene = LayerMetadata.describing(scene)
    _check(scene)
    if not scene.layers:  # the preview's fourth channel counts as transparency only beside layers
        scene = replace(scene, layers=(Layer(image=np.zeros((1, 1, 4), np.uint8)),))
    scene = _in_255ths(scene)  # so that the preview is of what the file holds
    header = FileHeader(
        version=1, channels=4, height=scene.height, width=scene.width, depth=8, color_mode=ColorMode.RGB
    )
    space = _space(scene, path)
    preview, small = make_preview(scene, space)
    record = PSD(header=header, image_data=preview)
    layers = (
        [replace(layer, image=in_levels(layer.image, space)) for layer in scene.layers]
        if space
        else scene.layers
    )
    _fill(PSDImage(record), layer_tree(layers), count(1), metadata)
    profile = scene.blend_profile if space else None
    record.image_resources = _resources(small, build_xmp(metadata, scene.provenance), profile)
    information = record.layer_and_mask_information.layer_info
    if information is not None:
        information.layer_count = -abs(information.layer_count)  # the preview has transparency
    with open_atomically(path) as file:
        record.write(file)


def _fill(
    parent: PSDImage | Folder,
    nodes: Sequence[Layer | GroupNode],
    numbers: Iterator[int],
    metadata: LayerMetadata,
) -> None:
    """Adds the nodes, bottom first; `numbers` gives each its identity in the file."""
    bases = {id(base) for base, _ in clipping_runs(nodes)}
    for node in nodes:
        entry, number = facts(node), next(numbers)
        stored_name = _short(entry.name)
        if isinstance(node, GroupNode):
            added = parent.create_group()
            if entry.mask is not None:
                # psd-tools 1.26 gives a group and the mark of its end one list, which a mask would lengthen
                # for both; before its layers, with which the file's own list of lists is made anew
                added._channels = ChannelDataList(list(added._channels))  # pyright: ignore[reportPrivateUsage]
                _add_mask(added, entry.mask)
            _fill(added, node.children, numbers, metadata)
        else:
            top, left = node.offset
            added = _added_pixels(parent, node.image, top, left)
            if entry.mask is not None:
                _add_mask(added, entry.mask)
        added.name = stored_name  # by the setter, which knows what the old name field cannot hold
        added.blend_mode = BlendMode[entry.blend_mode.upper()]
        # not by the setter, which leaves groups alone since older Photoshops knew no clipped ones
        added._record.clipping = Clipping(id(node) not in bases)  # pyright: ignore[reportPrivateUsage]
        added.opacity = round(entry.opacity * OPAQUE)
        added.visible = entry.visible
        added.tagged_blocks.set_data(Tag.LAYER_ID, number)
        metadata.add(
            str(number), entry.name, stored_name, None if isinstance(entry, Group) else entry.provenance
        )


def _added_pixels(parent: PSDImage | Folder, image: RGBA8, top: int, left: int) -> Entry:
    if not is_large(image.size // 4):
        return parent.create_pixel_layer(pil_image(image), top=top, left=left)
    # psd-tools would hold a large layer four times, so it is handed a pixel, and the channels follow
    added = parent.create_pixel_layer(pil_image(image[:1, :1]), top=top, left=left)
    record = added._record  # pyright: ignore[reportPrivateUsage]
    record.bottom, record.right = top + image.shape[0], left + image.shape[1]
    red, green, blue, alpha = pack_channels(strips_of(image))
    packed = {0: red, 1: green, 2: blue, int(ChannelID.TRANSPARENCY_MASK): alpha}
    channels = added._channels  # pyright: ignore[reportPrivateUsage]
    for information, channel in zip(record.channel_info, channels, strict=True):
        channel.compression, channel.data = Compression.RLE, packed[int(information.id)]
        information.length = len(channel.data) + COMPRESSION_BYTES
    return added


def _add_mask(added: Entry, mask: Mask) -> None:
    top, left = mask.offset
    data = added.create_mask(Image.fromarray(mask.image), top=top, left=left).data
    data.background_color, data.flags.mask_disabled = mask.outside, not mask.enabled


def _in_255ths(scene: Scene) -> Scene:
    """Returns the scene with the opacities that the format can hold."""
    # one new group for each old one: layers are together in a group by its identity
    groups = {group: group for layer in scene.layers for group in layer.groups}
    for group in groups:
        groups[group] = replace(group, opacity=round(group.opacity * OPAQUE) / OPAQUE)
    layers = tuple(
        replace(
            layer,
            opacity=round(layer.opacity * OPAQUE) / OPAQUE,
            groups=tuple(groups[group] for group in layer.groups),
        )
        for layer in scene.layers
    )
    return replace(scene, layers=layers)


def _short(name: str) -> str:
    # cut by UTF-16 units, in which the format counts
    units = name.replace("\0", " ").encode("utf-16-le")
    return units[:MAX_NAME_BYTES].decode("utf-16-le", "ignore")  # half a pair at the end goes


def _space(scene: Scene, path: Path) -> BlendSpace | None:
    """Returns the space whose levels the file holds; None for sRGB's."""
    space = blend_space(scene.blend_profile) if scene.blend_profile else None
    # an RGB file has no place for a profile of grey, and 8 bits of light have none for dark colours
    if space is not None and (space.profile.primaries is None or _is_coarse(space)):
        warn_of(path.name, [MIXED_IN_SRGB])
        return None
    return space


def _is_coarse(space: BlendSpace) -> bool:
    """Says whether the first of 255 levels is more than `DARKEST` of sRGB's."""
    return float(space.to_srgb(np.full((1, 3), 1 / OPAQUE)).max()) * OPAQUE > DARKEST


def _resources(small: RGBA8, xmp: bytes, profile: bytes | None) -> ImageResources:
    resources = ImageResources.new()
    jpeg, height, width = thumbnail_jpeg(small, THUMBNAIL_SIDE, background=MATTE)
    row = (24 * width + 31) // 32 * 4  # bytes, padded to 4
    stored = ThumbnailResource(
        fmt=1, width=width, height=height, row=row, total_size=row * height, bits=24, planes=1, data=jpeg
    )
    entries = {Resource.THUMBNAIL_RESOURCE: stored.tobytes(padding=1), Resource.XMP_METADATA: xmp}
    if profile:
        entries[Resource.ICC_PROFILE] = profile
    for key, data in entries.items():
        resources[key] = ImageResource(key=key, data=data)
    return resources


def _check(scene: Scene) -> None:
    """Refuses what the format cannot hold."""
    _check_side("canvas", scene.height, scene.width)
    for layer in scene.layers:
        _check_side(f"layer {layer.name[:40]!r}", *layer.image.shape[:2])
        _check_side(f"place of {layer.name[:40]!r}", abs(layer.offset[0]), abs(layer.offset[1]))
        for node in (layer, *layer.groups):
            if node.mask is not None:
                (top, left), (rows, columns) = node.mask.offset, node.mask.image.shape
                _check_side(f"mask of {node.name[:40]!r}", abs(top) + rows, abs(left) + columns)
            if node.blend_mode.upper() not in BlendMode.__members__:
                raise InputError(
                    f"Expected blend modes that PSD has, found {node.blend_mode} of {node.name[:40]!r}. "
                    "Save it as .ora, or flatten it."
                )


def _check_side(what: str, height: int, width: int) -> None:
    if max(height, width) > MAX_SIDE:
        raise InputError(
            f"Expected at most {MAX_SIDE} pixels a side for PSD, found a {what} of {height} x {width}. "
            "Use .ora or .zip."
        )
