"""A scene as a PSD, written with psd-tools: layers, groups, places, opacity, and the flattened image.

| what | how |
|---|---|
| pixels | 8 bits, every byte, colour under alpha 0 included |
| opacity | to the nearest 255th |
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
from psd_tools import PSDImage
from psd_tools.api.layers import Group as Folder
from psd_tools.constants import BlendMode, ColorMode, Compression, Resource, Tag
from psd_tools.psd import PSD
from psd_tools.psd.header import FileHeader
from psd_tools.psd.image_data import ImageData
from psd_tools.psd.image_resources import ImageResource, ImageResources, ThumbnailResource

from pellucid.errors import InputError
from pellucid.files.atomic import open_atomically
from pellucid.rgba.compositing import flatten
from pellucid.rgba.preview import pil_image, thumbnail_jpeg
from pellucid.rgba.types import RGBA8
from pellucid.scene.formats.layer_metadata import LayerMetadata
from pellucid.scene.formats.xmp import build_xmp
from pellucid.scene.layer import Group, GroupNode, Layer, layer_tree
from pellucid.scene.scene import Scene

MAX_SIDE = 30000
MAX_NAME_BYTES = 2 * 255  # of UTF-16
OPAQUE = 255
THUMBNAIL_SIDE = 160
# White, as Photoshop writes it, and as ImageMagick and GIMP expect when they take it off again.
MATTE = "#ffffff"


def write_psd(scene: Scene, path: Path) -> None:
    """Writes the document.

    Raises:
        InputError: a side of more than 30000 pixels, or a place as far out.
        FileError: the file cannot be written.
    """
    metadata, scene = LayerMetadata.describing(scene)
    _check_sides(scene)
    if not scene.layers:  # the preview's fourth channel counts as transparency only beside layers
        scene = replace(scene, layers=(Layer(image=np.zeros((1, 1, 4), np.uint8)),))
    scene = _in_255ths(scene)  # so that the preview is of what the file holds
    header = FileHeader(
        version=1, channels=4, height=scene.height, width=scene.width, depth=8, color_mode=ColorMode.RGB
    )
    merged = scene.composite()
    preview = ImageData(compression=Compression.RLE)
    planes = np.dstack([flatten(merged, MATTE), merged[..., 3]])  # readers take the white off again
    preview.set_data([planes[..., channel].tobytes() for channel in range(4)], header)
    record = PSD(header=header, image_data=preview)
    _fill(PSDImage(record), layer_tree(scene.layers), count(1), metadata)
    record.image_resources = _resources(merged, build_xmp(metadata, scene.provenance))
    layers = record.layer_and_mask_information.layer_info
    if layers is not None:
        layers.layer_count = -abs(layers.layer_count)  # the preview's fourth channel is its transparency
    with open_atomically(path) as file:
        record.write(file)


def _fill(
    parent: PSDImage | Folder,
    nodes: Sequence[Layer | GroupNode],
    numbers: Iterator[int],
    metadata: LayerMetadata,
) -> None:
    """Adds the nodes, bottom first; `numbers` gives each its identity in the file."""
    for node in nodes:
        entry, number = (node.group if isinstance(node, GroupNode) else node), next(numbers)
        stored_name = _short(entry.name)
        if isinstance(node, GroupNode):
            # what Photoshop itself makes of a new group; below full opacity its layers are laid as one
            added = parent.create_group(blend_mode=BlendMode.PASS_THROUGH)
            if entry.opacity < 1:
                added.blend_mode = BlendMode.NORMAL
            _fill(added, node.children, numbers, metadata)
        else:
            top, left = node.offset
            added = parent.create_pixel_layer(pil_image(node.image), top=top, left=left)
        added.name = stored_name  # by the setter, which knows what the old name field cannot hold
        added.opacity = round(entry.opacity * OPAQUE)
        added.visible = entry.visible
        added.tagged_blocks.set_data(Tag.LAYER_ID, number)
        metadata.add(
            str(number), entry.name, stored_name, None if isinstance(entry, Group) else entry.provenance
        )


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


def _resources(merged: RGBA8, xmp: bytes) -> ImageResources:
    resources = ImageResources.new()
    jpeg, height, width = thumbnail_jpeg(merged, THUMBNAIL_SIDE, background=MATTE)
    row = (24 * width + 31) // 32 * 4  # bytes, padded to 4
    small = ThumbnailResource(
        fmt=1, width=width, height=height, row=row, total_size=row * height, bits=24, planes=1, data=jpeg
    )
    entries = {Resource.THUMBNAIL_RESOURCE: small.tobytes(padding=1), Resource.XMP_METADATA: xmp}
    for key, data in entries.items():
        resources[key] = ImageResource(key=key, data=data)
    return resources


def _check_sides(scene: Scene) -> None:
    sides = [("canvas", scene.height, scene.width)]
    for layer in scene.layers:
        sides.append((f"layer {layer.name[:40]!r}", *layer.image.shape[:2]))
        sides.append((f"place of {layer.name[:40]!r}", abs(layer.offset[0]), abs(layer.offset[1])))
    for what, height, width in sides:
        if max(height, width) > MAX_SIDE:
            raise InputError(
                f"Expected at most {MAX_SIDE} pixels a side for PSD, found a {what} of {height} x {width}. "
                "Use .ora or .zip."
            )
