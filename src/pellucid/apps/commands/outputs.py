"""Where commands write: files whose extension tells the format, or standard output and pipes."""

import contextlib
import io
import os
import stat
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import cast

import click

from pellucid.apps.commands.options import PATH, Command
from pellucid.apps.sections import option
from pellucid.apps.terminal import drop_output
from pellucid.errors import FileError

STANDARD_OUTPUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
IMAGES = ("png", "webp", "avif", "tiff", "ico")
FORMATS = (*IMAGES, "psd", "ora", "zip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where the results of a command go."""

    path: Path | None
    """A file, or a folder; None where the command names its files in this folder."""
    is_folder: bool
    ending: str
    """Of files whose names the command makes, such as ".png"."""
    is_chosen: bool = False
    """Whether --format named that ending."""

    @classmethod
    def of(cls, path: Path | None, chosen: str | None, default: str | None) -> "Destination":
        """Finds out what -o names: a path that exists as a folder, or is written with a slash at its end."""
        slash = bool(click.get_current_context().meta.get(SLASH))
        # Path.is_dir raises for a name that is too long, which check_target tells better
        is_folder = path is not None and (slash or os.path.isdir(path))  # noqa: PTH112
        ending = f".{chosen or default or 'png'}"
        return cls(path=path, is_folder=is_folder, ending=ending, is_chosen=chosen is not None)

    @property
    def folder(self) -> Path:
        """Returns the folder of files whose names the command makes."""
        return self.path if self.path is not None and self.is_folder else Path()


SLASH = "pellucid.output_is_folder"
"""Under which a command's context keeps whether -o ended in a slash, which a path cannot tell."""


class OutputPath(click.Path):
    """Reads a path, and keeps in mind whether it ended in a slash, and so means a folder."""

    name = "path"

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        if ctx is not None:
            ctx.meta[SLASH] = os.fspath(value).endswith((os.sep, "/"))
        return super().convert(value, param, ctx)


def output_option(
    text: str,
    default: str | None,
    formats: tuple[str, ...] = FORMATS,
    *,
    folders: bool = False,
    in_folders: str | None = None,
) -> Callable[[Command], Command]:
    """Declares -o, which may be a pipe, and --format for it.

    Args:
        text: help of -o.
        default: format that goes through a pipe if none is chosen; None to insist on one.
        formats: those to choose from; without any there is no --format.
        folders: whether -o may be a folder; the command then gets a `Destination`.
        in_folders: what the help calls the format in a folder, where that is another.
    """

    def decorate(command: Command) -> Command:
        kind = OutputPath() if folders else PATH
        declare: Callable[[Command], Command] = option("Output", "-o", "--output", type=kind, help=text)
        pipes = writes_pipes(default, formats=formats, folders=folders, in_folders=in_folders)
        return declare(pipes(command))

    return decorate


def writes_pipes(
    default: str | None,
    *,
    parameter: str = "output",
    formats: tuple[str, ...] = FORMATS,
    folders: bool = False,
    in_folders: str | None = None,
) -> Callable[[Command], Command]:
    """Lets the path that a command writes be standard output or a pipe, and declares --format.

    The command itself writes a file, which then goes through the pipe; what it prints is dropped.

    Args:
        default: format if none is chosen; None to insist on one.
        parameter: name of the path among the command's.
        formats: those to choose from.
        folders: whether the path may be a folder; the command then gets a `Destination`.
        in_folders: what the help calls the format in a folder, where that is another.
    """
    defaults = [default, in_folders and f"in a folder {in_folders}"]
    tail = f"  [default: {', '.join(each for each in defaults if each)}]" if any(defaults) else ""
    where = "`-`, standard output, or into a folder" if folders else "`-`, standard output"

    def decorate(command: Command) -> Command:
        @wraps(command)
        def with_pipes(*arguments: object, pipe_format: str | None = None, **named: object) -> object:
            target = named[parameter]
            if not isinstance(target, Path) or not is_pipe(target):
                if folders:
                    path = target if isinstance(target, Path) else None
                    found = Destination.of(path, pipe_format, default)
                    if pipe_format is None or path is None or found.is_folder:
                        return command(*arguments, **{**named, parameter: found})
                elif pipe_format is None:
                    return command(*arguments, **named)
                raise click.UsageError(
                    f"--format is for {where}. The extension of a file chooses its format."
                )
            ending = pipe_format or default
            _check_pipe(target, ending, named, one_image=folders)
            with scratch_folder() as folder:
                file = Path(folder) / f"output.{ending}"
                with contextlib.redirect_stdout(io.StringIO()):
                    one = Destination(path=file, is_folder=False, ending=file.suffix) if folders else file
                    result = command(*arguments, **{**named, parameter: one})
                _send(file.read_bytes(), target)
            return result

        if not formats:
            return with_pipes
        declare: Callable[[Command], Command] = option(
            "Output",
            "--format",
            "pipe_format",
            type=click.Choice(formats),
            help=f"Format of what goes to {where}.{tail}",
        )
        return declare(with_pipes)

    return decorate


def scratch_folder() -> "tempfile.TemporaryDirectory[str]":
    """Makes a folder that goes away after its block; raises FileError where none may be written."""
    try:
        return tempfile.TemporaryDirectory()
    except OSError:
        raise FileError(
            "Expected a folder for temporary files, found none that may be written. Name one in TMPDIR."
        ) from None


def is_pipe(path: Path) -> bool:
    """Tells whether a path is standard output, or something without an extension that is no file."""
    if str(path) in STANDARD_OUTPUT:
        return True
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not path.suffix and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _check_pipe(target: Path, ending: str | None, named: dict[str, object], *, one_image: bool) -> None:
    """Refuses, before any work, what one stream cannot take.

    Args:
        target: the stream.
        ending: format that goes through it.
        named: values of the command.
        one_image: whether the command makes a result of each of its `images`.
    """
    if ending is None:
        where = "Standard output" if str(target) in STANDARD_OUTPUT else f"The pipe or device {target}"
        raise click.UsageError(f"{where} has no extension. Say its format, such as --format png.")
    if named.get("as_json") and str(target) in STANDARD_OUTPUT:
        raise click.UsageError(
            "--json and the image both go to standard output. Name a file, or leave it out."
        )
    if named.get("count", 1) != 1:
        raise click.UsageError("--count makes several files, and a pipe takes one. Name a file for them.")
    if named.get("prompts") is not None:
        raise click.UsageError("--prompts makes several files, and a pipe takes one. Name a folder for them.")
    images = cast("tuple[Path, ...]", named.get("images", ())) if one_image else ()
    if len(images) > 1 or any(map(Path.is_dir, images)):
        raise click.UsageError("Several images make several files, and a pipe takes one. Name a folder.")
    if str(target) in STANDARD_OUTPUT and sys.stdout.isatty():
        raise FileError(
            "Expected a file or a pipe for the image, found a terminal. Redirect the output, or name a file."
        )


def _send(content: bytes, target: Path) -> None:
    try:
        if str(target) not in STANDARD_OUTPUT:
            target.write_bytes(content)
            return
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except (OSError, ValueError) as error:
        drop_output()
        reason = getattr(error, "strerror", None) or str(error)
        raise FileError(
            f"Cannot write {'standard output' if str(target) in STANDARD_OUTPUT else target}: {reason}. "
            "Check the program that reads it."
        ) from error
