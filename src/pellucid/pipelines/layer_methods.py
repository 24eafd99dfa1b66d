"""The public methods that make several layers; the work is `LayerComposer`'s.

Images are uint8 (h, w, 4), straight alpha, sRGB; sizes are (height, width). Layers are listed bottom first.
"""

from collections.abc import Sequence
from typing import Unpack, overload

from pellucid._deprecation import renamed_arguments
from pellucid.pipelines.arguments import CallKwargs, LayerOptions, Prompt, one_or_all
from pellucid.pipelines.keywords import (
    FittedKeywords,
    ForegroundOnKeywords,
    LayerKeywords,
)
from pellucid.pipelines.modes import Role
from pellucid.pipelines.more_layer_methods import MoreLayerMethods
from pellucid.scene.boxes import Box
from pellucid.scene.scene import Scene


# Keywords are spelled out in every method: editors complete them, and a misspelt one is a TypeError.
# Overloads go from narrow to wide, as type checkers take the first that fits: one text is one scene.
class LayerMethods(MoreLayerMethods):
    """The half of `TransparentPipeline` that makes scenes of several layers."""

    @overload
    def joint(
        self, foreground: str, background: str, composite: str | None = None, **options: Unpack[LayerKeywords]
    ) -> Scene: ...
    @overload
    def joint(
        self,
        foreground: Prompt,
        background: Prompt,
        composite: Prompt | None = None,
        *,
        count: int = 1,
        **options: Unpack[LayerKeywords],
    ) -> Scene | list[Scene]: ...

    @renamed_arguments(stop_at="adapter_end")
    def joint(
        self,
        foreground: Prompt,
        background: Prompt,
        composite: Prompt | None = None,
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
        adapter_end: float | None = None,
        adapter_strength: float | None = None,
    ) -> Scene | list[Scene]:
        """Makes a foreground, a background and the image of both, from text.

        Args:
            foreground: what the transparent layer shows; a list makes a scene each.
            background: what the opaque layer below it shows.
            composite: what both together show; None joins the two texts.
            adapter_end: share of the noise schedule after which the plain UNet goes on alone, 0 to 1; for
                modes that are shown images on extra channels. None takes the mode's.
            adapter_strength: 0 to 2, of adapters that have one. None takes what `attach` was given.

        Returns:
            A scene of background and foreground for one prompt and a count of 1; else a list. The model's own
            image of both, if it makes one, is among `Scene.references`. All other keywords are those of
            `generate`.

        Raises:
            InputError: an argument does not fit, or the model has no adapter for this.
        """
        options = LayerOptions(
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
            height=height,
            width=width,
            adapter_end=adapter_end,
            adapter_strength=adapter_strength,
        )
        # typed, since a Mapping's keys are invariant: str would not pass for a role
        prompts: dict[Role, Prompt | None] = {"foreground": foreground, "background": background}
        scenes = self._layers.joint({**prompts, "composite": composite}, options)
        return one_or_all(scenes, [foreground, background, composite], count)

    @overload
    def foreground_on(
        self,
        background: object,
        prompt: str,
        *,
        composite: str | None = None,
        **options: Unpack[ForegroundOnKeywords],
    ) -> Scene: ...
    @overload
    def foreground_on(
        self,
        background: object,
        prompt: Prompt,
        *,
        composite: Prompt | None = None,
        count: int = 1,
        **options: Unpack[ForegroundOnKeywords],
    ) -> Scene | list[Scene]: ...

    @renamed_arguments(stop_at="adapter_end")
    def foreground_on(
        self,
        background: object,
        prompt: Prompt,
        *,
        composite: Prompt | None = None,
        fit: str = "crop",
        box: Box | None = None,
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
        adapter_end: float | None = None,
        adapter_strength: float | None = None,
    ) -> Scene | list[Scene]:
        """Makes a foreground that belongs on an image.

        Args:
            background: image of any size, mode and orientation: array, PIL image or path.
            prompt: what the foreground shows; a list makes a scene each.
            composite: what both together show; None takes `prompt`.
            fit: how the image meets another canvas: "crop", "fit" or "stretch".
            box: (top, left, height, width) of the part of the image that the foreground is made for, px;
                its layer is as large and lies there. None is all of it. Not with `height` or `width`.
            height: of the scene, px. Without `height` and `width` it is as large as the image, which stays to
                the byte, and what the model makes at its own size is enlarged to that.
            width: as `height`.

        Returns:
            See `joint`, and there for all other keywords.

        Raises:
            InputError: see `joint`.
        """
        options = LayerOptions(
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
            height=height,
            width=width,
            adapter_end=adapter_end,
            adapter_strength=adapter_strength,
        )
        prompts: dict[Role, Prompt | None] = {"foreground": prompt, "composite": composite}
        if box is None:
            scenes = self._layers.beside("foreground_on", prompts, {"background": background}, fit, options)
        else:
            scenes = self._layers.in_box(background, prompts, fit, box, options)
        return one_or_all(scenes, [prompt, composite], count)

    @overload
    def background_for(
        self,
        foreground: object,
        prompt: str,
        *,
        composite: str | None = None,
        **options: Unpack[FittedKeywords],
    ) -> Scene: ...
    @overload
    def background_for(
        self,
        foreground: object,
        prompt: Prompt,
        *,
        composite: Prompt | None = None,
        count: int = 1,
        **options: Unpack[FittedKeywords],
    ) -> Scene | list[Scene]: ...

    @renamed_arguments(stop_at="adapter_end")
    def background_for(
        self,
        foreground: object,
        prompt: Prompt,
        *,
        composite: Prompt | None = None,
        fit: str = "fit",
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
        adapter_end: float | None = None,
        adapter_strength: float | None = None,
    ) -> Scene | list[Scene]:
        """Makes a background that belongs behind a transparent image.

        Args:
            foreground: see the image of `foreground_on`; its alpha is kept.
            prompt: what the background shows; a list makes a scene each.
            composite: see `foreground_on`.
            fit: see `foreground_on`.

        Returns:
            See `joint`, and there for all other keywords.

        Raises:
            InputError: see `joint`.
        """
        options = LayerOptions(
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
            height=height,
            width=width,
            adapter_end=adapter_end,
            adapter_strength=adapter_strength,
        )
        prompts: dict[Role, Prompt | None] = {"background": prompt, "composite": composite}
        scenes = self._layers.beside("background_for", prompts, {"foreground": foreground}, fit, options)
        return one_or_all(scenes, [prompt, composite], count)
