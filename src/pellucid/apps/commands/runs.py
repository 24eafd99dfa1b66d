"""Makes and writes many images, each as soon as it is ready: what is done stays, whatever comes after."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pellucid.apps.commands.names import default_path, numbered, write_new
from pellucid.apps.commands.options import check_target
from pellucid.apps.commands.outputs import Destination
from pellucid.apps.sections import option
from pellucid.apps.terminal import printable
from pellucid.apps.wording import in_shell_words
from pellucid.errors import FileError, PellucidError
from pellucid.files.names import without_doubles
from pellucid.progress import announce, track

if TYPE_CHECKING:
    from pellucid.scene.scene import Scene

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""
SKIP_EXISTING = option(
    "Output",
    "--skip-existing",
    is_flag=True,
    help="Leave out what a file of its name exists for already, to go on after an interruption.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One image to make and to write."""

    source: str
    """What it is made of, for messages: a file or a prompt."""
    path: Path
    make: "Callable[[], Scene]"
    replaces: bool = True
    """Whether a file of that name is overwritten; otherwise the next free name is taken."""
    facts: dict[str, object] = field(default_factory=dict[str, object])
    """What --json says of it; `make` may add to it."""


def plan_paths(stems: Sequence[str], count: int, destination: Destination) -> list[Path]:
    """Names the files of `count` images for each stem, all different.

    Args:
        stems: names without ending; those of a file that -o names do not matter.
        count: images of each; several are numbered.
        destination: a folder, a file, or this folder.

    Raises:
        FileError: a file for several, or a folder that cannot be made or written.
    """
    refuse_one_file(destination, len(stems))
    if destination.path is not None and not destination.is_folder:
        bases = [destination.path]
    else:
        bases = distinct(destination.folder / f"{stem}{destination.ending}" for stem in stems)
    if destination.is_folder:
        make_folder(destination.folder)
    for base in bases:
        check_target(base)
    return [base if count == 1 else numbered(base, i + 1) for base in bases for i in range(count)]


def refuse_one_file(destination: Destination, results: int) -> None:
    """Raises FileError where -o names a file, and there are several results."""
    if destination.path is not None and not destination.is_folder and results > 1:
        raise FileError(
            f"Expected a folder for {results} results, found the file {destination.path}. "
            f"Write it with a slash at its end: {destination.path.stem}/"
        )


def distinct(paths: Iterable[Path]) -> list[Path]:
    """Returns the paths, those that come again with a number; capitals alone make no difference."""
    return [
        Path(name) for name in without_doubles((str(path.parent / path.stem), path.suffix) for path in paths)
    ]


def unused_stem(text: str, ending: str) -> str:
    """Returns a stem made from a text, of which this folder has no file of that ending, numbered or not."""
    return default_path(text, ending).stem


def refuse_overwriting(jobs: Sequence[Job], inputs: Sequence[Path]) -> None:
    """Refuses to write over one of several inputs, of which the original would be lost.

    A single file may be named as its own result: then it is meant.

    Raises:
        FileError: says which.
    """
    given = {path.resolve() for path in inputs if path.is_file()}
    for job in jobs if len(given) > 1 else ():
        if job.replaces and job.path.resolve() in given:
            raise FileError(
                f"Expected results apart from the inputs, found {job.path} in both. Choose another folder."
            )


def write_scenes(
    scenes: "Sequence[Scene]",
    target: Path,
    *,
    replaces: bool,
    as_json: bool,
    said: Callable[[], Mapping[str, object]],
    noting: Callable[[], AbstractContextManager[None]],
) -> None:
    """Writes scenes that were made together, several of them to numbered files, and reports as `run_jobs`."""
    paths = [target] if len(scenes) == 1 else [numbered(target, i) for i in range(1, len(scenes) + 1)]
    jobs = [
        Job(source=str(path), path=path, make=partial(_itself, scene), replaces=replaces)
        for path, scene in zip(paths, scenes, strict=True)
    ]
    run_jobs(
        jobs,
        finish=lambda scene: (scene, _layer_facts(scene)),
        as_json=as_json,
        said=said,
        noting=noting,
    )


def _layer_facts(scene: "Scene") -> dict[str, object]:
    """Returns what --json says of layers, top first; the prompt is what was asked for now."""
    layers = list(reversed(scene.layers))
    if len(layers) < 2:
        return {}
    told: dict[str, object] = {
        "layers": [
            {"name": layer.name, **(layer.provenance.as_dict() if layer.provenance else {})}
            for layer in layers
        ]
    }
    top = layers[0].provenance
    # the document's own prompt tells what its older layers show as well
    return told | ({"prompt": top.prompt} if top and top.extra.get("task") == "add_layer" else {})


def _itself(scene: "Scene") -> "Scene":
    return scene


def run_jobs(
    jobs: Sequence[Job],
    *,
    finish: "Callable[[Scene], tuple[Scene, Mapping[str, object]]]",
    as_json: bool,
    said: Callable[[], Mapping[str, object]],
    skip_existing: bool = False,
    noting: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> None:
    """Makes, finishes and writes each image, and prints its path, or one JSON object at the end.

    One that fails is told on stderr, and the others go on; the exit code is 1 then. Ctrl-C ends after what is
    written.

    Args:
        jobs: at least one.
        finish: cleans an image, for example, and returns what the JSON says of that.
        as_json: whether to print JSON.
        said: returns what the JSON says beside the images.
        skip_existing: leaves out jobs whose file exists.
        noting: is entered to save an image, such as to keep what is warned of.
    """
    skipped, left = list[Job](), list[Job]()
    for job in jobs:
        (skipped if skip_existing and job.path.exists() else left).append(job)
    run = _Run(finish=finish, as_json=as_json, stops=len(jobs) == 1, noting=noting)
    try:
        for job in track(left, total=len(left), label="images", unit="image") if len(jobs) > 1 else left:
            run.do(job)
    except KeyboardInterrupt:
        run.interrupted = True
    if as_json:
        told = {"skipped": [str(job.path) for job in skipped]} if skipped else {}
        # a key of the first release, which scripts read
        click.echo(json.dumps({"pictures": run.rows, **told, **said()}, ensure_ascii=False))
    elif skipped:
        click.echo(f"Left out {len(skipped)} whose file exists.", err=True)
    run.end(len(left))


@dataclass(slots=True, kw_only=True)
class _Run:
    """What became of the jobs so far."""

    finish: "Callable[[Scene], tuple[Scene, Mapping[str, object]]]"
    as_json: bool
    stops: bool
    """Whether the first error ends it."""
    noting: Callable[[], AbstractContextManager[None]]
    rows: list[dict[str, object]] = field(default_factory=list[dict[str, object]])
    """What --json says of each image that was written."""
    failed: int = 0
    interrupted: bool = False

    def do(self, job: Job) -> None:
        try:
            scene, facts = self.finish(job.make())
            with self.noting():
                path = scene.save(job.path) if job.replaces else write_new(job.path, scene.save)
        except PellucidError as error:
            if self.stops:
                raise
            self.failed += 1
            announce(f"pellucid: {printable(job.source)}: {in_shell_words(error)}", sys.stderr)
            return
        if not self.as_json:
            announce(str(path), sys.stdout)
        made = scene.provenance.as_dict() if scene.provenance else {}
        said = {"path": str(path), "height": scene.height, "width": scene.width}
        self.rows.append({**said, **made, **job.facts, **facts})

    def end(self, wanted: int) -> None:
        """Exits with the code that tells what happened, unless all went well."""
        if self.interrupted:
            click.echo(f"Stopped: {len(self.rows)} of {wanted} images were written and are kept.", err=True)
            sys.exit(INTERRUPTED)
        if self.failed:
            click.echo(f"pellucid: {self.failed} of {wanted} images failed. The rest is written.", err=True)
            sys.exit(1)


def make_folder(folder: Path) -> None:
    """Makes a folder that -o names, unless it is there; raises FileError where that may not be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"Cannot make the folder {folder}: {error.strerror}. Choose another with -o."
        ) from None
