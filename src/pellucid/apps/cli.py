"""The `pellucid` command: a table of commands, each loaded when it runs; `--help` loads no torch."""

import logging
import sys
from importlib import import_module

import click

from pellucid import __version__
from pellucid.errors import PellucidError

COMMANDS: dict[str, tuple[str, str]] = {
    # name: (module, line in --help); the module has a click command of that name
    "generate": ("generate", "A sentence in, a transparent picture out."),
    "layers": ("layers", "A scene of several layers, as a PSD or OpenRaster document."),
    "vary": ("generate", "Repaint a transparent picture after a sentence."),
    "upscale": ("generate", "Enlarge a transparent picture and repaint it a little."),
    "inpaint": ("generate", "Repaint a transparent picture inside a mask."),
    "split": ("layers", "Take a picture apart, given one of its two layers."),
    "encode": ("codec", "A transparent picture to its adjusted latent."),
    "decode": ("codec", "An adjusted latent to a transparent picture."),
    "show": ("images", "What is inside a picture: size, alpha, prompt, seed, model."),
    "clean": ("clean", "Mend dirty alpha, specks, pinholes and fringes, with scores."),
    "pad": ("images", "Extend colour under transparent pixels."),
    "composite": ("images", "Lay pictures over one another, bottom first."),
    "convert": ("images", "Write a picture in another format."),
    "models": ("models", "List, fetch, show and verify checkpoints."),
    "data": ("data", "Fetch and pack training pictures."),
    "train": ("train", "Train a stage from a recipe."),
    "eval": ("evaluate", "Score a model: its codec, its pictures, its speed."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported only when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return getattr(
            import_module(f"pellucid.apps.commands.{COMMANDS[cmd_name][0]}"), f"{cmd_name}_command"
        )

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Transparent images from a sentence, with real partial transparency."""


def main() -> None:
    """Runs the command line: exit code 0, 1 (our error, one line) or 2 (wrong usage)."""
    logging.getLogger("psd_tools").addHandler(logging.NullHandler())  # no lines on stderr about files
    try:
        cli(prog_name="pellucid")
    except PellucidError as error:
        click.echo(f"pellucid: {' '.join(str(error).split())}", err=True)  # a library's reason may have lines
        sys.exit(1)
