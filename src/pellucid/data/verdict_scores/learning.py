"""Learns what people keep: logistic regression, calibrated and judged by cross-validation over prompts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from jaxtyping import Bool, Float, Int

from pellucid._version import __version__
from pellucid.data.estimates import wilson
from pellucid.data.records import Record
from pellucid.data.verdict_scores.features import feature_names, image_features, plugin_features
from pellucid.data.verdict_scores.score import ScoreCard, VerdictScore, sigmoid
from pellucid.errors import InputError, missing_package
from pellucid.rgba.types import RGBA8

FOLDS = 5
FEWEST = 20
"""Verdicts of each kind, below which there is nothing to learn: four a fold."""
PENALTY = 0.1
"""scikit-learn's C. Some fifty features and at first a few hundred verdicts want a strong hand."""
NO_PENALTY = 1e6

Judged = tuple[Record, RGBA8, bool]
"""A record, its image, and whether people kept it."""


@dataclass(frozen=True, slots=True)
class LearningTask:
    """Features and verdicts of all images."""

    features: Float[np.ndarray, "n features"]
    kept: Bool[np.ndarray, "n"]
    prompts: Int[np.ndarray, "n"]
    """Number of each image's prompt."""


def learn(
    judged: Iterable[Judged], *, recall: float = 0.9, plugin: str = "", source: str = "", seed: int = 0
) -> VerdictScore:
    """Learns a score and the threshold that finds the wanted share of what people keep.

    Args:
        judged: images with their verdicts.
        recall: share of what people keep that is to be found, above 0 and at most 1.
        plugin: function of further features, "package.module:function".
        source: where the verdicts are from, for the card.
        seed: of the folds.

    Raises:
        InputError: too few verdicts of one kind, or of too few prompts, another recall, or scikit-learn is
            not installed.
        ConfigError: see `plugin_features`.
    """
    if not 0 < recall <= 1:
        raise InputError(f"Expected a recall above 0 and at most 1, found {recall}. 0.9 finds nine in ten.")
    if find_spec("sklearn") is None:
        raise missing_package("scikit-learn", "learning from verdicts", "learn")
    task = collect(judged, plugin)
    _check(task)
    mean, scale = task.features.mean(axis=0), task.features.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)  # what never varies says nothing
    margins = _margins_of_others(task, seed)
    calibration = np.array(_line(margins, task.kept))
    scores = sigmoid(calibration[0] * margins + calibration[1])
    threshold = threshold_at(scores[task.kept], recall)
    weights, offset = _fit((task.features - mean) / scale, task.kept)
    calibration[1] += calibration[0] * offset
    own = feature_names()
    extra = tuple(f"plug-in {number}" for number in range(task.features.shape[1] - len(own)))
    card = _card(task, scores, threshold, (*own, *extra), recall, plugin, source)
    return VerdictScore(card=card, mean=mean, scale=scale, weights=weights, calibration=calibration)


def collect(judged: Iterable[Judged], plugin: str = "") -> LearningTask:
    """Computes the features of all images; arguments and errors as `learn`."""
    features: list[np.ndarray] = []
    kept: list[bool] = []
    prompts: dict[str, int] = {}
    numbers: list[int] = []
    for record, rgba, verdict in judged:
        found = image_features(rgba)
        features.append(np.concatenate([found, plugin_features(plugin, rgba, record)]) if plugin else found)
        kept.append(verdict)
        numbers.append(prompts.setdefault(record.prompt or record.label or record.name, len(prompts)))
    if not features:
        raise InputError("Expected images with verdicts, found none. Review a round first.")
    return LearningTask(np.stack(features), np.array(kept), np.array(numbers))


def threshold_at(kept_scores: Float[np.ndarray, "n"], recall: float) -> float:
    """Returns the largest threshold at or above which at least `recall` of these scores lie."""
    needed = int(np.ceil(recall * len(kept_scores) - 1e-9))
    return float(np.sort(kept_scores)[len(kept_scores) - needed])


def _check(task: LearningTask) -> None:
    kept, rejected = int(task.kept.sum()), int((~task.kept).sum())
    if min(kept, rejected) < FEWEST:
        raise InputError(
            f"Expected {FEWEST} images kept and {FEWEST} rejected at least, found {kept} and {rejected}. "
            "Review more."
        )
    if (found := int(task.prompts.max()) + 1) < 2 * FOLDS:
        raise InputError(
            f"Expected images of {2 * FOLDS} prompts at least, found {found}: figures on prompts that were "
            "learned say nothing of new ones. Sample more prompts."
        )


def _margins_of_others(task: LearningTask, seed: int) -> Float[np.ndarray, "n"]:
    """Returns the margin of each image by a model that saw neither it nor others of its prompt."""
    from sklearn.model_selection import StratifiedGroupKFold

    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    margins = np.zeros(len(task.kept))
    for learned, left in folds.split(task.features, task.kept, task.prompts):
        part = task.features[learned]
        mean, scale = part.mean(axis=0), part.std(axis=0)
        scale = np.where(scale > 1e-9, scale, 1.0)
        weights, offset = _fit((part - mean) / scale, task.kept[learned])
        margins[left] = ((task.features[left] - mean) / scale) @ weights + offset
    return margins


def _fit(
    features: Float[np.ndarray, "n features"], kept: Bool[np.ndarray, "n"], penalty: float = PENALTY
) -> tuple[np.ndarray, float]:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=penalty, max_iter=2000).fit(features, kept)
    return model.coef_[0].astype(np.float64), float(model.intercept_[0])


def _line(margins: Float[np.ndarray, "n"], kept: Bool[np.ndarray, "n"]) -> tuple[float, float]:
    """Fits slope and offset of the sigmoid that makes margins probabilities (Platt 1999)."""
    weights, offset = _fit(margins[:, None], kept, NO_PENALTY)
    # a negative slope would say that the model is wrong more often than not: then it knows nothing
    return max(float(weights[0]), 0.0), offset


def _card(
    task: LearningTask,
    scores: Float[np.ndarray, "n"],
    threshold: float,
    features: Sequence[str],
    recall: float,
    plugin: str,
    source: str,
) -> ScoreCard:
    from sklearn.metrics import roc_auc_score

    taken = scores >= threshold
    found = int((taken & task.kept).sum())
    base = float(task.kept.mean())
    return ScoreCard(
        features=tuple(features),
        plugin=plugin,
        threshold=threshold,
        wanted_recall=recall,
        images=len(scores),
        kept=int(task.kept.sum()),
        recall=wilson(found, int(task.kept.sum())),
        precision=wilson(found, int(taken.sum())),
        taken=wilson(int(taken.sum()), len(scores)),
        area=float(roc_auc_score(task.kept, scores)),
        brier=float(((scores - task.kept) ** 2).mean()),
        brier_of_base_rate=base * (1 - base),
        source=source,
        version=__version__,
    )
