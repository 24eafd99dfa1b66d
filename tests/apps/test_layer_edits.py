"""Documents are edited from the command line, without a model."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from pellucid.apps.cli import cli
from pellucid.errors import InputError
from pellucid.files.images import read_image, write_image
from pellucid.scene.scene import Group, Layer, Scene

DICE = np.random.default_rng(1)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def noise(height: int, width: int) -> np.ndarray:
    return DICE.integers(1, 256, (height, width, 4), np.uint8)


@pytest.fixture
def document() -> Scene:
    group = Group(name="things")
    layers = (
        Layer(image=noise(30, 40), name="sky"),
        Layer(image=noise(10, 12), name="a cat", offset=(3, 4), groups=(group,)),
        Layer(image=noise(8, 8), name="hats, many", offset=(1, 30), groups=(group,)),
        Layer(image=noise(5, 5), name="CON", visible=False, opacity=0.2),
    )
    scene = Scene(layers=layers, height=30, width=40)
    scene.save("x.psd")
    return scene


def test_all_edits_at_once_mean_the_names_in_the_file(document: Scene) -> None:
    dog = noise(10, 12)
    write_image(dog, "dog.png", metadata={"prompt": "a dog"})
    edits = [
        *("--rename", "sky", "sea", "--replace", "a cat", "dog.png", "--move", "a cat", "-2,9"),
        *("--opacity", "a cat", "50%", "--order", "CON,hats, many", "--remove", "CON"),
    ]
    result = run("layers", "x.psd", *edits)
    assert result.output == "x-edited.psd\n"
    scene = Scene.open("x-edited.psd")
    assert [layer.name for layer in scene.layers] == ["sea", "dog", "hats, many"]
    assert np.array_equal(scene.layers[0].image, document.layers[0].image)
    made = scene.layers[1]
    assert np.array_equal(made.image, dog)
    assert (made.offset, round(made.opacity, 2), made.groups[0].name) == ((9, -2), 0.5, "things")
    assert made.provenance is not None
    assert made.provenance.prompt == "a dog"
    again = run("layers", "x.psd", "--rename", "things", "stuff", "-o", "y.ora", "--json")
    told = json.loads(again.output)
    assert (told["path"], told["height"], told["layers"][0]) == ("y.ora", 30, "CON")
    assert Scene.open("y.ora").layers[1].groups[0].name == "stuff"


@pytest.mark.usefixtures("document")
def test_wrong_edits_are_told() -> None:
    for arguments, words in [
        (("x.psd",), "Say what to change"),
        (("--remove", "sky"), "Name the FILE"),
        (("x.psd", "--foreground", "a hat"), "--add FILE"),
        (("x.psd", "--move", "sky", "9"), "such as 10,-4"),
        (("x.psd", "--opacity", "sky", "2"), "expected 0 to 1"),
    ]:
        result = run("layers", *arguments)
        assert result.exit_code == 2, arguments
        assert words in result.output
    absent = run("layers", "x.psd", "--remove", "a cart")
    assert isinstance(absent.exception, InputError)
    assert "Choose one of: 'things / a cat'" in str(absent.exception)
    assert not Path("x-edited.psd").exists()


def test_a_folder_takes_the_layers(document: Scene) -> None:
    result = run("layers", "x.psd", "-o", "out/")
    assert result.output.splitlines() == [
        f"out/{name}.png" for name in ("sky", "a cat", "hats, many", "CON-layer")
    ]
    for layer, line in zip(document.layers, result.output.splitlines(), strict=True):
        assert np.array_equal(read_image(line).rgba, layer.image)
    run("layers", "x.psd", "--remove", "CON", "-o", "whole", "--whole-canvas")
    run("composite", "whole/sky.png", "whole/a cat.png", "whole/hats, many.png", "-o", "flat.png")
    assert np.array_equal(read_image("flat.png").rgba, document.composite())


def test_images_are_placed_on_the_lowest() -> None:
    sky, cat = noise(30, 40), noise(20, 20)
    write_image(sky, "sky.png")
    write_image(cat, "cat.png")
    place = ("--at", "25,-4", "--opacity", "0.5", "--blend", "multiply")
    assert run("composite", "sky.png", "cat.png", *place, "-o", "x.ora").exit_code == 0
    scene = Scene.open("x.ora")
    assert (scene.height, scene.width) == (30, 40)
    top = scene.layers[1]
    assert (top.offset, top.opacity, top.blend_mode) == ((-4, 25), 0.5, "multiply")
    assert (scene.layers[0].offset, scene.layers[0].opacity) == ((0, 0), 1)
    run("composite", "sky.png", "cat.png", *place, "-o", "x.png")
    assert np.array_equal(read_image("x.png").rgba, scene.composite())
    many = run("composite", "sky.png", "--at", "0,0", "--at", "1,1")
    assert many.exit_code == 2
    wrong = run("composite", "sky.png", "--blend", "glow")
    assert wrong.exit_code == 2
    assert "soft_light" in wrong.output
