"""The part of a control image that one call of the stock pipeline is shown, at the size that it paints.

A ControlNet's image must have the size of the latents, while a call here may sample several canvases (hires)
or a part of an image (`inpaint`). Sizes are (height, width).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from pellucid.pipelines.arguments import CallKwargs
from pellucid.pipelines.given_images import to_image
from pellucid.pipelines.latents import centre_offset
from pellucid.pipelines.repaint_area import RepaintArea, Size
from pellucid.rgba.resizing import fitted_box
from pellucid.rgba.types import AnyArray


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlWindow:
    """The part of a control image that one call is shown, and where it lies on the pipeline's canvas.

    A control image of any size covers the whole result, or the whole image that is repainted.
    """

    part: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    """Top, left, bottom and right, as shares of the image's sides."""
    box: tuple[int, int, int, int]
    """Top, left, height and width on the canvas, px; around it is black, which shows no structure."""
    canvas: Size
    """What the stock pipeline paints, px."""

    @classmethod
    def whole(cls, size: Size, canvas: Size, upscale: int) -> "ControlWindow":
        """Makes the window of a whole result of `size`; the other arguments as of `of_area`."""
        inner = -(-size[0] // upscale), -(-size[1] // upscale)
        return cls(box=(*centre_offset(canvas, inner), *inner), canvas=canvas)

    @classmethod
    def of_area(cls, area: RepaintArea, image: Size, canvas: Size, upscale: int) -> "ControlWindow":
        """Makes the window of a part of an image that is repainted.

        Args:
            area: the part.
            image: size of the image that it is a part of.
            canvas: of the pipeline, in its own pixels, of which each is `upscale` of the area's a side.
            upscale: how many times the alpha decoder enlarges.
        """
        rows, columns = image
        bottom, right = area.top + area.size[0], area.left + area.size[1]
        top, left, height, width = fitted_box(area.size, area.canvas)
        outer = canvas[0] * upscale, canvas[1] * upscale
        above, before = centre_offset(outer, area.canvas)
        box = top + above, left + before, height, width
        return cls(
            part=(area.top / rows, area.left / columns, bottom / rows, right / columns),
            box=(box[0] // upscale, box[1] // upscale, -(-box[2] // upscale), -(-box[3] // upscale)),
            canvas=canvas,
        )

    def fit(self, inputs: CallKwargs, names: Collection[str]) -> CallKwargs:
        """Returns the inputs with the control images among them, by name, as large as the canvas."""
        return {name: self.show(value) if name in names else value for name, value in inputs.items()}

    def show(self, image: object) -> object:
        """Returns the window of an image, or of each in a list; other things as they are.

        Arrays of floats come back as tensors (n, c, h, w).

        Args:
            image: of Pillow; a path; floats in [0, 1] or bytes, (h, w), (h, w, c) or (n, h, w, c); a tensor
                (c, h, w) or (n, c, h, w).
        """
        if isinstance(image, str | Path):
            return self._show_pillow(Image.fromarray(to_image(image)))
        if isinstance(image, list | tuple):
            return [self.show(each) for each in cast("Sequence[object]", image)]
        if isinstance(image, np.ndarray):
            array = cast("AnyArray", image)
            array = array[..., None] if array.ndim == 2 else array
            if array.dtype == np.uint8 and array.ndim == 4:
                return [self.show(each) for each in array]
            if array.dtype == np.uint8:
                return self._show_pillow(Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array))
            return self._show_tensor(torch.from_numpy(np.moveaxis(array, -1, -3)))
        if isinstance(image, Image.Image):
            return self._show_pillow(image)
        return self._show_tensor(image) if isinstance(image, Tensor) else image

    def _source(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Returns (left, top, right, bottom) of the part in an image, px."""
        top, left, bottom, right = self.part
        return round(left * width), round(top * height), round(right * width), round(bottom * height)

    def _show_pillow(self, image: Image.Image) -> Image.Image:
        if image.mode.startswith("I"):  # depth in 16 bits, which `convert` would cut off at 255
            image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
        if image.size == self.canvas[::-1] and self._is_whole:
            return image
        image = image if image.mode == "L" else image.convert("RGB")
        top, left, height, width = self.box
        # the filter with which diffusers resizes control images
        part = image.crop(self._source(image.height, image.width)).resize(
            (width, height), Image.Resampling.LANCZOS
        )
        shown = Image.new(image.mode, (self.canvas[1], self.canvas[0]))
        shown.paste(part, (left, top))
        return shown

    def _show_tensor(self, image: Tensor) -> Tensor:
        # always with a batch, which pipelines would take the channels or rows for
        batch = image if image.ndim == 4 else image[None]
        if tuple(batch.shape[-2:]) == self.canvas and self._is_whole:
            return batch
        first, start, last, end = self._source(*batch.shape[-2:])
        top, left, height, width = self.box
        resized = functional.interpolate(
            batch[..., start:end, first:last].float(), (height, width), mode="bilinear", antialias=True
        )
        shown = batch.new_zeros((*batch.shape[:2], *self.canvas))
        shown[..., top : top + height, left : left + width] = resized.to(shown)
        return shown

    @property
    def _is_whole(self) -> bool:
        return self.part == (0.0, 0.0, 1.0, 1.0) and self.box == (0, 0, *self.canvas)
