"""Images with verdicts: from the store of rounds, or from a list of files."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from pellucid.data.records import Record
from pellucid.data.verdict_scores.learning import Judged
from pellucid.errors import FileError, InputError, first_line, missing_package
from pellucid.files.images import read_rgba

STORE = "rounds.sqlite"
DECISIONS = {"keep": True, "reject": False}


def read_verdicts(source: Path, database: str | None = None) -> Iterator[Judged]:
    """Yields images and whether people kept them; what is open or disputed is left out.

    Args:
        source: the folder of a rounds' store, or a .jsonl file with `image` (a path, from the file's own
            folder), `decision` ("keep" or "reject") and maybe `prompt` a line.
        database: URL of the store's database where it is no file in the folder.

    Raises:
        FileError: the store, the list or an image cannot be read.
        InputError: neither of the two, a line says something else, or a package is missing.
    """
    if source.is_file() and source.suffix == ".jsonl":
        yield from _listed(source)
    elif source.is_dir() and (database or (source / STORE).exists()):
        yield from _of_rounds(source, database)
    else:
        raise InputError(
            f"Expected verdicts at {source}: the folder of a rounds' store, or a .jsonl file of images and "
            "decisions, found neither. Review a round first."
        )


def _of_rounds(folder: Path, database: str | None) -> Iterator[Judged]:
    try:
        from sqlalchemy import select

        from pellucid.data.rounds.database import open_store
        from pellucid.data.rounds.images import read_image
        from pellucid.data.rounds.outcomes import fates
        from pellucid.data.rounds.tables import Round, Sample
    except ModuleNotFoundError as error:
        raise missing_package(str(error.name), "reading the store of rounds", "review") from None
    store = open_store(folder, database, create=False)
    try:
        with store.reading() as session:
            for number in session.scalars(select(Round.number).order_by(Round.number)):
                fate_of = fates(session, number)
                chosen = select(Sample).where(Sample.round_number == number, Sample.kind == "made")
                for sample in session.scalars(chosen.order_by(Sample.place)):
                    fate = fate_of.get(sample.id)
                    if fate not in DECISIONS:
                        continue
                    packed = read_image(folder / sample.shard, sample.offset, sample.length)
                    rgba = np.asarray(Image.open(io.BytesIO(packed)).convert("RGBA"))
                    name = f"round-{number:03d}-{sample.place:06d}"
                    yield Record(name=name, label=sample.prompt, prompt=sample.prompt), rgba, DECISIONS[fate]
    finally:
        store.close()


def _listed(path: Path) -> Iterator[Judged]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(
            f"Expected verdicts as UTF-8 text in {path}, found {first_line(error)}. Save it again."
        ) from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
            image, kept = path.parent / str(values["image"]), DECISIONS[values["decision"]]
            prompt = str(values.get("prompt", ""))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"Expected image and decision (keep or reject) as JSON in line {number} of {path}, found "
                f"{first_line(error)}. Correct the line."
            ) from None
        yield Record(name=image.stem, label=prompt, prompt=prompt), read_rgba(image), kept
