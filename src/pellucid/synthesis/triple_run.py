"""A run of layer triples: prompts first, then images, on any engine and resumable.

FOLDER/plan.json             what was asked; another plan is refused
FOLDER/parts/…               prompts and triples of each part, until the set is whole
FOLDER/layers-000000.tar …   the triples, in the layout of `layer_composition.write_triples`
FOLDER/dropped.jsonl         every triple that was left out, with its reason
FOLDER/manifest.json         shards with checksums, and the funnel; written last
"""

import io
import json
import tarfile
from dataclasses import asdict, dataclass, field

from pellucid._version import __version__
from pellucid.data.chat import NoAnswer
from pellucid.data.engines import Engine
from pellucid.data.filters.rules import FAILED
from pellucid.data.filters.triple_rules import NO_PROMPT, TRIPLE_RULES, TripleRules
from pellucid.data.image_folder import BACKGROUND
from pellucid.data.ingest.assembly import Assembly, Manifest, assemble, finished
from pellucid.data.ingest.files import read_file, write_file
from pellucid.data.ingest.folders import claimed
from pellucid.data.ingest.parts import Dropped
from pellucid.data.layer_composition import ROLES, add_triple
from pellucid.data.records import Record, softness
from pellucid.data.scene_prompts import Refusal, ScenePrompt, SceneSource, load_text_model, shipped_scenes
from pellucid.errors import ConfigError, first_line
from pellucid.pipelines.arguments import MAX_SEED
from pellucid.synthesis.models import (
    ImageOptions,
    InpainterSource,
    ModelSource,
    load_inpainter_of,
    load_model,
    model_title,
    one_thread,
)
from pellucid.synthesis.parts import check_one_model, run_missing, write_part
from pellucid.synthesis.triples import FailedTriple, MadeTriple, synthesise

PROMPTS = ".prompts.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TriplePlan:
    """What a run makes."""

    folder: str
    """Path or URL of the result."""
    count: int
    """Triples that are tried; those that the rules drop are not made up for."""
    seed: int = 0
    scenes: SceneSource = field(default_factory=shipped_scenes)
    source: ModelSource = field(default_factory=ModelSource)
    inpainter: InpainterSource = field(default_factory=InpainterSource)
    options: ImageOptions = field(default_factory=ImageOptions)
    rules: TripleRules = field(default_factory=TripleRules)
    licence: str = ""
    """Of the images that the model makes."""
    part_length: int = 8
    """Triples that one task makes, and that a stopped run may have to make again."""
    shard_length: int = 500
    """Triples in a shard."""

    def to_json(self) -> dict[str, object]:
        """Returns what decides on the result, as plain JSON values."""
        return {
            "count": self.count,
            "seed": self.seed,
            "scenes": self.scenes.digest,
            # not the device: the same weights may go on elsewhere, as after a machine was lost
            "model": [self.source.model, self.source.adapter, self.source.dtype],
            "inpainter": asdict(self.inpainter),
            "options": asdict(self.options),
            "rules": self.rules.model_dump(mode="json"),
            "licence": self.licence,
            "part_length": self.part_length,
            "shard_length": self.shard_length,
            "version": __version__,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TriplePart:
    """A part of a run: what one task does."""

    number: int
    plan: TriplePlan

    @property
    def stem(self) -> str:
        """Returns path or URL of its files without their extension."""
        return f"{self.plan.folder}/parts/part-{self.number:06d}"

    @property
    def scenes(self) -> range:
        """Returns the numbers of its scenes."""
        first = self.number * self.plan.part_length
        return range(first, min(first + self.plan.part_length, self.plan.count))


def run_triples(plan: TriplePlan, engine: Engine) -> Manifest:
    """Runs a plan and returns its manifest; what an earlier, interrupted run finished is not done again.

    Scene i has its own prompts, and seed + i, so neither the engine nor a stop changes a byte. Prompts of
    a language model are written down before they are used: asked again it may say something else.

    Args:
        plan: what to make.
        engine: where to make it.

    Raises:
        InputError: the folder is not this plan's, see `folders.claimed`, or holds parts by other weights; or
            options that no sampler has.
        FileError: the language model does not answer, or the folder cannot be written.
        WeightsError: a model cannot be loaded.
    """
    plan.options.check()
    with claimed(plan.folder, plan.to_json()):
        return finished(plan.folder) or _run(plan, engine)


def _run(plan: TriplePlan, engine: Engine) -> Manifest:
    count = -(-plan.count // plan.part_length)
    parts = [TriplePart(number=number, plan=plan) for number in range(count)]
    run_missing(write_prompts, parts, engine, ending=PROMPTS, label="writing prompts")
    load_text_model.cache_clear()  # its memory is needed by what comes now
    run_missing(make_triples, parts, engine, ending=".json", label="making triples")
    stems = tuple(part.stem for part in parts)
    check_one_model(stems)
    assembly = Assembly(
        folder=plan.folder,
        stems=stems,
        listed=plan.count,
        shard_length=plan.shard_length,
        order=(NO_PROMPT, *(rule.name for rule in TRIPLE_RULES), FAILED),
        prefix="layers",
        kinds=(*(f"{role}.png" for role in ROLES), "json"),
    )
    return assemble(assembly, {}, engine)


def write_prompts(part: TriplePart) -> int:
    """Writes the prompts of a part's scenes and returns how many there are; a refusal stands in its place.

    Raises:
        NoAnswer: no question of a whole part was answered. What is left waits for the same command.
    """
    written = [part.plan.scenes.write(number, part.plan.seed) for number in part.scenes]
    failed = [each.reason for each in written if isinstance(each, Refusal) and each.unanswered]
    if len(failed) == part.plan.part_length:
        raise NoAnswer(
            f"Expected prompts, found no answer to {len(failed)} questions one after the other: {failed[-1]} "
            "The same command goes on."
        )
    values = [
        {"refused": each.reason} if isinstance(each, Refusal) else each.model_dump() for each in written
    ]
    write_file(f"{part.stem}{PROMPTS}", json.dumps(values, indent=1).encode())
    return sum(isinstance(each, ScenePrompt) for each in written)


def make_triples(part: TriplePart) -> int:
    """Makes the triples of a part, writes its shard and its report, and returns how many stay."""
    plan = part.plan
    model = model_title(plan.source)
    values: list[dict[str, str]] = json.loads(read_file(f"{part.stem}{PROMPTS}"))
    kept: list[dict[str, object]] = []
    dropped: list[Dropped] = []
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar, one_thread():
        for number, value in zip(part.scenes, values, strict=True):
            name = f"scene-{number:07d}"
            if "refused" in value:
                dropped.append(Dropped(name=name, reason=NO_PROMPT, detail=value["refused"]))
                continue
            outcome = _make(plan, ScenePrompt(**value), number)
            if isinstance(outcome, Dropped):
                dropped.append(outcome)
                continue
            images = {role: getattr(outcome, role) for role in ROLES}
            add_triple(tar, name, images, _about(plan, ScenePrompt(**value), number, outcome, model))
            kept.append({"name": name})
    write_part(part.stem, buffer.getvalue(), kept, dropped, model)
    return len(kept)


def _make(plan: TriplePlan, prompt: ScenePrompt, number: int) -> MadeTriple | Dropped:
    name = f"scene-{number:07d}"
    pipe, inpainter = load_model(plan.source), load_inpainter_of(plan.source, plan.inpainter)
    try:
        outcome = synthesise(prompt, _seed(plan, number), pipe, inpainter, plan.rules, options=plan.options)
    except ConfigError:
        raise
    except ValueError as error:  # NaN in a sampler, or a text that a tokenizer refuses: of this scene alone
        return Dropped(name=name, reason=FAILED, detail=f"{type(error).__name__}: {first_line(error)}")
    if isinstance(outcome, FailedTriple):
        measures = json.dumps({"prompt": prompt.composite, **outcome.measures.rounded()}, sort_keys=True)
        return Dropped(name=name, reason=outcome.reason, detail=measures)
    return outcome


def _about(
    plan: TriplePlan, prompt: ScenePrompt, number: int, made: MadeTriple, model: str
) -> dict[str, object]:
    """Says of a triple what `write_triples` says, and how it was made."""
    common = {"licence": plan.licence, "source": "pellucid", "model": model, "seed": _seed(plan, number)}
    stem = f"scene-{number:07d}"
    front = Record(
        name=f"{stem}-foreground",
        label=prompt.foreground,
        prompt=prompt.foreground,
        soft=softness(made.foreground),
        scores=made.measures.rounded(),
        **common,  # type: ignore[arg-type]
    )
    back = Record(
        name=f"{stem}-background",
        label=prompt.background,
        prompt=prompt.background,
        group=BACKGROUND,
        **common,  # type: ignore[arg-type]
    )
    return {
        "texts": prompt.model_dump(),
        "of": [front.name, back.name],
        "licences": [plan.licence, plan.licence],
        "records": [front.to_json(), back.to_json()],
    }


def _seed(plan: TriplePlan, number: int) -> int:
    return (plan.seed + number) % (MAX_SEED + 1)
