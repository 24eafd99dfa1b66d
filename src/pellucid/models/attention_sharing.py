"""Layers of one scene that attend to each other, through LoRAs and frame attention in every attention.

A "frame" is one layer of the scene, and its index is fastest in a batch: row i is of frame i mod frames.
Source: paper section 3.3; SPEC d.1.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor, nn

from pellucid.errors import InputError

SIGNAL_CHANNELS = 256
EPS = 1e-6


@dataclass
class SharingState:
    """What the units of one UNet read at each call; change it between calls."""

    signals: dict[int, Tensor] = field(default_factory=dict[int, Tensor])
    """Control features "scenes 256 h w" by their number of tokens h * w; empty without control."""
    overrides: Sequence[Tensor | None] = ()
    """Text context "1 tokens width" of each frame; None keeps the call's own."""
    cond_mark: Tensor | None = None
    """One value a batch row: 1 for unconditional rows, which keep the call's context, 0 for conditional.

    None takes the first half of the batch as unconditional, as classifier-free guidance stacks it.
    """
    guided: bool = True
    """Without `cond_mark`: whether the batch has an unconditional half."""

    def mark(self, rows: int, like: Tensor) -> Tensor:
        """`cond_mark` of `rows` rows."""
        if self.cond_mark is not None:
            return self.cond_mark.to(like)
        mark = like.new_zeros(rows)
        if self.guided:
            mark[: rows // 2] = 1
        return mark


class LowRank(nn.Module):
    """A low-rank weight difference."""

    def __init__(self, inner: int, outer: int, rank: int) -> None:
        """Maps `inner` features to `outer`."""
        super().__init__()
        self.down = nn.Linear(inner, rank, bias=False)
        self.up = nn.Linear(rank, outer, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor, base: nn.Module) -> Tensor:
        """`base` and the difference, applied to `x`; merged first if that is cheaper.

        A layer with another LoRA in it, or a quantised one, is no plain matrix.
        """
        plain = type(base) is nn.Linear
        inner, outer = self.down.in_features, self.up.out_features
        if not plain or x[..., 0].numel() * (inner + outer) < inner * outer:  # fewer sums than merging
            return base(x) + self.up(self.down(x.to(self.down.weight))).to(x)
        weight = base.weight.to(x) + self.up.weight.to(x) @ self.down.weight.to(x)
        bias: Tensor | None = getattr(base, "bias")  # noqa: B009 - torch's types deny that it may be None
        return F.linear(x, weight, None if bias is None else bias.to(x))


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Float[Tensor, "b n d"]:
    """Multi-head attention of tokens "b n d"."""
    q, k, v = (x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class AttentionSharingUnit(nn.Module):
    """Replaces one attention of the UNet. Source: SPEC d.1, steps 1 to 6."""

    def __init__(
        self, width: int, context: int, *, frames: int, rank: int, heads: int, control: bool
    ) -> None:
        """`width` features a token, text or self `context` features."""
        super().__init__()
        self.frames, self.heads = frames, heads
        self.to_q_lora = nn.ModuleList(LowRank(width, width, rank) for _ in range(frames))
        self.to_k_lora = nn.ModuleList(LowRank(context, width, rank) for _ in range(frames))
        self.to_v_lora = nn.ModuleList(LowRank(context, width, rank) for _ in range(frames))
        self.to_out_lora = nn.ModuleList(LowRank(width, width, rank) for _ in range(frames))
        self.temporal_i = nn.Linear(width, width)
        self.temporal_q = nn.Linear(width, width)
        self.temporal_k = nn.Linear(width, width)
        self.temporal_v = nn.Linear(width, width)
        self.temporal_o = nn.Linear(width, width)
        nn.init.zeros_(self.temporal_o.weight)
        nn.init.zeros_(self.temporal_o.bias)
        self.temporal_n = nn.LayerNorm(width, EPS)
        if control:
            self.control_convs = nn.ModuleList(_control(width) for _ in range(frames))
        else:
            self.control_convs = None

    def forward(
        self,
        tokens: Float[Tensor, "b n d"],
        base: nn.Module,
        context: Float[Tensor, "b t c"] | None = None,
        state: SharingState | None = None,
        images: "ImagePrompts | None" = None,
    ) -> Float[Tensor, "b n d"]:
        """What the replaced attention adds to the residual stream.

        Args:
            tokens: normalised tokens of all frames, frame index fastest.
            base: the replaced attention, with to_q, to_k, to_v and to_out.
            context: text of every row; None attends to the tokens themselves.
            state: control signals and prompts of this call.
            images: of an IP-Adapter, whose attention is added to the text's.
        """
        rows = tokens.shape[0]
        if rows % self.frames:
            raise InputError(
                f"The batch must be a multiple of {self.frames} layers, found {rows}. Generate whole scenes."
            )
        state = state or SharingState()
        mark = state.mark(rows, tokens)[:, None, None]
        mixed = torch.empty_like(tokens)
        for frame in range(self.frames):
            rows_of = slice(frame, None, self.frames)
            x = self._controlled(tokens[rows_of], frame, state)
            text = None if context is None else context[rows_of]
            override = state.overrides[frame] if frame < len(state.overrides) else None
            if text is not None and override is not None:
                text = override.to(text) * (1 - mark[rows_of]) + text * mark[rows_of]
            shown = [each[rows_of] for each in images.states] if images else []
            also = images and partial(images.attention, shown)
            mixed[rows_of] = x + self._attention(x, base, x if text is None else text, frame, also)
        return mixed + self._across_frames(mixed) - tokens

    def _controlled(self, x: Tensor, frame: int, state: SharingState) -> Tensor:
        if self.control_convs is None:
            return x
        if x.shape[1] not in state.signals:
            raise InputError(
                f"No control signal has {x.shape[1]} tokens, found {list(state.signals)}. Set the hint first."
            )
        signal = self.control_convs[frame](state.signals[x.shape[1]].to(x)).flatten(2).transpose(1, 2)
        if x.shape[0] % signal.shape[0]:
            raise InputError(
                f"Expected one hint or one a scene, found {signal.shape[0]} for {x.shape[0]} rows. "
                "Set them again."
            )
        return x + signal.repeat(x.shape[0] // signal.shape[0], 1, 1)

    def _attention(
        self,
        x: Tensor,
        base: Any,  # noqa: ANN401 - the replaced attention
        context: Tensor,
        frame: int,
        also: Callable[[Tensor, int], Tensor] | None,
    ) -> Tensor:
        q = self.to_q_lora[frame](x, base.to_q)
        k = self.to_k_lora[frame](context, base.to_k)
        v = self.to_v_lora[frame](context, base.to_v)
        mixed = attend(q, k, v, self.heads)
        if also is not None:
            mixed = mixed + also(q, self.heads)
        return self.to_out_lora[frame](mixed, base.to_out[0])

    def _across_frames(self, mixed: Tensor) -> Tensor:
        rows, n, width = mixed.shape
        x = self.temporal_i(self.temporal_n(mixed))
        if self.frames == 1:  # attention to itself alone
            return self.temporal_o(self.temporal_v(x))
        x = x.view(-1, self.frames, n, width).transpose(1, 2).reshape(-1, self.frames, width)
        x = self.temporal_o(attend(self.temporal_q(x), self.temporal_k(x), self.temporal_v(x), self.heads))
        return x.view(-1, n, self.frames, width).transpose(1, 2).reshape(rows, n, width)


def _control(width: int) -> nn.Sequential:
    last = nn.Conv2d(SIGNAL_CHANNELS, width, 1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)  # pyright: ignore[reportArgumentType]
    return nn.Sequential(nn.Conv2d(SIGNAL_CHANNELS, SIGNAL_CHANNELS, 3, padding=1), nn.SiLU(), last)


class HintEncoder(nn.Module):
    """Features of a control picture at 1/8, 1/16, 1/32 and 1/64 of its size. Source: SPEC d.3."""

    def __init__(self) -> None:
        """Has no options: the released sizes."""
        super().__init__()
        first: list[nn.Module] = []
        steps = (
            (3, 32, 1),
            (32, 32, 1),
            (32, 64, 2),
            (64, 64, 1),
            (64, 128, 2),
            (128, 128, 1),
            (128, 256, 2),
        )
        for inner, outer, stride in (*steps, (256, 256, 1)):
            first += [nn.Conv2d(inner, outer, 3, stride=stride, padding=1), nn.SiLU()]
        self.blocks_0 = nn.Sequential(*first)
        for i in range(1, 4):
            halving = nn.Conv2d(SIGNAL_CHANNELS, SIGNAL_CHANNELS, 3, stride=2, padding=1)
            same = nn.Conv2d(SIGNAL_CHANNELS, SIGNAL_CHANNELS, 3, padding=1)
            self.add_module(f"blocks_{i}", nn.Sequential(halving, nn.SiLU(), same, nn.SiLU()))

    def forward(self, picture: Float[Tensor, "scenes 3 h w"]) -> dict[int, Tensor]:
        """Features by number of tokens. `picture` in [-1, 1], over mid grey."""
        signals: dict[int, Tensor] = {}
        x = picture
        for i in range(4):
            x = getattr(self, f"blocks_{i}")(x)
            signals[x.shape[-2] * x.shape[-1]] = x
        return signals


@dataclass(frozen=True, slots=True)
class ImagePrompts:
    """What an IP-Adapter shows one attention."""

    processor: Any
    """diffusers' IP-Adapter processor, with its keys, values and scales."""
    states: Sequence[Tensor]
    """Features "rows pictures tokens width" of each adapter."""

    def attention(self, states: Sequence[Tensor], q: Tensor, heads: int) -> Tensor:
        """Attention of queries "b n d" to the rows' pictures, scaled and summed."""
        total = torch.zeros_like(q)
        each = zip(states, self.processor.to_k_ip, self.processor.to_v_ip, self.processor.scale, strict=True)
        for state, to_k, to_v, scale in each:
            tokens = state.flatten(1, 2)
            total = total + scale * attend(q, to_k(tokens), to_v(tokens), heads)
        return total


class SharingProcessor:
    """diffusers attention processor that runs one unit.

    diffusers makes new ones of the class that it finds when IP-Adapters come and go; without a unit it does
    what the stock processor does.
    """

    def __init__(
        self,
        unit: AttentionSharingUnit | None = None,
        state: SharingState | None = None,
        replaced: object = None,
    ) -> None:
        """`state` is shared by all units of a UNet; `replaced` is the processor that was there."""
        self.unit, self.state, self.replaced = unit, state, replaced

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | tuple[Tensor, list[Tensor]] | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """Signature of diffusers' processors; masks and time are not used by these attentions."""
        if self.unit is None:
            return AttnProcessor2_0()(attn, hidden_states, encoder_hidden_states, attention_mask, temb)  # pyright: ignore[reportArgumentType]
        images = None
        if isinstance(encoder_hidden_states, tuple):
            encoder_hidden_states, states = encoder_hidden_states
            images = ImagePrompts(self.replaced, states) if hasattr(self.replaced, "to_k_ip") else None
        return self.unit(hidden_states, attn, encoder_hidden_states, self.state, images)


def _stock(processor: object) -> object:
    """What was there before any units."""
    return processor.replaced if isinstance(processor, SharingProcessor) and processor.unit else processor


def attention_modules(unet: nn.Module) -> Iterator[tuple[str, Attention]]:
    """Attentions of a diffusers UNet in released order: down, up, then the middle."""
    named = [(name, module) for name, module in unet.named_modules() if isinstance(module, Attention)]
    for part in ("down_blocks.", "up_blocks.", "mid_block."):
        yield from ((name, module) for name, module in named if name.startswith(part))


class AttentionSharing(ModelMixin, ConfigMixin):
    """All units of one UNet, with the control encoder if any."""

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        sizes: Sequence[Sequence[int]],
        frames: int = 1,
        rank: int = 256,
        heads: Sequence[int] | int = 8,
        control: bool = False,
    ) -> None:
        """Builds units that change nothing until trained.

        Args:
            sizes: (width, context) of each attention, in the order of `attention_modules`.
            frames: layers of a scene, 1 to 3.
            rank: rank of each layer's LoRAs.
            heads: attention heads of each, or of all.
            control: whether a hint picture is a condition.
        """
        super().__init__()
        all_heads = [heads] * len(sizes) if isinstance(heads, int) else heads
        self.layers = nn.ModuleList(
            AttentionSharingUnit(width, context, frames=frames, rank=rank, heads=n, control=control)
            for (width, context), n in zip(sizes, all_heads, strict=True)
        )
        self.kwargs_encoder = HintEncoder() if control else None
        self.state = SharingState()

    @classmethod
    def for_unet(
        cls, unet: nn.Module, *, frames: int = 1, rank: int = 256, control: bool = False
    ) -> "AttentionSharing":
        """Units that fit every attention of a diffusers UNet."""
        found = [module for _, module in attention_modules(unet)]
        sizes = [(module.to_q.weight.shape[1], module.to_k.weight.shape[1]) for module in found]  # pyright: ignore
        return cls(sizes, frames, rank, [module.heads for module in found], control)

    def attach(self, unet: nn.Module) -> dict[str, Any]:
        """Puts the units in place of the UNet's attentions; returns what was there, for `detach`."""
        found = list(attention_modules(unet))
        if len(found) != len(self.layers):
            raise InputError(
                f"{len(self.layers)} units, but {len(found)} attentions in the UNet. Take the right base."
            )
        previous = {name: _stock(module.processor) for name, module in found}
        for (name, module), unit in zip(found, self.layers, strict=True):
            module.set_processor(SharingProcessor(unit, self.state, previous[name]))  # pyright: ignore[reportArgumentType]
        return previous

    @staticmethod
    def detach(unet: nn.Module, previous: dict[str, Any]) -> None:
        """Undoes `attach`; processors that were set since stay."""
        for name, module in attention_modules(unet):
            if isinstance(module.processor, SharingProcessor):
                module.set_processor(previous[name])

    def is_attached(self, unet: nn.Module) -> bool:
        """Whether every attention of the UNet runs a unit of this one."""
        own = set(self.layers)
        return all(
            isinstance(module.processor, SharingProcessor) and module.processor.unit in own
            for _, module in attention_modules(unet)
        )

    @torch.no_grad()
    def set_hint(self, picture: Float[Tensor, "scenes 3 h w"]) -> None:
        """Encodes the control picture of all scenes, or one each, in [0, 1] and of the output's size."""
        self.encode_hint(picture)

    def encode_hint(self, picture: Float[Tensor, "scenes 3 h w"]) -> None:
        """As `set_hint`, with gradients, for training."""
        if self.kwargs_encoder is None:
            raise InputError("These units take no hint: built without control. Use a control checkpoint.")
        self.state.signals = self.kwargs_encoder(picture.to(next(self.parameters())) * 2 - 1)
