import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pellucid import Layer, Scene
from pellucid.apps.cli import cli
from pellucid.errors import FileError
from pellucid.files.colour_profiles import SRGB_PRIMARIES, build_profile
from pellucid.files.images import read_image, read_rgba, write_image
from pellucid.rgba.padding import pad_rgb
from pellucid.rgba.quantization import to_bytes

RGBA = np.random.default_rng(1).integers(0, 256, (6, 8, 4), dtype=np.uint8)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write_image(RGBA, tmp_path / "x.png", metadata={"prompt": "a 🦊", "seed": 3})


def run(*words: object) -> str:
    result = CliRunner().invoke(cli, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output.strip()


def test_show_tells_size_alpha_and_prompt(image: Path) -> None:
    facts = json.loads(run("show", image, "--json"))
    assert (facts["height"], facts["width"], facts["prompt"], facts["seed"]) == (6, 8, "a 🦊", 3)
    assert "prompt: a 🦊" in run("show", image).splitlines()


def test_pad_writes_beside_the_image(image: Path) -> None:
    path = Path(run("pad", image))
    assert path == image.with_name("x-padded.png")
    found = read_rgba(path)
    assert np.array_equal(found[..., :3], to_bytes(pad_rgb(RGBA)))
    assert (found[..., 3] == 255).all()


def test_composite_flattens_or_keeps_layers(image: Path, tmp_path: Path) -> None:
    flat = json.loads(
        run("composite", image, image, "-o", tmp_path / "f.png", "--background", "#ffffff", "--json")
    )
    assert flat == {"path": str(tmp_path / "f.png"), "height": 6, "width": 8, "layers": 2}
    assert (read_rgba(flat["path"])[..., 3] == 255).all()
    run("composite", image, image, "-o", tmp_path / "s.zip")
    assert json.loads(run("convert", tmp_path / "s.zip", tmp_path / "t.webp", "--json"))["layers"] == 2


def test_convert_takes_the_prompt_along(image: Path, tmp_path: Path) -> None:
    found = read_image(run("convert", image, tmp_path / "y.webp"))
    assert np.array_equal(found.rgba, RGBA)
    assert found.provenance is not None
    assert found.provenance.prompt == "a 🦊"


def test_our_errors_pass_to_main(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="Cannot read"):
        run("show", tmp_path / "absent.png")


@pytest.mark.parametrize("name", ["show", "pad", "composite", "convert"])
def test_help_has_an_example_of_words(name: str) -> None:
    assert "--json" in run(name, "--help")


def test_flattening_options_do_not_go_with_layers(image: Path, tmp_path: Path) -> None:
    words = ["composite", str(image), "-o", str(tmp_path / "x.zip"), "--linear"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 2
    assert "a .zip keeps layers" in result.output.replace("\n", " ")


@pytest.mark.parametrize("ending", ["psd", "ora", "zip", "tiff"])
def test_layers_go_from_format_to_format(ending: str, image: Path, tmp_path: Path) -> None:
    first = run("composite", image, image, "-o", tmp_path / f"a.{ending}")
    for other in ("ora", "psd", "zip", "tiff"):
        facts = json.loads(run("convert", first, tmp_path / f"b.{other}", "--json"))
        assert facts == {"path": str(tmp_path / f"b.{other}"), "height": 6, "width": 8, "layers": 2}
    shown = json.loads(run("show", first, "--json"))
    assert shown["format"] == ending.upper()
    assert [(row["name"], row["width"], row["top"]) for row in shown["layers"]] == [("x", 8, 0)] * 2
    assert run("show", first).splitlines()[-1] == "layer: x  8x6 at 0,0"
    assert read_rgba(run("convert", first, tmp_path / "flat.png")).shape == (6, 8, 4)


def test_prompt_and_seed_go_through_every_document(image: Path, tmp_path: Path) -> None:
    for number, ending in enumerate(("ora", "psd", "tiff", "zip", "png")):
        image = Path(run("convert", image, tmp_path / f"{number}.{ending}"))
        facts = json.loads(run("show", image, "--json"))
        assert (facts["prompt"], facts["seed"]) == ("a 🦊", 3)


def warnings_of(*arguments: str | Path) -> tuple[list[str], list[str]]:
    """Runs a command with --json, and returns what it warns of on standard error and in the JSON."""
    command = [sys.executable, "-m", "pellucid", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = [line.removeprefix("pellucid: ") for line in done.stderr.splitlines()]
    return said, json.loads(done.stdout).get("warnings", [])


def test_each_warning_is_one_line_said_once_with_the_files_name_and_in_the_json(tmp_path: Path) -> None:
    inks = tmp_path / "inks.jpg"
    Image.new("CMYK", (8, 8), (200, 0, 0, 0)).save(inks)
    other = shutil.copy(inks, tmp_path / "other.jpg")
    said, listed = warnings_of("composite", inks, other, inks, "-o", tmp_path / "a.png")
    assert said == listed
    assert [line.split(":")[0].rsplit("/")[-1] for line in said] == ["inks.jpg", "other.jpg"]
    assert all("CMYK without a colour profile" in line for line in said)


def test_a_warning_of_what_is_written_is_in_the_json_too(tmp_path: Path) -> None:
    profile = build_profile(SRGB_PRIMARIES, (1.0,))
    layers = tuple(Layer(image=np.full((8, 8, 4), level, np.uint8)) for level in (200, 100))
    Scene(layers=layers, height=8, width=8, blend_profile=profile).save(tmp_path / "light.zip")
    said, listed = warnings_of("convert", tmp_path / "light.zip", tmp_path / "light.ora")
    assert said == listed
    assert len(said) == 1
    assert "mixed in sRGB in this file" in said[0]
