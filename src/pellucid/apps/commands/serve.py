"""`pellucid serve`: an images endpoint whose alpha is real, and the tokens of those who may call it."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pellucid.apps.commands.full_size import OFFLOAD
from pellucid.apps.commands.options import JSON, echo_address
from pellucid.apps.sections import SectionedCommand, SectionedGroup, option

if TYPE_CHECKING:
    from pellucid.serving.store import JobStore


class ServeGroup(SectionedGroup, SectionedCommand):
    """A group that is a command by itself, with options under headings."""


STATE = option(
    "Storage",
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of jobs, results and tokens.  [default: ~/.local/state/pellucid/server]",
)
DATABASE = option(
    "Storage",
    "--database",
    metavar="URL",
    help="Jobs and tokens elsewhere, such as postgresql://user@host/name.  [default: a file in --state]",
)


def state_folder(chosen: Path | None) -> Path:
    """Returns the folder of a server's state: the chosen one, else below `$XDG_STATE_HOME`."""
    base = os.environ.get("XDG_STATE_HOME")
    return chosen or (Path(base) if base else Path.home() / ".local" / "state") / "pellucid" / "server"


@click.group("serve", cls=ServeGroup, invoke_without_command=True)
@option("Server", "--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@option(
    "Server",
    "--port",
    type=click.IntRange(0, 65535),
    default=8799,
    show_default=True,
    help="0 takes a free one.",
)
@option("Server", "--public-url", metavar="URL", help="Where callers reach it, if through a proxy.")
@option(
    "Server",
    "--cors",
    metavar="ORIGIN",
    multiple=True,
    help="Web page that may call, such as http://localhost:3000.",
)
@option("Server", "--require-token", is_flag=True, help="Ask for tokens on this machine too.")
@option("Server", "--log-prompts", is_flag=True, help="Log what is asked for, prompts included.")
@option("Server", "--log-text", is_flag=True, help="Log plain lines instead of JSON.")
@option(
    "Model",
    "--model",
    "models",
    metavar="[NAME=]MODEL",
    multiple=True,
    help="A model to offer; the first is the default. Several may be given.  [default: mini]",
)
@option("Model", "--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps.")
@option("Model", "--dtype", default="auto", show_default=True, help="auto, float32, float16 or bfloat16.")
@OFFLOAD
@option(
    "Memory",
    "--model-memory",
    type=float,
    metavar="GIB",
    help="For weights of all models; then the least used go.",
)
@option(
    "Limits",
    "--max-batch",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="Images sampled together.",
)
@option(
    "Limits",
    "--max-pixels",
    type=click.IntRange(1),
    default=16_777_216,
    show_default=True,
    help="Of one image.",
)
@option(
    "Limits",
    "--max-upload",
    type=click.IntRange(1),
    default=64,
    show_default=True,
    metavar="MIB",
    help="Of one request.",
)
@option(
    "Limits", "--max-queue", type=click.IntRange(1), default=200, show_default=True, help="Jobs that wait."
)
@option(
    "Limits",
    "--max-queue-per-client",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Of one client.",
)
@option(
    "Limits",
    "--deadline",
    type=click.FloatRange(1),
    default=600,
    show_default=True,
    metavar="SECONDS",
    help="After which a job fails.",
)
@option(
    "Storage",
    "--keep",
    type=click.FloatRange(1),
    default=3600,
    show_default=True,
    metavar="SECONDS",
    help="How long results stay.",
)
@option(
    "Several machines",
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="One process, or Ray Serve with replicas of the models.",
)
@option(
    "Several machines",
    "--replicas",
    metavar="N|MIN-MAX",
    default="1",
    show_default=True,
    help="Ray's: how many sample, or between how many it chooses by the load.",
)
@option(
    "Several machines",
    "--ray-address",
    metavar="ADDRESS",
    help="A cluster that runs.  [default: a new local one]",
)
@STATE
@DATABASE
@JSON
@click.pass_context
def serve_command(context: click.Context, as_json: bool, **options: object) -> None:
    """Serve images and layers to programs until Ctrl-C, and print the address.

    /v1/images speaks OpenAI's images API with real alpha; /v1/scenes has every mode of this library. Beyond
    this machine (--host 0.0.0.0) callers need a token: pellucid serve tokens new NAME.
    """
    if context.invoked_subcommand is not None:
        context.obj = options
        return
    from pellucid.apps.server.starting import ServeOptions, run_server

    chosen = ServeOptions.of(options, state_folder(options.pop("state")))  # pyright: ignore - click's types
    run_server(chosen, announce=lambda address: echo_address(address, as_json))


@serve_command.group("tokens", cls=SectionedGroup)
def tokens() -> None:
    """Make, list and revoke the tokens of callers."""


def _store(context: click.Context, state: Path | None, database: str | None) -> "JobStore":
    """Opens the store that is named here or, before the word tokens, at `serve` itself."""
    from pellucid.serving.store import open_job_store

    options: dict[str, Any] = context.obj or {}
    return open_job_store(state_folder(state or options.get("state")), database or options.get("database"))


@tokens.command("new", short_help="Make a token and print it, once.")
@click.argument("name")
@STATE
@DATABASE
@JSON
@click.pass_context
def new(context: click.Context, name: str, state: Path | None, database: str | None, as_json: bool) -> None:
    """Make a token for NAME and print it; nothing can show it again."""
    from pellucid.serving.tokens import TokenStore

    secret = TokenStore(_store(context, state, database)).new(name)
    click.echo(json.dumps({"name": name, "token": secret}) if as_json else secret)


@tokens.command("list", short_help="List who has a token.")
@STATE
@DATABASE
@JSON
@click.pass_context
def list_tokens(context: click.Context, state: Path | None, database: str | None, as_json: bool) -> None:
    """List the names of tokens, when they were made, and which were revoked."""
    from pellucid.serving.tokens import TokenStore

    found = TokenStore(_store(context, state, database)).all()
    rows = [
        {"name": each.name, "created": _date(each.created_at), "revoked": _date(each.revoked_at)}
        for each in found
    ]
    if as_json:
        click.echo(json.dumps(rows))
        return
    for row in rows:
        ending = f"  revoked {row['revoked']}" if row["revoked"] else ""
        click.echo(f"{row['name']}  {row['created']}{ending}")


@tokens.command("revoke", short_help="Make a token worthless at once.")
@click.argument("name")
@STATE
@DATABASE
@click.pass_context
def revoke(context: click.Context, name: str, state: Path | None, database: str | None) -> None:
    """Make the token of NAME worthless from the next request on; a server that runs need not be restarted."""
    from pellucid.serving.tokens import TokenStore

    TokenStore(_store(context, state, database)).revoke(name)


def _date(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
