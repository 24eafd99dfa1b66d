"""Starts a text-to-image pipeline in the middle of its schedule, from latents that are given and noised.

diffusers has image-to-image pipelines for some families only. Their timesteps are the last ones of the whole
schedule, and so are these, with any scheduler.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from pellucid.errors import InputError

BY_STEP = ("sigmas", "sigmas_interpol", "sigmas_up", "sigmas_down")
"""What schedulers hold for each step of a schedule, beside the timesteps."""
Pack = Callable[[Tensor], Tensor]


class LaterStart:
    """Changes one call's pipeline and scheduler, which are copies, so that latents begin as noised ones.

    When a schedule is set, its first steps are cut off. When the pipeline has made its noise, that is written
    over: by the given latents with noise of the level that the schedule then begins at. Pipelines do the two
    in either order.
    """

    def __init__(
        self, image: Tensor, generators: Sequence[torch.Generator], *, steps: int, strength: float, pack: Pack
    ) -> None:
        """Takes latents and draws their noise.

        Args:
            image: scaled latents (b, c, h, w).
            generators: one for each row.
            steps: of the whole schedule.
            strength: share of it that is left, 0 to 1.
            pack: to what the pipeline's sampler holds.
        """
        self.image, self.pack = image, pack
        self.remaining = min(int(steps * strength), steps)
        self._skipped = steps - self.remaining
        noise = randn_tensor(image.shape, generator=list(generators), device=image.device, dtype=image.dtype)
        self._noise: Tensor = noise
        self._held: Tensor | None = None
        self._is_set = False

    def install(self, pipeline: Any) -> dict[str, Tensor]:  # noqa: ANN401 - diffusers has no common protocol
        """Changes a pipeline, which nobody else may use, and its scheduler; returns what to call it with.

        Raises:
            InputError: a scheduler whose steps hang on those before them.
        """
        if type(pipeline.scheduler).__name__ == "IPNDMScheduler":
            raise InputError(
                "Expected a scheduler whose schedule can begin in the middle, found IPNDMScheduler. "
                "Set another on the stock pipeline."
            )
        self._scheduler = pipeline.scheduler
        pipeline.scheduler.set_timesteps = self._cut(pipeline.scheduler.set_timesteps)
        if not hasattr(pipeline, "prepare_latents"):  # then it samples in the very tensor that it is given
            self._held = self.pack(self.image).clone()
            return {"latents": self._held}
        pipeline.prepare_latents = self._watch(pipeline.prepare_latents)
        return {}

    def _cut(self, set_timesteps: Callable[..., None]) -> Callable[..., None]:
        # wrapped, since pipelines ask its signature what it takes
        @wraps(set_timesteps)
        def cut(*args: object, **options: object) -> None:
            set_timesteps(*args, **options)
            scheduler = self._scheduler
            # schedulers of second order list two timesteps a step; diffusers' image-to-image counts so, too
            begin = self._skipped * scheduler.order
            scheduler.timesteps = scheduler.timesteps[begin:]
            for name in BY_STEP:
                if hasattr(scheduler, name):
                    setattr(scheduler, name, getattr(scheduler, name)[begin:])
            if "original_inference_steps" in scheduler.config:
                # of consistency models, which add noise at every step but the one that is counted as the last
                scheduler.num_inference_steps = len(scheduler.timesteps)
            self._is_set = True
            self._write()

        return cut

    def _watch(self, prepare_latents: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(prepare_latents)
        def watch(*args: object, **options: object) -> Any:  # noqa: ANN401 - the pipeline's own
            made = prepare_latents(*args, **options)
            # some return positions or other images beside the latents, which come first
            self._held = made[0] if isinstance(made, tuple) else made
            self._write()
            return made

        return watch

    def _write(self) -> None:
        """Writes the start over the pipeline's noise, in place, as soon as noise and schedule are there."""
        if self._held is None or not self._is_set:
            return
        scheduler = self._scheduler
        first = scheduler.timesteps[:1].expand(len(self.image))
        if hasattr(scheduler, "scale_noise"):  # of flow matching
            noised = scheduler.scale_noise(self.image, first, self._noise)
        else:
            noised = scheduler.add_noise(self.image, self._noise, first)
        # by which the stock pipeline is about to multiply them
        noised = noised / getattr(scheduler, "latent_scale", 1.0)
        self._held.copy_(self.pack(noised))
