"""Pages to look at a set: one image whole, and the whole set as plots, licences and a contact sheet."""

import html
import io
import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pellucid.data.records import Record
from pellucid.errors import InputError, missing_package
from pellucid.files.atomic import write_atomically
from pellucid.files.html import html_page, html_table
from pellucid.files.images import encode_image
from pellucid.rgba.compositing import flatten, opaque
from pellucid.rgba.preview import contact_sheet, on_checkerboard, thumbnail
from pellucid.rgba.quantization import to_bytes, to_float
from pellucid.rgba.types import RGBA8

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHEET_COUNT = 96
THUMBNAIL_PX = 96
BACKGROUNDS = ("#000000", "#ffffff", "#808080")
COMMON_WORDS = frozenset({"a", "an", "the", "of", "in", "on", "with", "and", "to", "icon", "3d", "glossy"})


@dataclass(slots=True)
class SetSummary:
    """What a set holds, collected in one pass that keeps no more than `SHEET_COUNT` thumbnails."""

    images: int = 0
    held_out: int = 0
    without_caption: int = 0
    soft: list[float] = field(default_factory=list)
    visible: list[float] = field(default_factory=list)
    sides: list[int] = field(default_factory=list)
    fringe: list[float] = field(default_factory=list)
    licences: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """Images by licence, source and attribution."""
    groups: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)
    thumbnails: list[tuple[RGBA8, str]] = field(default_factory=list)
    """Drawn evenly from all images, with their labels."""

    @property
    def truly_transparent(self) -> int:
        """Returns how many images show more than a trace of glass, smoke or glow."""
        return sum(value > 0.01 for value in self.soft)


def summarise(samples: Iterable[tuple[Record, RGBA8]], *, seed: int = 0) -> SetSummary:
    """Collects what a page shows.

    Args:
        samples: records and images, uint8 (h, w, 4).
        seed: of the draw of thumbnails.
    """
    summary, draw = SetSummary(), random.Random(seed)
    for record, rgba in samples:
        summary.images += 1
        summary.held_out += record.held_out
        summary.without_caption += not record.label.strip()
        summary.soft.append(record.soft)
        summary.visible.append(float((rgba[..., 3] > 12).mean()))
        summary.sides.append(max(rgba.shape[:2]))
        if "fringe" in record.scores:
            summary.fringe.append(record.scores["fringe"])
        licence = record.licence or "not stated"
        summary.licences[licence, record.source, record.attribution or "not stated"] += 1
        summary.groups[record.group or "none"] += 1
        # single words: whole labels hardly repeat, and what a set is full of would not show
        summary.words.update(
            word for word in record.label.lower().replace(",", " ").split() if word not in COMMON_WORDS
        )
        # reservoir sampling: every image of a stream of unknown length has the same chance
        place = len(summary.thumbnails) if summary.images <= SHEET_COUNT else draw.randrange(summary.images)
        if place < SHEET_COUNT:
            small = (thumbnail(rgba, THUMBNAIL_PX), record.label)
            summary.thumbnails[place : place + 1] = [small]
    return summary


def write_page(
    summary: SetSummary, folder: Path, title: str, manifest: Mapping[str, object] | None = None
) -> Path:
    """Writes index.html with its images into a folder and returns the page's path; it needs no network.

    Args:
        summary: of the set.
        folder: of the page.
        title: name of the set.
        manifest: of an ingest, whose funnel the page then shows.

    Raises:
        InputError: the set is empty, or matplotlib is not installed.
    """
    if not summary.images:
        raise InputError("Expected a set with images, found an empty one. Name another.")
    # files beside the page, not inside it: a page of a megabyte of base64 opens slowly and cannot be compared
    folder.mkdir(parents=True, exist_ok=True)
    sheet = contact_sheet(
        [image for image, _ in summary.thumbnails],
        labels=[label for _, label in summary.thumbnails],
        columns=12,
        cell_px=8,
    )
    write_atomically(folder / "sheet.png", encode_image(opaque(sheet)))
    plots = _plots(summary)
    for name, content in plots.items():
        write_atomically(folder / f"{name}.svg", content)
    page = _html(summary, title, tuple(plots), manifest or {})
    write_atomically(folder / "index.html", page.encode())
    return folder / "index.html"


def inspection_sheet(rgba: RGBA8) -> RGBA8:
    """Lays an image on a checkerboard and three plain colours, and shows its alpha: uint8 (h, n, 4).

    Args:
        rgba: uint8 (h, w, 4), straight alpha.
    """
    shown = [on_checkerboard(rgba)]
    shown += [to_bytes(flatten(to_float(rgba), colour)) for colour in BACKGROUNDS]
    shown.append(np.repeat(rgba[..., 3:], 3, axis=2))
    gap = np.full((rgba.shape[0], 8, 3), 255, np.uint8)
    strip = np.concatenate([part for image in shown for part in (image, gap)][:-1], axis=1)
    return opaque(strip)


def _plots(summary: SetSummary) -> dict[str, bytes]:
    """Draws the plots as SVG, by name; those without data are left out."""
    plots = {
        "side": _histogram(summary.sides, "longer side, px", 24),
        "visible": _histogram(
            [100 * value for value in summary.visible], "visible share of the image, %", 20
        ),
        "soft": _histogram([100 * value for value in summary.soft], "soft share of what is visible, %", 20),
        "fringe": _histogram(summary.fringe, "fringe, levels", 24),
        "words": _bars(summary.words.most_common(20)),
    }
    return {name: content for name, content in plots.items() if content}


def _histogram(values: Sequence[float], label: str, bins: int) -> bytes:
    figure, axes = _axes()
    if not values:
        return b""
    if len(set(values)) == 1:  # a bar of some width, where a histogram would invent fractions
        axes.bar([str(values[0])], [len(values)], width=0.1, color="#4a7ebb")
        axes.set_xlim(-0.5, 0.5)
    else:
        axes.hist(values, bins=bins, color="#4a7ebb")
    axes.set(xlabel=label, ylabel="images")
    return _svg(figure)


def _bars(counts: Sequence[tuple[str, int]]) -> bytes:
    figure, axes = _axes()
    if not counts:
        return b""
    axes.barh([word for word, _ in counts][::-1], [count for _, count in counts][::-1], color="#4a7ebb")
    axes.set(xlabel="images whose label has this word")
    axes.tick_params(axis="y", labelsize=8)
    return _svg(figure)


def _axes() -> "tuple[Figure, Axes]":
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_package("matplotlib", "the plots of a page", "report") from error
    figure = Figure(figsize=(4.6, 3), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: "Figure") -> bytes:
    file = io.BytesIO()
    # without a date and with fixed ids, the same set gives the same page
    import matplotlib as mpl

    with mpl.rc_context({"svg.hashsalt": "pellucid"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def _html(summary: SetSummary, title: str, plots: Sequence[str], manifest: Mapping[str, object]) -> str:
    n_licences = len({licence for licence, _, _ in summary.licences})
    numbers = [
        ("images", summary.images),
        ("held out for measuring", summary.held_out),
        ("glass, smoke or glow", summary.truly_transparent),
        ("licence" if n_licences == 1 else "licences", n_licences),
    ]
    if summary.without_caption:
        numbers.append(("without a caption", summary.without_caption))
    body = [
        f"<h1>{html.escape(title)}</h1><div class=numbers>",
        *(f"<div><b>{value:,}</b>{name}</div>" for name, value in numbers),
        "</div>",
    ]
    if dropped := manifest.get("dropped"):
        rows = [("listed", manifest["listed"]), *dict(dropped).items(), ("kept", manifest["images"])]  # type: ignore[call-overload]
        body += ["<h2>Funnel</h2>", html_table(("step", "images"), rows)]
    body += [
        "<h2>Images</h2>",
        f'<img src="sheet.png" alt="{len(summary.thumbnails)} images of the set, drawn evenly">',
        "<h2>Measures</h2><div class=plots>",
        *(f'<img src="{name}.svg" alt="Histogram: {name}">' for name in plots),
        "</div><h2>Licences</h2>",
        html_table(
            ("licence", "source", "attribution", "images"),
            [(*key, count) for key, count in summary.licences.most_common()],
        ),
        "<h2>Groups</h2>",
        html_table(("group", "images"), summary.groups.most_common(40)),
    ]
    return html_page(title, "".join(body))


def read_manifest(folder: Path) -> Mapping[str, object] | None:
    """Reads the manifest of an ingest, if the folder has one."""
    path = folder / "manifest.json"
    return json.loads(path.read_text()) if path.is_file() else None
