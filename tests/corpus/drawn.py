"""Documents whose layers are told and not stored: paths, fills, effects, with what they show beside.

The right picture is drawn here by definition, pixel by pixel, and written as the file's own image of the
whole. What edges, ramps and shadows are is described nowhere; the definitions are those that documents by
Photoshop follow (docs/files-by-strangers.md).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from corpus.descriptors import (
    Item,
    Point,
    angle,
    choice,
    colour,
    double,
    effects,
    gradient,
    many,
    object_of,
    pattern,
    percent,
    pixels,
    rectangle,
    settings,
    switch,
    text,
    vector_mask,
)
from corpus.model import HEIGHT, WIDTH, Document, Mask, Node, plain
from corpus.psd import psd_bytes
from corpus.render import render

TILE = np.random.default_rng(3).integers(0, 256, (5, 7, 3), dtype=np.uint8)
RED, BLUE = (210.0, 40.0, 30.0), (20.0, 60.0, 200.0)
MODES = {"normal": b"Nrml", "multiply": b"Mltp", "screen": b"Scrn"}
Corners = tuple[float, float, float, float]
"""Top, left, bottom, right."""
Stored = tuple[Node, list[Node]]
"""A layer as the file has it, and the layers that it shows."""


@dataclass(frozen=True)
class DrawnCase:
    """A document of one such layer among others."""

    name: str
    build: Callable[[], Stored]
    blocks: Mapping[bytes, bytes] = field(default_factory=dict[bytes, bytes])

    def document(self) -> tuple[Document, np.ndarray]:
        """Returns what is stored, and what it shows: premultiplied (h, w, 4) in [0, 1]."""
        stored, shown = self.build()
        document, truth = _around([stored]), render(_around(shown))
        document.blocks = dict(self.blocks)
        document.merged = np.floor(_straight(truth) * 255 + 0.5).astype(np.uint8)
        return document, truth

    def content(self) -> bytes:
        """Returns the file."""
        return psd_bytes(self.document()[0])


def drawn_cases() -> list[DrawnCase]:
    """Returns all of them."""
    paths: dict[str, list[tuple[int, Corners]]] = {
        "a path on pixels": [(1, (3.4, 5.5, 14.8, 20.25))],
        "a path that cuts": [(1, (2, 3, 18, 25)), (2, (6, 8, 12.6, 16))],
        "two paths joined": [(1, (2, 3, 11.2, 15)), (1, (8, 9, 17, 24))],
        "two paths crossed": [(1, (2, 3, 11.2, 15)), (3, (8, 9, 17, 24))],
        "two paths without their common part": [(1, (2, 3, 11, 15)), (0, (8, 9, 17, 24))],
        "a path that only cuts": [(2, (4, 6, 15, 21))],
    }
    found = [DrawnCase(name, partial(_masked, boxes)) for name, boxes in paths.items()]
    found += [DrawnCase("a shape without pixels", _shape), DrawnCase("a round shape", _round)]
    for kind in (b"Lnr ", b"Rdl ", b"Rflc", b"Dmnd", b"Angl"):
        for degrees in (0, 90, 45) if kind == b"Lnr " else (0,):
            name = f"a gradient, {kind.decode().strip()} at {degrees}"
            found.append(DrawnCase(name, partial(_gradient, kind, degrees)))
    found.append(DrawnCase("a smooth gradient", partial(_gradient, b"Lnr ", 0, smooth=True)))
    found.append(DrawnCase("a pattern", _pattern, {b"Patt": pattern("tile", TILE)}))
    for mode in ("normal", "multiply"):
        found.append(DrawnCase(f"a colour overlay, {mode}", partial(_overlay, mode)))
    for kind, name in ((b"OutF", "outside"), (b"InsF", "inside"), (b"CtrF", "centred")):
        found.append(DrawnCase(f"a stroke {name}", partial(_stroke, kind, "normal")))
    found.append(DrawnCase("a stroke, multiply", partial(_stroke, b"CtrF", "multiply")))
    for mode in ("normal", "multiply"):
        found.append(DrawnCase(f"a drop shadow, {mode}", partial(_shadow, mode)))
    found.append(DrawnCase("an outer glow", _glow))
    found.append(DrawnCase("an outer glow with a contour", partial(_glow, (0.6, 0.3))))
    found.append(DrawnCase("a thin mask", partial(_soft, density=100)))
    found.append(DrawnCase("a feathered mask", partial(_soft, feather=1.5)))
    return found


def _around(nodes: list[Node]) -> Document:
    document = plain()
    document.nodes[1:2] = nodes
    return document


def _straight(premultiplied: np.ndarray) -> np.ndarray:
    alpha = premultiplied[..., 3:]
    return np.dstack([premultiplied[..., :3] / np.where(alpha > 0, alpha, 1), alpha])


def _image(rgb: np.ndarray | tuple[float, ...], alpha: np.ndarray) -> np.ndarray:
    """Returns samples of 16 bits (h, w, 4) of levels of 255 and an alpha in [0, 1]."""
    levels = np.broadcast_to(np.asarray(rgb, float), (*alpha.shape, 3))
    return np.dstack([levels / 255, alpha]).clip(0, 1) * 65535 // 1


def _node(name: str, rgb: np.ndarray | tuple[float, ...], alpha: np.ndarray, mode: str = "normal") -> Node:
    return Node(name=name, image=_image(rgb, alpha).astype(np.int64), mode=mode)


def _empty(**blocks: bytes) -> Node:
    named = {name.encode(): data for name, data in blocks.items()}
    return Node(name="subject", image=np.zeros((0, 0, 4), np.int64), blocks=named)


def _overlap(start: float, end: float, size: int) -> np.ndarray:
    places = np.arange(size)
    return np.clip(np.minimum(places + 1, end) - np.maximum(places, start), 0, 1)


def _box(top: float, left: float, bottom: float, right: float) -> np.ndarray:
    """Returns the share of each pixel that a rectangle covers."""
    return np.outer(_overlap(top, bottom, HEIGHT), _overlap(left, right, WIDTH))


def _masked(boxes: list[tuple[int, Corners]]) -> Stored:
    cover = np.ones((HEIGHT, WIDTH)) if boxes[0][0] == 2 else np.zeros((HEIGHT, WIDTH))
    for operation, corners in boxes:
        box = _box(*corners)
        cover = (
            cover + box - 2 * cover * box, cover + box - cover * box, cover * (1 - box), cover * box,
        )[operation]  # fmt: skip
    paths = [rectangle(*corners, operation=operation) for operation, corners in boxes]
    stored = plain().subject()
    shown = replace(stored, mask=Mask(levels=np.rint(cover * 255).astype(np.uint8)))
    stored.blocks = {b"vmsk": vector_mask(paths, HEIGHT, WIDTH)}
    return stored, [shown]


def _shape() -> Stored:
    corners = (3.2, 4.0, 15.6, 21.0)
    path = vector_mask([rectangle(*corners)], HEIGHT, WIDTH)
    stored = _empty(SoCo=settings(b"null", [(b"Clr ", colour(*RED))]), vmsk=path)
    return stored, [_node("subject", RED, _box(*corners))]


def _round() -> Stored:
    x, y, radius = 14.0, 10.0, 7.5
    handle = radius * 0.55228475
    knots: list[tuple[Point, Point, Point]] = []
    for turn in range(4):
        cosine, sine = (1, 0, -1, 0)[turn], (0, 1, 0, -1)[turn]
        anchor = (x + radius * cosine, y + radius * sine)
        before = (anchor[0] + handle * sine, anchor[1] - handle * cosine)
        knots.append((before, anchor, (2 * anchor[0] - before[0], 2 * anchor[1] - before[1])))
    fine = 32
    down, aside = np.mgrid[: HEIGHT * fine, : WIDTH * fine] / fine + 0.5 / fine
    inside = np.hypot(down - y, aside - x) <= radius
    cover = inside.reshape(HEIGHT, fine, WIDTH, fine).mean(axis=(1, 3))
    path = vector_mask([(1, knots)], HEIGHT, WIDTH)
    stored = _empty(SoCo=settings(b"null", [(b"Clr ", colour(*BLUE))]), vmsk=path)
    return stored, [_node("subject", BLUE, cover)]


def _gradient(kind: bytes, degrees: float, *, smooth: bool = False) -> Stored:
    fill = gradient(kind, [(0, RED), (4096, BLUE)], degrees, 4096 if smooth else 0)
    turn = math.radians(degrees)
    length = min(WIDTH / max(abs(math.cos(turn)), 1e-9), HEIGHT / max(abs(math.sin(turn)), 1e-9))
    image = np.zeros((HEIGHT, WIDTH, 3))
    for row in range(HEIGHT):
        for column in range(WIDTH):
            right, up = column - WIDTH / 2, HEIGHT / 2 - row
            along = (right * math.cos(turn) + up * math.sin(turn)) / length
            across = (up * math.cos(turn) - right * math.sin(turn)) / length
            share = {
                b"Lnr ": along + 0.5,
                b"Rdl ": 2 * math.hypot(along, across),
                b"Rflc": 2 * abs(along),
                b"Dmnd": 2 * (abs(along) + abs(across)),
                b"Angl": math.atan2(across, along) / (2 * math.pi) % 1,
            }[kind]
            share = min(max(share, 0), 1)
            if smooth:
                share = 0.5 * share + 1.5 * share**2 - share**3
            image[row, column] = np.array(RED) + share * (np.array(BLUE) - np.array(RED))
    return _empty(GdFl=settings(b"null", fill)), [_node("subject", image, np.ones((HEIGHT, WIDTH)))]


def _pattern() -> Stored:
    fill = [
        (b"Ptrn", object_of(b"Ptrn", [(b"Nm  ", text("tile")), (b"Idnt", text("tile"))])),
        (b"phase", object_of(b"Pnt ", [(b"Hrzn", double(2)), (b"Vrtc", double(-1))])),
    ]
    rows, columns = (np.arange(HEIGHT) + 1) % 5, (np.arange(WIDTH) - 2) % 7
    image = TILE[rows[:, None], columns]
    return _empty(PtFl=settings(b"null", fill)), [_node("subject", image, np.ones((HEIGHT, WIDTH)))]


PLATE = (6, 8, 14, 20)
"""Top, left, bottom and right of the layer that has effects."""


def _plate(name: bytes, items: list[Item], opacity: float, mode: str) -> tuple[Node, np.ndarray]:
    """Returns an opaque layer with an effect, and its shape."""
    shape = _box(*PLATE)
    common = [(b"Md  ", choice(b"BlnM", MODES[mode])), (b"Opct", percent(opacity)), *items]
    stored = _node("subject", BLUE, shape)
    stored.blocks = {b"lfx2": effects((name, common))}
    return stored, shape


def _overlay(mode: str) -> Stored:
    stored, shape = _plate(b"SoFi", [(b"Clr ", colour(*RED))], 60, mode)
    own, over = np.array(BLUE) / 255, np.array(RED) / 255
    mixed = own * 0.4 + 0.6 * (over if mode == "normal" else over * own)
    return stored, [_node("subject", tuple(mixed * 255), shape)]


def _stroke(kind: bytes, mode: str) -> Stored:
    size, opacity = 3.0, 70.0
    items = [
        (b"Styl", choice(b"FStl", kind)),
        (b"PntT", choice(b"FrFl", b"SClr")),
        (b"Sz  ", pixels(size)),
        (b"Clr ", colour(*RED)),
    ]
    stored, shape = _plate(b"FrFX", items, opacity, mode)
    low, high = {b"OutF": (0, size), b"InsF": (-size, 0), b"CtrF": (-size / 2, size / 2)}[kind]
    inside = np.argwhere(shape > 0)
    around = np.argwhere(np.pad(shape, 4) == 0) - 4
    band, within = np.zeros(shape.shape), np.zeros(shape.shape)
    for place in np.argwhere(np.ones(shape.shape)):
        other = around if shape[tuple(place)] else inside
        near = np.hypot(*(other - place).T).min() - 0.5
        far = -near if shape[tuple(place)] else near
        cover = np.clip(high - far + 0.5, 0, 1) * np.clip(far - low + 0.5, 0, 1)
        band[tuple(place)] = cover
        within[tuple(place)] = cover if shape[tuple(place)] else 0
    kept = shape - within
    share = np.divide(band * opacity / 100, 1 - kept, out=np.zeros_like(band), where=kept < 1)
    return stored, [_node("stroke", RED, share, mode), _node("subject", BLUE, kept)]


def _averaged(image: np.ndarray, width: int) -> np.ndarray:
    """Averages over an odd width, along rows and columns."""
    half = width // 2
    padded = np.pad(image, half)
    rows = np.mean([padded[:, start : start + image.shape[1]] for start in range(width)], axis=0)
    return np.mean([rows[start : start + image.shape[0]] for start in range(width)], axis=0)


def _shadow(mode: str) -> Stored:
    items = [
        (b"Clr ", colour(*RED)),
        (b"uglg", switch(False)),
        (b"lagl", angle(135)),
        (b"Dstn", pixels(4)),
        (b"Ckmt", pixels(0)),
        (b"blur", pixels(3)),
        (b"Nose", percent(0)),
        (b"layerConceals", switch(True)),
    ]
    stored, shape = _plate(b"DrSh", items, 75, mode)
    # four pixels away from a light in the upper left: nearly three each way
    moved = np.roll(_averaged(_averaged(shape, 3), 3), (3, 3), (0, 1))
    return stored, [_node("shadow", RED, moved * 0.75 * (shape == 0), mode), _node("subject", BLUE, shape)]


def _curve(through: tuple[float, float], places: np.ndarray) -> np.ndarray:
    """Returns the natural cubic spline from (0, 0) through a point to (1, 1)."""
    x, y = through
    bend = 3 * ((1 - y) / (1 - x) - y / x)  # its second derivative there; at the ends it is 0
    low = bend * places**3 / (6 * x) + (y / x - bend * x / 6) * places
    rest = 1 - places
    high = bend * rest**3 / (6 * (1 - x)) + (y / (1 - x) - bend * (1 - x) / 6) * rest + (places - x) / (1 - x)
    return np.where(places < x, low, high)


def _glow(through: tuple[float, float] | None = None) -> Stored:
    items = [
        (b"Clr ", colour(*RED)),
        (b"GlwT", choice(b"BETE", b"SfBL")),
        (b"Ckmt", pixels(0)),
        (b"blur", pixels(5)),
        (b"Nose", percent(0)),
        (b"Inpr", percent(50)),
    ]
    if through is not None:
        points = [(0.0, 0.0), through, (1.0, 1.0)]
        curve = [
            object_of(b"CrPt", [(b"Hrzn", double(x * 255)), (b"Vrtc", double(y * 255))]) for x, y in points
        ]
        items.append((b"TrnS", object_of(b"ShpC", [(b"Nm  ", text("own")), (b"Crv ", many(curve))])))
    stored, shape = _plate(b"OrGl", items, 80, "screen")
    near = np.clip(_averaged(_averaged(shape, 5), 5) * 2, 0, 1)
    near = near if through is None else np.clip(_curve(through, near), 0, 1)
    return stored, [_node("glow", RED, near * 0.8 * (shape == 0), "screen"), _node("subject", BLUE, shape)]


def _soft(*, density: int = 255, feather: float = 0) -> Stored:
    levels = np.zeros((HEIGHT, WIDTH), np.uint8)
    levels[5:15, 8:22] = 255
    stored = plain().subject()
    seen = levels / 255
    if feather:
        reach = np.arange(-12, 13)
        weights = np.exp(-(reach**2) / (2 * feather**2))
        weights /= weights.sum()
        padded = np.pad(seen, 12)
        rows = np.sum([w * padded[:, n : n + WIDTH] for n, w in enumerate(weights)], axis=0)
        seen = np.sum([w * rows[n : n + HEIGHT] for n, w in enumerate(weights)], axis=0)
    hidden = round(255 * (1 - density / 255))
    mask = Mask(levels=np.rint(255 - (255 - seen * 255) * density / 255).astype(np.uint8), outside=hidden)
    shown = replace(stored, mask=mask)
    stored.mask = Mask(levels=levels, density=density, feather=feather)
    return stored, [shown]
