"""How well a model draws what it is asked for, and how transparent its images are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from jaxtyping import Float
from torch import Tensor

from pellucid.data.shards import Sample
from pellucid.data.spread import evenly
from pellucid.errors import InputError
from pellucid.evaluation.blending import on_white
from pellucid.evaluation.distributions import set_distance
from pellucid.evaluation.eval_data import resized, spread
from pellucid.evaluation.features import FeatureModel
from pellucid.evaluation.fidelity import ClipFidelity
from pellucid.evaluation.metrics import nearest_rank, rgba_tensor
from pellucid.evaluation.pair_scores import PairSettings, score_image
from pellucid.evaluation.score_table import ScoreTable
from pellucid.evaluation.transparency import soft_distance
from pellucid.pipelines.arguments import MAX_COUNT
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.progress import track
from pellucid.rgba.preview import contact_sheet
from pellucid.rgba.types import RGBA8, AnyArray

# About 5 of 255 levels, which the eye does not tell from the ends.
CLEAR, OPAQUE = 0.02, 0.98
"""Below, a pixel counts as clear; above, as opaque; between, as partial."""
SOFT_FROM, SOFT_TO = 0.1, 0.9
"""Alphas of which an edge's width is made."""
CLEAR_CORNER = 16 / 255
"""Alpha below which a corner counts as clear."""
TOP = 5
SHEET = 32

Alphas = Float[Tensor, "n h w"]


class GenerationScores(TypedDict):
    """See `score_generation`."""

    captions: int
    subjects: int
    size: str
    top1: float
    top5: float
    chance_top5: float
    generated: dict[str, float]
    training: dict[str, float]


def generate_all(
    pipe: TransparentPipeline,
    prompts: Sequence[str],
    *,
    seed: int | Sequence[int] = 0,
    batch_size: int = 20,
    num_inference_steps: int | None = None,
    guidance_scale: float | None = None,
) -> list[RGBA8]:
    """Generates an image for each prompt, in batches, which change nothing.

    Of one seed, prompt i takes `seed` + i; otherwise there is one for each.
    """
    seeds = range(seed, seed + len(prompts)) if isinstance(seed, int) else seed
    starts = range(0, len(prompts), batch_size)
    images: list[RGBA8] = []
    for start in track(starts, total=len(starts), label="generating", unit="batch"):
        part = list(prompts[start : start + batch_size])
        scenes = pipe.generate(
            part,
            seed=list(seeds[start : start + batch_size]),
            batch_size=batch_size,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            clean=False,  # what the model makes is measured
        )
        images += [scene.layers[0].image for scene in scenes]
    return images


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """Images of captions, and what they were to show."""

    scores: GenerationScores
    captions: list[str]
    images: list[RGBA8]
    training: list[RGBA8]
    """The training image of each caption's subject, at the images' size."""
    ranks: list[int]
    """Place of that image among all training images by its distance, 1 is nearest."""

    def table(
        self,
        settings: PairSettings,
        fidelity: ClipFidelity | None = None,
        aesthetic: FeatureModel | None = None,
    ) -> ScoreTable:
        """Scores each image by itself.

        Args:
            settings: backgrounds.
            fidelity: compares images with their captions.
            aesthetic: gives an image, laid over white, one number.

        Raises:
            InputError: `aesthetic` gives several numbers an image.
        """
        columns: dict[str, Sequence[float]] = {
            "top1": [float(rank == 1) for rank in self.ranks],
            "top5": [float(rank <= TOP) for rank in self.ranks],
        }
        if fidelity is not None:
            columns["clip"] = fidelity.scores(self.images, self.captions)
        if aesthetic is not None:
            columns["aesthetic"] = one_number_each(aesthetic, [on_white(image) for image in self.images])
        table = ScoreTable()
        for place, (name, image) in enumerate(zip(self.names(), self.images, strict=True)):
            given = {metric: column[place] for metric, column in columns.items()}
            table.add(name, given | score_image(image, settings))
        return table

    def distances(self, model: FeatureModel) -> dict[str, object]:
        """Returns how far the images and the training images lie apart as sets, both over white."""
        found, wanted = (
            model.features([on_white(image) for image in images]) for images in (self.images, self.training)
        )
        apart = set_distance(found, wanted, model.name)
        return {**apart.plain(), "soft_distance": round(soft_distance(self.images, self.training), 6)}

    def names(self) -> list[str]:
        """Returns a name for each image: its number and caption."""
        return [f"{number:04d} {caption}" for number, caption in enumerate(self.captions)]

    def cases(self, name: str) -> list[RGBA8]:
        """Returns the image of a name and the training image."""
        place = self.names().index(name)
        return [self.images[place], self.training[place]]


def one_number_each(model: FeatureModel, images: Sequence[AnyArray]) -> list[float]:
    """Scores images by a model whose output is one number, such as an aesthetic predictor.

    Raises:
        InputError: it gives several.
    """
    found = model.features(images)
    if found.shape[1] != 1:
        raise InputError(
            f"Expected a model that gives an image one number, found {found.shape[1]} by {model.name}. "
            "Name another, or use it with --features."
        )
    return [float(value) for value in found[:, 0]]


def score_generation(
    pipe: TransparentPipeline,
    subjects: Sequence[Sample],
    *,
    captions: int = 200,
    seed: int = 0,
    batch_size: int = 20,
    num_inference_steps: int | None = None,
    guidance_scale: float | None = None,
) -> Generation:
    """Asks for subjects in captions of the training set and judges what comes.

    Args:
        pipe: the model.
        subjects: the training images, one a subject; labels differ.
        captions: how many, spread evenly over all captions of all subjects.
        seed: caption i takes seed + i.
        batch_size: images sampled together.
        num_inference_steps: None takes the model's.
        guidance_scale: None takes the model's.

    Returns:
        The images with their scores. `top1` and `top5` are shares of captions whose asked subject is the
        nearest, or among the five nearest, training image (premultiplied RGBA, 32 x 32, L2). `generated`
        and `training` hold `transparency` of the images and of what was asked for.

    Raises:
        InputError: counts that do not fit.
    """
    if not 1 <= captions <= MAX_COUNT or batch_size < 1:
        raise InputError(
            f"Expected 1 to {MAX_COUNT} captions in batches of 1 or more, found {captions} in batches of "
            f"{batch_size}. The usual ones are 200 and 20."
        )
    asked = spread(subjects, captions)
    images = generate_all(
        pipe,
        [text for text, _ in asked],
        seed=seed,
        batch_size=batch_size,
        num_inference_steps=num_inference_steps,
        guidance_scale=guidance_scale,
    )
    generated = rgba_tensor(np.stack(images))
    known = resized(subjects, *images[0].shape[:2])
    training = rgba_tensor(np.stack(known))
    labels = [record.label for record, _ in subjects]
    # by the nearest image and not by a classifier: the training set is all that a small model knows
    ranks = nearest_rank(generated, training, labels, [labels[index] for _, index in asked])
    scores: GenerationScores = {
        "captions": captions,
        "subjects": len(subjects),
        "size": f"{images[0].shape[0]} x {images[0].shape[1]}",
        "top1": round(_share(ranks, 1), 4),
        "top5": round(_share(ranks, TOP), 4),
        "chance_top5": round(min(1.0, TOP / len(subjects)), 4),
        "generated": transparency(generated[:, 3]),
        # of what was asked for, so that both columns show the same subjects
        "training": transparency(training[[index for _, index in asked], 3]),
    }
    return Generation(
        scores=scores,
        captions=[text for text, _ in asked],
        images=images,
        training=[known[index] for _, index in asked],
        ranks=ranks,
    )


def _share(ranks: Sequence[int], most: int) -> float:
    return sum(rank <= most for rank in ranks) / len(ranks)


def transparency(alpha: Alphas) -> dict[str, float]:
    """Shares of clear, partial and opaque pixels, of images with four clear corners, and `edge_px`.

    Args:
        alpha: in [0, 1].
    """
    clear, opaque = (alpha < CLEAR).float().mean(), (alpha > OPAQUE).float().mean()
    corners = alpha[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    shares = {
        "clear": float(clear),
        "partial": 1 - float(clear) - float(opaque),
        "opaque": float(opaque),
        "clear_corners": float((corners < CLEAR_CORNER).all(dim=1).float().mean()),
        "edge_px": edge_width(alpha),
    }
    return {name: round(value, 4) for name, value in shares.items()}


def edge_width(alpha: Alphas) -> float:
    """Returns the mean width of edges, px: about 1 where they are anti-aliased, 0 where cut out.

    Pixels with alpha of 0.1 to 0.9, divided by the length of the contour at 0.5, over all images; glass and
    smoke make it larger. 0 where nothing has a contour.
    """
    inside = alpha >= 0.5
    # sides between pixels, across and down
    contour = (inside[:, 1:] != inside[:, :-1]).sum() + (inside[..., 1:] != inside[..., :-1]).sum()
    soft = ((alpha > SOFT_FROM) & (alpha < SOFT_TO)).sum()
    return float(soft / contour) if contour else 0.0


def sample_sheet(generation: Generation, count: int = SHEET) -> AnyArray:
    """Draws captions under `count` of the images, evenly spread, on a checkerboard, eight a row."""
    chosen = evenly(len(generation.images), count)
    labels = [generation.captions[position] for position in chosen]
    return contact_sheet([generation.images[position] for position in chosen], columns=8, labels=labels)
