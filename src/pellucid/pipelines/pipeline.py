"""Any pipeline of `pipelines.families`, made transparent: our adapter before its sampling, our decoder after.

Pictures are uint8 (h, w, 4), straight alpha, sRGB; sizes are (height, width); latents are scaled,
as pipelines hold them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor

from pellucid.errors import InputError
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.pipelines.background_check import FAULT, backdrop_distance, held_clear
from pellucid.pipelines.codec import check_codec, latent_multiple, rgba_of, to_picture, with_margin
from pellucid.pipelines.families import latent_channels, own_mode, row_of
from pellucid.pipelines.inpainting import keep_outside, latent_mask, mask_of, pasted
from pellucid.pipelines.layering import LayerTasks
from pellucid.pipelines.modes import Mode, Sampling, Task
from pellucid.pipelines.options import (
    GenerateOptions,
    SamplingOptions,
    check_options,
    requests_in,
    settings_in,
)
from pellucid.pipelines.requests import Request, check_passes, check_size, padded
from pellucid.pipelines.sampling import batches, sample
from pellucid.pipelines.structure_control import control_picture, controlled, load_control
from pellucid.pipelines.twins import check_pipeline, for_picture, image_to_image, text_to_image
from pellucid.rgba.resizing import fit_rgba
from pellucid.rgba.types import RGBA8, AnyArray
from pellucid.scene.scene import Scene
from pellucid.weights.adapter_manager import Wardrobe

Inputs = Mapping[str, Any]


class TransparentPipeline(LayerTasks):
    """A stock pipeline and the codec that reads transparency out of its latents.

    Example:
        pipe = pellucid.load()
        pipe.generate("a glass bottle of honey", seed=7).save("honey.png")
    """

    def __init__(
        self,
        pipeline: Any,  # noqa: ANN401 - any diffusers pipeline of `pipelines.families`
        autoencoder: RGBAAutoencoder,
        *,
        wardrobe: Wardrobe | None = None,
        tasks: Mapping[Task, tuple[Mode, ...]] | None = None,
        control: Path | None = None,
        model: str | None = None,
    ) -> None:
        """Joins the two; `attach` and `pellucid.load` are the usual ways here.

        Args:
            pipeline: the stock pipeline, used as it is.
            autoencoder: codec over the pipeline's VAE.
            wardrobe: the adapters of its denoiser.
            tasks: the modes of each task, one after another; "foreground" is the single transparent layer.
            control: folder of the network for `generate(control=…)`.
            model: name written into the result; None takes the pipeline's own.
        """
        check_pipeline(pipeline)
        check_codec(pipeline, autoencoder)
        self.pipeline = pipeline
        self.autoencoder = autoencoder
        self.wardrobe = wardrobe or Wardrobe(self.denoiser)
        self.tasks = {"foreground": (own_mode(row_of(pipeline), None),), **(tasks or {})}
        self.control = control
        self.model = model or str(pipeline.config.get("_name_or_path") or type(pipeline).__name__)
        self.multiple = latent_multiple(pipeline, autoencoder)

    @property
    def own(self) -> Mode:
        """The mode of the single transparent layer."""
        return self.tasks["foreground"][0]

    @property
    def sampling(self) -> Sampling:
        """Defaults of `generate`, `vary` and `inpaint`."""
        return self.own.sampling

    def detach(self) -> Any:  # noqa: ANN401 - the pipeline that was given
        """Takes the adapter out and returns the stock pipeline, its weights as before, bit for bit."""
        self.wardrobe.wear(None)
        return self.pipeline

    def generate(
        self, prompt: str | Sequence[str], **options: Unpack[GenerateOptions]
    ) -> Scene | list[Scene]:
        """Makes transparent pictures from text.

        Args:
            prompt: a text or a list; longer ones are cut where the tokenizer's limit lies.
            options: `count`, `seed`, `height`, `width`, … of `pellucid.pipelines.options.GenerateOptions`.

        Returns:
            A scene for one prompt and a count of 1; else a list, prompt by prompt.

        Raises:
            InputError: an argument does not fit.
        """
        check_options(options, GenerateOptions, "generate")
        requests, strength = requests_in(prompt, options), options.get("hires_strength")
        settings = settings_in(options, self.sampling, 1.0 if strength is None else strength)
        size = self._canvas(options, like=None)
        first = size if strength is None else self.proportioned(size)
        if self.one_size:
            first = self.native_size
        tall, wide = (padded(side, self.multiple) for side in first)
        stock, inputs = self._steered(options, first)
        scenes = self._scenes(
            stock,
            requests,
            settings,
            inputs={"height": tall, "width": wide, **inputs},
            crop=first,
            batch_size=options.get("batch_size"),
            mend=options.get("mend_backdrop", False),
        )
        if strength is not None:
            scenes = [
                self._enlarged(scene, size, request, settings, strength, inputs)
                for scene, request in zip(scenes, requests, strict=True)
            ]
        elif first != size:
            scenes = [
                Scene.of(self._resampled(scene, size), name="foreground", provenance=scene.provenance)
                for scene in scenes
            ]
        return _one_or_all(scenes, prompt, options)

    def _steered(self, options: Mapping[str, Any], size: tuple[int, int]) -> tuple[Any, Inputs]:
        """The pipeline from text and what it is called with: the one with control where that is asked for."""
        inputs = options.get("pipeline_inputs") or {}
        if options.get("control") is None:
            return text_to_image(self.pipeline), inputs
        picture = control_picture(options["control"], options.get("control_kind", "both"), size)
        return controlled(self.pipeline, self._control_network()), {"image": picture, **inputs}

    def _control_network(self) -> Any:  # noqa: ANN401 - a T2IAdapter
        if self.control is None:
            raise InputError(
                f"Expected a model with a control network, found {self.model} without. "
                "Take mini, or attach a pipeline with a ControlNet and pass pipeline_inputs."
            )
        like = self.denoiser
        return load_control(self.control, like.device, like.dtype)

    def _resampled(self, scene: Scene, size: tuple[int, int]) -> AnyArray:
        how = "fit" if self.one_size else "stretch"  # the latter is of the same proportions
        return fit_rgba(scene.layers[0].image, *size, how)

    def _enlarged(
        self,
        scene: Scene,
        size: tuple[int, int],
        request: Request,
        settings: Sampling,
        strength: float,
        inputs: Inputs,
    ) -> Scene:
        rgba = self._resampled(scene, size)
        more = {"strength": strength, **for_picture(self.pipeline, inputs)}
        return self._repainted(rgba, self.encode(rgba), [request], settings, strength, more, None)[0]

    def upscale(
        self,
        picture: object,
        prompt: str | Sequence[str] = "",
        *,
        scale: float = 2.0,
        strength: float | None = None,
        **options: Unpack[SamplingOptions],
    ) -> Scene | list[Scene]:
        """Enlarges a transparent picture, premultiplied, and repaints it a little for detail.

        Args:
            picture: see `vary`.
            prompt: what it shows.
            scale: of each side, above 0.
            strength: see `vary`; 0 only enlarges, and sends it through the codec. None takes the mode's.
            options: see `vary`.

        Returns:
            As `vary`.

        Raises:
            InputError: an argument does not fit.
        """
        rgba = rgba_of(picture)
        if not scale > 0:
            raise InputError(f"Expected a scale above 0, found {scale}. 2 doubles each side.")
        size = round(rgba.shape[0] * scale), round(rgba.shape[1] * scale)
        check_size(*size)
        chosen = self.sampling.upscale_strength if strength is None else strength
        return self.vary(fit_rgba(rgba, *size, "stretch"), prompt, strength=chosen, **options)

    def vary(
        self,
        picture: object,
        prompt: str | Sequence[str],
        *,
        strength: float = 0.6,
        **options: Unpack[SamplingOptions],
    ) -> Scene | list[Scene]:
        """Repaints a transparent picture after a text, alpha included.

        Args:
            picture: an array (h, w), (h, w, 3) or (h, w, 4), a PIL picture of any mode, or a file's path.
            prompt: see `generate`.
            strength: 0 keeps the picture, 1 ignores it.
            options: `count`, `seed`, … of `pellucid.pipelines.options.SamplingOptions`.

        Returns:
            As `generate`; every picture has the size of the one given.

        Raises:
            InputError: an argument does not fit.
        """
        check_options(options, SamplingOptions, "vary")
        requests, settings = requests_in(prompt, options), settings_in(options, self.sampling, strength)
        rgba = rgba_of(picture)
        inputs = {"strength": strength, **(options.get("pipeline_inputs") or {})}
        batch_size = options.get("batch_size")
        scenes = self._repainted(rgba, self.encode(rgba), requests, settings, strength, inputs, batch_size)
        return _one_or_all(scenes, prompt, options)

    def _repainted(
        self,
        rgba: RGBA8,
        latents: Tensor,
        requests: Sequence[Request],
        settings: Sampling,
        strength: float,
        inputs: Inputs,
        batch_size: int | None,
    ) -> list[Scene]:
        crop, facts = (rgba.shape[0], rgba.shape[1]), {"strength": strength}
        if int(settings.num_inference_steps * strength) < 1:  # no step to take: stock pipelines refuse
            kept = self.decode(latents, passes=settings.passes, crop=crop)
            return [self._scene(kept, request, settings, facts) for request in requests]
        return self._scenes(
            image_to_image(self.pipeline),
            requests,
            settings,
            inputs=inputs,
            latents=latents,
            crop=crop,
            batch_size=batch_size,
            facts=facts,
        )

    def inpaint(
        self,
        picture: object,
        mask: object,
        prompt: str | Sequence[str],
        *,
        strength: float = 1.0,
        **options: Unpack[SamplingOptions],
    ) -> Scene | list[Scene]:
        """Repaints a transparent picture inside a mask, alpha included; outside not a byte changes.

        Args:
            picture: see `vary`.
            mask: as large as the picture: white is repainted, black and transparent kept, grey mixed.
            prompt: see `generate`.
            strength: how far from what is there now: 1 ignores it.
            options: see `vary`.

        Returns:
            As `vary`.

        Raises:
            InputError: an argument does not fit.
        """
        check_options(options, SamplingOptions, "inpaint")
        requests, settings = requests_in(prompt, options), settings_in(options, self.sampling, strength)
        rgba = rgba_of(picture)
        share, known = mask_of(mask, rgba), self.encode(rgba)
        within = latent_mask(share, *known.shape[-2:], pixels=self.autoencoder.pixels_per_latent)
        inputs = {"strength": strength, **(options.get("pipeline_inputs") or {})}
        inputs["callback_on_step_end"] = keep_outside(known, within)
        batch_size = options.get("batch_size")
        found = self._repainted(rgba, known, requests, settings, strength, inputs, batch_size)
        scenes = [
            Scene.of(
                pasted(rgba, scene.layers[0].image, share), name="foreground", provenance=scene.provenance
            )
            for scene in found
        ]
        return _one_or_all(scenes, prompt, options)

    @torch.no_grad()
    def encode(self, picture: object) -> Tensor:
        """A picture to its adjusted, scaled latent (1, c, h, w); sides are padded with transparency."""
        canvas = with_margin(rgba_of(picture), self.multiple)
        return self.autoencoder.encode_picture(canvas).to(self.denoiser.dtype)

    @torch.no_grad()
    def decode(
        self, latents: Tensor, *, passes: int | None = None, crop: tuple[int, int] | None = None
    ) -> RGBA8:
        """An adjusted, scaled latent (1, c, h, w) to a picture.

        Args:
            latents: what `encode` or the stock pipeline returns.
            passes: see `generate`.
            crop: (height, width) cut from the middle, as `encode` padded; None keeps all.

        Raises:
            InputError: not one latent of the model's channels, or another number of passes.
        """
        passes = self.sampling.passes if passes is None else passes
        check_passes(passes)
        channels = latent_channels(self.pipeline)
        if latents.ndim != 4 or latents.shape[0] != 1 or latents.shape[1] != channels:
            raise InputError(
                f"Expected a latent of shape (1, {channels}, h, w), found {tuple(latents.shape)}. "
                "Decode one at a time, with the model that made it."
            )
        return to_picture(self.autoencoder.decode(latents, passes=passes), crop)

    def _scenes(
        self,
        stock: Any,  # noqa: ANN401 - any diffusers pipeline
        requests: Sequence[Request],
        settings: Sampling,
        *,
        inputs: Inputs,
        crop: tuple[int, int],
        batch_size: int | None,
        latents: Tensor | None = None,
        facts: Inputs | None = None,
        mend: bool = False,
    ) -> list[Scene]:
        self.wardrobe.wear(self.own.source)
        scenes: list[Scene] = []
        for batch in batches(requests, batch_size):
            begun = {} if latents is None else {"image": latents.expand(len(batch), -1, -1, -1)}
            found = sample(stock, batch, settings, {**begun, **inputs})
            for request, latent in zip(batch, found.split(1), strict=True):
                told = dict(facts or {})
                if mend:
                    chosen, told["backdrop"] = self._mended(latent, request, settings, inputs)
                else:
                    chosen = latent
                image = self.decode(chosen, passes=settings.passes, crop=crop)
                scenes.append(self._scene(image, request, settings, told))
        return scenes

    def _mended(
        self, latent: Tensor, request: Request, settings: Sampling, inputs: Inputs
    ) -> tuple[Tensor, float]:
        """The latent, or another with clear surroundings, and how far off those of the first were."""
        off = round(backdrop_distance(self.autoencoder, latent), 4)
        if off < FAULT:
            return latent, off
        tall, wide = (side * self.autoencoder.pixels_per_latent for side in latent.shape[-2:])
        clear = held_clear(self.encode(np.zeros((tall, wide, 4), np.uint8)))
        rest = {name: value for name, value in inputs.items() if name not in ("height", "width")}
        more = {**for_picture(self.pipeline, rest), **clear}
        return sample(image_to_image(self.pipeline), [request], settings, more), off

    def _scene(self, image: AnyArray, request: Request, settings: Sampling, facts: Inputs) -> Scene:
        known = self.provenance(request, settings, self.own.name, facts)
        return Scene.of(image, name="foreground", provenance=known)


def _one_or_all(scenes: list[Scene], prompt: object, options: Inputs) -> Scene | list[Scene]:
    return scenes[0] if isinstance(prompt, str) and options.get("count", 1) == 1 else scenes
