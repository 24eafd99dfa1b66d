"""Results on the disk: what was made, losslessly, and what was measured of it."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from pellucid.rgba.types import RGBA8
from pellucid.scene.scene import Scene

Background = Literal["transparent", "opaque"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One scene of a job."""

    file: str
    """Name in the job's folder: .png for one image, .ora for layers."""
    height: int
    width: int
    background: Background
    """Measured: opaque where no pixel lets anything through."""
    prompt: str
    seed: int
    layers: list[str]
    text_tokens: int
    """Of the request's texts, as its model counts them."""

    def to_json(self) -> dict[str, object]:
        """Returns plain values."""
        return asdict(self)


def write_result(scene: Scene, folder: Path, index: int, text_tokens: int) -> Result:
    """Writes one scene into a job's folder: a PNG with its metadata, or a document if it has layers."""
    name = f"result-{index}.{'png' if is_plain(scene) else 'ora'}"
    scene.save(folder / name)
    made = scene.provenance
    return Result(
        file=name,
        height=scene.height,
        width=scene.width,
        background=measured_background(scene.composite()),
        prompt=(made and made.prompt) or "",
        seed=(made and made.seed) or 0,
        layers=[layer.name for layer in scene.layers],
        text_tokens=text_tokens,
    )


def is_plain(scene: Scene) -> bool:
    """Tells whether a scene is one image and nothing else, which a PNG holds whole."""
    if len(scene.layers) != 1 or scene.references:
        return False
    layer = scene.layers[0]
    fills = layer.image.shape[:2] == (scene.height, scene.width) and tuple(layer.offset) == (0, 0)
    plain = layer.opacity == 1 and layer.visible and layer.mask is None and layer.blend_mode == "normal"
    return fills and plain and not layer.groups


def measured_background(rgba: RGBA8) -> Background:
    """Tells whether anything of an image lets through what is below it."""
    return "opaque" if bool((rgba[..., 3] == 255).all()) else "transparent"


MEDIA_TYPES = {
    "png": "image/png",
    "webp": "image/webp",
    "avif": "image/avif",
    "tiff": "image/tiff",
    "psd": "image/vnd.adobe.photoshop",
    "ora": "image/openraster",
    "zip": "application/zip",
}
"""Formats that results are handed out in, by ending."""
