"""A stock pipeline with all that makes it transparent; single layers and stacks are sampled from it.

Images are uint8 (h, w, 4), straight alpha, sRGB; sizes are (height, width); latents are scaled, as pipelines
hold them.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pellucid._version import __version__
from pellucid.errors import InputError
from pellucid.files.metadata import GenerationMetadata
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.pipelines.arguments import Request, check_passes, check_size, round_up
from pellucid.pipelines.latents import pad_to_multiple, size_multiple, to_image8
from pellucid.pipelines.modes import Mode, Sampling, Task
from pellucid.pipelines.prompt_reading import PromptReader
from pellucid.pipelines.schedulers import scheduler_name
from pellucid.pipelines.stock import StockPipeline
from pellucid.rgba.types import RGBA8
from pellucid.weights.adapter_manager import AdapterManager, AdapterSource


@dataclass(slots=True, kw_only=True, eq=False)
class TransparentModel:
    """A stock pipeline, the codec over its VAE, the adapters of its denoiser, and the modes they make."""

    stock: StockPipeline
    autoencoder: RGBAAutoencoder
    adapters: AdapterManager
    tasks: Mapping[Task, tuple[Mode, ...]]
    """The modes of each task, one after another; "foreground" is the single transparent layer."""
    name: str
    """Written into results."""
    control: Path | None = None
    """Folder of the network for `generate(control=…)`."""
    attached: AdapterSource = None
    """Adapter that the denoiser has between calls; None is the plain denoiser, as after `detach`."""
    reader: PromptReader = field(default_factory=PromptReader)
    """Through which prompts go to the text encoder."""
    additions: dict[str, str] = field(default_factory=dict[str, str])
    """What was put into the stock pipeline and decides results, such as "loras": written into them."""

    @property
    def single(self) -> Mode:
        """Returns the mode of the single transparent layer."""
        return self.tasks["foreground"][0]

    @property
    def native_size(self) -> tuple[int, int]:
        """Returns the (height, width) of results, px, at the number of latents that the model learned."""
        rows, columns = self.stock.native_size
        return rows * self.autoencoder.upscale, columns * self.autoencoder.upscale

    def inner_canvas(self, size: tuple[int, int]) -> tuple[int, int]:
        """Returns the (height, width) that the stock pipeline is asked for, px, to cover a result of `size`.

        Whole latents, and smaller than the result where the alpha decoder enlarges.
        """
        rows, columns = (round_up(side, self.size_multiple) // self.autoencoder.upscale for side in size)
        return rows, columns

    @property
    def size_multiple(self) -> int:
        """Returns what sides in pixels must divide by inside; canvases are padded to it and cropped."""
        return size_multiple(self.stock, self.autoencoder)

    @contextmanager
    def one_call(self) -> Generator[None]:
        """Keeps other threads off the denoiser for a call, and leaves it as `attach` did, whatever happens.

        Modes of several steps grow the first convolution; the stock pipeline would not run with that.
        """
        with self.stock.lock:
            try:
                yield
            finally:
                self.adapters.set(self.attached)

    def canvas_size(
        self, height: int | None, width: int | None, *, like: tuple[int, int] | None
    ) -> tuple[int, int]:
        """Fills in a missing height or width, px.

        Uses the model's native resolution. With `like`, keeps that image's proportions at the same number of
        pixels, because the model was trained at one pixel count, not at one shape. A model of one fixed
        resolution makes squares that are resampled anyhow, so for it the canvas is `like` itself.
        """
        if like is None:
            like = self.native_size
        elif not self.single.sampling.fixed_resolution:
            like = self.in_proportion(like)
        canvas = like[0] if height is None else height, like[1] if width is None else width
        # checked after both are known: proportions may make a side of an extreme image very long
        check_size(*canvas)
        return canvas

    def in_proportion(self, size: tuple[int, int], pixels: float = 1.0) -> tuple[int, int]:
        """Returns (height, width) in the proportions of `size`, with `pixels` times the native pixels.

        Or with fewer, where a side would be longer than the model knows positions for.
        """
        rows, columns = self.native_size
        scale = (pixels * rows * columns / (size[0] * size[1])) ** 0.5
        if longest := self.stock.max_side:
            scale = min(scale, longest * self.autoencoder.upscale / max(size))
        # a side of an extremely long image would round to 0
        return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)

    @torch.no_grad()
    def encode(self, rgba: RGBA8) -> Tensor:
        """Encodes an image to its adjusted, scaled latent (1, c, h, w); padded with transparency."""
        # centred, so that what `decode` cuts from the middle is the image again
        canvas = pad_to_multiple(rgba, self.size_multiple)
        # the codec keeps its own precision, for exact alpha; the denoiser takes the pipeline's
        return self.autoencoder.encode_image(canvas).to(self.stock.dtype)

    @torch.no_grad()
    def decode(
        self, latents: Tensor, *, passes: int | None = None, crop: tuple[int, int] | None = None
    ) -> RGBA8:
        """Decodes one adjusted, scaled latent (1, c, h, w).

        Args:
            latents: what `encode` or the stock pipeline returns.
            passes: orientations of the alpha decoder's median, 1, 2, 4 or 8; None takes the mode's.
            crop: (height, width) cut from the middle, as `encode` padded; None keeps all.

        Raises:
            InputError: not one latent of the model's channels, or another number of passes.
        """
        # not always 8: more are worse for a decoder that never saw turned latents (docs/log.md, 2026-11-23)
        passes = self.single.sampling.passes if passes is None else passes
        check_passes(passes)
        channels = self.stock.latent_channels
        if latents.ndim != 4 or latents.shape[0] != 1 or latents.shape[1] != channels:
            raise InputError(
                f"Expected a latent of shape (1, {channels}, h, w), found {tuple(latents.shape)}. "
                "Decode one at a time, with the model that made it."
            )
        return to_image8(self.autoencoder.decode(latents, passes=passes), crop)

    def encode_clear(self, latent: Tensor) -> Tensor:
        """Encodes a wholly transparent image of the size that `latent` (1, c, h, w) has."""
        pixels = self.autoencoder.pixels_per_latent * self.autoencoder.upscale
        height, width = (side * pixels for side in latent.shape[-2:])
        return self.encode(np.zeros((height, width, 4), np.uint8))

    def metadata(
        self, request: Request, settings: Sampling, mode: str, extra: Mapping[str, object]
    ) -> GenerationMetadata:
        """Returns what is written into a result: all that it takes to make it again, and `extra`."""
        values = {
            "prompt": request.prompt,
            "negative_prompt": request.negative_prompt,
            "seed": request.seed,
            "model": self.name,
            "version": __version__,
            "mode": mode,
            "steps": settings.num_inference_steps,
            "guidance": settings.guidance_scale,
            "scheduler": scheduler_name(self.stock.pipeline.scheduler, settings.scheduler),
            "passes": settings.passes,
            "dtype": str(self.stock.dtype).removeprefix("torch."),
            "device": self.stock.device.type,
            **self.reader.extra_of(request),
            **self.additions,
            **extra,
        }
        return GenerationMetadata.of(values) or GenerationMetadata()
