"""Fills `<!-- command line -->` in a page with the help of every command: no copy can be out of date."""

from collections.abc import Iterator
from typing import Any

import click

MARK = "<!-- command line -->"
CONTEXT = {"terminal_width": 88, "max_content_width": 88, "color": False}


def commands(command: click.Command, words: list[str]) -> Iterator[tuple[str, str]]:
    """Yields the name and the help of a command and of all commands below it."""
    context = click.Context(command, info_name=" ".join(words), **CONTEXT)
    yield " ".join(words), command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                yield from commands(inner, [*words, name])


def on_page_markdown(markdown: str, **_: Any) -> str:  # noqa: ANN401 - MkDocs hands over more than is used
    """Replaces the mark; MkDocs calls this for every page."""
    if MARK not in markdown:
        return markdown
    from pellucid.apps.cli import cli

    parts = [f"## {name}\n\n```text\n{text}\n```\n" for name, text in commands(cli, ["pellucid"])]
    return markdown.replace(MARK, "\n".join(parts))
