"""Results of a study as JSON, CSV, a figure and a page."""

import csv
import html
import io
import json
import math
from collections.abc import Mapping
from dataclasses import asdict

from pellucid.data.estimates import Estimate
from pellucid.errors import missing_package
from pellucid.evaluation.study.analysis import QuestionResults, Results
from pellucid.files.html import html_image, html_page, html_table
from pellucid.files.tables import is_list, is_table


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
        ["question", "first", "second", "wins", "losses", "ties", "rate", "low", "high", "p", "p_holm"]
    )
    for question, each in results.questions.items():
        for pair in each.pairs:
            rate = pair.rate_with_ties
            numbers = [f"{value:.4f}" for value in (rate.value, rate.low, rate.high)]
            table.writerow(
                [question, pair.first, pair.second, pair.wins, pair.losses, pair.ties, *numbers,
                 f"{pair.p_value:.4g}", f"{pair.p_holm:.4g}"]
            )  # fmt: skip
    return file.getvalue()


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
        parts.append(_pairs_table(each))
        if each.methods:
            parts += [_scores_table(each), html_image(_figure(each), "Scores with intervals", kind="svg+xml")]
        parts.append(_quality_table(each))
    if results.dropped:
        parts += [
            "<h2>People whose votes do not count</h2>",
            html_table(("who", "why"), [*results.dropped.items()]),
        ]
    parts += [f"<p>{html.escape(note)}.</p>" for note in results.notes]
    return html_page(title, "".join(parts))


def share(estimate: Estimate, digits: int = 1) -> str:
    """Formats a share with its interval."""
    if not estimate.n:
        return "not measured"
    return f"{estimate.value:.{digits}%} [{estimate.low:.{digits}%}, {estimate.high:.{digits}%}]"


def _pairs_table(each: QuestionResults) -> str:
    rows = [
        (
            f"{pair.first} over {pair.second}", pair.wins, pair.losses, pair.ties, share(pair.rate),
            share(pair.rate_with_ties), f"{pair.p_value:.3g}", f"{pair.p_holm:.3g}",
        )
        for pair in each.pairs
    ]  # fmt: skip
    head = (
        "pair",
        "wins",
        "losses",
        "ties",
        "wins of decided (Wilson)",
        "with ties as halves (prompts and raters)",
    )
    return html_table((*head, "p, sign test", "p, Holm"), rows)


def _scores_table(each: QuestionResults) -> str:
    order = sorted(each.methods.items(), key=lambda item: -item[1].score.value)
    rows = [
        (
            name, f"{found.score.value:+.2f} [{found.score.low:+.2f}, {found.score.high:+.2f}]",
            f"{found.rank[0]} to {found.rank[1]}" if found.rank[0] < found.rank[1] else found.rank[0],
            "yes" if found.ties_for_first else "",
        )
        for name, found in order
    ]  # fmt: skip
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


def _figure(each: QuestionResults) -> bytes:
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing_package("matplotlib", "the figure of a study", "eval") from error
    order = sorted(each.methods.items(), key=lambda item: item[1].score.value)
    figure: Figure = Figure(figsize=(6, 0.8 + 0.4 * len(order)), layout="constrained")
    axes = figure.subplots()
    known = [end for _, found in order for end in (found.score.low, found.score.high) if math.isfinite(end)]
    reach = max((abs(end) for end in known), default=1.0) * 1.2
    for place, (_, found) in enumerate(order):
        # an open interval runs to the edge of the figure
        low, high = max(found.score.low, -reach), min(found.score.high, reach)
        axes.plot([low, high], [place, place], color="#4a7ebb", linewidth=3)
        axes.plot(found.score.value, place, "o", color="#1d3f6e")
    axes.set_yticks(range(len(order)), [name for name, _ in order])
    axes.set(xlabel="score: ln of strength, mean 0", xlim=(-reach, reach))
    axes.axvline(0, color="#888", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    file = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "pellucid"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def _finite(value: object) -> object:
    if is_table(value):
        return {name: _finite(inner) for name, inner in value.items()}
    if is_list(value):
        return [_finite(inner) for inner in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
