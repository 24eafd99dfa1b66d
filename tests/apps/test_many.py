"""Many images at once: prompts from files, inputs from folders, and what becomes of them when some fail."""

import json
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from pellucid.apps.cli import cli
from pellucid.apps.commands.names import default_path, stem_from, write_new
from pellucid.apps.commands.prompt_files import PromptRow, read_prompts
from pellucid.apps.commands.runs import distinct
from pellucid.errors import FileError, FileWarning, InputError
from pellucid.files.images import read_image, read_rgba, write_image
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.scene.scene import Scene

FAST = ("--steps", "2", "--size", "20x10")
CAT, DOG = PromptRow(prompt="a cat"), PromptRow(prompt="a dog")


def run(*arguments: str | Path, given: bytes | None = None) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], input=given)


def image(value: int = 200) -> np.ndarray:
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[10:30, 20:50] = (value, 30, 90, 255)
    return rgba


@pytest.mark.parametrize(
    ("name", "text", "rows"),
    [
        ("p.txt", "\ufeffa cat\n\n# a note\n  a dog  \r\n", [CAT, DOG]),
        ("p", "a cat\na dog", [CAT, DOG]),
        (
            "p.csv",
            'Prompt,seed,size\n"a cat, black",7,64x32\na dog,,\n',
            [PromptRow(prompt="a cat, black", seed=7, size=(32, 64)), DOG],
        ),
        ("p.csv", "\ufeffPrompt;seed\r\na cat, black;7\r\n", [PromptRow(prompt="a cat, black", seed=7)]),
        ("p.txt", "  # a note\na cat\n", [CAT]),
        ("p.jsonl", '{"prompt": "a\u2028cat"}\n', [PromptRow(prompt="a\u2028cat")]),
        ("p.tsv", "prompt\tname\na cat\tkitty\n", [PromptRow(prompt="a cat", name="kitty")]),
        ("p.json", '["a cat", {"prompt": "a dog"}]', [CAT, DOG]),
        (
            "p.jsonl",
            '"a cat"\n\n{"prompt": "a dog", "seed": 3, "negative": "blur"}\n',
            [CAT, PromptRow(prompt="a dog", seed=3, negative="blur")],
        ),
    ],
)
def test_prompts_are_read_from_files_of_each_kind(name: str, text: str, rows: list[PromptRow]) -> None:
    assert read_prompts(text.encode(), name) == rows


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("p.txt", b"# nothing\n", "at least one prompt in p.txt"),
        ("p.txt", b"\xff\xfe", "UTF-8"),
        ("p.csv", b"prompt,sead\na,1\n", "Did you mean seed"),
        ("p.csv", b"prompt\na, b\n", "1 columns in line 2"),
        ("p.csv", b"prompt,seed\na,1.5\n", "whole number as seed in line 2"),
        ("p.csv", b"prompt,size\na,big\n", "64x96 in line 2"),
        ("p.csv", b"seed\n3\n", "prompt in line 2"),
        ("p.csv", b"prompt,name\na,../b\n", "file's name in line 2"),
        ("p.csv", b"prompt,name\na,CON\n", "device on Windows"),
        ("p.csv", b"prompt,seed,Seed\na,1,2\n", "'seed' twice"),
        ("p.csv", b"a cat\n", "beneath the names of its columns"),
        ("p.csv", b"prompt,size\na,0x64\n", "64x96 in line 2 of p.csv, of 1 to 8192"),
        ("p.json", b'[{"prompt": "a", "seed": -4}]', "seed in prompt 1"),
        ("p.json", b'{"prompt": "a"}', "list of prompts"),
        ("p.json", b"[1]", "prompt 1 of p.json"),
        ("p.json", b'[{"prompt": 1}]', "prompt as text"),
        ("p.jsonl", b'"a"\n{', "JSON in line 2"),
    ],
)
def test_wrong_files_of_prompts_are_told_with_their_line(name: str, content: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words.replace(".", "\\.")):
        read_prompts(content, name)


def test_each_prompt_makes_a_file_in_a_folder(model: str) -> None:
    Path("p.csv").write_text("prompt,seed,name,size\na cat,7,kitty,\na cat,,,30x40\na cat,,,\n")
    made = run("generate", "--prompts", "p.csv", "-o", "out/", "--model", model, "--seed", "1", *FAST)
    assert made.output == "out/kitty.png\nout/a-cat.png\nout/a-cat-2.png\n"
    alone = run("generate", "a cat", "--model", model, "--seed", "7", *FAST, "-o", "alone.png")
    assert alone.exit_code == 0
    assert Path("out/kitty.png").read_bytes() == Path("alone.png").read_bytes()
    assert read_rgba("out/a-cat.png").shape == (40, 30, 4)
    more = run("generate", "--prompts", "-", "-o", "out", "--model", model, *FAST, given=b"a cat\n")
    assert more.output == "out/a-cat-3.png\n"


def test_a_count_gives_the_same_images_as_one_by_one(model: str) -> None:
    several = run("generate", "a", "--count", "2", "--seed", "4", "--model", model, *FAST, "-o", "x.png")
    assert several.output == "x-001.png\nx-002.png\n"
    run("generate", "a", "--seed", "5", "--model", model, *FAST, "-o", "one.png")
    assert Path("x-002.png").read_bytes() == Path("one.png").read_bytes()


def test_what_exists_is_left_out_on_request(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("p.txt").write_text("a cat\na dog\n")
    words = ("generate", "--prompts", "p.txt", "-o", "out/", "--model", model, "--skip-existing", *FAST)
    assert run(*words).output == "out/a-cat.png\nout/a-dog.png\n"
    Path("out/a-dog.png").unlink()
    again = run(*words, "--json")
    facts = json.loads(again.stdout)
    assert [row["path"] for row in facts["pictures"]] == ["out/a-dog.png"]
    assert facts["skipped"] == ["out/a-cat.png"]
    monkeypatch.setattr(TransparentPipeline, "generate", None)
    assert run(*words).output == "Left out 2 whose file exists.\n"


def test_ctrl_c_keeps_what_is_done(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("p.txt").write_text("a cat\na dog\na fish\n")
    saved = Scene.save

    def interrupted(scene: Scene, path: str | Path) -> Path:
        if "dog" in str(path):
            raise KeyboardInterrupt
        return saved(scene, path)

    monkeypatch.setattr(Scene, "save", interrupted)
    stopped = run("generate", "--prompts", "p.txt", "-o", "out/", "--model", model, *FAST)
    assert stopped.exit_code == 130
    assert stopped.output == "out/a-cat.png\nStopped: 1 of 3 images were written and are kept.\n"
    assert [path.name for path in Path("out").iterdir()] == ["a-cat.png"]


def test_files_and_folders_are_repainted_one_after_another(model: str) -> None:
    Path("in").mkdir()
    for name in ("b.png", "a.png"):
        write_image(image(), Path("in", name))
    Path("in", "notes.txt").write_text("no image")
    Path("c.jpg").write_text("no image either")
    made = run("vary", "in", "c.jpg", "in/a.png", "a fox", "--model", model, "--steps", "2", "-o", "out/")
    assert made.exit_code == 1
    lines = made.output.splitlines()
    assert lines[:2] == ["out/a.png", "out/b.png"]
    assert lines[2].startswith("pellucid: c.jpg: ")
    assert lines[3:] == ["out/a-2.png", "pellucid: 1 of 4 images failed. The rest is written."]
    larger = run("upscale", "in", "--model", model, "--strength", "0", "-o", "big/", "--format", "webp")
    assert larger.output == "big/a.webp\nbig/b.webp\n"
    both = run("upscale", "in/", "out/a.png", "a fox", "--model", model, "--strength", "0", "-o", "more/")
    assert both.output == "more/a.png\nmore/b.png\nmore/a-2.png\n"
    metadata = read_image("more/a.png").provenance
    assert metadata is not None
    assert metadata.prompt == "a fox"
    assert run("upscale", "in/a.png", "in/b.png", "--model", model, "--strength", "0").exit_code == 0
    assert run("vary", "in/a.png", "in/b.png", "--model", model).exit_code == 2


def test_thousands_of_equal_names_are_numbered_at_once() -> None:
    names = distinct(Path("out", name) for name in ["a.png", "A.png", *["a.png"] * 30_000])
    assert len({str(name).casefold() for name in names}) == len(names)
    assert names[-1] == Path("out/a-30002.png")


def test_several_results_want_a_folder_and_do_not_overwrite_their_inputs(model: str) -> None:
    for name in ("a.png", "b.png"):
        write_image(image(), name)
    for words, told in [
        (("vary", "a.png", "b.png", "x", "-o", "c.png"), "slash at its end: c/"),
        (("vary", "a.png", "b.png", "x", "-o", "."), "apart from the inputs"),
        (("vary", "a.png", "b.png", "x", "-o", "a.png/"), "folder a.png"),
        (("upscale", "empty/", "-o", "x/"), "images in the folder"),
    ]:
        Path("empty").mkdir(exist_ok=True)
        error = run(*words, "--model", model).exception
        assert isinstance(error, FileError)
        assert told in str(error)
    assert run("generate", "--model", model).exit_code == 2
    assert run("generate", "a", "--prompts", "p.txt").exit_code == 2
    Path("p.txt").write_text("a\nb\n")
    assert run("generate", "--prompts", "p.txt", "-o", "-").exit_code == 2


def test_images_come_trimmed_with_even_margins(model: str) -> None:
    write_image(image(), "a.png")
    run("vary", "a.png", "x", "--strength", "0", "--margin", "3", "--model", model, "-o", "t.png")
    assert read_rgba("t.png").shape == (26, 36, 4)
    run(
        "vary",
        "a.png",
        "x",
        "--strength",
        "0",
        "--fit",
        "100x80",
        "--margin",
        "10",
        "--model",
        model,
        "-o",
        "f.png",
    )
    fitted = read_rgba("f.png")
    assert fitted.shape == (80, 100, 4)
    rows, columns = (np.flatnonzero(fitted[..., 3].any(axis=axis)) for axis in (1, 0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (13, 65, 10, 89)
    wide = run("generate", "a", "--fit", "20x20", "--margin", "10", "--model", "never").exception
    assert isinstance(wide, InputError)


def test_names_suit_every_system_and_are_never_taken_twice(tmp_path: Path) -> None:
    for name in ("CON", "nul", "LPT1", "aux"):
        assert stem_from(name) == f"{name.lower()}-image"
    assert [stem_from(text) for text in ("🔥 🐉!", "!?")] == ["fire-dragon", "picture"]
    assert default_path("con").name == "con-image.png"
    written: list[Path] = []

    def write() -> None:
        written.append(write_new(tmp_path / "cat.png", lambda path: path.write_bytes(b"x")))

    threads = [threading.Thread(target=write) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(written)) == 12
    assert {path.name for path in written} >= {"cat.png", "cat-2.png", "cat-12.png"}

    def fail(_: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_new(tmp_path / "dog.png", fail)
    assert not (tmp_path / "dog.png").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("generate", "a cat", "--size", "20x10"),
        ("vary", "x.png", "a cat"),
        ("layers", "--on", "x.png", "--foreground", "a cat"),
    ],
)
@pytest.mark.filterwarnings("ignore:too coarse")
def test_what_is_warned_of_while_writing_stands_in_the_json(
    words: tuple[str, ...], model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(image(), "x.png")
    saved = Scene.save

    def warned(scene: Scene, path: str | Path) -> Path:
        warnings.warn("too coarse for this format", FileWarning, stacklevel=2)
        return saved(scene, path)

    monkeypatch.setattr(Scene, "save", warned)
    made = run(*words, "--model", model, "--steps", "2", "-o", "y.psd", "--json")
    assert made.exit_code == 0, made.exception
    assert json.loads(made.stdout)["warnings"] == ["too coarse for this format"]
