import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from pellucid.apps.cli import cli
from pellucid.errors import FileError
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
