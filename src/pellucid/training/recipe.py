"""A training run as a frozen dataclass, read from a TOML recipe."""

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from pellucid.errors import ConfigError

if TYPE_CHECKING:
    import torch  # `pellucid train --help` reads the stages' names and loads no torch

Stage = Literal["vae", "autoencoder", "base", "transparent", "layers", "control"]
STAGES: tuple[Stage, ...] = get_args(Stage)
"""In the order in which a model is made."""
OPTIMIZERS = ("adamw", "adamw-8bit")
PRECISIONS = ("auto", "float32", "bfloat16")
ONLY_IN: Mapping[str, tuple[Stage, ...]] = {
    "stream": ("vae", "autoencoder"),
    "gradient_checkpointing": ("autoencoder", "base", "transparent", "layers", "control"),
    "half_frozen": ("transparent", "layers", "control"),
}
"""Stages that have an option, where not all do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One training run of one stage."""

    stage: Stage
    """What is trained."""
    data: tuple[str, ...]
    """Sets by name (`pellucid data pull`); or shards: paths, patterns, URLs, braces as in {000..099}."""
    stream: bool = False
    """Whether pictures are read from the shards as they are needed, for sets larger than memory. Only the
    stages `vae` and `autoencoder`."""
    size_px: int = 64
    """Height and width of the training pictures."""
    subjects: int = 0
    """Size of the vocabulary, easiest groups first. 0 is all subjects."""
    first_subjects: tuple[str, ...] = ()
    """Labels that come into the vocabulary before all others."""
    groups: tuple[str, ...] = ("animals", "food", "objects", "activities", "travel", "smileys", "people")
    """Groups of pictures in the order in which the vocabulary takes them. None is all."""
    calmest: float = 1.0
    """Share of the backgrounds of each label that is kept: those with the least fine detail."""
    steps: int
    """Optimizer steps in the whole run."""
    minutes: float = 0.0
    """End the run after so long, with the learning rate falling by the clock: for rented machines. 0 is no
    limit. Such a run goes on where it stopped but is not reproducible to the bit."""
    batch_size: int = 32
    """Pictures a forward pass."""
    accumulation: int = 1
    """Forward passes an optimizer step."""
    optimizer: str = "adamw"
    """`adamw`, or `adamw-8bit`, whose state takes a quarter of the memory: bitsandbytes', on a GPU."""
    learning_rate: float = 1e-3
    """At its highest, after the warm-up."""
    final_learning_rate: float = 0.05
    """Share of `learning_rate` left at the last step (cosine)."""
    warmup_steps: int = 100
    """Steps in which the learning rate climbs from 0."""
    weight_decay: float = 0.01
    ema_decay: float = 0.999
    """Of the averaged weights, which are what is exported. 0 exports the last ones."""
    max_grad_norm: float = 1.0
    seed: int = 0
    save_every_s: float = 120.0
    """Seconds between checkpoints."""
    log_every: int = 50
    """Steps between lines of the log."""
    sample_every: int = 500
    """Steps between sample sheets and scores. 0 makes none."""
    score_count: int = 0
    """Pictures or captions that a score is measured on (a UNet generates as many). 0 measures nothing."""
    init: str = ""
    """Folder of the model to start from; needed by every stage but `vae`."""
    precision: str = "auto"
    """Of forward passes; weights that train are float32. `float32`, `bfloat16` (autocast), or `auto`:
    bfloat16 on a GPU alone. On a CPU it is faster where there is AMX, else slower."""
    half_frozen: bool = False
    """Whether what does not train of denoiser and text encoders is kept in bfloat16, for half the memory.
    Needs that precision; not with FSDP."""
    compile: bool = False
    """Whether torch.compile is used; worth it on a GPU."""
    channels_last: bool = False
    """Whether pictures lie in memory with their channels last; worth it for convolutions on a GPU."""
    gradient_checkpointing: bool = False
    """Whether activations are computed again for the gradients, to save memory. Not in stage `vae`."""
    model: Mapping[str, Any] = field(default_factory=dict)
    """Constructor arguments of the model that the stage makes new; and the stage's own options."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Weights of loss terms by name; what is absent keeps the stage's default."""

    def bfloat16_on(self, device: "torch.device") -> bool:
        """Whether forward passes run in bfloat16 there."""
        return self.precision == "bfloat16" or (self.precision == "auto" and device.type == "cuda")

    def __post_init__(self) -> None:
        for name, known in (("stage", STAGES), ("optimizer", OPTIMIZERS), ("precision", PRECISIONS)):
            if (value := getattr(self, name)) not in known:
                raise ConfigError(f"Expected {name} to be one of {known}, got {value!r}. Mend the recipe.")
        low = {
            name: getattr(self, name)
            for name in ("steps", "batch_size", "accumulation", "size_px", "log_every")
        }
        if bad := {name: value for name, value in low.items() if value < 1}:
            raise ConfigError(f"Expected values of 1 or more, got {bad}. Mend the recipe.")
        if not 0 < self.calmest <= 1:
            raise ConfigError(f"Expected calmest of more than 0 to 1, got {self.calmest}. Mend the recipe.")
        for name, stages in ONLY_IN.items():
            if getattr(self, name) and self.stage not in stages:
                raise ConfigError(
                    f"Expected {name} only in stages {', '.join(stages)}, found it in {self.stage}. "
                    "Take it out, or put it into their tables."
                )
        if bad := {name: value for name, value in self.weights.items() if value < 0}:
            raise ConfigError(f"Loss weights must be 0 or more, got {bad}. Mend the recipe.")


def read_recipe(path: Path, stage: str, overrides: Mapping[str, str] | None = None) -> Recipe:
    """Reads one stage of a recipe: values outside all tables, those of table `[stage]`, then the overrides.

    Args:
        path: TOML with a table for each stage that it trains.
        stage: which one.
        overrides: `key=value` pairs; `model.width=3` reaches into a table.

    Raises:
        ConfigError: no TOML, no such stage, an unknown field, a missing one, or a value of another type.
    """
    tables = _tables(path)
    if not isinstance(tables.get(stage), dict):
        has = [name for name in STAGES if name in tables]
        raise ConfigError(f"Expected a table [{stage}] in {path}, found {has}. Choose one of those stages.")
    values = {name: value for name, value in tables.items() if name not in STAGES}
    values |= {"stage": stage} | tables[stage]
    for key, text in (overrides or {}).items():
        table, _, name = key.rpartition(".")
        (values.setdefault(table, {}) if table else values)[name] = _literal(text)
    known = {each.name: each for each in fields(Recipe)}
    if unknown := sorted(set(values) - set(known)):
        raise ConfigError(
            f"{path} has fields that no recipe has: {unknown[:3]}. Known are {', '.join(known)}."
        )
    needed = [
        name for name, each in known.items() if each.default is MISSING and each.default_factory is MISSING
    ]
    if missing := [name for name in needed if name not in values]:
        raise ConfigError(f"{path} lacks {', '.join(missing)}. Add what is missing.")
    for name, value in values.items():
        if isinstance(value, list):
            values[name] = tuple(value)
        _check_type(path, name, values[name], known[name].type)
    return Recipe(**values)


def stages_in(path: Path) -> tuple[Stage, ...]:
    """The stages that make a model by this recipe: all, but the last two only where it has their tables."""
    tables = _tables(path)
    return tuple(stage for stage in STAGES if stage not in ("layers", "control") or stage in tables)


def _tables(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} is no readable recipe: {error}. See recipes/ for working ones.") from error


def _literal(text: str) -> Any:  # noqa: ANN401 - TOML's own types
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        return text


def _check_type(path: Path, name: str, value: object, wanted: object) -> None:
    allowed = {int: (int,), float: (int, float), str: (str,), bool: (bool,)}.get(wanted)  # type: ignore[arg-type]
    if allowed and (not isinstance(value, allowed) or isinstance(value, bool) != (wanted is bool)):
        raise ConfigError(f"{path}: expected {name} to be {wanted.__name__}, got {value!r}. Mend the recipe.")  # type: ignore[union-attr]
