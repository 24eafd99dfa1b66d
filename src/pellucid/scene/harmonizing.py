"""A foreground of one's own on a background of one's own, with the light of the background and a shadow.

The change of colours and the shadow are layers of their own, so that each can be turned off or down in any
program that edits layers.
"""

from pathlib import Path

import numpy as np

from pellucid.errors import InputError
from pellucid.files.conversion import MAX_SIDE_PX, to_rgba8
from pellucid.files.images import read_image
from pellucid.files.names import named_after
from pellucid.rgba.colour_transfer import ColourStatistics, transfer_colours
from pellucid.rgba.contact_shadow import contact_shadow
from pellucid.rgba.resizing import fit_rgba
from pellucid.rgba.types import AnyArray
from pellucid.scene.layer import Group, Layer
from pellucid.scene.scene import Scene

SURROUNDINGS = 0.5
"""What is measured around the foreground: this share of its size to each side."""
FILLED = 0.6
"""Share of the canvas that a foreground which does not fit is shrunk to."""
STANDING = 0.94
"""Share of the canvas's height at which a foreground stands that is given no place."""
SHADOW_SHARE = 0.12
"""Brightness of a shadow, of what it falls on: shadows are seldom black."""


def harmonize(
    foreground: object,
    background: object,
    *,
    at: tuple[int, int] | None = None,
    scale: float | None = None,
    light: float = 0.6,
    shadow: float = 0.6,
) -> Scene:
    """Lays a transparent image on another, with matching light and a soft shadow where it stands.

    Nothing is learned and nothing is repainted: the colours of the foreground are moved a little towards
    those around it (`pellucid.rgba.colour_transfer`).

    Args:
        foreground: image with transparency: an array, a PIL image, a path, a scene or a layer.
        background: the same, of any size; of a scene the layers stay.
        at: (top, left) of the foreground's image on the canvas, px. None lets it stand below the middle.
        scale: of each side of the foreground. None is 1, or what makes it fit.
        light: how much of the colours' change is seen, 0 to 1: the opacity of its layer.
        shadow: the same of the shadow. 0 leaves a layer out.

    Returns:
        The background's layers; "NAME: shadow"; the foreground; and "NAME: light", which is clipped to it.
        The last three are in a group "NAME: all", which can be moved as one.

    Raises:
        InputError: no images, nothing to see in the foreground, or a number out of its range.
        FileError: a path that cannot be read.
    """
    for value, name in ((light, "light"), (shadow, "shadow")):
        if not 0 <= value <= 1:
            raise InputError(f"Expected {name} of 0 to 1, found {value}. 0 leaves it out.")
    below, above = as_scene(background, "background"), as_scene(foreground, "foreground")
    canvas = below.height, below.width
    source = above.composite()
    rgba = _scaled(source, scale, canvas)
    place = _standing(rgba, canvas) if at is None else at
    seen = below.composite()
    around = _surroundings(seen, rgba, place)
    name = above.layers[0].name if len(above.layers) == 1 else "foreground"
    layers = list(below.layers)
    # one group, so that the thing is moved with its shadow
    groups = (Group(name=f"{name}: all"),) if light > 0 or shadow > 0 else ()
    if shadow > 0:
        image, (top, left) = contact_shadow(rgba, _shadow_colour(around))
        offset = place[0] + top, place[1] + left
        layers.append(
            Layer(image=image, name=f"{name}: shadow", offset=offset, opacity=shadow, groups=groups)
        )
    layers.append(Layer(image=rgba, name=name, offset=place, provenance=above.provenance, groups=groups))
    if light > 0:
        layers.append(_light(rgba, around, layers[-1], light))
    return Scene(layers=tuple(layers), height=canvas[0], width=canvas[1], blend_profile=below.blend_profile)


def _light(rgba: AnyArray, around: AnyArray, lit: Layer, opacity: float) -> Layer:
    colours = transfer_colours(rgba, ColourStatistics.of(around))
    # opaque, so that it replaces colour alone: a clipped layer leaves the alpha below it as it is
    image = np.dstack([colours, np.where(rgba[..., 3] > 0, 255, 0).astype(np.uint8)])
    return Layer(
        image=image,
        name=f"{lit.name}: light",
        offset=lit.offset,
        opacity=opacity,
        clipped=True,
        groups=lit.groups,
    )


def as_scene(image: object, name: str) -> Scene:
    """Returns what a caller gave as an image as a scene; a layer of it is called `name`, or as its file."""
    if isinstance(image, Scene):
        return image
    if isinstance(image, Layer):
        return Scene.of(image.image, name=image.name, provenance=image.provenance)
    if isinstance(image, (str, Path)):
        found, label = read_image(image), named_after(Path(image).stem)
        return Scene.of(found.rgba, name=label, provenance=found.provenance)
    return Scene.of(to_rgba8(image), name=name)


def _scaled(rgba: AnyArray, scale: float | None, canvas: tuple[int, int]) -> AnyArray:
    height, width = rgba.shape[:2]
    if scale is None:
        fits = height <= canvas[0] and width <= canvas[1]
        scale = 1.0 if fits else FILLED * min(canvas[0] / height, canvas[1] / width)
    if not 0 < scale * max(height, width) <= MAX_SIDE_PX:  # false for NaN too
        raise InputError(
            f"Expected a scale above 0 that gives at most {MAX_SIDE_PX} px, found {scale}. 1 keeps it."
        )
    return fit_rgba(rgba, max(1, round(height * scale)), max(1, round(width * scale)), "stretch")


def _standing(rgba: AnyArray, canvas: tuple[int, int]) -> tuple[int, int]:
    """Returns the (top, left) at which what is seen stands low in the middle of the canvas."""
    rows, columns = (np.flatnonzero(rgba[..., 3].any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        raise InputError("Expected a foreground with something to see, found it clear. Pass another.")
    middle = (int(columns[0]) + int(columns[-1]) + 1) // 2
    return round(STANDING * canvas[0]) - int(rows[-1]) - 1, canvas[1] // 2 - middle


def _surroundings(seen: AnyArray, rgba: AnyArray, place: tuple[int, int]) -> AnyArray:
    """Returns the part of the background around the foreground; all of it where that is outside or clear."""
    ends: list[slice] = []
    for first, length, limit in zip(place, rgba.shape[:2], seen.shape[:2], strict=True):
        margin = round(SURROUNDINGS * length)
        ends.append(slice(min(max(first - margin, 0), limit), min(max(first + length + margin, 0), limit)))
    part = seen[ends[0], ends[1]]
    chosen = part if part.size and part[..., 3].any() else seen
    if not chosen[..., 3].any():
        raise InputError("Expected a background with something to see, found it clear. Pass another.")
    return chosen


def _shadow_colour(around: AnyArray) -> tuple[int, int, int]:
    visible = around[around[..., 3] > 0][:, :3]
    red, green, blue = (round(SHADOW_SHARE * float(level)) for level in np.median(visible, axis=0))
    return red, green, blue
