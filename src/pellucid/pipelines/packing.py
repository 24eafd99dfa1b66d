"""How samplers hold latents: as images, as squares or single ones in a row, as one frame of a video.

Latents are (b, c, h, w) on our side; sides of images are in pixels.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional

from pellucid.pipelines.family import Packing


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """There and back."""

    pack: Callable[[Any, Tensor], Tensor]
    """Of the pipeline and latents (b, c, h, w)."""
    unpack: Callable[[Any, Tensor, int, int, int], Tensor]
    """Of the pipeline, what its sampler holds, the image's height and width, and pixels a latent."""


def _squares(pipeline: Any, latents: Tensor) -> Tensor:  # noqa: ANN401 - diffusers has no common protocol
    # private, but the order of channels is diffusers' to change (docs/decisions/009-families.md)
    return pipeline._pack_latents(latents.contiguous(), *latents.shape, **_asked(pipeline, "_pack_latents"))


def _from_squares(pipeline: Any, held: Tensor, height: int, width: int, _: int) -> Tensor:  # noqa: ANN401
    asked = _asked(pipeline, "_unpack_latents")
    latents: Tensor = pipeline._unpack_latents(held, height, width, **asked)
    return latents[:, :, 0] if latents.ndim == 5 else latents  # some have an axis of frames


def _asked(pipeline: Any, method: str) -> dict[str, int]:  # noqa: ANN401
    """Returns what only some pipelines' methods are told."""
    told = {"vae_scale_factor": pipeline.vae_scale_factor, "patch_size": 2}
    accepted = inspect.signature(getattr(pipeline, method)).parameters
    return {name: value for name, value in told.items() if name in accepted}


def _from_tokens(_pipeline: Any, held: Tensor, height: int, width: int, pixels: int) -> Tensor:  # noqa: ANN401
    return held.mT.unflatten(2, (height // pixels, width // pixels))


def _as_it_is(_pipeline: Any, held: Tensor, _height: int, _width: int, _pixels: int) -> Tensor:  # noqa: ANN401
    return held


def _from_frame(_pipeline: Any, held: Tensor, _height: int, _width: int, _pixels: int) -> Tensor:  # noqa: ANN401
    return held[:, :, 0]


def _from_last_frame(_pipeline: Any, held: Tensor, _height: int, _width: int, _pixels: int) -> Tensor:  # noqa: ANN401
    return held[:, 0].movedim(-1, 1)


def _from_unfolded(_pipeline: Any, held: Tensor, _height: int, _width: int, _pixels: int) -> Tensor:  # noqa: ANN401
    return functional.pixel_unshuffle(held, 2)


LAYOUTS: Mapping[Packing, Layout] = {
    "none": Layout(pack=lambda _, latents: latents, unpack=_as_it_is),
    "squares": Layout(pack=_squares, unpack=_from_squares),
    "tokens": Layout(pack=lambda _, latents: latents.flatten(2).mT, unpack=_from_tokens),
    "frame": Layout(pack=lambda _, latents: latents.unsqueeze(2), unpack=_from_frame),
    "frame-last": Layout(
        pack=lambda _, latents: latents.movedim(1, -1).unsqueeze(1), unpack=_from_last_frame
    ),
    "unfolded": Layout(pack=lambda _, latents: functional.pixel_shuffle(latents, 2), unpack=_from_unfolded),
}
"""Each kind of packing."""
