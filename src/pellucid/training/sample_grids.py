"""Sample grids: rows of images in one PNG."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from pellucid.rgba.preview import checkerboard


def write_sample_grid(rows: Sequence[Tensor], path: Path) -> None:
    """Writes rows of images, each (n, 3 or 4, h, w) in [0, 1]; RGBA is laid over a checkerboard.

    Rows of smaller images, as the frozen VAE makes beside a decoder that enlarges, are shown as large.
    """
    side = max(row.shape[-1] for row in rows)
    larger = [functional.interpolate(row.float(), scale_factor=side // row.shape[-1]) for row in rows]
    strips = [torch.cat([_opaque(image.cpu()) for image in row], dim=-1) for row in larger]
    sheet = torch.cat(strips, dim=-2)
    scale = 2 if sheet.shape[-1] <= 1024 else 1  # so that small images can be seen
    sheet = functional.interpolate(sheet[None], scale_factor=scale)[0]
    Image.fromarray(sheet.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()).save(path)


def _opaque(image: Tensor) -> Tensor:
    if len(image) == 3:
        return image
    board = torch.from_numpy(checkerboard(*image.shape[1:], cell_px=8)).permute(2, 0, 1)
    return image[:3] * image[3:] + board * (1 - image[3:])
