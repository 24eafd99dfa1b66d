"""Frames of a scene: batches through the modes of a task, each shown what was given or made before it.

Pictures are uint8 (h, w, 4), straight alpha, sRGB; sizes are (height, width).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pellucid._version import __version__
from pellucid.errors import InputError
from pellucid.files.metadata import Provenance
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.pipelines.codec import middle_of, middle_pixels
from pellucid.pipelines.families import denoiser_of, native_size
from pellucid.pipelines.modes import Mode, Role, Sampling, Task
from pellucid.pipelines.options import requests_in, settings_in
from pellucid.pipelines.requests import MAX_SEED, Request, check_size, padded, texts_of
from pellucid.pipelines.sampling import batches, sample
from pellucid.pipelines.schedulers import scheduler_name
from pellucid.pipelines.twins import text_to_image
from pellucid.rgba.layer_separation import background_from, foreground_from
from pellucid.rgba.quantization import to_bytes, to_float
from pellucid.rgba.resizing import Pixels, fit_pixels, fit_rgba, on_grey
from pellucid.rgba.types import AnyArray
from pellucid.scene.layer import Layer
from pellucid.scene.scene import Scene
from pellucid.weights.adapter_manager import Wardrobe, stop_sigma

FRAME_SEEDS_APART = 2**32
"""Frame i of a scene takes noise of seed + i times this, so that no two scenes of a count share any."""
Prompt = str | Sequence[str]


@dataclass(slots=True, kw_only=True)
class Job:
    """One scene in the making."""

    request: Request
    """Its seed, and the composite's prompt."""
    prompts: Mapping[Role, str]
    known: dict[Role, AnyArray]
    """Pictures (h, w, 4) that were given or made, of the canvas's size."""
    shown: dict[Role, Pixels]
    """The same (h, w, 3) on the grey on which conditions enter, in [0, 1]."""
    settings: dict[Role, tuple[Mode, Sampling]] = field(default_factory=dict[Role, tuple[Mode, Sampling]])
    """How those that were made were made."""


class FrameSampling:
    """The part of `TransparentPipeline` that runs the modes of a task."""

    pipeline: Any
    autoencoder: RGBAAutoencoder
    wardrobe: Wardrobe
    tasks: dict[Task, tuple[Mode, ...]]
    model: str
    multiple: int

    def _scenes_of(
        self,
        task: Task,
        prompts: Mapping[Role, Prompt | None],
        given: Mapping[Role, tuple[AnyArray, Pixels]],
        canvas: tuple[int, int],
        options: Mapping[str, Any],
    ) -> Scene | list[Scene]:
        modes = [_stopped(mode, options.get("stop_at")) for mode in self._modes(task)]
        strength = options.get("adapter_strength")
        jobs = jobs_of(prompts, given, options)
        settings = [settings_in(options, mode.sampling) for mode in modes]
        for mode, chosen in zip(modes, settings, strict=True):
            for some in batches(jobs, options.get("batch_size")):
                self.wardrobe.wear(mode.source, strength)
                self._run(mode, some, chosen, canvas, options.get("pipeline_inputs") or {})
        return self._result([self._assembled(job, canvas) for job in jobs], prompts, options)

    def _result(
        self, scenes: list[Scene], prompts: Mapping[Role, Prompt | None], options: Mapping[str, Any]
    ) -> Scene | list[Scene]:
        single = options.get("count", 1) == 1 and all(
            text is None or isinstance(text, str) for text in prompts.values()
        )
        return scenes[0] if single else scenes

    def _modes(self, task: Task) -> Sequence[Mode]:
        if not (modes := self.tasks.get(task)):
            has = ", ".join(name for name in self.tasks if name != "foreground") or "none"
            raise InputError(
                f"Expected a model with an adapter for {task}, found one for {has}. "
                "Attach one with `layers=`, or take Stable Diffusion XL or 1.5."
            )
        return modes

    def _run(
        self,
        mode: Mode,
        jobs: Sequence[Job],
        settings: Sampling,
        canvas: tuple[int, int],
        inputs: Mapping[str, Any],
    ) -> None:
        """Samples the frames of `mode` for all jobs in one batch, and adds them to what is known."""
        made_at = self.native_size if settings.one_size else canvas
        height, width = (padded(side, self.multiple) for side in made_at)
        concat, hint = self._conditions(mode, jobs, made_at)
        rows = [row for job in jobs for row in _rows(job, mode)]
        sizes = {"height": height, "width": width, **inputs}
        with self.wardrobe.conditioned(concat, hint, stop_sigma=stop_sigma(mode.stop_at)):
            latents = sample(text_to_image(self.pipeline), rows, settings, sizes)
        for job, frames in zip(jobs, latents.split(len(mode.outputs)), strict=True):
            for output, latent in zip(mode.outputs, frames.split(1), strict=True):
                picture = self._decoded(latent, output.transparent, settings.passes, made_at)
                if made_at != canvas:
                    how = "fit" if output.transparent else "crop"
                    picture = to_float(fit_rgba(to_bytes(picture), *canvas, how))
                job.known[output.role] = to_bytes(picture)
                job.shown[output.role] = on_grey(picture)
                job.settings[output.role] = mode, settings

    @torch.no_grad()
    def _conditions(
        self, mode: Mode, jobs: Sequence[Job], made_at: tuple[int, int]
    ) -> tuple[Tensor | None, Tensor | None]:
        """Latents for extra channels, and pictures for hints, of all jobs, or of one that stands for all.

        At another size than the canvas's they show the part of it that results will cover, see `_run`.
        """
        how = "crop" if mode.outputs[0].transparent else "fit"
        height, width = (padded(side, self.multiple) for side in made_at)
        shared = all(
            job.shown[condition.role] is jobs[0].shown[condition.role]
            for job in jobs
            for condition in mode.conditions
        )
        parts: dict[str, list[Tensor]] = {"channel-concat": [], "attention-hint": []}
        shown = jobs[:1] if shared else jobs
        for condition in mode.conditions:
            fitted = [fit_pixels(job.shown[condition.role], *made_at, how) for job in shown]
            pictures = [_enlarged(each, height, width) for each in fitted]
            stacked = torch.stack([torch.from_numpy(each).permute(2, 0, 1) for each in pictures])
            stacked = stacked.to(self.denoiser.device)
            is_latent = condition.entry == "channel-concat"
            parts[condition.entry].append(self.autoencoder.encode_opaque(stacked) if is_latent else stacked)
        concat, hints = parts["channel-concat"], parts["attention-hint"]
        return (torch.cat(concat, dim=1) if concat else None), (hints[0] if hints else None)

    @torch.no_grad()
    def _decoded(self, latent: Tensor, transparent: bool, passes: int, canvas: tuple[int, int]) -> AnyArray:
        if transparent:
            return middle_pixels(self.autoencoder.decode(latent, passes=passes), canvas)
        rgb = self.autoencoder.decode_opaque(latent)
        return middle_pixels(torch.cat([rgb, torch.ones_like(rgb[:, :1])], dim=1), canvas)

    def _assembled(self, job: Job, canvas: tuple[int, int]) -> Scene:
        layers = {role: self._layer(job, role) for role in job.known}
        known = None
        if job.settings:
            names = "+".join(dict.fromkeys(mode.name for mode, _ in job.settings.values()))
            known = self.provenance(job.request, next(reversed(job.settings.values()))[1], names, {})
        return Scene(
            layers=tuple(layers[role] for role in ("background", "foreground") if role in layers),
            references=(layers["composite"],) if "composite" in layers else (),
            height=canvas[0],
            width=canvas[1],
            provenance=known,
        )

    def _layer(self, job: Job, role: Role) -> Layer:
        known = None
        if role in job.settings:
            mode, settings = job.settings[role]
            request = replace(job.request, prompt=job.prompts[role])
            known = self.provenance(request, settings, mode.name, {})
        return Layer(image=job.known[role], name=role, provenance=known)

    def _canvas(self, options: Mapping[str, Any], *, like: tuple[int, int] | None) -> tuple[int, int]:
        """The size that is asked for; of what is not, the model's, in the proportions of `like`.

        A model of one size makes squares that are resampled anyhow, so for it that is the size of `like`.
        """
        if like is None:
            like = self.native_size
        elif not self.one_size:
            like = self.proportioned(like)
        height, width = options.get("height"), options.get("width")
        canvas = like[0] if height is None else height, like[1] if width is None else width
        check_size(*canvas)
        return canvas

    def proportioned(self, size: tuple[int, int]) -> tuple[int, int]:
        """(height, width) in the proportions of `size`, of as many pixels as the model was trained with."""
        rows, columns = self.native_size
        scale = (rows * columns / (size[0] * size[1])) ** 0.5
        return max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)

    @property
    def denoiser(self) -> Any:  # noqa: ANN401 - a UNet or a transformer
        """The pipeline's part that samples, into which adapters go."""
        return denoiser_of(self.pipeline)

    @property
    def one_size(self) -> bool:
        """Whether the model makes pictures of its own size only."""
        return self.tasks["foreground"][0].sampling.one_size

    @property
    def native_size(self) -> tuple[int, int]:
        """(height, width) that the model was trained at, px: what `generate` makes unless asked otherwise."""
        return native_size(self.pipeline)

    def provenance(
        self, request: Request, settings: Sampling, mode: str, facts: Mapping[str, Any]
    ) -> Provenance:
        """What is written into a picture: `request` and `settings`, the mode's name, and other `facts`."""
        values = {
            "prompt": request.prompt,
            "negative_prompt": request.negative_prompt,
            "seed": request.seed,
            "model": self.model,
            "version": __version__,
            "mode": mode,
            "steps": settings.num_inference_steps,
            "guidance": settings.guidance_scale,
            "scheduler": scheduler_name(self.pipeline.scheduler, settings.scheduler),
            **facts,
        }
        return Provenance.of(values) or Provenance()


def unmixed(job: Job, missing: Role) -> None:
    """Adds the missing layer of a job that knows the composite and the other layer, by arithmetic."""
    whole = job.known["composite"]
    if missing == "foreground":
        job.known[missing] = foreground_from(whole, job.known["background"])
    else:
        job.known[missing] = background_from(whole, job.known["foreground"])


def jobs_of(
    prompts: Mapping[Role, Prompt | None],
    given: Mapping[Role, tuple[AnyArray, Pixels]],
    options: Mapping[str, Any],
) -> list[Job]:
    """Every scene of a call.

    Args:
        prompts: by layer; a list makes a scene each.
        given: by layer, the picture and the same on grey.
        options: of the call.

    Raises:
        InputError: lists of different lengths, and as `requests_of`.
    """
    texts: dict[Role, list[str]] = {}
    for role, prompt in prompts.items():
        if prompt is not None:
            texts[role] = texts_of(prompt, f"{role} prompt")
    n_scenes = max(len(each) for each in texts.values())
    wrong = {role: len(each) for role, each in texts.items() if len(each) not in (1, n_scenes)}
    if wrong:
        raise InputError(
            f"Expected one prompt a layer or {n_scenes}, found {wrong}. Give every layer one for each scene."
        )
    spread: dict[Role, list[str]] = {}
    for role, each in texts.items():
        spread[role] = each * n_scenes if len(each) == 1 else each
    if "composite" not in spread:
        made = [spread[role] for role in ("foreground", "background") if role in spread]
        spread["composite"] = [", ".join(filter(None, parts)) for parts in zip(*made, strict=True)]
    count = options.get("count", 1)
    return [
        Job(
            request=request,
            prompts=_nth(spread, i // count),
            known={role: picture for role, (picture, _) in given.items()},
            shown={role: pixels for role, (_, pixels) in given.items()},
        )
        for i, request in enumerate(requests_in(spread["composite"], options))
    ]


def _stopped(mode: Mode, share: float | None) -> Mode:
    """The mode with another "stop at", if it is one that has it."""
    if share is not None and not 0 <= share <= 1:
        raise InputError(f"Expected stop_at of 0 to 1, found {share}. 1 never stops.")
    shown = any(condition.entry == "channel-concat" for condition in mode.conditions)
    return replace(mode, stop_at=share) if shown and share is not None else mode


def _nth(texts: Mapping[Role, list[str]], i: int) -> Mapping[Role, str]:
    return {role: each[i] for role, each in texts.items()}


def _rows(job: Job, mode: Mode) -> list[Request]:
    """A request for each frame: its own text, and noise of its own."""
    return [
        replace(
            job.request,
            prompt=job.prompts[output.role],
            seed=(job.request.seed + i * FRAME_SEEDS_APART) % (MAX_SEED + 1),
        )
        for i, output in enumerate(mode.outputs)
    ]


def _enlarged(pixels: Pixels, height: int, width: int) -> Pixels:
    """Repeats the edge around a picture up to a canvas of whole latents, of which results are the middle."""
    top, left = middle_of((height, width), pixels.shape[:2])
    below, right = height - pixels.shape[0] - top, width - pixels.shape[1] - left
    return np.pad(pixels, ((top, below), (left, right), (0, 0)), mode="edge")
