"""A diffusers pipeline of a known family, and everything that Pellucid needs to know about it.

diffusers has no protocol that its pipelines share, so this and `variants.py` alone hold `Any`. Latents are
scaled (b, c, h, w) on this side, whatever the pipeline's sampler holds; sides are in pixels unless said.
"""

import copy
import inspect
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from diffusers.image_processor import VaeImageProcessor
from torch import Tensor, nn

from pellucid.errors import InputError
from pellucid.models.latent_space import LatentSpace, latent_space
from pellucid.pipelines import native_sizes
from pellucid.pipelines.arguments import CallKwargs, Request
from pellucid.pipelines.family_words import (
    as_accepted,
    blank_images,
    hand_on_step_end,
    in_its_words,
    set_size,
)
from pellucid.pipelines.later_start import LaterStart
from pellucid.pipelines.modes import Sampling
from pellucid.pipelines.packing import LAYOUTS
from pellucid.pipelines.pipeline_inputs import (
    adapter_inputs,
    check_known,
    has_several_networks,
    images_of,
    rows_of,
    with_embeddings,
)
from pellucid.pipelines.prompt_length import warn_of_cut_prompts
from pellucid.pipelines.schedulers import check_scheduler, scheduler_for_call
from pellucid.pipelines.variants import (
    IdentityVAE,
    MeanVAE,
    build_variant,
    check_packages,
    class_at,
    family_of,
    is_of_class,
    latent_inputs,
    takes_means,
)

# Two pipelines may be built over one denoiser, so the lock belongs to that module, not to the wrapper.
_locks: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()
_locks_guard = threading.Lock()


class StockPipeline:
    """A diffusers pipeline, its family, and the ways to run it up to its latents.

    Calls take a lock: the denoiser's adapter is state of a module that others may hold too, so threads may
    share one object but sample in turn. Every call gets a scheduler of its own, so the user's is never
    touched, and neither is any other attribute of the pipeline that was given.
    """

    def __init__(self, pipeline: Any) -> None:  # noqa: ANN401 - diffusers has no common protocol
        """Recognises the pipeline by its class.

        Raises:
            InputError: no family here has such pipelines, or one of its parts is wanting.
        """
        self.pipeline = pipeline
        self.family, self.variants = family_of(pipeline)
        # guarded, or two threads could each make a lock for one denoiser
        with _locks_guard:
            # re-entrant: a block of `exclusive` may call our own methods
            self.lock = _locks.setdefault(self.denoiser, threading.RLock())

    @property
    def denoiser(self) -> Any:  # noqa: ANN401 - a UNet or a transformer
        """Returns the module that samples, into which adapters go."""
        return getattr(self.pipeline, self.family.denoiser)

    @property
    def vae(self) -> Any:  # noqa: ANN401 - any diffusers VAE
        """Returns the frozen VAE."""
        vae = self.pipeline.vae
        return vae.vae if isinstance(vae, MeanVAE) else vae

    @property
    def space(self) -> LatentSpace:
        """Returns how the VAE's latents and pixels become one another."""
        return latent_space(self.vae)

    @property
    def device(self) -> torch.device:
        """Returns where inputs must be: the pipeline's device, or with offloading the one modules move to."""
        return self.pipeline._execution_device

    @property
    def dtype(self) -> torch.dtype:
        """Returns the dtype of the denoiser's latents."""
        return self.denoiser.dtype

    @property
    def latent_channels(self) -> int:
        """Returns the channels of the latents that the denoiser was trained on."""
        return int(latent_inputs(self.denoiser, self.family, self.variants))

    @property
    def vae_scale_factor(self) -> int:
        """Returns the side in pixels that one latent stands for."""
        return self.space.pixels_per_latent

    @property
    def latents_multiple(self) -> int:
        """Returns what sides in latents must divide by: a UNet's halvings, or a transformer's patches."""
        return native_sizes.latents_multiple(self.denoiser.config, self.family)

    @property
    def token_side(self) -> int:
        """Returns the side of the squares of latents that its denoiser takes as one token, or a UNet's 1."""
        return native_sizes.token_side(self.denoiser.config, self.family)

    @property
    def native_size(self) -> tuple[int, int]:
        """Returns the (height, width) in pixels that the model was trained at."""
        return native_sizes.native_size(self.pipeline, self.family, self.vae_scale_factor)

    @property
    def max_side(self) -> int | None:
        """Returns the longest side, px, that the denoiser has positions for; None where any will do."""
        return native_sizes.max_side(self.denoiser.config, self.family, self.vae_scale_factor)

    @property
    def is_refiner(self) -> bool:
        """Tells whether the UNet is a refiner's, which is told five numbers of an image and not six."""
        encoder, config = getattr(self.pipeline, "text_encoder_2", None), self.denoiser.config
        size, each = (
            config.get(name) for name in ("projection_class_embeddings_input_dim", "addition_time_embed_dim")
        )
        return encoder is not None and bool(size) and size == 5 * each + encoder.config.projection_dim

    def check(self) -> None:
        """Raises InputError where the denoiser wants more than a latent, as those made for inpainting do."""
        check_packages(self.family)
        channels = self.space.channels
        inputs = latent_inputs(self.denoiser, self.family, self.variants)
        if inputs != channels:
            raise InputError(
                f"Expected a {self.family.denoiser} with as many inputs as its VAE's latents have channels, "
                f"found {inputs:g} and {channels}. "
                "Take the base model, not one made for inpainting; `inpaint` works on it."
            )
        if getattr(self.pipeline, "transformer_2", None) is not None:
            raise InputError(
                f"Expected one denoiser, found two in {type(self.pipeline).__name__}. "
                "Take a model with one, such as Wan 2.1: an adapter would reach the first alone."
            )
        if self.space.alpha_channels:
            raise InputError(
                f"Expected a VAE of opaque images, found {type(self.vae).__name__} with alpha of its own. "
                "Call the stock pipeline, or pass it to `pellucid.decompose`: its images have alpha already."
            )

    def pack(self, latents: Tensor) -> Tensor:
        """Returns latents (b, c, h, w) as the pipeline's sampler holds them."""
        return LAYOUTS[self.family.packing].pack(self.pipeline, latents)

    def unpack(self, latents: Tensor, height: int, width: int) -> Tensor:
        """Undoes `pack`, for an image of `height` and `width` px."""
        unpack = LAYOUTS[self.family.packing].unpack
        return unpack(self.pipeline, latents, height, width, self.vae_scale_factor)

    def text_to_image(self) -> "StockPipeline":
        """Returns the pipeline over the same parts that starts from noise, this one if it does."""
        if self.is_refiner:
            raise InputError(
                f"Expected a base model to make images from text, found the refiner of {self.family.title}. "
                "Attach the base model; a refiner repaints, by `vary` and `inpaint`."
            )
        path = self.variants.text_to_image
        if is_of_class(self.pipeline, path):
            return self
        return StockPipeline(build_variant(path, self.pipeline, {}))

    def image_to_image(self) -> "StockPipeline":
        """Returns the pipeline over the same parts that starts from scaled latents, of any channels.

        diffusers has none for some families; the other then begins later, see `sample`.
        """
        path = self.variants.image_to_image
        if path is None:
            return self.text_to_image()
        channels = self.latent_channels
        identity = IdentityVAE(list(self.vae.config.block_out_channels), channels)
        identity.anchor = identity.anchor.to(device=self.device, dtype=self.dtype)
        options = {"requires_aesthetics_score": True} if self.is_refiner else {}
        variant = build_variant(path, self.pipeline, {"vae": identity, **options})
        variant.image_processor = VaeImageProcessor(
            vae_scale_factor=variant.vae_scale_factor, vae_latent_channels=channels
        )
        return StockPipeline(variant)

    def with_t2i_adapter(self, adapter: nn.Module) -> "StockPipeline":
        """Returns the pipeline over the same parts that shows its UNet what a T2I-Adapter makes of an image.

        Raises:
            InputError: diffusers has none for this family.
        """
        paths = [variants.text_to_image for variants in self.family.variants]
        path = next((path for path in paths if path[2].endswith("AdapterPipeline")), None)
        if path is None:
            raise InputError(
                f"Expected a family with T2I-Adapters, found {self.family.title}. "
                "Attach a pipeline with a ControlNet instead, and pass pipeline_inputs."
            )
        return StockPipeline(build_variant(path, self.pipeline, {"adapter": adapter}))

    @property
    def control_name(self) -> str:
        """Returns what the text-to-image pipeline calls an image that steers it."""
        return self.variants.control_name

    def text_to_image_inputs(self, inputs: CallKwargs) -> CallKwargs:
        """Renames a control image, `control_image` in image-to-image calls, to what it is called here."""
        return {self.control_name if name == "control_image" else name: each for name, each in inputs.items()}

    def image_to_image_inputs(self, inputs: CallKwargs) -> dict[str, Any]:
        """Renames the inputs of the text-to-image pipeline to those of `image_to_image`.

        A ControlNet's image is called `control_image` there, and a T2I-Adapter's has no place.
        """
        others = {name: value for name, value in inputs.items() if name != "image"}
        path = self.variants.image_to_image
        steers = path is None or "control_image" in inspect.signature(class_at(path).__call__).parameters
        named = self.control_name == "image" and "image" in inputs and steers
        return others | ({"control_image": inputs["image"]} if named else {})

    @property
    def accepted(self) -> set[str]:
        """Returns the arguments of the pipeline's call."""
        found = inspect.signature(self.pipeline.__call__).parameters
        # of the older pipelines two names are among their `**kwargs`, where all others vanish
        older = any(each.kind is inspect.Parameter.VAR_KEYWORD for each in found.values())
        return {*found, *(("callback", "callback_steps") if older else ())}

    def later_pass_inputs(self, inputs: CallKwargs) -> dict[str, Any]:
        """Returns what of a first pass's inputs an image-to-image pass after it takes."""
        accepted = self.image_to_image().accepted
        renamed = self.image_to_image_inputs(inputs)
        # callbacks are handed on in the pipeline's own way
        return {
            name: value for name, value in renamed.items() if name in accepted or name.startswith("callback")
        }

    def batch_inputs(self, inputs: CallKwargs, start: int, count: int, total: int) -> CallKwargs:
        """Returns the inputs of some of a call's images, see `rows_of`; of a list of control images, too."""
        names = (
            () if has_several_networks(self.pipeline) else ("image", "control_image")
        )  # else a list is one for each network
        return rows_of(images_of(inputs, names, start, count, total), start, count, total)

    def sample(self, requests: Sequence[Request], settings: Sampling, inputs: CallKwargs) -> Tensor:
        """Runs one batch and returns its scaled latents (requests, c, h, w), each from its own seed's noise.

        Args:
            requests: prompts and seeds.
            settings: steps, guidance, scheduler.
            inputs: what else the pipeline is called with. With latents as `image` (b, c, h, w) it starts from
                them, at `strength`.

        Raises:
            InputError: something that this family's pipelines cannot do, or NaN or infinity came out.
        """
        check_scheduler(settings.scheduler, self.family)
        if settings.scheduler is not None and self.variants.own_scheduler:
            raise InputError(
                f"Expected no scheduler with {type(self.pipeline).__name__}, found {settings.scheduler!r}. "
                "Leave it out: it runs with its own kind alone."
            )
        texts = [each.prompt for each in requests if "prompt_embeds" not in inputs]
        texts += [each.negative_prompt for each in requests if "negative_prompt_embeds" not in inputs]
        warn_of_cut_prompts(texts, self.pipeline)
        if self.family.one_at_a_time and len(requests) > 1:
            return torch.cat([self.sample(*each) for each in self._one_by_one(requests, settings, inputs)])
        call_kwargs = {
            "prompt": [request.prompt for request in requests],
            "negative_prompt": [request.negative_prompt for request in requests],
            "num_inference_steps": settings.num_inference_steps,
            "guidance_scale": settings.guidance_scale,
            # on the CPU and one an image: the same noise on every device, and in any company
            "generator": [torch.Generator("cpu").manual_seed(request.seed) for request in requests],
            **adapter_inputs(self.pipeline, rows_of(inputs, 0, len(requests), len(requests)), len(requests)),
        }
        with self.lock:
            latents = self._for_one_call(settings.scheduler)._call(
                with_embeddings(call_kwargs, self._longest_text)
            )
        if not bool(torch.isfinite(latents).all()):
            raise InputError(
                f"Expected numbers after {settings.num_inference_steps} steps at guidance "
                f"{settings.guidance_scale:g}, found NaN or infinity. "
                "Take fewer steps, less guidance, another scheduler, or bfloat16 or float32."
            )
        return latents

    def _one_by_one(
        self, requests: Sequence[Request], settings: Sampling, inputs: CallKwargs
    ) -> Iterator[tuple[list[Request], Sampling, CallKwargs]]:
        """Yields the arguments of `sample` for each image alone."""
        for row, request in enumerate(requests):
            own = dict(self.batch_inputs(inputs, row, 1, len(requests)))
            if "strength" in own:  # then the image is latents, a row for each
                own["image"] = inputs["image"][row : row + 1]  # pyright: ignore[reportIndexIssue]
            yield [request], settings, own

    @property
    def _longest_text(self) -> int | None:
        """Returns how many tokens of a text are read, where embeddings may have more."""
        if self.family.denoiser != "unet":
            return None
        return getattr(getattr(self.pipeline, "tokenizer", None), "model_max_length", None)

    def _for_one_call(self, scheduler: str | None) -> "StockPipeline":
        """Returns the same pipeline with a scheduler of its own.

        A shallow copy: parts are shared, while what a call writes on the pipeline (guidance, timesteps, the
        scheduler's position) stays off the user's object and off other threads' calls.
        """
        stock = copy.copy(self)
        stock.pipeline = copy.copy(self.pipeline)
        stock.pipeline.scheduler = scheduler_for_call(self.pipeline.scheduler, scheduler)
        takes_means(stock.pipeline, self.variants)
        return stock

    def _call(self, call_kwargs: CallKwargs) -> Tensor:
        """Calls the pipeline in the words of its family."""
        family = self.family
        guidance = max(float(str(call_kwargs["guidance_scale"])), self.variants.least_guidance)
        sized = self._with_size({**call_kwargs, "guidance_scale": guidance})
        kwargs = in_its_words(self.pipeline, family, sized)
        steps = kwargs["num_inference_steps"]
        # without a strength an image is the caller's own, for pipelines that take one
        if {"image", "strength"} <= kwargs.keys() and self.variants.image_to_image is None:
            image, strength = kwargs.pop("image"), kwargs.pop("strength")
            start = LaterStart(image, kwargs["generator"], steps=steps, strength=strength, pack=self.pack)
            kwargs = dict[str, Any](self.text_to_image_inputs(kwargs))
            kwargs.update(start.install(self.pipeline))
            steps = start.remaining
        if steps < family.min_inference_steps:
            raise InputError(
                f"Expected {family.min_inference_steps} steps or more with {family.title}, found {steps}. "
                "Take more steps, or more strength."
            )
        hand_on_step_end(self.pipeline, family, kwargs)
        check_known(kwargs, {*self.accepted, "height", "width"}, type(self.pipeline).__name__)
        set_size(self.pipeline, family, kwargs)
        result = self.pipeline(**self._with_what_it_needs(kwargs), output_type="latent")
        latents = getattr(result, family.output)
        if family.returns_raw:
            return self.space.to_scaled(self.space.folded(latents))
        return self.unpack(latents, kwargs.get("height", 0), kwargs.get("width", 0))

    def arguments(self, call_kwargs: CallKwargs) -> dict[str, Any]:
        """Returns what the pipeline from text is called with, in its family's words.

        Args:
            call_kwargs: prompts, size, steps, guidance and one generator an image.

        Raises:
            InputError: it would not read the negative prompts.
        """
        return self._with_what_it_needs(in_its_words(self.pipeline, self.family, call_kwargs))

    def _with_what_it_needs(self, call_kwargs: dict[str, Any]) -> dict[str, Any]:
        """Adds what the family is always called with, and images that its pipeline cannot do without."""
        at_steps = self.family.call_kwargs_at.get(call_kwargs["num_inference_steps"], {})
        call_kwargs = {**self.family.default_call_kwargs, **at_steps, **call_kwargs}
        if is_of_class(self.pipeline, self.variants.text_to_image):
            blank = blank_images(self.variants, call_kwargs)
            call_kwargs = {**blank, **call_kwargs, **self.variants.call_kwargs}
        return as_accepted(self.pipeline, self.family, self.variants, call_kwargs)

    def _with_size(self, call_kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Says the size in pixels of latents to start from, where the pipeline would take its own."""
        kwargs = dict(call_kwargs)
        starts = {"image", "strength"} <= kwargs.keys()
        if starts and (self.family.denoiser == "transformer" or not self.variants.image_to_image):
            height, width = (side * self.vae_scale_factor for side in kwargs["image"].shape[-2:])
            kwargs = {"height": height, "width": width, **kwargs}
        most = self.max_side
        if most is not None and max(kwargs.get("height", 0), kwargs.get("width", 0)) > most:
            raise InputError(
                f"Expected at most {most} pixels a side for this model, found {kwargs['height']} x "
                f"{kwargs['width']}. Shrink it: the model knows no positions beyond."
            )
        return kwargs
