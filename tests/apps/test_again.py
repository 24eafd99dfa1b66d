"""Results are made anew from their own metadata: the same to the byte, or with changes."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import pellucid
from pellucid.apps.cli import cli
from pellucid.errors import InputError
from pellucid.files.images import read_image, write_image

FAST = ("--steps", "1", "--seed", "5")


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, (arguments, result.output, result.exception)
    return result


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(cli, arguments)
    assert isinstance(result.exception, InputError), result.output
    return str(result.exception)


@pytest.mark.parametrize(
    "options",
    [
        (),
        (
            "--size",
            "50x30",
            "--guidance",
            "3.5",
            "--negative",
            "a dog",
            "--scheduler",
            "euler",
            "--passes",
            "2",
        ),
        ("--hires", "1.0", "--size", "90x90", "--steps", "2"),
        ("--clean", "--trim", "--margin", "3"),
        ("--no-clean",),
        ("--dtype", "bfloat16"),
        ("--fit", "40x20", "--margin", "2"),
        ("--count", "2"),
    ],
)
def test_an_image_is_made_again_to_the_byte(options: tuple[str, ...], model: str) -> None:
    first = run("generate", "a cat", *FAST, *options, "--model", model, "-o", "a.png").output.splitlines()[-1]
    result = run("again", first, "-o", "b.png")
    assert result.stdout == "b.png\n"
    assert "The same as FILE, to the byte" in result.stderr
    assert Path(first).read_bytes() == Path("b.png").read_bytes()


@pytest.mark.parametrize("options", [(), ("--literal",)])
def test_a_prompt_is_read_as_it_was(options: tuple[str, ...]) -> None:
    run("generate", "ein Hund", *FAST, "--passes", "1", *options, "-o", "a.png")
    result = run("again", "a.png", "-o", "b.png")
    assert "The same as FILE, to the byte" in result.stderr
    assert ("is read as" in result.stderr) == (not options)
    run("again", "a.png", "--prompt", "eine Katze", "-o", "c.png")
    metadata = read_image("c.png").provenance
    assert metadata is not None
    assert metadata.extra["prompt_read_as"] == "a cat"


def test_help_says_that_what_is_left_out_is_as_in_the_file() -> None:
    text = run("again", "--help").output
    assert "FILE's" in text
    for word in ("random", "the model's", "mini]"):
        assert word not in text


def test_options_change_what_they_say(model: str) -> None:
    run("generate", "a cat", *FAST, "--model", model, "-o", "a.png")
    assert run("again", "a.png").stdout == "a-again.png\n"
    told = json.loads(
        run("again", "a.png", "--seed", "6", "--prompt", "a dog", "--size", "40x40", "--json").output
    )
    (made,) = told["pictures"]
    assert (made["seed"], made["prompt"], made["steps"], made["height"]) == (6, "a dog", 1, 40)
    assert told["same"] is False
    several = run("again", "a.png", "--count", "2", "-o", "m.png").stdout.splitlines()
    assert several == ["m-001.png", "m-002.png"]
    assert Path("m-001.png").read_bytes() == Path("a.png").read_bytes()
    assert (
        pellucid.Scene.open("m-002.png").composite().tobytes()
        != pellucid.Scene.open("a.png").composite().tobytes()
    )


@pytest.mark.parametrize("ending", ["psd", "ora", "zip"])
def test_documents_are_made_again_with_what_was_added(ending: str, model: str) -> None:
    texts = ("--foreground", "a cat", "--foreground", "a hat", "--background", "a sea", "--box", "40x30+8+4")
    run("layers", *texts, "--size", "64x48", "--model", model, *FAST, "-o", f"a.{ending}")
    assert "The same as FILE" in run("again", f"a.{ending}", "-o", f"b.{ending}").stderr
    first, second = (pellucid.Scene.open(f"{name}.{ending}") for name in "ab")
    for old, new in zip(first.layers, second.layers, strict=True):
        assert (old.name, old.offset) == (new.name, new.offset)
        assert np.array_equal(old.image, new.image)
    run("layers", f"a.{ending}", "--move", "a hat", "0,1", "--opacity", "a hat", "0.5", "-o", f"c.{ending}")
    other = pellucid.Scene.open(
        run("again", f"c.{ending}", "--seed", "9", "-o", f"d.{ending}").stdout.strip()
    )
    assert other.layers[2].offset == (1, 0)
    assert round(other.layers[2].opacity, 1) == 0.5
    assert all((old.image != new.image).any() for old, new in zip(first.layers, other.layers, strict=True))


@pytest.mark.parametrize("kind", ["--on", "--behind"])
def test_layers_for_a_given_image_are_made_again(kind: str, model: str) -> None:
    write_image(np.random.default_rng(0).integers(0, 256, (40, 60, 4), np.uint8), "p.png")
    text = ("--foreground", "a cat") if kind == "--on" else ("--background", "a sea")
    run("layers", kind, "p.png", *text, "--model", model, *FAST, "-o", "a.zip")
    assert "The same as FILE" in run("again", "a.zip", "-o", "b.zip").stderr
    given = "background" if kind == "--on" else "foreground"
    run("layers", "a.zip", "--replace", given, "a.zip", "-o", "c.zip")
    assert "image that this layer was made for" in refused("again", "c.zip")


def test_what_was_added_is_told(model: str) -> None:
    write_image(np.full((40, 60, 4), 90, np.uint8), "p.png", metadata={"prompt": "a hill", "seed": 1})
    box = ("--box", "30x20+8+4")
    result = run(
        "layers",
        "--add",
        "p.png",
        "--foreground",
        "a hat",
        *box,
        "--model",
        model,
        *FAST,
        "--json",
        "-o",
        "a.psd",
    )
    (made,) = json.loads(result.output)["pictures"]
    assert (made["prompt"], made["seed"], made["steps"]) == ("a hat", 5, 1)
    assert made["extra"]["box"] == "30x20+8+4"
    assert made["extra"]["layers_below"] == "p"
    assert made["extra"]["passes"] == 1
    scene = pellucid.Scene.open("a.psd")
    assert scene.provenance is not None
    assert scene.provenance.prompt == "a hill, a hat"


def test_what_is_not_known_is_refused_with_a_reason(model: str) -> None:
    write_image(np.full((32, 32, 4), 90, np.uint8), "p.png")
    assert "found none that Pellucid wrote" in refused("again", "p.png")
    write_image(
        np.full((32, 32, 4), 90, np.uint8), "old.png", metadata={"prompt": "a", "seed": 1, "version": "0.0"}
    )
    assert "found those of version 0.0" in refused("again", "old.png")
    run("vary", "p.png", "a cat", "--steps", "2", "--seed", "1", "--model", model, "-o", "v.png")
    assert "made by vary from another" in refused("again", "v.png")
    run("layers", "--add", "p.png", "--foreground", "a hat", "--model", model, *FAST, "-o", "flat.png")
    assert "a document with its layers" in refused("again", "flat.png")


def test_the_image_that_controls_is_asked_for() -> None:
    metadata = {
        "prompt": "a cat",
        "seed": 1,
        "model": "mini",
        "version": "0.1.0",
        "task": "generate",
        "control": "0",
    }
    write_image(np.full((32, 32, 4), 90, np.uint8), "p.png", metadata=metadata)
    assert "controlled this one" in refused("again", "p.png", "--steps", "1")
    assert read_image("p.png").provenance is not None
