"""Edges of text in a PSD as Photoshop mixes them by default: with a gamma of 1.45, on what is below.

Text has a setting of its own in the program ("blend text colors using gamma"), which no file tells. Mixed on
light to the power of 1 / 1.45, the text of a real document is within a level everywhere, and up to 40 off
otherwise. Layers here are mixed in one space, so an edge gets the colour that makes the same of its backdrop.
"""

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from pellucid.files.blend_space import BlendSpace
from pellucid.rgba.quantization import to_bytes, to_float
from pellucid.rgba.srgb import decode_srgb, encode_srgb
from pellucid.rgba.types import RGBA8, AnyArray
from pellucid.scene.layer import Layer
from pellucid.scene.scene import Scene

GAMMA = 1.45
TINY = 1e-6


def with_text_gamma(scene: Scene, texts: Collection[int], space: BlendSpace | None) -> Scene:
    """Returns the scene with edges of text for the backdrops that they have.

    Args:
        scene: as it is stored.
        texts: places of text in the stack of layers.
        space: in whose levels layers are mixed; None for sRGB.
    """
    layers = list(scene.layers)
    for place in sorted(texts):
        above = layers[place + 1] if place + 1 < len(layers) else None
        if _lies_plainly(layers[place]) and not (above is not None and above.clipped):
            below = replace(scene, layers=tuple(layers[:place])).composite()
            layers[place] = _mixed(layers[place], below, space)
    return replace(scene, layers=tuple(layers))


def _lies_plainly(layer: Layer) -> bool:
    """Says whether nothing but its own alpha decides how a layer lies on what is below it."""
    parts = (layer, *layer.groups)
    seen = all(
        part.visible and part.opacity == 1 and part.mask is None and not part.clipped for part in parts
    )
    return seen and all(part.blend_mode in ("normal", "pass_through") for part in parts)


def _mixed(layer: Layer, below: RGBA8, space: BlendSpace | None) -> Layer:
    """Returns a layer whose partly transparent pixels make of an opaque backdrop what the gamma makes."""
    (top, left), (height, width) = layer.offset, layer.image.shape[:2]
    rows, columns = _within(top, height, below.shape[0]), _within(left, width, below.shape[1])
    image = layer.image.copy()
    part = image[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    backdrop = below[rows, columns]
    edge = (part[..., 3] > 0) & (part[..., 3] < 255) & (backdrop[..., 3] == 255)
    if not edge.any():
        return layer
    own, base = to_float(part[edge], np.float64), to_float(backdrop[edge][:, :3], np.float64)
    share = own[:, 3:]
    light = (1 - share) * decode_srgb(base) ** (1 / GAMMA) + share * decode_srgb(own[:, :3]) ** (1 / GAMMA)
    wanted = _levels(encode_srgb(light**GAMMA), space)
    base = _levels(base, space)
    # no more opaque than the colour needs, which has to lie between black and white
    darker = 1 - wanted / np.maximum(base, TINY)
    lighter = (wanted - base) / np.maximum(1 - base, TINY)
    needed = np.maximum(share, np.maximum(darker, lighter).max(axis=1, keepdims=True))
    needed = np.ceil(np.clip(needed, 0, 1) * 255 - TINY) / 255
    colour = np.clip((wanted - (1 - needed) * base) / needed, 0, 1)
    part[edge] = to_bytes(
        np.concatenate([colour if space is None else space.to_srgb(colour), needed], axis=1)
    )
    return replace(layer, image=image)


def _levels(colour: AnyArray, space: BlendSpace | None) -> AnyArray:
    return colour if space is None else space.from_srgb(colour)


def _within(start: int, size: int, length: int) -> slice:
    begin = min(max(start, 0), length)
    return slice(begin, max(min(start + size, length), begin))
