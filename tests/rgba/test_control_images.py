"""What control models are shown."""

import numpy as np
import pytest

from pellucid.errors import InputError
from pellucid.rgba.control_images import edges, silhouette, structure


def disc(background: int | None) -> np.ndarray:
    rows, columns = np.mgrid[:64, :64]
    inside = (rows - 32) ** 2 + (columns - 32) ** 2 < 400
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[..., 3] = inside * np.uint8(255) if background is None else 255
    rgba[..., :3] = np.where(inside[..., None], 40, 0 if background is None else background)
    return rgba


@pytest.mark.parametrize("background", [255, 90])
def test_a_shape_drawn_on_a_plain_ground_is_the_shape_cut_out(background: int) -> None:
    cut = silhouette(disc(None))
    assert (silhouette(disc(background)) == cut).all()
    assert set(np.unique(cut)) == {0, 255}


def test_half_transparent_things_keep_their_alpha() -> None:
    rgba = disc(None)
    rgba[..., 3] //= 2
    assert (silhouette(rgba) == rgba[..., 3]).all()


def test_edges_lie_on_the_outline_alone() -> None:
    rows, columns = np.nonzero(edges(disc(None)))
    radius = np.hypot(rows - 32, columns - 32)
    assert len(radius) > 60
    assert abs(radius - 20).max() < 2.5


def test_kinds_leave_the_other_channel_black() -> None:
    found = {kind: structure(disc(None), kind).max(axis=(0, 1)) for kind in ("both", "silhouette", "edges")}
    assert [list(each) for each in found.values()] == [[255, 255, 0], [255, 0, 0], [0, 255, 0]]
    with pytest.raises(InputError, match="Expected a structure"):
        structure(disc(None), "depth")
