"""GIF, BMP, ICO and TGA: with their transparency, or refused by name."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pellucid.errors import FileError
from pellucid.files.images import read_image, read_rgba
from pellucid.rgba.types import AnyArray

RGBA = np.random.default_rng(4).integers(0, 256, (16, 16, 4), dtype=np.uint8)


def saved(format: str, pixels: AnyArray = RGBA, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format, **options)
    return file.getvalue()


def put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def icon(form: str) -> bytes:
    return saved("ICO", sizes=[(16, 16)], bitmap_format=form)


@pytest.mark.parametrize(
    ("format", "content"),
    [
        ("BMP", saved("BMP")),
        ("TGA", saved("TGA")),
        ("TGA", saved("TGA", compression="tga_rle")),
        ("ICO", icon("bmp")),
        ("ICO", icon("png")),
    ],
)
def test_alpha_is_kept(tmp_path: Path, format: str, content: bytes) -> None:
    found = read_image(put(tmp_path / f"x.{format.lower()}", content))
    assert found.format == format
    assert np.array_equal(found.rgba, RGBA)


@pytest.mark.parametrize("format", ["BMP", "TGA"])
def test_a_fourth_byte_that_nobody_set_is_no_alpha(tmp_path: Path, format: str) -> None:
    clear = RGBA.copy()
    clear[..., 3] = 0
    content = bytearray(saved(format, clear))
    if format == "TGA":
        content[17] &= 0xF0  # no bits of alpha are declared
    found = read_rgba(put(tmp_path / f"x.{format.lower()}", bytes(content)))
    assert (found[..., 3] == 255).all()
    assert np.array_equal(found[..., :3], RGBA[..., :3])


def test_rows_of_a_bitmap_may_go_down() -> None:
    content = bytearray(saved("BMP"))
    content[22:26] = struct.pack("<i", -16)
    assert np.array_equal(read_rgba(bytes(content)), RGBA[::-1])


@pytest.mark.parametrize("format", ["BMP", "TGA"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_opaque_ones_are_opaque(tmp_path: Path, format: str, mode: str) -> None:
    image = Image.fromarray(RGBA[..., :3]).convert(mode)
    file = io.BytesIO()
    image.save(file, format)
    found = read_rgba(put(tmp_path / f"x.{format.lower()}", file.getvalue()))
    assert np.array_equal(found, np.asarray(image.convert("RGBA")))


def gif(clear: int | None, place: tuple[int, int] = (0, 0)) -> bytes:
    """Builds a still of 2 x 2 in a canvas of 4 x 4: red, green, blue and white."""
    colours = bytes([255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255])
    control = b"" if clear is None else b"\x21\xf9\4\1\0\0" + bytes([clear]) + b"\0"
    frame = b"," + struct.pack("<4H", *place, 2, 2) + b"\0"
    # codes of three bits each: clear, 0, 1, 2, 3, end; the third literal makes codes a bit longer
    bits, width = 0, 0
    for code, size in ((4, 3), (0, 3), (1, 3), (2, 3), (3, 4), (5, 4)):
        bits |= code << width
        width += size
    data = bits.to_bytes(3, "little")
    return (
        b"GIF89a"
        + struct.pack("<2H", 4, 4)
        + b"\x81\0\0"
        + colours
        + control
        + frame
        + b"\2\3"
        + data
        + b"\0;"
    )


@pytest.mark.parametrize("clear", [None, 0, 2])
@pytest.mark.parametrize("place", [(0, 0), (1, 2)])
def test_a_gif_is_clear_where_it_says_and_where_it_has_no_pixels(
    clear: int | None, place: tuple[int, int]
) -> None:
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]])
    found = read_rgba(gif(clear, place))
    left, top = place
    part = found[top : top + 2, left : left + 2].reshape(4, 4)
    assert part[:, 3].tolist() == [0 if index == clear else 255 for index in range(4)]
    assert np.array_equal(part[:, :3], colours)
    assert int((found[..., 3] > 0).sum()) == (4 if clear is None else 3)


def test_animated_gifs_are_refused() -> None:
    file = io.BytesIO()
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    with pytest.raises(FileError, match=r"holds 2 (frames|pages)"):
        read_rgba(file.getvalue())


def test_tga_alpha_of_uncertain_meaning_is_refused(tmp_path: Path) -> None:
    sixteen = struct.pack("<3B5x4H2B", 0, 0, 2, 0, 0, 1, 1, 16, 1) + b"\xff\x7f"
    with pytest.raises(FileError, match="alpha bit"):
        read_rgba(put(tmp_path / "x.tga", sixteen))
    opaque = sixteen[:17] + b"\0" + sixteen[18:]
    assert read_rgba(put(tmp_path / "y.tga", opaque)).tolist() == [[[255, 255, 255, 255]]]
    plain = saved("TGA").removesuffix(b"\0" * 8 + b"TRUEVISION-XFILE.\0")
    extension = bytes(494) + b"\4"
    footer = struct.pack("<II", len(plain), 0) + b"TRUEVISION-XFILE.\0"
    with pytest.raises(FileError, match="multiplied by alpha"):
        read_rgba(plain + extension + footer)


@pytest.mark.parametrize("format", ["GIF", "BMP", "RLE", "TGA", "RLE TGA", "ICO", "PNG ICO"])
def test_a_still_cut_off_anywhere_is_refused_or_right(tmp_path: Path, format: str) -> None:
    content = {
        "GIF": saved("GIF", RGBA[..., 0]),
        "BMP": saved("BMP"),
        "RLE": rle_bitmap(),
        "TGA": saved("TGA"),
        "RLE TGA": saved("TGA", compression="tga_rle"),
        "ICO": icon("bmp"),
        "PNG ICO": icon("png"),
    }[format]
    path = tmp_path / f"x.{format.split()[-1].lower()}"
    right = read_rgba(put(path, content))
    for length in range(len(content)):
        try:
            found = read_rgba(put(path, content[:length]))
        except FileError:
            continue
        assert np.array_equal(found, right), length


def rle_bitmap() -> bytes:
    """Builds a bitmap of 4 x 2 with runs, in a palette of 256."""
    colours = b"".join(bytes([index, 0, 255 - index, 0]) for index in range(256))
    runs = b"\4\x10\0\0\2\x20\2\x30\0\1"
    start = 14 + 40 + len(colours)
    header = struct.pack("<IiiHHIIiiII", 40, 4, 2, 1, 8, 1, len(runs), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", start + len(runs), 0, 0, start) + header + colours + runs


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"8BPS\0\1", "PSD"),
        (b"%PDF-1.7", "PDF"),
        (b'<svg xmlns="x">', "SVG"),
        (b"qoif", "QOI"),
        (b"\x76\x2f\x31\x01", "OpenEXR"),
    ],
)
def test_formats_that_are_not_read_are_named(start: bytes, kind: str) -> None:
    with pytest.raises(FileError, match=f"it is a.* {kind}"):
        read_rgba(start + bytes(100))


def test_an_icon_that_holds_more_than_it_says_counts_as_what_it_holds() -> None:
    content = bytearray(icon("png"))
    content[6:8] = b"\4\4"
    assert read_rgba(bytes(content)).shape == RGBA.shape
    with pytest.raises(FileError, match="more than the limit of 100"):
        read_rgba(bytes(content), max_pixels=100)
