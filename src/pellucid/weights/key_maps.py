"""Names of UNet tensors: LDM (as released) to diffusers. Source: SPEC a.1, a.2 and a.4."""

import re

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
BLOCK = re.compile(r"(input|output)_blocks\.(\d+)\.(\d)\.(.+)")


def ldm_to_diffusers(name: str) -> str | None:
    """Diffusers name of an LDM UNet tensor, `diffusion_model.` in front or not; None if it has none."""
    name = name.removeprefix(PREFIX)
    for old, new in WHOLE:
        if name.startswith(old):
            return _inner(new + name.removeprefix(old))
    match = BLOCK.fullmatch(name)
    if match is None:
        return None
    side, index, part, rest = match[1], int(match[2]), int(match[3]), match[4]
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


def attention_layers() -> list[str]:
    """Diffusers names of the 32 attentions of Stable Diffusion 1.5 in the order of `hookers.layers.{i}`."""
    blocks = [f"down_blocks.{level}.attentions.{i}" for level in range(3) for i in range(2)]
    blocks += [f"up_blocks.{level}.attentions.{i}" for level in range(1, 4) for i in range(3)]
    blocks += ["mid_block.attentions.0"]
    return [f"{block}.transformer_blocks.0.attn{kind}" for block in blocks for kind in (1, 2)]
