"""`pellucid models`: lists, fetches and verifies the checkpoints of the catalogue."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from pellucid.apps.commands.options import JSON
from pellucid.apps.sections import SectionedGroup
from pellucid.weights.catalog import CATALOG, Checkpoint, get


def _row(row: Checkpoint) -> dict[str, object]:
    return {**asdict(row), "convention": row.convention, "licence": row.licence, "revision": row.revision}


def _show(fields: dict[str, object], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(fields, indent=2))
        return
    for key, value in fields.items():
        click.echo(f"{key:18} {'unknown' if value is None or value == '' else value}")


@click.group("models", cls=SectionedGroup)
def models_command() -> None:
    """List, fetch, show and verify checkpoints."""


@models_command.command("list")
@JSON
def list_command(as_json: bool) -> None:
    """List the known checkpoints, a line each."""
    if as_json:
        click.echo(json.dumps([_row(row) for row in CATALOG], indent=2))
        return
    for row in CATALOG:
        size = f"{row.bytes / 1e6:.0f} MB" if row.bytes else "unknown"
        click.echo(f"{row.name:18} {row.base:5} {row.kind:18} {size:>9}  {row.repo}/{row.file}")


@models_command.command("show")
@click.argument("name")
@JSON
def show_command(name: str, as_json: bool) -> None:
    """Show all that is known of checkpoint NAME, or of mini, the embedded model."""
    if name == "mini":
        from pellucid.apps.commands.embedded import card

        _show(card(), as_json)
        return
    _show(_row(get(name)), as_json)


@models_command.command("words", short_help="List what mini knows by name, or what TEXT names.")
@click.argument("text", required=False)
@JSON
def words_command(text: str | None, as_json: bool) -> None:
    """List what the embedded model knows by name; with TEXT, what that names, or the nearest names.

    TEXT may be an emoji, a word of another language, or misspelt.
    """
    from pellucid.apps.commands.embedded import all_words, found_words

    _show_words(all_words() if text is None else found_words(text), as_json)


def _show_words(fields: Mapping[str, Sequence[str]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(fields, indent=2, ensure_ascii=False))
        return
    for kind, words in fields.items():
        click.echo(f"{kind} ({len(words)}): {', '.join(words)}")


@models_command.command("get", short_help="Fetch and verify checkpoint NAME.")
@click.argument("name")
@JSON
def get_command(name: str, as_json: bool) -> None:
    """Fetch checkpoint NAME into the hub's cache, verify it, and print its path."""
    from pellucid.weights.store import locate, verify

    row = get(name)
    path = locate(row.name)
    digest = verify(path, row)
    _show({"path": str(path), "sha256": digest}, True) if as_json else click.echo(str(path))


@models_command.command("verify", short_help="Check the file of checkpoint NAME.")
@click.argument("name")
@click.argument("path", required=False, type=click.Path(path_type=Path, dir_okay=False, exists=True))
@JSON
def verify_command(name: str, path: Path | None, as_json: bool) -> None:
    """Check the size, hash and tensors of checkpoint NAME, in the cache or at PATH."""
    from pellucid.weights.store import locate, verify

    row = get(name)
    # what is on this machine is verified; `get` is the command that fetches
    path = path or locate(row.name, fetch=False)
    digest = verify(path, row)
    verdict = "matches" if row.sha256 else "no published hash to compare with"
    if as_json:
        _show({"path": str(path), "sha256": digest, "hash": verdict}, True)
    else:
        click.echo(f"{path}: {row.tensors} tensors, SHA-256 {digest[:16]} {verdict}")
