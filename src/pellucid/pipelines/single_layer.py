"""One transparent layer: made from text, repainted, repainted inside a mask."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from pellucid.errors import InputError
from pellucid.pipelines.arguments import CallKwargs, Prompt, Request, SamplingOptions
from pellucid.pipelines.background_check import THRESHOLD, background_distance, clear_start
from pellucid.pipelines.control_window import ControlWindow
from pellucid.pipelines.inpainting import (
    keep_outside,
    latent_mask,
    paste,
    step_end_callback,
    to_mask,
    with_step_end,
)
from pellucid.pipelines.model import TransparentModel
from pellucid.pipelines.modes import Sampling
from pellucid.pipelines.repaint_area import RepaintArea, around_mask, whole_image
from pellucid.pipelines.stock import StockPipeline
from pellucid.pipelines.structure_control import load_control_network, to_control_image
from pellucid.rgba.resizing import on_grey
from pellucid.rgba.snapping import fit_snapped, snap_alpha
from pellucid.rgba.types import RGBA8, AnyArray
from pellucid.scene.scene import MAX_NAME, Scene


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """An image whose structure the result takes."""

    image: object
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What the images of one call have in common."""

    stock: StockPipeline
    settings: Sampling
    inputs: CallKwargs
    """What else the pipeline is called with."""
    crop: tuple[int, int]
    """(height, width) that the decoded canvas is cut to."""
    latents: Tensor | None = None
    """Scaled latents (1, c, h, w) to start from."""
    extra_metadata: CallKwargs = field(default_factory=dict[str, object])
    fix_background: bool = False


@dataclass(frozen=True, slots=True)
class _Part:
    """What of an image is repainted."""

    area: RepaintArea
    whole: RGBA8
    """The image itself."""
    latents: Tensor
    """Of the area, scaled (1, c, h, w), on whole latents."""

    @property
    def image(self) -> AnyArray:
        return self.area.cut(self.whole)


class SingleLayerSampler:
    """Samples single transparent layers; every method returns a scene for each image, prompt by prompt."""

    def __init__(self, model: TransparentModel) -> None:
        self.model = model

    def generate(
        self,
        prompt: Prompt,
        options: SamplingOptions,
        *,
        height: int | None,
        width: int | None,
        hires_strength: float | None,
        fix_background: bool,
        control: Control | None,
    ) -> list[Scene]:
        """Makes images from text; see `TransparentPipeline.generate`."""
        model, requests = self.model, options.requests(prompt)
        strength = 1.0 if hires_strength is None else hires_strength
        settings = options.resolve(model.single.sampling, strength)
        size = model.canvas_size(height, width, like=None)
        # large canvases repeat the subject, so hires makes the model's own number of pixels first
        first = size if hires_strength is None else model.in_proportion(size)
        if settings.fixed_resolution:
            first = model.native_size
        canvas_height, canvas_width = model.inner_canvas(first)
        stock, inputs = self._controlled(control, first, options.inputs)
        window = ControlWindow.whole(first, (canvas_height, canvas_width), model.autoencoder.upscale)
        names = [stock.control_name, *stock.variants.control_masks]
        shown = window.fit(stock.text_to_image_inputs(inputs), names)
        batch = Batch(
            stock=stock,
            settings=settings,
            inputs={"height": canvas_height, "width": canvas_width, **shown},
            crop=first,
            fix_background=fix_background,
        )
        with model.one_call():
            scenes = self._sample(requests, options, batch)
            if hires_strength is not None:
                return [
                    self._enlarge(
                        scene,
                        size,
                        request,
                        settings,
                        hires_strength,
                        stock.batch_inputs(inputs, i, 1, len(requests)),
                        options.clean,
                    )
                    for i, (scene, request) in enumerate(zip(scenes, requests, strict=True))
                ]
        if first == size:
            return scenes
        return [self._scene(self._resampled(scene, size), scene) for scene in scenes]

    def vary(self, rgba: RGBA8, prompt: Prompt, strength: float, options: SamplingOptions) -> list[Scene]:
        """Repaints an image; see `TransparentPipeline.vary`."""
        requests, settings = (
            options.requests(prompt),
            options.resolve(self.model.single.sampling, strength),
        )
        self._check_control(options.inputs)
        with self.model.one_call():
            return self._repaint(rgba, requests, settings, strength, options)

    def inpaint(
        self, rgba: RGBA8, mask: object, prompt: Prompt, strength: float, options: SamplingOptions
    ) -> list[Scene]:
        """Repaints an image inside a mask; see `TransparentPipeline.inpaint`."""
        requests, settings = (
            options.requests(prompt),
            options.resolve(self.model.single.sampling, strength),
        )
        self._check_control(options.inputs)
        share = to_mask(mask, rgba)
        area = around_mask(self.model, rgba, share)
        with self.model.one_call():
            original = self.model.encode(area.cut(rgba))
            pixels = self.model.autoencoder.pixels_per_latent * self.model.autoencoder.upscale
            inside = latent_mask(area.cut_mask(share), *original.shape[-2:], pixels=pixels)
            kept = keep_outside(self.model.stock, original, inside, first=step_end_callback(options.inputs))
            inside_alone = replace(options, pipeline_inputs=with_step_end(options.inputs, kept))
            scenes = self._repaint_canvas(
                _Part(area, rgba, original), requests, settings, strength, inside_alone
            )
        return [
            self._scene(paste(rgba, area.lay(rgba, scene.layers[0].image), share), scene) for scene in scenes
        ]

    def _check_control(self, inputs: CallKwargs) -> None:
        """Raises InputError for a control image of which an image-to-image call would make nothing."""
        stock = self.model.stock
        given = {"image", "control_image"} & inputs.keys()
        if given and "control_image" not in stock.image_to_image_inputs(inputs):
            raise InputError(
                f"Expected no {given.pop()} to repaint by {type(stock.pipeline).__name__}, found one. "
                "Leave it out, or attach a pipeline with a ControlNet."
            )

    def _controlled(
        self, control: Control | None, size: tuple[int, int], inputs: CallKwargs
    ) -> tuple[StockPipeline, CallKwargs]:
        """Returns the pipeline from text and its inputs: the one with control where that is asked for."""
        stock = self.model.stock
        if control is None:
            return stock.text_to_image(), inputs
        if self.model.control is None:
            raise InputError(
                f"Expected a model with a control network, found {self.model.name} without. "
                "Take mini, or attach a pipeline with a ControlNet and pass pipeline_inputs."
            )
        # as large as what the stock pipeline makes, of which the decoder may make more pixels
        upscale = self.model.autoencoder.upscale
        inner = -(-size[0] // upscale), -(-size[1] // upscale)
        image = to_control_image(control.image, control.kind, inner)
        network = load_control_network(self.model.control, stock.device, stock.dtype)
        return stock.with_t2i_adapter(network), {"image": image, **inputs}

    def _enlarge(
        self,
        scene: Scene,
        size: tuple[int, int],
        request: Request,
        settings: Sampling,
        strength: float,
        inputs: CallKwargs,
        clean: bool,
    ) -> Scene:
        rgba = self._resampled(scene, size)
        # one at a time, whatever the batch: enlarged images are larger
        inputs = self.model.stock.later_pass_inputs(inputs)
        options = SamplingOptions(pipeline_inputs=inputs, clean=clean)
        return self._repaint(rgba, [request], settings, strength, options)[0]

    def _repaint(
        self,
        rgba: RGBA8,
        requests: Sequence[Request],
        settings: Sampling,
        strength: float,
        options: SamplingOptions,
    ) -> list[Scene]:
        """Repaints an image of any size, at a size that the model can paint."""
        if not _repaints(settings, strength):
            # not through the codec, which would change what was to be kept
            return [self._made(rgba, request, settings, {"strength": strength}) for request in requests]
        area = whole_image(self.model, rgba)
        part = _Part(area, rgba, self.model.encode(area.cut(rgba)))
        scenes = self._repaint_canvas(part, requests, settings, strength, options)
        clear = np.zeros_like(rgba)
        return [self._scene(area.lay(clear, scene.layers[0].image), scene) for scene in scenes]

    def _repaint_canvas(
        self,
        part: _Part,
        requests: Sequence[Request],
        settings: Sampling,
        strength: float,
        options: SamplingOptions,
    ) -> list[Scene]:
        extra = {"strength": strength}
        if not _repaints(settings, strength):
            return [self._made(part.image, request, settings, extra) for request in requests]
        model = self.model
        rows, columns = (side * model.autoencoder.pixels_per_latent for side in part.latents.shape[-2:])
        window = ControlWindow.of_area(
            part.area, part.whole.shape[:2], (rows, columns), model.autoencoder.upscale
        )
        names = ["control_image", *model.stock.variants.control_masks]
        given = model.stock.image_to_image_inputs(options.inputs)
        if model.stock.variants.edits:
            given = {"control_image": on_grey(part.whole), **given}
        inputs = window.fit(given, names)
        batch = Batch(
            stock=model.stock.image_to_image(),
            settings=settings,
            inputs={"strength": strength, **inputs},
            crop=part.area.canvas,
            latents=part.latents,
            extra_metadata=extra,
        )
        return self._sample(requests, options, batch)

    def _sample(self, requests: Sequence[Request], options: SamplingOptions, batch: Batch) -> list[Scene]:
        self.model.adapters.set(self.model.single.source)
        scenes: list[Scene] = []
        for part in options.batches(requests):
            start = {} if batch.latents is None else {"image": batch.latents.expand(len(part), -1, -1, -1)}
            read = self.model.reader.read(batch.stock.pipeline, part)
            inputs = batch.stock.batch_inputs(batch.inputs, len(scenes), len(part), len(requests))
            latents = batch.stock.sample(read, batch.settings, {**inputs, **start})
            for i, (request, latent) in enumerate(zip(part, torch.split(latents, 1), strict=True)):
                extra = dict(batch.extra_metadata)
                if batch.fix_background:
                    own = batch.stock.batch_inputs(inputs, i, 1, len(part))
                    latent, extra["backdrop"] = self._fix_background(latent, request, batch.settings, own)
                image = self.model.decode(latent, passes=batch.settings.passes, crop=batch.crop)
                image = snap_alpha(image) if options.clean else image
                scenes.append(self._made(image, request, batch.settings, extra))
        return scenes

    def _fix_background(
        self, latent: Tensor, request: Request, settings: Sampling, inputs: CallKwargs
    ) -> tuple[Tensor, float]:
        """Returns the latent, or another with clear surroundings, and how far off the first one's were."""
        distance = round(background_distance(self.model.autoencoder, latent), 4)
        if distance < THRESHOLD:
            return latent, distance
        stock = self.model.stock
        # the latent to start from has a size; height and width would contradict it in image-to-image calls
        others = {name: value for name, value in inputs.items() if name not in ("height", "width")}
        inputs = clear_start(stock, self.model.encode_clear(latent), stock.later_pass_inputs(others))
        read = self.model.reader.read(stock.pipeline, [request])
        return stock.image_to_image().sample(read, settings, inputs), distance

    def _resampled(self, scene: Scene, size: tuple[int, int]) -> AnyArray:
        # without a fixed resolution both sizes have the same proportions
        fit = "fit" if self.model.single.sampling.fixed_resolution else "stretch"
        return fit_snapped(scene.layers[0].image, *size, fit)

    def _made(self, image: AnyArray, request: Request, settings: Sampling, extra: CallKwargs) -> Scene:
        metadata = self.model.metadata(request, settings, self.model.single.name, extra)
        return Scene.of(image, name=request.prompt[:MAX_NAME] or "foreground", provenance=metadata)

    def _scene(self, image: AnyArray, like: Scene) -> Scene:
        return Scene.of(image, name=like.layers[0].name, provenance=like.provenance)


def _repaints(settings: Sampling, strength: float) -> bool:
    """Tells whether a strength takes a step at all; stock pipelines refuse to be called for none."""
    return int(settings.num_inference_steps * strength) >= 1
