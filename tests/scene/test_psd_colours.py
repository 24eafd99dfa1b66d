"""PSD documents of every colour mode and depth: right by formulas in doubles, or refused by name."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from colour_truth import lab_of_inks, press_profile, srgb_of_lab, srgb_of_light
from pellucid.errors import FileError, FileWarning
from pellucid.files.colour_profiles import PRIMARIES, SRGB_CURVE, SRGB_PRIMARIES, build_profile
from pellucid.rgba.types import AnyArray
from pellucid.scene.scene import Scene
from scene import psd_files
from scene.psd_files import CLEAR, PROFILE, Stored, psd_file

RANDOM = np.random.default_rng(7)
SIZE = (12, 13)
LINEAR = build_profile(SRGB_PRIMARIES, (1.0,))


def levels(channels: int, depth: int, power: float = 1) -> AnyArray:
    shares = RANDOM.random((channels, *SIZE)) ** power
    return shares if depth == 32 else np.rint(shares * (2**depth - 1))


def opened(content: bytes, path: Path) -> Scene:
    path = path / "x.psd"
    path.write_bytes(content)
    return Scene.open(path)


def shares(stored: AnyArray, top: int) -> AnyArray:
    return np.moveaxis(stored, 0, -1) / top


def of_press(stored: AnyArray, top: int) -> AnyArray:
    # the file has what is left of the paper
    return srgb_of_lab(lab_of_inks(1 - shares(stored, top)))


def of_lab(stored: AnyArray, top: int) -> AnyArray:
    return srgb_of_lab(shares(stored, top) * (100, 255, 255) - (0, 128, 128))


def of_light(stored: AnyArray, top: int) -> AnyArray:
    return srgb_of_light(shares(stored, top))


def of_srgb(stored: AnyArray, top: int) -> AnyArray:
    return shares(stored, top) * 255


Truth = Callable[[AnyArray, int], AnyArray]
# far outside the gamut the last digits of a matrix count: 1.3 levels for Lab, 0.3 for 99.9 % of its colours
MODES: list[tuple[int, int, int, bytes, Truth, float]] = [
    (psd_files.CMYK, 4, 8, press_profile(), of_press, 1.0),
    (psd_files.CMYK, 4, 16, press_profile(), of_press, 1.5),
    (psd_files.LAB, 3, 8, b"", of_lab, 1.8),
    (psd_files.LAB, 3, 16, b"", of_lab, 1.8),
    (psd_files.RGB, 3, 16, LINEAR, of_light, 0.7),
    (psd_files.RGB, 3, 32, LINEAR, of_light, 0.7),
    (psd_files.RGB, 3, 32, b"", of_light, 0.7),
    (psd_files.RGB, 3, 16, b"", of_srgb, 0.5),
    (psd_files.GREY, 1, 16, LINEAR, of_light, 0.7),
    (psd_files.GREY, 1, 32, b"", of_light, 0.7),
]


@pytest.mark.parametrize("power", [1, 3])
@pytest.mark.parametrize(("mode", "channels", "depth", "profile", "truth", "close"), MODES)
def test_layers_and_flattened_images_are_right(
    mode: int,
    channels: int,
    depth: int,
    profile: bytes,
    truth: Truth,
    close: float,
    power: float,
    tmp_path: Path,
) -> None:
    flat, upper = levels(channels, depth, power), levels(channels, depth, power)
    top = 1 if depth == 32 else 2**depth - 1
    alpha = levels(1, depth)[0]
    resources: dict[int, bytes] = {PROFILE: profile} if profile else {}
    whole = opened(psd_file(mode, depth, flat, resources=resources), tmp_path).layers[0]
    assert np.abs(whole.image[..., :3] - truth(flat, top)).max() <= close
    assert (whole.image[..., 3] == 255).all()
    layer = Stored({**dict(enumerate(upper)), CLEAR: alpha}, offset=(-1, 2), opacity=200)
    scene = opened(psd_file(mode, depth, flat, [layer], resources), tmp_path)
    assert np.abs(scene.layers[0].image[..., :3] - truth(upper, top)).max() <= close
    assert np.abs(scene.layers[0].image[..., 3] - alpha / top * 255).max() <= 0.5
    assert (scene.layers[0].offset, scene.layers[0].opacity) == ((-1, 2), 200 / 255)


def test_bits_are_ink(tmp_path: Path) -> None:
    bits = levels(1, 1)
    image = opened(psd_file(psd_files.BITMAP, 1, bits), tmp_path).layers[0].image
    assert np.array_equal(image[..., :3], np.repeat(255 * (1 - bits[0])[..., None], 3, axis=-1))


@pytest.mark.parametrize("clear", [None, 3])
@pytest.mark.parametrize("profile", [b"", LINEAR])
def test_places_in_a_table(profile: bytes, clear: int | None, tmp_path: Path) -> None:
    table = RANDOM.integers(0, 256, (3, 256), dtype=np.uint8)
    places = RANDOM.integers(0, 5, (1, *SIZE))
    resources: dict[int, bytes] = {PROFILE: profile} if profile else {}
    if clear is not None:
        resources[psd_files.CLEAR_INDEX] = struct.pack(">H", clear)
    content = psd_file(psd_files.INDEXED, 8, places, resources=resources, table=table.tobytes())
    image = opened(content, tmp_path).layers[0].image
    colours = table.T[places[0]]
    wanted = srgb_of_light(colours / 255) if profile else colours
    assert np.abs(image[..., :3] - wanted).max() <= 1.5
    assert np.array_equal(image[..., 3], np.where(places[0] == clear, 0, 255))


@pytest.mark.parametrize(
    ("mode", "channels", "depth", "message"),
    [
        (psd_files.CMYK, 4, 8, "CMYK without a colour profile"),
        (psd_files.DUOTONE, 1, 8, "a duotone, whose inks"),
        (psd_files.MULTICHANNEL, 3, 8, "multichannel, whose inks"),
        (psd_files.LAB, 3, 32, "LAB of 32 bits"),
        (psd_files.RGB, 3, 1, "RGB of 1 bits"),
    ],
)
def test_what_cannot_be_shown_right_is_refused_by_name(
    mode: int, channels: int, depth: int, message: str, tmp_path: Path
) -> None:
    with pytest.raises(FileError, match=message):
        opened(psd_file(mode, depth, levels(channels, depth)), tmp_path)


def test_levels_above_white_are_refused_where_they_are_seen(tmp_path: Path) -> None:
    bright = levels(3, 32)
    bright[0, 2, 3] = 1.5
    with pytest.raises(FileError, match="high dynamic range"):
        opened(psd_file(psd_files.RGB, 32, bright), tmp_path)
    alpha = np.ones(SIZE)
    alpha[2, 3] = 0
    layer = Stored({**dict(enumerate(bright)), CLEAR: alpha})
    assert opened(psd_file(psd_files.RGB, 32, bright, [layer]), tmp_path).layers
    bright[0, 2, 3] = 1.0000098  # as Photoshop stores white
    assert opened(psd_file(psd_files.RGB, 32, bright), tmp_path).layers
    bright[0, 2, 3] = np.nan
    with pytest.raises(FileError, match="damaged"):
        opened(psd_file(psd_files.RGB, 32, bright), tmp_path)


@pytest.mark.parametrize("sheer", [False, True])
def test_blending_in_other_spaces(sheer: bool, tmp_path: Path) -> None:
    def layered(mode: int, channels: int, depth: int, profile: bytes = b"") -> bytes:
        flat = levels(channels, depth)
        top = 1 if depth == 32 else 255
        alpha = np.full(SIZE, top * (0.5 if sheer else 1))
        layers = [Stored({**dict(enumerate(flat)), CLEAR: alpha}) for _ in range(2)]
        return psd_file(mode, depth, flat, layers, {PROFILE: profile} if profile else {})

    wide = build_profile(PRIMARIES[12], SRGB_CURVE)
    others = [(psd_files.CMYK, 4, press_profile()), (psd_files.LAB, 3, b"")]
    for mode, channels, profile in others:
        content = layered(mode, channels, 8, profile)
        if sheer:
            with pytest.warns(FileWarning, match="made to blend in"):
                opened(content, tmp_path)
        else:
            opened(content, tmp_path)
    for profile in (b"", build_profile(SRGB_PRIMARIES, SRGB_CURVE), wide):
        scene = opened(layered(psd_files.RGB, 3, 8, profile), tmp_path)
        assert scene.blend_profile == (wide if profile is wide else None)
    assert opened(layered(psd_files.GREY, 1, 8, LINEAR), tmp_path).blend_profile == LINEAR
    content = layered(psd_files.RGB, 3, 32)
    if sheer:
        with pytest.raises(FileError, match="blended as light"):
            opened(content, tmp_path)
        with pytest.warns(FileWarning, match="blended as light, and .*; the file's flattened image"):
            (flat,) = Scene.open(tmp_path / "x.psd", unsupported="flatten").layers
        assert flat.image.shape == (*SIZE, 4)
        scene = Scene.open(tmp_path / "x.psd", unsupported="skip")
        assert len(scene.layers) == 2
        assert scene.blend_profile is not None
    else:
        assert len(opened(content, tmp_path).layers) == 2


@pytest.mark.parametrize("depth", [8, 16, 32])
def test_a_layer_that_cannot_be_unpacked_is_damaged(depth: int, tmp_path: Path) -> None:
    flat = levels(3, depth)
    content = bytearray(psd_file(psd_files.RGB, depth, flat, [Stored(dict(enumerate(flat)))]))
    first = bytes(content).index(psd_files.stored(flat[0], depth))
    content[first - 1] = 2  # by zlib, which these bytes are not
    with pytest.raises(FileError, match="damaged"):
        opened(bytes(content), tmp_path)
