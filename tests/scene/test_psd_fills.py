"""Fill layers of a PSD: a colour is painted as large as the canvas, the rest is refused by name."""

import struct
from pathlib import Path

import numpy as np
import pytest

from colour_truth import lab_of_inks, press_profile, srgb_of_lab
from pellucid.errors import FileError
from pellucid.rgba.types import AnyArray
from pellucid.scene.scene import Scene
from scene import psd_files
from scene.psd_files import PROFILE, Stored, psd_file

SIZE = (5, 7)
CHANNELS = {psd_files.GREY: 1, psd_files.RGB: 3, psd_files.CMYK: 4, psd_files.LAB: 3}

RGB = ("RGBC", {"Rd  ": 235.9, "Grn ": 60.2, "Bl  ": 25.0})
HSB = ("HSBC", {"H   ": 210.0, "Strt": 50.0, "Brgh": 80.0})
GREY = ("Grsc", {"Gry ": 40.0})
INKS = ("CMYC", {"Cyn ": 80.0, "Mgnt": 10.0, "Ylw ": 0.0, "Blck": 20.0})
LAB = ("LbCl", {"Lmnc": 60.0, "A   ": 20.0, "B   ": -30.0})

Colour = tuple[str, dict[str, float]]


def key(name: str) -> bytes:
    return bytes(4) + name.encode()


def structure(name: str, items: list[bytes]) -> bytes:
    return struct.pack(">I2x", 1) + key(name) + struct.pack(">I", len(items)) + b"".join(items)


def solid(colour: Colour) -> bytes:
    """The block of a fill by the specification: a descriptor, of version 16, that holds a colour."""
    name, values = colour
    items = [key(word) + b"doub" + struct.pack(">d", value) for word, value in values.items()]
    return struct.pack(">I", 16) + structure("null", [key("Clr ") + b"Objc" + structure(name, items)])


def opened(path: Path, mode: int, depth: int, *layers: Stored) -> Scene:
    flat = np.zeros((CHANNELS[mode], *SIZE))
    resources = {PROFILE: press_profile()} if mode == psd_files.CMYK else {}
    (path / "x.psd").write_bytes(psd_file(mode, depth, flat, layers, resources))
    return Scene.open(path / "x.psd")


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(
    ("mode", "colour", "wanted"),
    [
        (psd_files.RGB, RGB, [236, 60, 25]),
        (psd_files.RGB, HSB, [102, 153, 204]),
        (psd_files.GREY, GREY, [153] * 3),
        (psd_files.CMYK, INKS, srgb_of_lab(lab_of_inks(np.array([0.8, 0.1, 0, 0.2])))),
        (psd_files.LAB, LAB, srgb_of_lab(np.array([60.0, 20, -30]))),
        (psd_files.RGB, LAB, srgb_of_lab(np.array([60.0, 20, -30]))),
    ],
)
def test_a_colour_fills_the_canvas(
    mode: int, colour: Colour, wanted: AnyArray, depth: int, tmp_path: Path
) -> None:
    layer = Stored({}, opacity=128, tags={b"SoCo": solid(colour)})
    (filled,) = opened(tmp_path, mode, depth, layer).layers
    assert filled.image.shape == (*SIZE, 4)
    assert (filled.image == filled.image[0, 0]).all()
    assert np.abs(filled.image[0, 0, :3] - np.asarray(wanted)).max() <= 1
    assert (filled.image[0, 0, 3], filled.offset, filled.opacity) == (255, (0, 0), 128 / 255)


def test_stored_pixels_of_a_fill_are_its_image(tmp_path: Path) -> None:
    channels = {number: np.full((2, 3), 70 + number) for number in range(3)}
    for tag in (b"SoCo", b"GdFl", b"PtFl"):
        layer = Stored(channels, offset=(1, 2), tags={tag: solid(RGB)})
        (filled,) = opened(tmp_path, psd_files.RGB, 8, layer).layers
        assert (filled.image == [70, 71, 72, 255]).all()
        assert filled.offset == (1, 2)


@pytest.mark.parametrize(
    ("mode", "depth", "tag", "colour", "message"),
    [
        (psd_files.RGB, 8, b"GdFl", RGB, "filled with a gradient"),
        (psd_files.RGB, 8, b"PtFl", RGB, "filled with a pattern"),
        (psd_files.RGB, 8, b"SoCo", INKS, "another kind than the document's .RGB of 8 bits"),
        (
            psd_files.RGB,
            32,
            b"SoCo",
            RGB,
            "light of unknown strength, and the file holds no image of the whole",
        ),
        (psd_files.GREY, 8, b"SoCo", RGB, "another kind than the document's .GRAYSCALE"),
        (psd_files.RGB, 8, b"SoCo", ("RGBC", {"Rd  ": 1.0}), "damaged"),
        (psd_files.RGB, 8, b"SoCo", ("RGBC", {**RGB[1], "Rd  ": np.nan}), "damaged"),
    ],
)
def test_other_fills_are_refused_by_name(
    mode: int, depth: int, tag: bytes, colour: Colour, message: str, tmp_path: Path
) -> None:
    with pytest.raises(FileError, match=message):
        opened(tmp_path, mode, depth, Stored({}, tags={tag: solid(colour)}))
