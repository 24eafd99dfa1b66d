"""The everyday tasks of `examples/tasks`, run as they stand but for the number of steps."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from blocks import SHELL
from pellucid.apps.cli import cli
from pellucid.files.images import read_rgba, write_image
from pellucid.rgba.placing import visible_box
from pellucid.scene.scene import Scene

TASKS = sorted((Path(__file__).parent.parent / "examples/tasks").glob("*.sh"))
STEPS = {"generate": "1", "vary": "2", "inpaint": "2", "layers": "1"}
"""As few as do something: repainting takes a share of them."""


def run(script: Path) -> str:
    """Runs the commands of a script in this process, which has loaded torch already, or in a shell."""
    lines = [line for line in script.read_text().splitlines() if line and not line.startswith("#")]
    if any("&" in line for line in lines):
        text = "\n".join(lines).replace("generate", f"generate --steps {STEPS['generate']}")
        return subprocess.run(
            ["bash", "-c", SHELL + text], check=True, timeout=300, capture_output=True, text=True
        ).stdout
    output = ""
    for line in lines:
        name, *words = shlex.split(line)
        assert name == "pellucid", line
        # layers of a document are edited without a model
        makes = words[0] in STEPS and not words[1].endswith(".psd")
        result = CliRunner().invoke(cli, [*words, *(["--steps", STEPS[words[0]]] if makes else [])])
        assert result.exit_code == 0, f"{line}: {result.output} {result.exception}"
        output += result.stdout
    return output


def icons() -> None:
    paths = sorted(Path("icons").iterdir())
    assert len(paths) == 12
    for path in paths:
        rgba = read_rgba(path)
        assert rgba.shape == (512, 512, 4)
        box = visible_box(rgba)
        if box is not None:  # at two steps an image may be empty
            assert max(box[2:]) == 448
            assert min(box[:2]) == 32


def sprites() -> None:
    assert read_rgba("sprites.png").shape == (512, 512, 4)
    atlas = json.loads(Path("sprites.json").read_bytes())
    assert len(atlas["frames"]) == 12


def four_things() -> None:
    scene = Scene.open("scene.psd")
    assert len(scene.layers) == 5
    assert (scene.height, scene.width) == (256, 384)
    assert {layer.name for layer in scene.layers} >= {"a house", "a dog", "a red ball", "a bird"}


def replaced() -> None:
    before, after = Scene.open("beach.psd"), Scene.open("pumpkin.psd")
    assert [layer.name for layer in after.layers][-1] == "a pumpkin"
    for old, new in zip(before.layers[:-1], after.layers[:-1], strict=True):
        assert new.name == old.name
        assert (new.image == old.image).all()


def without_halo() -> None:
    assert read_rgba("clean.png").shape == (256, 256, 4)


def harmonized() -> None:
    scene = Scene.open("together.psd")
    assert len(scene.layers) == 4
    assert (scene.composite() == read_rgba("together.png")).all()


def fifty() -> None:
    assert len(list(Path("fifty").iterdir())) == 50


def made_again() -> None:
    assert Path("apple.png").read_bytes() == Path("same.png").read_bytes()
    assert Path("apple.png").read_bytes() != Path("other.png").read_bytes()


def any_size() -> None:
    own, hat, mask = read_rgba("own.png"), read_rgba("hat.png"), read_rgba("mask.png")[..., 0]
    assert own.shape == hat.shape == read_rgba("green.png").shape == (333, 777, 4)
    assert (own[mask == 0] == hat[mask == 0]).all()


def nothing_more() -> None:
    return


def both_kept() -> None:
    assert {path.name for path in Path().glob("a-star*.png")} == {"a-star.png", "a-star-2.png"}


CHECKS: dict[str, Callable[[], None]] = {
    "01_icon_set": icons,
    "02_sprite_sheet": sprites,
    "03_scene": four_things,
    "04_replace_a_layer": replaced,
    "05_halo": without_halo,
    "06_harmonize": harmonized,
    "07_many_prompts": fifty,
    "08_again": made_again,
    "09_any_size": any_size,
    "10_info": nothing_more,
    "11_two_at_once": both_kept,
}


@pytest.mark.parametrize("script", TASKS, ids=lambda path: path.stem)
def test_a_task_does_what_it_says(script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in script.parent.glob("*.txt"):
        shutil.copy(path, tmp_path)
    mask = np.zeros((333, 777), np.uint8)
    mask[:150, 300:480] = 255
    write_image(np.dstack([mask] * 3 + [np.full_like(mask, 255)]), "mask.png")
    output = run(script)
    assert re.search(r"\S", output)
    CHECKS[script.stem]()


def test_every_task_is_checked_and_listed() -> None:
    assert [path.stem for path in TASKS] == list(CHECKS)
    text = (TASKS[0].parent.parent / "README.md").read_text()
    assert all(f"tasks/{path.name}" in text for path in TASKS)
