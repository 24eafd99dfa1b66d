"""Lets the layers of one scene see each other in a transformer, by LoRAs and attention of each "frame".

A frame is one layer of the scene, and its index is fastest in a batch: row i is of frame i mod frames. The
counterpart of `attention_sharing` for denoisers whose attentions have no common form: nothing is replaced.
Before every block tokens attend to those at the same place in the other frames, and every attention's matrix
has a low-rank difference for each frame. Source: paper section 3.3;
docs/decisions/021-transformers.md.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor, nn

from pellucid.errors import InputError
from pellucid.models.attention_sharing import attend, check_scenes, follow
from pellucid.models.latent_inputs import find_input, modules_of, side_of, tokens_beside

BLOCKS = re.compile(
    r"(transformer_blocks|single_transformer_blocks|joint_transformer_blocks|double_stream_blocks"
    r"|single_stream_blocks|blocks|layers)\.\d+"
)
"""diffusers' names of the blocks that image tokens go through, alone or beside the text's."""
ATTENTIONS = re.compile(r"\.\w*attn\w*\.|\.\w*attention\w*\.")
"""What the names of layers of an attention contain."""
FOREIGN = ("lora_", ".processor.")
"""What names of layers contain that others have put in: PEFT and IP-Adapters."""
HEAD = 64
"""Features of a head of the attention between frames, at most."""
Place = Literal["last", "first", "first in columns", "last of each", "marked"]
PLACES: dict[str, Place] = {
    "ZImageTransformer2DModel": "first",
    "HiDreamImageTransformer2DModel": "first",
    "ErnieImageTransformer2DModel": "first in columns",
    # after texts of their own length, then what fills the row up
    "Lumina2Transformer2DModel": "last of each",
    "BriaFibo2Transformer2DModel": "marked",
}
"""Class of a transformer -> where in a block's tokens the image's are, beside a text's; "last" otherwise."""
MASKS: dict[Place, str] = {"last of each": "attention_mask", "marked": "noise_mask"}
"""Place -> the argument of a block that tells it: which tokens are there at all, or are of the image."""


@dataclass(slots=True)
class FrameState:
    """Holds what the units of one transformer read at each call."""

    tokens: int = 0
    """Of all rows of the batch together: those that its first layer made of the latents."""
    shown: Tensor | None = None
    """Scaled latents "rows c h w" of the images that are shown to it."""
    strength: float = 1.0
    """Factor of all that units add, 0 to 2."""
    follows_input: bool = False
    """Whether units move to the device and dtype of what they are called with, see `SharingState`."""


class FrameAttention(nn.Module):
    """Adds to each token what those at its place in the scene's other frames say; nothing until trained."""

    def __init__(self, width: int, inner: int) -> None:
        """`width` features a token, `inner` of them within."""
        super().__init__()
        # as in `attention_sharing`, but narrow: whole matrices would be as many as the model's own attentions
        self.heads = max(1, inner // HEAD) if inner % HEAD == 0 else 1
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_k = nn.Linear(width, inner, bias=False)
        self.to_v = nn.Linear(width, inner, bias=False)
        self.to_out = nn.Linear(inner, width)
        nn.init.zeros_(self.to_out.weight)
        nn.init.zeros_(self.to_out.bias)

    def forward(self, x: Float[Tensor, "b n d"], frames: int) -> Float[Tensor, "b n d"]:
        """Returns what is added to the tokens `x` of whole scenes."""
        normed = self.norm(x.to(self.to_q.weight))
        places = normed.unflatten(0, (-1, frames)).transpose(1, 2).flatten(0, 1)
        mixed = attend(self.to_q(places), self.to_k(places), self.to_v(places), self.heads)
        made = self.to_out(mixed).unflatten(0, (-1, x.shape[1])).transpose(1, 2).flatten(0, 1)
        return made.to(x)


class FrameLoRA(nn.Module):
    """A low-rank difference of one matrix for each frame; nothing until trained."""

    def __init__(self, inner: int, outer: int, *, frames: int, rank: int) -> None:
        """Maps `inner` features to `outer`."""
        super().__init__()
        self.down = nn.Parameter(torch.empty(frames, inner, rank))
        self.up = nn.Parameter(torch.zeros(frames, rank, outer))
        nn.init.uniform_(self.down, -(bound := inner**-0.5), bound)

    def forward(self, x: Float[Tensor, "b ... i"]) -> Float[Tensor, "b ... o"]:
        """Returns what is added to the layer's output of `x`, rows of whole scenes."""
        frames, inner, _ = self.down.shape
        rows = x.to(self.down).reshape(len(x) // frames, frames, -1, inner)
        return (rows @ self.down @ self.up).reshape(*x.shape[:-1], -1).to(x)


class FrameUnits(ModelMixin, ConfigMixin):
    """Holds all units of one transformer, and what shows it images if any are shown."""

    config_name = "config.json"

    @register_to_config
    def __init__(
        self,
        widths: Sequence[int],
        matrices: Sequence[Sequence[int]],
        frames: int,
        rank: int,
        shown: Sequence[int] = (),
    ) -> None:
        """Builds units that change nothing until trained.

        Args:
            widths: features of a token in each block, in the order of `blocks_of`.
            matrices: (inner, outer) features of each matrix, in the order of `matrices_of`.
            frames: layers of a scene.
            rank: of each frame's differences, and features of the attention between frames.
            shown: inputs and outputs of what shows images beside the first layer; empty without images.
        """
        super().__init__()
        self.frames = frames
        self.attentions = nn.ModuleList(FrameAttention(width, rank) for width in widths)
        self.loras = nn.ModuleList(
            FrameLoRA(inner, outer, frames=frames, rank=rank) for inner, outer in matrices
        )
        # as good as a first layer with further inputs, which are 0 until trained
        self.shown_in = nn.Linear(*shown, bias=False) if shown else None
        if self.shown_in is not None:
            nn.init.zeros_(self.shown_in.weight)
        self.state = FrameState()

    @classmethod
    def for_transformer(
        cls, net: nn.Module, *, frames: int, rank: int, shown_channels: int = 0, side: int = 1
    ) -> "FrameUnits":
        """Builds units that fit a diffusers transformer, with or without other LoRAs on it.

        Args:
            net: the transformer.
            frames: layers of a scene.
            rank: see the class.
            shown_channels: of the latents of images that are shown, together.
            side: of the squares of latents that are one token.

        Raises:
            InputError: its blocks or its first layer are not known.
        """
        matrices = [(layer.in_features, layer.out_features) for layer in matrices_of(net)]
        if not matrices:
            raise InputError(
                f"Expected a transformer whose blocks are known, found {type(net).__name__} without. "
                "Take a family of docs/families.md."
            )
        width = width_of(net)
        shown = (shown_channels * side**2, width) if shown_channels else ()
        return cls([width for _ in blocks_of(net)], matrices, frames, rank, shown)

    def show(self, latents: Float[Tensor, "b c h w"] | None) -> None:
        """Shows scaled latents, a row each or one for all; None shows none."""
        self.state.shown = latents

    def beside_first(self, made: Tensor, *, is_map: bool) -> Tensor:
        """Adds what is shown to what the first layer `made` of the latents, and counts its tokens.

        Args:
            made: tokens, features last; or a map of them, features second.
            is_map: which of both.

        Raises:
            InputError: nothing is shown, or something of another size.
        """
        self.state.tokens = made.numel() // made.shape[1 if is_map else -1]
        if self.shown_in is None:
            return made
        if self.state.shown is None:
            raise InputError(
                "Expected images for this adapter, found none. Use a task that shows them to it."
            )
        self._follow(made)
        tokens = made.flatten(2).mT if is_map else made
        side = side_of(self.shown_in.in_features, self.state.shown.shape[1])
        shown = tokens_beside(self.state.shown, side, tokens).to(self.shown_in.weight)
        added = self.shown_in(shown).to(made) * self.state.strength
        return made + (added.mT.reshape(made.shape) if is_map else added)

    def before_block(self, number: int, x: Tensor, place: Place, mask: object) -> Tensor:
        """Returns a block's tokens `x`, those of images changed by the other frames'.

        Args:
            number: of the block.
            x: (rows, n, d), or (n, rows, d) in columns.
            place: where the image's are.
            mask: see `MASKS`, (rows, n); None where all tokens are of one kind.
        """
        if place == "first in columns":
            return self.before_block(number, x.transpose(0, 1), "first", None).transpose(0, 1)
        check_scenes(len(x), self.frames)
        self._follow(x)
        image = _Image(x, self.state.tokens // len(x), place, mask)
        tokens = image.tokens()
        added = self.attentions[number](tokens, self.frames) * self.state.strength
        return image.replaced(tokens + added)

    def beside_matrix(self, number: int, x: Tensor, made: Tensor) -> Tensor:
        """Adds each frame's difference to what a matrix has `made` of `x`."""
        check_scenes(len(x), self.frames)
        self._follow(x)
        return made + self.loras[number](x) * self.state.strength

    def _follow(self, x: Tensor) -> None:
        if self.state.follows_input:
            follow(self, x)


@dataclass(frozen=True, slots=True)
class _Image:
    """The image's tokens among a block's."""

    x: Tensor
    count: int
    place: Place
    mask: object

    def tokens(self) -> Tensor:
        """Returns them alone."""
        if self._is_all:
            return self.x
        if (places := self._places()) is not None:
            return self.x.gather(1, places)
        return self.x[:, : self.count] if self.place == "first" else self.x[:, -self.count :]

    def replaced(self, tokens: Tensor) -> Tensor:
        """Returns all tokens, those of the image replaced."""
        if self._is_all:
            return tokens
        if (places := self._places()) is not None:
            return self.x.scatter(1, places, tokens)
        if self.place == "first":
            return torch.cat([tokens, self.x[:, self.count :]], dim=1)
        return torch.cat([self.x[:, : -self.count], tokens], dim=1)

    @property
    def _is_all(self) -> bool:
        return self.x.shape[1] == self.count

    def _places(self) -> Tensor | None:
        if not isinstance(self.mask, Tensor):
            return None
        if self.place == "marked":
            starts = self.mask.argmax(dim=1, keepdim=True)
        else:
            starts = self.mask.sum(dim=1, keepdim=True) - self.count
        places = starts + torch.arange(self.count, device=starts.device)
        return places.unsqueeze(2).expand(-1, -1, self.x.shape[2])


def blocks_of(net: nn.Module) -> Iterator[nn.Module]:
    """Yields the blocks of a transformer that image tokens go through."""
    yield from (module for path, module in modules_of(net) if BLOCKS.fullmatch(path))


def matrices_of(net: nn.Module) -> Iterator[nn.Linear]:
    """Yields the matrices of the attentions in these blocks, without what PEFT wraps around them."""
    yield from (module for _, module in _matrices(net))


def names_of(net: nn.Module) -> Iterator[str]:
    """Yields the names of all layers by which units run."""
    yield find_input(net)[0]
    yield from (path for path, _ in modules_of(net) if BLOCKS.fullmatch(path))
    yield from (path.removesuffix(".base_layer") for path, _ in _matrices(net))


def _matrices(net: nn.Module) -> Iterator[tuple[str, nn.Linear]]:
    for path, module in modules_of(net):
        foreign = any(part in path for part in FOREIGN)
        if isinstance(module, nn.Linear) and BLOCKS.match(path) and ATTENTIONS.search(path) and not foreign:
            yield path, module


def width_of(net: nn.Module) -> int:
    """Returns the features of a token."""
    first = find_input(net)[1]
    return first.out_features if isinstance(first, nn.Linear) else first.out_channels
