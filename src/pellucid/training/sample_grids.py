"""Sample grids: rows of pictures in one PNG."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from pellucid.rgba.preview import checkerboard


def write_sample_grid(rows: Sequence[Tensor], path: Path) -> None:
    """Writes rows of pictures, each (n, 3 or 4, h, w) in [0, 1]; RGBA is laid over a checkerboard."""
    strips = [torch.cat([_opaque(picture.float().cpu()) for picture in row], dim=-1) for row in rows]
    sheet = torch.cat(strips, dim=-2)
    scale = 2 if sheet.shape[-1] <= 1024 else 1  # so that small pictures can be seen
    sheet = functional.interpolate(sheet[None], scale_factor=scale)[0]
    Image.fromarray(sheet.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()).save(path)


def _opaque(picture: Tensor) -> Tensor:
    if len(picture) == 3:
        return picture
    board = torch.from_numpy(checkerboard(*picture.shape[1:], cell_px=8)).permute(2, 0, 1)
    return picture[:3] * picture[3:] + board * (1 - picture[3:])
