"""Documents by the specifications show what they should, each feature alone and with every other one."""

import struct
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from corpus.features import Case, pairs, singles
from corpus.model import HEIGHT, WIDTH, Document, plain
from corpus.psd import psd_bytes
from corpus.refusals import refusals
from corpus.render import differences, has_steps
from pellucid.errors import FileError
from pellucid.scene.scene import Scene

LEVELS = 1.01
"""Alpha and colour are rounded once each, and premultiplied after that."""


def far_off(case: Case, folder: Path) -> str:
    """Says how a document is shown otherwise than it should be; nothing if it is right."""
    path = folder / f"x.{case.ending}"
    path.write_bytes(case.content())
    try:
        scene = Scene.open(path)
    except FileError as error:
        return "" if case.refused() else f"refused: {str(error)[:200]}"
    if case.refused():
        return "opened"
    document = case.build()
    found = differences(scene.composite(), document)
    # a feature for itself meets no sums whose last bit decides
    steps = 1 if len(case.features) > 1 and has_steps(document) else 0
    if (found > LEVELS).sum() > steps:
        return f"{found.max():.2f} levels off, {(found > LEVELS).sum()} pixels"
    names = [node.name for node in document.walk() if node.children is None and node.name != "mask"]
    known = [layer.name for layer in scene.layers if layer.name != "mask"]
    return "" if names == known or "no unicode names" in document.options else f"named {known}"


def check_all(cases: Sequence[Case], folder: Path) -> None:
    """Fails with every case that is wrong, and the features that have most of them first."""
    wrong = {case.name: words for case in cases if (words := far_off(case, folder))}
    by_feature = Counter(feature.name for case in cases for feature in case.features if case.name in wrong)
    report = [f"{count} with {name}" for name, count in by_feature.most_common(12)]
    report += [f"{name}: {words}" for name, words in list(wrong.items())[:40]]
    assert not wrong, "\n".join([f"{len(wrong)} of {len(cases)} documents", *report])


def test_every_feature_alone(tmp_path: Path) -> None:
    check_all(singles(), tmp_path)


def test_some_pairs_of_features(tmp_path: Path) -> None:
    every = pairs()
    dice = np.random.default_rng(0)
    check_all([every[int(number)] for number in dice.permutation(len(every))[:700]], tmp_path)


@pytest.mark.slow
def test_every_pair_of_features(tmp_path: Path) -> None:
    check_all(pairs(), tmp_path)


@pytest.mark.parametrize(("change", "words"), refusals().values(), ids=refusals())
def test_what_cannot_be_shown_is_refused_by_name(
    change: Callable[[Document], None], words: str, tmp_path: Path
) -> None:
    document = plain()
    change(document)
    (tmp_path / "x.psd").write_bytes(psd_bytes(document))
    with pytest.raises(FileError, match=words):
        Scene.open(tmp_path / "x.psd")


@pytest.mark.parametrize(
    ("number", "name"),
    [(0, "BITMAP of 8 bits"), (4, "CMYK"), (7, "multichannel"), (8, "a duotone")],
)
def test_colours_that_nobody_knows_are_refused_by_name(number: int, name: str, tmp_path: Path) -> None:
    content = psd_bytes(plain())
    (tmp_path / "x.psd").write_bytes(content[:24] + struct.pack(">H", number) + content[26:])
    with pytest.raises(FileError, match=f"it is {name}"):
        Scene.open(tmp_path / "x.psd")


@pytest.mark.parametrize("compression", range(4))
def test_a_layer_that_declares_more_than_it_holds_takes_no_memory(compression: int, tmp_path: Path) -> None:
    document = plain()
    document.compression = compression
    declared, held = struct.pack(">4i", 0, 0, 9000, 9000), struct.pack(">4i", 0, 0, HEIGHT, WIDTH)
    (tmp_path / "x.psd").write_bytes(psd_bytes(document).replace(held, declared, 1))
    tracemalloc.start()
    with pytest.raises(FileError, match="damaged"):
        Scene.open(tmp_path / "x.psd")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 9000 * 9000
