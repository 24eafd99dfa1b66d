"""The decoder of latent transparency: image and adjusted latent to colour and alpha."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor, nn

from pellucid.errors import InputError
from pellucid.models.blocks import EPS, DownBlock, MidBlock, UpBlock, norm_silu_conv, use_row_tiles
from pellucid.models.enlarging import Enlarger


class AlphaDecoder(ModelMixin, ConfigMixin):
    """UNet that reads colour and alpha out of a decoded image and its latent.

    The default arguments are the released network of 104,104,804 parameters, tensor names included.
    Source: paper section 3.1; docs/released-format.md b.2.
    """

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        widths: Sequence[int] = (32, 32, 64, 128, 256, 512, 512),
        latent_channels: int = 4,
        latent_level: int = 3,
        attention_levels: int = 3,
        layers_per_block: int = 2,
        attention_head_dim: int = 8,
        norm_num_groups: int = 4,
        fold: int = 1,
        background: float | None = None,
        detail_width: int = 0,
        upscale: int = 1,
        upscale_width: int = 96,
        upscale_blocks: int = 2,
    ) -> None:
        """Builds the network.

        Args:
            widths: channels at each level, each level half as large as the one before.
            latent_channels: channels of the latent.
            latent_level: halvings after which the latent enters.
            attention_levels: how many of the last levels attend; 0 also for none in the middle.
            layers_per_block: residual blocks a level on the way down; one more on the way up.
            attention_head_dim: channels of one attention head.
            norm_num_groups: groups of every norm; must divide every width.
            fold: pixel-unshuffle (space-to-depth) factor: squares of this side become channels first, which
                saves work at full size.
            background: grey in [0, 1] that the VAE's images lie on, if always the same: colour is then
                what the image shows without that grey, and the network's own only where alpha is low.
            detail_width: channels of three more convolutions at twice the resolution of the folded pixels,
                which correct edges that a wide fold blurs; 0 has none. Needs an even `fold`.
            upscale: how many times larger each side of the result is than the VAE's image.
            upscale_width: channels of the convolutions that enlarge, where `upscale` is above 1.
            upscale_blocks: residual pairs of those convolutions.
        """
        super().__init__()
        self.background, self.upscale = background, upscale
        if not 0 <= latent_level < len(widths):
            raise InputError(f"latent_level must be 0..{len(widths) - 1}, found {latent_level}. Add widths.")
        levels, groups = len(widths), norm_num_groups
        self.latent_level, self.fold = latent_level, fold
        self.pixels_per_latent = fold * 2**latent_level
        self.multiple = fold * 2 ** (levels - 1)

        def head_dim(level: int) -> int | None:
            return attention_head_dim if level >= levels - attention_levels else None

        self.conv_in = nn.Conv2d(3 * fold**2, widths[0], 3, padding=1)
        self.latent_conv_in = nn.Conv2d(latent_channels, widths[max(latent_level - 1, 0)], 1)
        self.down_blocks = nn.ModuleList()
        skips, inner = [widths[0]], widths[0]
        for level, outer in enumerate(widths):
            last = level == levels - 1
            self.down_blocks.append(
                DownBlock(
                    inner, outer, layers=layers_per_block, groups=groups, head_dim=head_dim(level), last=last
                )
            )
            skips += [outer] * (layers_per_block + (not last))
            inner = outer
        self.mid_block = MidBlock(inner, groups=groups, head_dim=head_dim(levels - 1))
        self.up_blocks = nn.ModuleList()
        for level in reversed(range(levels)):
            # as `forward` pops them: the last skip first
            popped = [skips.pop() for _ in range(layers_per_block + 1)]
            self.up_blocks.append(
                UpBlock(
                    inner, popped, widths[level], groups=groups, head_dim=head_dim(level), last=level == 0
                )
            )
            inner = widths[level]
        self.conv_norm_out = nn.GroupNorm(groups, inner, EPS)
        self.conv_out = nn.Conv2d(inner, 4 * fold**2, 3, padding=1)
        # the latent has no say before training: the network begins as one of the image alone
        nn.init.zeros_(self.latent_conv_in.weight)
        nn.init.zeros_(self.latent_conv_in.bias)  # pyright: ignore[reportArgumentType]
        self.detail = _detail(inner, fold, detail_width) if detail_width else None
        self.enlarger = _enlarger(inner, fold, upscale, upscale_width, upscale_blocks)

    def forward(
        self, rgb: Float[Tensor, "b 3 h w"], latent: Float[Tensor, "b c h2 w2"]
    ) -> Float[Tensor, "b 4 h3 w3"]:
        """Predicts straight colour and alpha, not clipped, `upscale` times as large as the image.

        Args:
            rgb: decoded image in [0, 1]; height and width divide by `multiple`.
            latent: adjusted latent, `pixels_per_latent` times smaller.

        Returns:
            Red, green, blue, alpha, mostly in [0, 1].
        """
        height, width = rgb.shape[-2:]
        if height % self.multiple or width % self.multiple:
            raise InputError(
                f"Height and width must divide by {self.multiple}, found {height} x {width}. Pad the image."
            )
        x = F.pixel_unshuffle(rgb, self.fold) if self.fold > 1 else rgb
        if use_row_tiles(x):  # channels-last throughout, which saves a reordering a convolution
            x = x.contiguous(memory_format=torch.channels_last)
        x = self.conv_in(x)
        skips = [x]
        for level, block in enumerate(self.down_blocks):
            if level == self.latent_level:  # after its skip was pushed, which therefore lacks the latent
                x = x + self.latent_conv_in(latent)
            x = block(x, skips)
        x = self.mid_block(x)
        for block in self.up_blocks:
            x = block(x, skips)
        read = self._read_out(x, rgb)
        rgba = torch.cat([read[:, 1:], read[:, :1]], dim=1)  # released order is alpha first
        if self.background is not None:
            rgba = unmixed(rgba, rgb, self.background)
        if self.enlarger is None:
            return rgba
        return self.enlarger(rgba, rgb, F.silu(self.conv_norm_out(x)))

    def _read_out(self, x: Tensor, rgb: Tensor) -> Tensor:
        """Converts features to alpha, red, green, blue of every pixel."""
        if self.detail is None:
            x = norm_silu_conv(x, self.conv_norm_out, self.conv_out)
            return F.pixel_shuffle(x, self.fold) if self.fold > 1 else x
        x = F.silu(self.conv_norm_out(x))
        # shuffled back and folded again: a fold by 4 puts pixels into other channels than two folds by 2
        coarse = F.pixel_unshuffle(F.pixel_shuffle(self.conv_out(x), self.fold), self.fold // 2)
        image = F.pixel_unshuffle(rgb, self.fold // 2).to(coarse)
        fine = coarse + self.detail(torch.cat([coarse, F.pixel_shuffle(x, 2), image], dim=1))
        return F.pixel_shuffle(fine, self.fold // 2)


def _detail(inner: int, fold: int, width: int) -> nn.Sequential:
    """Builds the correction of the coarse prediction, 0 before training."""
    if fold % 2 or inner % 4:
        raise InputError(
            f"detail_width needs an even fold and widths in fours, found {fold} and {inner}. Set it to 0."
        )
    pixels = (fold // 2) ** 2
    last = nn.Conv2d(width, 4 * pixels, 3, padding=1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)  # pyright: ignore[reportArgumentType]
    first = nn.Conv2d(7 * pixels + inner // 4, width, 3, padding=1)
    return nn.Sequential(first, nn.SiLU(), nn.Conv2d(width, width, 3, padding=1), nn.SiLU(), last)


def _enlarger(inner: int, fold: int, upscale: int, width: int, blocks: int) -> Enlarger | None:
    """Builds what makes the image larger; None where it stays as it is."""
    if upscale < 1:
        raise InputError(f"upscale must be 1 or more, found {upscale}. 2 doubles each side.")
    return Enlarger(inner, fold, upscale, width, blocks) if upscale > 1 else None


def unmixed(
    rgba: Float[Tensor, "b 4 h w"], rgb: Float[Tensor, "b 3 h w"], background: float
) -> Float[Tensor, "b 4 h w"]:
    """Computes the colour that gives `rgb` over `background`.

    It replaces the network's colour wholly where alpha is 0.3 or more, and not at all below 0.1, where the
    division would amplify errors.
    """
    alpha = rgba[:, 3:].detach()  # or an error of colour would be mended by a wrong alpha
    visible_colour = ((rgb - background * (1 - alpha)) / alpha.clamp_min(0.1)).to(rgba)
    share = ((alpha - 0.1) / 0.2).clamp(0, 1)
    return torch.cat([torch.lerp(rgba[:, :3], visible_colour, share), rgba[:, 3:]], dim=1)
