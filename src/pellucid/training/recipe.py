"""A training run as a frozen dataclass, read from a TOML recipe."""

import json
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, cast, get_args

from pellucid.errors import ConfigError, first_line
from pellucid.files.tables import is_table
from pellucid.files.toml_values import read_value
from pellucid.training.stages.options import AutoencoderOptions, ModelOptions, Table, read_options
from pellucid.training.validation import (
    check_choices,
    check_names,
    check_range,
    check_types,
    field_names,
    required_names,
)

if TYPE_CHECKING:
    import torch  # `pellucid train --help` reads the stages' names and loads no torch

Stage = Literal["vae", "autoencoder", "base", "transparent", "layers", "control"]
STAGES: tuple[Stage, ...] = get_args(Stage)
"""In the order in which a model is made."""
ONLY_IN: Mapping[str, tuple[Stage, ...]] = {
    "stream": ("vae", "autoencoder"),
    "gradient_checkpointing": ("autoencoder", "base", "transparent", "layers", "control"),
    "half_frozen": ("transparent", "layers", "control"),
}
"""Stages that have an option, where not all do."""
EMBEDDED = "mini"
"""`init` of the model that ships."""
Options = TypeVar("Options")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One training run of one stage.

    A mapping given as `model` is checked and becomes the stage's options.
    """

    stage: Stage
    """What is trained."""
    data: tuple[str, ...]
    """Sets by name (`pellucid data pull`); or shards: paths, patterns, URLs, braces as in {000..099}. In TOML
    a single one may stand without brackets."""
    stream: bool = False
    """Whether images are read from the shards as they are needed, for sets larger than memory. Only the
    stages `vae` and `autoencoder`."""
    size_px: int = 64
    """Height and width of the training images; a multiple of the VAE's pixels a latent."""
    subjects: int = 0
    """Size of the vocabulary, easiest groups first. 0 is all subjects."""
    priority_subjects: tuple[str, ...] = ()
    """Labels that come into the vocabulary before all others."""
    groups: tuple[str, ...] = ("animals", "food", "objects", "activities", "travel", "smileys", "people")
    """Groups of images in the order in which the vocabulary takes them. None is all; images without a group,
    such as those of a folder, always count."""
    low_detail_fraction: float = 1.0
    """Share of the backgrounds of each label that is kept: those with the least fine detail. 1 keeps all."""
    steps: int
    """Optimizer steps in the whole run."""
    minutes: float = 0.0
    """End the run after so long, with the learning rate falling by the clock: for rented machines. 0 is no
    limit. Such a run goes on where it stopped but is not reproducible to the bit."""
    batch_size: int = 32
    """Images a forward pass."""
    accumulation: int = 1
    """Forward passes an optimizer step."""
    optimizer: Literal["adamw", "adamw-8bit"] = "adamw"
    """`adamw`, or `adamw-8bit`, whose state takes a quarter of the memory: bitsandbytes', on a GPU."""
    learning_rate: float = 1e-3
    """At its highest, after the warm-up. 0 trains nothing."""
    final_learning_rate: float = 0.05
    """Share of `learning_rate` left at the last step (cosine), 0 to 1."""
    warmup_steps: int = 100
    """Steps in which the learning rate climbs from 0."""
    weight_decay: float = 0.01
    """AdamW's decoupled weight decay a step, times the learning rate. 0 has none."""
    ema_decay: float = 0.999
    """Of the averaged weights, which are what is exported, 0 to below 1. 0 exports the last ones."""
    max_grad_norm: float = 1.0
    """Norm to which gradients are clipped."""
    seed: int = 0
    """Of all random draws: first weights, order of images, noise."""
    save_every_s: float = 120.0
    """Seconds between checkpoints. 0 saves after every step."""
    log_every: int = 50
    """Steps between lines of the log; the last step has one too."""
    sample_every: int = 500
    """Steps between sample grids and scores. 0 makes none."""
    score_count: int = 0
    """Images or captions that a score is measured on (a UNet generates as many). 0 measures nothing."""
    init: str = ""
    """Folder of the model to start from, a hub id, or `mini`, the embedded one; needed by every stage but
    `vae`."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of forward passes; weights that train are float32. `float32`, `bfloat16` (autocast), or `auto`:
    bfloat16 on a GPU alone. On a CPU it is faster where there is AMX, else slower."""
    half_frozen: bool = False
    """Whether what does not train of denoiser and text encoders is kept in bfloat16, for half the memory.
    Needs that precision; not with FSDP."""
    compile: bool = False
    """Whether torch.compile is used; worth it on a GPU."""
    channels_last: bool = False
    """Whether images lie in memory with their channels last; worth it for convolutions on a GPU."""
    gradient_checkpointing: bool = False
    """Whether activations are computed again for the gradients, to save memory. Not in stage `vae`."""
    model: ModelOptions | Table = field(default_factory=dict)
    """The stage's own options, a table of its own."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Weights of loss terms by name, 0 or more; what is absent keeps the stage's default."""

    def __post_init__(self) -> None:
        check_choices(self)
        check_range(self, ("steps", "batch_size", "accumulation", "size_px", "log_every"), 1)
        amounts = ("minutes", "learning_rate", "warmup_steps", "weight_decay", "save_every_s", "sample_every")
        # the seed too, since numpy's generators take no negative one
        check_range(self, (*amounts, "score_count", "subjects", "seed"), 0)
        check_range(self, ("final_learning_rate",), 0, 1)
        # ranges include their ends; 1e-12 stands for "below 1" and "above 0"
        check_range(self, ("ema_decay",), 0, 1 - 1e-12)
        check_range(self, ("low_detail_fraction", "max_grad_norm"), 1e-12)
        check_range(self, ("low_detail_fraction",), 0, 1)
        # a text is a sequence too: its letters would be taken for sets
        if isinstance(self.data, str):
            raise ConfigError(
                f"Expected data as a list of sets, got the text {self.data!r}. Put it in a list."
            )
        for name, stages in ONLY_IN.items():
            if getattr(self, name) and self.stage not in stages:
                raise ConfigError(
                    f"Expected {name} only in stages {', '.join(stages)}, found it in {self.stage}. "
                    "Take it out, or put it into their tables."
                )
        if bad := {name: value for name, value in self.weights.items() if not 0 <= value < float("inf")}:
            raise ConfigError(f"Expected loss weights of 0 or more, got {bad}. Change them.")
        if isinstance(self.model, Mapping):
            # the one change of a frozen recipe: a table becomes options once its stage is known
            object.__setattr__(self, "model", read_options(self.stage, self.model))
        if self.stream and self.upscale > 1:
            raise ConfigError(
                f"Expected a stream without upscale, found {self.upscale}. Set stream to false: a decoder "
                "that enlarges is trained on images in memory."
            )

    @property
    def init_folder(self) -> str:
        """Returns where `init` lies. A folder of one's own named "mini" goes before the embedded model."""
        if self.init == EMBEDDED and not Path(EMBEDDED).is_dir():
            return str(files("pellucid") / EMBEDDED)
        return self.init

    @property
    def upscale(self) -> int:
        """Returns how many times larger than `size_px` the images are that a decoder is to make."""
        return self.model.upscale if isinstance(self.model, AutoencoderOptions) else 1

    def options(self, kind: type[Options]) -> Options:
        """Returns the stage's own options, which must be of the class `kind`."""
        assert isinstance(self.model, kind), f"{type(self.model).__name__} for a stage of {kind.__name__}"
        return self.model

    def bfloat16_on(self, device: "torch.device") -> bool:
        """Returns whether forward passes run in bfloat16 there."""
        return self.precision == "bfloat16" or (self.precision == "auto" and device.type == "cuda")

    def plain(self) -> dict[str, object]:
        """Returns all fields as JSON's own types: what a checkpoint and `recipe.json` keep."""
        # through JSON, so that tuples are lists as in a checkpoint, with which this is compared
        return json.loads(json.dumps(asdict(self), default=dict))


def read_recipe(path: Path, stage: str, overrides: Mapping[str, str] | None = None) -> Recipe:
    """Reads one stage of a recipe: values outside all tables, those of table `[stage]`, then the overrides.

    Args:
        path: TOML with a table for each stage that it trains.
        stage: which one.
        overrides: `key=value` pairs; dots reach into tables, as in `model.alpha_decoder.fold`. A key that
            begins with a stage's name, as in `transparent.model.rank`, is for that stage alone.

    Raises:
        ConfigError: no TOML, no such stage, an unknown or former name, a field that is missing, a value of
            another type or out of range.
    """
    tables = _tables(path)
    table = tables.get(stage)
    if not isinstance(table, dict):
        has = [name for name in STAGES if name in tables]
        raise ConfigError(f"Expected a table [{stage}] in {path}, found {has}. Choose one of those stages.")
    values = {name: value for name, value in tables.items() if name not in STAGES}
    # a stage's table wins over what stands outside all tables
    values |= {"stage": stage} | table
    for key, text in (overrides or {}).items():
        first, _, rest = key.partition(".")
        if first not in STAGES or not rest:
            _override(values, key, read_value(text))
        elif first == stage:
            _override(values, rest, read_value(text))
    names = field_names(Recipe)
    check_names(values, names, where=str(path))
    if missing := [name for name in required_names(Recipe) if name not in values]:
        raise ConfigError(f"{path} lacks {', '.join(missing)}. Add what is missing.")
    if isinstance(values["data"], str):
        values["data"] = [values["data"]]
    model = values.pop("model", {})
    if not is_table(model):
        raise ConfigError(f"Expected model of {path} to be a table, got {model!r}. Write [{stage}.model].")
    checked = check_types(values, Recipe, where=str(path))
    return Recipe(**checked, model=model)  # pyright: ignore[reportArgumentType]


def recipe_stages(path: Path) -> tuple[Stage, ...]:
    """Returns the stages that a recipe has tables for, in the order in which they are trained.

    Raises:
        ConfigError: it has none, or is no TOML.
    """
    tables = _tables(path)
    stages: tuple[Stage, ...] = tuple(stage for stage in STAGES if tables.get(stage) is not None)
    if not stages:
        raise ConfigError(
            f"Expected a table of a stage in {path}, found none. Add one of {', '.join(STAGES)}."
        )
    return stages


def check_stages_of(overrides: Iterable[str], stages: Collection[str]) -> None:
    """Refuses keys of stages that are not trained, which would change nothing.

    Args:
        overrides: keys, as `read_recipe` takes them.
        stages: that are trained.

    Raises:
        ConfigError: a key begins with the name of another stage.
    """
    for key in overrides:
        first, _, rest = key.partition(".")
        if rest and first in STAGES and first not in stages:
            raise ConfigError(
                f"Expected --set for {', '.join(stages)}, found {key}. Train that stage, or leave it out."
            )


def _override(values: dict[str, object], key: str, value: object) -> None:
    """Sets a value in nested tables."""
    *tables, name = key.split(".")
    for table in tables:
        inner = values.get(table, {})
        if not isinstance(inner, dict):
            raise ConfigError(
                f"Expected {table} of --set {key} to be a table, found {inner!r}. Set {table} itself."
            )
        # copied, since all stages share the tables that stand outside theirs
        values[table] = copy = cast("dict[str, object]", dict(inner))
        values = copy
    values[name] = value


def _tables(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"{path} is no readable recipe: {first_line(error)}. See recipes/ for working ones."
        ) from error
