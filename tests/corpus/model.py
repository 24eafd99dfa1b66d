"""What a layered document is, before any format: nodes in a tree, bottom first."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

HEIGHT, WIDTH = 20, 28


@dataclass(kw_only=True)
class Mask:
    """A pixel mask, uint8 (h, w), that has one value beyond its own rectangle."""

    levels: np.ndarray
    top: int = 0
    left: int = 0
    outside: int = 0
    disabled: bool = False
    density: int = 255
    feather: float = 0


@dataclass(kw_only=True)
class Node:
    """A layer, or a group if it has children (an empty tuple of them too).

    Samples are whole numbers (h, w, 4) of 0 to 65535, so that a depth of 8 bits takes their upper byte.
    """

    name: str
    image: np.ndarray | None = None
    children: list["Node"] | None = None
    top: int = 0
    left: int = 0
    opacity: int = 255
    fill: int = 255
    visible: bool = True
    mode: str = "normal"
    """As psd-tools calls it, "pass_through" (groups only), or an operator of Porter and Duff."""
    clipped: bool = False
    mask: Mask | None = None
    blocks: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    """More tagged blocks of a PSD."""

    def walk(self) -> Iterator["Node"]:
        """Yields the node and all in it."""
        yield self
        for child in self.children or ():
            yield from child.walk()


@dataclass(kw_only=True)
class Document:
    """A canvas, and how the file that holds it is laid out."""

    nodes: list[Node]
    grey: bool = False
    bits: int = 8
    large: bool = False
    """A PSB, whose lengths have 8 bytes."""
    compression: int = 1
    options: set[str] = field(default_factory=set[str])
    """Liberties of the format that change nothing to be seen."""
    blocks: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    """Tagged blocks of the whole, of a PSD."""
    merged: np.ndarray | None = None
    """The image of the whole that the file says it holds, uint8 (h, w, 4); without it a wrong one."""

    def walk(self) -> Iterator[Node]:
        """Yields every node."""
        for node in self.nodes:
            yield from node.walk()

    def samples(self, node: Node) -> np.ndarray:
        """Returns what the file holds of a layer: uint8 or uint16 (h, w, 4), grey as three equal channels."""
        assert node.image is not None
        wide = node.image.astype(np.uint16)
        if self.grey:
            wide = wide[..., (1, 1, 1, 3)]
        return wide if self.bits == 16 else (wide >> 8).astype(np.uint8)

    def shown(self, node: Node, *, narrow: bool) -> np.ndarray:
        """Returns a layer's levels in [0, 1]: of the file, or rounded to 8 bits, as readers keep them."""
        samples = self.samples(node)
        levels = samples / np.iinfo(samples.dtype).max
        return np.floor(levels * 255 + 0.5) / 255 if narrow else levels

    def subject(self) -> Node:
        """Returns the layer that features are about."""
        return next(node for node in self.walk() if node.name.startswith("subject"))

    def siblings(self, wanted: Node) -> list[Node]:
        """Returns the list that holds a node."""
        for among in (self.nodes, *(node.children for node in self.walk() if node.children is not None)):
            if any(node is wanted for node in among):
                return among
        raise LookupError(wanted.name)

    def folder(self) -> Node:
        """Returns the group around the subject, made if there is none: isolated, with one layer more."""
        for node in self.walk():
            if node.children is not None and any(child is self.subject() for child in node.children):
                return node
        among, subject = self.siblings(self.subject()), self.subject()
        place = next(number for number, node in enumerate(among) if node is subject)
        beside = Node(name="beside", image=noise(9, 14, 7), top=2, left=3)
        among[place] = Node(name="folder", children=[beside, subject])
        return among[place]


def noise(height: int, width: int, seed: int) -> np.ndarray:
    """Returns samples of 16 bits (h, w, 4), some clear, some opaque, extremes among them."""
    dice = np.random.default_rng([41, seed])
    image = dice.integers(0, 65536, (height, width, 4))
    extreme = dice.integers(0, 12, image.shape)
    image = np.where(extreme == 0, 0, np.where(extreme == 1, 65535, image))
    kind = dice.integers(0, 4, (height, width))
    image[..., 3] = np.where(kind == 0, 0, np.where(kind == 1, 65535, image[..., 3]))
    return image


def plain() -> Document:
    """Returns the document that every feature starts from: three layers, all of them partly transparent."""
    low = noise(HEIGHT, WIDTH, 1)
    low[:, : WIDTH // 2, 3] = 65535  # half of it, so that modes meet opaque, partial and no backdrop
    return Document(
        nodes=[
            Node(name="low", image=low),
            Node(name="subject", image=noise(14, 20, 2), top=3, left=5),
            Node(name="top", image=noise(8, 24, 3), top=11, left=2, opacity=200),
        ]
    )
