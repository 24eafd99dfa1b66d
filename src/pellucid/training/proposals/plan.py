"""The recipe that a model and a number of pictures ask for: every value with the reason for it."""

import math
from dataclasses import dataclass, replace
from typing import cast

from pellucid.files.tables import is_table
from pellucid.pipelines.model_folders import whole_name
from pellucid.training.proposals.memory import LARGE, Fit, fit_adapter, fit_codec
from pellucid.training.proposals.start_model import StartModel, halvings
from pellucid.training.stages.networks import decoder_defaults, encoder_defaults


@dataclass(frozen=True, slots=True)
class Entry:
    """A field's value, and why it has it where that is not plain."""

    value: object
    why: str = ""


Plan = dict[str, object]
"""A table of a recipe by name: `Entry` for a field, `Plan` for a table in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What training of a model of some size is used to (docs/log.md, and other LoRA trainers)."""

    learning_rate: float
    rank: int
    images_a_step: int
    views: int
    """How often each picture is seen."""
    least_images: int
    """Images that are seen at least, however few the pictures are."""
    average: float
    """`ema_decay`; 0 where a second copy of the denoiser would not fit."""
    sheets: int
    """Sample sheets in a run."""


SMALL = Habits(
    learning_rate=1e-3, rank=16, images_a_step=16, views=80, least_images=3200, average=0.99, sheets=4
)
"""Of models below 100 million parameters, such as the embedded one."""
USUAL = Habits(
    learning_rate=1e-4, rank=16, images_a_step=4, views=40, least_images=1600, average=0.0, sheets=2
)
"""Of models of full size: 40 pictures take 1,600 views, about 40 minutes on a card of 16 GB for XL."""
ANEW = 5
"""Times as many views, and four times the rank, where no adapter below makes transparent images already."""
CODEC_IMAGES = 48_000
"""Images that a small codec sees at least."""
CODEC_VIEWS = 100
CODEC_PX = 256
"""Side of the images that a codec trains on: it is convolutions, which then work at any size."""
LARGE_CODEC_PICTURES = 10_000
"""Pictures from which the released networks' size is worth it."""
LARGE_CODEC_GIB = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a recipe is written for."""

    model: StartModel
    data: tuple[str, ...]
    """Shards."""
    pictures: int
    size_px: int
    memory_gib: float
    gpu: bool


def plan_recipe(setting: Setting) -> tuple[Plan, Fit]:
    """Returns a recipe's tables, and what its training of the denoiser takes."""
    plan: Plan = {
        "data": Entry(list(setting.data), "On another machine: where the file lies there."),
        "init": Entry(whole_name(setting.model.name), setting.model.title),
        "size_px": Entry(setting.size_px, f"The model's own is {setting.model.native_px}."),
    }
    if setting.model.codec == "none":
        plan["autoencoder"] = _plan_codec(setting)
    plan["transparent"], fit = _plan_adapter(setting)
    return plan, fit


def _plan_adapter(setting: Setting) -> tuple[Plan, Fit]:
    model = setting.model
    habits = SMALL if model.denoiser_parameters < LARGE else USUAL
    if not model.base_adapter:
        habits = replace(habits, views=habits.views * ANEW, rank=habits.rank * 4)
    fit = fit_adapter(
        model,
        size_px=setting.size_px,
        rank=habits.rank,
        images_a_step=habits.images_a_step,
        memory_gib=setting.memory_gib,
        gpu=setting.gpu,
    )
    seen = max(habits.least_images, habits.views * setting.pictures)
    # whole sheets, so that the last one shows what is exported
    sheet_steps = math.ceil(seen / habits.images_a_step / habits.sheets)
    steps = sheet_steps * habits.sheets
    plan: Plan = {
        "steps": Entry(
            steps,
            f"Each of the {setting.pictures} pictures is seen "
            f"{steps * habits.images_a_step / setting.pictures:.0f} times.",
        ),
        "batch_size": Entry(
            fit.batch_size, f"Estimated to take {fit.gib:g} GiB of {setting.memory_gib:.1f}."
        ),
        "accumulation": Entry(fit.accumulation),
        "learning_rate": Entry(
            habits.learning_rate, "Halve it where samples fall apart; double it where nothing is learned."
        ),
        "warmup_steps": Entry(max(1, steps // 20)),
        "ema_decay": Entry(
            habits.average, "" if habits.average else "It would take a second model's memory."
        ),
        "log_every": Entry(max(1, steps // 40)),
        "sample_every": Entry(sheet_steps),
        "gradient_checkpointing": Entry(fit.checkpointing),
        "half_frozen": Entry(fit.half_frozen),
        "model": _plan_adapter_model(model, fit),
    }
    return plan, fit


def _plan_adapter_model(model: StartModel, fit: Fit) -> Plan:
    plan: Plan = {
        # the name by which `pellucid.load` finds it: one that lies on another goes before that
        "name": Entry("single-layer" if model.base_adapter else "transparent"),
        "method": Entry("lora", "`locon` learns a subject in a third of the steps, and forgets others."),
        "rank": Entry(fit.rank, "More for thousands of pictures."),
        "caption_dropout": Entry(0.1),
    }
    if model.base_adapter:
        plan["base_adapter"] = Entry(
            model.base_adapter, "The model makes transparent images with it already."
        )
    if model.codec == "released":
        plan["codec"] = Entry(model.codec_name, "It is fetched when training starts.")
    return plan


def _plan_codec(setting: Setting) -> Plan:
    model, size_px = setting.model, min(setting.size_px, CODEC_PX)
    large = setting.pictures >= LARGE_CODEC_PICTURES and setting.memory_gib >= LARGE_CODEC_GIB
    batch, accumulation = fit_codec(model, size_px=size_px, images_a_step=16, memory_gib=setting.memory_gib)
    sheets = 4
    sheet_steps = math.ceil(max(CODEC_IMAGES, CODEC_VIEWS * setting.pictures) / 16 / sheets)
    tables = _released_networks(model, size_px) if large else _small_networks(model)
    return {
        "size_px": Entry(size_px, "A codec works at other sizes than it learned."),
        "steps": Entry(
            sheet_steps * sheets,
            "A codec wants many kinds of pictures: add sets of `pellucid data pull`, such as fluent-3d and "
            "noto, by a line `data` in this table.",
        ),
        "batch_size": Entry(batch),
        "accumulation": Entry(accumulation),
        "learning_rate": Entry(1e-4 if large else 1e-3),
        "warmup_steps": Entry(100),
        "log_every": Entry(50),
        "sample_every": Entry(sheet_steps),
        "gradient_checkpointing": Entry(value=False),
        "weights": {
            "identity": Entry(4.0, "Keeps what the frozen VAE shows of a latent as it is without alpha."),
            "gradient": Entry(0.5, "Keeps edges as sharp as the pictures'."),
        },
        "model": {"latent_noise": Entry(0.1), **tables},
    }


def _small_networks(model: StartModel) -> Plan:
    """Returns tables of networks like the embedded model's, for the VAE's pixels a latent."""
    fold = min(4, model.pixels_per_latent)
    levels = halvings(model.pixels_per_latent) - halvings(fold)
    return {
        "offset_encoder": {"widths": Entry([64, 128, *[128] * levels][: levels + 1]), "fold": Entry(fold)},
        "alpha_decoder": {
            "widths": Entry([80, 128, *[128] * levels][: levels + 2]),
            "latent_level": Entry(levels),
            "attention_levels": Entry(0),
            "layers_per_block": Entry(1),
            "norm_num_groups": Entry(8),
            "fold": Entry(fold),
            "background": Entry(0.5),
            # three more convolutions at twice the resolution of what is folded
            "detail_width": Entry(64 if fold % 2 == 0 else 0),
        },
        "discriminator": {"width": Entry(32)},
    }


def _released_networks(model: StartModel, size_px: int) -> Plan:
    encoder = encoder_defaults({}, model.pixels_per_latent)
    decoder = decoder_defaults({}, model.pixels_per_latent, size_px)
    return {
        "offset_encoder": {name: Entry(_listed(value)) for name, value in encoder.items()},
        "alpha_decoder": {name: Entry(_listed(value)) for name, value in decoder.items()},
    }


def _listed(value: object) -> object:
    return [*cast("tuple[object, ...]", value)] if isinstance(value, tuple) else value


def plain(plan: Plan) -> dict[str, object]:
    """Returns the values alone, tables in tables, as TOML has them."""
    return {
        name: plain(entry) if is_table(entry) else entry.value if isinstance(entry, Entry) else entry
        for name, entry in plan.items()
    }
