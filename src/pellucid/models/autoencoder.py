"""RGBA codec over a frozen VAE: alpha hides in an offset of the latent.

Our borders are straight RGBA with alpha last in [0, 1]. "Raw" latents are the VAE's own; "scaled" ones, which
diffusion models see, are (raw - shift) * scale (`pellucid.models.latent_space`).
"""

import warnings
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypedDict

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from pellucid.errors import InputError
from pellucid.models.alpha_decoder import AlphaDecoder
from pellucid.models.latent_space import Factor, latent_space
from pellucid.models.offset_encoder import OffsetEncoder
from pellucid.models.rgba_vae import InflatedDecoder, InflatedEncoder
from pellucid.models.test_time_augmentation import decode_augmented, decode_padded, decode_tiled

Offset = Literal["posterior_std", "additive", "channels", "replaced"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Convention:
    """How a family of checkpoints joins latent and offset. Source: docs/released-format.md b.1 and b.3."""

    offset: Offset
    """Replaces the posterior's noise (released), is added to the scaled latent (the paper's x + x_eps), comes
    after it as more channels, or is the raw latent itself (a VAE of four channels)."""
    offset_multiplier: float = 1.0
    """Scale of the network's output."""
    latent_input: Literal["raw", "scaled"] = "raw"
    """Which latent the alpha decoder reads."""
    background: float = 0.5
    """Grey behind the image that the VAE encodes, in [0, 1]."""
    vae_colour: Literal["straight", "padded"] = "straight"
    """Which colour is laid on that grey; "padded" means `extend_colour`'s, for the offset too."""


class ConventionFields(TypedDict, total=False):
    """A convention's name and how it differs: arguments of `RGBAAutoencoder`, and `convention.json`."""

    convention: str
    offset: Offset
    offset_multiplier: float
    latent_input: Literal["raw", "scaled"]


# The released networks exist twice, with other arithmetic around them: "cli" is that of the authors' program
# on diffusers (LayerDiffuse_DiffusersCLI), "forge" that of their extension for the Forge web interface, and
# "embedded" is ours, which `pellucid train autoencoder` writes.
CONVENTIONS = {
    "cli": Convention(offset="posterior_std", offset_multiplier=300.0, latent_input="raw"),
    "forge": Convention(offset="posterior_std", latent_input="scaled", background=127 / 255),
    "embedded": Convention(offset="additive", latent_input="scaled", vae_colour="padded"),
}


class RGBAAutoencoder(nn.Module):
    """Encodes RGBA to the latents of a frozen VAE and back.

    Source: paper section 3.1; docs/released-format.md b.
    Differs from the released code by any height and width, and by rounding
    to bytes unless `exact`.
    """

    def __init__(
        self,
        vae: nn.Module,
        offset_encoder: OffsetEncoder | InflatedEncoder | None,
        alpha_decoder: AlphaDecoder | InflatedDecoder | None,
        *,
        convention: Convention | str = "embedded",
        offset: Offset | None = None,
        offset_multiplier: float | None = None,
        latent_input: Literal["raw", "scaled"] | None = None,
    ) -> None:
        """Joins three networks; none is copied.

        Args:
            vae: of a kind in `pellucid.models.latent_space`.
            offset_encoder: needed to encode.
            alpha_decoder: needed to decode.
            convention: a `Convention` or its name in `CONVENTIONS`.
            offset: replaces that field of the convention, as do the next two.
            offset_multiplier: scale of the offset encoder's output.
            latent_input: which latent the alpha decoder reads.
        """
        super().__init__()
        self.vae, self.offset_encoder, self.alpha_decoder = vae, offset_encoder, alpha_decoder
        if isinstance(convention, str):
            if convention not in CONVENTIONS:
                raise InputError(
                    f"convention must be one of {list(CONVENTIONS)}, found {convention!r}. Pick one."
                )
            convention = CONVENTIONS[convention]
        changes = {"offset": offset, "offset_multiplier": offset_multiplier, "latent_input": latent_input}
        self.convention = replace(convention, **{k: v for k, v in changes.items() if v is not None})  # pyright: ignore
        self.tile_px: int | None = None
        """Side of the tiles that `decode` cuts larger images into unless it is told otherwise; None never."""
        self.space = latent_space(vae)
        self.pixels_per_latent = self.space.pixels_per_latent
        for part in (offset_encoder, alpha_decoder):
            if part is not None and part.pixels_per_latent != self.pixels_per_latent:
                raise InputError(
                    f"The VAE has {self.pixels_per_latent} pixels a latent, {type(part).__name__} "
                    f"{part.pixels_per_latent}. Change fold or levels."
                )

    @property
    def scaling_factor(self) -> Factor:
        """Returns what scaled latents are multiplied by, for all channels or for each."""
        return self.space.scale

    @property
    def shift_factor(self) -> Factor:
        """Returns what is taken from raw latents first."""
        return self.space.shift

    @property
    def upscale(self) -> int:
        """Returns how many times larger decoded RGBA is, on each side, than the frozen VAE's image."""
        return 1 if self.alpha_decoder is None else self.alpha_decoder.upscale

    @property
    def device(self) -> torch.device:
        """Returns where the VAE computes: its parameters' device, or the one that offloading brings it to."""
        for module in self.vae.modules():
            hook = getattr(module, "_hf_hook", None)
            for part in getattr(hook, "hooks", (hook,)):  # accelerate chains them where it has several
                if (device := getattr(part, "execution_device", None)) is not None:
                    return torch.device(device)
        return self.vae.device  # pyright: ignore - diffusers' own knows of group offloading

    def to_scaled(self, latent: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Converts a raw latent to the units of diffusion models."""
        return self.space.to_scaled(latent)

    def to_raw(self, scaled_latent: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Undoes `to_scaled`."""
        return self.space.to_raw(scaled_latent)

    def vae_input(
        self, rgba: Float[Tensor, "b 4 h w"], padded_rgb: Float[Tensor, "b 3 h w"] | None = None
    ) -> Float[Tensor, "b 3 h w"]:
        """Returns the opaque image in [-1, 1] that the frozen VAE encodes."""
        rgb, alpha = rgba[:, :3], rgba[:, 3:]
        if self.convention.vae_colour == "padded" and padded_rgb is not None:
            rgb = padded_rgb
        # the same as below for 0.5, with a rounding less
        if self.convention.background == 0.5:
            return (2 * rgb - 1) * alpha
        return 2 * (rgb * alpha + self.convention.background * (1 - alpha)) - 1

    def encode(
        self,
        rgba: Float[Tensor, "b 4 h w"],
        padded_rgb: Float[Tensor, "b 3 h w"] | None = None,
        *,
        scaled: bool = True,
        use_offset: bool = True,
    ) -> Float[Tensor, "b c h2 w2"]:
        """Encodes images to latents that carry the alpha.

        Args:
            rgba: straight, in [0, 1]; any size, extended by its edge to whole latents.
            padded_rgb: colour extended under transparent pixels; None takes `rgba`'s own.
            scaled: whether to return the units of diffusion models.
            use_offset: False gives the VAE's mean, which has no alpha in it.
        """
        rgba = self._whole(rgba)
        padded_rgb = rgba[:, :3] if padded_rgb is None else self._whole(padded_rgb)
        pixels = self.vae_input(rgba, padded_rgb)
        mean, std = self.space.encode(self.vae, pixels)
        offset = self._offset(rgba, padded_rgb) if use_offset else None
        return self.join(mean, std, offset, scaled=scaled)

    def join(
        self,
        mean: Float[Tensor, "b c h w"],
        std: Float[Tensor, "b c h w"],
        offset: Float[Tensor, "b k h w"] | None,
        *,
        scaled: bool = True,
    ) -> Float[Tensor, "b d h w"]:
        """Applies the network's raw output `offset` to the posterior of the frozen VAE."""
        if offset is None:
            return self.to_scaled(mean) if scaled else mean
        if self.convention.offset == "posterior_std" and not self.space.has_distribution:
            raise InputError(
                f"Expected a VAE that tells a deviation, in which a released codec hides alpha, found "
                f"{type(self.vae).__name__}. Take the model's own VAE."
            )
        offset = offset.to(mean.dtype) * self.convention.offset_multiplier
        if self.convention.offset in ("posterior_std", "replaced"):
            latent = offset if self.convention.offset == "replaced" else mean + std * offset
            return self.to_scaled(latent) if scaled else latent
        latent = self.to_scaled(mean)
        channels = self.convention.offset == "channels"
        latent = torch.cat([latent, offset], dim=1) if channels else latent + offset
        return latent if scaled else self.to_raw(latent)

    @torch.no_grad()
    def decode(
        self,
        latent: Float[Tensor, "b c h2 w2"],
        *,
        scaled: bool = True,
        passes: int = 8,
        tile: int | None = None,
        overlap: int = 64,
    ) -> Float[Tensor, "b 4 h w"]:
        """Decodes latents to straight RGBA in [0, 1], `pixels_per_latent * upscale` times as large.

        Args:
            latent: adjusted latent.
            scaled: whether it is in the units of diffusion models.
            passes: orientations of the median: 8 as released; 1, 2 or 4 are faster.
            tile: side of the tiles that large images are cut into, in pixels of the frozen VAE's image; None
                takes `tile_px`.
            overlap: pixels over which neighbouring tiles are blended.
        """
        raw = self.to_raw(latent) if scaled else latent
        rgb = self.decode_opaque(raw, scaled=False)
        return self.decode_alpha(rgb, raw, scaled=False, passes=passes, tile=tile, overlap=overlap)

    @torch.no_grad()
    def decode_opaque(
        self, latent: Float[Tensor, "b c h2 w2"], *, scaled: bool = True
    ) -> Float[Tensor, "b 3 h w"]:
        """Decodes a latent with the frozen VAE alone: RGB in [0, 1]."""
        raw = self.to_raw(latent) if scaled else latent
        image = self.space.decode(self.vae, raw.to(self.device, self.vae.dtype))  # pyright: ignore
        return (image * 0.5 + 0.5).clamp(0, 1)

    @torch.no_grad()
    def encode_opaque(self, rgb: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h2 w2"]:
        """Encodes RGB in [0, 1] to the scaled mean of the frozen VAE's posterior, as conditions enter."""
        rgb = rgb.to(self.device, self.vae.dtype)  # pyright: ignore
        return self.to_scaled(self.space.encode(self.vae, rgb * 2 - 1)[0])  # pyright: ignore

    @torch.no_grad()
    def decode_alpha(
        self,
        rgb: Float[Tensor, "b 3 h w"],
        latent: Float[Tensor, "b c h2 w2"],
        *,
        scaled: bool = True,
        passes: int = 8,
        tile: int | None = None,
        overlap: int = 64,
    ) -> Float[Tensor, "b 4 h3 w3"]:
        """Decodes alpha and colour like `decode`, from an image in [0, 1] that the VAE has decoded."""
        if self.alpha_decoder is None:
            raise InputError("Decoding needs an alpha decoder, found none. Pass one to RGBAAutoencoder.")
        decoder = self.alpha_decoder
        if scaled != (self.convention.latent_input == "scaled"):
            latent = self.to_raw(latent) if scaled else self.to_scaled(latent)
        device, dtype = self.device, next(decoder.parameters()).dtype
        _follow(decoder, device)
        predict = partial(decode_padded, decoder, multiple=decoder.multiple)
        if (tile := tile or self.tile_px) is not None:
            predict = partial(decode_tiled, predict, tile=tile, overlap=overlap, upscale=self.upscale)
        given = rgb.to(device, dtype), latent.to(device, dtype)
        return decode_augmented(predict, *given, passes=passes, upscale=self.upscale)

    @torch.no_grad()
    def encode_image(
        self, rgba: UInt8[np.ndarray, "h w 4"], *, use_offset: bool = True
    ) -> Float[Tensor, "1 c h2 w2"]:
        """Encodes one image to a scaled latent, colour padded under its transparent pixels.

        The image has the size of decoded ones: with a decoder that enlarges it is made smaller first.
        """
        from pellucid.rgba.padding import extend_colour, pad_rgb
        from pellucid.rgba.resizing import shrunk

        rgba = shrunk(rgba, self.upscale)
        if self.convention.vae_colour == "padded":
            colour = extend_colour(rgba)[..., :3].astype(np.float32) / 255
        else:
            colour = pad_rgb(rgba)
        padded = torch.from_numpy(np.ascontiguousarray(colour)).permute(2, 0, 1)[None]
        straight = torch.from_numpy(rgba.astype(np.float32) / 255).permute(2, 0, 1)[None]
        # the VAE's precision for all of it: its posterior and the offset are added
        like = {"device": self.device, "dtype": self.vae.dtype}
        return self.encode(straight.to(**like), padded.to(**like), use_offset=use_offset)  # pyright: ignore

    @torch.no_grad()
    def decode_image(
        self,
        latent: Float[Tensor, "1 c h2 w2"],
        *,
        height: int | None = None,
        width: int | None = None,
        passes: int = 8,
        tile: int | None = None,
        exact: bool = False,
    ) -> UInt8[np.ndarray, "h w 4"]:
        """Decodes one scaled latent to bytes.

        Args:
            latent: adjusted latent in the units of diffusion models.
            height: rows to keep from the top; None keeps all. Undoes the extension of `encode`.
            width: columns to keep from the left.
            passes: orientations of the median.
            tile: see `decode`.
            exact: truncates to bytes as the released code does, instead of rounding.
        """
        from pellucid.rgba.quantization import to_bytes

        rgba = self.decode(latent, passes=passes, tile=tile)[0, :, :height, :width]
        # the released code multiplies in the model's precision, which shows in half precision
        values = ((rgba * 255).float().floor() + 0.5) / 255 if exact else rgba.float()
        return to_bytes(np.ascontiguousarray(values.permute(1, 2, 0).cpu().numpy()), truncate=exact)

    def encode_picture(
        self, rgba: UInt8[np.ndarray, "h w 4"], *, use_offset: bool = True
    ) -> Float[Tensor, "1 c h2 w2"]:
        """Calls `encode_image`, whose former name this is; it goes in the next release."""
        _warn_renamed("encode_picture", "encode_image")
        return self.encode_image(rgba, use_offset=use_offset)

    def decode_picture(
        self,
        latent: Float[Tensor, "1 c h2 w2"],
        *,
        height: int | None = None,
        width: int | None = None,
        passes: int = 8,
        tile: int | None = None,
        exact: bool = False,
    ) -> UInt8[np.ndarray, "h w 4"]:
        """Calls `decode_image`, whose former name this is; it goes in the next release."""
        _warn_renamed("decode_picture", "decode_image")
        return self.decode_image(latent, height=height, width=width, passes=passes, tile=tile, exact=exact)

    def _offset(self, rgba: Tensor, padded_rgb: Tensor) -> Tensor:
        if self.offset_encoder is None:
            raise InputError("Encoding needs an offset encoder, found none. Pass one to RGBAAutoencoder.")
        stacked = torch.cat([padded_rgb, rgba[:, 3:]], dim=1)
        _follow(self.offset_encoder, stacked.device)
        return self.offset_encoder(stacked.to(next(self.offset_encoder.parameters()).dtype))

    def _whole(self, x: Tensor) -> Tensor:
        below, right = (-side % self.pixels_per_latent for side in x.shape[-2:])
        # by its edge and not by black, which would show in the latents of the last row
        return F.pad(x, (0, right, 0, below), mode="replicate") if below or right else x


def _warn_renamed(former: str, present: str) -> None:
    warnings.warn(
        f"RGBAAutoencoder.{former} is now {present}. The former name goes in the next release.",
        DeprecationWarning,
        stacklevel=3,  # the line that calls the former name
    )


def _follow(network: nn.Module, device: torch.device) -> None:
    """Brings a network to where its input is: offloading and `pipeline.to` move the VAE alone."""
    if next(network.parameters()).device != device:
        network.to(device)
