"""From a name, a folder or the embedded model to a `TransparentPipeline`."""

import json
from dataclasses import replace
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline

from pellucid.errors import InputError, WeightsError, first_line
from pellucid.pipelines.attach import attach, check_fits
from pellucid.pipelines.families import FamilyRow, denoiser_of, own_mode, row_of
from pellucid.pipelines.mode_discovery import layer_tasks
from pellucid.pipelines.modes import MODES, Mode, tasks_of
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.pipelines.quiet import quiet
from pellucid.pipelines.structure_control import FOLDER
from pellucid.weights.adapter_manager import Wardrobe
from pellucid.weights.store import load_codec

MINI = "mini"
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
OWN_ADAPTER = "adapter"
OWN_FILE = "transparent.safetensors"
OWN_CODEC = "rgba"
DEFAULTS = {"StableDiffusionPipeline": "sd15-attn", "StableDiffusionXLPipeline": "sdxl-attn"}
"""Pipeline class -> the mode that `load` attaches when none is named."""


def load(
    model: str | Path = MINI,
    *,
    adapter: str | Path | None = None,
    device: str = "cpu",
    dtype: str | None = None,
    strength: float = 1.0,
) -> TransparentPipeline:
    """Loads a model that makes transparent pictures.

    Args:
        model: "mini" is embedded and needs no network; else a folder in diffusers' layout, or a hub id.
        adapter: a mode's name or a .safetensors file. None takes what the folder has in `adapter/`, else the
            usual one for that kind of model. Families without one need a codec in `rgba/`.
        device: where to run: "cpu", "cuda", "cuda:1", "mps".
        dtype: "float32", "float16" or "bfloat16". None takes float32 on a CPU, float16 elsewhere.
        strength: of the adapter, 0 to 2.

    Raises:
        InputError: an unknown adapter, device or dtype.
        WeightsError: the model or a file of it cannot be found or does not fit.
    """
    precision = _dtype(dtype, device)
    with quiet():
        return _load(model, adapter, device, precision, strength)


def _load(
    model: str | Path, adapter: str | Path | None, device: str, precision: torch.dtype, strength: float
) -> TransparentPipeline:
    folder = folder_of(model)
    pipeline = stock_pipeline(model, precision)
    return _attached(pipeline, folder, adapter, device, strength, name=str(model))


def folder_of(model: str | Path) -> Path | None:
    """The folder of the embedded model, or the one that is named; None for what only a hub can have.

    Raises:
        WeightsError: this installation has no embedded model.
    """
    folder = _mini_folder() if str(model) == MINI else Path(model)
    return folder if folder.is_dir() else None


def _attached(
    pipeline: Any,  # noqa: ANN401 - any diffusers pipeline
    folder: Path | None,
    adapter: str | Path | None,
    device: str,
    strength: float,
    *,
    name: str,
) -> TransparentPipeline:
    try:
        pipeline.to(device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"Expected a device that torch can use, found {device!r}: {error}. Try cpu."
        ) from None
    pipeline.set_progress_bar_config(disable=None, leave=False, desc="sampling", unit=" step")
    own_codec = folder / OWN_CODEC if folder else None
    codec = load_codec(own_codec, pipeline.vae) if own_codec and own_codec.is_dir() else None
    if adapter is None and codec is not None:
        adapters, row = folder / OWN_ADAPTER if folder else Path(), row_of(pipeline)
        usual = adapters / OWN_FILE
        mode = mode_of_own(row, usual if usual.is_file() else None)
        layers = layer_tasks(adapters, mode)
        check_fits(row, None, layers)
        wardrobe = Wardrobe(denoiser_of(pipeline), strength)
        wardrobe.wear(mode.source)
        tasks = tasks_of(mode) | layers
        control = folder if folder and (folder / FOLDER).is_dir() else None
        return TransparentPipeline(
            pipeline, codec, wardrobe=wardrobe, tasks=tasks, control=control, model=name
        )
    usual = DEFAULTS.get(type(pipeline).__name__, "sd15-attn") if row_of(pipeline).adapters else None
    return attach(pipeline, adapter or usual, strength=strength, autoencoder=codec, model=name)


def mode_of_own(row: FamilyRow, adapter: Path | None) -> Mode:
    """The mode of a folder with a codec of its own, which `pellucid train` made: one view is enough."""
    if row.adapters:
        return replace(MODES[MINI], adapter=adapter)
    own = own_mode(row, adapter)
    return replace(own, sampling=replace(own.sampling, passes=1))


def stock_pipeline(model: str | Path, dtype: torch.dtype, *, unet: Any = None) -> Any:  # noqa: ANN401 - any of diffusers'
    """The pipeline as diffusers has it, or the embedded model's, without adapters.

    Args:
        model: see `load`.
        dtype: of all its parts.
        unet: takes the place of the model's own, which may then be absent.

    Raises:
        WeightsError: it cannot be found, or a part is absent or damaged.
    """
    folder = folder_of(model)
    parts = {} if unet is None else {"unet": unet}
    if folder is None:
        return _from_hub(str(model), dtype, **parts)
    if not (folder / "model_index.json").is_file():
        raise WeightsError(
            f"Expected model_index.json in {folder}, found none. Give a folder in diffusers' layout."
        )
    index = json.loads((folder / "model_index.json").read_text())
    if index.get("vae", [None, None])[1] != "MiniVAE":
        return _stock(folder, dtype, **parts)
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import BertModel, PreTrainedTokenizerFast

    from pellucid.models.mini_vae import MiniVAE

    library, scheduler = "diffusers.schedulers", index["scheduler"][1]
    return StableDiffusionPipeline(
        vae=_model(MiniVAE, folder / "vae", dtype),
        text_encoder=_model(BertModel, folder / "text_encoder", dtype),
        tokenizer=_tokenizer(PreTrainedTokenizerFast, folder / "tokenizer"),
        unet=unet or _model(UNet2DConditionModel, folder / "unet", dtype),
        scheduler=getattr(import_module(library), scheduler).from_pretrained(folder / "scheduler"),
        safety_checker=None,  # pyright: ignore[reportArgumentType]
        feature_extractor=None,  # pyright: ignore[reportArgumentType]
        requires_safety_checker=False,
    )


def _model(cls: Any, folder: Path, dtype: torch.dtype) -> Any:  # noqa: ANN401 - a diffusers or transformers model
    options = {} if cls.__module__.startswith("transformers") else {"low_cpu_mem_usage": False}
    try:
        model = cls.from_pretrained(folder, local_files_only=True, **options)
    except (OSError, RuntimeError, ValueError) as error:
        raise WeightsError(
            f"Expected {cls.__name__} in {folder}, found {first_line(error)}. Fetch it again."
        ) from None
    model = model if model.dtype == dtype else model.to(dtype)
    return model.eval().requires_grad_(False)


def _tokenizer(cls: Any, folder: Path) -> Any:  # noqa: ANN401 - a transformers tokenizer
    """The tokenizer as it was saved, without its class: importing that one costs, and adds nothing."""
    config = json.loads((folder / "tokenizer_config.json").read_text())
    names = (
        "cls_token",
        "sep_token",
        "pad_token",
        "unk_token",
        "mask_token",
        "model_max_length",
        "padding_side",
    )
    return cls(
        tokenizer_file=str(folder / "tokenizer.json"),
        **{name: config[name] for name in names if name in config},
    )


def _stock(source: str | Path, dtype: torch.dtype, **parts: Any) -> Any:  # noqa: ANN401 - any diffusers pipeline
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline

    options: dict[str, Any] = {"torch_dtype": dtype, "low_cpu_mem_usage": False}
    try:
        return DiffusionPipeline.from_pretrained(source, safety_checker=None, **options, **parts)
    except (OSError, ValueError, RuntimeError) as error:
        raise WeightsError(
            f"Expected a pipeline at {source}, found {first_line(error)}. "
            "Check the name and the network, or give a folder that `save_pretrained` wrote."
        ) from None


def _from_hub(name: str, dtype: torch.dtype, **parts: Any) -> Any:  # noqa: ANN401 - any diffusers pipeline
    if name.count("/") != 1 or name.startswith((".", "/")):
        raise WeightsError(f"No folder {name!r}, and it is no hub id. Give mini, a folder, or owner/name.")
    return _stock(name, dtype, **parts)


def _mini_folder() -> Path:
    folder = Path(str(files("pellucid") / "mini"))
    if not (folder / "model_index.json").is_file():
        raise WeightsError(
            f"Expected the embedded model in {folder}, found none. Install pellucid from a wheel."
        )
    return folder


def _dtype(name: str | None, device: str) -> torch.dtype:
    if name is None:
        return torch.float32 if device == "cpu" else torch.float16
    if name not in DTYPES:
        raise InputError(f"No dtype is called {name!r}. Choose one of {', '.join(DTYPES)}.")
    return DTYPES[name]
