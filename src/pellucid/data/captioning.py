"""Writes captions of images: by a model behind an address, by a function of one's own, or from keywords."""

import io
import json
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from PIL import Image

from pellucid.data.chat import ChatModel, NoAnswer
from pellucid.data.engines import Engine, WorkerDied
from pellucid.data.filters.rules import plugin
from pellucid.data.ingest.files import exists, read_file, write_file
from pellucid.data.ingest.folders import claimed
from pellucid.data.records import Record
from pellucid.data.shards import QUICK_WEBP, add_sample, read_shard
from pellucid.errors import ConfigError, InputError, first_line
from pellucid.progress import track
from pellucid.rgba.compositing import flatten
from pellucid.rgba.quantization import to_bytes, to_float
from pellucid.rgba.types import RGBA8

Captioner = Callable[[RGBA8, Record], object]
QUESTION = (
    "Describe the subject of this image in one short phrase of at most twelve words, as somebody would ask "
    "for it. Name colours and materials. Do not mention the plain background."
)
LONGEST = 300
"""Characters of a caption; models that are asked for a phrase sometimes write a page."""


HOPELESS = 20
"""Failures at the start of a shard after which its captioner is taken for broken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionTask:
    """One shard to caption."""

    shard: str
    output: str
    captioner: "str | ChatModel"
    """"package.module:function", "keywords", or a chat model."""
    question: str = QUESTION


def caption_shard(task: CaptionTask) -> dict[str, int]:
    """Writes a shard with new captions and returns how many images it has, and how many failed.

    An image without a caption is left out and listed, with its reason, in a .failed.jsonl beside the shard. A
    shard that is there already is not written again.
    """
    report = f"{task.output.removesuffix('.tar')}.captions.json"
    if exists(report):
        return json.loads(read_file(report))
    captioner = make_captioner(task.captioner, task.question)
    buffer, count = io.BytesIO(), 0
    failed: list[dict[str, str]] = []
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for record, rgba in read_shard(task.shard):
            try:
                caption = " ".join(str(captioner(rgba, record) or "").split())[:LONGEST]
                if not caption:
                    raise InputError("Expected a caption, found none. Ask another captioner.")
            except (ConfigError, NoAnswer):  # of every image: what is left waits for the same command
                raise
            except Exception as error:
                failed.append({"name": record.name, "reason": f"{type(error).__name__}: {first_line(error)}"})
                if not count and len(failed) == HOPELESS:
                    raise NoAnswer(
                        f"Expected captions, found none for the first {HOPELESS} images of {task.shard}: "
                        f"{first_line(error)}. Mend the captioner; the same command goes on."
                    ) from error
                continue
            # the old label stays findable: it is what the set's makers called the image
            keywords = tuple(dict.fromkeys((record.label, *record.keywords)))
            captioned = replace(record, label=caption, keywords=keywords, style="")
            add_sample(tar, captioned, rgba, QUICK_WEBP)
            count += 1
    # before the report, whose presence says that the shard is whole
    write_file(task.output, buffer.getvalue())
    if failed:
        lines = "".join(json.dumps(each) + "\n" for each in failed)
        write_file(f"{task.output.removesuffix('.tar')}.failed.jsonl", lines.encode())
    counts = {"images": count, "failed": len(failed)}
    write_file(report, json.dumps(counts).encode())
    return counts


def caption_sets(
    shards: Sequence[str], folder: str, captioner: str | ChatModel, question: str, engine: Engine
) -> dict[str, int]:
    """Captions all images of some shards, and returns how many have a caption and how many failed.

    Args:
        shards: paths or URLs.
        folder: path or URL of the new shards. What an earlier call finished there is not done again.
        captioner: see `CaptionTask`.
        question: what a chat model is asked.
        engine: where to ask.

    Raises:
        InputError: the folder is not this run's, see `folders.claimed`.
        ConfigError: no such function.
        NoAnswer: the captioner answers nothing at all.
        WorkerDied: a shard took its worker down each time.
    """
    make_captioner(captioner)  # a wrong name fails here, before any work
    tasks = [
        # numbered as listed, so that the same command finds what an earlier one has written
        CaptionTask(
            shard=shard,
            output=f"{folder}/captioned-{number:06d}.tar",
            captioner=captioner,
            question=question,
        )
        for number, shard in enumerate(shards)
    ]
    name = captioner if isinstance(captioner, str) else f"chat {captioner.model}"
    total = {"images": 0, "failed": 0}
    with claimed(folder, {"shards": list(shards), "captioner": name, "question": question}):
        done = engine.map(caption_shard, tasks)
        for _, counts in track(done, total=len(tasks), label="captioning", unit="shard"):
            # a dead worker is told and the rest is done; here nothing is looked for image by image
            if isinstance(counts, WorkerDied):
                raise counts
            total = {name: total[name] + counts[name] for name in total}
    return total


def make_captioner(source: str | ChatModel, question: str = QUESTION) -> Captioner:
    """Makes the function that captions one image.

    Args:
        source: "keywords", "package.module:function", or a chat model.
        question: what a chat model is asked.

    Raises:
        ConfigError: no such function.
    """
    if isinstance(source, ChatModel):
        return partial(_asked, source, question)
    return _from_keywords if source == "keywords" else plugin(source)


def _from_keywords(rgba: RGBA8, record: Record) -> str:
    words = [word for word in record.keywords if word.lower() != record.label.lower()][:3]
    return ", ".join([record.label, *words])


def _asked(model: ChatModel, question: str, rgba: RGBA8, record: Record) -> str:
    # over white, since most models flatten alpha themselves, and then often onto black
    opaque = to_bytes(flatten(to_float(rgba), "#ffffff"))
    file = io.BytesIO()
    Image.fromarray(opaque).save(file, "PNG")
    return model.ask(question, png=file.getvalue()).strip('"').rstrip(".")
