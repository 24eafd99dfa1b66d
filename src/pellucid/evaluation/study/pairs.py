"""Pairs of a study: which two images are shown, on which side, on what, and which are checks.

Everything follows from the plan, its seed and the images, so `create` may be run again. The images are copied
into the study's folder, without what was written into their files, so that the folder is whole and nothing
that a page is sent tells methods: `Pair.shown` and these copies are all that it may know.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from random import Random

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pellucid.errors import FileError, InputError, first_line
from pellucid.evaluation.eval_data import files_by_stem
from pellucid.evaluation.study.plan import DAMAGED, Plan, Question
from pellucid.evaluation.study.votes import Kind, Side
from pellucid.files.atomic import write_atomically
from pellucid.files.images import read_rgba, write_image
from pellucid.rgba.types import RGBA8

PLAN, PAIRS, VOTES, IMAGES = "plan.toml", "pairs.jsonl", "votes.jsonl", "images"
"""Names in a study's folder."""
COPY = r"^[\w-]+\.png$"
"""A name of a copy, without a path: the server sends whatever file it names."""


class Pair(BaseModel):
    """Two images to choose from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=r"^[0-9a-f]+$")
    of: str
    """Id of the pair that this one repeats the other way round; its own for others."""
    question: str
    kind: Kind
    prompt: str
    left: str
    right: str
    """Methods; of a check the method and "damaged"."""
    left_file: str = Field(pattern=COPY)
    right_file: str = Field(pattern=COPY)
    """Names of the copies in the study's folder; the same pixels have the same name."""
    background: str
    expected: Side | None = None

    def shown(self) -> dict[str, str]:
        """Returns what a page may know: nothing that tells methods, kinds or files."""
        return {
            "id": self.id, "question": self.question, "prompt": self.prompt, "background": self.background,
        }  # fmt: skip


def create_study(plan: Plan, source: Path, folder: Path, root: Path) -> list[Pair]:
    """Writes the folder of a study: the plan as it is, its pairs, and copies of all images.

    Args:
        plan: read from `source`.
        source: the plan's file.
        folder: of the study; votes that are there already stay.
        root: folder that paths of the plan are relative to.

    Raises:
        InputError: a method lacks an image, images of a pair differ in size, or votes are of another plan.
        FileError: a file cannot be read or written.
    """
    plan_there = folder / PLAN
    if (
        plan_there.exists()
        and not (folder / PAIRS).exists()
        and plan_there.read_bytes() != source.read_bytes()
    ):
        raise InputError(
            f"Expected a folder for a study, found {plan_there}, of no study. Use another folder."
        )
    files = {
        name: {stem: path.resolve() for stem, path in files_by_stem(root / place).items()}
        for name, place in plan.methods.items()
    }
    prompts = _prompts(root / plan.prompts) if plan.prompts else {}
    pairs = list(_pairs(plan, files, prompts, _Copies(folder)))
    if (folder / PAIRS).exists() and (folder / VOTES).exists() and read_pairs(folder) != pairs:
        raise InputError(
            f"Expected the plan and images for which votes lie in {folder}, found others. Use another folder."
        )
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{json.dumps(pair.model_dump(), ensure_ascii=False)}\n" for pair in pairs)
    write_atomically(folder / PLAN, source.read_bytes())
    write_atomically(folder / PAIRS, lines.encode())
    return pairs


def read_pairs(folder: Path) -> list[Pair]:
    """Reads the pairs of a study.

    Raises:
        FileError: there are none, two have one id, or a line is no pair.
    """
    try:
        # not `splitlines`, for which a line ends at characters that names and prompts may hold
        lines = (folder / PAIRS).read_text(encoding="utf-8").split("\n")
        pairs = [Pair.model_validate_json(line) for line in lines if line]
        if not pairs or len({pair.id for pair in pairs}) < len(pairs):
            raise ValueError(f"no pairs, or one twice, in {PAIRS}")
        return pairs
    except (OSError, ValueError) as error:
        raise FileError(
            f"Expected a study in {folder}, found {first_line(error)}. Run `pellucid study create`."
        ) from error


def damaged(rgba: RGBA8) -> RGBA8:
    """Returns a copy that nobody who looks prefers: faint, in 8 by 8 blocks, with a veil."""
    height, width = rgba.shape[:2]
    small = cv2.resize(rgba, (8, 8), interpolation=cv2.INTER_AREA)
    worse = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
    worse[..., 3] = np.maximum(worse[..., 3] // 3, 40)
    return worse


def _pairs(
    plan: Plan, files: Mapping[str, Mapping[str, Path]], prompts: Mapping[str, str], copies: "_Copies"
) -> Iterator[Pair]:
    for question in plan.questions:
        names = _common(question, files)
        count = len(names) * math.comb(len(question.methods), 2)
        if count * plan.raters_a_pair < question.votes:
            raise InputError(
                f"Expected pairs for {question.votes} votes on {question.id}, found {count}, each for "
                f"{plan.raters_a_pair} raters. Plan fewer votes, or more images or raters_a_pair."
            )
        for methods in combinations(question.methods, 2):
            # each method is on the left half the time, so that leaning to a side favours none
            swap = [number % 2 == 1 for number in range(len(names))]
            Random(f"{plan.seed}/{question.id}/{methods}").shuffle(swap)
            for name, other_way in zip(names, swap, strict=True):
                images = {method: files[method][name] for method in (methods[::-1] if other_way else methods)}
                yield from _shown_pairs(plan, question, images, prompts.get(name, name), copies)


def _shown_pairs(
    plan: Plan, question: Question, images: Mapping[str, Path], prompt: str, copies: "_Copies"
) -> Iterator[Pair]:
    """Yields a pair, perhaps its repetition the other way round, and perhaps a check after it.

    Args:
        plan: of the study.
        question: that is asked.
        images: of two methods, the left one first.
        prompt: that they show.
        copies: of the images that are shown.
    """
    shown = {method: copies.of(path) for method, path in images.items()}
    sides = [(method, copy.name) for method, copy in shown.items()]
    names = "/".join(f"{method}:{path.name}" for method, path in images.items())
    draw = Random(f"{plan.seed}/{question.id}/{names}")
    _check_sizes(images, shown)
    background = draw.choice(plan.backgrounds)

    def pair(
        kind: Kind, both: Sequence[tuple[str, str]], *, of: str = "", expected: Side | None = None
    ) -> Pair:
        id_ = f"{draw.getrandbits(48):012x}"  # drawn, so that it tells nothing
        (left, left_file), (right, right_file) = both
        return Pair(
            id=id_, of=of or id_, question=question.id, kind=kind, prompt=prompt, left=left, right=right,
            left_file=left_file, right_file=right_file, background=background, expected=expected,
        )  # fmt: skip

    plain = pair("plain", sides)
    yield plain
    if draw.random() < plan.swapped:
        yield pair("swapped", sides[::-1], of=plain.id)
    if draw.random() < plan.attention:
        spoilt = copies.add(damaged(read_rgba(next(iter(images.values())))))
        both = [sides[0], (DAMAGED, spoilt.name)]
        if draw.random() < 0.5:
            yield pair("attention", both, expected="left")
        else:
            yield pair("attention", both[::-1], expected="right")


def _common(question: Question, files: Mapping[str, Mapping[str, Path]]) -> Sequence[str]:
    """Returns the names of images, which all methods of a question must have."""
    names: list[str] = sorted({name for method in question.methods for name in files[method]})
    for method in question.methods:
        if missing := [name for name in names if name not in files[method]]:
            raise InputError(
                f"Expected an image of {missing[0]} by {method}, found {len(missing)} missing. Make them: "
                "leaving some out would favour a method."
            )
    return names


@dataclass(frozen=True, slots=True)
class _Copy:
    name: str
    size: tuple[int, int]


class _Copies:
    """Copies of images in a study's folder, each written once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / IMAGES
        self._of: dict[Path, _Copy] = {}

    def of(self, path: Path) -> _Copy:
        """Returns the copy of an image file."""
        if path not in self._of:
            self._of[path] = self.add(read_rgba(path))
        return self._of[path]

    def add(self, rgba: RGBA8) -> _Copy:
        """Writes an image under a name that follows from its pixels, unless it is there."""
        height, width = rgba.shape[:2]
        content = f"{height}x{width}/".encode() + rgba.tobytes()
        copy = _Copy(f"{hashlib.sha256(content).hexdigest()[:24]}.png", (height, width))
        if not (self.folder / copy.name).exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_image(rgba, self.folder / copy.name)
        return copy


def _check_sizes(images: Mapping[str, Path], shown: Mapping[str, _Copy]) -> None:
    (one, other), (size, other_size) = images.values(), (copy.size for copy in shown.values())
    if size != other_size:
        raise InputError(
            f"Expected {one} and {other} at one size, found {size} and {other_size}. Resize one, so that "
            "sharpness does not tell methods apart."
        )


def _prompts(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    try:
        # -sig: spreadsheets may put a mark before the first name
        for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
            name, tab, prompt = line.partition("\t")
            if line.strip() and (not tab or name in found):
                raise ValueError(f"{'no tab' if not tab else f'{name} again'} in line {number}")
            if line.strip():
                found[name] = prompt
    except (OSError, ValueError) as error:
        raise FileError(
            f"Expected lines of name, tab, prompt in {path}, found {first_line(error)}. Correct the file."
        ) from error
    return found
