"""Scenes cut to what is seen, or brought onto another canvas."""

from dataclasses import replace

from pellucid.rgba.placing import fit_visible, trim, visible_box
from pellucid.rgba.types import AnyArray
from pellucid.scene import editing
from pellucid.scene.scene import Layer, Scene


def trim_scene(scene: Scene, margin: int = 0, *, flat: bool = False) -> Scene:
    """Cuts the canvas to what is seen, with `margin` clear px around it.

    Layers keep their pixels, also those beyond the canvas. A scene in which nothing is seen comes back as it
    is.

    Args:
        scene: any.
        margin: px, 0 or more.
        flat: lay all layers together as one.

    Raises:
        InputError: a negative margin.
    """
    seen = scene.composite()
    if flat:
        return laid_flat(scene, trim(seen, margin))
    box = visible_box(seen)
    if box is None:
        return scene
    top, left, height, width = box
    by = margin - top, margin - left
    return replace(
        scene,
        layers=editing.shifted(scene.layers, by),
        references=editing.shifted(scene.references, by),
        height=height + 2 * margin,
        width=width + 2 * margin,
    )


def fit_scene(scene: Scene, height: int, width: int, margin: int = 0, scale: float | None = None) -> Scene:
    """Lays a scene flat and brings what is seen onto a canvas; see `pellucid.rgba.placing.fit_visible`."""
    return laid_flat(scene, fit_visible(scene.composite(), height, width, margin, scale))


def laid_flat(scene: Scene, image: AnyArray) -> Scene:
    """Returns a scene of one layer, called as the lowest, with the same metadata and other pixels.

    Args:
        scene: what was laid flat.
        image: uint8 (h, w, 4).
    """
    lowest = scene.layers[0]
    layer = Layer(image=image, name=lowest.name, provenance=lowest.provenance or scene.provenance)
    return Scene(layers=(layer,), height=image.shape[0], width=image.shape[1], provenance=scene.provenance)
