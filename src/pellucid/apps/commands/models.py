"""`pellucid models`: known checkpoints."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from pellucid.weights.catalog import CATALOG, Checkpoint, get

as_json = click.option("--json", "machine", is_flag=True, help="One JSON object instead of text.")


def _row(row: Checkpoint) -> dict[str, object]:
    return {**asdict(row), "convention": row.convention, "licence": row.licence, "revision": row.revision}


def _show(fields: dict[str, object], machine: bool) -> None:
    if machine:
        click.echo(json.dumps(fields, indent=2))
        return
    for key, value in fields.items():
        click.echo(f"{key:18} {'unknown' if value is None or value == '' else value}")


@click.group("models")
def models_command() -> None:
    """List, fetch, show and verify checkpoints."""


@models_command.command("list")
@as_json
def list_command(machine: bool) -> None:
    """Known checkpoints, a line each."""
    if machine:
        click.echo(json.dumps([_row(row) for row in CATALOG], indent=2))
        return
    for row in CATALOG:
        size = f"{row.bytes / 1e6:.0f} MB" if row.bytes else "unknown"
        click.echo(f"{row.name:18} {row.base:5} {row.kind:18} {size:>9}  {row.repo}/{row.file}")


@models_command.command("show")
@click.argument("name")
@as_json
def show_command(name: str, machine: bool) -> None:
    """All that is known of checkpoint NAME."""
    _show(_row(get(name)), machine)


@models_command.command("get", short_help="Fetch and verify checkpoint NAME.")
@click.argument("name")
@as_json
def get_command(name: str, machine: bool) -> None:
    """Fetch checkpoint NAME into the hub's cache, verify it, and print its path."""
    from pellucid.weights.store import locate, verify

    row = get(name)
    path = locate(row.name)
    digest = verify(path, row)
    _show({"path": str(path), "sha256": digest}, True) if machine else click.echo(str(path))


@models_command.command("verify", short_help="Check the file of checkpoint NAME.")
@click.argument("name")
@click.argument("path", required=False, type=click.Path(path_type=Path, dir_okay=False, exists=True))
@as_json
def verify_command(name: str, path: Path | None, machine: bool) -> None:
    """Check the size, hash and tensors of checkpoint NAME, in the cache or at PATH."""
    from pellucid.weights.store import locate, verify

    row = get(name)
    path = path or locate(row.name, fetch=False)
    digest = verify(path, row)
    known = "matches" if row.sha256 else "no published hash to compare with"
    if machine:
        _show({"path": str(path), "sha256": digest, "hash": known}, True)
    else:
        click.echo(f"{path}: {row.tensors} tensors, SHA-256 {digest[:16]} {known}")
