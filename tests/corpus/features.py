"""What documents of other programs may have, each as a change to a plain document."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np

from corpus.model import HEIGHT, WIDTH, Document, Mask, Node, noise, plain
from corpus.ora import OPERATIONS, ora_bytes
from corpus.psd import KEYS, psd_bytes
from corpus.render import OPERATORS

WRITERS: dict[str, Callable[[Document], bytes]] = {"psd": psd_bytes, "ora": ora_bytes}
SPECIAL = {
    "color_burn", "linear_burn", "color_dodge", "linear_dodge", "vivid_light", "linear_light", "hard_mix",
    "difference",
}  # fmt: skip
"""Modes in which Photoshop counts fill opacity otherwise than opacity."""


PLAIN = ("normal", "pass_through")


@dataclass(frozen=True)
class Feature:
    """A change to a document; two of one `slot` exclude each other."""

    name: str
    slot: str
    change: Callable[[Document], None]
    formats: tuple[str, ...] = ("psd", "ora")
    last: bool = False
    """It looks at what the others built, so it comes after them."""


@dataclass(frozen=True)
class Case:
    """A document of one or two features in one format."""

    features: tuple[Feature, ...]
    ending: str

    @property
    def name(self) -> str:
        """Names format and features."""
        return f"{self.ending}: {' + '.join(feature.name for feature in self.features)}"

    def build(self) -> Document:
        """Returns the document."""
        document = plain()
        for feature in sorted(self.features, key=lambda feature: feature.last):
            feature.change(document)
        for node in document.walk():
            # by the specification of OpenRaster, whatever is not opaque is isolated
            if self.ending == "ora" and node.mode == "pass_through" and node.opacity < 255:
                node.mode = "normal"
                document.options.add("auto isolation")
        return document

    def content(self) -> bytes:
        """Returns the file."""
        return WRITERS[self.ending](self.build())

    def refused(self) -> bool:
        """Says whether what it shows is not known for sure, so that refusing it is right."""
        document = self.build()
        lists = [document.nodes, *(node.children for node in document.walk() if node.children)]
        return any(node.fill != 255 and node.mode in SPECIAL for node in document.walk()) or any(
            _refuses_clipping(among) for among in lists
        )


def _refuses_clipping(nodes: list[Node]) -> bool:
    """Clipped to nothing, to a fill opacity, or to a group whose layers blend with what is below it."""
    base: Node | None = None
    for node in nodes:
        if not node.clipped:
            base = node
        elif base is None or base.fill != 255 or _lets_modes_through(base):
            return True
    return False


def _lets_modes_through(node: Node) -> bool:
    return node.mode == "pass_through" and any(inner.mode not in PLAIN for inner in node.walk())


def _levels(height: int, width: int, seed: int) -> np.ndarray:
    return (noise(height, width, seed)[..., 0] >> 8).astype(np.uint8)


def on(holder: str, **values: object) -> Callable[[Document], None]:
    """Sets what is said of the subject or of the group around it."""

    def change(document: Document) -> None:
        node = document.subject() if holder == "subject" else document.folder()
        for name, value in values.items():
            setattr(node, name, value)

    return change


def whole(**values: object) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        for name, value in values.items():
            if name == "options":
                document.options |= {str(value)}
            else:
                setattr(document, name, value)

    return change


def _nested(document: Document) -> None:
    folder = document.folder()
    among = document.siblings(folder)
    place = next(number for number, node in enumerate(among) if node is folder)
    lone = Node(name="lone", image=noise(6, 6, 11), top=1, left=20, mode="screen")
    middle = Node(name="middle", children=[folder, lone], opacity=180)
    among[place] = Node(name="outer", children=[middle], mode="pass_through")


def _above(document: Document, *nodes: Node, of_folder: bool = False) -> None:
    base = document.folder() if of_folder else document.subject()
    among = document.siblings(base)
    place = next(number for number, node in enumerate(among) if node is base)
    among[place + 1 : place + 1] = nodes


def _clipped(seed: int, **values: object) -> Node:
    node = Node(name=f"clipped {seed}", image=noise(16, 22, seed), top=1, left=3, clipped=True)
    for name, value in values.items():
        setattr(node, name, value)
    return node


def one_clipped(document: Document) -> None:
    _above(document, _clipped(21))


def _two_clipped(document: Document) -> None:
    _above(document, _clipped(21, opacity=150), _clipped(22, mode="multiply"))


def _hidden_among_clipped(document: Document) -> None:
    _above(document, _clipped(21, visible=False), _clipped(22))


def _masked_clipped(document: Document) -> None:
    _above(document, _clipped(21, mask=Mask(levels=_levels(9, 9, 31), top=4, left=6, outside=255)))


def _clipped_group(document: Document) -> None:
    inside = [
        Node(name="in 1", image=noise(9, 9, 23), top=4, left=6),
        Node(name="in 2", image=noise(5, 15, 24), top=7, left=4),
    ]
    inside[1].mode = "screen"
    _above(document, Node(name="clipped group", children=inside, clipped=True, opacity=190))


def _clipped_to_group(document: Document) -> None:
    _above(document, _clipped(21, mode="overlay"), of_folder=True)


def _hidden_base(document: Document) -> None:
    document.subject().visible = False
    one_clipped(document)


def _at_the_bottom(document: Document) -> None:
    document.nodes[0].clipped = True  # of nothing, so it is a layer like any other


def _empty(document: Document) -> None:
    subject = document.subject()
    subject.image = np.zeros((0, 0, 4), np.uint16)
    subject.top = subject.left = 0


def _empty_group(document: Document) -> None:
    _above(document, Node(name="nothing in it", children=[]))


def _opaque(document: Document) -> None:
    image = document.subject().image
    assert image is not None
    if image.size:
        image[..., 3] = 65535
    document.options.add("no alpha")


def _masks(holder: str, formats: tuple[str, ...]) -> Iterator[Feature]:
    inner = _levels(9, 13, 30)
    kinds: dict[str, Mask] = {
        "hides outside": Mask(levels=inner, top=5, left=7),
        "shows outside": Mask(levels=inner, top=5, left=7, outside=255),
        "disabled": Mask(levels=inner, top=5, left=7, disabled=True),
        "partly outside": Mask(levels=inner, top=-3, left=WIDTH - 8, outside=255),
        "far outside": Mask(levels=inner, top=HEIGHT + 5, left=-40, outside=0),
        "without pixels, hides": Mask(levels=np.zeros((0, 0), np.uint8), outside=0),
        "without pixels, shows": Mask(levels=np.zeros((0, 0), np.uint8), outside=255),
    }
    for name, mask in kinds.items():
        yield Feature(f"{holder} mask {name}", f"{holder} mask", on(holder, mask=mask), formats)


def _modes() -> Iterator[Feature]:
    for name in [*KEYS, *OPERATORS]:
        if name == "dissolve":
            continue
        known = {"psd": name in KEYS, "ora": name in OPERATIONS or name == "pass_through"}
        formats = tuple(ending for ending, has in known.items() if has)
        if not formats:
            continue
        if name != "pass_through":
            yield Feature(f"layer {name}", "subject mode", on("subject", mode=name), formats)
        yield Feature(f"group {name}", "folder mode", on("folder", mode=name), formats)


def _places() -> Iterator[Feature]:
    for name, top, left in (
        ("before the canvas", -6, -9),
        ("beyond the canvas", HEIGHT - 5, WIDTH - 7),
        ("off the canvas", -40, 90),
    ):
        yield Feature(f"layer {name}", "place", on("subject", top=top, left=left))
    large = noise(HEIGHT + 9, WIDTH + 12, 40)
    yield Feature("layer larger than the canvas", "place", on("subject", image=large, top=-5, left=-4))


def _names() -> Iterator[Feature]:
    for title, name in (
        ("of other scripts", "subject 🦊 مرحبا é"),
        ("as markup", "subject <&\"'> ]]>"),
        ("long", "subject " + "x" * 240),
    ):
        yield Feature(f"name {title}", "name", on("subject", name=name))
    yield Feature("name in Mac Roman only", "unicode", whole(options="no unicode names"), ("psd",))


def _layouts() -> Iterator[Feature]:
    psd = ("psd",)
    yield Feature("grey", "colours", whole(grey=True))
    yield Feature("16 bits", "depth", whole(bits=16))
    yield Feature("PSB", "size", whole(large=True), psd)
    for number, name in ((0, "not packed"), (2, "zip"), (3, "zip with prediction")):
        yield Feature(name, "compression", whole(compression=number), psd)
    for name in (
        "positive count", "closed folders", "short dividers", "channels in another order", "unlinked masks",
        "no blending ranges", "blocks that show nothing", "mask parameters",
    ):  # fmt: skip
        yield Feature(name, name, whole(options=name), psd)
    yield Feature("16 bits in the old section", "depth", _sixteen_bits_short, psd)
    yield Feature("opaque layer without alpha", "image", _opaque, psd, last=True)
    for name in ("bare root", "all attributes", "comments"):
        yield Feature(name, name, whole(options=name), ("ora",))


def _sixteen_bits_short(document: Document) -> None:
    document.bits = 16
    document.options.add("short section")


def _structures() -> Iterator[Feature]:
    psd = ("psd",)
    for holder in ("subject", "folder"):
        for opacity in (128, 1, 0):
            yield Feature(f"{holder} opacity {opacity}", f"{holder} opacity", on(holder, opacity=opacity))
        yield Feature(f"{holder} fill 100", f"{holder} fill", on(holder, fill=100), psd)
        yield Feature(f"{holder} hidden", f"{holder} visible", on(holder, visible=False))
        yield from _masks(holder, psd)
    yield Feature("nested groups", "nested", _nested, last=True)
    yield Feature("layer without pixels", "image", _empty)
    yield Feature("group without layers", "empty group", _empty_group)
    for name, change in (
        ("one clipped", one_clipped),
        ("two clipped", _two_clipped),
        ("hidden among clipped", _hidden_among_clipped),
        ("masked clipped", _masked_clipped),
        ("clipped group", _clipped_group),
        ("clipped to hidden", _hidden_base),
        ("clipped to a group", _clipped_to_group),
        ("clipped to nothing", _at_the_bottom),
    ):
        yield Feature(name, "clipping", change, psd, last=True)


def _masking(document: Document, *, visible: bool) -> None:
    """A layer that cuts the group around the subject, which some programs write for a mask."""
    folder = document.folder()
    assert folder.children is not None
    image = noise(13, 17, 50)
    cut = Node(name="mask", image=image, top=3, left=4, mode="destination_in", visible=visible)
    folder.children.append(cut)


def _faded_passing(document: Document) -> None:
    """A stack that is not opaque is isolated by the specification, whatever it says of isolation."""
    folder = document.folder()
    folder.opacity = 128
    document.subject().mode = "multiply"
    document.options.add("auto isolation")


def _open_raster() -> Iterator[Feature]:
    ora = ("ora",)
    for visible in (True, False):
        name = f"{'masking' if visible else 'hidden masking'} layer in a stack"
        yield Feature(name, "masking", partial(_masking, visible=visible), ora, last=True)
    yield Feature("half transparent stack of auto isolation", "folder mode", _faded_passing, ora)
    yield Feature("no word on isolation", "isolation", whole(options="no isolation"), ora)


def features() -> list[Feature]:
    """Returns all of them."""
    return [*_structures(), *_modes(), *_places(), *_names(), *_layouts(), *_open_raster()]


def singles() -> list[Case]:
    """Returns a document for each feature in each format that has it."""
    return [Case((feature,), ending) for feature in features() for ending in feature.formats]


def pairs() -> list[Case]:
    """Returns a document for every two features that a format has and that do not exclude each other."""
    return [
        Case((first, second), ending)
        for first, second in combinations(features(), 2)
        for ending in first.formats
        if ending in second.formats and first.slot != second.slot
    ]
