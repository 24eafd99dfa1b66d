"""Begins a round, adds images to it, and opens it for review."""

import hashlib
import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pellucid.data.rounds.database import Store
from pellucid.data.rounds.grouping import fingerprint, near_duplicates, same_prompts
from pellucid.data.rounds.images import Stored, stored_images
from pellucid.data.rounds.settings import Order, RoundSettings
from pellucid.data.rounds.tables import Decision, Round, Sample
from pellucid.data.shards import Sample as PackedSample
from pellucid.data.shards import decoded, write_shard
from pellucid.errors import InputError
from pellucid.files.tables import is_list

NEXT_STEPS = {
    "sampling": "Make its images: `pellucid data rounds sample`.",
    "open": "Its images are made; judge them: `pellucid data rounds review`.",
    "closing": "Its closing was interrupted; finish it: `pellucid data rounds close`.",
    "closed": "Begin the next one: `pellucid data rounds new`.",
}
"""What to do with a round in each state."""


def begin_round(
    store: Store,
    settings: RoundSettings,
    *,
    data: Sequence[str] = (),
    gold: Iterable[tuple[Decision, Iterable[PackedSample]]] = (),
) -> int:
    """Begins the next round and returns its number, from 1.

    Args:
        store: of all rounds.
        settings: of this one.
        data: sets or shards that the model has learned. None are those that the last round's closing wrote.
        gold: verdicts, and images that should get them.

    Raises:
        InputError: the last round is not closed.
    """
    with store.reading() as session:
        last = session.scalar(select(Round).order_by(Round.number.desc()).limit(1))
    if last is not None and last.state != "closed":
        raise InputError(_unfinished(store, last))
    number = last.number + 1 if last else 1
    learned = list(data) or (next_data(last) if last else [])
    golden = list(_write_gold(store, number, gold))
    version = hashlib.sha256(json.dumps(learned).encode()).hexdigest()[:16]
    with store.writing() as session:
        session.add(
            Round(
                number=number,
                state="sampling",
                data=learned,
                settings=settings.plain(),
                data_version=version,
                created_at=time.time(),
            )
        )
        session.flush()
        for decision, path in golden:
            add_samples(session, store, number, path, kind="gold", expected=decision)
    return number


def _unfinished(store: Store, last: Round) -> str:
    """Says what a round lacks that keeps the next one from beginning."""
    close = (
        f"close it with `{store.command('close')}`, and add --partial if images are left without a decision: "
        "they are then neither kept nor rejected."
    )
    steps = {
        "sampling": f"Make the rest of its images with `{store.command('sample')}`, judge them with "
        f"`{store.command('review')}`, then {close}",
        "open": f"Judge its images with `{store.command('review')}`, then {close}",
        "closing": f"Its closing was interrupted: `{store.command('close')}` finishes it.",
    }
    return (
        f"Expected round {last.number} to be closed before the next one, found it {last.state}. "
        f"{steps[last.state]}"
    )


def next_data(round_: Round) -> list[str]:
    """Returns the training set that closing a round wrote."""
    data = round_.outcome.get("data", [])
    return [str(each) for each in data] if is_list(data) else []


def find_round(session: Session, number: int | None, *, state: str | None = None) -> Round:
    """Returns a round; the latest if none is named.

    Raises:
        InputError: there is none, or it is in another state than the one asked for.
    """
    query = select(Round).order_by(Round.number.desc())
    found = session.scalar((query if number is None else query.where(Round.number == number)).limit(1))
    if found is None:
        raise InputError(
            f"Expected a round{f' {number}' if number else ''}, found none. "
            "Begin one with `pellucid data rounds new`."
        )
    if state is not None and found.state != state:
        raise InputError(
            f"Expected round {found.number} to be {state}, found it {found.state}. {NEXT_STEPS[found.state]}"
        )
    return found


def round_folder(store: Store, number: int) -> Path:
    """Returns the folder of a round's files."""
    return store.folder / f"round-{number:03d}"


def add_samples(
    session: Session,
    store: Store,
    number: int,
    shard: Path,
    *,
    kind: str = "made",
    expected: Decision | None = None,
) -> int:
    """Registers the images of a shard below the store's folder; those that are known are left alone.

    Args:
        session: that writes.
        store: of all rounds.
        number: of the round.
        shard: written whole.
        kind: "made" or "gold".
        expected: verdict that gold should get.

    Returns:
        Images of the shard.
    """
    # a run that goes on registers all its shards anew
    known = {
        (row.shard, row.offset)
        for row in session.execute(
            select(Sample.shard, Sample.offset).where(Sample.round_number == number, Sample.kind == kind)
        )
    }
    name = shard.relative_to(store.folder).as_posix()
    first = 1 + (
        session.scalar(
            select(func.max(Sample.place)).where(Sample.round_number == number, Sample.kind == kind)
        )
        or 0
    )
    count = 0
    for index, each in enumerate(stored_images(shard)):
        count += 1
        if (name, each.offset) in known:
            continue
        sample = _sample(each, name)
        sample.round_number, sample.kind, sample.expected = number, kind, expected
        sample.place = first + index if kind == "gold" else _place(each)
        session.add(sample)
    return count


def open_round(store: Store, number: int) -> None:
    """Puts a round's images in order, groups like ones, draws the overlap and opens it for review."""
    with store.writing() as session:
        round_ = find_round(session, number, state="sampling")
        settings = RoundSettings.from_plain(round_.settings)
        samples = session.scalars(
            select(Sample).where(Sample.round_number == number, Sample.kind == "made").order_by(Sample.place)
        ).all()
        _group(samples, settings)
        for position, sample in enumerate(_ordered(samples, settings)):
            sample.position = position
        for sample in samples:
            # whole groups, or one reviewer would choose the best of what the other one did not see
            unit = sample.place if sample.group_key is None else f"group {sample.group_key}"
            twice = Random(f"overlap/{settings.seed}/{number}/{unit}").random() < settings.overlap
            sample.needed = sample.remaining = 2 if twice else 1
        golds = list(
            session.scalars(select(Sample).where(Sample.round_number == number, Sample.kind == "gold"))
        )
        # gold comes sorted by its verdicts, and would give itself away
        Random(f"gold/{settings.seed}/{number}").shuffle(golds)
        for position, sample in enumerate(golds):
            sample.position = position
        round_.state, round_.opened_at = "open", time.time()


def _group(samples: Sequence[Sample], settings: RoundSettings) -> None:
    keys: Sequence[int | None] = [None] * len(samples)
    if settings.grouping == "near-duplicate":
        keys = near_duplicates([sample.fingerprint for sample in samples])
    elif settings.grouping == "prompt":
        keys = same_prompts([sample.prompt for sample in samples])
    for sample, key in zip(samples, keys, strict=True):
        sample.group_key = key


def _ordered(samples: Sequence[Sample], settings: RoundSettings) -> list[Sample]:
    units: dict[object, list[Sample]] = {}
    for sample in samples:
        key = sample.place if sample.group_key is None else ("group", sample.group_key)
        units.setdefault(key, []).append(sample)
    return [sample for unit in _units_in_order(list(units.values()), settings) for sample in unit]


def _units_in_order(units: list[list[Sample]], settings: RoundSettings) -> list[list[Sample]]:
    Random(f"order/{settings.seed}").shuffle(units)
    order: Order = settings.order
    if order == "uncertainty":

        def uncertainty(unit: list[Sample]) -> float:
            return max(float("-inf") if each.uncertainty is None else each.uncertainty for each in unit)

        # sorted() is stable: what has no score keeps its shuffled order, at the end
        return sorted(units, key=uncertainty, reverse=True)
    if order == "stratified":
        seen: dict[str, int] = {}
        turns: list[int] = []
        for unit in units:
            turns.append(seen.get(unit[0].prompt_class, 0))
            seen[unit[0].prompt_class] = turns[-1] + 1
        return [unit for _, unit in sorted(zip(turns, units, strict=True), key=lambda pair: pair[0])]
    return units


def _write_gold(
    store: Store, number: int, gold: Iterable[tuple[Decision, Iterable[PackedSample]]]
) -> Iterable[tuple[Decision, Path]]:
    for decision, samples in gold:
        path = round_folder(store, number) / f"gold-{decision}.tar"
        write_shard(samples, path)
        yield decision, path


def _sample(each: Stored, shard: str) -> Sample:
    record = each.record
    return Sample(
        shard=shard,
        offset=each.offset,
        length=len(each.content),
        media_type=each.media_type,
        width=each.width,
        height=each.height,
        prompt=record.prompt or record.label,
        prompt_class=record.group,
        uncertainty=record.scores.get("uncertainty"),
        fingerprint=fingerprint(decoded(each.content)),
    )


def _place(each: Stored) -> int:
    """Index within the round, which ends the record's name."""
    return int(each.record.name.rpartition("-")[2])
