"""The layered document: every result is one, and a single picture is a scene of one layer.

Layers are listed bottom first. Pictures are uint8 (h, w, 4), straight, sRGB; sizes are (height, width).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.errors import InputError
from pellucid.rgba.compositing import Colour, parse_colour
from pellucid.rgba.io import read_picture, write_picture
from pellucid.rgba.provenance import Provenance
from pellucid.rgba.quantization import to_bytes, to_float
from pellucid.rgba.transfer import decode_srgb, encode_srgb
from pellucid.rgba.types import RGBA8, AnyArray, check_rgba8

ARCHIVE = ".zip"
PLANNED = (".psd", ".ora")
SUPPORTED = ".png, .webp, .avif and .tiff (flattened) and .zip (layers)"


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """One RGBA picture in a stack."""

    image: AnyArray
    """uint8 (h, w, 4), straight alpha."""
    name: str = "layer"
    offset: tuple[int, int] = (0, 0)
    """(top, left) of the picture on the canvas, in pixels; may lie outside."""
    opacity: float = 1.0
    """Multiplies the alpha, [0, 1]."""
    visible: bool = True
    provenance: Provenance | None = None

    def __post_init__(self) -> None:
        check_rgba8(self.image, f"layer {self.name!r}")
        if not 0 <= self.opacity <= 1:  # false for NaN too
            raise InputError(
                f"Expected an opacity of 0 to 1, found {self.opacity}. 1 shows the layer as it is."
            )

    def fills(self, height: int, width: int) -> bool:
        """Whether the layer, as it is, is the whole canvas."""
        return (
            self.visible
            and self.opacity == 1
            and self.offset == (0, 0)
            and self.image.shape[:2] == (height, width)
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """A canvas and its layers, bottom first."""

    layers: tuple[Layer, ...]
    height: int
    width: int
    provenance: Provenance | None = None

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1:
            raise InputError(
                f"Expected a canvas of 1 pixel or more a side, found {self.height} x {self.width}. Pass "
                f"positive sizes."
            )

    @classmethod
    def of(
        cls,
        image: AnyArray | Sequence[AnyArray],
        *,
        name: str = "layer",
        provenance: Provenance | Mapping[str, Any] | None = None,
    ) -> "Scene":
        """A scene of one picture, or of several, bottom first, on a canvas of the largest height and width.

        Raises:
            InputError: no picture, or one that is not uint8 RGBA.
        """
        images = [image] if isinstance(image, np.ndarray) else list(image)
        if not images:
            raise InputError("Expected at least one picture, found none. Pass an array or a list of arrays.")
        names = [name] if len(images) == 1 else [f"{name} {number}" for number in range(1, len(images) + 1)]
        known = Provenance.of(provenance)
        layers = tuple(
            Layer(image=picture, name=label, provenance=known)
            for picture, label in zip(images, names, strict=True)
        )
        height, width = (max(picture.shape[axis] for picture in images) for axis in (0, 1))
        return cls(layers=layers, height=height, width=width, provenance=known)

    def composite(self, background: Colour | AnyArray | None = None, *, linear: bool = False) -> RGBA8:
        """The flattened picture: visible layers *over* one another, rounded once at the end.

        Args:
            background: None keeps transparency; "#rrggbb", or an RGB or RGBA picture of the canvas's size.
            linear: mix in linear light instead of on sRGB-encoded values.

        Raises:
            InputError: a background that is no colour, or does not fit.
        """
        shown = [layer for layer in self.layers if layer.visible]
        if background is None and len(shown) == 1 and shown[0].fills(self.height, self.width):
            return shown[0].image.copy()  # to the byte, colour under alpha 0 included
        premultiplied = np.zeros((self.height, self.width, 4))
        if background is not None:
            _lay(premultiplied, self._background(background), linear=linear)
        for layer in shown:
            _lay(premultiplied, layer.image, offset=layer.offset, opacity=layer.opacity, linear=linear)
        alpha = premultiplied[..., 3:]
        rgb = premultiplied[..., :3] / np.where(alpha > 0, alpha, 1)
        return to_bytes(np.concatenate([encode_srgb(rgb) if linear else rgb, alpha], axis=-1))

    def save(self, path: str | Path, *, background: Colour | AnyArray | None = None) -> Path:
        """Writes .png, .webp, .avif or .tiff (flattened), or .zip (layers, read back exactly by `open`).

        Raises:
            InputError: a layered format that is not supported yet.
            FileError: another ending, or the file cannot be written.
        """
        target = Path(path)
        ending = target.suffix.lower()
        _refuse_planned(ending)
        if ending == ARCHIVE:
            from pellucid.scene.archive import write_archive

            return write_archive(self, target)
        only = self.layers[0].provenance if len(self.layers) == 1 else None
        return write_picture(self.composite(background), target, metadata=self.provenance or only)

    @classmethod
    def open(cls, path: str | Path) -> "Scene":
        """Reads what `save` writes; any other picture becomes a scene of one layer.

        Raises:
            InputError: a layered format that is not supported yet.
            FileError: absent, damaged, or no picture.
        """
        source = Path(path)
        ending = source.suffix.lower()
        _refuse_planned(ending)
        if ending == ARCHIVE:
            from pellucid.scene.archive import read_archive

            return read_archive(source)
        picture = read_picture(source)
        return cls.of(picture.rgba, name=source.stem, provenance=picture.provenance)

    def _background(self, background: Colour | AnyArray) -> RGBA8:
        if not isinstance(background, np.ndarray):
            return np.full((self.height, self.width, 4), (*parse_colour(background), 255), np.uint8)
        fits = background.dtype == np.uint8 and background.shape in (
            (self.height, self.width, 3),
            (self.height, self.width, 4),
        )
        if not fits:
            raise InputError(
                f"Expected a background of uint8 ({self.height}, {self.width}, 3 or 4), found "
                f"{background.dtype} "
                f"{background.shape}. Resize it to the canvas first."
            )
        if background.shape[2] == 4:
            return background
        return np.dstack([background, np.full(background.shape[:2], 255, np.uint8)])


def _lay(
    canvas: AnyArray, image: RGBA8, *, offset: tuple[int, int] = (0, 0), opacity: float = 1.0, linear: bool
) -> None:
    """Lays `image` over a premultiplied float canvas, in place, where they meet."""
    top, left = offset
    rows = slice(max(top, 0), max(min(top + image.shape[0], canvas.shape[0]), 0))
    columns = slice(max(left, 0), max(min(left + image.shape[1], canvas.shape[1]), 0))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    part = to_float(
        image[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left], np.float64
    )
    alpha = part[..., 3:] * opacity
    rgb = decode_srgb(part[..., :3]) if linear else part[..., :3]
    region = canvas[rows, columns]
    region *= 1 - alpha
    region[..., :3] += rgb * alpha
    region[..., 3:] += alpha


def _refuse_planned(ending: str) -> None:
    if ending in PLANNED:
        raise InputError(f"{ending} is not supported yet. Supported at present: {SUPPORTED}.")
