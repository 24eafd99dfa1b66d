"""Without a home, a cache or a temporary folder that may be written, commands work or say what is missing."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_many import image

import pellucid
from pellucid.apps.cli import cli
from pellucid.errors import FileError
from pellucid.files.images import write_image

SOURCE = Path(pellucid.__file__).parent.parent
COMMANDS = (
    ("--help",),
    ("info", "--no-time", "--json"),
    ("models", "list"),
    ("models", "get", "sdxl-attn"),
    ("models", "words", "cat"),
    ("show", "a.png"),
    ("sheet", "a.png", "--labels"),
    ("clean", "a.png"),
    ("data", "stats", "noto"),
    ("data", "pull", "noto"),
    ("data", "rounds", "list"),
    ("study", "results", "a"),
    ("train", "base", "--config", "a.toml"),
    ("eval", "compare", "a.json", "b.json"),
)
"""Cheap ones, of every kind that reads or writes a cache."""


def run_homeless(*commands: tuple[str, ...]) -> str:
    """Runs commands in one process whose home lies under a file, where not even root can make a folder."""
    Path("file").write_text("")
    nowhere = str(Path("file", "home").resolve())
    program = (
        "import sys\n"
        "from pellucid.apps.cli import main\n"
        f"for words in {commands!r}:\n"
        "    sys.argv = ['pellucid', *words]\n"
        "    try:\n"
        "        main()\n"
        "    except SystemExit as end:\n"
        "        print(words, end.code, file=sys.stderr, flush=True)\n"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "HF_", "MPL"))}
    places = dict.fromkeys(("HOME", "TMPDIR", "TEMP", "TMP"), nowhere)
    # numba then finds no folder for what it compiles, as in an installation that may not be written
    others = {"NUMBA_CACHE_LOCATOR_CLASSES": "ZipCacheLocator", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**kept, **places, **others, "PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    return done.stdout + done.stderr


def test_no_command_ends_in_a_traceback() -> None:
    write_image(image(), "a.png")
    told = run_homeless(*COMMANDS)
    assert "Traceback" not in told, told[-3000:]
    for words in COMMANDS:
        assert f"{words} " in told  # it was run, and ended
    assert Path("a-clean.png").exists()


@pytest.mark.slow
def test_edges_are_estimated_where_nothing_compiled_can_be_kept() -> None:
    write_image(image(), "a.png")
    told = run_homeless(("clean", "a.png", "--foreground", "estimate"))
    assert "Traceback" not in told, told[-3000:]
    assert Path("a-clean.png").exists()


def test_a_pipe_without_a_temporary_folder_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    write_image(image(), "a.png")
    monkeypatch.setattr(tempfile, "TemporaryDirectory", none)
    refused = CliRunner().invoke(cli, ["pad", "a.png", "-o", "-"])
    assert isinstance(refused.exception, FileError)
    assert "TMPDIR" in str(refused.exception)
