"""Images that commands read: files of any known format, up to a number of pixels."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pellucid.apps.commands.options import Command
from pellucid.apps.sections import option

if TYPE_CHECKING:
    from pellucid.rgba.types import RGBA8
    from pellucid.scene.scene import Scene

MAX_PIXELS = 100_000_000
"""As `pellucid.files.images.MAX_PIXELS`, which takes seconds to import; a test compares them."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """Reads what a command is given."""

    max_pixels: int

    def open(self, path: Path) -> "Scene":
        """Reads an image or a document; errors of `Scene.open`."""
        return self.document(path)[1]

    def document(self, path: Path) -> "tuple[str, Scene]":
        """Reads a file and returns its format, such as PSD or PNG, and its scene; errors of `Scene.open`."""
        from pellucid.scene.formats.registry import open_document

        return open_document(path, self.max_pixels)

    def flat(self, path: Path) -> "RGBA8":
        """Reads an image, or a document as all its layers together: uint8 (h, w, 4)."""
        return self.open(path).composite()


def reads_images(command: Command) -> Command:
    """Declares --max-pixels, and hands the reader of images to a command as `inputs`."""

    @wraps(command)
    def with_inputs(*arguments: object, max_pixels: int, **named: object) -> object:
        return command(*arguments, inputs=Inputs(max_pixels), **named)

    declare: Callable[[Command], Command] = option(
        "Input",
        "--max-pixels",
        type=click.IntRange(1),
        default=MAX_PIXELS,
        show_default=True,
        help="Refuse larger images; layers of a document may have four times as many in all.",
    )
    return declare(with_inputs)
