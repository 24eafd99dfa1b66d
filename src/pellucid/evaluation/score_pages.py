"""The page of a result: figures with intervals, how they spread, and the worst cases to look at."""

import html
import io
import math
from collections.abc import Callable, Mapping

import numpy as np

from pellucid.errors import missing_package
from pellucid.evaluation.score_table import METRICS, Difference, ScoreTable
from pellucid.files.html import html_image, html_page, html_table
from pellucid.files.images import encode_image
from pellucid.files.tables import is_list, is_table
from pellucid.rgba.compositing import opaque
from pellucid.rgba.preview import on_checkerboard, thumbnail
from pellucid.rgba.types import RGBA8

WORST = 8
THUMBNAIL_PX = 160
WORST_OF = ("psnr", "mad", "soft_distance", "fringe", "hidden", "soft_iou")
"""Metrics whose worst images are shown, of those that a result has."""

Case = Callable[[str], list[RGBA8]]
"""Returns the images to show of a name, such as the judged and the true one."""


def score_page(title: str, table: ScoreTable, about: Mapping[str, object], cases: Case) -> str:
    """Returns a page that needs no other file and no network.

    Args:
        title: of the page.
        table: scores of all images.
        about: what the document of `score_table.document` says beside the scores.
        cases: images of a name.

    Raises:
        InputError: matplotlib is not installed.
    """
    order = "<p>Of each case below the judged image stands first, then the true one.</p>"
    parts = [f"<h1>{html.escape(title)}</h1>", _figures(table), order]
    for name in (name for name in WORST_OF if name in table.values):
        parts.append(f"<h2>Worst by {html.escape(METRICS[name].title)}</h2><div class=cases>")
        parts += [_case(image, value, name, cases) for image, value in table.worst(name, WORST)]
        parts.append("</div>")
    known = [name for name in METRICS if name in table.values]
    parts.append("<h2>Spread</h2><div class=plots>")
    parts += [html_image(_histogram(table, name), METRICS[name].title, kind="svg+xml") for name in known]
    parts += ["</div><h2>How it was made</h2>", html_table(("what", "value"), _lines(about))]
    return html_page(title, "".join(parts))


def comparison_page(title: str, first: str, second: str, found: Mapping[str, Difference]) -> str:
    """Returns a page of differences between two results, see `score_table.compare`."""
    rows = [
        (
            METRICS[name].title,
            _number(row.first),
            _number(row.second),
            f"{_number(apart.value)} [{_number(apart.low)}, {_number(apart.high)}]",
            {"first": first, "second": second, "neither": "not told apart"}[row.better],
            apart.n,
        )
        for name, row in found.items()
        for apart in (row.difference,)
    ]
    head = ("metric", first, second, "second minus first, 95 %", "better", "images")
    return html_page(title, f"<h1>{html.escape(title)}</h1>{html_table(head, rows)}")


def _figures(table: ScoreTable) -> str:
    arrows = {"higher": "↑", "lower": "↓", "neither": ""}
    rows = [
        (
            f"{METRICS[name].title} {arrows[METRICS[name].better]}",
            f"{_number(estimate.value)} {METRICS[name].unit}",
            f"{_number(estimate.low)} to {_number(estimate.high)}",
            estimate.n,
            METRICS[name].source,
        )
        for name, estimate in table.summary().items()
    ]
    return html_table(("metric", "mean", "interval of 95 %", "images", "source"), rows)


def _case(name: str, value: float, metric: str, cases: Case) -> str:
    shown = [on_checkerboard(thumbnail(rgba, THUMBNAIL_PX), cell_px=8) for rgba in cases(name)]
    side = max(max(image.shape[:2]) for image in shown)
    cells = [_centred(image, side) for image in shown]
    strip = np.concatenate(cells, axis=1)
    content = encode_image(opaque(strip))
    text = f"{name}: {_number(value)} {METRICS[metric].unit}"
    return f"<figure>{html_image(content, text)}<figcaption>{html.escape(text)}</figcaption></figure>"


def _centred(image: np.ndarray, side: int) -> np.ndarray:
    whole = np.full((side, side + 8, 3), 255, np.uint8)
    top, left = (side - image.shape[0]) // 2, (side - image.shape[1]) // 2
    whole[top : top + image.shape[0], left : left + image.shape[1]] = image
    return whole


def _histogram(table: ScoreTable, name: str) -> bytes:
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_package("matplotlib", "the plots of a page", "eval") from error
    figure: Figure = Figure(figsize=(4.2, 2.4), layout="constrained")
    axes = figure.subplots()
    known = [value for value in table.values[name] if not math.isnan(value)]
    axes.hist(known, bins=24, color="#4a7ebb")
    axes.spines[["top", "right"]].set_visible(False)
    unit = f", {METRICS[name].unit}" if METRICS[name].unit else ""
    axes.set(xlabel=f"{METRICS[name].title}{unit}", ylabel="images")
    file = io.BytesIO()
    # without a date and with fixed ids, the same scores give the same page
    with mpl.rc_context({"svg.hashsalt": "pellucid"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def _lines(about: Mapping[str, object], above: str = "") -> list[tuple[str, str]]:
    """Flattens nested tables to lines."""
    lines: list[tuple[str, str]] = []
    for name, value in about.items():
        if is_table(value):
            lines += _lines(value, f"{above}{name} · ")
        else:
            text = ", ".join(map(str, value)) if is_list(value) else str(value)
            lines.append((f"{above}{name}", "none" if value is None else text))
    return lines


def _number(value: float) -> str:
    return "none" if math.isnan(value) else f"{value:.4g}"
