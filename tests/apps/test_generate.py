"""`generate`, `vary`, `encode`, `decode` from the command line, on a small model of the embedded kind."""

import json
from pathlib import Path

from click.testing import CliRunner, Result

from pellucid.apps.cli import cli
from pellucid.errors import FileError, InputError


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def test_a_sentence_names_the_file(model: str) -> None:
    for expected in ("a-glass-bottle.png", "a-glass-bottle-2.png"):
        result = run("generate", "A glass bottle!", "--model", model, "--seed", "7", "--steps", "2")
        assert result.output == f"{expected}\n"
        assert Path(expected).is_file()
    assert Path("a-glass-bottle.png").read_bytes() == Path("a-glass-bottle-2.png").read_bytes()


def test_several_images_are_numbered(model: str) -> None:
    result = run(
        "generate", "🐈", "--model", model, "--count", "2", "--steps", "1", "-o", "x.webp", "--size", "20x10"
    )
    assert result.output == "x-001.webp\nx-002.webp\n"


def test_json_says_what_was_made(model: str) -> None:
    result = run(
        "generate", "a", "--model", model, "--steps", "1", "--seed", "5", "--size", "20x10", "--json"
    )
    (image,) = json.loads(result.output)["pictures"]
    assert (image["height"], image["width"], image["seed"], image["path"]) == (10, 20, 5, "a.png")


def test_an_image_goes_to_a_latent_and_back(model: str) -> None:
    run("generate", "a", "--model", model, "--steps", "1", "--size", "20x10")
    assert run("encode", "a.png", "--model", model).output == "a.safetensors\n"
    assert run("decode", "a.safetensors", "--model", model, "-o", "b.png", "--json").exit_code == 0
    assert run("vary", "b.png", "x", "--model", model, "--steps", "2", "-o", "c.png").output == "c.png\n"
    shown = json.loads(run("show", "c.png", "--json").output)
    assert (shown["height"], shown["width"], shown["prompt"]) == (10, 20, "x")


def test_what_cannot_be_written_is_refused_before_any_work() -> None:
    assert isinstance(run("generate", "a", "--model", "never", "-o", "no/x.png").exception, FileError)
    assert isinstance(
        run("generate", "a", "--model", "never", "-o", "x.bmp").exception, (FileError, InputError)
    )
    assert run("generate", "a", "--size", "3").exit_code == 2
