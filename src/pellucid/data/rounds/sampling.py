"""Makes the images of a round with any model. A killed run goes on where it was; images do not change."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from pellucid.data.records import Record, softness
from pellucid.data.rounds.beginning import add_samples, find_round, open_round, round_folder
from pellucid.data.rounds.database import Store
from pellucid.data.rounds.prompts import Prompt, PromptSource
from pellucid.data.rounds.settings import RoundSettings
from pellucid.data.shards import Sample, write_shard
from pellucid.errors import ConfigError
from pellucid.progress import track
from pellucid.rgba.types import RGBA8

Generate = Callable[[Sequence[str], Sequence[int]], Sequence[RGBA8]]
"""Makes one image for each prompt and its seed."""
Scores = Callable[[RGBA8, Record], Mapping[str, float]]
"""Measures an image; `uncertainty` among the names decides the order of review."""
SHARD_LENGTH = 100
"""Images a shard: what a killed run may have to make again."""
SCREENED = "screened"
"""Group of images whose prompts have no class."""
SEEDS_A_ROUND = 1_000_000
"""So that no two rounds of a store use one seed."""


def sample_round(
    store: Store,
    prompts: PromptSource,
    generate: Generate,
    *,
    model: str,
    number: int | None = None,
    licence: str = "",
    options: Mapping[str, object] | None = None,
    batch_size: int = 1,
    scores: Scores | None = None,
) -> int:
    """Makes what is missing of a round's images, opens it for review and returns its number.

    Image i has the prompt that the source draws for i, and a seed that follows from the round and i.

    Args:
        store: of all rounds.
        prompts: what to ask for.
        generate: the model.
        model: its name, with a hash of its weights.
        number: of the round. None is the latest.
        licence: of the images.
        options: what else decides how they look, such as steps.
        batch_size: images that `generate` makes at once.
        scores: measures every image.

    Raises:
        ConfigError: an earlier run began this round with another model, other prompts or other options.
        InputError: there is no such round, or its images are complete.
    """
    said = {"model": model, "prompts": prompts.digest, "licence": licence, **(options or {})}
    with store.writing() as session:
        round_ = find_round(session, number, state="sampling")
        if round_.sampling and round_.sampling != said:
            differing = sorted(name for name, value in said.items() if round_.sampling.get(name) != value)
            raise ConfigError(
                f"Round {round_.number} was begun with other {', '.join(differing)}. Name the same, or begin "
                "anew in another folder."
            )
        round_.sampling, round_.model = said, model
        settings = RoundSettings.from_plain(round_.settings)
        number = round_.number
    # all of them, each by its index: a run that goes on draws what the killed one drew
    drawn = [prompts.draw(f"{settings.seed}/{number}/{index}") for index in range(settings.samples)]
    starts = range(0, settings.samples, SHARD_LENGTH)
    for start in track(starts, total=len(starts), label="sampling", unit="shard"):
        path = round_folder(store, number) / f"samples-{start // SHARD_LENGTH:06d}.tar"
        some = drawn[start : start + SHARD_LENGTH]
        if not path.exists():
            first = settings.seed + number * SEEDS_A_ROUND + start
            common = Record(
                name=f"round-{number:03d}-{start:06d}",
                label="",
                source="pellucid",
                licence=licence,
                model=model,
                seed=first,
            )
            write_shard(_make(some, common, generate, batch_size, scores), path)
        # after the file, which is written whole: a row never points at nothing
        with store.writing() as session:
            add_samples(session, store, number, path)
    open_round(store, number)
    return number


def _make(
    prompts: Sequence[Prompt],
    common: Record,
    generate: Generate,
    batch_size: int,
    scores: Scores | None,
) -> Iterator[Sample]:
    """Makes images; their names and seeds count on from those of `common`."""
    stem, _, first = common.name.rpartition("-")
    left = iter(enumerate(prompts))
    while batch := list(islice(left, batch_size)):
        texts = [prompt.text for _, prompt in batch]
        images = generate(texts, [common.seed + index for index, _ in batch])
        for (index, prompt), rgba in zip(batch, images, strict=True):
            record = replace(
                common,
                name=f"{stem}-{int(first) + index:06d}",
                label=prompt.text,
                prompt=prompt.text,
                group=prompt.topic or SCREENED,
                seed=common.seed + index,
                soft=softness(rgba),
            )
            yield (replace(record, scores=dict(scores(rgba, record))) if scores else record), rgba
