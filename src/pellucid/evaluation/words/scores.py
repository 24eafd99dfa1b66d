"""Asks a model every question of a kind, and counts what it obeyed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from pellucid.errors import ConfigError
from pellucid.evaluation.generation import generate_all
from pellucid.evaluation.words.questions import Question
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.rgba.preview import contact_sheet
from pellucid.rgba.resizing import fit_rgba
from pellucid.rgba.types import RGB8, RGBA8, AnyArray

TILE_PX = 128
FRAME_PX = 3
OBEYED, NOT_OBEYED = (40, 200, 60, 255), (220, 40, 40, 255)


class Share(TypedDict):
    """How many of so many questions were obeyed."""

    obeyed: int
    of: int


class WordScores(TypedDict):
    """Shares of what was obeyed, and the prompts that were not."""

    trained: Share
    held_out: Share
    """Of pairs of words that training never showed together."""
    failed: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The image of each question, and whether it was obeyed."""

    questions: Sequence[Question]
    images: Sequence[RGBA8]
    obeyed: Sequence[bool]

    def scores(self) -> WordScores:
        """Counts what was obeyed."""

        def share(held_out: bool) -> Share:
            pairs = zip(self.questions, self.obeyed, strict=True)
            kept = [obeyed for question, obeyed in pairs if question.held_out == held_out]
            return {"obeyed": sum(kept), "of": len(kept)}

        pairs = zip(self.questions, self.obeyed, strict=True)
        failed = [question.prompt for question, obeyed in pairs if not obeyed]
        return {"trained": share(False), "held_out": share(True), "failed": failed}

    def sheet(self, columns: int = 12) -> RGB8:
        """Draws every image with its prompt, framed in green where it obeyed and in red where not."""
        tiles = [_framed(*pair) for pair in zip(self.images, self.obeyed, strict=True)]
        prompts = [question.prompt for question in self.questions]
        return contact_sheet(tiles, columns=columns, labels=prompts)


def ask(
    pipe: TransparentPipeline,
    questions: Sequence[Question],
    *,
    seed: int = 100,
    batch_size: int = 16,
    num_inference_steps: int | None = None,
    guidance_scale: float | None = None,
) -> Answers:
    """Generates an image for each question, all of one seed, and judges it.

    Args:
        pipe: the model.
        questions: see `make_questions`.
        seed: of every image, so that words alone make the difference.
        batch_size: images sampled together.
        num_inference_steps: None takes the model's.
        guidance_scale: None takes the model's.

    Raises:
        ConfigError: no question; the sets lack the subjects.
    """
    if not questions:
        raise ConfigError(
            "Expected sets that show the subjects of the questions, found none. Name other sets."
        )
    images = generate_all(
        pipe,
        [question.prompt for question in questions],
        seed=[seed] * len(questions),
        batch_size=batch_size,
        num_inference_steps=num_inference_steps,
        guidance_scale=guidance_scale,
    )
    obeyed = [question.is_obeyed(image) for question, image in zip(questions, images, strict=True)]
    return Answers(questions=questions, images=images, obeyed=obeyed)


def _framed(rgba: AnyArray, obeyed: bool) -> RGBA8:
    framed = fit_rgba(rgba, TILE_PX, TILE_PX, "fit").copy()
    colour = OBEYED if obeyed else NOT_OBEYED
    framed[:FRAME_PX] = framed[-FRAME_PX:] = colour
    framed[:, :FRAME_PX] = framed[:, -FRAME_PX:] = colour
    return framed
