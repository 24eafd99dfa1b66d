"""The `pellucid` command: a table of commands, each imported only when it runs, so that --help is fast."""

import errno
import logging
import os
import sys
import warnings
from importlib import import_module
from typing import TextIO

import click

from pellucid import __version__
from pellucid.apps.terminal import allow_any_names, drop_output, printable
from pellucid.apps.wording import in_shell_words
from pellucid.errors import FileWarning, PellucidError, PromptWarning

COMMANDS: dict[str, tuple[str, str]] = {
    # name: (module, line in --help); the module has a click command of that name
    "generate": ("generate", "Make transparent images from a prompt."),
    "layers": ("layers", "Make a scene of several layers, as a PSD or OpenRaster document."),
    "vary": ("repainting", "Repaint a transparent image after a prompt."),
    "upscale": ("repainting", "Enlarge a transparent image and repaint it a little."),
    "inpaint": ("repainting", "Repaint a transparent image inside a mask."),
    "split": ("layers", "Take an image apart, given one of its two layers."),
    "decompose": ("decompose", "Take an image apart into layers, by a model that makes layers itself."),
    "again": ("again", "Make an image anew from its own metadata, the same or with changes."),
    "encode": ("codec", "Write the adjusted latent of a transparent image."),
    "decode": ("codec", "Write the transparent image of an adjusted latent."),
    "show": ("images", "Show what is inside an image: size, alpha, prompt, seed, model."),
    "clean": ("clean", "Repair dirty alpha, specks, pinholes and fringes, with scores."),
    "pad": ("images", "Extend colour under transparent pixels."),
    "composite": ("images", "Lay images over one another, bottom first."),
    "harmonize": ("harmonize", "Lay a foreground on a background with matching light and a shadow."),
    "convert": ("images", "Write images in another format."),
    "resize": ("resize", "Make images larger or smaller, equally large, or into icons."),
    "sheet": ("sheet", "Lay images on a sprite sheet with an atlas, or on a contact sheet."),
    "info": ("info", "Show versions, devices, models, and how long an image takes."),
    "models": ("models", "List, fetch, show and verify checkpoints."),
    "data": ("data", "Fetch and pack training images."),
    "train": ("train", "Write a recipe for pictures of your own, and train by recipes."),
    "eval": ("evaluate", "Score a model: its codec, its images, its speed; or files."),
    "serve": ("serve", "Serve images and layers to programs, by OpenAI's images API and our own."),
    "mcp": ("mcp", "Offer images and layers to coding agents, by the Model Context Protocol."),
    "study": ("study", "Ask people which of two images they prefer."),
}

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE, errno.EBADF)
"""Why what is printed may not arrive; files have errors of their own."""


class LazyGroup(click.Group):
    """A group whose commands are imported only when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        # the command's module is imported here and not above: it pulls in all that the command needs
        return getattr(
            import_module(f"pellucid.apps.commands.{COMMANDS[cmd_name][0]}"), f"{cmd_name}_command"
        )

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__)
def cli() -> None:
    """Make images with true transparency from a prompt: glass and smoke included.

    For a path of an image, - is standard input, and with -o standard output.
    """
    # read when these libraries are imported, which any command may do before it asks for a model
    for name in ("TRANSFORMERS_VERBOSITY", "DIFFUSERS_VERBOSITY"):
        os.environ.setdefault(name, "error")


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Shows a warning about a file or a prompt as one line, without the place in the code."""
    text = warnings.formatwarning(message, category, filename, lineno, line).rstrip()
    click.echo(
        f"pellucid: {printable(str(message))}" if category in (FileWarning, PromptWarning) else text,
        file,
        err=True,
    )


def main() -> None:
    """Runs the command line: exit code 0, 1 (our error, one line) or 2 (wrong usage)."""
    logging.getLogger("psd_tools").addHandler(
        logging.NullHandler()
    )  # psd_tools warns about parts of files that we do not read
    warnings.showwarning = _show_warning
    allow_any_names()
    try:
        try:
            cli(prog_name="pellucid")
        finally:
            if sys.stdout is not None:  # pyright: ignore[reportUnnecessaryComparison] - closed by a shell
                sys.stdout.flush()
    except MemoryError:
        click.echo("pellucid: This needs more memory than there is. Use smaller images.", err=True)
        sys.exit(1)
    except PellucidError as error:
        click.echo(f"pellucid: {in_shell_words(error)}", err=True)
        sys.exit(1)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        drop_output()
        click.echo(
            f"pellucid: Cannot write standard output: {error.strerror}. Make room, or check what reads it.",
            err=True,
        )
        sys.exit(1)
