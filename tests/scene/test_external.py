"""Other programs open what Scene.save writes, and show what Scene.composite gives.

Pixels are compared premultiplied, so that colour under alpha 0 does not count.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pellucid.files.images import read_rgba
from pellucid.rgba.blend_modes import BlendMode
from pellucid.scene.layer import Group, Layer, Mask
from pellucid.scene.scene import Scene
from scene.scenes import noise, stack

pytestmark = pytest.mark.external


def found(*names: str) -> str:
    """The first program of these; skips the test where there is none."""
    for name in names:
        path = shutil.which(name)
        if path is not None:
            return path
    pytest.skip(f"none of {', '.join(names)} is installed")


def magick() -> str:
    """ImageMagick's convert. Others have the name `convert` too, so that one has to say who it is."""
    for name in ("magick", "convert-im6.q16", "convert-im7.q16", "convert"):
        path = shutil.which(name)
        if path is not None:
            said = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=60, check=False)
            if "Version: ImageMagick" in said.stdout:
                return path
    pytest.skip("ImageMagick is not installed")


def run(folder: Path, *words: str, **environment: str) -> str:
    """Runs a program at home in `folder`."""
    home = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), **environment}
    done = subprocess.run(
        words, cwd=folder, env=home, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def furthest(image: Path, scene: Scene) -> float:
    """Largest difference from the composite, levels, premultiplied."""
    pair = [rgba.astype(float) for rgba in (read_rgba(image), scene.composite())]
    first, second = (np.dstack([wide[..., :3] * wide[..., 3:] / 255, wide[..., 3:]]) for wide in pair)
    return float(np.abs(first - second).max())


@pytest.fixture
def scene() -> Scene:
    return stack(group_opacity=1)  # ImageMagick knows no groups


@pytest.mark.parametrize(
    "words",
    [["x.psd[0]"], ["x.psd", "-delete", "0", "-background", "none", "-flatten"]],
    ids=["preview", "layers"],
)
def test_imagemagick_opens_a_psd(words: list[str], scene: Scene, tmp_path: Path) -> None:
    held = Scene.open(scene.save(tmp_path / "x.psd"))
    run(tmp_path, magick(), *words, "-depth", "8", "PNG32:out.png")
    assert furthest(tmp_path / "out.png", held) <= 1


def test_imagemagick_lists_the_layers_of_a_tiff(scene: Scene, tmp_path: Path) -> None:
    scene.save(tmp_path / "x.tiff")
    listed = run(tmp_path, magick(), "x.tiff", "-format", "%[tiff:pagename] %wx%h\n", "info:")
    assert len(listed.split("\n")) == 5
    run(tmp_path, magick(), "x.tiff", "-background", "none", "-flatten", "PNG32:out.png")
    assert furthest(tmp_path / "out.png", scene) <= 1


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """A screen that exists when its name is given out.

    The server itself takes the first free number and writes it once it answers; `xvfb-run -a` looks for a
    number first and takes it afterwards, which loses races with other screens. Without `-noreset` the server
    starts again when its last client leaves, and refuses the next one meanwhile.
    """
    reading, writing = os.pipe()
    words = [
        found("Xvfb"),
        "-displayfd",
        str(writing),
        "-noreset",
        "-nolisten",
        "tcp",
        "-screen",
        "0",
        "1024x768x24",
    ]
    with subprocess.Popen(words, pass_fds=[writing], stderr=subprocess.DEVNULL) as server:
        os.close(writing)
        with os.fdopen(reading) as pipe:
            number = pipe.readline().strip()
        yield f":{number}"
        server.terminate()


@pytest.fixture(scope="module")
def krita_home(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One home for all its starts: in a new one it first reads all its brushes, for several seconds."""
    return str(tmp_path_factory.mktemp("krita"))


def krita(folder: Path, file: str, display: str, home: str) -> None:
    run(
        folder,
        *(found("krita"), "--export", "--export-filename", "out.png", file),
        DISPLAY=display,
        HOME=home,
    )


@pytest.mark.parametrize("ending", ["ora", "psd"])
def test_krita_opens_layers(ending: str, scene: Scene, tmp_path: Path, display: str, krita_home: str) -> None:
    held = Scene.open(scene.save(tmp_path / f"x.{ending}"))
    krita(tmp_path, f"x.{ending}", display, krita_home)
    assert furthest(tmp_path / "out.png", held) <= 1


def test_krita_lays_a_group_as_one_image(tmp_path: Path, display: str, krita_home: str) -> None:
    held = Scene.open(stack().save(tmp_path / "x.ora"))
    krita(tmp_path, "x.ora", display, krita_home)
    assert furthest(tmp_path / "out.png", held) <= 1


KRITA_MODES: tuple[BlendMode, ...] = (
    "multiply", "screen", "overlay", "darken", "lighten", "color_dodge", "color_burn", "hard_light",
    "difference", "exclusion", "linear_burn", "linear_dodge", "linear_light", "pin_light", "subtract",
    "divide", "saturation", "color", "hue", "luminosity",
)  # fmt: skip
"""Those in which Krita shows what the definitions say; docs/how-to/documents.md tells of the others."""


@pytest.mark.parametrize("ending", ["ora", "psd"])
def test_krita_blends_as_we_do(ending: str, tmp_path: Path, display: str, krita_home: str) -> None:
    """A tile for each mode, over the same noise, in one document."""
    side = 24
    low = noise(side, side * len(KRITA_MODES), 0)
    low[..., 3] = 255  # where little is below, Krita's own rounding of its colour decides
    tiles = [
        Layer(image=noise(side, side, number), offset=(0, side * number), blend_mode=mode, name=mode)
        for number, mode in enumerate(KRITA_MODES)
    ]
    isolated = Group(name="isolated", blend_mode="multiply")
    passing = Group(name="passing", blend_mode="pass_through")
    kinds: list[tuple[Group, BlendMode]] = [
        (isolated, "normal"),
        (isolated, "screen"),
        (passing, "screen"),
        (passing, "multiply"),
    ]
    grouped = [
        Layer(image=noise(side, side, 90 + number), offset=(0, 50 * number), groups=(group,), blend_mode=mode)
        for number, (group, mode) in enumerate(kinds)
    ]
    wanted = Scene(layers=(Layer(image=low), *tiles, *grouped), height=side, width=low.shape[1])
    wanted.save(tmp_path / f"x.{ending}")
    krita(tmp_path, f"x.{ending}", display, krita_home)
    assert furthest(tmp_path / "out.png", wanted) <= 3


def test_krita_clips_as_we_do(tmp_path: Path, display: str, krita_home: str) -> None:
    images = [noise(30, 40, number) for number in range(4)]
    base = Layer(image=images[1][:20], offset=(4, 6), mask=Mask(image=images[3][..., 0], offset=(8, 9)))
    clipped = Layer(image=images[2], clipped=True, opacity=128 / 255)
    wanted = Scene(layers=(Layer(image=images[0]), base, clipped), height=30, width=40)
    wanted.save(tmp_path / "x.ora")
    krita(tmp_path, "x.ora", display, krita_home)
    assert furthest(tmp_path / "out.png", wanted) <= 2


GIMP = """(let* ((image (car (gimp-file-load RUN-NONINTERACTIVE "x.psd" "x.psd")))
  (layer (car (gimp-image-merge-visible-layers image CLIP-TO-IMAGE))))
  (file-png-save-defaults RUN-NONINTERACTIVE image layer "out.png" "out.png"))"""


def test_gimp_opens_a_psd(tmp_path: Path) -> None:
    held = Scene.open(stack().save(tmp_path / "x.psd"))
    run(tmp_path, found("gimp"), "-i", "-d", "-f", "-s", "--no-data", "-b", GIMP, "-b", "(gimp-quit 0)")
    assert furthest(tmp_path / "out.png", held) <= 1
