"""`pellucid study`: plan a user study, and say what its votes say."""

import json
from functools import partial
from pathlib import Path

import click

from pellucid.apps.commands.options import FILE, FOLDER, JSON, echo_address, server_options
from pellucid.apps.sections import SectionedGroup, option


@click.group("study", cls=SectionedGroup)
def study_command() -> None:
    """Ask people which of two images they prefer, and analyse what they say."""


@study_command.command("create", short_help="Make a study's folder from its plan.")
@click.argument("plan", type=FILE)
@option(
    "Output",
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder of the study.",
)
@JSON
def create(plan: Path, folder: Path, as_json: bool) -> None:
    """Check PLAN, draw its pairs, sides, repetitions and attention checks, and write them to a folder.

    Prints what the planned number of votes can find. PLAN is TOML: docs/how-to/study.md.
    """
    from pellucid.evaluation.study.pairs import create_study
    from pellucid.evaluation.study.plan import RATES, power, read_plan, votes_needed
    from pellucid.files.locks import locked_folder

    read = read_plan(plan)
    with locked_folder(folder):  # a server that deals the pairs would go on with those of before
        pairs = create_study(read, plan, folder, plan.parent)
    kinds = {kind: sum(pair.kind == kind for pair in pairs) for kind in ("plain", "swapped", "attention")}
    table = {
        question.id: {f"{rate:.0%}": round(power(question.votes, rate), 3) for rate in RATES}
        for question in read.questions
    }
    if as_json:
        click.echo(json.dumps({"path": str(folder), "plan": read.digest, "pairs": kinds, "power": table}))
        return
    counts = f"{kinds['plain']} pairs, {kinds['swapped']} again the other way round"
    click.echo(f"{counts}, {kinds['attention']} attention checks", err=True)
    for question in read.questions:
        chances = ", ".join(f"{rate} wins {chance:.0%}" for rate, chance in table[question.id].items())
        click.echo(f"{question.id}: chance that {question.votes} decided votes find {chances}", err=True)
    needed = ", ".join(f"{rate:.0%} {votes_needed(rate)}" for rate in RATES)
    click.echo(f"decided votes for a chance of 80 %: {needed}", err=True)
    click.echo(folder)


@study_command.command("serve", short_help="Start the page on which people vote.")
@click.argument("folder", type=FOLDER)
@server_options
@JSON
def serve(folder: Path, host: str, port: int, token: str | None, as_json: bool) -> None:
    """Serve the page on which people choose, until Ctrl-C, and print its address.

    Many people may vote at once; each gives a name or a code on the page, or comes by a link that ends in
    `#rater=CODE`. Votes are added to votes.jsonl in FOLDER, each one on the disk before the page is told.
    """
    from pellucid.evaluation.study.assignment import Desk  # first, for it says which extra is missing
    from pellucid.files.locks import locked_folder

    with locked_folder(folder):
        desk = Desk(folder)
        from pellucid.apps.study.app import create_app
        from pellucid.apps.web.server import serve as serve_page

        serve_page(
            partial(create_app, desk),
            host=host,
            port=port,
            token=token,
            announce=lambda address: echo_address(address, as_json),
        )


@study_command.command("results", short_help="Analyse the votes of a study.")
@click.argument("folder", type=FOLDER)
@option(
    "Raters",
    "--min-attention",
    type=click.FloatRange(0, 1),
    help="Share of checks to pass at least.  [default: 0.75]",
)
@option("Raters", "--min-dwell-ms", type=click.FloatRange(0), help="Median time on a pair.  [default: 300]")
@JSON
def results(folder: Path, min_attention: float | None, min_dwell_ms: float | None, as_json: bool) -> None:
    """Analyse votes.jsonl in FOLDER; write results.json, .csv, .html and an .svg a question beside it.

    Intervals hold for other prompts and other people like these. Scores are refused, with the reason, where a
    method never lost or where nobody compared two groups of methods.
    """
    from pellucid.evaluation.study.analysis import MIN_ATTENTION, MIN_DWELL_MS, analyse
    from pellucid.evaluation.study.pairs import PLAN, VOTES
    from pellucid.evaluation.study.plan import RATES, power, read_plan
    from pellucid.evaluation.study.report import figure, lines, plain, results_csv, results_page
    from pellucid.files.atomic import write_atomically

    plan = read_plan(folder / PLAN)
    found = analyse(
        folder / VOTES,
        plan=plan,
        min_attention=MIN_ATTENTION if min_attention is None else min_attention,
        min_dwell_ms=MIN_DWELL_MS if min_dwell_ms is None else min_dwell_ms,
    )
    texts = {question.id: question.text for question in plan.questions}
    chances = {
        question.id: "The plan's votes would find a win rate of "
        + ", ".join(f"{rate:.0%} in {power(question.votes, rate):.0%} of studies" for rate in RATES)
        + "."
        for question in plan.questions
    }
    values = plain(found)
    contents = {
        "results.json": f"{json.dumps(values, indent=1, ensure_ascii=False)}\n".encode(),
        "results.csv": results_csv(found).encode(),
        "results.html": results_page(plan.title, found, texts, chances).encode(),
        **{f"results-{name}.svg": figure(each) for name, each in found.questions.items() if name in texts},
    }
    for name, content in contents.items():
        write_atomically(folder / name, content)
    written = [folder / name for name in contents]
    if as_json:
        click.echo(json.dumps({**values, "written": [str(path) for path in written]}, ensure_ascii=False))
        return
    for name, each in found.questions.items():
        click.echo(texts.get(name, name))
        for line in lines(each):
            click.echo(f"  {line}")
    for rater, reason in found.dropped.items():
        click.echo(f"left out {rater}: {reason}")
    for note in (*found.notes, *written):
        click.echo(note)
