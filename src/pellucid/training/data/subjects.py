"""Which subjects a model learns, in which order they come in, and which image each one means."""

from collections.abc import Sequence
from itertools import chain, zip_longest

from pellucid.data.records import Record

SOFT = 0.01
"""From this `Record.soft` on, an image shows true partial transparency."""


def default_images(
    records: Sequence[Record], groups: Sequence[str], subjects: int, first: Sequence[str] = ()
) -> list[int]:
    """Chooses subjects and the one image of each that is meant when nobody names a style.

    Groups take turns, each with its shortest names first, since those are what people ask for; subjects that
    can be shown truly transparent come before the others of their group.

    Args:
        records: images, the preferred style first.
        groups: to draw from, in turns, and last what has no group; none is all images as one group.
        subjects: how many subjects. 0 is all.
        first: labels that come before all others.

    Returns:
        Indices into `records`, one a subject: the image with true partial transparency where there is one.
    """
    chosen: dict[str, int] = {}
    for index, record in enumerate(records):
        if record.label not in chosen or (record.soft > SOFT >= records[chosen[record.label]].soft):
            chosen[record.label] = index

    def rank(index: int) -> tuple[bool, int, int]:
        return (records[index].soft <= SOFT, len(records[index].label.split()), index)

    # images of one's own have no group, and are meant by whoever names them as data
    names = [*groups, ""] if groups else []
    drawn = [[i for i in chosen.values() if records[i].group == group] for group in names]
    queues = [sorted(queue, key=rank) for queue in (drawn or [chosen.values()])]
    early = [chosen[label] for label in first if label in chosen]
    turns = [index for index in chain.from_iterable(zip_longest(*queues)) if index is not None]
    return list(dict.fromkeys([*early, *turns]))[: subjects or None]


def belongs(group: str, groups: Sequence[str]) -> bool:
    """Tells whether images of a group are taken: it is named, or it is none, or none is named."""
    return not groups or not group or group in groups


def learned_images(
    records: Sequence[Record], groups: Sequence[str], subjects: int, first: Sequence[str] = ()
) -> list[int]:
    """Chooses as `default_images`, and after these all with a sentence of their own, or that people kept.

    A sentence of its own, which a record without a style has, may stand under many images ("two cats"), and
    all are meant by it. So is all that people kept in rounds of screening. Where subjects are counted
    (`subjects`), sentences of their own count as subjects do.
    """
    more = [
        index
        for index, record in enumerate(records)
        if record.round > 0 or (not record.style and not subjects and belongs(record.group, groups))
    ]
    return list(dict.fromkeys([*default_images(records, groups, subjects, first), *more]))
