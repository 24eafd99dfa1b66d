"""The latents of every kind of VAE, by its class: how pixels become scaled latents and back.

Pixels are RGB (b, 3, h, w) in [-1, 1]. Raw latents (b, c, h, w) are what a VAE makes; scaled ones, which
diffusion models see, are (raw - shift) * scale. Where a model sees squares of latents as channels, as FLUX.2
does, both have them so. A new kind of VAE is a row of `KINDS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pellucid.errors import InputError

Factor = float | tuple[float, ...]
"""One number for all channels, or one for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentSpace:
    """What has to be known of one VAE."""

    channels: int
    """Of raw and scaled latents."""
    pixels_per_latent: int
    """Side in pixels that one latent stands for."""
    shift: Factor = 0.0
    scale: Factor = 1.0
    """Scaled latents are (raw - shift) * scale."""
    patch_size: int = 1
    """Latents of the VAE that are folded into channels, squared."""
    has_frames: bool = False
    """Whether the VAE is a video's, which gets and gives one frame: (b, c, 1, h, w)."""
    has_distribution: bool = True
    """Whether the VAE tells a standard deviation."""
    alpha_channels: int = 0
    """Channels that its images have beside RGB."""

    def to_scaled(self, raw: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Converts raw latents to the units of diffusion models; channels beyond the VAE's stay."""
        return (raw - _spread(self.shift, raw, 0.0)) * _spread(self.scale, raw, 1.0)

    def to_raw(self, scaled: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Undoes `to_scaled`."""
        return scaled / _spread(self.scale, scaled, 1.0) + _spread(self.shift, scaled, 0.0)

    def encode(
        self, vae: nn.Module, pixels: Float[Tensor, "b 3 h w"]
    ) -> tuple[Float[Tensor, "b c h2 w2"], Float[Tensor, "b c h2 w2"]]:
        """Returns mean and standard deviation of the raw latents; 0 where a VAE knows no distribution.

        Args:
            vae: of this space; gradients flow.
            pixels: sides divide by `pixels_per_latent`.
        """
        encoded = vae.encode(  # pyright: ignore[reportCallIssue] - all kinds have it
            pixels.unsqueeze(2) if self.has_frames else pixels, return_dict=False
        )[0]
        found = cast("Tensor | DiagonalGaussianDistribution", encoded)
        if isinstance(found, DiagonalGaussianDistribution):
            return self.folded(found.mean), self.folded(found.std)
        plain = self.folded(found)
        return plain, torch.zeros_like(plain)

    def decode(self, vae: nn.Module, raw: Float[Tensor, "b d h w"]) -> Float[Tensor, "b 3 h2 w2"]:
        """Returns the VAE's image of raw latents, about [-1, 1]; channels beyond the VAE's are left out.

        Args:
            vae: of this space; gradients flow.
            raw: in the VAE's precision.
        """
        latent = raw[:, : self.channels]
        if self.patch_size > 1:
            latent = functional.pixel_shuffle(latent, self.patch_size)
        decoded = vae.decode(  # pyright: ignore[reportCallIssue] - all kinds have it
            latent.unsqueeze(2) if self.has_frames else latent, return_dict=False
        )[0]
        image = cast("Tensor", decoded)
        return image[:, :, 0] if self.has_frames else image

    def folded(self, latent: Tensor) -> Tensor:
        """Returns raw latents (b, c, h, w), without frames and with squares as channels, of the VAE's own."""
        latent = latent[:, :, 0] if self.has_frames else latent
        return functional.pixel_unshuffle(latent, self.patch_size) if self.patch_size > 1 else latent


def latent_space(vae: nn.Module) -> LatentSpace:
    """Returns the latents of a VAE.

    Raises:
        InputError: no kind here is of its class.
    """
    for cls in type(vae).__mro__:  # the nearest class first: a user's own may be a subclass
        if cls.__name__ in KINDS:
            return KINDS[cls.__name__](vae)
    if "block_out_channels" in _config(vae):  # a user's own, in the usual words
        return _one_factor(vae)
    raise InputError(f"Expected a VAE of images, found {type(vae).__name__}. Take one of {', '.join(KINDS)}.")


def _spread(factor: Factor, latent: Tensor, neutral: float) -> Tensor | float:
    """Returns a factor that multiplies latents (b, c, h, w), `neutral` where they have more channels."""
    if not isinstance(factor, tuple):
        return factor
    beyond = (neutral,) * (latent.shape[1] - len(factor))
    return latent.new_tensor((*factor, *beyond)).view(1, -1, 1, 1)


def _config(vae: nn.Module) -> Mapping[str, object]:
    return cast("Mapping[str, object]", vae.config)


def _whole(vae: nn.Module, name: str) -> int:
    value = _config(vae)[name]
    assert isinstance(value, int)
    return value


def _levels(vae: nn.Module, name: str = "block_out_channels") -> int:
    return len(cast("list[int]", _config(vae)[name]))


def _number(vae: nn.Module, name: str, default: float) -> float:
    value = _config(vae).get(name)
    return default if value is None else float(cast("float", value))


def _numbers(values: Tensor) -> tuple[float, ...]:
    return tuple(cast("list[float]", values.tolist()))


def _one_factor(vae: nn.Module) -> LatentSpace:
    """Stable Diffusion's kind: half as large at each level, one scaling factor and one shift."""
    return LatentSpace(
        channels=_whole(vae, "latent_channels"),
        pixels_per_latent=2 ** (_levels(vae) - 1),
        shift=_number(vae, "shift_factor", 0.0),
        scale=_number(vae, "scaling_factor", 1.0),
    )


def _deep_compression(vae: nn.Module) -> LatentSpace:
    """SANA's kind, without a distribution."""
    return LatentSpace(
        channels=_whole(vae, "latent_channels"),
        pixels_per_latent=2 ** (_levels(vae, "encoder_block_out_channels") - 1),
        shift=_number(vae, "shift_factor", 0.0),
        scale=_number(vae, "scaling_factor", 1.0),
        has_distribution=False,
    )


def _stated_compression(vae: nn.Module) -> LatentSpace:
    """HunyuanImage's kind, whose levels are not all halvings."""
    return LatentSpace(
        channels=_whole(vae, "latent_channels"),
        pixels_per_latent=_whole(vae, "spatial_compression_ratio"),
        scale=_number(vae, "scaling_factor", 1.0),
    )


def _folded(vae: nn.Module) -> LatentSpace:
    """FLUX.2's kind: squares of latents become channels, which running statistics normalise."""
    rows, columns = cast("tuple[int, int]", tuple(cast("list[int]", _config(vae)["patch_size"])))
    assert rows == columns
    norm = cast("nn.BatchNorm2d", vae.bn)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    spread = torch.sqrt(norm.running_var.float() + _number(vae, "batch_norm_eps", 1e-4))
    return LatentSpace(
        channels=_whole(vae, "latent_channels") * rows**2,
        pixels_per_latent=2 ** (_levels(vae) - 1) * rows,
        shift=_numbers(norm.running_mean),
        scale=_numbers(1 / spread),
        patch_size=rows,
    )


def _statistics(vae: nn.Module, pixels_per_latent: int, images: str) -> LatentSpace:
    spread = cast("list[float]", _config(vae)["latents_std"])
    return LatentSpace(
        channels=_whole(vae, "z_dim"),
        pixels_per_latent=pixels_per_latent,
        shift=tuple(map(float, cast("list[float]", _config(vae)["latents_mean"]))),
        scale=tuple(1 / each for each in spread),
        has_frames=True,
        # images of layers have an alpha of their own
        alpha_channels=int(_config(vae).get(images) == 4),
    )


def _qwen(vae: nn.Module) -> LatentSpace:
    """Qwen-Image's kind: a mean and a deviation a channel."""
    return _statistics(vae, 2 ** _levels(vae, "temperal_downsample"), "input_channels")


def _wan(vae: nn.Module) -> LatentSpace:
    """Wan's kind, the same with its compression stated."""
    return _statistics(vae, _whole(vae, "scale_factor_spatial"), "in_channels")


KINDS: Mapping[str, Callable[[nn.Module], LatentSpace]] = {
    "AutoencoderKL": _one_factor,
    "AsymmetricAutoencoderKL": _one_factor,
    "AutoencoderTiny": _deep_compression,
    "MiniVAE": _one_factor,
    "AutoencoderDC": _deep_compression,
    "AutoencoderKLHunyuanImage": _stated_compression,
    "AutoencoderKLFlux2": _folded,
    "AutoencoderKLQwenImage": _qwen,
    "AutoencoderKLWan": _wan,
}
"""Class of a VAE -> how its latents are read off it."""
