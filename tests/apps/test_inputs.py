"""Every command that reads an image reads every format, up to a number of pixels that an option raises."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from pellucid.apps.cli import COMMANDS, cli
from pellucid.apps.commands import inputs
from pellucid.errors import FileError
from pellucid.files import images
from pellucid.files.images import read_rgba, write_image
from pellucid.scene.layer import Layer
from pellucid.scene.scene import Scene
from scene.scenes import noise

READING = {
    "show": ("{image}",),
    "pad": ("{image}", "-o", "out.png"),
    "composite": ("{image}", "-o", "out.png"),
    "convert": ("{image}", "out.png"),
    "clean": ("{image}", "-o", "out.png"),
    "resize": ("{image}", "--scale", "2", "-o", "out.png"),
    "sheet": ("{image}", "-o", "out.png"),
    "encode": ("{image}", "-o", "out.safetensors", "--model", "{model}"),
    "vary": ("{image}", "a cat", "--steps", "1", "-o", "out.png", "--model", "{model}"),
    "upscale": ("{image}", "--strength", "0", "-o", "out.png", "--model", "{model}"),
    "inpaint": ("{image}", "{image}", "a cat", "--steps", "1", "-o", "out.png", "--model", "{model}"),
    "generate": ("a cat", "--steps", "1", "--control", "{image}", "-o", "out.png", "--model", "{model}"),
    "layers": ("--on", "{image}", "--foreground", "a cat", "-o", "out.psd", "--model", "{model}"),
    "split": ("{image}", "--background", "{image}", "-o", "out.psd", "--model", "{model}"),
}
"""Words of each command; those that need what the tiny model lacks get as far as reading."""
NEEDS_MORE = ("generate", "layers", "split")
NEITHER = {
    "again",
    "decompose",
    "harmonize",
    "info",
    "decode",
    "models",
    "data",
    "train",
    "eval",
    "study",
    "serve",
    "mcp",
}


def words(command: str, image: Path, model: str) -> list[str]:
    return [command, *(word.format(image=image, model=model) for word in READING[command])]


def test_no_command_is_forgotten() -> None:
    assert set(READING) | NEITHER == set(COMMANDS)
    assert inputs.MAX_PIXELS == images.MAX_PIXELS


@pytest.fixture
def document(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"picture.{request.param}"
    layers = (Layer(image=noise(64, 64, 0)), Layer(image=noise(20, 20, 1), offset=(3, 4)))
    return Scene(layers=layers, height=64, width=64).save(path)


@pytest.mark.parametrize("command", [name for name in READING if name not in NEEDS_MORE])
@pytest.mark.parametrize("document", ["psd", "ora", "tiff", "png", "zip"], indirect=True)
def test_every_command_reads_every_format(command: str, document: Path, model: str) -> None:
    result = CliRunner().invoke(cli, words(command, document, model))
    assert result.exit_code == 0, result.exception
    if command == "composite":
        assert np.array_equal(read_rgba(Path("out.png")), Scene.open(document).composite())


@pytest.mark.parametrize("command", READING)
def test_every_command_refuses_larger_images_than_it_is_told(
    command: str, model: str, tmp_path: Path
) -> None:
    write_image(noise(64, 64, 0), tmp_path / "a.png")
    result = CliRunner().invoke(cli, [*words(command, tmp_path / "a.png", model), "--max-pixels", "4095"])
    assert isinstance(result.exception, FileError)
    assert "limit of 4095" in str(result.exception)
