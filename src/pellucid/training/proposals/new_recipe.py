"""`pellucid train new`: from a folder of pictures to a shard and a recipe for the model at hand."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from pellucid.data.image_folder import folder_samples
from pellucid.data.records import Record
from pellucid.data.shards import write_shard
from pellucid.errors import ConfigError, FileError, InputError
from pellucid.files.atomic import write_atomically
from pellucid.training.data.in_memory import held_out_flags
from pellucid.training.proposals.memory import Fit, device_memory
from pellucid.training.proposals.plan import Setting, plan_recipe
from pellucid.training.proposals.recipe_text import recipe_text
from pellucid.training.proposals.start_model import StartModel, read_start_model

HEAD = (
    "Written by `pellucid train new` for the model and the pictures below; every value may be changed. Train "
    "with `pellucid train all --config` and this file."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRecipe:
    """What was written, and what is in it."""

    recipe: Path
    shard: Path
    pictures: int
    held_out: int
    captions: int
    stages: tuple[str, ...]
    fit: Fit
    memory_gib: float


def write_new_recipe(
    model: str,
    pictures: Path,
    recipe: Path,
    *,
    size_px: int | None = None,
    memory_gib: float | None = None,
    device: torch.device,
    keep_opaque: bool = False,
    set_aside: Callable[[Path, FileError], None] | None = None,
) -> NewRecipe:
    """Packs a folder of pictures into a shard, and writes a recipe for them and the model at hand.

    Args:
        model: "mini", a folder in diffusers' layout, or a hub id.
        pictures: a folder; each is captioned by a `.txt` of its name, or by its name.
        recipe: the file to write; the shard lies beside it.
        size_px: side of the training images. None is the model's own.
        memory_gib: GiB of memory that training may use. None is all that the device has.
        device: that will train.
        keep_opaque: whether pictures without a transparent pixel are taken.
        set_aside: is told of each picture that cannot be used, and why. None raises its error.

    Raises:
        ConfigError: there is such a recipe already, a size that the model cannot have, fewer than two
            pictures are left, or the system does not tell its memory.
        WeightsError: the model cannot be loaded.
        InputError: no pictures, or a model of a family that is not known.
        FileError: none of the pictures can be used, or the files cannot be written.
    """
    shard = recipe.with_name("pictures.tar" if recipe.stem == "recipe" else f"{recipe.stem}.tar")
    if not pictures.is_dir():
        raise InputError(f"Expected a folder of pictures at {pictures}, found none. Check the path.")
    # somebody may have changed it since
    if found := next((path for path in (recipe, shard) if path.exists()), None):
        raise ConfigError(f"Expected no {found}, found one. Name another place with -o, or delete it.")
    # before anything is written: a shard that is left behind would refuse the next try
    memory = device_memory(device) if memory_gib is None else memory_gib
    start = read_start_model(model)
    size_px = _size_for(start, size_px)
    records: list[Record] = []
    samples = folder_samples(pictures, size_px, keep_opaque=keep_opaque, set_aside=set_aside)
    write_shard(((_kept(record, records), rgba) for record, rgba in samples), shard, small=True)
    if len(records) < 2:
        shard.unlink()
        raise ConfigError(
            f"Expected two pictures or more in {pictures}, to hold one out, found {len(records)} that can be "
            "used. Add some."
        )
    setting = Setting(
        model=start,
        # the whole path: the recipe may be used from anywhere
        data=(shard.resolve().as_posix(),),
        pictures=len(records),
        size_px=size_px,
        memory_gib=memory,
        gpu=device.type == "cuda",
    )
    plan, fit = plan_recipe(setting)
    write_atomically(recipe, recipe_text(plan, HEAD).encode())
    return NewRecipe(
        recipe=recipe,
        shard=shard,
        pictures=len(records),
        held_out=sum(held_out_flags(records)),
        captions=len({record.label for record in records}),
        stages=tuple(name for name in ("autoencoder", "transparent") if name in plan),
        fit=fit,
        memory_gib=memory,
    )


def _size_for(start: StartModel, size_px: int | None) -> int:
    """Returns the size that is asked for, or the model's own."""
    multiple = start.size_multiple
    if size_px is None:
        return max(start.native_px // multiple, 1) * multiple
    if size_px % multiple:
        near = max(size_px // multiple, 1) * multiple
        raise ConfigError(
            f"Expected a size in multiples of {multiple} for {start.name}, found {size_px}. "
            f"Take {near} or {near + multiple}."
        )
    return size_px


def _kept(record: Record, records: list[Record]) -> Record:
    records.append(record)
    return record
