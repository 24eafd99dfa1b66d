"""`layers`, `split` and `upscale` from the command line, on a small model of the embedded kind."""

import json
from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result

import pellucid
from pellucid.apps.cli import cli
from pellucid.errors import FileError
from pellucid.files.images import read_rgba, write_image

FAST = ("--steps", "1", "--seed", "5")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def image(name: str) -> np.ndarray:
    rgba = np.random.default_rng(0).integers(0, 256, (40, 60, 4), np.uint8)
    write_image(rgba, Path(name))
    return rgba


def test_sentences_make_a_document_that_grows(model: str) -> None:
    texts = ("--foreground", "a cat", "--foreground", "a hat", "--background", "a sea")
    result = run("layers", *texts, "--model", model, *FAST)
    assert result.output == "a-cat-a-hat-a-sea.psd\n"
    scene = pellucid.Scene.open("a-cat-a-hat-a-sea.psd")
    assert [layer.name for layer in scene.layers] == ["background", "a cat", "a hat"]
    more = ("--add", "a-cat-a-hat-a-sea.psd", "--foreground", "a bird", "--count", "2", "-o", "x.ora")
    assert run("layers", *more, "--model", model, *FAST).output == "x-001.ora\nx-002.ora\n"
    first, second = (pellucid.Scene.open(f"x-00{number}.ora") for number in (1, 2))
    assert [layer.name for layer in first.layers] == ["background", "a cat", "a hat", "a bird"]
    for i in range(3):
        assert (first.layers[i].image == scene.layers[i].image).all()
    assert (first.layers[3].image != second.layers[3].image).any()


def test_images_and_documents_are_given_the_layer_they_lack(model: str) -> None:
    rgba = image("p.png")
    size = ("--size", "60x40")
    run("layers", "--on", "p.png", "--foreground", "a cat", *size, "--model", model, *FAST, "-o", "on.zip")
    on = pellucid.Scene.open("on.zip")
    assert (on.layers[0].image == rgba).all()
    assert on.layers[1].name == "a cat"
    more = ("--background", "a sea", *size, "--model", model, *FAST, "-o", "b.zip", "--json")
    result = run("layers", "--behind", "on.zip", *more)
    (made,) = json.loads(result.output)["pictures"]
    assert (made["path"], made["height"], made["width"]) == ("b.zip", 40, 60)
    assert (pellucid.Scene.open("b.zip").layers[1].image == on.composite()).all()


def test_layers_lie_in_their_boxes(model: str) -> None:
    image("p.png")
    boxes = ("--box", "20x10+30+5", "--box", "8x40+0+0")
    texts = ("--foreground", "a cat", "--foreground", "a hat")
    result = run("layers", "--on", "p.png", *texts, *boxes, "--model", model, *FAST, "-o", "on.psd")
    assert result.exit_code == 0, result.output
    scene = pellucid.Scene.open("on.psd")
    assert (scene.height, scene.width) == (40, 60)
    assert [(layer.offset, layer.image.shape[:2]) for layer in scene.layers] == [
        ((0, 0), (40, 60)), ((5, 30), (10, 20)), ((0, 0), (40, 8)),
    ]  # fmt: skip


def test_an_image_is_split_and_enlarged(model: str) -> None:
    rgba = image("p.png")
    assert run("split", "p.png", "--background", "p.png", "--model", model).output == "p-layers.psd\n"
    assert (pellucid.Scene.open("p-layers.psd").layers[1].image == 0).all()
    larger = run("upscale", "p.png", "a cat", "--scale", "1.5", "--model", model, *FAST)
    assert larger.output == "p-larger.png\n"
    assert read_rgba("p-larger.png").shape == (60, 90, 4) != rgba.shape


def test_what_makes_no_scene_is_refused_before_any_work() -> None:
    image("p.png")
    for arguments, words in [
        ((), "--foreground TEXT"),
        (("--foreground", "a"), "--background TEXT"),
        (("--foreground", "a", "--on", "p.png", "--add", "p.png"), "one of --on and --add"),
        (("--foreground", "a", "--on", "p.png", "--background", "b"), "Leave --background out"),
        (("--foreground", "a", "--add", "p.png", "--size", "9x9"), "Leave --size out"),
        (("--behind", "p.png"), "--background TEXT"),
        (("--foreground", "a", "--on", "p.png", "--box", "9x9"), "such as 64x96+10+20"),
        (("--foreground", "a", "--background", "b", "--box", "9x9+0+0"), "each of 0 foregrounds"),
    ]:
        result = run("layers", *arguments, "--model", "never")
        assert result.exit_code == 2
        assert words in result.output
    assert run("split", "p.png", "--model", "never").exit_code == 2
    absent = run("layers", "--on", "no.png", "--foreground", "a", "--model", "never")
    assert isinstance(absent.exception, FileError)
    assert "no.png" in str(absent.exception)
