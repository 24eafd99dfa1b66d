"""What a scene is made of: layers, and the groups that hold them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from pellucid.errors import InputError
from pellucid.files.metadata import GenerationMetadata
from pellucid.rgba.types import AnyArray, check_rgba8

MAX_DEPTH = 64
"""Groups within groups; no program goes deeper."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """A folder of layers. Two groups are the same only if they are one object."""

    name: str = "group"
    opacity: float = 1.0
    """Multiplies the alpha of what the group's layers make together, [0, 1]."""
    visible: bool = True

    def __post_init__(self) -> None:
        _check_opacity(self.opacity)
        _check_name(self.name)


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

    def __post_init__(self) -> None:
        check_rgba8(self.image, f"layer {self.name!r}")
        _check_opacity(self.opacity)
        _check_name(self.name)
        if len(self.groups) > MAX_DEPTH:
            raise InputError(
                f"Expected at most {MAX_DEPTH} groups around a layer, found {len(self.groups)}. "
                "Nest them less."
            )

    def fills(self, height: int, width: int) -> bool:
        """Returns whether the layer, as it is, is the whole canvas."""
        return (
            all(node.visible and node.opacity == 1 for node in (self, *self.groups))
            and self.offset == (0, 0)
            and self.image.shape[:2] == (height, width)
        )


@dataclass(frozen=True, eq=False)
class GroupNode:
    """A group and what is directly in it, bottom first."""

    group: Group
    children: "tuple[Layer | GroupNode, ...]"


def layer_tree(layers: Iterable[Layer]) -> tuple[Layer | GroupNode, ...]:
    """Builds the tree of layers, bottom first: each run of neighbours in one group becomes a node."""
    return _grown(tuple(layers), 0)


def _grown(layers: Sequence[Layer], depth: int) -> tuple[Layer | GroupNode, ...]:
    nodes: list[Layer | GroupNode] = []
    # neighbours only: a group that comes again higher up is another folder in a file
    runs = groupby(layers, key=lambda layer: layer.groups[depth] if len(layer.groups) > depth else None)
    for group, run in runs:
        nodes += run if group is None else [GroupNode(group, _grown(tuple(run), depth + 1))]
    return tuple(nodes)


def _check_opacity(opacity: float) -> None:
    if not 0 <= opacity <= 1:  # false for NaN too
        raise InputError(f"Expected an opacity of 0 to 1, found {opacity}. 1 shows the layer as it is.")


def _check_name(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        raise InputError(
            f"Expected a name of whole characters, found {name[:40]!r}. Leave out unpaired surrogates."
        ) from None
