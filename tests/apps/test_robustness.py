"""Whatever is asked of the command line: an image, or one clear error, and nothing half-written."""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pellucid.apps.cli import main
from pellucid.files.images import read_image, write_image

SEEDED = ("--seed", "1", "--passes", "1")


def run(words: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of the program itself; a bug would come through as its exception."""
    monkeypatch.setattr(sys, "argv", ["pellucid", *words])
    with pytest.raises(SystemExit) as end:
        sys.exit(main())
    return int(end.value.code or 0)


def refused(words: Sequence[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> str:
    """The one message of a command that must refuse, and leave nothing."""
    before = sorted(Path().rglob("*"))
    code = run(words, monkeypatch)
    found = capfd.readouterr()
    assert code in (1, 2), found
    assert found.out == ""
    assert "Traceback" not in found.err
    assert sorted(Path().rglob("*")) == before
    if code == 1:
        line = found.err.removesuffix("\n")
        assert re.fullmatch(r"pellucid: .+[.:] .+\.", line), line
    return found.err


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        " \t ",
        "qzxv wrglph",
        "a" * 10_000,
        "ein roter Apfel, 赤いリンゴ, تفاحة حمراء",
        "🍎🧑‍🚀🏳️‍🌈",
        "a red\napple\r\nof glass",
        "a red\0apple",
        "\ud800 unpaired",
        "../../etc/passwd",
        "--help",
        "(a:1.2) [b] {c} $d %s",
    ],
    ids=lambda text: ascii(text)[:24],
)
def test_any_prompt_makes_an_image(
    prompt: str, model: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    code = run(["generate", "--model", model, "--steps", "1", *SEEDED, "--", prompt], monkeypatch)
    found = capfd.readouterr()
    assert code == 0
    # the small model's tokenizer has room for few letters
    assert all(line.startswith("pellucid: The prompt is too long for") for line in found.err.splitlines())
    (path,) = Path().iterdir()
    assert found.out == f"{path}\n"
    provenance = read_image(path).provenance
    assert provenance is not None
    assert provenance.prompt == prompt.encode("utf-8", "replace").decode()


@pytest.mark.parametrize(
    "words",
    [
        ("--size", "1x1"),
        ("--size", "65x63"),
        ("--size", "7x130"),
        ("--steps", "999", "--size", "8x8"),
        ("--guidance", "0"),
        ("--guidance", "1"),
        ("--guidance", "50"),
        ("--seed", "9223372036854775807", "--count", "2"),
        ("--negative", ""),
        ("--passes", "4"),
    ],
    ids=" ".join,
)
def test_odd_but_sensible_numbers_make_images(
    words: tuple[str, ...], model: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    given = ["generate", "a", "--model", model, "-o", "x.png", *SEEDED]
    if "--steps" not in words:
        given += ["--steps", "2"]
    assert run([*given, *words], monkeypatch) == 0, capfd.readouterr()
    paths = sorted(Path().iterdir())
    assert capfd.readouterr().out.split() == [path.name for path in paths]
    if words[0] == "--size":
        width, height = map(int, words[-1].split("x"))
        assert read_image(paths[0]).rgba.shape == (height, width, 4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--steps", "0"), "1 to 999 steps, found 0"),
        (("--steps", "-3"), "1 to 999 steps"),
        (("--steps", "1000"), "1 to 999 steps"),
        (("--steps", "two"), "'two' is not a valid integer"),
        (("--guidance", "-1"), "guidance of 0 or more"),
        (("--guidance", "nan"), "guidance of 0 or more"),
        (("--guidance", "inf"), "guidance of 0 or more"),
        (("--seed", "-1"), "seed of 0 to"),
        (("--seed", str(2**63)), "seed of 0 to"),
        (("--count", "0"), "count of 1 to"),
        (("--count", "-2"), "count of 1 to"),
        (("--passes", "3"), "1, 2, 4 or 8 passes"),
        (("--size", "0x8"), "size of 1 to"),
        (("--size", "99999x8"), "size of 1 to"),
        (("--size", "8"), "expected WIDTHxHEIGHT"),
        (("--size", "-8x8"), "expected WIDTHxHEIGHT"),
        (("--scheduler", "best"), "Choose one of"),
        (("-o", "no/x.png"), "found none. Create it first"),
        (("-o", "x"), "no ending"),
        (("-o", "x.jpg"), "no format with transparency"),
        (("-o", "x.xcf"), "no format with transparency"),
        (("-o", "y" * 300 + ".png"), "too long"),
        (("-o", "file.txt/x.png"), "Expected a folder"),
    ],
    ids=lambda value: None if isinstance(value, str) else " ".join(value)[:30],
)
def test_what_cannot_be_is_refused_before_a_model_is_loaded(
    words: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("file.txt").write_text("kept")
    for command in (["generate", "a"], ["vary", "never.png", "a"]):
        if command[0] == "vary" and "--size" in words:
            continue
        found = refused([*command, "--model", "never/loaded/at/all", *words], monkeypatch, capfd)
        assert re.search(message, found), found


@pytest.mark.skipif(os.geteuid() == 0, reason="a superuser may write anywhere")
def test_a_folder_of_others_is_refused(
    model: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("closed").mkdir(mode=0o555)
    assert "not yours" in refused(["generate", "a", "-o", "closed/x.png"], monkeypatch, capfd)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--model", "no-such-model"), "no hub id"),
        (("--model", ""), "no hub id|model_index"),
        (("--model", "."), "model_index.json"),
        (("--model", "a\0b"), "no hub id"),
        (("--device", "gpu"), "device"),
        (("--device", "cuda:99"), "device"),
        (("--dtype", "int8"), "float16"),
        (("--adapter", "no-such"), "sdxl-attn"),
        (("--adapter", "none.safetensors"), "none.safetensors"),
    ],
    ids=" ".join,
)
def test_a_model_that_is_not_there_is_explained(
    words: tuple[str, ...],
    message: str,
    model: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    found = refused(["generate", "a", "--model", model, *words], monkeypatch, capfd)
    assert re.search(message, found), found


@pytest.mark.parametrize(
    "words",
    [
        ("generate",),
        ("generate", "a", "b"),
        ("generate", "a", "--colour", "red"),
        ("no-such-command",),
        ("vary", "x.png"),
        ("vary", "absent.png", "a"),
        ("vary", "broken.png", "a"),
        ("vary", "fine.png", "a", "--strength", "2"),
        ("encode", "absent.png"),
        ("encode", "broken.png"),
        ("encode", "fine.png", "-o", "no/x.safetensors"),
        ("decode", "absent.safetensors"),
        ("decode", "broken.png"),
        ("decode", "broken.png", "--passes", "5"),
        ("show", "broken.png"),
        ("show", "."),
        ("pad", "broken.png"),
        ("pad", "fine.png", "-o", "x.bmp"),
        ("composite", "fine.png", "absent.png"),
        ("composite", "fine.png", "--background", "reddish"),
        ("composite", "fine.png", "-o", "no/x.png"),
        ("convert", "fine.png", "no/x.webp"),
        ("convert", "fine.png", "x.xcf"),
        ("convert", "fine.png", "no/x.psd"),
        ("convert", "broken.psd", "x.ora"),
        ("show", "broken.ora"),
        ("convert", "broken.png", "x.webp"),
        ("convert", "broken.zip", "x.webp"),
        ("models", "show", "no-such"),
        ("models", "get", "no-such"),
        ("data", "pull", "no-such"),
        ("data", "stats", "absent.tar"),
        ("data", "stats", "broken.png"),
        ("train", "vae"),
        ("train", "vae", "--config", "absent.toml"),
        ("eval", "speed", "--runs", "0"),
        ("eval", "speed", "--passes", "7"),
        ("eval", "generation", "--captions", "x"),
        ("eval", "reconstruction", "absent"),
        ("eval", "reconstruction", "--vocabulary", "broken.png"),
    ],
    ids=" ".join,
)
def test_every_command_refuses_in_one_message(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write_image(np.zeros((4, 4, 4), np.uint8), "fine.png")
    for name in ("broken.png", "broken.zip", "broken.psd", "broken.ora"):
        Path(name).write_bytes(b"\x89PNG\r\n\x1a\n and then nothing of the kind")
    refused(words, monkeypatch, capfd)
