"""`pellucid mcp`: tools for coding agents over standard input and output."""

from pathlib import Path

import click

from pellucid.apps.commands.anywhere import AnywhereChoice, anywhere_options
from pellucid.apps.commands.options import FOLDER
from pellucid.apps.sections import SectionedCommand, option


@click.command("mcp", cls=SectionedCommand)
@option(
    "Files",
    "--folder",
    type=FOLDER,
    default=".",
    show_default="this folder",
    help="Below which images are read and written, and nowhere else.",
)
@anywhere_options
def mcp_command(folder: Path, choice: AnywhereChoice) -> None:
    """Offer the tools generate, layers, vary, inpaint, clean and show to a coding agent, over stdio.

    The agent starts this command by itself; its settings say for instance:

    \b
    {"mcpServers": {"pellucid": {"command": "pellucid", "args": ["mcp", "--folder", "assets"]}}}
    """  # noqa: D301 - click keeps the lines after this character
    try:
        from pellucid.apps.mcp.tools import Tools, make_server
    except ModuleNotFoundError as error:
        from pellucid.errors import missing_package

        raise missing_package(error.name or "mcp", "the protocol's server", "mcp") from None
    make_server(Tools(folder, choice.load)).run("stdio")
