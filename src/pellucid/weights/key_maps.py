"""Names of UNet tensors: LDM (as released) to diffusers. Source: docs/released-format.md a.1, a.2 and a.4."""

import re
from collections.abc import Collection

PREFIX = "diffusion_model."
LAYERS = 3
"""LDM blocks a level: two residual blocks and a sampler on the way down, three residual ones up."""

WHOLE = (
    ("input_blocks.0.0.", "conv_in."),
    ("time_embed.0.", "time_embedding.linear_1."),
    ("time_embed.2.", "time_embedding.linear_2."),
    ("label_emb.0.0.", "add_embedding.linear_1."),
    ("label_emb.0.2.", "add_embedding.linear_2."),
    ("middle_block.0.", "mid_block.resnets.0."),
    ("middle_block.1.", "mid_block.attentions.0."),
    ("middle_block.2.", "mid_block.resnets.1."),
    ("out.0.", "conv_norm_out."),
    ("out.2.", "conv_out."),
)
RESNET = (
    ("in_layers.0.", "norm1."),
    ("in_layers.2.", "conv1."),
    ("emb_layers.1.", "time_emb_proj."),
    ("out_layers.0.", "norm2."),
    ("out_layers.3.", "conv2."),
    ("skip_connection.", "conv_shortcut."),
)
DIFFUSERS_BLOCK = re.compile(
    r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.+)"
)
BLOCK = re.compile(r"(input|output)_blocks\.(\d+)\.(\d)\.(.+)")


def ldm_to_diffusers(name: str) -> str | None:
    """Returns the diffusers name of an LDM tensor, `diffusion_model.` in front or not; None without one."""
    name = name.removeprefix(PREFIX)
    for old, new in WHOLE:
        if name.startswith(old):
            return _inner(new + name.removeprefix(old))
    match = BLOCK.fullmatch(name)
    if match is None:
        return None
    side, index, part, rest = match[1], int(match[2]), int(match[3]), match[4]
    # input_blocks.0 is the first convolution, so the levels begin at 1 there
    level, layer = divmod(index - (side == "input"), LAYERS)
    block = f"{'down' if side == 'input' else 'up'}_blocks.{level}."
    if rest.startswith(("op.", "conv.")):  # a sampler
        sampler = "downsamplers" if side == "input" else "upsamplers"
        return f"{block}{sampler}.0.conv.{rest.split('.', 1)[1]}"
    return _inner(f"{block}{('resnets', 'attentions')[part]}.{layer}.{rest}") if part < 2 else None


def _inner(name: str) -> str:
    if ".resnets." in name:
        for old, new in RESNET:
            name = name.replace(f".{old}", f".{new}")
    return name


def diffusers_to_ldm(names: Collection[str]) -> dict[str, str]:
    """Maps diffusers names of a UNet to LDM names, without `diffusion_model.`, where they have one.

    Args:
        names: of one UNet; where its upsamplers lie depends on which of its levels have attentions.
    """
    attentive = {match[1] for name in names if (match := re.match(r"up_blocks\.(\d+)\.attentions", name))}
    # a guess counts only if it leads back, so that one table is the truth in both directions
    guesses = {name: _ldm(name, attentive) for name in names}
    return {name: ldm for name, ldm in guesses.items() if ldm and ldm_to_diffusers(ldm) == name}


def _ldm(name: str, attentive: set[str]) -> str | None:
    for ldm, diffusers in WHOLE:
        if name.startswith(diffusers):
            return ldm + _outer(name.removeprefix(diffusers), diffusers)
    match = DIFFUSERS_BLOCK.fullmatch(name)
    if match is None:
        return None
    side, level, part, layer, rest = match.groups()
    number = LAYERS * int(level) + (side == "down")
    block = "input_blocks" if side == "down" else "output_blocks"
    if part == "downsamplers":
        return f"{block}.{number + LAYERS - 1}.0.op.{rest.removeprefix('conv.')}"
    if part == "upsamplers":
        return f"{block}.{number + LAYERS - 1}.{1 + (level in attentive)}.{rest}"
    place = f"{block}.{number + int(layer)}.{int(part == 'attentions')}."
    return place + _outer(rest, part)


def _outer(rest: str, part: str) -> str:
    """Undoes `_inner`."""
    if "resnets" in part:
        for old, new in RESNET:
            if rest.startswith(new):
                return old + rest.removeprefix(new)
    return rest


def attention_layers() -> list[str]:
    """Lists the 32 attentions of Stable Diffusion 1.5 by diffusers' names, in the order of `hookers`."""
    blocks = [f"down_blocks.{level}.attentions.{i}" for level in range(3) for i in range(2)]
    blocks += [f"up_blocks.{level}.attentions.{i}" for level in range(1, 4) for i in range(3)]
    blocks += ["mid_block.attentions.0"]
    return [f"{block}.transformer_blocks.0.attn{kind}" for block in blocks for kind in (1, 2)]
