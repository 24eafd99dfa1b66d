"""Which of a denoiser's parameters train."""

import inspect
import re
from pathlib import Path

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.utils import get_peft_model_state_dict
from torch import nn

from pellucid.errors import ConfigError, InputError
from pellucid.models.latent_inputs import find_input, inputs_for
from pellucid.pipelines.stock import StockPipeline
from pellucid.weights.adapter_files import InitialWeights, trained_in
from pellucid.weights.tensor_files import read

EMBEDDINGS = r"time_embedding\.|add_embedding\.|time_text_embed\.|adaln_single\."
"""Layers that embed the noise level, and what is said once for the whole image."""
METHODS = {
    "full": r"",
    "conv": rf"^(?!{EMBEDDINGS})(?!.*\.(to|add)_([qkv]|[qkv]_proj)\.)",
    "outside-attention": rf"^(?!{EMBEDDINGS})(?!.*\.attentions\.)",
    "lora": r"\.lora_[AB]\.",
    "locon": r"\.lora_[AB]\.",
}
"""Method -> expression of the parameters that train.

"conv" is everything but q, k and v; "outside-attention" what lies outside the transformer blocks
(docs/released-format.md a.1);
"lora" the matrices of `ATTENTION`, at low rank; "locon" all linear layers and convolutions but embeddings, at
low rank, for what lies far from what the model knows."""
ATTENTION = (
    "to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out",
    "to_query", "to_key", "to_value", "self_attention.out_layer", "cross_attention.out_layer",
    "img_qkv_proj", "txt_kv_proj",
)  # fmt: skip
"""Matrices that LoRAs go into, as the released ones; the second four exist where texts have their own, the
last are Kandinsky's and PRX's names."""
LOW_RANK = ("lora", "locon")
RANK = 256


def select_parameters(net: nn.Module, method: str, *, rank: int = RANK, pattern: str = "") -> InitialWeights:
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
        targets = _find_attention(net) if method == "lora" else _find_layers(net, pattern)
        # alpha as large as the rank: a scale of 1, so that the file holds the difference itself
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


def go_on_from(net: nn.Module, path: Path) -> None:
    """Gives what trains the values of an adapter file that training by the same method wrote.

    Args:
        net: denoiser whose parameters `select_parameters` chose.
        path: written by `save_adapter` in its style "diffusers".

    Raises:
        ConfigError: the file holds other parameters, or of another rank.
        WeightsError: there is no such file, or it is damaged.
    """
    parameters = {_name_in_file(name): value for name, value in net.named_parameters() if value.requires_grad}
    stored = read(path)
    # a file has a LoRA of a convolution as two matrices
    if {name: value.numel() for name, value in stored.items()} != {
        name: value.numel() for name, value in parameters.items()
    }:
        raise ConfigError(
            f"Expected {len(parameters)} tensors of this recipe's method, rank and base model in {path}, "
            f"found {len(stored)} of others. Take the recipe of the run that wrote it, or no init_adapter."
        )
    with torch.no_grad():
        for name, value in parameters.items():
            change = stored[name].to(value)
            # a low-rank factor stands in the file as it is; of any other parameter the difference does
            value.copy_(change.view_as(value) if "::lora::" in name else value + change)


def _name_in_file(name: str) -> str:
    """Returns the name that a parameter has in an adapter file of style "diffusers"."""
    if ".lora_" not in name:
        return name
    target, _, kind = name.removesuffix(".default.weight").rpartition(".lora_")
    # PEFT's names: "default" is its adapter, B the factor that comes last, which files call slot 0
    return f"{target}.weight::lora::{0 if kind == 'B' else 1}"


def grow_inputs(net: nn.Module, channels: int, side: int) -> InitialWeights:
    """Lets a denoiser's first layer read further channels, which it ignores at first; it trains whole.

    Args:
        net: denoiser.
        channels: of latents, that many more.
        side: of the squares of latents that a transformer takes as one token.

    Returns:
        Its value before, see `select_parameters`.

    Raises:
        ConfigError: the denoiser has no such layer that is known.
    """
    try:
        name, first = find_input(net)
    except InputError as error:
        raise ConfigError(str(error)) from None
    # in float32, as all that trains, where the rest is kept in half precision
    weight = first.weight.detach().float()
    more = inputs_for(first, channels, side)
    grown = weight.new_zeros(weight.shape[0], weight.shape[1] + more, *weight.shape[2:])
    grown[:, : weight.shape[1]] = weight
    if isinstance(first, nn.Linear):
        first.in_features += more
    else:
        first.in_channels += more
    # the module is kept and its weight exchanged: others may hold the module already
    first.weight = nn.Parameter(grown)
    return {f"{name}.weight": weight.cpu().clone()}


def save_diffusers_lora(stock: StockPipeline, net: nn.Module, folder: Path) -> None:
    """Writes LoRAs for diffusers' own `load_lora_weights`, where the pipeline has that."""
    save = getattr(stock.pipeline, "save_lora_weights", None)
    name = f"{stock.family.denoiser}_lora_layers"
    # some pipelines have the method of another denoiser's
    if save is not None and name in inspect.signature(save).parameters:
        save(folder, **{name: get_peft_model_state_dict(net)}, safe_serialization=True)


def _find_attention(net: nn.Module) -> list[str]:
    """Returns those of `ATTENTION` that the denoiser has, since peft refuses names that match nothing."""
    names: list[str] = [name for name, _ in net.named_modules()]
    return [matrix for matrix in ATTENTION if any(name.endswith(f".{matrix}") for name in names)]


def _find_layers(net: nn.Module, pattern: str) -> list[str]:
    """Returns names of all linear layers and convolutions like `pattern` but those of `EMBEDDINGS`."""
    names: list[str] = [
        name for name, module in net.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)
    ]
    targets = [name for name in names if re.search(pattern, name) and not re.match(EMBEDDINGS, name)]
    if not targets:
        raise ConfigError(f"Expected layers like {pattern!r}, found none. Change it.")
    return targets
