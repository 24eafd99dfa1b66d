"""Decoding in several orientations, padded to the network's multiple, optionally in tiles.

Released decoding predicts all eight orientations of the square and keeps the lower median.
Source: docs/released-format.md b.3.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from pellucid.errors import InputError

ORIENTATIONS = {
    # passes: (flip along the width first?, quarter turns counter-clockwise)
    1: ((False, 0),),
    2: ((False, 0), (True, 2)),
    4: ((False, 0), (False, 2), (True, 1), (True, 3)),
    8: tuple((flip, turns) for flip in (False, True) for turns in range(4)),
}
EXCHANGES = {  # Batcher's sorting networks, which sort in place: torch.median would need a copy of all
    1: (),
    2: ((0, 1),),
    4: ((0, 1), (2, 3), (0, 2), (1, 3), (1, 2)),
    8: (
        *((0, 1), (2, 3), (4, 5), (6, 7), (0, 2), (1, 3), (4, 6), (5, 7), (1, 2), (5, 6)),
        *((0, 4), (1, 5), (2, 6), (3, 7), (2, 4), (3, 5), (1, 2), (3, 4), (5, 6)),
    ),
}  # fmt: skip

Predict = Callable[[Tensor, Tensor], Tensor]


def orient(x: Float[Tensor, "b c h w"], flip: bool, turns: int) -> Float[Tensor, "b c h2 w2"]:
    """Flips along the width, then turns counter-clockwise."""
    return torch.rot90(x.flip(3) if flip else x, turns, (2, 3))


def restore(x: Float[Tensor, "b c h w"], flip: bool, turns: int) -> Float[Tensor, "b c h2 w2"]:
    """Undoes `orient`."""
    x = torch.rot90(x, -turns, (2, 3))
    return x.flip(3) if flip else x


def median_in_place(stack: Float[Tensor, "n b c h w"]) -> Float[Tensor, "b c h w"]:
    """Sorts along the first axis in its own memory and returns the middle.

    Of 8 it is the 4th smallest, as released; of 2 and 4 the mean of the middle pair, because the
    lower of so few would be biased.
    """
    count = stack.shape[0]
    for low, high in EXCHANGES[count]:
        smaller = torch.minimum(stack[low], stack[high])
        torch.maximum(stack[low], stack[high], out=stack[high])
        stack[low] = smaller
    if count in (2, 4):
        return stack[count // 2 - 1].add_(stack[count // 2]).mul_(0.5)
    return stack[(count - 1) // 2]


@torch.no_grad()
def decode_augmented(
    predict: Predict,
    rgb: Float[Tensor, "b 3 h w"],
    latent: Float[Tensor, "b c h2 w2"],
    *,
    passes: int = 8,
    upscale: int = 1,
) -> Float[Tensor, "b 4 h3 w3"]:
    """Returns the median of `predict` over orientations, clipped to [0, 1].

    Args:
        predict: maps colour and latent to RGBA, for any orientation of the same size.
        rgb: decoded image in [0, 1].
        latent: its latent.
        passes: orientations to average over: 1, 2, 4 or 8.
        upscale: how many times larger each side is that `predict` returns.

    Source: docs/released-format.md b.3.3, one orientation at a time, which needs the least memory.
    """
    if passes not in ORIENTATIONS:
        raise InputError(
            f"passes must be one of {list(ORIENTATIONS)}, found {passes}. Use 8 for the released."
        )
    size = [upscale * side for side in rgb.shape[2:]]
    stack = rgb.new_empty((passes, rgb.shape[0], 4, *size))
    for i, (flip, turns) in enumerate(ORIENTATIONS[passes]):
        for row in range(rgb.shape[0]):  # an image's result must not depend on its batch
            one = slice(row, row + 1)
            predicted = predict(orient(rgb[one], flip, turns), orient(latent[one], flip, turns))
            stack[i, one] = restore(predicted.clamp_(0, 1), flip, turns)
    return median_in_place(stack).clone() if passes > 1 else stack[0]


def decode_padded(
    predict: Predict, rgb: Float[Tensor, "b 3 h w"], latent: Float[Tensor, "b c h2 w2"], *, multiple: int
) -> Float[Tensor, "b 4 h3 w3"]:
    """Runs `predict` on an image extended by its edge to a `multiple`, and crops the result.

    The latent must be the image's, smaller by a factor that divides both sides and `multiple`. The result
    may be larger than the image by a whole factor.
    """
    height, width = rgb.shape[-2:]
    factor = height // latent.shape[-2]
    below, right = -height % multiple, -width % multiple
    if below or right:
        rgb = F.pad(rgb, (0, right, 0, below), mode="replicate")
        latent = F.pad(latent, (0, right // factor, 0, below // factor), mode="replicate")
    predicted = predict(rgb, latent)
    upscale = predicted.shape[-2] // rgb.shape[-2]
    return predicted[..., : upscale * height, : upscale * width]


def decode_tiled(
    predict: Predict,
    rgb: Float[Tensor, "b 3 h w"],
    latent: Float[Tensor, "b c h2 w2"],
    *,
    tile: int,
    overlap: int,
    upscale: int = 1,
) -> Float[Tensor, "b 4 h3 w3"]:
    """Runs `predict` on overlapping tiles and blends them linearly across the overlap.

    Norms see one tile at a time, so the result differs a little from a whole prediction.

    Args:
        predict: maps a tile of colour and latent to RGBA.
        rgb: decoded image in [0, 1].
        latent: its latent.
        tile: side of a tile in pixels; an image that fits in one tile is not cut.
        overlap: pixels that neighbours share. Both are multiples of the pixels of one latent.
        upscale: how many times larger each side is that `predict` returns. Tiles are pixels of `rgb`.
    """
    height, width = rgb.shape[-2:]
    factor = height // latent.shape[-2]
    if overlap >= tile or tile % factor or overlap % factor:
        raise InputError(
            f"tile {tile} and overlap {overlap} must be multiples of {factor}, tile the larger. Use 512, 64."
        )
    size = upscale * height, upscale * width
    total, weights = rgb.new_zeros((rgb.shape[0], 4, *size)), rgb.new_zeros((1, 1, *size))
    for top in _starts(height, tile, overlap):
        for left in _starts(width, tile, overlap):
            rows, columns = slice(top, top + tile), slice(left, left + tile)
            tile_latent = latent[
                ..., top // factor : (top + tile) // factor, left // factor : (left + tile) // factor
            ]
            part = predict(rgb[..., rows, columns], tile_latent)
            high, wide = part.shape[-2:]
            down = _ramp(high, upscale * top, size[0], upscale * overlap, rgb)
            weight = down[:, None] * _ramp(wide, upscale * left, size[1], upscale * overlap, rgb)
            there = (slice(upscale * top, upscale * top + high), slice(upscale * left, upscale * left + wide))
            total[..., *there] += part * weight
            weights[..., *there] += weight
    return total.div_(weights)


def _starts(length: int, tile: int, overlap: int) -> list[int]:
    if length <= tile:
        return [0]
    # the last tile ends at the edge, however much it overlaps the one before
    return [*range(0, length - tile, tile - overlap), length - tile]


def _ramp(size: int, start: int, length: int, overlap: int, like: Tensor) -> Tensor:
    """Weighs one side of a tile: rises over the overlap, but never falls at the image's edge."""
    weight = torch.ones(size, dtype=like.dtype, device=like.device)
    # never 0, since the sum of weights is divided by
    rise = torch.arange(1, overlap + 1, dtype=like.dtype, device=like.device) / (overlap + 1)
    if start > 0:
        weight[:overlap] *= rise
    if start + size < length:
        weight[size - overlap :] *= rise.flip(0)
    return weight
