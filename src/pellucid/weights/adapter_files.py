"""Adapter files: how what a denoiser learned is written, and what a file's metadata say of it."""

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor, nn

from pellucid.errors import ConfigError
from pellucid.weights.key_maps import PREFIX, diffusers_to_ldm
from pellucid.weights.store import in_eight_bits

ABOUT = "pellucid"
"""Key of a file's metadata: JSON with `frames` (roles that it makes), `hint` and `concat` (roles that it is
shown by attention or by channel), and `over` (the adapter that is merged first)."""
CODEC = "pellucid-codec"
"""Key of the metadata: the released mode whose codec a single layer's adapter was trained with."""
BITS = (16, 8)
"""Of a value in an adapter's file: half precision, which any program reads, or
`pellucid.weights.store.in_eight_bits`."""
FORMATS = ("diffusers", "released", "merged")
"""Names of diffusers; names and slots of the released files
(docs/released-format.md a.2); differences of whole matrices, which
any program can add (docs/released-format.md a.1, `ld_diffusers_sdxl_attn`)."""
InitialWeights = Mapping[str, Tensor]
"""Values of parameters before training, by name, on the CPU."""
Patches = dict[tuple[str, str, int], Tensor]
"""Differences and low-rank factors by parameter, kind and slot, as they stand in a file."""


def trained_in(net: nn.Module) -> dict[str, Tensor]:
    """Returns what trains, by name, on the CPU."""
    return {name: value.detach().cpu() for name, value in net.named_parameters() if value.requires_grad}


def save_adapter(
    net: nn.Module,
    start: InitialWeights,
    path: Path,
    *,
    style: str = "diffusers",
    about: Mapping[str, object] | None = None,
    codec: str | None = None,
    bits: int = 16,
) -> None:
    """Writes what was learned as `pellucid.weights.adapters` reads it.

    Args:
        net: denoiser whose parameters `select_parameters` chose.
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
            # PEFT's names: "default" is its adapter, B the factor that comes last, which files call slot 0
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
    about: Mapping[str, object] | None = None,
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
    texts = {ABOUT: json.dumps(about) if about else None, CODEC: codec}
    metadata = {name: text for name, text in texts.items() if text}
    half = {name: value.half().cpu().contiguous() for name, value in state.items()}
    if bits == 8:
        half, exponents = in_eight_bits(half)
        metadata |= exponents
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(half, path, metadata or None)


def _difference(value: Tensor, start: Tensor) -> Tensor:
    """Subtracts the first values; inputs that a convolution has gained stand after the others, whole."""
    if value.shape == start.shape:
        return value - start
    grown = value.clone()
    grown[:, : start.shape[1]] -= start
    return grown


def _merged(
    patches: Mapping[tuple[str, str, int], Tensor], net: nn.Module, *, dimensions: int = 0
) -> dict[tuple[str, str, int], Tensor]:
    """Converts LoRAs to differences: all, or those of weights with so many dimensions."""
    merged = dict(patches)
    for name, kind, slot in patches:
        if kind == "lora" and slot == 0:
            weight = net.get_parameter(f"{name.removesuffix('.weight')}.base_layer.weight")
            if dimensions in (0, weight.ndim):
                up, down = merged.pop((name, "lora", 0)), merged.pop((name, "lora", 1))
                # without a scale, since LoRAs here are trained with alpha = rank
                merged[name, "diff", 0] = (up.float() @ down.float()).view(weight.shape)
    return merged


def _released_names(names: set[str], net: nn.Module) -> Mapping[str, str]:
    ldm_names = diffusers_to_ldm(names | {name for name, _ in net.named_parameters()})
    if missing := sorted(names - ldm_names.keys()):
        raise ConfigError(
            f"The released files have no name for {missing[0]} and {len(missing) - 1} more. "
            'Take format = "diffusers".'
        )
    return {name: f"{PREFIX}{ldm_names[name]}" for name in names}
