"""What runs of generation share: parts that are made on any engine, and found again after a stop."""

import json
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Protocol, TypeVar, runtime_checkable

from pellucid.data.engines import Engine, WorkerDied
from pellucid.data.ingest.assembly import read_report
from pellucid.data.ingest.files import exists, write_file
from pellucid.data.ingest.parts import Dropped
from pellucid.errors import InputError
from pellucid.progress import track


@runtime_checkable
class Numbered(Protocol):
    """A part of a run: its files begin with its stem."""

    @property
    def stem(self) -> str:
        """Path or URL of its files without their extension."""
        ...


Each = TypeVar("Each", bound=Numbered)


def run_missing(
    function: Callable[[Each], int], parts: Sequence[Each], engine: Engine, *, ending: str, label: str
) -> None:
    """Runs a function over the parts that an earlier run did not finish.

    Args:
        function: does one part; the file that ends a part is the last that it writes.
        parts: all of them.
        engine: where to run them.
        ending: of the file that ends a part.
        label: of the progress bar.

    Raises:
        WorkerDied: a part took its worker down each time, most likely for want of memory.
    """
    left = [part for part in parts if not exists(f"{part.stem}{ending}")]
    done = len(parts) - len(left)
    for _, outcome in track(
        engine.map(function, left), total=len(parts), start=done, label=label, unit="part"
    ):
        if isinstance(outcome, WorkerDied):
            raise outcome


def write_part(
    stem: str, shard: bytes, kept: Sequence[dict[str, object]], dropped: Sequence[Dropped], model: str
) -> None:
    """Writes the shard of a part, then its report, which says that the part is whole.

    Args:
        stem: of its files.
        shard: bytes of its tar.
        kept: what the report says of each image that stays; `name` at least.
        dropped: the others.
        model: what made them.
    """
    write_file(f"{stem}.tar", shard)
    report = {
        "sha256": sha256(shard).hexdigest(),
        "model": model,
        "kept": list(kept),
        "dropped": [{"name": it.name, "reason": it.reason, "detail": it.detail} for it in dropped],
    }
    write_file(f"{stem}.json", json.dumps(report, sort_keys=True).encode())


def check_one_model(stems: Sequence[str]) -> None:
    """Raises InputError if parts of one run were made by models of different weights."""
    models = sorted({str(read_report(stem)["model"]) for stem in stems})
    if len(models) > 1:
        raise InputError(
            f"Expected all parts from one model, found {', '.join(models)}: its weights were changed between "
            "two runs. Write to another folder, or remove the parts of the older one."
        )
