"""What a scene is made of: layers, and the groups that hold them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Literal, get_args

import numpy as np

from pellucid.errors import InputError
from pellucid.files.metadata import GenerationMetadata
from pellucid.rgba.blend_modes import BlendMode
from pellucid.rgba.types import AnyArray, check_rgba8

MAX_DEPTH = 64
"""Groups within groups; no program goes deeper."""
MODES = get_args(BlendMode)


@dataclass(frozen=True, kw_only=True, eq=False)
class Mask:
    """What of a layer or group is seen, beside its own alpha."""

    image: AnyArray
    """uint8 (h, w): 255 shows, 0 hides."""
    offset: tuple[int, int] = (0, 0)
    """(top, left) of the image on the canvas, in pixels."""
    outside: int = 0
    """The mask's value beyond its image, 0 to 255."""
    enabled: bool = True

    def __post_init__(self) -> None:
        if self.image.dtype != np.uint8 or self.image.ndim != 2 or 0 in self.image.shape:
            raise InputError(
                f"Expected a mask of uint8 (h, w), found {self.image.dtype} {self.image.shape}. "
                "Pass one channel, 255 where the layer shows."
            )
        if not 0 <= self.outside <= 255:
            raise InputError(f"Expected 0 to 255 outside a mask, found {self.outside}. 0 hides.")


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """A folder of layers. Two groups are the same only if they are one object."""

    name: str = "group"
    opacity: float = 1.0
    """Multiplies the alpha of what the group's layers make together, [0, 1]."""
    visible: bool = True
    blend_mode: BlendMode | Literal["pass_through"] = "normal"
    """Its layers blend with one another alone (an isolated group), and the result in this mode with what is
    below. "pass_through": they blend with what is below the group."""
    clipped: bool = False
    """As of `Layer`; a clipped group is isolated, as is one that others are clipped to."""
    mask: Mask | None = None

    def __post_init__(self) -> None:
        _check_opacity(self.opacity)
        _check_name(self.name)
        _check_mode(self.blend_mode, (*MODES, "pass_through"))

    @property
    def enabled_mask(self) -> Mask | None:
        """Returns the mask if it counts."""
        return _enabled(self.mask)


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """One RGBA image in a stack."""

    image: AnyArray
    """uint8 (h, w, 4), straight alpha."""
    name: str = "layer"
    offset: tuple[int, int] = (0, 0)
    """(top, left) of the image on the canvas, in pixels; may lie outside."""
    opacity: float = 1.0
    """Multiplies the alpha, [0, 1]."""
    visible: bool = True
    provenance: GenerationMetadata | None = None
    groups: tuple[Group, ...] = ()
    """The groups that hold it, outermost first; neighbours that share one are together in it."""
    blend_mode: BlendMode = "normal"
    """How its colour meets what is below."""
    clipped: bool = False
    """Seen only where the nearest layer or group below it that is not clipped is: a clipping mask."""
    mask: Mask | None = None

    def __post_init__(self) -> None:
        check_rgba8(self.image, f"layer {self.name!r}")
        _check_opacity(self.opacity)
        _check_name(self.name)
        _check_mode(self.blend_mode, MODES)
        if len(self.groups) > MAX_DEPTH:
            raise InputError(
                f"Expected at most {MAX_DEPTH} groups around a layer, found {len(self.groups)}. "
                "Nest them less."
            )

    @property
    def enabled_mask(self) -> Mask | None:
        """Returns the mask if it counts."""
        return _enabled(self.mask)

    def __repr__(self) -> str:
        from pellucid.scene.showing import layer_text

        return layer_text(self)

    def _repr_html_(self) -> str:
        # notebooks ask for it by this name
        from pellucid.scene.showing import layer_html

        return layer_html(self)

    def _repr_png_(self) -> bytes:
        from pellucid.scene.showing import png_of

        return png_of(self.image)

    def fills(self, height: int, width: int) -> bool:
        """Returns whether the layer, as it is, is the whole canvas."""
        return (
            all(node.visible and node.opacity == 1 and node.mask is None for node in (self, *self.groups))
            and self.blend_mode == "normal"
            and self.offset == (0, 0)
            and self.image.shape[:2] == (height, width)
        )


@dataclass(frozen=True, eq=False)
class GroupNode:
    """A group and what is directly in it, bottom first."""

    group: Group
    children: "tuple[Layer | GroupNode, ...]"

    @cached_property
    def children_lie_over(self) -> bool:
        """Returns what `all_lie_over` says of the children; asked for each strip of an image."""
        return all_lie_over(self.children)


def layer_tree(layers: Iterable[Layer]) -> tuple[Layer | GroupNode, ...]:
    """Builds the tree of layers, bottom first: each run of neighbours in one group becomes a node."""
    return _grown(tuple(layers), 0)


def clipping_runs(
    nodes: Sequence[Layer | GroupNode],
) -> Iterator[tuple[Layer | GroupNode, list[Layer | GroupNode]]]:
    """Yields each node that is not clipped, bottom first, with those that are clipped to it.

    A clipped node with nothing below it in its group stands for itself.
    """
    base: Layer | GroupNode | None = None
    clipped: list[Layer | GroupNode] = []
    for node in nodes:
        if base is not None and facts(node).clipped:
            clipped.append(node)
            continue
        if base is not None:
            yield base, clipped
        base, clipped = node, []
    if base is not None:
        yield base, clipped


def facts(node: Layer | GroupNode) -> Layer | Group:
    """Returns what says how a node is shown: the layer itself, or the node's group."""
    return node.group if isinstance(node, GroupNode) else node


def leaves(node: Layer | GroupNode) -> Iterator[Layer]:
    """Yields the layers of a node, bottom first."""
    if isinstance(node, Layer):
        yield node
    else:
        for child in node.children:
            yield from leaves(child)


def lies_over(node: Layer | GroupNode) -> bool:
    """Says whether a node only lies *over* what is below, whatever colour that has."""
    if isinstance(node, GroupNode) and node.group.blend_mode == "pass_through":
        return node.children_lie_over
    return facts(node).blend_mode == "normal"


def all_lie_over(nodes: Sequence[Layer | GroupNode]) -> bool:
    """Says whether nodes only lie over one another and over what is below.

    Then they may be laid together first, or one by one: *over* is associative, and the image is the same.
    """
    return all(lies_over(base) for base, _ in clipping_runs(nodes))


def _grown(layers: Sequence[Layer], depth: int) -> tuple[Layer | GroupNode, ...]:
    nodes: list[Layer | GroupNode] = []
    # neighbours only: a group that comes again higher up is another folder in a file
    runs = groupby(layers, key=lambda layer: layer.groups[depth] if len(layer.groups) > depth else None)
    for group, run in runs:
        nodes += run if group is None else [GroupNode(group, _grown(tuple(run), depth + 1))]
    return tuple(nodes)


def _enabled(mask: Mask | None) -> Mask | None:
    return mask if mask is not None and mask.enabled else None


def _check_opacity(opacity: float) -> None:
    if not 0 <= opacity <= 1:  # false for NaN too
        raise InputError(f"Expected an opacity of 0 to 1, found {opacity}. 1 shows the layer as it is.")


def _check_mode(mode: str, known: Sequence[str]) -> None:
    if mode not in known:
        raise InputError(f"Expected a blend mode of {', '.join(known)}, found {mode!r}. Choose one of these.")


def _check_name(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"Expected a name of whole characters, found {name[:40]!r}. Leave out unpaired surrogates."
        ) from None
