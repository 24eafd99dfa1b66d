"""Lets the layers of one scene attend to each other, by LoRAs and frame attention in every attention.

A "frame" is one layer of the scene, and its index is fastest in a batch: row i is of frame i mod frames.
Source: paper section 3.3; docs/released-format.md d.1.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor, nn

from pellucid.errors import InputError
from pellucid.models.hint_encoder import CONTROL_CHANNELS, HintEncoder
from pellucid.models.lora_linear import LoRALinear

EPS = 1e-6


@dataclass
class SharingState:
    """Holds what the units of one UNet read at each call; change it between calls."""

    control_features: dict[int, Tensor] = field(default_factory=dict[int, Tensor])
    """Control features "scenes 256 h w" by their number of tokens h * w; empty without control."""
    prompt_overrides: Sequence[Tensor | None] = ()
    """Text context "1 tokens width" of each frame; None keeps the call's own."""
    is_unconditional: Tensor | None = None
    """One value a batch row: 1 for unconditional rows, which keep the call's context, 0 for conditional.

    None takes the first half of the batch as unconditional, as classifier-free guidance stacks it.
    """
    follows_input: bool = False
    """Whether units move to the device and dtype of what they are called with. Adapters set it, since the
    UNet may be moved, cast or offloaded after them; in training the units keep the optimizer's dtype."""
    guided: bool = True
    """Without `is_unconditional`: whether the batch has an unconditional half."""

    def unconditional_rows(self, rows: int, like: Tensor) -> Tensor:
        """Returns 1 for each of `rows` rows that is unconditional, else 0, in the dtype of `like`."""
        if self.is_unconditional is not None:
            return self.is_unconditional.to(like)
        marks = like.new_zeros(rows)
        if self.guided:
            marks[: rows // 2] = 1
        return marks


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Float[Tensor, "b n d"]:
    """Computes multi-head attention of tokens "b n d"."""
    q, k, v = _by_head(q, heads), _by_head(k, heads), _by_head(v, heads)
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def _by_head(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


class AttentionSharingUnit(nn.Module):
    """Replaces one attention of the UNet. Source: docs/released-format.md d.1, steps 1 to 6."""

    def __init__(
        self, width: int, context: int, *, frames: int, rank: int, heads: int, control: bool
    ) -> None:
        """`width` features a token, text or self `context` features."""
        super().__init__()
        self.frames, self.heads = frames, heads
        self.to_q_lora = nn.ModuleList(LoRALinear(width, width, rank) for _ in range(frames))
        self.to_k_lora = nn.ModuleList(LoRALinear(context, width, rank) for _ in range(frames))
        self.to_v_lora = nn.ModuleList(LoRALinear(context, width, rank) for _ in range(frames))
        self.to_out_lora = nn.ModuleList(LoRALinear(width, width, rank) for _ in range(frames))
        # Names are the released files': "temporal" is the attention across frames, as in video models.
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
        base: Attention,
        context: Float[Tensor, "b t c"] | None = None,
        state: SharingState | None = None,
        images: "ImagePrompts | None" = None,
    ) -> Float[Tensor, "b n d"]:
        """Computes what the replaced attention adds to the residual stream.

        Args:
            tokens: normalised tokens of all frames, frame index fastest.
            base: the replaced attention, with to_q, to_k, to_v and to_out.
            context: text of every row; None attends to the tokens themselves.
            state: control signals and prompts of this call.
            images: of an IP-Adapter, whose attention is added to the text's.
        """
        rows = tokens.shape[0]
        check_scenes(rows, self.frames)
        state = state or SharingState()
        unconditional = state.unconditional_rows(rows, tokens)[:, None, None]
        mixed = torch.empty_like(tokens)
        for frame in range(self.frames):
            frame_rows = slice(frame, None, self.frames)
            x = self._controlled(tokens[frame_rows], frame, state)
            text = None if context is None else context[frame_rows]
            override = state.prompt_overrides[frame] if frame < len(state.prompt_overrides) else None
            if text is not None and override is not None:
                keeps_text = unconditional[frame_rows]
                text = override.to(text) * (1 - keeps_text) + text * keeps_text
            image_states = [states[frame_rows] for states in images.states] if images else []
            image_attention = images and partial(images.attention, image_states)
            context_tokens = x if text is None else text
            mixed[frame_rows] = x + self._attention(x, base, context_tokens, frame, image_attention)
        # `mixed` holds the tokens, which the block adds once more: a processor returns the change alone
        return mixed + self._across_frames(mixed) - tokens

    def _controlled(self, x: Tensor, frame: int, state: SharingState) -> Tensor:
        if self.control_convs is None:
            return x
        if x.shape[1] not in state.control_features:
            raise InputError(
                f"No control signal has {x.shape[1]} tokens, found {list(state.control_features)}. "
                "Set the hint first, at the size of the result."
            )
        feature_map = self.control_convs[frame](state.control_features[x.shape[1]].to(x))
        feature = feature_map.flatten(2).transpose(1, 2)
        if x.shape[0] % feature.shape[0]:
            raise InputError(
                f"Expected one hint or one a scene, found {feature.shape[0]} for {x.shape[0]} rows. "
                "Set them again."
            )
        return x + feature.repeat(x.shape[0] // feature.shape[0], 1, 1)

    def _attention(
        self,
        x: Tensor,
        base: Attention,
        context: Tensor,
        frame: int,
        image_attention: Callable[[Tensor, int], Tensor] | None,
    ) -> Tensor:
        q = self.to_q_lora[frame](x, base.to_q)
        k = self.to_k_lora[frame](context, base.to_k)
        v = self.to_v_lora[frame](context, base.to_v)
        mixed = attend(q, k, v, self.heads)
        if image_attention is not None:
            mixed = mixed + image_attention(q, self.heads)
        assert base.to_out is not None
        return self.to_out_lora[frame](mixed, base.to_out[0])

    def _across_frames(self, mixed: Tensor) -> Tensor:
        rows, n, width = mixed.shape
        x = self.temporal_i(self.temporal_n(mixed))
        if self.frames == 1:  # the softmax over one frame is 1, so queries and keys do not matter
            return self.temporal_o(self.temporal_v(x))
        # each position attends to the same position in the other frames, and to no other
        x = x.view(-1, self.frames, n, width).transpose(1, 2).reshape(-1, self.frames, width)
        x = self.temporal_o(attend(self.temporal_q(x), self.temporal_k(x), self.temporal_v(x), self.heads))
        return x.view(-1, n, self.frames, width).transpose(1, 2).reshape(rows, n, width)


def _control(width: int) -> nn.Sequential:
    last = nn.Conv2d(CONTROL_CHANNELS, width, 1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)  # pyright: ignore[reportArgumentType]
    return nn.Sequential(nn.Conv2d(CONTROL_CHANNELS, CONTROL_CHANNELS, 3, padding=1), nn.SiLU(), last)


@runtime_checkable
class ImageProcessor(Protocol):
    """What diffusers' IP-Adapter processors have for each adapter, and no class of theirs names."""

    to_k_ip: nn.ModuleList
    to_v_ip: nn.ModuleList
    scale: Sequence[float]


@dataclass(frozen=True, slots=True)
class ImagePrompts:
    """Holds what an IP-Adapter shows one attention."""

    processor: ImageProcessor
    states: Sequence[Tensor]
    """Features "rows images tokens width" of each adapter."""

    def attention(self, states: Sequence[Tensor], q: Tensor, heads: int) -> Tensor:
        """Computes attention of queries "b n d" to the rows' images, scaled and summed."""
        total = torch.zeros_like(q)
        adapters = zip(
            states, self.processor.to_k_ip, self.processor.to_v_ip, self.processor.scale, strict=True
        )
        for state, to_k, to_v, scale in adapters:
            tokens = state.flatten(1, 2)
            total = total + scale * attend(q, to_k(tokens), to_v(tokens), heads)
        return total


class SharingProcessor:
    """Runs one unit as a diffusers attention processor.

    diffusers makes new ones of the class that it finds when IP-Adapters come and go; without a unit it does
    what the stock processor does.
    """

    def __init__(
        self,
        unit: AttentionSharingUnit | None = None,
        state: SharingState | None = None,
        replaced: object = None,
    ) -> None:
        """Binds a unit to the `state` that all units of a UNet share; `replaced` was there before."""
        self.unit, self.state, self.replaced = unit, state, replaced

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | tuple[Tensor, list[Tensor]] | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """Computes one attention; these attentions use neither masks nor time."""
        if self.unit is None:
            return AttnProcessor2_0()(attn, hidden_states, encoder_hidden_states, attention_mask, temb)  # pyright: ignore[reportArgumentType]
        if self.state is not None and self.state.follows_input:
            follow(self.unit, hidden_states)
        images = None
        if isinstance(encoder_hidden_states, tuple):
            encoder_hidden_states, states = encoder_hidden_states
            if isinstance(self.replaced, ImageProcessor):
                images = ImagePrompts(self.replaced, states)
        return self.unit(hidden_states, attn, encoder_hidden_states, self.state, images)


def check_scenes(rows: int, frames: int) -> None:
    """Raises InputError for a batch of so many rows that is not of whole scenes of `frames` layers."""
    if rows % frames:
        raise InputError(
            f"The batch must be a multiple of {frames} layers, found {rows}. Generate whole scenes."
        )


def follow(units: nn.Module, x: Tensor) -> None:
    """Moves units to the device and dtype of what they are called with."""
    own = next(units.parameters())
    if own.device != x.device or own.dtype != x.dtype:
        # not by diffusers' own `to`, which warns of half precision
        nn.Module.to(units, device=x.device, dtype=x.dtype)


def stock_processor(processor: object) -> object:
    """Returns what an attention ran before any units."""
    return processor.replaced if isinstance(processor, SharingProcessor) and processor.unit else processor


def attention_modules(unet: nn.Module) -> Iterator[tuple[str, Attention]]:
    """Yields the attentions of a diffusers UNet in released order: down, up, then the middle."""
    named = [(name, module) for name, module in unet.named_modules() if isinstance(module, Attention)]
    for part in ("down_blocks.", "up_blocks.", "mid_block."):
        yield from ((name, module) for name, module in named if name.startswith(part))


class AttentionSharing(ModelMixin, ConfigMixin):
    """Holds all units of one UNet, with the encoder of control images if any."""

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
            control: whether a hint image is a condition.
        """
        super().__init__()
        all_heads = [heads] * len(sizes) if isinstance(heads, int) else heads
        self.layers = nn.ModuleList(
            AttentionSharingUnit(width, context, frames=frames, rank=rank, heads=n, control=control)
            for (width, context), n in zip(sizes, all_heads, strict=True)
        )
        # this name is the released files' too
        self.kwargs_encoder = HintEncoder() if control else None
        self.state = SharingState()

    @classmethod
    def for_unet(
        cls, unet: nn.Module, *, frames: int = 1, rank: int = 256, control: bool = False
    ) -> "AttentionSharing":
        """Builds units that fit every attention of a diffusers UNet, with or without other LoRAs on it.

        Raises:
            InputError: it has none that can be replaced, as transformers have not.
        """
        attentions = [module for _, module in attention_modules(unet)]
        if not attentions:
            raise InputError(
                "Expected a UNet whose attentions can be shared, found a model without. "
                "Take Stable Diffusion 1.5 or XL."
            )
        # of the layer itself, which PEFT may have wrapped: wrappers pass this attribute on
        sizes = [(module.to_q.in_features, module.to_k.in_features) for module in attentions]  # pyright: ignore
        return cls(sizes, frames, rank, [module.heads for module in attentions], control)

    def units_for(self, unet: nn.Module) -> Iterator[tuple[str, Attention, AttentionSharingUnit]]:
        """Yields each attention of the UNet by its name, with the unit that belongs there.

        Raises:
            InputError: it has another number of attentions.
        """
        attentions = list(attention_modules(unet))
        if len(attentions) != len(self.layers):
            raise InputError(
                f"{len(self.layers)} units, but {len(attentions)} attentions in the UNet. "
                "Take the file made for this base model."
            )
        for (name, module), unit in zip(attentions, self.layers, strict=True):
            assert isinstance(unit, AttentionSharingUnit)
            yield name, module, unit

    def attach(self, unet: nn.Module) -> dict[str, object]:
        """Puts the units in place of the UNet's attentions; returns what was there, for `detach`."""
        units = list(self.units_for(unet))
        # all looked up before the first is replaced, so that an error leaves the UNet as it was
        previous = {name: stock_processor(module.processor) for name, module, _ in units}
        for name, module, unit in units:
            module.set_processor(SharingProcessor(unit, self.state, previous[name]))  # pyright: ignore[reportArgumentType]
        return previous

    @staticmethod
    def detach(unet: nn.Module, previous: Mapping[str, object]) -> None:
        """Undoes `attach`; processors that were set since stay."""
        for name, module in attention_modules(unet):
            if isinstance(module.processor, SharingProcessor):
                module.set_processor(previous[name])  # pyright: ignore[reportArgumentType]

    def is_attached(self, unet: nn.Module) -> bool:
        """Tells whether every attention of the UNet runs a unit of this one."""
        units = set(self.layers)
        return all(
            isinstance(module.processor, SharingProcessor) and module.processor.unit in units
            for _, module in attention_modules(unet)
        )

    @torch.no_grad()
    def set_hint(self, image: Float[Tensor, "scenes 3 h w"]) -> None:
        """Encodes the control image of all scenes, or one each, in [0, 1] and of the output's size."""
        self.encode_hint(image)

    def encode_hint(self, image: Float[Tensor, "scenes 3 h w"]) -> None:
        """Encodes as `set_hint` does, with gradients, for training."""
        if self.kwargs_encoder is None:
            raise InputError("These units take no hint: built without control. Use a control checkpoint.")
        # hints were trained in [-1, 1] (docs/released-format.md, condition images)
        self.state.control_features = self.kwargs_encoder(image.to(next(self.parameters())) * 2 - 1)
