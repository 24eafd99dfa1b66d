"""The layered document: every result is one, and a single image is a scene of one layer.

Layers are listed bottom first. Images are uint8 (h, w, 4), straight, sRGB; sizes are (height, width).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np

from pellucid.errors import FileError, InputError
from pellucid.files.blend_space import BlendSpace, blend_space
from pellucid.files.images import MAX_PIXELS, write_image
from pellucid.files.metadata import GenerationMetadata
from pellucid.files.names import unique_stems
from pellucid.rgba.compositing import Colour, opaque, parse_colour
from pellucid.rgba.types import RGBA8, AnyArray
from pellucid.scene.editing import Named, moved, renamed, reordered, with_opacity, with_pixels, without
from pellucid.scene.flatten import flatten_layers, flatten_strips
from pellucid.scene.layer import Group, Layer, Mask

__all__ = ["Group", "Layer", "Mask", "Scene"]

MAX_NAME = 40
"""Of a layer that is named after its prompt: programs show little more."""
Unsupported = Literal["refuse", "flatten", "skip"]
"""What becomes of a document with a layer that cannot be shown as its author sees it: it is refused; the
flattened image that it holds is taken instead of its layers; or what cannot be shown is left out."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """A canvas and its layers, bottom first."""

    layers: tuple[Layer, ...]
    height: int
    width: int
    provenance: GenerationMetadata | None = None
    blend_profile: bytes | None = None
    """ICC profile of RGB or grey in whose levels the layers are mixed, as by their program; None is sRGB's.
    Images are sRGB all the same."""
    references: tuple[Layer, ...] = ()
    """Images kept beside the stack, such as a model's own idea of the whole; never in `composite()`."""

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1:
            raise InputError(
                f"Expected a canvas of 1 pixel or more a side, found {self.height} x {self.width}. Pass "
                f"positive sizes."
            )
        if self.blend_profile is not None and blend_space(self.blend_profile) is None:
            raise InputError(
                "Expected an ICC profile of curves and primaries to blend in, found another kind. Leave "
                "blend_profile out."
            )

    @classmethod
    def of(
        cls,
        image: AnyArray | Sequence[AnyArray],
        *,
        name: str = "layer",
        provenance: GenerationMetadata | Mapping[str, object] | None = None,
    ) -> "Scene":
        """Builds a scene of one image, or of several, bottom first, on a canvas that holds them all.

        Raises:
            InputError: no image, or one that is not uint8 RGBA.
        """
        images = [image] if isinstance(image, np.ndarray) else list(image)
        if not images:
            raise InputError("Expected at least one image, found none. Pass an array or a list of arrays.")
        # numbered from 1, as people count layers
        names = [name] if len(images) == 1 else [f"{name} {number}" for number in range(1, len(images) + 1)]
        metadata = GenerationMetadata.of(provenance)
        layers = tuple(
            Layer(image=rgba, name=label, provenance=metadata)
            for rgba, label in zip(images, names, strict=True)
        )
        height, width = (max(rgba.shape[axis] for rgba in images) for axis in (0, 1))
        return cls(layers=layers, height=height, width=width, provenance=metadata)

    def composite(self, background: Colour | AnyArray | None = None, *, linear: bool = False) -> RGBA8:
        """Flattens the visible layers *over* one another, and rounds once at the end.

        Args:
            background: None keeps transparency; "#rrggbb", or an RGB or RGBA image of the canvas's size.
            linear: mix in linear light instead of on encoded values, which are sRGB's or `blend_profile`'s.

        Raises:
            InputError: a background that is no colour, or does not fit.
        """
        return flatten_layers(self.layers, self.height, self.width, **self._mixing(background, linear))

    def composite_strips(
        self,
        background: Colour | AnyArray | None = None,
        *,
        linear: bool = False,
        rows: int | None = None,
    ) -> Iterator[tuple[slice, RGBA8 | None]]:
        """Yields what `composite` returns by strips of rows, for canvases that do not fit into memory.

        Takes the arguments of `composite` and raises its errors.

        Args:
            background: see `composite`.
            linear: see `composite`.
            rows: height of a strip; None chooses.

        Yields:
            The rows of a strip, and the strip, uint8 (rows, width, 4); None in place of clear ones.
        """
        mixing = self._mixing(background, linear)
        return flatten_strips(self.layers, self.height, self.width, **mixing, step=rows)

    def _mixing(self, background: Colour | AnyArray | None, linear: bool) -> "_Mixing":
        return {
            "background": None if background is None else self._background(background),
            "linear": linear,
            "space": blend_space(self.blend_profile) if self.blend_profile and not linear else None,
        }

    def replace(self, layer: Named, new: "Layer | AnyArray | Scene", *, fit: str = "fit") -> "Scene":
        """Returns the scene with another image in a layer's place.

        The place on the canvas and the looks stay those of the old layer: order, groups, opacity, visibility,
        blend mode, clipping and mask. Pixels, name and metadata are the new one's; an array keeps the name.

        Args:
            layer: name, or the layer itself where two are called the same; see `pellucid.scene.editing.find`.
            new: a layer, an image, uint8 (h, w, 4), or a scene, such as `generate` returns, laid flat.
            fit: how another size meets the old layer's rectangle: "fit" shows all of it, in its proportions;
                "crop" fills the rectangle, "stretch" keeps no proportions; "keep" resamples nothing and lays
                it around the same middle.

        Raises:
            InputError: no layer is called so, or several, or no image.
        """
        if isinstance(new, Scene):
            new = new._as_layer()
        return self._with(with_pixels(self.layers, layer, new, fit))

    def without(self, *layers: Named) -> "Scene":
        """Returns the scene without some layers or groups.

        Raises:
            InputError: none is called so, or several; nothing is left; or a layer would stay that is clipped
                to what is taken out.
        """
        return self._with(without(self.layers, layers))

    def move(self, layer: Named, *, left: int | None = None, top: int | None = None) -> "Scene":
        """Returns the scene with a layer or group elsewhere, and its masks with it.

        Args:
            layer: see `replace`.
            left: column of the image's left edge, or of the leftmost in a group; None keeps it.
            top: row of the upper edge. Both may lie outside of the canvas.

        Raises:
            InputError: no layer is called so, or several.
        """
        return self._with(moved(self.layers, layer, left, top))

    def rename(self, layer: Named, name: str) -> "Scene":
        """Returns the scene with another name for a layer or group; errors of `move`."""
        return self._with(renamed(self.layers, layer, name))

    def with_opacity(self, layer: Named, opacity: float) -> "Scene":
        """Returns the scene with another opacity, [0, 1], of a layer or group; errors of `move`."""
        return self._with(with_opacity(self.layers, layer, opacity))

    def reorder(self, layers: Sequence[Named]) -> "Scene":
        """Returns the scene with the named layers in this order, bottom first.

        They share out the places that they have now, and a layer goes into the group of its new place, so
        that groups stay whole. All other layers stay where they are.

        Raises:
            InputError: no layer is called so, or several, or one is named twice.
        """
        return self._with(reordered(self.layers, layers))

    def __repr__(self) -> str:
        from pellucid.scene.scene_showing import scene_text

        return scene_text(self)

    def _repr_html_(self) -> str:
        # notebooks ask for it by this name
        from pellucid.scene.scene_showing import scene_html

        return scene_html(self)

    def _repr_png_(self) -> bytes:
        from pellucid.scene.scene_showing import preview
        from pellucid.scene.showing import png_of

        return png_of(preview(self))

    def _with(self, layers: tuple[Layer, ...]) -> "Scene":
        return replace(self, layers=layers)

    def _as_layer(self) -> Layer:
        """Returns all visible layers as one, called as the only one, or after the prompt."""
        if len(self.layers) == 1 and self.layers[0].fills(self.height, self.width):
            return self.layers[0]
        prompt = self.provenance and self.provenance.prompt
        name = self.layers[0].name if len(self.layers) == 1 else (prompt or "layer")[:MAX_NAME]
        return Layer(image=self.composite(), name=name, provenance=self.provenance)

    def save(self, path: str | Path, *, background: Colour | AnyArray | None = None) -> Path:
        """Writes the scene, whole or not at all; the path's ending chooses the format.

        | ending | what |
        |---|---|
        | .psd, .ora, .zip | layers, groups, places, opacity, names; .psd counts opacity in 255ths; \
references in a hidden group |
        | .tiff | what is seen, a page a layer; one flattened page with `background` |
        | .png, .webp, .avif | the flattened image |
        | .ico | the flattened image on a square, in seven sizes |

        Args:
            path: where to.
            background: flattens onto a colour or image, see `composite`; not with .psd, .ora and .zip.

        Raises:
            InputError: the format cannot hold this scene, or a background for a format that keeps layers.
            FileError: another ending, or the file cannot be written.
        """
        return _formats[-1].write(self, Path(path), background)

    def save_layers(self, folder: str | Path, *, whole_canvas: bool = False) -> tuple[Path, ...]:
        """Writes every layer as a PNG that is called like it, hidden ones too, and returns the paths.

        Names are made valid on every system; of layers with one name the second gets "-2", bottom first.

        Args:
            folder: where to; made if it is absent. Files of these names are replaced.
            whole_canvas: each image as large as the canvas, its layer in its place with its opacity and mask,
                so that images laid over one another are the scene again, but for blend modes, clipping and
                groups. Without it, the pixels of the layers as they are stored.

        Raises:
            FileError: a file cannot be written.
        """
        place = Path(folder)
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"Cannot make the folder {place}: {error.strerror}. Choose another.") from None
        stems = unique_stems([layer.name for layer in self.layers])
        return tuple(
            write_image(
                self._with(
                    (replace(layer, groups=(), visible=True, clipped=False, blend_mode="normal"),)
                ).composite()
                if whole_canvas
                else layer.image,
                place / f"{stem}.png",
                metadata=layer.provenance,
            )
            for stem, layer in zip(stems, self.layers, strict=True)
        )

    @classmethod
    def open(
        cls, path: str | Path, *, max_pixels: int = MAX_PIXELS, unsupported: Unsupported = "refuse"
    ) -> "Scene":
        """Reads what `save` writes and other programs' PSD, PSB, OpenRaster and TIFF; an image is one layer.

        Args:
            path: where from; the content tells the format.
            max_pixels: refuse a larger canvas, and layers of more than three times as many pixels in all.
            unsupported: what becomes of a document with something that layers here cannot show, such as an
                effect: "refuse" it; "flatten" takes the flattened image in it; "skip" leaves that out.

        Raises:
            FileError: absent, damaged, too large, no image, or with something that cannot be shown.

        Warns:
            FileWarning: what was left out, or that the flattened image was taken.
        """
        return _formats[-1].read(Path(path), max_pixels, unsupported)

    def _background(self, background: Colour | AnyArray) -> RGBA8:
        if not isinstance(background, np.ndarray):
            pixel = np.array((*parse_colour(background), 255), np.uint8)
            # one pixel that stands for all, so that a large canvas costs nothing
            return np.broadcast_to(pixel, (self.height, self.width, 4))
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
        # a transparent background stays transparent where nothing covers it
        if background.shape[2] == 4:
            return background
        return opaque(background)


class _Mixing(TypedDict):
    background: RGBA8 | None
    linear: bool
    space: BlendSpace | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Formats:
    """How scenes become files, and files scenes: functions of modules that import the scene."""

    write: Callable[[Scene, Path, Colour | AnyArray | None], Path]
    read: Callable[[Path, int, Unsupported], Scene]


_formats: list[Formats] = []


def register_formats(formats: Formats) -> None:
    """Makes `Scene.save` and `Scene.open` use `formats`; `pellucid.scene` does so when it is imported."""
    _formats.append(formats)
