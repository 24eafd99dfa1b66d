import numpy as np
import pytest
from PIL import Image

from pellucid.errors import InputError
from pellucid.files.conversion import to_rgba8


def test_images_of_16_bits_keep_their_levels() -> None:
    levels = np.array([[0, 255, 257, 40_000, 65_535]], np.uint16)
    found = to_rgba8(Image.fromarray(levels))
    assert found[0, :, 0].tolist() == [0, 1, 1, 156, 255]
    assert np.array_equal(found, to_rgba8(levels))


@pytest.mark.parametrize("mode", ["I", "F", "LAB"])
def test_levels_without_a_known_range_are_refused(mode: str) -> None:
    with pytest.raises(InputError, match=f"mode {mode}, whose"):
        to_rgba8(Image.new(mode, (2, 2)))


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "LA", "La", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr", "HSV"]
)
def test_other_modes_are_converted(mode: str) -> None:
    assert to_rgba8(Image.new(mode, (3, 2))).shape == (2, 3, 4)
