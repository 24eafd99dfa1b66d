"""Results of a study as JSON, CSV, a figure and a page."""

import csv
import html
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from pellucid.data.estimates import Estimate
from pellucid.errors import missing_package
from pellucid.evaluation.study.analysis import MethodResult, QuestionResults, Results
from pellucid.files.html import html_image, html_page, html_table
from pellucid.files.tables import is_list, is_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plain(results: Results) -> dict[str, object]:
    """Returns results as JSON's own types; infinite ends of intervals are null."""
    # through JSON and back, which knows lists alone and keeps infinities
    questions = {name: json.loads(json.dumps(asdict(each))) for name, each in results.questions.items()}
    return {
        "questions": {name: _finite(each) for name, each in questions.items()},
        "dropped_raters": dict(results.dropped),
        "notes": list(results.notes),
    }


def results_csv(results: Results) -> str:
    """Returns a line a pair of methods."""
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    table.writerow(
        ["question", "first", "second", "wins", "losses", "ties", "rate", "low", "high",
         "p_sign", "p_sign_holm", "p_clustered", "p_clustered_holm"]
    )  # fmt: skip
    for question, each in results.questions.items():
        for pair in each.pairs:
            rate = pair.rate_with_ties
            numbers = [f"{value:.4f}" for value in (rate.value, rate.low, rate.high)]
            names = [_cell(name) for name in (question, pair.first, pair.second)]
            table.writerow(
                [*names, pair.wins, pair.losses, pair.ties, *numbers,
                 *(f"{p:.4g}" for p in (pair.p_value, pair.p_holm, pair.p_clustered, pair.p_clustered_holm))]
            )  # fmt: skip
    return file.getvalue()


def _cell(text: str) -> str:
    """Returns a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def results_page(title: str, results: Results, texts: Mapping[str, str], power: Mapping[str, str]) -> str:
    """Returns a page that needs no other file.

    Args:
        title: of the study.
        results: of `analyse`.
        texts: of the questions, by id.
        power: what the plan's number of votes could find, by id.

    Raises:
        InputError: matplotlib is not installed.
    """
    parts = [f"<h1>{html.escape(title)}</h1>"]
    for name, each in results.questions.items():
        parts.append(f"<h2>{html.escape(texts.get(name, name))}</h2>")
        parts.append(f"<p>{each.votes} votes on {each.prompts} prompts by {each.raters} people. ")
        parts.append(f"{html.escape(power.get(name, ''))}</p>")
        parts += [f"<p><b>Refused:</b> {html.escape(reason)}.</p>" for reason in each.refused]
        parts += [html_image(figure(each), "Win rates and scores with intervals", kind="svg+xml")]
        parts.append(_pairs_table(each))
        if len(each.pairs) > 1:
            parts.append(_matrix(each))
        if each.methods:
            parts.append(_scores_table(each))
        parts.append(_quality_table(each))
    if results.dropped:
        parts += [
            "<h2>People whose votes do not count</h2>",
            html_table(("who", "why"), [*results.dropped.items()]),
        ]
    parts += [f"<p>{html.escape(note)}.</p>" for note in results.notes]
    return html_page(title, "".join(parts))


def lines(each: QuestionResults) -> Iterator[str]:
    """Yields what a terminal shows of a question."""
    yield f"{each.votes} votes, {each.prompts} prompts, {each.raters} people"
    for pair in each.pairs:
        p = f"p {pair.p_clustered:.2g}, Holm {pair.p_clustered_holm:.2g}, sign test {pair.p_value:.2g}"
        counts = f"{pair.wins} : {pair.losses}, {pair.ties} ties"
        yield f"{pair.first} over {pair.second}: {share(pair.rate_with_ties)} ({counts}), {p}"
    for name, found in _by_score(each):
        first = ", may be first" if found.ties_for_first else ""
        yield f"{name}: score {_score(found.score)}, rank {_rank(found)}{first}"
    yield from each.refused
    yield f"left image preferred: {share(each.left_wins)}; two people agree: {share(each.percent)}"


def share(estimate: Estimate, digits: int = 1) -> str:
    """Formats a share with its interval."""
    if not estimate.n:
        return "not measured"
    return f"{estimate.value:.{digits}%} [{estimate.low:.{digits}%}, {estimate.high:.{digits}%}]"


def _pairs_table(each: QuestionResults) -> str:
    rows = [
        (
            f"{pair.first} over {pair.second}", pair.wins, pair.losses, pair.ties, share(pair.rate_with_ties),
            f"{pair.p_clustered:.3g} ({pair.p_clustered_holm:.3g})", share(pair.rate),
            f"{pair.p_value:.3g} ({pair.p_holm:.3g})",
        )
        for pair in each.pairs
    ]  # fmt: skip
    head = (
        "pair", "wins", "losses", "ties",
        "win rate, ties as halves; over prompts and people", "p (Holm)",
        "of decided votes, if these were independent (Wilson)", "p, exact sign test (Holm)",
    )  # fmt: skip
    return html_table(head, rows)


def _matrix(each: QuestionResults) -> str:
    """Returns the win rate of each row over each column, ties as halves, with the number of votes."""
    names = sorted({name for pair in each.pairs for name in (pair.first, pair.second)})
    rates = {(pair.first, pair.second): pair.rate_with_ties for pair in each.pairs}

    def cell(row: str, column: str) -> str:
        if found := rates.get((row, column)):
            return f"{found.value:.0%} of {found.n}"
        if found := rates.get((column, row)):
            return f"{1 - found.value:.0%} of {found.n}"
        return ""

    rows = [(row, *(cell(row, column) for column in names)) for row in names]
    return html_table(("over", *names), rows)


def _by_score(each: QuestionResults) -> list[tuple[str, MethodResult]]:
    return sorted(each.methods.items(), key=lambda item: -item[1].score.value)


def _score(score: Estimate) -> str:
    return f"{score.value:+.2f} [{score.low:+.2f}, {score.high:+.2f}]"


def _rank(found: MethodResult) -> str:
    best, worst = found.rank
    return f"{best}" if best == worst else f"{best} to {worst}"


def _scores_table(each: QuestionResults) -> str:
    rows = [
        (name, _score(found.score), _rank(found), "yes" if found.ties_for_first else "")
        for name, found in _by_score(each)
    ]
    return html_table(("method", "score (Davidson)", "rank, 95 %", "may be first"), rows)


def _quality_table(each: QuestionResults) -> str:
    alpha = each.alpha
    agreement = f"{alpha.value:.2f} [{alpha.low:.2f}, {alpha.high:.2f}]" if alpha.n else "not measured"
    rows = [
        ("decided for the image on the left", f"{share(each.left_wins)}, p {each.p_left:.3g}"),
        ("same answer the other way round", share(each.swapped_same)),
        ("Krippendorff's alpha", agreement),
        ("equal answers of two people", share(each.percent)),
    ]
    return html_table(("quality", "value"), rows)


def figure(each: QuestionResults) -> bytes:
    """Draws win rates and, unless they are refused, scores, each with its interval, as an SVG.

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_package("matplotlib", "the figure of a study", "eval") from error
    rates = {f"{pair.first} over {pair.second}": pair.rate_with_ties for pair in each.pairs}
    scores = {name: found.score for name, found in each.methods.items()}
    panels = [panel for panel in (rates, scores) if panel]
    drawn: Figure = Figure(figsize=(6, sum(0.8 + 0.3 * len(panel) for panel in panels)), layout="constrained")
    heights = [1 + len(panel) for panel in panels]
    every = drawn.subplots(len(panels), squeeze=False, height_ratios=heights)[:, 0]
    _intervals(every[0], rates, middle=0.5, reach=0.5)
    every[0].set(xlabel="win rate, ties as halves")
    if scores:
        ends = [
            abs(end) for found in scores.values() for end in (found.low, found.high) if math.isfinite(end)
        ]
        _intervals(every[1], scores, middle=0, reach=1.2 * max(ends, default=1.0))
        every[1].set(xlabel="score: ln of strength, mean 0")
    file = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "pellucid"}):  # the same bytes each time
        drawn.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def _intervals(axes: "Axes", found: Mapping[str, Estimate], *, middle: float, reach: float) -> None:
    """Draws a row an estimate, the highest at the top; an open interval runs to the edge."""
    order = sorted(found, key=lambda name: found[name].value)
    for place, name in enumerate(order):
        low, high = max(found[name].low, middle - reach), min(found[name].high, middle + reach)
        axes.plot([low, high], [place, place], color="#4a7ebb", linewidth=3)
        axes.plot(found[name].value, place, "o", color="#1d3f6e")
    # names are no formulas, whatever dollars they hold
    axes.set_yticks(range(len(order)), order, parse_math=False)
    axes.set(xlim=(middle - reach, middle + reach), ylim=(-0.6, len(order) - 0.4))
    axes.axvline(middle, color="#888", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)


def _finite(value: object) -> object:
    if is_table(value):
        return {name: _finite(inner) for name, inner in value.items()}
    if is_list(value):
        return [_finite(inner) for inner in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
