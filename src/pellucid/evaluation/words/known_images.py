"""Images of a model's training sets, by which one tells what a generated image shows."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pellucid.data.composing.subjects import noun_of
from pellucid.data.records import captions
from pellucid.data.shards import Sample
from pellucid.data.spread import evenly
from pellucid.evaluation.eval_data import resized
from pellucid.evaluation.metrics import comparison_vectors, nearest_order, rgba_tensor
from pellucid.evaluation.words.measures import filled_square
from pellucid.rgba.types import RGBA8, AnyArray

SIDE_PX = 128
"""Side of the images that are compared."""
NEAREST = 5
"""Among so many nearest images the asked subject counts as shown."""
RARE = 3
"""A keyword of more subjects than this names none of them."""


class KnownImages:
    """All images of the sets, and which of each subject is meant when nobody asks for a style."""

    def __init__(self, samples: Sequence[Sample], plain: Sequence[int]) -> None:
        """Prepares images for comparison.

        Args:
            samples: as of `read_samples`.
            plain: which of them are the subjects' own, as of `default_images`.
        """
        self.records = [record for record, _ in samples]
        self.labels = [record.label for record in self.records]
        self.images = resized(samples, SIDE_PX, SIDE_PX)
        self.plain = plain
        self._whole = torch.cat([_vector(rgba) for rgba in self.images])
        self._filled = torch.cat([_vector(filled_square(rgba)) for rgba in self.images])

    def image(self, word: str) -> RGBA8 | None:
        """Returns the plain image of a subject, by its label or everyday noun; None of an unknown one."""
        for index in self.plain:
            if word in (self.labels[index], noun_of(self.labels[index])):
                return self.images[index]
        return None

    def labels_of(self, word: str) -> list[str]:
        """Returns the labels of all subjects of that label or everyday noun."""
        return sorted({label for label in self.labels if word in (label, noun_of(label))})

    def shows(self, rgba: AnyArray, labels: Sequence[str], *, cut_out: bool = False) -> bool:
        """Tells whether one of the labels is among the five nearest images.

        Args:
            rgba: straight, uint8 (h, w, 4).
            labels: those that count.
            cut_out: compare what is visible, wherever and however large it is.
        """
        found, known = (
            (_vector(filled_square(rgba)), self._filled) if cut_out else (_vector(rgba), self._whole)
        )
        (order,) = nearest_order(found, known)
        return any(self.labels[index] in labels for index in order[:NEAREST])

    def rare_keywords(self, count: int) -> dict[str, list[str]]:
        """Returns `count` keywords, evenly spread, each with the labels of its one to three subjects."""
        labels_of: dict[str, list[str]] = {}
        for index in self.plain:
            for word in self.records[index].keywords:
                labels_of.setdefault(word, []).append(self.labels[index])
        words = sorted(w for w, labels in labels_of.items() if len(labels) <= RARE and len(w) > 3)
        return {words[i]: labels_of[words[i]] for i in evenly(len(words), min(count, len(words)))}

    def all_captions(self) -> set[str]:
        """Returns every caption that the sets' records have in training."""
        return {text for record in self.records for text in captions(record, plain=True)}


def _vector(rgba: AnyArray) -> Tensor:
    return comparison_vectors(rgba_tensor(rgba))
