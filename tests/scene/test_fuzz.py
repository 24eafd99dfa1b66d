"""Damaged and hostile files: each gives one of our errors or a scene, soon, and in bounded memory."""

import resource
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from corpus.mutations import EXTREMES, mutated
from pellucid.errors import PellucidError
from pellucid.scene.scene import Scene
from scene.scenes import stack

ENDINGS = ("psd", "ora", "tiff", "png", "webp", "zip")
SECONDS = 2.0
GROWTH_MB = 1500


def huge_png(content: bytes, dice: np.random.Generator) -> bytes:
    """Another declared size, checksum right."""
    sides = struct.pack(">2I", *(int(EXTREMES[dice.integers(len(EXTREMES))]) for _ in range(2)))
    head = b"IHDR" + sides + content[24:29]
    return content[:12] + head + struct.pack(">I", zlib.crc32(head)) + content[33:]


def mutant(files: dict[str, bytes], number: int) -> tuple[str, bytes]:
    dice = np.random.default_rng([7, number])
    ending = ENDINGS[number % len(ENDINGS)]
    content = files[ending]
    if ending == "png" and dice.random() < 0.5:
        return ending, huge_png(content, dice)
    return ending, mutated(content, ending, dice)


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


@pytest.mark.filterwarnings("ignore::pellucid.errors.FileWarning")  # of parts that are left out
@pytest.mark.parametrize("count", [300, pytest.param(5000, marks=pytest.mark.slow)])
def test_no_mutant_gets_through(count: int, tmp_path: Path) -> None:
    found = fuzz(tmp_path, count)
    print({name: round(value, 2) for name, value in found.items()})  # noqa: T201 - the figures
    assert found["opened"] > 0
    assert found["refused"] > count / 3
    assert found["growth_mb"] < GROWTH_MB
