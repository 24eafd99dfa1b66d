"""The public methods that make a layer of what is there: taken out of an image, or added to a scene.

Images are uint8 (h, w, 4), straight alpha, sRGB; sizes are (height, width). Layers are listed bottom first.
"""

from collections.abc import Sequence
from typing import Unpack, overload

from pellucid._deprecation import renamed_arguments
from pellucid.pipelines.arguments import CallKwargs, LayerOptions, Prompt, one_or_all
from pellucid.pipelines.keywords import AddLayerKeywords, SplitKeywords
from pellucid.pipelines.layer_composer import LayerComposer
from pellucid.pipelines.model import TransparentModel
from pellucid.pipelines.modes import Role
from pellucid.scene.boxes import Box
from pellucid.scene.scene import Scene


# Keywords are spelled out for the same reasons as in layer_methods.py.
class MoreLayerMethods:
    """The methods of `LayerMethods` that start from an image of all layers."""

    def __init__(self, model: TransparentModel) -> None:
        self._layers = LayerComposer(model)

    @overload
    def split(self, composite: object, prompt: str = "", **options: Unpack[SplitKeywords]) -> Scene: ...
    @overload
    def split(
        self, composite: object, prompt: Prompt = "", *, count: int = 1, **options: Unpack[SplitKeywords]
    ) -> Scene | list[Scene]: ...

    @renamed_arguments(stop_at="adapter_end")
    def split(
        self,
        composite: object,
        prompt: Prompt = "",
        *,
        background: object = None,
        foreground: object = None,
        fit: str = "crop",
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
        """Takes an image apart, given one of its two layers.

        A model without an adapter for this does it by arithmetic (`pellucid.rgba.layer_separation`): *over*
        then gives the image again, but nothing is made up that cannot be seen.

        Args:
            composite: the image of both.
            prompt: what the missing layer shows.
            background: the image without the foreground; the foreground is then made.
            foreground: the transparent layer; the background is then made. Give one of the two.
            fit: see `foreground_on`; both images are fitted the same way.

        Returns:
            See `joint`, and there for all other keywords; the image given is the scene's reference.

        Raises:
            InputError: neither or both layers are given, and see `joint`.
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
        scenes = self._layers.split(composite, prompt, background, foreground, fit, options)
        return one_or_all(scenes, [prompt], count)

    @overload
    def add_layer(
        self, scene: Scene, prompt: str, *, composite: str | None = None, **options: Unpack[AddLayerKeywords]
    ) -> Scene: ...
    @overload
    def add_layer(
        self,
        scene: Scene,
        prompt: Prompt,
        *,
        composite: Prompt | None = None,
        count: int = 1,
        **options: Unpack[AddLayerKeywords],
    ) -> Scene | list[Scene]: ...

    @renamed_arguments(stop_at="adapter_end")
    def add_layer(
        self,
        scene: Scene,
        prompt: Prompt,
        *,
        composite: Prompt | None = None,
        name: str | None = None,
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
        adapter_end: float | None = None,
        adapter_strength: float | None = None,
    ) -> Scene | list[Scene]:
        """Makes one more foreground, that belongs on what the scene shows now, on top of it.

        Args:
            scene: of any size and depth; its layers stay as they are.
            prompt: what the new layer shows.
            composite: what all shows together; None takes `prompt`.
            name: of the new layer; None takes the prompt.
            box: the part of the canvas that the layer is made for, see `foreground_on`.

        Returns:
            A new scene, or a list as in `joint`, and there for all other keywords.

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
            adapter_end=adapter_end,
            adapter_strength=adapter_strength,
        )
        prompts: dict[Role, Prompt | None] = {"foreground": prompt, "composite": composite}
        scenes = self._layers.add_layer(scene, prompts, name, box, options)
        return one_or_all(scenes, [prompt, composite], count)
