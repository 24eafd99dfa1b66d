"""What a PSD tells and does not store is drawn where its own image proves the drawing, and else refused."""

import contextlib
import json
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from corpus.descriptors import (
    Item,
    angle,
    choice,
    colour,
    effects,
    pixels,
    rectangle,
    settings,
    switch,
    vector_mask,
)
from corpus.drawn import DrawnCase, drawn_cases
from corpus.features import one_clipped, singles
from corpus.model import HEIGHT, WIDTH, Document, Mask, Node, plain
from corpus.psd import flat_bytes, psd_bytes
from corpus.render import render
from pellucid.errors import FileError, FileWarning
from pellucid.scene.formats.psd_agreement import Agreement, compare, rows_of
from pellucid.scene.scene import Scene
from scene.psd_files import RGB, Stored, psd_file

LEVELS = 1.5
"""Of a layer, its mask or effect, and the whole, each rounded once."""
CASES = {case.name: case for case in drawn_cases()}
STROKE: list[Item] = [
    (b"Md  ", choice(b"BlnM", b"Nrml")),
    (b"Styl", choice(b"FStl", b"OutF")),
    (b"PntT", choice(b"FrFl", b"SClr")),
    (b"Sz  ", pixels(2)),
    (b"Clr ", colour(10, 20, 30)),
]


def saved(document: Document, folder: Path) -> Path:
    (folder / "x.psd").write_bytes(psd_bytes(document))
    return folder / "x.psd"


def differing(image: np.ndarray, truth: np.ndarray) -> float:
    levels = image / 255
    levels[..., :3] *= levels[..., 3:]
    return float(np.abs(levels - truth).max() * 255)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_told_is_drawn_and_said(case: DrawnCase, tmp_path: Path) -> None:
    document, truth = case.document()
    with pytest.warns(FileWarning, match=r"'subject' .*that was drawn as pixels") as caught:
        scene = Scene.open(saved(document, tmp_path))
    assert len(caught) == 1
    assert differing(scene.composite(), truth) < LEVELS
    assert [layer.name for layer in scene.layers if ":" not in layer.name] == ["low", "subject", "top"]
    for ending in ("psd", "zip"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            again = Scene.open(scene.save(tmp_path / f"y.{ending}"))
        assert differing(again.composite(), truth) < LEVELS + 0.5


@pytest.mark.parametrize(
    "name", ["a path on pixels", "a smooth gradient", "a stroke outside", "a drop shadow, normal"]
)
def test_a_drawing_that_is_not_the_files_own_image_is_refused(name: str, tmp_path: Path) -> None:
    document, _ = CASES[name].document()
    assert document.merged is not None
    document.merged[12:16, 17:24, :3] ^= 32  # as if it were drawn in another way
    path = saved(document, tmp_path)
    with pytest.raises(FileError, match=r"'subject' .*drawn here it is off the file's own image by up to"):
        Scene.open(path)
    with pytest.warns(FileWarning, match="flattened image is taken instead"):
        flat = Scene.open(path, unsupported="flatten").composite()
    assert compare(flat, document.merged, None).furthest <= 1
    with pytest.warns(FileWarning, match=r"'subject' .* is left out"):
        Scene.open(path, unsupported="skip")


@pytest.mark.parametrize("name", ["a shape without pixels", "an outer glow"])
def test_nothing_is_drawn_without_an_image_to_compare(name: str, tmp_path: Path) -> None:
    document, _ = CASES[name].document()
    document.merged = None
    with pytest.raises(FileError, match=r"'subject' .*holds no image of the whole to compare"):
        Scene.open(saved(document, tmp_path))


def other(changed: dict[bytes, bytes], kind: bytes = b"FrFX") -> Callable[[Document], None]:
    """Gives the subject an effect that differs from a plain stroke."""

    def change(document: Document) -> None:
        items = [(name, changed.get(name, value)) for name, value in STROKE]
        items += [(name, value) for name, value in changed.items() if name not in dict(STROKE)]
        document.subject().blocks = {b"lfx2": effects((kind, items))}

    return change


def on_a_group(document: Document) -> None:
    document.folder().blocks = {b"lfx2": effects((b"FrFX", STROKE))}


def under_clipped(document: Document) -> None:
    other({b"Styl": choice(b"FStl", b"InsF")})(document)
    one_clipped(document)


def of_clipped(document: Document) -> None:
    other({})(document)
    document.subject().clipped = True


def two_strokes(document: Document) -> None:
    document.subject().blocks = {b"lfx2": effects((b"FrFX", STROKE), (b"frfx", STROKE))}


def turned(document: Document) -> None:
    document.subject().blocks = {b"vmsk": struct.pack(">II", 3, 1) + vector_mask([], HEIGHT, WIDTH)[8:]}


SHADOW = {b"lagl": angle(90), b"Dstn": pixels(3), b"blur": pixels(4)}


@pytest.mark.parametrize(
    "change",
    [
        other({}, b"ebbl"),
        other({}, b"IrSh"),
        other({b"PntT": choice(b"FrFl", b"GrFl")}),
        other({b"Sz  ": pixels(400)}),
        other({b"Md  ": choice(b"BlnM", b"Dslv")}),
        other({b"overprint": switch(True)}),
        other({**SHADOW, b"Nose": pixels(5)}, b"DrSh"),
        other({**SHADOW, b"blur": pixels(500)}, b"DrSh"),
        other({**SHADOW, b"GlwT": choice(b"BETE", b"PrBL")}, b"OrGl"),
        on_a_group,
        under_clipped,
        of_clipped,
        two_strokes,
        turned,
    ],
)
def test_other_effects_are_not_tried(change: Callable[[Document], None], tmp_path: Path) -> None:
    document = plain()
    change(document)
    document.merged = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    with pytest.raises(FileError, match=r"has (effects|a vector mask, of which no pixels are stored)[.] "):
        Scene.open(saved(document, tmp_path))


def test_a_group_is_cut_by_its_path(tmp_path: Path) -> None:
    document = plain()
    folder = document.folder()
    folder.blocks = {b"vmsk": vector_mask([rectangle(5, 6, 14, 20)], HEIGHT, WIDTH)}
    wanted = plain()
    levels = np.zeros((HEIGHT, WIDTH), np.uint8)
    levels[5:14, 6:20] = 255
    wanted.folder().mask = Mask(levels=levels)
    truth = render(wanted)
    alpha = truth[..., 3:]
    straight = np.dstack([truth[..., :3] / np.where(alpha > 0, alpha, 1), alpha])
    document.merged = np.floor(straight * 255 + 0.5).astype(np.uint8)
    with pytest.warns(FileWarning, match="'folder' has a vector mask"):
        scene = Scene.open(saved(document, tmp_path))
    assert differing(scene.composite(), truth) < LEVELS
    mask = scene.layers[1].groups[0].mask
    assert mask is not None
    assert mask.image.shape == (9, 14)


def test_a_path_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    document = plain()
    document.subject().blocks = {b"vmsk": struct.pack(">IIH24x", 3, 0, 77)}
    with pytest.raises(FileError, match="'subject' has a vector mask that cannot be read"):
        Scene.open(saved(document, tmp_path))


def test_a_path_of_too_many_pieces_is_refused_at_once(tmp_path: Path) -> None:
    dice = np.random.default_rng(0)
    # each curve crosses the whole canvas, and comes back in another place
    places = dice.uniform(-90, 90, (4000, 3, 2)).tolist()
    knots = [((a[0], a[1]), (b[0], b[1]), (c[0], c[1])) for a, b, c in places]
    document = plain()
    document.subject().blocks = {b"vmsk": vector_mask([(1, knots)], HEIGHT, WIDTH)}
    document.merged = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    with pytest.raises(FileError, match=r"damaged|drawn here it is off"):
        Scene.open(saved(document, tmp_path))


def test_the_program_says_what_was_drawn(tmp_path: Path) -> None:
    path = saved(CASES["a drop shadow, multiply"].document()[0], tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "pellucid", "show", str(path), "--json"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "was drawn as pixels" in done.stderr
    assert "was drawn as pixels" in json.loads(done.stdout)["warnings"][0]
    assert "subject: drop shadow" in done.stdout


def test_a_small_wrong_thing_on_a_large_canvas_is_not_right() -> None:
    truth = np.full((1000, 1000, 4), 255, np.uint8)
    image, smoothed = truth.copy(), np.zeros((1000, 1000), bool)
    image[500, 500, 1] = 252
    assert not compare(image, truth, None).is_right
    smoothed[499:502, 499:502] = True
    assert compare(image, truth, smoothed).is_right  # one sample of an edge
    image[499:502, 499:502] = (0, 200, 0, 255)
    found = compare(image, truth, smoothed)
    assert found.share_close > 0.9999
    assert not found.is_right
    assert not Agreement(0, 0, 0, 0.99, 0).is_right
    assert not Agreement(2, 0, 0, 1, 0.3).is_right


def test_a_stroke_takes_the_place_of_what_it_covers(tmp_path: Path) -> None:
    node: Node = CASES["a stroke inside"].build()[0]
    assert node.image is not None
    with pytest.warns(FileWarning):
        scene = Scene.open(saved(CASES["a stroke inside"].document()[0], tmp_path))
    stroke, subject = scene.layers[1:3]
    assert stroke.name == "subject: stroke"
    assert not subject.image[6:9, 8:20, 3].any()
    assert (subject.image[9:11, 11:17, 3] == 255).all()


def test_fills_of_light_are_compared(tmp_path: Path) -> None:
    flat = np.zeros((3, 6, 8))
    flat[0] = 0.25
    fill = settings(b"null", [(b"Clr ", colour(63.75, 0, 0))])
    real = struct.pack(">IB", 1, 1) + bytes(8) + struct.pack(">I", 1)
    layers = [Stored({number: np.full((6, 8), 0.5) for number in range(3)}), Stored({}, tags={b"SoCo": fill})]
    (tmp_path / "x.psd").write_bytes(psd_file(RGB, 32, flat, layers, {1057: real}))
    with pytest.warns(FileWarning, match="in 32 bits is light .* drawn as pixels"):
        scene = Scene.open(tmp_path / "x.psd")
    assert scene.composite()[0, 0].tolist() == [137, 0, 0, 255]
    assert scene.blend_profile is None  # nothing shows another through


def text_on(backdrop: tuple[int, int, int], colour: tuple[int, int, int], gamma: float) -> Document:
    """Text on a plain ground, whose edges were mixed on light to the power of 1 / gamma."""
    from pellucid.rgba.srgb import decode_srgb, encode_srgb

    ground = np.full((HEIGHT, WIDTH, 4), 65535)
    ground[..., :3] = np.array(backdrop) * 257
    letters = np.zeros((HEIGHT, WIDTH, 4), np.int64)
    letters[..., :3] = np.array(colour) * 257
    letters[4:16, 3:25, 3] = np.random.default_rng(5).integers(0, 256, (12, 22)) * 257
    share = letters[..., 3:] / 65535
    below, own = (decode_srgb(np.array(each) / 255) ** (1 / gamma) for each in (backdrop, colour))
    mixed = encode_srgb(((1 - share) * below + share * own) ** gamma)
    text = Node(name="text", image=letters, blocks={b"TySh": bytes(8)})
    document = Document(nodes=[Node(name="ground", image=ground), text])
    document.merged = np.dstack([np.rint(mixed * 255), np.full((HEIGHT, WIDTH), 255)]).astype(np.uint8)
    return document


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (227, 0, 0), (30, 200, 90)])
@pytest.mark.parametrize("backdrop", [(255, 255, 255), (0, 0, 0), (90, 120, 200)])
def test_edges_of_text_are_mixed_with_the_programs_gamma(
    backdrop: tuple[int, int, int], colour: tuple[int, int, int], tmp_path: Path
) -> None:
    if backdrop == colour:
        return
    document = text_on(backdrop, colour, 1.45)
    assert document.merged is not None
    path = saved(document, tmp_path)
    with pytest.warns(FileWarning, match="edges of its text"):
        scene = Scene.open(path)
    assert compare(scene.composite(), document.merged, None).furthest <= 1.5
    again = Scene.open(scene.save(tmp_path / "y.psd"))
    assert compare(again.composite(), document.merged, None).furthest <= 1.5


@pytest.mark.parametrize("change", ["another gamma", "none", "no image", "half seen"])
def test_text_stays_as_it_is_stored_where_that_proves_nothing(change: str, tmp_path: Path) -> None:
    document = text_on((255, 255, 255), (227, 0, 0), 3 if change == "another gamma" else 1.45)
    text = document.nodes[1]
    if change == "none":
        alpha = document.samples(text)[..., 3:] / 255
        plain = 255 * (1 - alpha) + np.array((227, 0, 0)) * alpha
        document.merged = np.dstack([np.rint(plain), np.full((HEIGHT, WIDTH), 255)]).astype(np.uint8)
    elif change == "no image":
        document.merged = None
    elif change == "half seen":
        text.opacity = 128
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scene = Scene.open(saved(document, tmp_path))
    assert np.array_equal(scene.layers[1].image, document.samples(text))


@pytest.mark.parametrize("end", [-1, -40])
def test_text_opens_though_the_image_of_the_whole_is_cut_off(end: int, tmp_path: Path) -> None:
    document = text_on((255, 255, 255), (227, 0, 0), 1.45)
    (tmp_path / "x.psd").write_bytes(psd_bytes(document)[:end])
    assert np.array_equal(Scene.open(tmp_path / "x.psd").layers[1].image, document.samples(document.nodes[1]))


@pytest.mark.parametrize("compression", [1, 2])
def test_a_flattened_image_that_cannot_be_unpacked_is_damaged(compression: int, tmp_path: Path) -> None:
    dice = np.random.default_rng(0)
    content = flat_bytes(dice.integers(0, 256, (20, 30, 3), np.uint8), compression=compression)
    for _ in range(40):
        damaged = bytearray(content)
        damaged[-900 + int(dice.integers(880))] ^= 1 << int(dice.integers(8))
        (tmp_path / "x.psd").write_bytes(damaged)
        with contextlib.suppress(FileError):
            Scene.open(tmp_path / "x.psd")


def test_rows_of_a_scene_are_those_of_the_whole(tmp_path: Path) -> None:
    cases = [case for case in singles() if case.ending == "psd" and not case.refused()][::9]
    for case in cases:
        (tmp_path / "x.psd").write_bytes(case.content())
        scene = Scene.open(tmp_path / "x.psd")
        assert np.array_equal(rows_of(scene, slice(5, 17)).composite(), scene.composite()[5:17]), case.name
