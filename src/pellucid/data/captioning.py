"""Writes captions of images: by a model behind an address, by a function of one's own, or from keywords."""

import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from PIL import Image

from pellucid.data.chat import ChatModel
from pellucid.data.filters.rules import plugin
from pellucid.data.ingest.files import exists, read_file, write_file
from pellucid.data.records import Record
from pellucid.data.shards import QUICK_WEBP, add_sample, read_shard
from pellucid.errors import ConfigError, InputError, first_line
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
            except ConfigError:
                raise
            except Exception as error:  # noqa: BLE001 - captioners are other people's code
                failed.append({"name": record.name, "reason": f"{type(error).__name__}: {first_line(error)}"})
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
