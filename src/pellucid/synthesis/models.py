"""Models that workers load: named by small values that can be sent anywhere, loaded once a process."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import torch

from pellucid.pipelines.arguments import SamplingOptions, check_size
from pellucid.pipelines.keywords import GenerateKeywords
from pellucid.pipelines.loading import load
from pellucid.pipelines.modes import Sampling
from pellucid.pipelines.opaque_inpainting import Inpainter, LatentInpainter, load_inpainter
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.pipelines.placement import choose_device, dtype_for
from pellucid.rgba.cleanup import clean
from pellucid.rgba.types import RGBA8
from pellucid.scene.scene import Scene
from pellucid.weights.fingerprint import weights_fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """A model as `pellucid.load` takes it."""

    model: str = "mini"
    adapter: str | None = None
    device: str = "cpu"
    dtype: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InpainterSource:
    """What repaints opaque images."""

    path: str = ""
    """A folder or hub id of any pipeline that diffusers can inpaint with; empty is the transparent model."""
    num_inference_steps: int | None = None
    guidance_scale: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOptions:
    """How images are sampled; None is the model's own."""

    height: int | None = None
    width: int | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    scheduler: str | None = None
    passes: int | None = None
    negative_prompt: str | None = None
    clean: bool = True
    """Whether images are cleaned as `pellucid clean` does. Decoded alpha is seldom 0 or 255 to the last
    level, which the rules call dirty, and training would learn."""

    def image_of(self, scene: Scene) -> RGBA8:
        """Returns the single layer of a scene that was generated, cleaned if that is asked for."""
        image = scene.layers[0].image
        return clean(image) if self.clean else image

    def keywords(self, seed: int | Sequence[int], batch_size: int = 1) -> GenerateKeywords:
        """Returns the values as keywords of `TransparentPipeline.generate`, with seeds and batch size."""
        return {
            "seed": seed,
            "batch_size": batch_size,
            "height": self.height,
            "width": self.width,
            "num_inference_steps": self.num_inference_steps,
            "guidance_scale": self.guidance_scale,
            "scheduler": self.scheduler,
            "passes": self.passes,
            "negative_prompt": self.negative_prompt,
            # cleaned whole by `image_of`, or wanted raw
            "clean": False,
        }

    def check(self) -> None:
        """Raises InputError for values that no model accepts: otherwise each image would fail for itself."""
        SamplingOptions(
            num_inference_steps=self.num_inference_steps,
            guidance_scale=self.guidance_scale,
            scheduler=self.scheduler,
            passes=self.passes,
        ).resolve(Sampling())
        check_size(1 if self.height is None else self.height, 1 if self.width is None else self.width)


@lru_cache(maxsize=1)
def load_model(source: ModelSource) -> TransparentPipeline:
    """Loads a model once a process; errors of `pellucid.load`."""
    pipe = load(source.model, adapter=source.adapter, device=source.device, dtype=source.dtype)
    # a bar for each image would break the bar of the run
    pipe.pipeline.set_progress_bar_config(disable=True)
    return pipe


@lru_cache(maxsize=1)
def model_title(source: ModelSource) -> str:
    """Returns what records say of a model: its name, and a hash of its weights as they are loaded."""
    pipe = load_model(source)
    return f"{source.model} {weights_fingerprint([pipe.denoiser, pipe.autoencoder])}"


@lru_cache(maxsize=1)
def load_inpainter_of(source: ModelSource, inpainter: InpainterSource) -> Inpainter:
    """Loads what inpaints once a process; without a path it is the transparent model, see `LatentInpainter`.

    Raises:
        WeightsError: the path holds no pipeline that can inpaint.
        InputError: no such device, or steps or guidance that no sampler has.
    """
    if not inpainter.path:
        options = SamplingOptions(
            num_inference_steps=inpainter.num_inference_steps, guidance_scale=inpainter.guidance_scale
        )
        return LatentInpainter(load_model(source).model, options)
    return load_inpainter(
        inpainter.path,
        device=source.device,
        dtype=dtype_for(inpainter.path, source.dtype, choose_device(source.device)),
        num_inference_steps=inpainter.num_inference_steps,
        guidance_scale=inpainter.guidance_scale,
    )


@contextmanager
def one_thread() -> Generator[None]:
    """Computes on one thread of the CPU for a while.

    Sums on several threads are rounded in another order, so only this way do all engines give the same
    bytes; workers beside each other use a machine's cores better than threads do.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
