"""Loads a `TransparentPipeline`: the embedded model, a folder in diffusers' layout, or a hub id."""

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from diffusers.models.modeling_utils import ModelMixin
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from huggingface_hub import HfApi, try_to_load_from_cache
from huggingface_hub.errors import RepositoryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from pellucid.errors import WeightsError, first_line
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.models.mini_vae import MiniVAE
from pellucid.pipelines.attach import AUTO, attach, check_modes_fit
from pellucid.pipelines.extras import load_vae
from pellucid.pipelines.families import custom_mode
from pellucid.pipelines.mode_discovery import adapters_of, discover_tasks
from pellucid.pipelines.model_folders import (
    MINI,
    base_model,
    find_part,
    folders_below,
    lowest_model,
    mini_folder,
    model_folder,
)
from pellucid.pipelines.modes import MODES, Mode, tasks_for
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.pipelines.placement import AUTO as AUTO_DEVICE
from pellucid.pipelines.placement import check_offload, choose_device, dtype_for, move
from pellucid.pipelines.placement import offload as offload_parts
from pellucid.pipelines.prompt_reading import NearestNames
from pellucid.pipelines.stock import StockPipeline
from pellucid.pipelines.structure_control import FOLDER
from pellucid.weights.adapter_manager import AdapterManager
from pellucid.weights.diffusers_names import dtype_option
from pellucid.weights.hub import is_path
from pellucid.weights.store import load_codec

if TYPE_CHECKING:
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline
    from transformers import BertModel, PreTrainedTokenizerFast

M = TypeVar("M", bound=ModelMixin)
ADAPTER_FOLDER = "adapter"
SINGLE_LAYER_FILES = ("single-layer.safetensors", "transparent.safetensors")
"""Adapters of a folder that make its single layer: the first that is there. One that goes over the other
leaves that for the layer adapters, which were trained over it alone."""
CODEC_FOLDER = "rgba"
DAMAGED = (
    OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError, ImportError,
    SafetensorError,
)  # fmt: skip
"""What diffusers, transformers and json raise for a folder whose files are damaged or absent."""
ANSWER_S = 10.0
"""How long the hub may take to answer, seconds; then the cache is used as it is."""
log = logging.getLogger(__name__)


def load(
    model: str | Path = MINI,
    *,
    adapter: str | Path | None = None,
    device: str = AUTO_DEVICE,
    dtype: str | None = None,
    strength: float = 1.0,
    offload: str = "none",
    vae: str | Path | None = None,
    read_prompts: bool = True,
) -> TransparentPipeline:
    """Loads a model that makes transparent images.

    Args:
        model: "mini" is embedded and needs no network; else a folder in diffusers' layout, a hub id, or what
            `pellucid train all` made, with weights in safetensors. A safety checker is left out.
        adapter: a mode's name or a .safetensors file. None takes what the folder has in `adapter/`, else the
            usual one for that kind of model. Families without one need a codec in `rgba/`.
        device: where to run: "auto" (CUDA, else MPS, else the CPU), "cpu", "cuda", "cuda:1", "mps".
        dtype: "float32", "float16" or "bfloat16". None and "auto" take float32 on a CPU; elsewhere float16
            for UNets, and bfloat16 for transformers, which leave the range of float16.
        strength: of the adapter, 0 to 2.
        offload: what stays in main memory until it computes: "none", "model" (a part at a time), "group" (a
            layer at a time), "sequential" (least memory, slowest, and one adapter only).
        vae: takes the place of the model's own: a folder, a .safetensors file, or a hub id.
        read_prompts: whether emoji, words of other languages and misspelt ones are read as names that the
            embedded model knows. Metadata keep the prompt, and say what was read. Other models get prompts
            as they stand.

    Raises:
        InputError: an unknown adapter, device, dtype or way of offloading.
        WeightsError: the model or a file of it cannot be found or does not fit.
    """
    where = choose_device(device)
    check_offload(offload, where)
    number_format = dtype_for(model, dtype, where)
    pipeline = load_stock_pipeline(model, number_format)
    if vae is not None:
        pipeline.register_modules(vae=load_vae(vae, number_format))
    # adapters are merged before parts are taken off the device
    first = where if offload == "none" else torch.device("cpu")
    folder = model_folder(model)
    made = _make_transparent(pipeline, folder, adapter, first, strength, name=str(model))
    made.model.reader.translates = read_prompts and folder is not None and _knows_emoji(folder)
    if vae is not None:
        made.model.additions["vae"] = Path(vae).name if Path(vae).exists() else str(vae)
    if offload != "none":
        with made.model.stock.lock:
            offload_parts(pipeline, where, offload)
            made.move_codec()
    return made


def _knows_emoji(folder: Path) -> bool:
    """Tells whether a folder's model was trained on the sets whose names prompts are read as."""
    file = folder / "vocabulary.json"
    sets = _read_json(file).get("sets") if file.is_file() else None
    return isinstance(sets, list) and ("fluent-3d" in sets or "noto" in sets)


def _make_transparent(
    pipeline: "DiffusionPipeline",
    folder: Path | None,
    adapter: str | Path | None,
    device: torch.device,
    strength: float,
    *,
    name: str,
) -> TransparentPipeline:
    move(pipeline, device)
    pipeline.set_progress_bar_config(disable=None, leave=False, desc="sampling", unit=" step")
    # a folder with a codec of its own is a model of ours; everything else goes the way of `attach`
    stock = StockPipeline(pipeline)
    codec_folder = find_part(folder, CODEC_FOLDER) if folder else None
    codec = load_codec(codec_folder, stock.vae) if codec_folder and codec_folder.is_dir() else None
    is_mode = adapter is not None and not is_path(adapter)
    adapter_folders = [each / ADAPTER_FOLDER for each in folders_below(folder)] if folder else []
    own = (place / file for place in adapter_folders for file in SINGLE_LAYER_FILES)
    file = next(filter(Path.is_file, own), None) if adapter is None else Path(adapter)
    if folder is None or codec is None or is_mode:
        chosen = adapter or file or AUTO
        return attach(pipeline, chosen, strength=strength, autoencoder=codec, model=name)
    mode = single_layer_mode(stock, None if file is None else adapters_of(file, *adapter_folders), codec)
    layers = discover_tasks(adapter_folders, mode)
    check_modes_fit(stock.family, None, layers)
    adapters = AdapterManager(stock.denoiser, strength)
    with stock.lock:
        adapters.set(mode.source)
    return TransparentPipeline(
        pipeline,
        codec,
        adapters=adapters,
        tasks=tasks_for(mode) | layers,
        attached=mode.source,
        control=next((each for each in folders_below(folder) if (each / FOLDER).is_dir()), None),
        model=name,
    )


def single_layer_mode(
    stock: StockPipeline, adapter: Path | tuple[str | Path, ...] | None, codec: RGBAAutoencoder | None = None
) -> Mode:
    """Returns the mode of a folder with a codec of its own: the embedded model's, or its family's settings.

    A codec that joins latents as released ones do was trained in all orientations, and gains from a median
    over them; one by `pellucid train autoencoder` was not, and loses by it.
    """
    if isinstance(stock.vae, MiniVAE):
        return replace(MODES[MINI], adapter=adapter)
    mode = custom_mode(stock.family, adapter)
    released = codec is not None and codec.convention.offset == "posterior_std"
    return mode if released else replace(mode, sampling=replace(mode.sampling, passes=1))


def load_stock_pipeline(
    model: str | Path, dtype: torch.dtype, *, unet: nn.Module | None = None
) -> "DiffusionPipeline":
    """Loads the pipeline as diffusers has it, or the embedded model's, without adapters.

    Args:
        model: see `load`.
        dtype: of all its parts.
        unet: takes the place of the model's own, which may then be absent.

    Raises:
        WeightsError: it cannot be found, or a part is absent or damaged.
    """
    folder = model_folder(model)
    if folder is not None and base_model(folder) is not None:
        return load_stock_pipeline(lowest_model(folder), dtype, unet=unet)
    parts = {} if unet is None else {"unet": unet}
    if folder is None:
        return _from_hub(str(model), dtype, parts)
    if not (folder / "model_index.json").is_file():
        raise WeightsError(
            f"Expected model_index.json in {folder}, found none. Give a folder in diffusers' layout."
        )
    index = _read_json(folder / "model_index.json")
    try:
        # the embedded kind is told by its VAE, which diffusers does not know and so cannot load
        if _classes(index).get("vae") == "MiniVAE":
            return _embedded(folder, index, dtype, parts)
    except DAMAGED as error:
        raise WeightsError(
            f"Expected a whole model in {folder}, found {first_line(error)}. Fetch it again."
        ) from error
    return _stock(folder, dtype, parts)


def _embedded(
    folder: Path, index: Mapping[str, object], dtype: torch.dtype, parts: Mapping[str, nn.Module]
) -> "DiffusionPipeline":
    """Builds the embedded kind of model part by part, which takes a fifth of `from_pretrained`'s time."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import PreTrainedTokenizerFast

    scheduler = getattr(import_module("diffusers.schedulers"), _classes(index)["scheduler"])
    # the pipeline names the classes of the model that it was written for, and takes any with their methods
    components: dict[str, Any] = {
        "vae": _model(MiniVAE, folder / "vae", dtype),
        "text_encoder": _text_encoder(folder / "text_encoder", dtype),
        "tokenizer": _tokenizer(PreTrainedTokenizerFast, folder / "tokenizer"),
        "unet": parts.get("unet") or _model(UNet2DConditionModel, folder / "unet", dtype),
        "scheduler": scheduler.from_pretrained(folder / "scheduler", local_files_only=True),
        "safety_checker": None,
        "feature_extractor": None,
    }
    return StableDiffusionPipeline(**components, requires_safety_checker=False)


def load_nearest_names() -> NearestNames:
    """Loads what finds names of the embedded model by meaning: its text encoder alone."""
    from transformers import PreTrainedTokenizerFast

    folder = mini_folder()
    tokenizer = _tokenizer(PreTrainedTokenizerFast, folder / "tokenizer")
    return NearestNames(tokenizer, _text_encoder(folder / "text_encoder", torch.float32))


def _model(cls: type[M], folder: Path, dtype: torch.dtype) -> M:
    try:
        model = cls.from_pretrained(
            folder, local_files_only=True, low_cpu_mem_usage=False, use_safetensors=True
        )
    except DAMAGED as error:
        raise WeightsError(
            f"Expected {cls.__name__} in {folder}, found {first_line(error)}. Fetch it again."
        ) from None
    if model.dtype != dtype:
        nn.Module.to(model, dtype)
    return model.eval().requires_grad_(False)


def _text_encoder(folder: Path, dtype: torch.dtype) -> "BertModel":
    """Loads a BERT without transformers' loader, which draws a bar and a table of what it did not need."""
    from transformers import BertConfig, BertModel

    try:
        config = BertConfig.from_pretrained(folder, local_files_only=True)
        state = load_file(folder / "model.safetensors")
        with torch.device("meta"):  # no time for random weights that are replaced at once
            model = BertModel(config, add_pooling_layer=any(name.startswith("pooler") for name in state))
        # one precision first, as the shipped file holds several, then the one that is asked for
        model.load_state_dict({name: value.half().to(dtype) for name, value in state.items()}, assign=True)
    except DAMAGED as error:
        raise WeightsError(
            f"Expected BertModel in {folder}, found {first_line(error)}. Fetch it again."
        ) from None
    positions = torch.arange(config.max_position_embeddings).expand(1, -1)
    model.embeddings.register_buffer("position_ids", positions, persistent=False)
    model.embeddings.register_buffer("token_type_ids", torch.zeros_like(positions), persistent=False)
    return model.eval().requires_grad_(False)


def _tokenizer(cls: "type[PreTrainedTokenizerFast]", folder: Path) -> "PreTrainedTokenizerFast":
    """Loads the tokenizer as it was saved, without its class: importing that one costs, and adds nothing."""
    config = _read_json(folder / "tokenizer_config.json")
    names = (
        "cls_token",
        "sep_token",
        "pad_token",
        "unk_token",
        "mask_token",
        "model_max_length",
        "padding_side",
    )
    try:
        return cls(
            tokenizer_file=str(folder / "tokenizer.json"),
            **{name: config[name] for name in names if name in config},
        )
    except Exception as error:  # noqa: BLE001 - the Rust tokenizer raises nothing narrower
        raise WeightsError(
            f"Expected a tokenizer in {folder}, found {first_line(error)}. Fetch it again."
        ) from None


def _read_json(path: Path) -> dict[str, object]:
    """Reads a JSON object; WeightsError where the file is absent, damaged or something else."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"Expected JSON in {path}, found {first_line(error)}. Fetch it again.") from None
    if not isinstance(values, dict):
        raise WeightsError(
            f"Expected a JSON object in {path}, found {type(values).__name__}. Fetch it again."
        )
    return values


def _stock(
    source: str | Path, dtype: torch.dtype, parts: dict[str, nn.Module], *, local_files_only: bool = False
) -> "DiffusionPipeline":
    """Loads any pipeline by diffusers; of a safety checker, which judges finished images, none is loaded."""
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline
    from diffusers.utils.import_utils import is_accelerate_available

    # without it every weight would be made twice: once at random
    options = {**dtype_option(dtype), "low_cpu_mem_usage": is_accelerate_available(), "use_safetensors": True}
    try:
        pipeline = DiffusionPipeline.from_pretrained(
            source, safety_checker=None, local_files_only=local_files_only, **options, **parts
        )
    except DAMAGED as error:
        raise WeightsError(
            f"Expected a pipeline at {source}, found {first_line(error)}. "
            "Check the name and the network, or give a folder that `save_pretrained` wrote, in safetensors."
        ) from None
    if "safety_checker" in _classes(_read_index(source)):
        log.warning(
            "The safety checker of %s is left out: it judges finished images, and sampling ends at latents.",
            source,
        )
    return pipeline


def _classes(index: Mapping[str, object]) -> dict[str, str]:
    """Returns the name of the class of each part that a pipeline has."""
    entries: dict[str, list[object]] = {
        part: entry for part, entry in index.items() if isinstance(entry, list)
    }
    names = {part: entry[1] for part, entry in entries.items() if len(entry) == 2}
    return {part: name for part, name in names.items() if isinstance(name, str)}


def _read_index(source: str | Path) -> dict[str, object]:
    """Reads the `model_index.json` of a pipeline that was just loaded, from its folder or the hub's cache."""
    path = Path(source) / "model_index.json"
    if not path.is_file():
        # read from the cache: the pipeline was just loaded, so no further request is needed
        cached = try_to_load_from_cache(str(source), "model_index.json")
        path = Path(cached) if isinstance(cached, str) else path
    return _read_json(path) if path.is_file() else {}


def _from_hub(name: str, dtype: torch.dtype, parts: dict[str, nn.Module]) -> "DiffusionPipeline":
    if name.count("/") != 1 or name.startswith((".", "/")):
        raise WeightsError(f"No folder {name!r}, and it is no hub id. Give mini, a folder, or owner/name.")
    # asked once and briefly: without an answer each part of a pipeline would be tried again and again
    try:
        HfApi().model_info(name, timeout=ANSWER_S)
    except RepositoryNotFoundError:
        raise WeightsError(
            f"Expected a model on the hub, found no {name} there that you may read. "
            "Check its name, or log in with `hf auth login`."
        ) from None
    except Exception:  # noqa: BLE001 - whatever HTTP client the hub's library uses today
        if try_to_load_from_cache(name, "model_index.json") is None:
            raise WeightsError(
                f"Expected {name} in the local cache or a hub that answers, found neither. "
                "Connect once to fetch it, or give a folder that `save_pretrained` wrote."
            ) from None
        return _stock(name, dtype, parts, local_files_only=True)
    return _stock(name, dtype, parts)
