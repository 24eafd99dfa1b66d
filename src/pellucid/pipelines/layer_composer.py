"""Composes scenes of several layers: together, on an image, behind one, taken apart, one layer more.

Images are uint8 (h, w, 4), straight alpha, sRGB; sizes are (height, width). Layers are listed bottom first.
Source: paper section 3.3; docs/released-format.md d.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pellucid.errors import InputError
from pellucid.files.metadata import GenerationMetadata
from pellucid.pipelines.arguments import LayerOptions, Prompt
from pellucid.pipelines.given_images import to_image
from pellucid.pipelines.layer_sampler import LayerSampler, Prompts, build_scene_states
from pellucid.pipelines.model import TransparentModel
from pellucid.pipelines.modes import Role, Task
from pellucid.pipelines.recording import Facts, named_by_prompt, pixel_digest, recorded, sampling_facts
from pellucid.rgba.resizing import Pixels, check_fit, fit_pixels, fit_rgba, on_grey
from pellucid.rgba.snapping import fit_snapped
from pellucid.rgba.types import AnyArray
from pellucid.scene.boxes import Box, crop, paste_scene
from pellucid.scene.layer import Layer
from pellucid.scene.scene import Scene

Images = Mapping[Role, AnyArray]


class LayerComposer:
    """Makes scenes of several layers; every method returns a scene for each prompt and count."""

    def __init__(self, model: TransparentModel) -> None:
        self.model, self.sampler = model, LayerSampler(model)

    def joint(self, prompts: Prompts, options: LayerOptions) -> list[Scene]:
        """Makes all layers from text; see `TransparentPipeline.joint`."""
        canvas = self.model.canvas_size(options.height, options.width, like=None)
        states = build_scene_states(prompts, {}, options)
        self.sampler.run("joint", states, canvas, options)
        return [
            _told(
                self.sampler.assemble(state, canvas),
                options,
                {
                    "task": "joint",
                    **{role: text for role, text in state.prompts.items() if role != "composite"},
                },
            )
            for state in states
        ]

    def beside(
        self, task: Task, prompts: Prompts, images: Mapping[Role, object], fit: str, options: LayerOptions
    ) -> list[Scene]:
        """Makes what is missing beside given images; see `TransparentPipeline.foreground_on`."""
        scenes = self._beside(task, prompts, images, fit, options)
        facts: Facts = {"task": task, "on": _digest(images), "fit": fit}
        return [_told(scene, options, facts) for scene in scenes]

    def _beside(
        self, task: Task, prompts: Prompts, images: Mapping[Role, object], fit: str, options: LayerOptions
    ) -> list[Scene]:
        """Makes scenes whose layers are called by their roles.

        Args:
            task: what is made.
            prompts: of the layers that are made, and of the composite.
            images: that are given; the first one's size is the scene's unless the options say another.
            fit: how they meet another canvas.
            options: of the call.
        """
        originals = _to_rgba8(images)
        fitted, canvas = self._fit(originals, fit, options)
        states = build_scene_states(prompts, fitted, options)
        self.sampler.run(task, states, canvas, options)
        scenes = [self.sampler.assemble(state, canvas) for state in states]
        if options.height is not None or options.width is not None:
            return scenes
        return [_resize_to_originals(scene, originals, fit) for scene in scenes]

    def in_box(
        self, background: object, prompts: Prompts, fit: str, box: Box, options: LayerOptions
    ) -> list[Scene]:
        """Makes a foreground for a part of an image; see `TransparentPipeline.foreground_on`."""
        if options.height is not None or options.width is not None:
            raise InputError("Expected no height or width with a box, found some. Resize the image first.")
        whole = to_image(background)
        scenes = self._beside("foreground_on", prompts, {"background": crop(whole, box)}, fit, options)
        facts: Facts = {
            "task": "foreground_on", "on": pixel_digest(whole), "fit": fit, "box": _box_text(box),
        }  # fmt: skip
        return [_told(paste_scene(scene, whole, box), options, facts) for scene in scenes]

    def split(
        self,
        composite: object,
        prompt: Prompt,
        background: object,
        foreground: object,
        fit: str,
        options: LayerOptions,
    ) -> list[Scene]:
        """Makes the layer that is None; see `TransparentPipeline.split`."""
        if (background is None) == (foreground is None):
            which = "neither" if background is None else "both"
            raise InputError(
                f"Expected background or foreground, found {which}. Give the one layer that you have."
            )
        missing: Role = "foreground" if foreground is None else "background"
        task: Task = "split_foreground" if missing == "foreground" else "split_background"
        images: dict[Role, object] = {"composite": composite}
        images |= {"background": background} if foreground is None else {"foreground": foreground}
        prompts: Prompts = {missing: prompt}
        facts: Facts = {"task": "split", "on": _digest(images), "fit": fit}
        if task in self.model.tasks:
            scenes = self._beside(task, prompts, images, fit, options)
            return [_told(scene, options, facts) for scene in scenes]
        originals = _to_rgba8(images)
        height, width = originals["composite"].shape[:2]  # arithmetic has no resolution of its own
        sized = replace(
            options,
            height=height if options.height is None else options.height,
            width=width if options.width is None else options.width,
        )
        fitted, canvas = self._fit(originals, fit, sized)
        states = build_scene_states(prompts, fitted, options)
        for state in states:
            state.separate(missing)
        return [self.sampler.assemble(state, canvas) for state in states]

    def add_layer(
        self, scene: Scene, prompts: Prompts, name: str | None, box: Box | None, options: LayerOptions
    ) -> list[Scene]:
        """Makes one more foreground on top of a scene; see `TransparentPipeline.add_layer`."""
        whole = scene.composite()
        below: dict[Role, object] = {"background": whole if box is None else crop(whole, box)}
        facts: Facts = {
            "task": "add_layer",
            # names for people, and the digest for programs
            "layers_below": ", ".join(layer.name for layer in scene.layers),
            "on": pixel_digest(whole),
            "box": None if box is None else _box_text(box),
        }
        grown: list[Scene] = []
        # the proportions are kept but for rounding, and nothing may be cut off a document
        for pair in self._beside("foreground_on", prompts, below, "stretch", options):
            pair = _told(pair if box is None else paste_scene(pair, whole, box), options, facts)
            new_layer = pair.layers[-1]
            top = new_layer if name is None else replace(new_layer, name=name)
            grown.append(
                replace(
                    scene,
                    layers=(*scene.layers, top),
                    references=pair.references,
                    provenance=_both_prompts(scene.provenance, pair.provenance),
                )
            )
        return grown

    def _fit(
        self, originals: Images, fit: str, options: LayerOptions
    ) -> tuple[dict[Role, tuple[AnyArray, Pixels]], tuple[int, int]]:
        """Returns each image as a layer and as a condition, on one canvas, and that canvas's size."""
        check_fit(fit)
        first = next(iter(originals.values()))
        canvas = self.model.canvas_size(options.height, options.width, like=(first.shape[0], first.shape[1]))
        fitted: dict[Role, tuple[AnyArray, Pixels]] = {}
        for role, rgba in originals.items():
            # resampling may leave [0, 1], in which conditions were trained
            pixels = np.clip(fit_pixels(on_grey(rgba), *canvas, fit), 0, 1)
            fitted[role] = fit_rgba(rgba, *canvas, fit), pixels
        return fitted, canvas


def _told(scene: Scene, options: LayerOptions, facts: Facts) -> Scene:
    """Returns a scene with what it takes to make it again, its foreground called after its prompt."""
    told = {
        "composite": scene.provenance and scene.provenance.prompt,
        "height": options.height,
        "width": options.width,
        "adapter_end": options.adapter_end,
        "adapter_strength": options.adapter_strength,
        **sampling_facts(options),
        **facts,
    }
    layers = tuple(named_by_prompt(layer, "foreground") for layer in scene.layers)
    return recorded(replace(scene, layers=layers), told)


def _both_prompts(
    old: GenerationMetadata | None, new: GenerationMetadata | None
) -> GenerationMetadata | None:
    """Returns the new metadata, with a prompt that tells what the older layers show as well."""
    prompts = [metadata.prompt for metadata in (old, new) if metadata is not None and metadata.prompt]
    return None if new is None else replace(new, prompt=", ".join(prompts))


def _box_text(box: Box) -> str:
    top, left, height, width = box
    return f"{width}x{height}+{left}+{top}"


def _digest(images: Mapping[Role, object]) -> str:
    """Returns the digests of images that were given."""
    return ", ".join(pixel_digest(to_image(image)) for image in images.values())


def _to_rgba8(images: Mapping[Role, object]) -> dict[Role, AnyArray]:
    converted: dict[Role, AnyArray] = {}
    for role, image in images.items():
        converted[role] = to_image(image)
    return converted


def _resize_to_originals(scene: Scene, given_images: Images, fit: str) -> Scene:
    """Returns the scene as large as the first image given: that one to the byte, what was made enlarged."""
    height, width = next(iter(given_images.values())).shape[:2]
    originals: dict[str, AnyArray] = {
        role: fit_rgba(rgba, height, width, fit) for role, rgba in given_images.items()
    }

    def resize(layer: Layer) -> Layer:
        # a layer is called by its role here; `add_layer` names it later
        image = originals.get(layer.name)
        return replace(
            layer, image=fit_snapped(layer.image, height, width, "stretch") if image is None else image
        )

    return replace(
        scene,
        layers=tuple(resize(layer) for layer in scene.layers),
        references=tuple(resize(layer) for layer in scene.references),
        height=height,
        width=width,
    )
