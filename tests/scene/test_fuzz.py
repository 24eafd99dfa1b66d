"""Damaged and hostile files: each gives one of our errors or a scene, soon, and in bounded memory."""

import io
import resource
import struct
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from pellucid.errors import PellucidError
from pellucid.scene.scene import Scene
from scene.scenes import stack

ENDINGS = ("psd", "ora", "tiff", "png", "webp", "zip")
EXTREMES = (0, 1, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF, 30000, 300000, 65535)
SECONDS = 2.0
GROWTH_MB = 1500
BILLION_LAUGHS = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaaaaaaaa">' + b"".join(
    b'<!ENTITY %c "%s">' % (98 + number, b"&%c;" % (97 + number) * 10) for number in range(9)
)
XML_BOMB = BILLION_LAUGHS + b']><image w="4" h="4"><stack name="&j;"/></image>'


def flip(data: bytearray, dice: np.random.Generator) -> bytes:
    for _ in range(int(dice.integers(1, 9))):
        data[dice.integers(len(data))] = dice.integers(256)
    return bytes(data)


def cut(data: bytearray, dice: np.random.Generator) -> bytes:
    return bytes(data[: dice.integers(len(data))])


def declare(data: bytearray, dice: np.random.Generator) -> bytes:
    """A number that may be a length or a size becomes an extreme one; more often near the start."""
    for _ in range(int(dice.integers(1, 4))):
        reach = min(len(data), 64 if dice.random() < 0.5 else len(data))
        order, value = "><"[dice.integers(2)], int(EXTREMES[dice.integers(len(EXTREMES))])
        size = int(dice.integers(3))
        field = struct.pack(order + "BHI"[size], value & (256 ** (1 << size) - 1))
        place = int(dice.integers(max(reach - 4, 1)))
        data[place : place + len(field)] = field
    return bytes(data)


def splice(data: bytearray, dice: np.random.Generator) -> bytes:
    first, second, place = sorted(int(each) for each in dice.integers(len(data), size=3))
    return bytes(data[:place] + data[first:second] + data[place:])


CHANGES = (flip, cut, declare, splice)


def inside(content: bytes, dice: np.random.Generator) -> bytes:
    """Changes a member of a zip and packs it again, so that its checksum is right."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = list(members)[dice.integers(len(members))]
    if name == "stack.xml" and dice.random() < 0.2:
        members[name] = XML_BOMB
    elif dice.random() < 0.05:
        members[name] = bytes(1 << 25)  # packs to 32 KB
    else:
        members[name] = CHANGES[dice.integers(len(CHANGES))](bytearray(members[name]), dice)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, data in members.items():
            archive.writestr(each, data)
    return file.getvalue()


def huge_png(content: bytes, dice: np.random.Generator) -> bytes:
    """Another declared size, checksum right."""
    sides = struct.pack(">2I", *(int(EXTREMES[dice.integers(len(EXTREMES))]) for _ in range(2)))
    head = b"IHDR" + sides + content[24:29]
    return content[:12] + head + struct.pack(">I", zlib.crc32(head)) + content[33:]


def mutant(files: dict[str, bytes], number: int) -> tuple[str, bytes]:
    dice = np.random.default_rng([7, number])
    ending = ENDINGS[number % len(ENDINGS)]
    content = files[ending]
    if ending in ("ora", "zip") and dice.random() < 0.6:
        return ending, inside(content, dice)
    if ending == "png" and dice.random() < 0.5:
        return ending, huge_png(content, dice)
    return ending, CHANGES[dice.integers(len(CHANGES))](bytearray(content), dice)


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fuzz(folder: Path, count: int) -> dict[str, float]:
    """Opens `count` mutants; what came of them."""
    files = {ending: stack().save(folder / f"x.{ending}").read_bytes() for ending in ENDINGS}
    found = {"opened": 0.0, "refused": 0.0, "slowest_s": 0.0, "growth_mb": -megabytes()}
    for number in range(count):
        ending, content = mutant(files, number)
        path = folder / f"y.{ending}"
        path.write_bytes(content)
        start = time.monotonic()
        try:
            scene = Scene.open(path)
            found["opened"] += 1
            if scene.height * scene.width < 1 << 20:
                scene.composite()
        except PellucidError as error:
            found["refused"] += 1
            assert str(path) in str(error), f"mutant {number}"  # noqa: PT017 - either outcome is right
        except BaseException as error:
            raise AssertionError(f"mutant {number}, {ending}: {type(error).__name__}") from error
        seconds = time.monotonic() - start
        assert seconds < SECONDS, f"mutant {number}, {ending}: {seconds:.1f} s"
        found["slowest_s"] = max(found["slowest_s"], seconds)
    found["growth_mb"] += megabytes()
    return found


@pytest.mark.parametrize("count", [300, pytest.param(5000, marks=pytest.mark.slow)])
def test_no_mutant_gets_through(count: int, tmp_path: Path) -> None:
    found = fuzz(tmp_path, count)
    print({name: round(value, 2) for name, value in found.items()})  # noqa: T201 - the figures
    assert found["opened"] > 0
    assert found["refused"] > count / 3
    assert found["growth_mb"] < GROWTH_MB
