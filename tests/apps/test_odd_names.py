"""Files whose names are no text, and standard output that takes nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pellucid import Scene
from pellucid.apps.cli import main
from pellucid.files.images import write_image
from pellucid.files.names import safe_stem

ODD = os.fsdecode(b"b\xff \xe9.png")
pytestmark = pytest.mark.skipif(
    sys.platform in ("win32", "darwin"), reason="there every name of a file is text"
)


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rgba = np.random.default_rng(0).integers(0, 256, (12, 10, 4), np.uint8)
    Path("in").mkdir()
    for path in (ODD, f"in/{ODD}", "plain.png"):
        write_image(rgba, path)
    Scene.of([rgba, rgba]).save("two.psd")


def run(*words: str, code: int = 0) -> None:
    """Runs the program itself, which prepares standard output for any name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["pellucid", *words])
        with pytest.raises(SystemExit) as end:
            main()
    assert (end.value.code or 0) == code


@pytest.mark.parametrize(
    ("words", "made"),
    [
        (("convert", ODD, os.fsdecode(b"\xfe.psd")), b"\xfe.psd"),
        (("convert", "in", "-o", "out/"), b"out/b\xff \xe9.png"),
        (("composite", "plain.png", ODD, "-o", "x.psd"), b"x.psd"),
        (("composite", ODD, ODD, "-o", "x.ora"), b"x.ora"),
        (("pad", ODD), b"b\xff \xe9-padded.png"),
        (("pad", ODD, "--keep-alpha", "-o", "x.psd"), b"x.psd"),
        (("resize", ODD, "--size", "5x", "-o", "x.psd"), b"x.psd"),
        (("clean", ODD), b"b\xff \xe9-clean.png"),
        (("sheet", "in", "-o", "x.png"), b"x.png"),
        (("sheet", "in", "--labels", "-o", "x.png"), b"x.png"),
        (("harmonize", ODD, "plain.png"), b"b\xff \xe9-on-plain.psd"),
        (("layers", "two.psd", "--replace", "#1", ODD), b"two-edited.psd"),
    ],
)
def test_names_of_files_are_kept_byte_by_byte_and_layers_get_text(
    words: tuple[str, ...], made: bytes
) -> None:
    run(*words)
    assert os.path.exists(made)  # noqa: PTH110 - of bytes
    for layer in Scene.open(os.fsdecode(made)).layers:
        layer.name.encode()


def test_show_says_what_is_in_them() -> None:
    words = [sys.executable, "-m", "pellucid", "show", ODD, "--json"]
    output = subprocess.run(words, capture_output=True, check=True).stdout
    found = json.loads(output.decode("utf-8", "surrogateescape"))
    assert found["path"] == ODD
    assert found["layers"][0]["name"] == "b\N{REPLACEMENT CHARACTER} \N{REPLACEMENT CHARACTER}"


def test_an_atlas_cannot_name_its_sheet(capfd: pytest.CaptureFixture[str]) -> None:
    run("sheet", "in", "-o", os.fsdecode(b"\xfe.png"), code=1)
    assert "Choose another" in capfd.readouterr().err


def test_names_are_made_of_any_text() -> None:
    for text in ("\ud800", "\udcff", "a\udfffb"):
        assert safe_stem(text).encode()


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict"])
def test_names_are_printed_whatever_standard_output_takes(encoding: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(
        [sys.executable, "-m", "pellucid", "show", ODD], capture_output=True, env=environment, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device")
@pytest.mark.parametrize("words", [("show", "plain.png"), ("convert", "plain.png", "x.png"), ("--help",)])
def test_a_full_standard_output_is_one_clear_error(words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pellucid", *words], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    assert done.stderr.decode().startswith("pellucid: Cannot write standard output: No space left on device.")
    assert done.stderr.count(b"\n") == 1
