"""Sample sheets: rows of pictures in one PNG."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional


def write_sheet(rows: Sequence[Tensor], path: Path, *, scale: int = 2) -> None:
    """Writes rows of pictures, each (n, 3 or 4, h, w) in [0, 1]; RGBA is laid over a checkerboard."""
    strips = [torch.cat([_opaque(picture) for picture in row], dim=-1) for row in rows]
    sheet = functional.interpolate(torch.cat(strips, dim=-2)[None], scale_factor=scale)[0]
    Image.fromarray(sheet.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()).save(path)


def _opaque(picture: Tensor) -> Tensor:
    if len(picture) == 3:
        return picture
    rows, columns = torch.meshgrid(
        torch.arange(picture.shape[1]), torch.arange(picture.shape[2]), indexing="ij"
    )
    board = 0.45 + 0.1 * ((rows // 8 + columns // 8) % 2).float()
    return picture[:3] * picture[3:] + board * (1 - picture[3:])
