"""`vary`, `upscale` and `inpaint`: images repainted after a prompt, one or a folder of them."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pellucid.apps.commands.anywhere import AnywhereChoice, anywhere_options
from pellucid.apps.commands.finishing import finisher
from pellucid.apps.commands.inputs import Inputs, expand_folders, reads_images, stem_of
from pellucid.apps.commands.names import stem_from
from pellucid.apps.commands.options import (
    CLEAN,
    JSON,
    PATH,
    Command,
    SamplingArguments,
    SingleRequest,
    check_request,
    gathered,
    sampling_options,
    single_requests,
)
from pellucid.apps.commands.outputs import Destination, output_option
from pellucid.apps.commands.placing import Placing, placing_options
from pellucid.apps.commands.runs import (
    SKIP_EXISTING,
    Job,
    plan_paths,
    refuse_overwriting,
    run_jobs,
    unused_stem,
)
from pellucid.apps.sections import SectionedCommand, option
from pellucid.apps.terminal import printable

if TYPE_CHECKING:
    from pellucid.pipelines.pipeline import TransparentPipeline
    from pellucid.scene.scene import Scene

OUTPUT = output_option(
    "File to write: .png, .webp, .avif, .tiff, .ico, .psd, .ora, .zip, or -; or a folder.  "
    "[default: named after PROMPT]",
    "png",
    folders=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaints:
    """Options that the commands of this file share; repaints images one after another by them."""

    output: Destination
    skip_existing: bool
    placing: Placing
    inputs: Inputs
    sampling: SamplingArguments
    choice: AnywhereChoice
    clean: bool | None
    as_json: bool

    def check(self, prompt: str, strength: float) -> None:
        """Refuses, before any work, what no model accepts."""
        check_request(prompt, self.sampling, strength=strength)
        self.placing.check()

    def run(
        self,
        images: Sequence[Path],
        stems: Sequence[str],
        prompt: str,
        paint: "Paint",
        read: "Callable[[Path], Scene] | None" = None,
    ) -> None:
        """Makes every image and writes it when it is ready.

        Args:
            images: files to read.
            stems: of the files that are written, one an image; those that -o names do not matter.
            prompt: what they show.
            paint: makes one result.
            read: reads an image; None reads it as all commands do.
        """
        paths = iter(plan_paths(stems, self.sampling["count"], self.output))
        # one at a time in memory, and each read once for all its results
        read_once, load = lru_cache(maxsize=1)(read or self.inputs.open), cache(self.choice.load)

        def make(image: Path, request: SingleRequest) -> "Scene":
            # read first: loading takes seconds
            scene = read_once(image)
            return paint(load(), scene, request)[0]

        jobs = [
            Job(
                source=str(image),
                path=next(paths),
                make=partial(make, image, request),
                replaces=self.output.path is not None,
            )
            for image in images
            for request in single_requests(prompt, self.sampling, clean=self.clean)
        ]
        refuse_overwriting(jobs, images)
        run_jobs(
            jobs,
            finish=finisher(self.clean, self.placing),
            as_json=self.as_json,
            said=self.inputs.said,
            skip_existing=self.skip_existing,
            noting=self.inputs.noting,
        )

    def stems(self, images: Sequence[Path], text: str, *, of_images: bool = False) -> list[str]:
        """Names the results: in a folder as their images; in this one after the text.

        Args:
            images: the inputs.
            text: that they are named after.
            of_images: whether the name of the input comes first, as it does for several.
        """
        if self.output.is_folder:
            return [stem_of(image) for image in images]
        named = of_images or len(images) > 1
        texts = [f"{stem_of(image)} {text}" if named else text for image in images]
        if self.output.path is not None or self.skip_existing:
            return [stem_from(each) for each in texts]
        return [unused_stem(each, self.output.ending) for each in texts]


def _is_image(word: str) -> bool:
    """Tells by the ending, or a slash at the end, whether what may be a prompt is meant as an image."""
    from pellucid.files.extensions import READABLE

    # a folder without the slash may be called like a prompt: cat
    is_named = Path(word).suffix.lower() in READABLE and (" " not in word or os.path.exists(word))  # noqa: PTH110
    return is_named or word.endswith((os.sep, "/"))


def _last_may_be_prompt(command: Command) -> Command:
    """Takes the last of several words as PROMPT, unless it is an image too."""

    @wraps(command)
    def called(*, images: tuple[str, ...], **named: object) -> object:
        words, prompt = images, ""
        if len(images) > 1 and not _is_image(images[-1]):
            words, prompt = images[:-1], images[-1]
        return command(images=tuple(map(Path, words)), prompt=prompt, **named)

    return called


Paint = Callable[["TransparentPipeline", "Scene", SingleRequest], "list[Scene]"]
"""Takes the model, an image that was read and the keywords of one result, and returns it in a list."""
shared_options = gathered(
    "work",
    Repaints,
    (OUTPUT, SKIP_EXISTING, placing_options, reads_images, sampling_options, anywhere_options, CLEAN, JSON),
)


@click.command(name="vary", cls=SectionedCommand)
@click.argument("images", type=PATH, nargs=-1, required=True)
@click.argument("prompt")
@option(
    "Repainting",
    "--strength",
    type=float,
    default=0.6,
    show_default=True,
    help="0 keeps IMAGES, 1 ignores them.",
)
@shared_options
def vary_command(images: tuple[Path, ...], prompt: str, strength: float, work: Repaints) -> None:
    """Repaint IMAGES, files or folders of them, after PROMPT, and print the paths of the results.

    Transparency is repainted too. Each result is written as soon as it is ready.
    """
    if _is_image(prompt):
        raise click.UsageError(f"Expected PROMPT after IMAGES, found the image {printable(prompt)}. Add it.")
    work.check(prompt, strength)
    found = expand_folders(images)
    work.run(
        found,
        work.stems(found, prompt),
        prompt,
        lambda pipe, image, request: pipe.vary(image, [prompt], strength=strength, **request),
    )


@click.command(name="upscale", cls=SectionedCommand)
@click.argument("images", nargs=-1, required=True, metavar="IMAGES... [PROMPT]")
@option(
    "Repainting", "--scale", type=float, default=2.0, show_default=True, help="Factor for each side's length."
)
@option(
    "Repainting",
    "--strength",
    type=float,
    help="How much is repainted, 0 to 1; 0 only enlarges.  [default: the model's]",
)
@_last_may_be_prompt
@shared_options
def upscale_command(
    images: tuple[Path, ...], prompt: str, scale: float, strength: float | None, work: Repaints
) -> None:
    """Enlarge IMAGES, files or folders of them, and repaint them a little after PROMPT.

    Without PROMPT the one that an image was made from is taken.
    """
    from pellucid.pipelines.given_images import prompt_of

    work.check(prompt, 1.0 if strength is None else strength)
    found = expand_folders(images)

    def paint(pipe: "TransparentPipeline", scene: "Scene", request: SingleRequest) -> "list[Scene]":
        text = prompt or prompt_of(scene)
        return pipe.upscale(scene, [text], scale=scale, strength=strength, **request)

    # named after the images, since PROMPT may be empty
    work.run(found, work.stems(found, "larger", of_images=True), prompt, paint)


@click.command(name="inpaint", cls=SectionedCommand)
@click.argument("image", type=PATH)
@click.argument("mask", type=PATH)
@click.argument("prompt")
@option(
    "Repainting",
    "--strength",
    type=float,
    default=1.0,
    show_default=True,
    help="How much is repainted, 0 to 1; 1 ignores what is under MASK now.",
)
@shared_options
def inpaint_command(image: Path, mask: Path, prompt: str, strength: float, work: Repaints) -> None:
    """Repaint IMAGE where MASK is white, after PROMPT, and print the paths of the results."""
    from pellucid.pipelines.inpainting import to_mask
    from pellucid.scene.scene import Scene

    work.check(prompt, strength)
    # both at once, since --frame is meant of the one that has frames
    rgba, area = work.inputs.flat_all(image, mask)
    # for its errors alone: the model makes the mask once more
    to_mask(area, rgba)
    work.run(
        [image],
        work.stems([image], prompt),
        prompt,
        lambda pipe, scene, request: pipe.inpaint(scene, area, [prompt], strength=strength, **request),
        read=lambda _: Scene.of(rgba),
    )
