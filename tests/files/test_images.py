import io
import os
import random
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from building import icc_profile
from pellucid.errors import FileError, FileWarning, InputError
from pellucid.files.images import encode_image, read_image, read_rgba, write_image
from pellucid.files.metadata import GenerationMetadata

RGBA = np.random.default_rng(5).integers(0, 256, (13, 17, 4), dtype=np.uint8)
RGBA[:4, :, 3] = 0
PROVENANCE = GenerationMetadata(
    prompt="a 🦊 — grün\nglass", seed=2**63, model="mini", steps=20, guidance=2.5, extra={"k": None}
)
TWO_SENTENCES = r"^Cannot .+\. [A-Z].+\.$"


def png(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


@pytest.mark.parametrize("ending", ["png", "webp", "tiff", "tif", "PNG"])
def test_lossless_formats_keep_every_byte(tmp_path: Path, ending: str) -> None:
    path = write_image(RGBA, tmp_path / f"x.{ending}")
    assert np.array_equal(read_rgba(path), RGBA)
    assert read_image(path).provenance is None


def test_avif_keeps_alpha_exactly_and_colour_nearly(tmp_path: Path) -> None:
    found = read_rgba(write_image(RGBA, tmp_path / "x.avif"))
    assert np.array_equal(found[..., 3], RGBA[..., 3])
    assert np.abs(found.astype(int) - RGBA).max() <= 4


@pytest.mark.parametrize("ending", ["png", "webp", "avif", "tiff"])
def test_provenance_survives(tmp_path: Path, ending: str) -> None:
    assert (
        read_image(write_image(RGBA, tmp_path / f"x.{ending}", metadata=PROVENANCE)).provenance == PROVENANCE
    )


def test_a_mapping_is_provenance_too_and_people_can_read_it(tmp_path: Path) -> None:
    path = write_image(
        RGBA, tmp_path / "x.png", metadata={"prompt": "é🦊", "seed": 1, "version": "9", "colour": "b"}
    )
    found = read_image(path)
    assert found.provenance == GenerationMetadata(prompt="é🦊", seed=1, version="9", extra={"colour": "b"})
    assert found.metadata["Description"] == "é🦊"
    assert found.metadata["Software"] == "Pellucid 9"


@pytest.mark.parametrize(
    "values", [{"a": object()}, {"prompt": "\ud800"}, {"a": {1, 2}}, {"seed": "7"}, {"extra": {"a": [1]}}]
)
def test_provenance_of_objects_and_surrogates_is_refused(tmp_path: Path, values: dict[str, object]) -> None:
    with pytest.raises(InputError, match="Expected"):
        write_image(RGBA, tmp_path / "x.png", metadata=values)
    assert not list(tmp_path.iterdir())


def test_palettes_keys_and_greys_become_rgba() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    assert read_rgba(png(palette, transparency=bytes([0, 128]))).tolist() == [
        [[10, 20, 30, 0], [40, 50, 60, 128]]
    ]
    grey = Image.fromarray(np.array([[7, 9]], np.uint8))
    assert read_rgba(png(grey, transparency=9)).tolist() == [[[7, 7, 7, 255], [9, 9, 9, 0]]]
    rgb = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    assert read_rgba(png(rgb, transparency=(1, 2, 3)))[0, :, 3].tolist() == [0, 255]
    assert read_rgba(png(Image.merge("LA", [grey, grey])))[0, 1].tolist() == [9, 9, 9, 9]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def raw_png(depth: int, colour_type: int, width: int, row: bytes, key: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, 1, depth, colour_type, 0, 0, 0)
    transparency = chunk(b"tRNS", key) if key else b""
    data = chunk(b"IDAT", zlib.compress(b"\0" + row))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + transparency + data + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("depth", "row", "key", "alpha"),
    [
        (1, b"\x40", 1, [255, 0]),
        (2, b"\x60", 1, [0, 255]),
        (4, b"\x5a", 10, [255, 0]),
        (8, b"\x05\x0a", 10, [255, 0]),
    ],
)
def test_grey_keys_count_in_the_levels_of_the_file(
    depth: int, row: bytes, key: int, alpha: list[int]
) -> None:
    assert read_rgba(raw_png(depth, 0, 2, row, struct.pack(">H", key)))[0, :, 3].tolist() == alpha


def test_16_bits_are_rounded_and_their_keys_compared_in_full() -> None:
    row = struct.pack(">6H", 1000, 2000, 3000, 1000, 2000, 3001)
    found = read_rgba(raw_png(16, 2, 2, row, struct.pack(">3H", 1000, 2000, 3001)))
    assert found.tolist() == [[[4, 8, 12, 255], [4, 8, 12, 0]]]
    assert read_rgba(
        raw_png(16, 0, 2, struct.pack(">2H", 65535, 200), struct.pack(">H", 65535))
    ).tolist() == [[[255, 255, 255, 0], [1, 1, 1, 255]]]
    assert read_rgba(raw_png(16, 4, 1, struct.pack(">2H", 65535, 200))).tolist() == [[[255, 255, 255, 1]]]
    assert read_rgba(raw_png(16, 6, 1, struct.pack(">4H", 257, 514, 771, 65535))).tolist() == [
        [[1, 2, 3, 255]]
    ]


def test_16_bit_rgba_from_another_writer() -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (5, 6, 4), dtype=np.uint16)
    ok, content = cv2.imencode(".png", deep[..., [2, 1, 0, 3]])
    assert ok
    assert np.array_equal(read_rgba(content.tobytes()), np.rint(deep / 257).astype(np.uint8))


@pytest.mark.parametrize("channels", [3, 4])
def test_16_bit_tiff_is_within_one_level(channels: int) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (5, 6, 4), dtype=np.uint16)[..., :channels]
    ok, content = cv2.imencode(".tiff", deep[..., [2, 1, 0, 3][:channels]])
    assert ok
    found = read_rgba(content.tobytes())[..., :channels]
    assert np.abs(found - deep / 257).max() <= 1


def test_a_foreign_colour_profile_is_converted() -> None:
    """sRGB with red and green exchanged, under another name: what is stored as red is seen as green."""
    profile = icc_profile("sRGB")
    profile = profile.replace("sRGB".encode("utf-16-be"), "xRGB".encode("utf-16-be"))
    for tag in (b"XYZ", b"TRC"):
        profile = profile.replace(b"r" + tag, b"?" + tag).replace(b"g" + tag, b"r" + tag)
        profile = profile.replace(b"?" + tag, b"g" + tag)
    stored = Image.new("RGBA", (2, 2), (250, 10, 20, 77))
    found = read_rgba(png(stored, icc_profile=profile))
    assert np.abs(found[0, 0].astype(int) - (10, 250, 20, 77)).max() <= 2


@pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_come_upright(orientation: int, format: str) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    blocks = np.kron(np.arange(6).reshape(2, 3) * 50, np.ones((16, 16))).astype(np.uint8)
    Image.fromarray(np.dstack([blocks] * 3)).save(file, format, exif=exif)
    plain = Image.fromarray(blocks)
    plain.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(plain)).astype(int)
    found = read_rgba(file.getvalue())
    assert found.shape[:2] == upright.shape
    assert np.abs(found[..., 0] - upright).max() <= 6


def test_colour_profiles_become_srgb() -> None:
    grey = Image.fromarray(np.full((2, 2, 3), 128, np.uint8))
    srgb = icc_profile("sRGB")
    assert read_rgba(png(grey, icc_profile=srgb))[0, 0].tolist() == [128, 128, 128, 255]
    lab = icc_profile("LAB")
    with pytest.raises(FileError, match="colour profile"):
        read_rgba(png(grey, icc_profile=lab))


def test_jpegs_are_opaque() -> None:
    file = io.BytesIO()
    Image.new("CMYK", (8, 8)).save(file, "JPEG")
    with pytest.warns(FileWarning, match="CMYK without a colour profile"):
        found = read_image(file.getvalue())
    assert found.format == "JPEG"
    assert (found.rgba[..., 3] == 255).all()


def test_animations_are_refused() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    for format in ("PNG", "WEBP", "TIFF", "AVIF"):
        file = io.BytesIO()
        frames[0].save(file, format, save_all=True, append_images=frames[1:])
        with pytest.raises(FileError, match=r"holds 2 (frames|pages)"):
            read_rgba(file.getvalue())


def test_bombs_are_refused_before_they_unpack() -> None:
    with pytest.raises(FileError, match="more than the limit of 100"):
        read_rgba(encode_image(RGBA), max_pixels=100)
    with pytest.raises(FileError, match=r"far too large|more than the limit"):
        read_rgba(raw_png(8, 6, 2**31 - 1, b"\0"))
    with pytest.raises(FileError, match="more than the limit"):
        read_rgba(raw_png(8, 6, 110_000_000, b"\0"))
    with pytest.raises(FileError, match=TWO_SENTENCES):
        read_rgba(raw_png(8, 6, 0, b""))


def test_what_is_not_there_or_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "empty.png").touch()
    for name in ("absent.png", "", "text.png", "empty.png", "a\0b.png"):
        with pytest.raises(FileError, match=TWO_SENTENCES):
            read_rgba(str(tmp_path / name))


def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    for name in ("x.jpg", "x", "x.gif", "folder.png", "absent/x.png", "a\0b.png"):
        with pytest.raises(FileError, match=TWO_SENTENCES):
            write_image(RGBA, tmp_path / name)
    with pytest.raises(InputError, match="at most 16383"):
        write_image(np.zeros((1, 16384, 4), np.uint8), tmp_path / "x.webp")
    with pytest.raises(InputError, match="uint8"):
        write_image(np.zeros((1, 0, 4), np.uint8), tmp_path / "x.png")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


def test_a_failing_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_image(RGBA, tmp_path / "x.png")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pellucid.files.atomic.os.fsync", full)
    with pytest.raises(FileError, match="No space left on device"):
        write_image(RGBA[::-1].copy(), path)
    assert os.listdir(tmp_path) == ["x.png"]  # noqa: PTH208 - hidden files too
    assert np.array_equal(read_rgba(path), RGBA)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.png").symlink_to(tmp_path / "x.png")
    write_image(RGBA, tmp_path / "link.png")
    assert (tmp_path / "link.png").is_symlink()
    assert np.array_equal(read_rgba(tmp_path / "x.png"), RGBA)


def mutated(content: bytes, dice: random.Random) -> bytes:
    data = bytearray(content)
    kind = dice.randrange(4)
    if kind == 0:
        return bytes(data[: dice.randrange(len(data))])
    for _ in range(dice.choice([1, 1, 4, 30])):
        position = dice.randrange(len(data))
        if kind == 1:
            data[position] ^= 1 << dice.randrange(8)
        elif kind == 2:
            data[position : position + 1] = dice.randbytes(dice.randrange(8))
        else:
            del data[position : position + dice.randrange(8)]
        if not data:
            break
    return bytes(data)


@pytest.mark.filterwarnings("ignore::pellucid.errors.FileWarning")
@pytest.mark.parametrize("format", ["PNG", "WEBP", "AVIF", "TIFF", "JPEG", "PNG16"])
def test_damaged_files_give_a_clear_error_or_an_image(format: str) -> None:
    file = io.BytesIO()
    if format == "PNG16":
        file.write(cv2.imencode(".png", RGBA.astype(np.uint16) * 257)[1].tobytes())
    elif format == "JPEG":
        Image.fromarray(RGBA[..., :3]).save(file, "JPEG")
    else:
        file.write(encode_image(RGBA, format, metadata=PROVENANCE))
    right, dice = read_rgba(file.getvalue()), random.Random(7)
    for _ in range(120):
        try:
            found = read_rgba(mutated(file.getvalue(), dice), max_pixels=1_000_000)
        except FileError as error:
            assert str(error).count(". ") >= 1  # noqa: PT017 - either outcome is right
        else:
            assert found.dtype == np.uint8
            assert not format.startswith("PNG") or np.array_equal(found, right)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"seed": "x"}', '{"extra": 3}', "[" * 100_000, '{"a": "\\ud800"}']
)
def test_foreign_json_under_our_key_is_only_text(text: str) -> None:
    found = GenerationMetadata.from_json(text)
    assert found is None or found == GenerationMetadata(extra={"extra": 3})


def test_open_files_can_be_read(tmp_path: Path) -> None:
    with write_image(RGBA, tmp_path / "x.png").open("rb") as file:
        assert np.array_equal(read_rgba(file), RGBA)
