"""Several images as one document, bottom first."""

from pellucid.files.images import read_rgba
from pellucid.rgba.resizing import fit_rgba, fitted_box
from pellucid.scene.contents import encode_scene
from pellucid.scene.layer import Layer
from pellucid.scene.scene import Scene


def stacked(images: list[bytes], max_pixels: int) -> bytes:
    """Lays images over one another, the first at the bottom, and returns the document.

    The canvas is the first one's; larger ones are made smaller to fit, smaller ones stay in the middle.
    """
    first = read_rgba(images[0], max_pixels=max_pixels)
    height, width = first.shape[:2]
    layers = [Layer(image=first, name="image 1")]
    for number, content in enumerate(images[1:], 2):
        rgba = read_rgba(content, max_pixels=max_pixels)
        if rgba.shape[0] > height or rgba.shape[1] > width:
            _, _, rows, columns = fitted_box(rgba.shape[:2], (height, width))
            rgba = fit_rgba(rgba, rows, columns, "stretch")
        offset = (height - rgba.shape[0]) // 2, (width - rgba.shape[1]) // 2
        layers.append(Layer(image=rgba, name=f"image {number}", offset=offset))
    return encode_scene(Scene(layers=tuple(layers), height=height, width=width))
