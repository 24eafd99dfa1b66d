"""A run of single images by the million: sampled, filtered, scored, de-duplicated; on any engine, resumable.

FOLDER/plan.json             what was asked; another plan is refused
FOLDER/parts/…               images of each part, until the set is whole
FOLDER/set-000000.tar …      the set, in the layout of `pellucid data ingest`
FOLDER/dropped.jsonl         every image that was left out, with its reason
FOLDER/manifest.json         shards with checksums, and the funnel; written last

Source: paper section 3.3 and Fig. 3: five million made, one million kept without people.
"""

import io
import tarfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from pellucid._version import __version__
from pellucid.data.engines import Engine
from pellucid.data.filters.duplicates import fingerprint
from pellucid.data.filters.rules import FAILED, RULES, Rules
from pellucid.data.ingest.assembly import Assembly, Manifest, assemble, find_duplicates, finished
from pellucid.data.ingest.folders import claimed
from pellucid.data.ingest.parts import Dropped, judge
from pellucid.data.ingest.run import check_packages
from pellucid.data.records import Record
from pellucid.data.rounds.prompts import Prompt, PromptSource, read_grammar, read_prompts, shipped_grammar
from pellucid.data.shards import QUICK_WEBP, add_sample
from pellucid.data.verdict_scores.score import CARD, NAME, TENSORS, load_score
from pellucid.errors import PromptWarning, first_line
from pellucid.pipelines.arguments import MAX_SEED
from pellucid.rgba.types import RGBA8
from pellucid.synthesis.models import ImageOptions, ModelSource, load_model, model_title, one_thread
from pellucid.synthesis.parts import check_one_model, run_missing, write_part

GENERATED = "generated"
"""Group of images whose prompts have no class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePlan:
    """What a run makes."""

    folder: str
    """Path or URL of the result."""
    count: int
    """Images that are made; those that the rules drop are not made up for."""
    prompts: str = ""
    """Path of prompts or, ending in .toml, of a grammar, see `pellucid.data.rounds.prompts`; empty is the one
    that ships. A path and not its content, which workers read once."""
    seed: int = 0
    source: ModelSource = field(default_factory=ModelSource)
    options: ImageOptions = field(default_factory=ImageOptions)
    batch_size: int = 1
    """Images sampled together; above 1 it may change the last level of some bytes."""
    rules: Rules = field(default_factory=Rules)
    score: str = ""
    """Folder of a score learned from verdicts; empty asks for none."""
    min_score: float | None = None
    """Score that an image has at least. None is the threshold that was learned."""
    licence: str = ""
    """Of the images that the model makes."""
    part_length: int = 32
    """Images that one task makes, and that a stopped run may have to make again."""
    shard_length: int = 1000
    """Images in a shard of the set."""

    def to_json(self) -> dict[str, object]:
        """Returns what decides on the result, as plain JSON values."""
        learned = (TENSORS, CARD) if self.score else ()
        return {
            "count": self.count,
            "prompts": prompt_source(self.prompts).digest,
            "seed": self.seed,
            # not the device: the same weights may go on elsewhere, as after a machine was lost
            "model": [self.source.model, self.source.adapter, self.source.dtype],
            "options": asdict(self.options),
            "batch_size": self.batch_size,
            "rules": self.rules.model_dump(mode="json"),
            "score": [sha256((Path(self.score) / name).read_bytes()).hexdigest() for name in learned],
            "min_score": self.min_score,
            "licence": self.licence,
            "part_length": self.part_length,
            "shard_length": self.shard_length,
            "version": __version__,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePart:
    """A part of a run: what one task does."""

    number: int
    plan: ImagePlan

    @property
    def stem(self) -> str:
        """Returns path or URL of its files without their extension."""
        return f"{self.plan.folder}/parts/part-{self.number:06d}"

    @property
    def images(self) -> range:
        """Returns the numbers of its images."""
        first = self.number * self.plan.part_length
        return range(first, min(first + self.plan.part_length, self.plan.count))


def run_images(plan: ImagePlan, engine: Engine) -> Manifest:
    """Runs a plan and returns its manifest; what an earlier, interrupted run finished is not done again.

    Image i has the prompt that is drawn for i, and seed + i, so neither the engine nor a stop changes a byte.

    Args:
        plan: what to make.
        engine: where to make it.

    Raises:
        InputError: the folder is not this plan's, see `folders.claimed`, or holds parts by other weights; or
            options that no sampler has.
        FileError: prompts cannot be read, or the folder cannot be written.
        WeightsError: the model or the score cannot be loaded.
    """
    check_packages()
    plan.options.check()
    if plan.score:
        load_score(plan.score)  # a wrong folder fails here, not in some worker
    with claimed(plan.folder, plan.to_json()):
        return finished(plan.folder) or _run(plan, engine)


def _run(plan: ImagePlan, engine: Engine) -> Manifest:
    count = -(-plan.count // plan.part_length)
    parts = [ImagePart(number=number, plan=plan) for number in range(count)]
    run_missing(make_images, parts, engine, ending=".json", label="making images")
    stems = tuple(part.stem for part in parts)
    check_one_model(stems)
    assembly = Assembly(
        folder=plan.folder,
        stems=stems,
        listed=plan.count,
        shard_length=plan.shard_length,
        order=(*(rule.name for rule in RULES), f"score {NAME}", FAILED),
    )
    return assemble(assembly, {} if plan.rules.duplicates else find_duplicates(stems, engine), engine)


def make_images(part: ImagePart) -> int:
    """Makes the images of a part, writes its shard and its report, and returns how many stay."""
    model = model_title(part.plan.source)
    kept: list[dict[str, object]] = []
    dropped: list[Dropped] = []
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar, one_thread():
        for made in _made(part, model):
            outcome = made if isinstance(made, Dropped) else _judged(part.plan, *made)
            if isinstance(outcome, Dropped):
                dropped.append(outcome)
                continue
            record, rgba = outcome
            kept.append(fingerprint(record.name, rgba).to_json())
            add_sample(tar, record, rgba, QUICK_WEBP)
    write_part(part.stem, buffer.getvalue(), kept, dropped, model)
    return len(kept)


def _made(part: ImagePart, model: str) -> Iterator[tuple[Record, RGBA8] | Dropped]:
    """Samples the images of a part, in order; batches begin with the part, so a stop changes none of them."""
    plan, source = part.plan, prompt_source(part.plan.prompts)
    numbers = list(part.images)
    for start in range(0, len(numbers), plan.batch_size):
        batch = numbers[start : start + plan.batch_size]
        prompts = [source.draw(f"{plan.seed}/{number}") for number in batch]
        records = [
            _record(plan, prompt, number, model) for prompt, number in zip(prompts, batch, strict=True)
        ]
        for record, outcome in zip(records, _sampled(plan, records), strict=True):
            if isinstance(outcome, str):
                yield Dropped(name=record.name, reason=FAILED, detail=outcome)
            else:
                yield record, outcome


def _sampled(plan: ImagePlan, records: Sequence[Record]) -> list[RGBA8 | str]:
    """Samples one batch. If it fails, each image is sampled alone, and a failure stands in its place."""
    pipe = load_model(plan.source)
    texts, seeds = [record.prompt for record in records], [record.seed for record in records]
    try:
        with warnings.catch_warnings():
            # a line for each of a million prompts helps nobody
            warnings.simplefilter("ignore", PromptWarning)
            scenes = pipe.generate(texts, **plan.options.keywords(seeds, plan.batch_size))
        return [plan.options.image_of(scene) for scene in scenes]
    except ValueError as error:  # NaN in a sampler, or a text that a tokenizer refuses: of one image alone
        if len(records) == 1:
            return [f"{type(error).__name__}: {first_line(error)}"]
        return [outcome for record in records for outcome in _sampled(plan, [record])]


def _judged(plan: ImagePlan, record: Record, rgba: RGBA8) -> tuple[Record, RGBA8] | Dropped:
    """Asks the rules, then the score of those that pass: it is the last and the dearest of them."""
    outcome = judge(rgba, record, plan.rules)
    if isinstance(outcome, Dropped) or not plan.score:
        return outcome
    record, rgba = outcome
    score = load_score(plan.score)
    value = score.of_image(rgba, record)
    least = score.card.threshold if plan.min_score is None else plan.min_score
    if not value >= least:  # true for NaN too
        return Dropped(name=record.name, reason=f"score {NAME}", detail=f"{value:.4f} below {least:.4f}")
    return replace(record, scores={**record.scores, NAME: round(value, 4)}), rgba


def _record(plan: ImagePlan, prompt: Prompt, number: int, model: str) -> Record:
    return Record(
        name=f"made-{number:08d}",
        label=prompt.text,
        prompt=prompt.text,
        group=prompt.topic or GENERATED,
        source="pellucid",
        licence=plan.licence,
        seed=(plan.seed + number) % (MAX_SEED + 1),
        model=model,
    )


@lru_cache(maxsize=1)
def prompt_source(path: str) -> PromptSource:
    """Reads prompts or a grammar once a process; errors of `read_prompts` and `read_grammar`."""
    if not path:
        return shipped_grammar()
    return read_grammar(Path(path)) if path.endswith(".toml") else read_prompts(Path(path))
