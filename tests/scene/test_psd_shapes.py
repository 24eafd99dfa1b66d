"""Shapes of a PSD: fills whose vector mask is drawn in the stored alpha, alone and beside painted masks."""

import struct
from pathlib import Path

import numpy as np
import pytest

from pellucid.errors import FileError
from pellucid.scene.scene import Scene
from scene.psd_files import CLEAR, MASK, RGB, Stored, psd_file

REAL_MASK = -3
FROM_RENDER = 8
SHAPE = np.clip(np.hypot(*(np.mgrid[:8, :9] - 4.0)) * -80 + 300, 0, 255).astype(np.uint8)
COLOUR = {number: np.full_like(SHAPE, level) for number, level in enumerate((200, 40, 90))}
FLAT = np.full((3, 12, 12), 255, np.uint8)
FILL = {b"SoCo": bytes(16)}
VECTOR = {b"vmsk": struct.pack(">IIH24x", 3, 0, 6)}
PAINTED = np.random.default_rng(0).integers(0, 256, (12, 12), dtype=np.uint8)


def rectangle(levels: np.ndarray, top: int, left: int) -> bytes:
    return struct.pack(">4i", top, left, top + levels.shape[0], left + levels.shape[1])


def opened(layer: Stored, path: Path) -> Scene:
    (path / "x.psd").write_bytes(
        psd_file(RGB, 8, FLAT, [Stored({0: FLAT[0], 1: FLAT[1], 2: FLAT[2]}), layer])
    )
    return Scene.open(path / "x.psd")


def test_a_shape_is_its_stored_pixels(tmp_path: Path) -> None:
    shape = opened(Stored({CLEAR: SHAPE, **COLOUR}, (2, 1), tags={**FILL, **VECTOR}), tmp_path).layers[1]
    assert np.array_equal(shape.image[..., 3], SHAPE)
    assert shape.mask is None


def test_its_vector_mask_stored_once_more_counts_once(tmp_path: Path) -> None:
    mask = rectangle(SHAPE, 2, 1) + bytes([0, FROM_RENDER, 0, 0])
    channels = {CLEAR: SHAPE, **COLOUR, MASK: SHAPE}
    shape = opened(Stored(channels, (2, 1), tags={**FILL, **VECTOR}, mask=mask), tmp_path).layers[1]
    assert shape.mask is None


def test_a_painted_mask_beside_it_is_kept(tmp_path: Path) -> None:
    both = np.rint(SHAPE / 255.0 * PAINTED[2:10, 1:10]).astype(np.uint8)
    mask = rectangle(both, 2, 1) + bytes([0, FROM_RENDER]) + bytes([0, 255]) + rectangle(PAINTED, 0, 0)
    layer = Stored(
        {CLEAR: SHAPE, **COLOUR, MASK: both},
        (2, 1), tags={**FILL, **VECTOR}, mask=mask, sizes={REAL_MASK: PAINTED},
    )  # fmt: skip
    scene = opened(layer, tmp_path)
    found = scene.layers[1].mask
    assert found is not None
    assert np.array_equal(found.image, PAINTED)
    assert (found.offset, found.outside, found.enabled) == ((0, 0), 255, True)
    only = Scene(layers=(scene.layers[1],), height=12, width=12).composite()
    assert np.abs(only[2:10, 1:10, 3].astype(int) - both).max() <= 1


@pytest.mark.parametrize(
    ("channels", "tags"),
    [({CLEAR: SHAPE, **COLOUR}, VECTOR), (COLOUR, {**FILL, **VECTOR})],
    ids=["pixels", "not drawn"],
)
def test_a_vector_mask_that_is_not_drawn_is_refused(
    channels: dict[int, np.ndarray], tags: dict[bytes, bytes], tmp_path: Path
) -> None:
    with pytest.raises(FileError, match="'a' has a vector mask, of which no pixels are stored"):
        opened(Stored(channels, (2, 1), tags=tags), tmp_path)
