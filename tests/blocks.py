"""Code blocks of Markdown pages: found by Sybil, marked by the comment right above them."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
from sybil import Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser
from sybil.typing import Evaluator

from pellucid.apps.cli import cli

INSTALL = re.compile(r"^pip install \S+( && |$)")
SHELL = f'set -euo pipefail; pellucid() {{ {shlex.quote(sys.executable)} -m pellucid "$@"; }}\n'


def run_shell(example: Example) -> None:
    """Runs a shell block; this installation stands for what `pip install` would bring."""
    lines = [INSTALL.sub("", line) for line in example.parsed.splitlines()]
    subprocess.run(["bash", "-c", SHELL + "\n".join(lines)], check=True, timeout=300)


def run_here(example: Example) -> None:
    """Runs the `pellucid` commands of a block in this process, which has loaded torch already.

    Those that are joined by pipes run in a shell, as do blocks that write a file from what stands in them.
    """
    if "|" in example.parsed or "<<" in example.parsed:
        run_shell(example)
        return
    for line in example.parsed.splitlines():
        words = shlex.split(INSTALL.sub("", line), comments=True)
        if words:
            assert words[0] == "pellucid", f"a block of these pages holds only pellucid commands: {line}"
            cli.main(args=words[1:], prog_name="pellucid", standalone_mode=False)


def of(page: Path, run: Evaluator = run_shell) -> list[tuple[Example, str]]:
    """Returns a page's Python and shell blocks, each with the text of the comment right above it."""
    parsers = [CodeBlockParser("python", PythonEvaluator()), CodeBlockParser("bash", run)]
    found = Sybil(parsers, path=str(page.parent), pattern=page.name).parse(page)
    return [(example, _mark_above(example)) for example in found.examples()]


def _mark_above(example: Example) -> str:
    above = example.document.text[: example.region.start].rstrip().splitlines()
    found = re.fullmatch(r"<!-- (.+) -->", above[-1]) if above else None
    return found[1] if found else ""


def check(example: Example) -> None:
    """Checks what can be checked of a block without running it: its syntax, or its commands.

    Raises:
        SyntaxError: the block is no Python.
        click.UsageError: an option or a file of a `pellucid` command does not exist.
    """
    if example.document.text[example.region.start :].startswith("```python"):
        compile(example.parsed, example.path, "exec")
        return
    whole_lines = example.parsed.replace("\\\n", " ")
    commands = [line for line in re.split(r"\n|&&", whole_lines) if line.strip()]
    assert commands
    for line in commands:
        program, *words = shlex.split(line)
        assert program == "pellucid"
        _parse(cli, words)


def _parse(command: click.Command, words: list[str]) -> None:
    context = command.make_context("pellucid", list(words))
    if isinstance(command, click.Group):
        found = next((i for i, word in enumerate(words) if command.get_command(context, word)), None)
        if found is None and command.invoke_without_command:
            return
        _, below, rest = command.resolve_command(context, words[found:])
        assert below is not None
        _parse(below, rest)
