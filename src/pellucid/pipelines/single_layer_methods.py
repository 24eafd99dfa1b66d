"""The public methods that make or repaint one layer; the work is `SingleLayerSampler`'s.

Images are uint8 (h, w, 4), straight alpha, sRGB; sizes are (height, width).
"""

from collections.abc import Sequence
from typing import Unpack, overload

from pellucid._deprecation import renamed_arguments
from pellucid.errors import InputError
from pellucid.pipelines.arguments import (
    CallKwargs,
    Prompt,
    SamplingOptions,
    as_number,
    check_size,
    one_or_all,
)
from pellucid.pipelines.given_images import prompt_of, to_image
from pellucid.pipelines.keywords import GenerateKeywords, RepaintKeywords, UpscaleKeywords
from pellucid.pipelines.model import TransparentModel
from pellucid.pipelines.recording import pixel_digest, recorded, sampling_facts
from pellucid.pipelines.single_layer import Control, SingleLayerSampler
from pellucid.rgba.resizing import fit_rgba
from pellucid.scene.scene import Scene


# Keywords are spelled out for the same reasons as in layer_methods.py.
class SingleLayerMethods:
    """The half of `TransparentPipeline` that makes one transparent layer."""

    def __init__(self, model: TransparentModel) -> None:
        self._single_layers = SingleLayerSampler(model)

    @overload
    def generate(self, prompt: str, **options: Unpack[GenerateKeywords]) -> Scene: ...
    @overload
    def generate(
        self, prompt: list[str] | tuple[str, ...], *, count: int = 1, **options: Unpack[GenerateKeywords]
    ) -> list[Scene]: ...
    @overload
    def generate(
        self, prompt: str, *, count: int, **options: Unpack[GenerateKeywords]
    ) -> Scene | list[Scene]: ...

    @renamed_arguments(mend_backdrop="fix_background")
    def generate(
        self,
        prompt: Prompt,
        *,
        count: int = 1,
        seed: int | Sequence[int] | None = None,
        negative_prompt: str | Sequence[str] | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        scheduler: str | None = None,
        passes: int | None = None,
        batch_size: int | None = None,
        pipeline_inputs: CallKwargs | None = None,
        clean: bool = True,
        height: int | None = None,
        width: int | None = None,
        hires_strength: float | None = None,
        fix_background: bool = False,
        control: object = None,
        control_kind: str = "both",
    ) -> Scene | list[Scene]:
        """Makes transparent images from text.

        Args:
            prompt: a text or a list; longer ones are cut where the tokenizer's limit lies.
            count: images a prompt.
            seed: image i of a prompt takes seed + i; a list has a seed for each prompt, or each image. None
                draws one.
            negative_prompt: what not to show: one for all, or one a prompt.
            num_inference_steps: None takes the mode's; when repainting, of a full run of which the last
                `strength` is done.
            guidance_scale: 1 is off. None takes the mode's.
            scheduler: a name of `pellucid.pipelines.schedulers.SCHEDULERS`. None takes the mode's.
            passes: orientations that the alpha decoder takes the median of: 1, 2, 4 or 8. None takes the
                mode's.
            batch_size: images sampled together. None takes 1, which gives the same bytes in any company.
            pipeline_inputs: what the stock pipeline itself asks for, such as a ControlNet's `image`; where an
                image is repainted its ControlNet's is called `control_image`.
            clean: sets alpha of 1 to 8 to 0 and of 247 to 254 to 255, but where a gradient leads there, so
                that images can be trimmed (`pellucid.rgba.snapping`). False keeps what was decoded.
            height: of the result, px; any size. None takes the model's.
            width: as `height`.
            hires_strength: makes the image at the model's own size first, then enlarges and repaints it with
                this strength (try 0.4), so that large ones keep one subject. None makes it at once.
            fix_background: measures whether the model left its surroundings clear, and makes the image again
                from a clear start where it did not, as community models and prompts with a background do.
            control: an image (array, PIL or path, of any size) whose structure the result takes, for models
                with a control network of their own, such as mini.
            control_kind: what is taken: "both", "silhouette" or "edges"; of an opaque image, the silhouette
                of what differs from the corners.

        Returns:
            A scene for one prompt and a count of 1; else a list, prompt by prompt.

        Raises:
            InputError: an argument does not fit.
        """
        options = SamplingOptions(
            count=count,
            seed=seed,
            negative_prompt=negative_prompt,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            scheduler=scheduler,
            passes=passes,
            batch_size=batch_size,
            pipeline_inputs=pipeline_inputs,
            clean=clean,
        )
        scenes = self._single_layers.generate(
            prompt,
            options,
            height=height,
            width=width,
            hires_strength=hires_strength,
            fix_background=fix_background,
            control=None if control is None else Control(image=control, kind=control_kind),
        )
        facts = {
            "task": "generate",
            "height": height,
            "width": width,
            "hires_strength": hires_strength,
            "fix_background": fix_background or None,
            "control": None if control is None else pixel_digest(to_image(control)),
            "control_kind": None if control is None else control_kind,
            **sampling_facts(options),
        }
        return one_or_all([recorded(scene, facts) for scene in scenes], [prompt], count)

    @overload
    def vary(self, image: object, prompt: str, **options: Unpack[RepaintKeywords]) -> Scene: ...
    @overload
    def vary(
        self,
        image: object,
        prompt: list[str] | tuple[str, ...],
        *,
        count: int = 1,
        **options: Unpack[RepaintKeywords],
    ) -> list[Scene]: ...
    @overload
    def vary(
        self, image: object, prompt: str, *, count: int, **options: Unpack[RepaintKeywords]
    ) -> Scene | list[Scene]: ...

    @renamed_arguments(picture="image")
    def vary(
        self,
        image: object,
        prompt: Prompt,
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
        pipeline_inputs: CallKwargs | None = None,
        clean: bool = True,
    ) -> Scene | list[Scene]:
        """Repaints a transparent image after a text, alpha included.

        Args:
            image: an array (h, w), (h, w, 3) or (h, w, 4), a PIL image of any mode, a file's path, a scene or
                a layer; of any size, since the model paints at a size that it knows.
            prompt: see `generate`, and there for all other keywords.
            strength: 0 keeps the image to the byte, 1 ignores it.

        Returns:
            As `generate`; every image has the size of the one given.

        Raises:
            InputError: an argument does not fit.
        """
        options = SamplingOptions(
            count=count,
            seed=seed,
            negative_prompt=negative_prompt,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            scheduler=scheduler,
            passes=passes,
            batch_size=batch_size,
            pipeline_inputs=pipeline_inputs,
            clean=clean,
        )
        rgba = to_image(image)
        scenes = self._single_layers.vary(rgba, prompt, strength, options)
        facts = {"task": "vary", "image": pixel_digest(rgba), **sampling_facts(options)}
        return one_or_all([recorded(scene, facts) for scene in scenes], [prompt], count)

    @overload
    def inpaint(
        self, image: object, mask: object, prompt: str, **options: Unpack[RepaintKeywords]
    ) -> Scene: ...
    @overload
    def inpaint(
        self,
        image: object,
        mask: object,
        prompt: list[str] | tuple[str, ...],
        *,
        count: int = 1,
        **options: Unpack[RepaintKeywords],
    ) -> list[Scene]: ...
    @overload
    def inpaint(
        self, image: object, mask: object, prompt: str, *, count: int, **options: Unpack[RepaintKeywords]
    ) -> Scene | list[Scene]: ...

    @renamed_arguments(picture="image")
    def inpaint(
        self,
        image: object,
        mask: object,
        prompt: Prompt,
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
        pipeline_inputs: CallKwargs | None = None,
        clean: bool = True,
    ) -> Scene | list[Scene]:
        """Repaints a transparent image inside a mask, alpha included; outside not a byte changes.

        Of an image larger than the model's own size, the surroundings of the mask are repainted alone.

        Args:
            image: see `vary`.
            mask: as large as the image: white is repainted, black and transparent kept, grey mixed.
            prompt: see `generate`, and there for all other keywords.
            strength: how far from what is there now: 1 ignores it.

        Returns:
            As `vary`.

        Raises:
            InputError: an argument does not fit.
        """
        options = SamplingOptions(
            count=count,
            seed=seed,
            negative_prompt=negative_prompt,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            scheduler=scheduler,
            passes=passes,
            batch_size=batch_size,
            pipeline_inputs=pipeline_inputs,
            clean=clean,
        )
        rgba = to_image(image)
        scenes = self._single_layers.inpaint(rgba, mask, prompt, strength, options)
        facts = {"task": "inpaint", "image": pixel_digest(rgba), "mask": pixel_digest(to_image(mask))}
        facts |= sampling_facts(options)
        return one_or_all([recorded(scene, facts) for scene in scenes], [prompt], count)

    @overload
    def upscale(self, image: object, prompt: str = "", **options: Unpack[UpscaleKeywords]) -> Scene: ...
    @overload
    def upscale(
        self,
        image: object,
        prompt: list[str] | tuple[str, ...],
        *,
        count: int = 1,
        **options: Unpack[UpscaleKeywords],
    ) -> list[Scene]: ...
    @overload
    def upscale(
        self, image: object, prompt: str = "", *, count: int, **options: Unpack[UpscaleKeywords]
    ) -> Scene | list[Scene]: ...

    @renamed_arguments(picture="image")
    def upscale(
        self,
        image: object,
        prompt: Prompt = "",
        *,
        scale: float = 2.0,
        strength: float | None = None,
        count: int = 1,
        seed: int | Sequence[int] | None = None,
        negative_prompt: str | Sequence[str] | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        scheduler: str | None = None,
        passes: int | None = None,
        batch_size: int | None = None,
        pipeline_inputs: CallKwargs | None = None,
        clean: bool = True,
    ) -> Scene | list[Scene]:
        """Enlarges a transparent image, premultiplied, and repaints it a little for detail.

        Args:
            image: see `vary`.
            prompt: what it shows; "" takes the one that the image was made from. See `generate` for all other
                keywords.
            scale: of each side, above 0.
            strength: see `vary`; 0 only resamples. None takes the mode's.

        Returns:
            As `vary`.

        Raises:
            InputError: an argument does not fit.
        """
        rgba = to_image(image)
        if not as_number(scale, "scale") > 0:
            raise InputError(f"Expected a scale above 0, found {scale}. 2 doubles each side.")
        size = round(rgba.shape[0] * scale), round(rgba.shape[1] * scale)
        # before anything is enlarged: a wrong scale would fill the memory first
        check_size(*size)
        # the mode's own, since the embedded model must not repaint at sizes that it has not learned
        chosen = self._single_layers.model.single.sampling.upscale_strength if strength is None else strength
        options = SamplingOptions(
            count=count,
            seed=seed,
            negative_prompt=negative_prompt,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            scheduler=scheduler,
            passes=passes,
            batch_size=batch_size,
            pipeline_inputs=pipeline_inputs,
            clean=clean,
        )
        larger = fit_rgba(rgba, *size, "stretch")
        text = prompt or prompt_of(image)
        scenes = self._single_layers.vary(larger, text, chosen, options)
        facts = {
            "task": "upscale",
            "image": pixel_digest(rgba),
            "scale": float(scale),
            **sampling_facts(options),
        }
        return one_or_all([recorded(scene, facts) for scene in scenes], [prompt], count)
