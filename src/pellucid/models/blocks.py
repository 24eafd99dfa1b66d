"""Convolution blocks without time embedding, named as the released decoder names its tensors."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pellucid.models import row_bands as bands

# Of the released alpha decoder; the norms of attention sharing have 1e-6.
EPS = 1e-5


def use_row_tiles(x: Tensor) -> bool:
    """Returns whether inference is row-tiled: on a CPU, without gradients."""
    # row tiles are written in place, which autograd does not allow
    return x.device.type == "cpu" and not torch.is_grad_enabled()


def norm_silu_conv(x: Float[Tensor, "b c h w"], norm: nn.GroupNorm, conv: nn.Conv2d) -> Tensor:
    """Applies group norm, SiLU and a 3x3 convolution, row-tiled where `use_row_tiles` says so."""
    if not use_row_tiles(x):
        return conv(F.silu(norm(x)))
    return _whole([x], norm, conv)


def _whole(parts: list[Tensor], norm: nn.GroupNorm, conv: nn.Conv2d) -> Tensor:
    y = bands.empty(parts[0], conv.out_channels)
    for rows, band in bands.norm_silu_conv(parts, norm, conv):
        y[:, :, rows] = band
    return y


# Tensors bear the names of the released files, so attributes here must not be renamed.
class ResBlock(nn.Module):
    """Two normalised 3x3 convolutions around a skip. Source: docs/released-format.md b.2."""

    def __init__(self, inner: int, outer: int, groups: int) -> None:
        """Maps `inner` channels to `outer`; both must divide by `groups`."""
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inner, EPS)
        self.conv1 = nn.Conv2d(inner, outer, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, outer, EPS)
        self.conv2 = nn.Conv2d(outer, outer, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(inner, outer, 1) if inner != outer else None

    def forward(
        self, x: Float[Tensor, "b _ h w"], *skips: Float[Tensor, "b _ h w"]
    ) -> Float[Tensor, "b d h w"]:
        """Joins `x` and `skips` along channels; without gradients their memory may be used again."""
        if use_row_tiles(x):
            return self._forward_row_tiled([x, *skips])
        x = torch.cat([x, *skips], dim=1) if skips else x
        y = norm_silu_conv(norm_silu_conv(x, self.norm1, self.conv1), self.norm2, self.conv2)
        return y + (x if self.conv_shortcut is None else self.conv_shortcut(x))

    def _forward_row_tiled(self, parts: list[Tensor]) -> Tensor:
        y = _whole(parts, self.norm1, self.conv1)
        spare = len(parts) > 1 and parts[-1].shape == y.shape  # a skip off the list: nobody else reads it
        out = parts[-1] if spare else bands.empty(y, y.shape[1])
        for rows, band in bands.norm_silu_conv([y], self.norm2, self.conv2):
            here = [part[:, :, rows] for part in parts]
            if self.conv_shortcut is not None:
                skip = bands.concat_conv(here, self.conv_shortcut)
            else:
                skip = torch.cat(here, dim=1) if len(here) > 1 else here[0]
            # may write into a part that is read here: of the parts a band reads no rows but its own
            torch.add(band, skip, out=out[:, :, rows])
        return out


class AttentionBlock(nn.Module):
    """Self-attention over all positions with a skip. Source: docs/released-format.md b.2."""

    def __init__(self, width: int, head_dim: int, groups: int) -> None:
        """`width` channels in heads of `head_dim`."""
        super().__init__()
        self.head_dim = head_dim
        self.group_norm = nn.GroupNorm(groups, width, EPS)
        self.to_q = nn.Linear(width, width)
        self.to_k = nn.Linear(width, width)
        self.to_v = nn.Linear(width, width)
        # a list of one, since the files call it to_out.0, as diffusers does
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        batch, width, height, breadth = x.shape
        tokens = self.group_norm(x).flatten(2).transpose(1, 2)
        q, k, v = (
            proj(tokens).view(batch, -1, width // self.head_dim, self.head_dim).transpose(1, 2)
            for proj in (self.to_q, self.to_k, self.to_v)
        )
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, -1, width)
        return x + self.to_out[0](y).transpose(1, 2).reshape(batch, width, height, breadth)


class Downsample(nn.Module):
    """Halves height and width by a strided convolution."""

    def __init__(self, width: int) -> None:
        """`width` channels in and out."""
        super().__init__()
        # padded on both sides, where diffusers' VAE pads below and to the right alone
        self.conv = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        return self.conv(x)


class Upsample(nn.Module):
    """Doubles height and width by repetition, then convolves."""

    def __init__(self, width: int) -> None:
        """`width` channels in and out."""
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
        if use_row_tiles(x):
            return bands.upsample_conv(x, self.conv)
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


def _attentions(count: int, width: int, head_dim: int | None, groups: int) -> nn.ModuleList:
    if head_dim is None:
        return nn.ModuleList()
    return nn.ModuleList(AttentionBlock(width, head_dim, groups) for _ in range(count))


class DownBlock(nn.Module):
    """Residual blocks, each with attention if `head_dim` is given, and a halving unless last."""

    def __init__(
        self, inner: int, outer: int, *, layers: int, groups: int, head_dim: int | None, last: bool
    ) -> None:
        """Maps `inner` channels to `outer`."""
        super().__init__()
        self.resnets = nn.ModuleList(
            ResBlock(inner if i == 0 else outer, outer, groups) for i in range(layers)
        )
        self.attentions = _attentions(layers, outer, head_dim, groups)
        self.downsamplers = nn.ModuleList([] if last else [Downsample(outer)])

    def forward(self, x: Float[Tensor, "b c h w"], skips: list[Tensor]) -> Tensor:
        """Appends every layer's output to `skips`."""
        for i, resnet in enumerate(self.resnets):
            x = resnet(x)
            if self.attentions:
                x = self.attentions[i](x)
            skips.append(x)
        # its output is kept, too: an up block has one layer more than the down block that it mirrors
        for downsampler in self.downsamplers:
            x = downsampler(x)
            skips.append(x)
        return x


class MidBlock(nn.Module):
    """Residual, attention (if any), residual at the lowest resolution."""

    def __init__(self, width: int, *, groups: int, head_dim: int | None) -> None:
        """`width` channels throughout."""
        super().__init__()
        self.attentions = _attentions(1, width, head_dim, groups)
        self.resnets = nn.ModuleList(ResBlock(width, width, groups) for _ in range(2))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        x = self.resnets[0](x)
        for attention in self.attentions:
            x = attention(x)
        return self.resnets[1](x)


class UpBlock(nn.Module):
    """Mirror of `DownBlock`: each layer takes one skip off the list."""

    def __init__(
        self, inner: int, skips: list[int], outer: int, *, groups: int, head_dim: int | None, last: bool
    ) -> None:
        """Maps `inner` channels to `outer`; `skips` are the widths that will be popped, in order."""
        super().__init__()
        self.resnets = nn.ModuleList(
            ResBlock((inner if i == 0 else outer) + skip, outer, groups) for i, skip in enumerate(skips)
        )
        self.attentions = _attentions(len(skips), outer, head_dim, groups)
        self.upsamplers = nn.ModuleList([] if last else [Upsample(outer)])

    def forward(self, x: Float[Tensor, "b c h w"], skips: list[Tensor]) -> Tensor:
        """Pops one of `skips` a layer, so that its memory is free again."""
        for i, resnet in enumerate(self.resnets):
            x = resnet(x, skips.pop())
            if self.attentions:
                x = self.attentions[i](x)
        for upsampler in self.upsamplers:
            x = upsampler(x)
        return x
