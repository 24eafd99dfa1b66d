"""Which of a denoiser's parameters train, and the adapter files that hold what they learned."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft import LoraConfig, inject_adapter_in_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor, nn

from pellucid.errors import ConfigError
from pellucid.pipelines.mode_discovery import ABOUT, CODEC
from pellucid.pipelines.stock import StockPipeline
from pellucid.weights.key_maps import PREFIX, diffusers_to_ldm
from pellucid.weights.store import in_eight_bits

EMBEDDINGS = r"time_embedding\.|add_embedding\.|time_text_embed\.|adaln_single\."
"""Of the noise level and of what is said once for the whole picture."""
METHODS = {
    "full": r"",
    "conv": rf"^(?!{EMBEDDINGS})(?!.*\.(to|add)_([qkv]|[qkv]_proj)\.)",
    "outside-attention": rf"^(?!{EMBEDDINGS})(?!.*\.attentions\.)",
    "lora": r"\.lora_[AB]\.",
    "locon": r"\.lora_[AB]\.",
}
"""Method -> expression of the parameters that train.

"conv" is everything but q, k and v; "outside-attention" what lies outside the transformer blocks (SPEC a.1);
"lora" the matrices of `ATTENTION`, at low rank; "locon" all linear layers and convolutions but embeddings, at
low rank, for what lies far from what the model knows."""
ATTENTION = (
    "to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out",
)  # fmt: skip
"""Matrices that LoRAs go into, as the released ones; the last four exist where texts have their own."""
LOW_RANK = ("lora", "locon")
RANK = 256
BITS = (16, 8)
"""Of a value in an adapter's file: half precision, which any program reads, or
`pellucid.weights.store.in_eight_bits`."""
FORMATS = ("diffusers", "released", "merged")
"""Names of diffusers; names and slots of the released files (SPEC a.2); differences of whole matrices, which
any program can add (SPEC a.1, `ld_diffusers_sdxl_attn`)."""
Start = Mapping[str, Tensor]


def choose(net: nn.Module, method: str, *, rank: int = RANK, pattern: str = "") -> Start:
    """Lets exactly the parameters of a method train, in float32.

    Args:
        net: denoiser; LoRAs are put into it.
        method: key of `METHODS`.
        rank: of LoRAs.
        pattern: expression that narrows the parameters, or the layers of "locon", further; not of "lora".

    Returns:
        Their values now, of which `save_adapter` takes the differences; on the CPU.

    Raises:
        ConfigError: no such method, or nothing would train.
    """
    if method not in METHODS:
        raise ConfigError(
            f"Expected method to be one of {', '.join(METHODS)}, got {method!r}. Choose one of them."
        )
    if method in LOW_RANK:
        targets = _attention_in(net) if method == "lora" else _layers_in(net, pattern)
        config = LoraConfig(r=rank, lora_alpha=rank, target_modules=targets)
        inject_adapter_in_model(config, net)  # some transformers have no `add_adapter` of their own
        pattern = ""
    wanted, narrowed = re.compile(METHODS[method]), re.compile(pattern)
    for name, parameter in net.named_parameters():
        if wanted.search(name) and narrowed.search(name):
            parameter.requires_grad_(True)
            parameter.data = parameter.data.float()  # where the rest is kept in half precision
        else:
            parameter.requires_grad_(False)
    trained = trained_in(net)
    if not trained:
        raise ConfigError(f"Expected parameters of {method} like {pattern!r}, found none. Change it.")
    return {} if method in LOW_RANK else {name: value.clone() for name, value in trained.items()}


def trained_in(net: nn.Module) -> dict[str, Tensor]:
    """What trains, by name, on the CPU."""
    return {name: value.detach().cpu() for name, value in net.named_parameters() if value.requires_grad}


def grow_inputs(net: nn.Module, channels: int) -> Start:
    """Lets a UNet's first convolution read `channels` more, which it ignores at first; it trains whole.

    Returns:
        Its value before, see `choose`.

    Raises:
        ConfigError: the denoiser has no such convolution.
    """
    first = getattr(net, "conv_in", None)
    if not isinstance(first, nn.Conv2d):
        raise ConfigError(
            f"Expected a UNet to show pictures as further channels, found {type(net).__name__}. "
            "Take Stable Diffusion's family."
        )
    weight = first.weight.detach()
    grown = weight.new_zeros(weight.shape[0], weight.shape[1] + channels, *weight.shape[2:])
    grown[:, : weight.shape[1]] = weight
    first.in_channels += channels
    first.weight = nn.Parameter(grown)
    return {"conv_in.weight": weight.cpu().clone()}


def save_adapter(
    net: nn.Module,
    start: Start,
    path: Path,
    *,
    style: str = "diffusers",
    about: Mapping[str, Any] | None = None,
    codec: str | None = None,
    bits: int = 16,
) -> None:
    """Writes what was learned as `pellucid.weights.adapters` reads it.

    Args:
        net: denoiser whose parameters `choose` chose.
        start: their values before; convolutions may have grown.
        path: the file.
        style: one of `FORMATS`.
        about: what the file is for, in its metadata.
        codec: name of the released mode whose latents were learned, also there.
        bits: of a value, see `write_adapter`.

    Raises:
        ConfigError: no such style, or names that the released files have none for.
    """
    if style not in FORMATS:
        raise ConfigError(
            f"Expected format to be one of {', '.join(FORMATS)}, got {style!r}. Choose one of them."
        )
    patches: dict[tuple[str, str, int], Tensor] = {}
    for name, value in trained_in(net).items():
        if ".lora_" in name:
            target, _, kind = name.removesuffix(".default.weight").rpartition(".lora_")
            patches[f"{target}.weight", "lora", 0 if kind == "B" else 1] = value.flatten(1)
        else:
            patches[name, "diff", 0] = _difference(value, start[name])
    if style == "merged":
        patches = _merged(patches, net)
    if style == "released":
        patches = _merged(patches, net, dimensions=4)  # its LoRAs are of matrices alone
        names = _released_names({name for name, _, _ in patches}, net)
        patches = {(names[name], kind, slot): value for (name, kind, slot), value in patches.items()}
    state = {
        name if kind == "diff" and style != "released" else f"{name}::{kind}::{slot}": value
        for (name, kind, slot), value in patches.items()
    }
    write_adapter(state, path, about=about, codec=codec, bits=bits)


def write_adapter(
    state: Mapping[str, Tensor],
    path: Path,
    *,
    about: Mapping[str, Any] | None = None,
    codec: str | None = None,
    bits: int = 16,
) -> None:
    """Writes an adapter's tensors.

    Args:
        state: by their names in the file.
        path: the file.
        about: what it is for, in its metadata.
        codec: see `save_adapter`.
        bits: of `BITS`.
    """
    said = {ABOUT: json.dumps(about) if about else None, CODEC: codec}
    metadata = {name: text for name, text in said.items() if text}
    half = {name: value.half().cpu().contiguous() for name, value in state.items()}
    if bits == 8:
        half, exponents = in_eight_bits(half)
        metadata |= exponents
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(half, path, metadata or None)


def save_diffusers_lora(stock: StockPipeline, net: nn.Module, folder: Path) -> None:
    """Writes LoRAs for diffusers' own `load_lora_weights`, where the pipeline has that."""
    save = getattr(type(stock.pipeline), "save_lora_weights", None)
    if save is not None:
        layers = {f"{stock.family.denoiser}_lora_layers": get_peft_model_state_dict(net)}
        save(folder, **layers, safe_serialization=True)


def _attention_in(net: nn.Module) -> list[str]:
    """Those of `ATTENTION` that the denoiser has, since peft refuses names that match nothing."""
    names = [name for name, _ in net.named_modules()]
    return [each for each in ATTENTION if any(name.endswith(f".{each}") for name in names)]


def _layers_in(net: nn.Module, pattern: str) -> list[str]:
    """Names of all linear layers and convolutions like `pattern` but those of `EMBEDDINGS`."""
    names = [name for name, module in net.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    found = [name for name in names if re.search(pattern, name) and not re.match(EMBEDDINGS, name)]
    if not found:
        raise ConfigError(f"Expected layers like {pattern!r}, found none. Change it.")
    return found


def _difference(value: Tensor, start: Tensor) -> Tensor:
    """A convolution that has grown: what its new inputs learned stands after the old ones' difference."""
    if value.shape == start.shape:
        return value - start
    found = value.clone()
    found[:, : start.shape[1]] -= start
    return found


def _merged(
    patches: Mapping[tuple[str, str, int], Tensor], net: nn.Module, *, dimensions: int = 0
) -> dict[tuple[str, str, int], Tensor]:
    """LoRAs as differences: all, or those of weights with so many dimensions."""
    found = dict(patches)
    for name, kind, slot in patches:
        if kind == "lora" and slot == 0:
            weight = net.get_parameter(f"{name.removesuffix('.weight')}.base_layer.weight")
            if dimensions in (0, weight.ndim):
                up, down = found.pop((name, "lora", 0)), found.pop((name, "lora", 1))
                found[name, "diff", 0] = (up.float() @ down.float()).view(weight.shape)
    return found


def _released_names(names: set[str], net: nn.Module) -> Mapping[str, str]:
    known = diffusers_to_ldm(names | {name for name, _ in net.named_parameters()})
    if missing := sorted(names - known.keys()):
        raise ConfigError(
            f"The released files have no name for {missing[0]} and {len(missing) - 1} more. "
            'Take format = "diffusers".'
        )
    return {name: f"{PREFIX}{known[name]}" for name in names}
