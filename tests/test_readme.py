"""Every block of the README runs as it stands there.

A block under `<!-- needs: … -->` is too long or needs a network: its `pellucid` commands are only
parsed, down to option names and files that must exist. `<!-- test command -->` marks what runs these tests.
"""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from sybil import Document, Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser

from pellucid.apps.cli import cli

ROOT = Path(__file__).parent.parent
INSTALL = re.compile(r"^pip install \S+ && ")
SHELL = f'set -euo pipefail; pellucid() {{ {shlex.quote(sys.executable)} -m pellucid "$@"; }}\n'


def run_shell(example: Example) -> None:
    lines = [INSTALL.sub("", line) for line in example.parsed.splitlines()]
    subprocess.run(["bash", "-c", SHELL + "\n".join(lines)], check=True, timeout=300)


def document() -> Document:
    parsers = [CodeBlockParser("python", PythonEvaluator()), CodeBlockParser("bash", run_shell)]
    return Sybil(parsers, path=str(ROOT), pattern="README.md").parse(ROOT / "README.md")


def mark_above(example: Example) -> str:
    """The comment right above a block."""
    above = example.document.text[: example.region.start].rstrip().splitlines()
    found = re.fullmatch(r"<!-- (.+) -->", above[-1]) if above else None
    return found[1] if found else ""


BLOCKS = [(f"line-{example.line}", mark_above(example), example) for example in document().examples()]
RUN = [pytest.param(block, id=name) for name, mark, block in BLOCKS if not mark]
PARSE = [pytest.param(block, id=name) for name, mark, block in BLOCKS if mark.startswith("needs: ")]


def test_no_block_is_missed() -> None:
    fences = re.findall(r"^```(\w+)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(BLOCKS) == len([fence for fence in fences if fence in ("python", "bash")])
    assert {mark for _, mark, _ in BLOCKS if not mark.startswith("needs: ")} == {"", "test command"}
    assert RUN
    assert PARSE


@pytest.mark.parametrize("block", RUN)
def test_a_block_runs(block: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    block.evaluate()


@pytest.mark.parametrize("block", PARSE)
def test_the_commands_of_a_long_block_are_understood(block: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    commands = [line for line in re.split(r"\n|&&", block.parsed) if line.strip()]
    assert commands
    for line in commands:
        program, *words = shlex.split(line)
        assert program == "pellucid"
        parse(cli, words)


def parse(command: click.Command, words: list[str]) -> None:
    """Raises click.UsageError for words that the command would refuse."""
    context = command.make_context("pellucid", list(words))
    if isinstance(command, click.Group):
        _, below, rest = command.resolve_command(context, words)
        assert below is not None
        parse(below, rest)
