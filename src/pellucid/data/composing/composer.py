"""Composes training images by their number, each from a seed of its own: any worker can make any of them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from pellucid.data.composing.kinds import KINDS, PLAIN, Made, Pool
from pellucid.data.composing.paraphrases import Paraphraser
from pellucid.data.composing.subjects import View, shared_counts, subjects_of
from pellucid.data.composing.wordnet import ATTRIBUTION, WordNet
from pellucid.data.records import Record, softness
from pellucid.data.shards import Sample
from pellucid.errors import InputError
from pellucid.rgba.resizing import resize_sample
from pellucid.rgba.types import RGBA8

ALL_KINDS = (PLAIN, *KINDS)
PLAIN_MOST = 0.25
"""Share of plain images beside others, since in a small set they would leave no room."""
TRIES = 300
"""Draws for one image, of which most fail only if a set has a few subjects and most pairs are held out."""


class Composer:
    """Makes images of the subjects of a set; the one of a number is the same whoever makes it, and when.

    Args:
        samples: images with their records.
        default: indices of those that are meant when nobody names a style, one a subject.
        count: how many images, at most.
        size_px: height and width of what is made.
        seed: of all draws.
        kinds: keys of `KINDS`, and `PLAIN`; none is all.
        wordnet: adds words to the captions of plain images.

    Raises:
        InputError: no such kind.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        default: Sequence[int],
        count: int,
        size_px: int,
        seed: int,
        *,
        kinds: Sequence[str] = (),
        wordnet: WordNet | None = None,
    ) -> None:
        if wrong := set(kinds) - set(ALL_KINDS):
            raise InputError(
                f"No kind of composed image is called {min(wrong)!r}. Choose of {', '.join(ALL_KINDS)}."
            )
        samples = [(record, resize_sample(rgba, size_px, size_px)) for record, rgba in samples]
        subjects = subjects_of(samples, default)
        self._size_px, self._seed = size_px, seed
        self._pool = Pool(subjects)
        self._kinds = [name for name in KINDS if name in (kinds or KINDS)]
        shares = np.array([KINDS[name].share for name in self._kinds])
        self._shares = shares / shares.sum()
        self._paraphraser = Paraphraser(subjects, shared_counts(record for record, _ in samples), wordnet)
        self._thanks = [ATTRIBUTION] if wordnet else []
        plain = PLAIN in (kinds or ALL_KINDS)
        self._plain = [(subject, view) for subject in subjects for view in subject.views] if plain else []
        # default images first: if there is no room for all, these are the ones
        self._plain.sort(key=lambda pair: pair[1].ending != "")
        if self._kinds:
            self._plain = self._plain[: int(PLAIN_MOST * count)]
        self.count = count if self._kinds else min(count, len(self._plain))
        # plain ones stand anywhere among the others, so that shards are alike
        self._order = np.random.default_rng(seed).permutation(self.count)

    def make(self, index: int) -> Sample:
        """Makes the image of a number, 0 to `count` - 1; plain ones come once each.

        Raises:
            InputError: the set has too few subjects for the kind.
        """
        rng = np.random.default_rng([self._seed, index])
        name = f"compose-{self._seed}-{index:07d}"
        if (place := int(self._order[index])) < len(self._plain):
            subject, view = self._plain[place]
            captions = self._paraphraser.captions(rng, subject, view)
            # labelled by its subject, so that what is held out for measuring stays so
            record = self._record(name, subject.label, Made(captions, view.rgba, (view,)))
            return replace(record, attribution="; ".join([record.attribution, *self._thanks])), view.rgba
        kind = self._kinds[int(rng.choice(len(self._kinds), p=self._shares))]
        for _ in range(TRIES):
            made = KINDS[kind].draw(rng, self._pool, self._size_px)
            if made:
                return self._record(name, made.captions[0], made), made.rgba
        raise InputError(
            f"Expected subjects for images of the kind {kind}, found too few. Add a set of images."
        )

    def _record(self, name: str, label: str, made: Made) -> Record:
        def of_all(field: str, joint: str) -> str:
            return joint.join(dict.fromkeys(str(getattr(view.record, field)) for view in made.views))

        first: View = made.views[0]
        return Record(
            name=name,
            label=label,
            captions=made.captions,
            group=first.record.group,
            source="pellucid compose",
            licence=of_all("licence", " AND "),
            attribution=of_all("attribution", "; "),
            soft=softness(made.rgba),
        )


def compose_all(
    samples: Sequence[Sample],
    count: int,
    size_px: int,
    seed: int,
    *,
    default: Sequence[int] = (),
    kinds: Sequence[str] = (),
    wordnet: WordNet | None = None,
) -> Iterator[tuple[Record, RGBA8]]:
    """Yields composed images with captions that say what was done; what is held out never.

    Args:
        samples: images with their records.
        count: how many at most.
        size_px: height and width of what is made.
        seed: the same one gives the same images of the same samples.
        default: indices of the images that are meant when nobody names a style; none takes the first of each
            label.
        kinds: keys of `KINDS`, and "plain"; none is all.
        wordnet: adds words to the captions of plain images.

    Raises:
        InputError: no such kind, or too few subjects.
    """
    first_of_label = {record.label: index for index, (record, _) in reversed(list(enumerate(samples)))}
    default = default or sorted(first_of_label.values())
    composer = Composer(samples, default, count, size_px, seed, kinds=kinds, wordnet=wordnet)
    return (composer.make(index) for index in range(composer.count))
