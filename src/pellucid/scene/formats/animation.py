"""An animation as a scene: a layer a frame, the first one lowest, each as it is seen while it is shown.

Only the first frame is visible, as Photoshop shows an animation that is opened: frames follow one another,
and laid over one another they would show a moment that never is. GIMP shows all of them, since it writes
animations from layers; nothing here does. Durations stay outside the scene, which has no time.
"""

from pellucid.files.images import read_frames
from pellucid.files.metadata import DecodedImage
from pellucid.files.sources import NamedContent
from pellucid.scene.formats.limits import PixelLimit
from pellucid.scene.layer import Layer
from pellucid.scene.scene import Scene


def read_images(source: NamedContent, pixel_limit: PixelLimit) -> tuple[DecodedImage, Scene, tuple[int, ...]]:
    """Reads an image or every frame of an animation: the first, all, and durations in ms, none for a still.

    Raises:
        FileError: as of `read_image`.
        UnsupportedDocument: more frames than a scene may have layers, or more pixels; none is unpacked then.
    """
    found = read_frames(source, max_pixels=pixel_limit.limit, spend=pixel_limit.spend)
    images, durations = zip(*found, strict=True)
    first: DecodedImage = images[0]
    if len(images) == 1:
        return first, Scene.of(first.rgba, name=source.stem, provenance=first.provenance), ()
    layers = tuple(
        Layer(image=image.rgba, name=f"frame {number}", visible=number == 1)
        for number, image in enumerate(images, 1)
    )
    height, width = first.rgba.shape[:2]
    return (
        first,
        Scene(layers=layers, height=height, width=width, provenance=first.provenance),
        durations,
    )
