"""Row-tiled inference: norm, SiLU and convolution on bands of rows, with far less memory traffic.

For predictions on a CPU without gradients. A band stays in the processor's cache between the steps, so
neither the normalised image nor the joined inputs ever exist whole. Tensors are channels-last.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

BAND_VALUES = 2**20
"""Values of one band: 4 MiB in single precision, by measurement (`benchmarks/decode.py`)."""


def empty(like: Tensor, channels: int, rows: int | None = None) -> Float[Tensor, "b c rows w"]:
    """Allocates a channels-last tensor as wide as `like`, and as high unless `rows` are given."""
    batch, _, height, width = like.shape
    return like.new_empty((batch, height if rows is None else rows, width, channels)).permute(0, 3, 1, 2)


def norm_silu_conv(
    parts: Sequence[Float[Tensor, "b _ h w"]], norm: nn.GroupNorm, conv: nn.Conv2d
) -> Iterator[tuple[slice, Float[Tensor, "b c rows w"]]]:
    """Computes conv(SiLU(norm(cat(parts)))) with a 3x3 convolution, band by band.

    Yields:
        Rows and the result there.
    """
    batch, height, width = parts[0].shape[0], *parts[0].shape[-2:]
    factors = _scale_and_shift(parts, norm)
    rows = min(height, max(1, BAND_VALUES // (batch * norm.num_channels * width)))
    band = empty(parts[0], norm.num_channels, rows + 2)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        first, last = max(top - 1, 0), min(bottom + 1, height)  # a row more on each side, where there is one
        used = band[:, :, : bottom - top + 2]
        # the convolution pads its own input with zeros, so these come after the norm
        used[:, :, 0], used[:, :, -1] = 0, 0
        inside = used[:, :, first - top + 1 : last - top + 1]
        slots = torch.split(inside, [part.shape[1] for part in parts], dim=1)
        for part, slot, (scale, shift) in zip(parts, slots, factors, strict=True):
            torch.addcmul(shift, part[:, :, first:last], scale, out=slot)
        F.silu(inside, inplace=True)
        yield slice(top, bottom), F.conv2d(used, conv.weight, conv.bias, padding=(0, 1))


def upsample_conv(x: Float[Tensor, "b _ h w"], conv: nn.Conv2d) -> Float[Tensor, "b c h2 w2"]:
    """Computes the 3x3 convolution of `x` repeated to twice its sides, which never exists whole in memory."""
    batch, width, height, breadth = x.shape
    out = x.new_empty((batch, 2 * height, 2 * breadth, conv.out_channels)).permute(0, 3, 1, 2)
    rows = max(1, BAND_VALUES // (batch * 4 * width * breadth))
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        # a row more on each side, which the 3x3 kernel reaches into; at the borders zeros instead
        source = x[:, :, max(top - 1, 0) : bottom + 1]
        band = F.interpolate(source, scale_factor=2.0, mode="nearest")
        above, below = int(top == 0), int(bottom == height)
        convolved = F.conv2d(F.pad(band, (0, 0, above, below)), conv.weight, conv.bias, padding=(0, 1))
        out[:, :, 2 * top : 2 * bottom] = convolved[:, :, 1 - above :][:, :, : 2 * (bottom - top)]
    return out


def concat_conv(parts: Sequence[Float[Tensor, "b _ h w"]], conv: nn.Conv2d) -> Float[Tensor, "b c h w"]:
    """Computes the 1x1 convolution of the parts joined along channels, without joining them."""
    batch, _, height, width = parts[0].shape
    weights = torch.split(conv.weight.flatten(1).t(), [part.shape[1] for part in parts])
    pixels = [part.permute(0, 2, 3, 1).flatten(0, 2) for part in parts]
    total = F.linear(pixels[0], weights[0].t(), conv.bias)
    # added in place: the joined input, the largest tensor of the network, never exists
    for part, weight in zip(pixels[1:], weights[1:], strict=True):
        total.addmm_(part, weight)
    return total.view(batch, height, width, -1).permute(0, 3, 1, 2)


def _scale_and_shift(parts: Sequence[Tensor], norm: nn.GroupNorm) -> list[tuple[Tensor, Tensor]]:
    """Returns what the group norm multiplies and adds in each part, from sums in double precision."""
    sums = [_sums(part) for part in parts]
    total, squares = (torch.cat(joined, dim=1) for joined in zip(*sums, strict=True))
    batch, height, width = parts[0].shape[0], *parts[0].shape[-2:]
    count = height * width * norm.num_channels // norm.num_groups
    mean = total.view(batch, norm.num_groups, -1).sum(2, keepdim=True) / count
    square = squares.view(batch, norm.num_groups, -1).sum(2, keepdim=True) / count
    scale = norm.weight.view(norm.num_groups, -1) * (square - mean * mean + norm.eps).rsqrt()
    shift = norm.bias.view(norm.num_groups, -1) - mean * scale
    widths = [part.shape[1] for part in parts]
    scales, shifts = (
        torch.split(x.view(batch, -1, 1, 1).to(parts[0].dtype), widths, dim=1) for x in (scale, shift)
    )
    return list(zip(scales, shifts, strict=True))


def _sums(part: Tensor) -> tuple[Tensor, Tensor]:
    """Sums and sums of squares over the pixels, (b, c), a band at a time."""
    pixels = part.permute(0, 2, 3, 1).flatten(1, 2)
    # the variance is a difference of two large sums, which single precision would cancel away
    total = pixels.new_zeros((pixels.shape[0], pixels.shape[2]), dtype=torch.float64)
    squares = torch.zeros_like(total)
    for band in pixels.float().split(max(1, BAND_VALUES // 2 // pixels[:, 0].numel()), dim=1):
        total += band.sum(1)
        squares += band.square().sum(1)
    return total, squares
