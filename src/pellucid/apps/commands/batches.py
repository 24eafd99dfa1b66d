"""Commands that make one file of each image they are given: names, order, and what is printed."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pellucid.apps.commands.inputs import Inputs, beside, expand_folders, is_pipe_name, reads_images, stem_of
from pellucid.apps.commands.names import write_result
from pellucid.apps.commands.options import JSON, Command, check_target, gathered
from pellucid.apps.commands.outputs import Destination, output_option
from pellucid.apps.commands.runs import (
    SKIP_EXISTING,
    Job,
    distinct,
    make_folder,
    refuse_one_file,
    refuse_overwriting,
    run_jobs,
)

if TYPE_CHECKING:
    from pellucid.scene.scene import Scene

Make = Callable[[Path, Path], "tuple[Scene, Mapping[str, object]]"]
"""Takes an image to read and the file that will be written, and returns that scene and what --json says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Values of `batch_options`; makes files by them."""

    output: Destination
    skip_existing: bool
    inputs: Inputs
    as_json: bool

    def run(self, images: Sequence[Path], name: Callable[[Path], Path], make: Make) -> None:
        """Makes a file of each image and prints its path, or JSON.

        Of one image the JSON is an object about it; of several, of a folder, or into a folder, it lists them.
        One that fails is told, and the others go on.

        Args:
            images: files and folders.
            name: of the result where -o says none; its ending is that of a result in a folder.
            make: makes one.
        """
        found = expand_folders(images)
        targets = self._targets(found, name)
        is_one = [*images] == found and len(found) == 1
        if is_one and not self.output.is_folder and not self.skip_existing:
            scene, facts = make(found[0], targets[0])
            with self.inputs.noting():
                path = write_result(targets[0], scene.save, named=self.output.path is not None)
            self._report(path, scene, facts)
            return
        facts_of = [dict[str, object]() for _ in found]
        jobs = [
            Job(
                source=str(image),
                path=target,
                make=partial(_made, make, image, target, facts),
                replaces=self.output.path is not None,
                facts=facts,
            )
            for image, target, facts in zip(found, targets, facts_of, strict=True)
        ]
        refuse_overwriting(jobs, found)
        run_jobs(
            jobs,
            finish=lambda scene: (scene, {}),
            as_json=self.as_json,
            said=self.inputs.said,
            skip_existing=self.skip_existing,
            noting=self.inputs.noting,
        )

    def _targets(self, found: Sequence[Path], name: Callable[[Path], Path]) -> list[Path]:
        refuse_one_file(self.output, len(found))
        names = [name(image) for image in found]
        if self.output.is_chosen:
            names = [path.with_suffix(self.output.ending) for path in names]
        if self.output.is_folder:
            make_folder(self.output.folder)
            targets = distinct(
                self.output.folder / f"{stem_of(image)}{path.suffix}"
                for image, path in zip(found, names, strict=True)
            )
        else:
            targets = [self.output.path] if self.output.path is not None else distinct(names)
        for target in targets:
            check_target(target)
        return targets

    def _report(self, target: Path, scene: "Scene", facts: Mapping[str, object]) -> None:
        if not self.as_json:
            click.echo(str(target))
            return
        size = {"path": str(target), "height": scene.height, "width": scene.width}
        click.echo(json.dumps({**size, **facts, **self.inputs.said()}, ensure_ascii=False))


def _made(make: Make, image: Path, target: Path, facts: dict[str, object]) -> "Scene":
    scene, said = make(image, target)
    facts |= said
    return scene


def batch_options(
    text: str, default: str | None = "png", *, in_folders: str | None = "that of the image"
) -> Callable[[Command], Command]:
    """Declares -o, which may be a folder, and what goes with it; the command gets a `Batch` as `batch`.

    Args:
        text: help of -o.
        default: format that goes through a pipe.
        in_folders: what the help calls the format in a folder.
    """
    output = output_option(text, default, folders=True, in_folders=in_folders)
    return gathered("batch", Batch, (output, SKIP_EXISTING, reads_images, JSON))


def named_like(image: Path, word: str) -> Path:
    """Returns the name of a result beside its image, of its format if that can be written: `x-WORD.psd`."""
    from pellucid.files.images import FORMATS, READ_ONLY

    # what is only read has its result in a PNG
    ending = image.suffix.lower()
    is_png = FORMATS.get(ending) in READ_ONLY or ending == ".psb" or is_pipe_name(image)
    return beside(image, f"{stem_of(image)}-{word}{'.png' if is_png else image.suffix}")
