"""Samples the layers of scenes: runs the modes of a task, each shown what was given or made before it.

Images are uint8 (h, w, 4), straight alpha, sRGB; sizes are (height, width).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pellucid.errors import InputError
from pellucid.models.enlarging import enlarged
from pellucid.pipelines.arguments import (
    MAX_SEED,
    LayerOptions,
    Prompt,
    Request,
    as_number,
    as_text_list,
    round_up,
)
from pellucid.pipelines.control_window import ControlWindow
from pellucid.pipelines.latents import centre_crop, centre_offset
from pellucid.pipelines.model import TransparentModel
from pellucid.pipelines.modes import Mode, Role, Sampling, Task
from pellucid.rgba.layer_separation import extract_background, extract_foreground
from pellucid.rgba.quantization import to_bytes, to_float
from pellucid.rgba.resizing import Pixels, fit_pixels, on_grey
from pellucid.rgba.snapping import fit_snapped, snap_alpha
from pellucid.rgba.types import AnyArray
from pellucid.scene.layer import Layer
from pellucid.scene.scene import Scene

# Not 1: the second layer of a scene would begin as the first of the next scene of a count.
LAYER_SEED_STRIDE = 2**32
"""Layer i of a scene takes noise of seed + i times this, so that no two scenes of a count share any."""
Prompts = Mapping[Role, Prompt | None]
Given = Mapping[Role, tuple[AnyArray, Pixels]]
"""Of each image that was given: uint8 (h, w, 4), and the same (h, w, 3) on grey, in [0, 1]."""


@dataclass(slots=True, kw_only=True)
class SceneState:
    """One scene in the making."""

    request: Request
    """Its seed, and the composite's prompt."""
    prompts: Mapping[Role, str]
    images: dict[Role, AnyArray]
    """Images (h, w, 4) that were given or made, of the canvas's size."""
    condition_images: dict[Role, Pixels]
    """The same (h, w, 3) on the grey on which conditions enter, in [0, 1]."""
    settings: dict[Role, tuple[Mode, Sampling]] = field(default_factory=dict[Role, tuple[Mode, Sampling]])
    """How those that were made were made."""

    def requests(self, mode: Mode) -> list[Request]:
        """Returns a request for each layer of a mode: its own text, and noise of its own."""
        return [
            replace(
                self.request,
                prompt=self.prompts[output.role],
                # wraps as the seeds of a count do
                seed=(self.request.seed + i * LAYER_SEED_STRIDE) % (MAX_SEED + 1),
            )
            for i, output in enumerate(mode.outputs)
        ]

    def separate(self, missing: Role) -> None:
        """Adds the missing layer of a scene that has the composite and the other layer, by arithmetic."""
        composite = self.images["composite"]
        if missing == "foreground":
            self.images[missing] = extract_foreground(composite, self.images["background"])
        else:
            self.images[missing] = extract_background(composite, self.images["foreground"])


class LayerSampler:
    """Runs the modes of a task for a batch of scenes."""

    def __init__(self, model: TransparentModel) -> None:
        self.model = model

    def modes(self, task: Task) -> Sequence[Mode]:
        """Returns the modes of a task, one after another.

        Raises:
            InputError: the model has no adapter for it.
        """
        if not (modes := self.model.tasks.get(task)):
            others = ", ".join(name for name in self.model.tasks if name != "foreground") or "none"
            raise InputError(
                f"Expected a model with an adapter for {task}, found one for {others}. "
                "Attach one with `layers=`, or take Stable Diffusion XL or 1.5."
            )
        return modes

    def run(
        self, task: Task, scenes: Sequence[SceneState], canvas: tuple[int, int], options: LayerOptions
    ) -> None:
        """Samples the layers of a task for all scenes, and adds them to what is known of each.

        Raises:
            InputError: the model has no adapter for it, or an option does not fit.
        """
        modes = [_ending(mode, options.adapter_end) for mode in self.modes(task)]
        settings = [options.resolve(mode.sampling) for mode in modes]
        # checked above, before the lock is taken and an adapter is loaded
        with self.model.one_call():
            # one mode at a time for all scenes: changing the adapter takes seconds at full size
            for mode, chosen in zip(modes, settings, strict=True):
                self.model.adapters.set(mode.source, options.adapter_strength)
                for batch in self._batches(scenes, options):
                    self._run_mode(mode, batch, chosen, canvas, options)

    def _batches(self, scenes: Sequence[SceneState], options: LayerOptions) -> Iterable[Sequence[SceneState]]:
        batches = options.batches(scenes)
        if self.model.stock.family.one_at_a_time:  # each is shown its own images
            return ([scene] for batch in batches for scene in batch)
        return batches

    def _run_mode(
        self,
        mode: Mode,
        scenes: Sequence[SceneState],
        settings: Sampling,
        canvas: tuple[int, int],
        options: LayerOptions,
    ) -> None:
        model = self.model
        sampled = model.native_size if settings.fixed_resolution else canvas
        height, width = model.inner_canvas(sampled)
        concat, hint = self._conditions(mode, scenes, sampled)
        if concat is not None and len(concat) > 1:
            concat = concat.repeat_interleave(len(mode.outputs), dim=0)  # a row a layer, scene by scene
        requests = [request for scene in scenes for request in scene.requests(mode)]
        stock = model.stock.text_to_image()
        window = ControlWindow.whole(sampled, (height, width), model.autoencoder.upscale)
        shown = window.fit(stock.text_to_image_inputs(options.inputs), [stock.control_name])
        inputs = {"height": height, "width": width, **shown}
        with model.adapters.conditioned(concat, hint, end=mode.adapter_end):
            read = model.reader.read(model.stock.pipeline, requests)
            latents = stock.sample(read, settings, inputs)
        # a scene's layers are neighbours in the batch (docs/released-format.md, attention sharing)
        for scene, layers in zip(scenes, torch.split(latents, len(mode.outputs)), strict=True):
            for output, latent in zip(mode.outputs, torch.split(layers, 1), strict=True):
                image = self._decode(latent, output.transparent, settings.passes, sampled)
                shown = to_bytes(image)
                if options.clean and output.transparent:
                    shown = snap_alpha(shown)
                if sampled != canvas:
                    shown = fit_snapped(shown, *canvas, "fit" if output.transparent else "crop")
                    image = to_float(shown)
                scene.images[output.role] = shown
                # of the floats, not of the bytes, so that the next mode is shown what the model made
                scene.condition_images[output.role] = on_grey(image)
                scene.settings[output.role] = mode, settings

    @torch.no_grad()
    def _conditions(
        self, mode: Mode, scenes: Sequence[SceneState], sampled: tuple[int, int]
    ) -> tuple[Tensor | None, Tensor | None]:
        """Returns latents for extra channels, and images for hints, of all scenes, or one for all alike.

        At another size than the canvas's they show the part of it that results will cover, see `_run_mode`.
        """
        fit = "crop" if mode.outputs[0].transparent else "fit"
        height, width = (round_up(side, self.model.size_multiple) for side in sampled)
        first = scenes[0].condition_images
        # the very same array for every scene, as when one background was given: encoded once
        alike = all(
            scene.condition_images[condition.role] is first[condition.role]
            for scene in scenes
            for condition in mode.conditions
        )
        concat: list[Tensor] = []
        hints: list[Tensor] = []
        for condition in mode.conditions:
            conditions = [
                scene.condition_images[condition.role] for scene in (scenes[:1] if alike else scenes)
            ]
            fitted = [
                _extend_edges(fit_pixels(pixels, *sampled, fit), height, width) for pixels in conditions
            ]
            images = torch.stack([torch.from_numpy(pixels).permute(2, 0, 1) for pixels in fitted])
            if (upscale := self.model.autoencoder.upscale) > 1:  # the frozen VAE knows its own size alone
                images = functional.avg_pool2d(images, upscale)
            images = images.to(self.model.stock.device)
            if condition.entry == "channel-concat":
                # the posterior's mean: the same image should always be the same condition
                concat.append(self.model.autoencoder.encode_opaque(images))
            else:
                hints.append(images)
        # of hints there is one at most: the released units have one encoder of them
        return (torch.cat(concat, dim=1) if concat else None), (hints[0] if hints else None)

    @torch.no_grad()
    def _decode(self, latent: Tensor, transparent: bool, passes: int, crop: tuple[int, int]) -> AnyArray:
        if transparent:
            return centre_crop(self.model.autoencoder.decode(latent, passes=passes), crop)
        rgb = self.model.autoencoder.decode_opaque(latent)
        if (upscale := self.model.autoencoder.upscale) > 1:  # the alpha decoder does not read opaque layers
            rgb = enlarged(rgb, upscale).clamp(0, 1)
        return centre_crop(torch.cat([rgb, torch.ones_like(rgb[:, :1])], dim=1), crop)

    def assemble(self, scene: SceneState, canvas: tuple[int, int]) -> Scene:
        """Returns the layers of a scene as a document; the composite is a reference."""
        layers = {role: self._layer(scene, role) for role in scene.images}
        metadata = None
        if scene.settings:
            names = "+".join(dict.fromkeys(mode.name for mode, _ in scene.settings.values()))
            last = next(reversed(scene.settings.values()))[1]
            metadata = self.model.metadata(scene.request, last, names, {})
        return Scene(
            layers=tuple(layers[role] for role in ("background", "foreground") if role in layers),
            # what the model draws differs from *over* of the layers in colour, so it is none of them
            references=(layers["composite"],) if "composite" in layers else (),
            height=canvas[0],
            width=canvas[1],
            provenance=metadata,
        )

    def _layer(self, scene: SceneState, role: Role) -> Layer:
        metadata = None
        # a layer that was given has none, and nothing is known of how it was made
        if role in scene.settings:
            mode, settings = scene.settings[role]
            request = replace(scene.request, prompt=scene.prompts[role])
            metadata = self.model.metadata(request, settings, mode.name, {})
        return Layer(image=scene.images[role], name=role, provenance=metadata)


def build_scene_states(prompts: Prompts, given: Given, options: LayerOptions) -> list[SceneState]:
    """Spells out every scene of a call.

    Args:
        prompts: by layer; a list makes a scene each.
        given: by layer, the images that the caller has.
        options: of the call.

    Raises:
        InputError: lists of different lengths, and as `expand_requests`.
    """
    texts: dict[Role, list[str]] = {}
    for role, prompt in prompts.items():
        if prompt is not None:
            texts[role] = as_text_list(prompt, f"{role} prompt")
    n_scenes = max(len(prompts_of_role) for prompts_of_role in texts.values())
    wrong = {role: len(listed) for role, listed in texts.items() if len(listed) not in (1, n_scenes)}
    if wrong:
        raise InputError(
            f"Expected one prompt a layer or {n_scenes}, found {wrong}. Give every layer one for each scene."
        )
    spread: dict[Role, list[str]] = {}
    for role, listed in texts.items():
        spread[role] = listed * n_scenes if len(listed) == 1 else listed
    if "composite" not in spread:
        parts = [spread[role] for role in ("foreground", "background") if role in spread]
        spread["composite"] = [", ".join(filter(None, words)) for words in zip(*parts, strict=True)]
    return [
        SceneState(
            request=request,
            prompts=_nth(spread, i // options.count),
            images={role: image for role, (image, _) in given.items()},
            condition_images={role: pixels for role, (_, pixels) in given.items()},
        )
        for i, request in enumerate(options.requests(spread["composite"]))
    ]


def _ending(mode: Mode, share: float | None) -> Mode:
    """Returns the mode with another `adapter_end`, if it is one that is shown images on extra channels."""
    if share is not None and not 0 <= as_number(share, "adapter_end") <= 1:
        raise InputError(f"Expected adapter_end of 0 to 1, found {share}. 1 keeps the adapter to the end.")
    has_channels = any(condition.entry == "channel-concat" for condition in mode.conditions)
    return replace(mode, adapter_end=share) if has_channels and share is not None else mode


def _nth(texts: Mapping[Role, list[str]], i: int) -> Mapping[Role, str]:
    return {role: listed[i] for role, listed in texts.items()}


def _extend_edges(pixels: Pixels, height: int, width: int) -> Pixels:
    """Repeats the edge around an image up to a canvas of whole latents, of which results are the middle."""
    top, left = centre_offset((height, width), pixels.shape[:2])
    below, right = height - pixels.shape[0] - top, width - pixels.shape[1] - left
    return np.pad(pixels, ((top, below), (left, right), (0, 0)), mode="edge")
