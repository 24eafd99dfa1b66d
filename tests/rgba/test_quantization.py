import numpy as np
import pytest

from pellucid.errors import InputError
from pellucid.rgba.quantization import narrow_to_bytes, to_bytes, to_float, to_uint16

FLOATS = [np.float32, np.float64]


@pytest.mark.parametrize("dtype", [np.float16, *FLOATS])
@pytest.mark.parametrize("truncate", [False])
def test_every_byte_survives_a_round_trip(dtype: type, truncate: bool) -> None:
    levels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(to_bytes(to_float(levels, dtype), truncate=truncate), levels)


@pytest.mark.parametrize("dtype", FLOATS)
def test_every_16_bit_level_survives_a_round_trip(dtype: type) -> None:
    levels = np.arange(65536, dtype=np.uint16)
    assert np.array_equal(to_uint16(to_float(levels, dtype)), levels)


def test_rounding_is_the_default_and_truncation_an_option() -> None:
    values = np.array([-1, 0.001, 0.9 / 255, 254.9 / 255, 1, 2, np.inf, -np.inf])
    assert to_bytes(values).tolist() == [0, 0, 1, 255, 255, 255, 255, 0]
    assert to_bytes(values, truncate=True).tolist() == [0, 0, 0, 254, 255, 255, 255, 0]


def test_16_bits_narrow_to_the_nearest_byte() -> None:
    levels = np.arange(65536, dtype=np.uint16)
    assert np.array_equal(narrow_to_bytes(levels), np.rint(levels / 257).astype(np.uint8))
    assert np.array_equal(narrow_to_bytes(levels.astype(np.uint8)), levels.astype(np.uint8))


def test_nan_and_integers_are_refused() -> None:
    with pytest.raises(InputError, match="1 NaN of 2"):
        to_bytes(np.array([0, np.nan]))
    with pytest.raises(InputError, match="found int64"):
        to_bytes(np.array([0, 1], np.int64))
    with pytest.raises(InputError, match="found int32"):
        to_float(np.array([0, 1], np.int32))
