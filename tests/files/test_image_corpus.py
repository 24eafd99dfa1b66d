"""Images by the specifications of their formats show what they should, whatever opens them."""

import struct
import zlib
from pathlib import Path

import pytest

from corpus.images import HEIGHT, WIDTH, image_cases, samples
from corpus.pngs import chunk, png_bytes
from pellucid.errors import FileError
from pellucid.files.images import read_image
from pellucid.scene.scene import Scene


def test_every_image_shows_what_it_should(tmp_path: Path) -> None:
    wrong: list[str] = []
    cases = image_cases()
    for case in cases:
        path = tmp_path / f"x.{case.ending}"
        path.write_bytes(case.content)
        found = [Scene.open(path).composite()]
        if case.ending != "psd":  # which only opens as a document
            found.append(read_image(path).rgba)
        for rgba in found:
            if (off := case.off(rgba)) > case.levels:
                wrong.append(f"{case.ending}: {case.name}: {off:.2f} levels off")
    assert not wrong, "\n".join([f"{len(wrong)} of {2 * len(cases)}", *wrong])


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("channels", "bits"), [(1, 1), (1, 4), (1, 16), (2, 8), (3, 8), (4, 8), (4, 16)])
def test_image_data_that_end_early_are_refused_though_their_stream_is_whole(
    channels: int, bits: int, interlaced: bool, tmp_path: Path
) -> None:
    clear = samples(channels, bits)
    clear[-3:] = 0  # a sound image may end like one that is cut
    for stored in (samples(channels, bits), clear):
        rows = zlib.decompress(image_data(png_bytes(stored, bits=bits, interlaced=interlaced)))
        path = tmp_path / "x.png"
        for end in [*range(0, len(rows), 17), len(rows) - 1]:
            path.write_bytes(with_data(png_bytes(stored, bits=bits, interlaced=interlaced), rows[:end]))
            with pytest.raises(FileError, match=r"truncated|damaged"):
                read_image(path)
        path.write_bytes(with_data(png_bytes(stored, bits=bits, interlaced=interlaced), rows))
        assert read_image(path).rgba.shape == (HEIGHT, WIDTH, 4)


def image_data(content: bytes) -> bytes:
    start = content.index(b"IDAT") + 4
    return content[start : start + int.from_bytes(content[start - 8 : start - 4])]


def with_data(content: bytes, rows: bytes) -> bytes:
    """Packs other rows into a PNG of one data chunk; its checksums are right."""
    start = content.index(b"IDAT") - 4
    return content[:start] + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_the_default_image_of_an_animation_is_as_large_as_its_canvas(tmp_path: Path) -> None:
    frame = struct.pack(">5I2H2B", 0, WIDTH, HEIGHT, 0, 0, 1, 10, 0, 0)
    pixels = png_bytes(samples(4, 8), chunks=chunk(b"acTL", struct.pack(">2I", 1, 0)) + chunk(b"fcTL", frame))
    (tmp_path / "x.png").write_bytes(pixels)
    assert read_image(tmp_path / "x.png").rgba.shape == (HEIGHT, WIDTH, 4)
    larger = chunk(b"IHDR", struct.pack(">2I5B", WIDTH + 5, HEIGHT, 8, 6, 0, 0, 0))
    (tmp_path / "x.png").write_bytes(pixels[:8] + larger + pixels[33:])
    with pytest.raises(FileError, match="a frame of another size"):
        read_image(tmp_path / "x.png")
