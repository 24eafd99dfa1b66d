"""What names and shapes in an adapter's file say: which parameter is changed, how, and whether it fits."""

import math
from pathlib import Path

from torch import nn

from pellucid.errors import InputError, WeightsError
from pellucid.models.latent_inputs import find_input
from pellucid.weights.key_maps import ldm_to_diffusers

FOREIGN = (".lora_A.", ".lora_B.", ".lora_down.", ".lora_up.", ".lora.down.", ".lora.up.")
"""What names of other programs' LoRAs contain."""
Shape = tuple[int, ...]


def parse_name(name: str) -> tuple[str, str, int]:
    """Splits a name into the parameter's in diffusers, the kind of change, and the number of its part."""
    parts = name.split("::")
    if len(parts) == 3 and parts[2].isdigit():
        return ldm_to_diffusers(parts[0]) or parts[0], parts[1], int(parts[2])
    return name, "diff", 0  # a file of plain diffusers names


def without_place(path: Path, homeless: list[str], total: int) -> WeightsError:
    """Makes the error for tensors of a file that have no place in a model."""
    advice = "Take the file made for this base model."
    if any(part in name for name in homeless for part in FOREIGN):
        advice = "A LoRA of another program is loaded with load_lora_weights() of the pipeline."
    examples = f", such as {', '.join(homeless[:3])}" if homeless else ""
    return WeightsError(
        f"{path} does not fit this model: {len(homeless)} of its {total} tensors have no place{examples}. "
        f"{advice}"
    )


def lora_fits(current: Shape, factors: list[Shape]) -> bool:
    """Tells whether a LoRA's up and down fit a parameter."""
    if len(factors) != 2 or len(factors[0]) != 2 or len(factors[1]) != 2:
        return False
    up, down = factors
    return up[1] == down[0] and current[0] == up[0] and math.prod(current[1:]) == down[1]


def delta_fits(current: Shape, stored: Shape, *, may_grow: bool) -> bool:
    """Tells whether a difference fits a parameter, which it may give further inputs if it `may_grow`."""
    if stored == current:
        return True
    return may_grow and stored[:1] == current[:1] and stored[2:] == current[2:]


def first_weight(denoiser: nn.Module) -> str:
    """Returns the name of the only weight that a file may enlarge, by inputs for conditions; "" for none.

    Any other enlarged weight is another model's.
    """
    try:
        return f"{find_input(denoiser)[0]}.weight"
    except InputError:
        return ""
