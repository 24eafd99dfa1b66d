"""Any Stable Diffusion pipeline, made transparent: our adapter before its sampling, our decoder after.

Pictures are uint8 (h, w, 4), straight alpha, sRGB; sizes are (height, width); latents are scaled,
as pipelines hold them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

import pellucid
from pellucid.errors import InputError
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.pipelines.codec import latent_multiple, rgba_of, to_picture, with_margin
from pellucid.pipelines.inpainting import keep_outside, latent_mask, mask_of, pasted
from pellucid.pipelines.modes import Sampling
from pellucid.pipelines.quiet import quiet
from pellucid.pipelines.requests import Request, check_passes, check_sampling, check_size, padded, requests_of
from pellucid.pipelines.schedulers import check_scheduler, scheduled, scheduler_name
from pellucid.pipelines.twins import check_pipeline, image_to_image, text_to_image
from pellucid.rgba.types import RGBA8, AnyArray
from pellucid.scene.scene import Scene

Inputs = Mapping[str, Any]


class TransparentPipeline:
    """A stock pipeline and the codec that reads transparency out of its latents.

    Example:
        pipe = pellucid.load()
        pipe.generate("a glass bottle of honey", seed=7).save("honey.png")
    """

    def __init__(
        self,
        pipeline: Any,  # noqa: ANN401 - any diffusers pipeline of `pipelines.twins`
        autoencoder: RGBAAutoencoder,
        *,
        sampling: Sampling | None = None,
        mode: str = "custom",
        model: str | None = None,
    ) -> None:
        """Joins the two; `attach` and `pellucid.load` are the usual ways here.

        Args:
            pipeline: the stock pipeline, used as it is.
            autoencoder: codec over the pipeline's VAE.
            sampling: defaults of `generate` and `vary`.
            mode: name written into the result.
            model: name written into the result; None takes the pipeline's own.
        """
        check_pipeline(pipeline)
        self.pipeline = pipeline
        self.autoencoder = autoencoder
        self.sampling = sampling or Sampling()
        self.mode = mode
        self.model = model or str(pipeline.config.get("_name_or_path") or type(pipeline).__name__)
        self.multiple = latent_multiple(pipeline, autoencoder)

    def detach(self) -> Any:  # noqa: ANN401 - the pipeline that was given
        """Takes the adapter out and returns the stock pipeline, its weights as before, bit for bit."""
        from pellucid.weights.adapters import remove_adapter

        remove_adapter(self.pipeline.unet)
        return self.pipeline

    def generate(
        self,
        prompt: str | Sequence[str],
        *,
        count: int = 1,
        seed: int | Sequence[int] | None = None,
        negative_prompt: str | Sequence[str] | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        scheduler: str | None = None,
        passes: int | None = None,
        batch_size: int | None = None,
        pipeline_inputs: Inputs | None = None,
    ) -> Scene | list[Scene]:
        """Makes transparent pictures from text.

        Args:
            prompt: a text or a list; longer ones are cut where the tokenizer's limit lies.
            count: pictures a prompt.
            seed: picture i of a prompt takes seed + i; a list has a seed for each prompt. None draws one.
            negative_prompt: what not to show: one for all, or one a prompt.
            height: of the result, px; any size. None takes the model's.
            width: as `height`.
            num_inference_steps: None takes the mode's.
            guidance_scale: 1 is off. None takes the mode's.
            scheduler: a name of `pellucid.pipelines.schedulers.SCHEDULERS`. None takes the mode's.
            passes: views that the alpha decoder takes the median of: 1, 2, 4 or 8. None takes the mode's.
            batch_size: pictures sampled together. None takes 1, which gives the same bytes in any company.
            pipeline_inputs: what the stock pipeline itself asks for, such as a ControlNet's `image`.

        Returns:
            A scene for one prompt and a count of 1; else a list, prompt by prompt.

        Raises:
            InputError: an argument does not fit.
        """
        requests = requests_of(prompt, negative_prompt=negative_prompt, count=count, seed=seed)
        settings = self._settings(num_inference_steps, guidance_scale, scheduler, passes)
        height, width = self._size(height, width)
        tall, wide = padded(height, self.multiple), padded(width, self.multiple)
        scenes = self._scenes(
            text_to_image(self.pipeline),
            requests,
            settings,
            inputs={"height": tall, "width": wide, **(pipeline_inputs or {})},
            crop=(height, width),
            batch_size=batch_size,
        )
        return scenes[0] if isinstance(prompt, str) and count == 1 else scenes

    def vary(
        self,
        picture: object,
        prompt: str | Sequence[str],
        *,
        strength: float = 0.6,
        count: int = 1,
        seed: int | Sequence[int] | None = None,
        negative_prompt: str | Sequence[str] | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        scheduler: str | None = None,
        passes: int | None = None,
        batch_size: int | None = None,
        pipeline_inputs: Inputs | None = None,
    ) -> Scene | list[Scene]:
        """Repaints a transparent picture after a text, alpha included.

        Args:
            picture: an array (h, w), (h, w, 3) or (h, w, 4), a PIL picture of any mode, or a file's path.
            prompt: as in `generate`, and so are the arguments that are not named here.
            strength: 0 keeps the picture, 1 ignores it.
            count: pictures a prompt.
            seed: see `generate`.
            negative_prompt: see `generate`.
            num_inference_steps: of a full run; the picture goes through its last `strength`.
            guidance_scale: see `generate`.
            scheduler: see `generate`.
            passes: see `generate`.
            batch_size: see `generate`.
            pipeline_inputs: see `generate`; a ControlNet's picture is called `control_image` here.

        Returns:
            As `generate`; every picture has the size of the one given.

        Raises:
            InputError: an argument does not fit.
        """
        requests = requests_of(prompt, negative_prompt=negative_prompt, count=count, seed=seed)
        settings = self._settings(num_inference_steps, guidance_scale, scheduler, passes, strength)
        rgba = rgba_of(picture)
        inputs = {"strength": strength, **(pipeline_inputs or {})}
        scenes = self._repainted(rgba, self.encode(rgba), requests, settings, strength, inputs, batch_size)
        return scenes[0] if isinstance(prompt, str) and count == 1 else scenes

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
        count: int = 1,
        seed: int | Sequence[int] | None = None,
        negative_prompt: str | Sequence[str] | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        scheduler: str | None = None,
        passes: int | None = None,
        batch_size: int | None = None,
        pipeline_inputs: Inputs | None = None,
    ) -> Scene | list[Scene]:
        """Repaints a transparent picture inside a mask, alpha included; outside not a byte changes.

        Args:
            picture: see `vary`.
            mask: as large as the picture: white is repainted, black and transparent kept, grey mixed.
            prompt: see `generate`.
            strength: how far from what is there now: 1 ignores it.
            count: see `generate`.
            seed: see `generate`.
            negative_prompt: see `generate`.
            num_inference_steps: see `vary`.
            guidance_scale: see `generate`.
            scheduler: see `generate`.
            passes: see `generate`.
            batch_size: see `generate`.
            pipeline_inputs: see `vary`.

        Returns:
            As `vary`.

        Raises:
            InputError: an argument does not fit.
        """
        requests = requests_of(prompt, negative_prompt=negative_prompt, count=count, seed=seed)
        settings = self._settings(num_inference_steps, guidance_scale, scheduler, passes, strength)
        rgba = rgba_of(picture)
        share, known = mask_of(mask, rgba), self.encode(rgba)
        within = latent_mask(share, *known.shape[-2:], pixels=self.autoencoder.pixels_per_latent)
        inputs = {"strength": strength, **(pipeline_inputs or {})}
        inputs["callback_on_step_end"] = keep_outside(known, within)
        found = self._repainted(rgba, known, requests, settings, strength, inputs, batch_size)
        scenes = [
            Scene.of(
                pasted(rgba, scene.layers[0].image, share), name="foreground", provenance=scene.provenance
            )
            for scene in found
        ]
        return scenes[0] if isinstance(prompt, str) and count == 1 else scenes

    @torch.no_grad()
    def encode(self, picture: object) -> Tensor:
        """A picture to its adjusted, scaled latent (1, c, h, w); sides are padded with transparency."""
        canvas = with_margin(rgba_of(picture), self.multiple)
        return self.autoencoder.encode_picture(canvas).to(self.pipeline.unet.dtype)

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
        channels = self.pipeline.unet.config.out_channels
        if latents.ndim != 4 or latents.shape[0] != 1 or latents.shape[1] != channels:
            raise InputError(
                f"Expected a latent of shape (1, {channels}, h, w), found {tuple(latents.shape)}. "
                "Decode one at a time, with the model that made it."
            )
        return to_picture(self.autoencoder.decode(latents, passes=passes), crop)

    def _settings(
        self,
        steps: int | None,
        guidance: float | None,
        scheduler: str | None,
        passes: int | None,
        strength: float = 1.0,
    ) -> Sampling:
        own = self.sampling
        settings = Sampling(
            num_inference_steps=own.num_inference_steps if steps is None else steps,
            guidance_scale=own.guidance_scale if guidance is None else guidance,
            scheduler=own.scheduler if scheduler is None else scheduler,
            passes=own.passes if passes is None else passes,
        )
        check_passes(settings.passes)
        check_scheduler(settings.scheduler)
        check_sampling(settings.num_inference_steps, settings.guidance_scale, strength)
        return settings

    @property
    def native_size(self) -> tuple[int, int]:
        """(height, width) that the model was trained at, px: what `generate` makes unless asked otherwise."""
        sample = self.pipeline.unet.config.sample_size
        rows, columns = sample if isinstance(sample, (list, tuple)) else (sample, sample)
        pixels = 2 ** (len(self.pipeline.vae.config.block_out_channels) - 1)
        return int(rows * pixels), int(columns * pixels)

    def _size(self, height: int | None, width: int | None) -> tuple[int, int]:
        own = self.native_size
        size = own[0] if height is None else height, own[1] if width is None else width
        check_size(*size)
        return size

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
    ) -> list[Scene]:
        size = 1 if batch_size is None else batch_size
        if size < 1:
            raise InputError(f"Expected a batch size of 1 or more, found {size}. Leave it out for 1.")
        scenes: list[Scene] = []
        for start in range(0, len(requests), size):
            batch = requests[start : start + size]
            begun = {} if latents is None else {"image": latents.expand(len(batch), -1, -1, -1)}
            with quiet(), scheduled(stock, settings.scheduler):
                found = stock(
                    [request.prompt for request in batch],
                    negative_prompt=[request.negative_prompt for request in batch],
                    num_inference_steps=settings.num_inference_steps,
                    guidance_scale=settings.guidance_scale,
                    generator=[torch.Generator("cpu").manual_seed(request.seed) for request in batch],
                    output_type="latent",
                    **begun,
                    **inputs,
                ).images
            _check_finite(found, settings)
            for request, latent in zip(batch, found.split(1), strict=True):
                image = self.decode(latent, passes=settings.passes, crop=crop)
                scenes.append(self._scene(image, request, settings, facts or {}))
        return scenes

    def _scene(self, image: AnyArray, request: Request, settings: Sampling, facts: Inputs) -> Scene:
        return Scene.of(
            image,
            name="foreground",
            provenance={
                "prompt": request.prompt,
                "negative_prompt": request.negative_prompt,
                "seed": request.seed,
                "model": self.model,
                "version": pellucid.__version__,
                "mode": self.mode,
                "steps": settings.num_inference_steps,
                "guidance": settings.guidance_scale,
                "scheduler": scheduler_name(self.pipeline.scheduler, settings.scheduler),
                **facts,
            },
        )


def _check_finite(latents: Tensor, settings: Sampling) -> None:
    """Raises InputError where sampling has ended in NaN or infinity, of which no picture can be made."""
    if not bool(torch.isfinite(latents).all()):
        raise InputError(
            f"Expected numbers after {settings.num_inference_steps} steps at guidance "
            f"{settings.guidance_scale:g}, found NaN or infinity. "
            "Take fewer steps, less guidance, another scheduler, or float32."
        )
