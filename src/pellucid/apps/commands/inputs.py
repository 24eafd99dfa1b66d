"""Images that commands read: files of any format that is known, and pipes, up to a number of pixels."""

import contextlib
import sys
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pellucid.apps.commands.options import Command
from pellucid.apps.sections import option
from pellucid.errors import FileError, InputError
from pellucid.files.extensions import READABLE

if TYPE_CHECKING:
    from pellucid.files.sources import NamedContent
    from pellucid.rgba.types import RGBA8
    from pellucid.scene.formats.registry import Document
    from pellucid.scene.scene import Scene, Unsupported

MAX_PIXELS = 100_000_000
"""As `pellucid.files.images.MAX_PIXELS`, which takes seconds to import; a test compares them."""

STANDARD_INPUT = ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")


def is_pipe_name(path: Path) -> bool:
    """Tells whether a path is standard input, or the shell's name for what another program writes."""
    return str(path) in STANDARD_INPUT or path.parts[:2] in (("/", "dev"), ("/", "proc"))


def stem_of(path: Path) -> str:
    """Returns the name of an input without its ending, for results named after it."""
    if str(path) in STANDARD_INPUT:
        return "standard-input"
    return "pipe" if is_pipe_name(path) else path.stem


def layer_name(path: Path) -> str:
    """Returns what a layer is called that is made of an input."""
    from pellucid.files.names import named_after

    return named_after(stem_of(path))


def beside(path: Path, name: str) -> Path:
    """Returns a path of that name beside an input, or in this folder if the input is a pipe."""
    return Path(name) if is_pipe_name(path) else path.with_name(name)


def expand_folders(paths: Sequence[Path]) -> list[Path]:
    """Returns files as they are, and for each folder the images in it, by name; folders in it stay out.

    Raises:
        FileError: a folder without an image.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = [
            file
            for file in sorted(path.iterdir())
            if file.suffix.lower() in READABLE and not file.name.startswith(".") and file.is_file()
        ]
        if not inside:
            raise FileError(
                f"Expected images in the folder {path}, found none. Name files, or a folder that holds some."
            )
        found += inside
    return found


@dataclass(slots=True)
class Inputs:
    """Reads what a command is given, each input once."""

    max_pixels: int
    frame: int | None = None
    """The one that is meant of animations, and of TIFFs of several pages, from 1."""
    unsupported: "Unsupported" = "refuse"
    """What becomes of layers that cannot be shown."""
    notes: list[str] = field(default_factory=list[str], init=False)
    """What was left out of the files, or could not be honoured."""
    _standard_input_is_read: bool = field(default=False, init=False)

    def open(self, path: Path, target: Path | None = None) -> "Scene":
        """Reads an image or a document.

        Args:
            path: where from.
            target: what will be written of it; without one that keeps layers, an animation is refused.

        Raises:
            FileError: as of `Scene.open`, and animations of which no frame is chosen.
        """
        from pellucid.files.extensions import LAYERED

        animated = target is not None and target.suffix.lower() in LAYERED
        return self._document(self.read(path), self.frame, animated).scene

    def document(self, path: Path) -> "Document":
        """Reads a file with its format, such as PSD or PNG; all of an animation, unless a frame is chosen."""
        return self._document(self.read(path), self.frame, True)

    def flat(self, path: Path) -> "RGBA8":
        """Reads an image, or a document as all its layers together: uint8 (h, w, 4)."""
        return self.open(path).composite()

    def flat_all(self, *paths: Path) -> "list[RGBA8]":
        """Reads several as `flat` does, with frames as `open_all`."""
        return [scene.composite() for scene in self.open_all(*paths)]

    def open_all(self, *paths: Path) -> "Iterator[Scene]":
        """Reads several as `open` does; the frame is that of those which have frames, at least one.

        Yields:
            A scene for each. Without a frame to choose the next file is read when it is asked for.
        """
        if self.frame is None:
            yield from map(self.open, paths)
            return
        from pellucid.scene.formats.registry import holds_frames

        sources = [self.read(path) for path in paths]
        framed = [holds_frames(source, self.max_pixels) for source in sources]
        for source, has_frames in zip(sources, framed, strict=True):
            yield self._document(source, self.frame if has_frames or not any(framed) else None, False).scene

    def read(self, path: Path) -> "NamedContent":
        """Reads the content of a file, a pipe, or of standard input.

        Raises:
            FileError: it cannot be read, or is standard input a second time.
        """
        from pellucid.files.sources import NamedContent, read_source

        if str(path) in STANDARD_INPUT:
            return NamedContent("standard input", self._read_standard_input(), layer_name(path))
        source = read_source(path)
        return replace(source, stem=layer_name(path))

    def check_size(self, height: int, width: int) -> None:
        """Raises InputError for a result of more pixels than --max-pixels, before it takes memory."""
        if height * width > self.max_pixels:
            raise InputError(
                f"Expected a result of at most {self.max_pixels} pixels, found {width} x {height}. Choose a "
                "smaller one, or raise --max-pixels."
            )

    @contextlib.contextmanager
    def noting(self) -> Generator[None]:
        """Keeps what is warned of, for --json, and warns of it once; of what is written as well."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
        for each in caught:
            if str(each.message) not in self.notes:
                self.notes.append(str(each.message))
                warnings.warn(each.message, stacklevel=4)

    def said(self) -> dict[str, list[str]]:
        """Returns what --json says of the notes; nothing if there are none."""
        return {"warnings": self.notes} if self.notes else {}

    def _read_standard_input(self) -> bytes:
        if self._standard_input_is_read:
            raise FileError("Expected one image on standard input, found it asked for twice. Name a file.")
        self._standard_input_is_read = True
        # None where the shell has closed it
        if sys.stdin is None or sys.stdin.isatty():  # pyright: ignore[reportUnnecessaryComparison]
            found = "a terminal" if sys.stdin else "it closed"
            raise FileError(f"Expected an image on standard input, found {found}. Pipe one in.")
        try:
            return sys.stdin.buffer.read()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise FileError(f"Cannot read standard input: {reason}. Pipe an image in.") from error

    def _document(self, source: "NamedContent", frame: int | None, animated: bool) -> "Document":
        from pellucid.scene.formats.registry import open_document

        with self.noting():
            return open_document(
                source, self.max_pixels, frame=frame, animated=animated, unsupported=self.unsupported
            )


def reads_images(command: Command) -> Command:
    """Declares how images are read, and hands the reader of images to a command as `inputs`."""

    @wraps(command)
    def with_inputs(
        *arguments: object,
        max_pixels: int,
        frame: int | None,
        flatten: bool,
        skip_unsupported: bool,
        **named: object,
    ) -> object:
        if flatten and skip_unsupported:
            raise click.UsageError("Expected --flatten or --skip-unsupported, found both. Choose one.")
        unsupported = "flatten" if flatten else "skip" if skip_unsupported else "refuse"
        return command(*arguments, inputs=Inputs(max_pixels, frame, unsupported), **named)

    declared: tuple[Callable[[Command], Command], ...] = (
        option(
            "Input",
            "--frame",
            type=click.IntRange(1),
            metavar="N",
            help="The frame of an animation, or page of a TIFF, that is the image; the first is 1.",
        ),
        option(
            "Input",
            "--max-pixels",
            type=click.IntRange(1),
            default=MAX_PIXELS,
            show_default=True,
            help="Refuse larger images; layers of a document may have three times as many in all.",
        ),
        option(
            "Input",
            "--flatten",
            is_flag=True,
            help="Of a document with a layer that cannot be shown, such as one with effects, take the "
            "flattened image that it holds.",
        ),
        option(
            "Input",
            "--skip-unsupported",
            is_flag=True,
            help="Leave out what of a document cannot be shown, such as effects; what is left out is said.",
        ),
    )
    decorated: Command = with_inputs
    for declare in reversed(declared):
        decorated = declare(decorated)
    return decorated
