"""Measures the embedded model and its baselines, and writes docs/benchmark.md.

    python benchmarks/benchmark_page.py [--measure]

Without --measure the page is written anew from benchmarks/results and benchmarks/literature.toml; a test
compares it with the committed page. With it, these are measured first, on the images that a hash holds out of
training (about half an hour on two cores):

- reconstruction: `pellucid eval reconstruction --all-passes`;
- the frozen VAE with the true alpha beside it, which a pipeline gets that paints colour and is handed alpha;
- matting: `pellucid eval matting`, the images laid over photographs and cut out again;
- generation: `pellucid eval generation --captions 200`, and speed.

What takes longer has scripts of its own, which the page names: generate_then_matte.py, codec_ablations.py.
"""

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from scipy import stats

from pellucid.evaluation.score_table import METRICS

ROOT = Path(__file__).parents[1]
RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "benchmark.md"
TEMPLATE = Path(__file__).with_suffix(".md")
RECONSTRUCTION, GENERATION = "mini_reconstruction.json", "mini_generation.json"
GIVEN, MATTING = "mini_given_alpha.json", "mini_matting.json"
PHOTOGRAPHS = ("--photographs", "land-photos")
IMAGES = ("partial", "fringe", "fringe_photo", "dirty", "hidden")
PAIRS = ("psnr", "worst_psnr", "ssim", "mad", "sad", "mse", "grad", "conn", "mad_unknown", "soft_distance")
TRANSPARENCY = {
    "partial": "partly transparent share of pixels",
    "clear_corners": "share of images with four clear corners",
    "edge_px": "width of edges, px",
}
VARIANTS = {
    "paper": "offset and alpha decoder over the frozen VAE (LayerDiffuse)",
    "extra channels": "four more latent channels beside the untouched ones",
    "inflated VAE": "the VAE itself grown to four channels, trained whole (AlphaVAE)",
}
BUDGET_SCORES = (
    ("nine colours, dB ↑", "psnr_db", 2),
    ("alpha MAE ↓", "alpha_mae", 4),
    ("alpha Grad ↓", "alpha_grad", 3),
    ("frozen image kept, dB ↑", "identity_psnr_db", 1),
    ("latents moved ↓", "frechet", 2),
)


def measure() -> None:
    """Runs all measurements into benchmarks/results."""
    from pellucid.files.images import write_image

    run("eval", "reconstruction", "--all-passes", *PHOTOGRAPHS, "-o", RESULTS / "mini_reconstruction.json")
    held_out = held_out_images()
    write_given_alpha(held_out)
    with tempfile.TemporaryDirectory() as folder:
        for name, rgba in held_out.items():
            write_image(rgba, Path(folder) / f"{name}.png")
        run("eval", "matting", folder, *PHOTOGRAPHS, "-o", RESULTS / MATTING)
    run("eval", "generation", "--captions", "200", *PHOTOGRAPHS, "-o", RESULTS / GENERATION)
    run("eval", "speed", "-o", RESULTS / "mini_speed.json")
    for path in (RESULTS / MATTING, RESULTS / GIVEN):
        # where the images lay says nothing to others
        path.write_text(path.read_text().replace(folder, "HELD_OUT"))


def run(*words: object) -> None:
    """Runs a command of Pellucid from the root, so that what it records holds for everybody."""
    command = [sys.executable, "-m", "pellucid"]
    command += [str(word.relative_to(ROOT) if isinstance(word, Path) else word) for word in words]
    subprocess.run(command, check=True, cwd=ROOT)


def held_out_images() -> dict[str, Any]:
    """Returns the images that the embedded model has not learned, at its size."""
    from pellucid.evaluation.eval_data import read_samples, read_vocabulary, resized
    from pellucid.pipelines.loading import model_folder

    samples = read_samples(read_vocabulary(model_folder("mini")), held_out=True)
    names = [f"{number:04d} {record.label}".replace("/", " ") for number, (record, _) in enumerate(samples)]
    return dict(zip(names, resized(samples, 256, 256), strict=True))


def write_given_alpha(images: Mapping[str, Any]) -> None:
    """Sends colour alone through the frozen VAE, keeps the true alpha, and scores."""
    import pellucid
    from pellucid.evaluation.file_scores import read_photographs
    from pellucid.evaluation.pair_scores import PairSettings, score_pair
    from pellucid.evaluation.score_table import ScoreTable, document, write_document
    from pellucid.rgba.resizing import fit_pixels

    codec = pellucid.load().autoencoder
    settings = PairSettings(photographs=read_photographs("land-photos", 4))
    table = ScoreTable()
    for name, rgba in images.items():
        colour = codec.decode_opaque(codec.encode_image(rgba, use_offset=False))[0].permute(1, 2, 0)
        # the VAE's image has half the side of what the alpha decoder makes
        levels = fit_pixels(colour.numpy(), *rgba.shape[:2], "stretch").clip(0, 1) * 255
        found = np.dstack([np.rint(levels).astype(np.uint8), rgba[..., 3]])
        table.add(name, score_pair(np.ascontiguousarray(found), rgba, settings))
    about = {"kind": "VAE and given alpha", "contamination": "held out of training"}
    write_document(RESULTS / GIVEN, document(table, about))


def read(name: str) -> dict[str, Any]:
    """Reads a result."""
    return json.loads((RESULTS / name).read_text())


def number(value: float) -> str:
    """Writes a figure with three digits that say something."""
    return f"{value:.4g}" if abs(value) >= 10 else f"{value:.3g}"


def interval(estimate: Mapping[str, float]) -> str:
    """Writes a mean with its interval."""
    return f"{number(estimate['value'])} [{number(estimate['low'])}, {number(estimate['high'])}]"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Writes a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def side_by_side(columns: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> str:
    """Writes metrics of several results, a column each."""
    arrows = {"higher": "↑", "lower": "↓", "neither": ""}
    known = [name for name in names if any(name in metrics for metrics in columns.values())]
    rows = [
        [
            f"{METRICS[name].title}{f', {METRICS[name].unit}' if METRICS[name].unit else ''} "
            f"{arrows[METRICS[name].better]}".strip(),
            *(interval(metrics[name]) if name in metrics else "" for metrics in columns.values()),
        ]
        for name in known
    ]
    return table(["score", *columns], rows)


def codec_columns() -> dict[str, Mapping[str, Any]]:
    """Returns the metrics of the codec and of its baselines."""
    matting = read(MATTING)
    return {
        "Pellucid's codec": read(RECONSTRUCTION)["metrics"],
        "VAE, alpha given": read(GIVEN)["metrics"],
        f"cut out of photographs ({matting['matting']})": matting["metrics"],
    }


def budget_table() -> str:
    """Writes the ways to put alpha into a latent, with Student's intervals over seeds."""
    runs = read("codec-ablations.json")["runs"]
    rows = [
        [text, *(_over_seeds(runs, variant, score, digits) for _, score, digits in BUDGET_SCORES)]
        for variant, text in VARIANTS.items()
    ]
    return table(["way", *(title for title, _, _ in BUDGET_SCORES)], rows)


def _over_seeds(runs: Sequence[Mapping[str, Any]], variant: str, score: str, digits: int) -> str:
    if score == "identity_psnr_db" and variant == "extra channels":
        return "the same"
    values = [run[score] for run in runs if run["variant"] == variant]
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):.{digits}f} ± {half:.{digits}f}"


def fidelity_table(found: Mapping[str, Any]) -> str:
    """Writes how the model draws what it is asked for."""
    top = f"{found['top1']:.1%} (top 5: {found['top5']:.1%}; by chance {found['chance_top5']:.2%})"
    sides = [
        [text, f"{found['generated'][name]:.3g}", f"{found['training'][name]:.3g}"]
        for name, text in TRANSPARENCY.items()
    ]
    return table(
        ["score", "generated", "training images"],
        [["nearest training image is the right one", top, ""], *sides],
    )


def wins(found: Mapping[str, Any], who: str) -> str:
    """Lists the metrics in which one way is better, by paired intervals."""
    rows = found["cleaned_minus_matted"].items()
    return ", ".join(METRICS[name].title for name, row in rows if row["better"] == who) or "nothing"


def rest_table() -> str:
    """Writes speed and everything else that is measured."""
    speed, cold = read("mini_speed.json"), read("cold_start.json")["pellucid generate"]
    decoding, overhead = read("decode.json")["512"], read("sampling-overhead.json")["no adapter"]
    triples, review = read("synthesized_triples.json"), read("review_latency.json")["sqlite"]
    page = read("study_page.json")
    memory = decoding["eight_passes_peak_over_idle_mib"]["ratio"]
    rows = [
        [
            "one image of the embedded model, loaded",
            f"{speed['median_s']:.2g} s on {speed['threads']} threads, {speed['peak_memory_mib']:.0f} MiB",
            "pellucid eval speed",
        ],
        ["`pellucid generate`, cold", f"{cold['median_s']:.2g} s", "python benchmarks/cold_start.py"],
        [
            "`generate` over the stock call, without decoding",
            f"{overhead['ratio_cpu_median']:.3g} times its processor time",
            "python benchmarks/sampling_overhead.py",
        ],
        [
            "decoding at 512 px, one thread, against plain blocks",
            f"{decoding['times_faster']['cpu_s']:.3g} times as fast, {memory:.2g} of the memory",
            "python benchmarks/decode.py 512 1024",
        ],
        [
            "synthesised layer triples that stay",
            f"{triples['kept']} of {triples['tried']}",
            "python benchmarks/synthesized_triples.py",
        ],
        [
            "a verdict of the screening page: seen, on the disk (95 % of verdicts)",
            f"{review['verdict_to_frame']['p95_ms']:.0f} ms, {review['verdict_to_durable']['p95_ms']:.0f} ms",
            "python benchmarks/review_latency.py",
        ],
        [
            "studies of known preference through the study page: intervals that hold it; answers lost",
            f"{page['held']} of {page['studies']}; {page['lost']} of {page['answers']:,}",
            "python benchmarks/study_page.py",
        ],
    ]
    return table(["what", "figure", "command"], ([*row[:2], f"`{row[2]}`"] for row in rows))


def literature() -> str:
    """Writes published figures, each with its source."""
    found = tomllib.loads((ROOT / "benchmarks" / "literature.toml").read_text())["tables"]
    parts = [
        f"### {each['title']}\n\n{table(each['columns'], each['rows'])}\n{each['note']}" for each in found
    ]
    return "\n\n".join(parts)


def render() -> str:
    """Returns the page."""
    ours, matting, drawn = read(RECONSTRUCTION), read(MATTING), read(GENERATION)
    against = read("generate_then_matte.json")
    soft = against["soft_distance_from_training_images"]
    ways = {
        "native": against["native"],
        "native, cleaned": against["cleaned"],
        "generated, then matted": against["matted"],
    }
    made = ours["made"]
    values = {
        "versions": ", ".join(f"{name} {version}" for name, version in made["versions"].items()),
        "intervals": made["intervals"],
        "pictures": ours["pictures"],
        "codec": side_by_side(codec_columns(), PAIRS),
        "identity": number(ours["identity_psnr_db"]),
        "codec_note": ours["contamination"],
        "matting_note": matting["contamination"],
        "budget": budget_table(),
        "captions": drawn["captions"],
        "subjects": drawn["subjects"],
        "generation_note": drawn["contamination"],
        "fidelity": fidelity_table(drawn),
        "generation": side_by_side({"as decoded": drawn["metrics"]}, IMAGES),
        "prompts": against["prompts"],
        "seeds": against["seeds"],
        "matting": against["matting"],
        "matte_note": against["contamination"],
        "matte": side_by_side(ways, ("top1", "mad", *IMAGES)),
        "cleaned_wins": wins(against, "cleaned"),
        "matted_wins": wins(against, "matted"),
        **{f"soft_{way}": f"{soft[way]:.3f}" for way in ("native", "cleaned", "matted")},
        "rest": rest_table(),
        "literature": literature(),
    }
    return TEMPLATE.read_text().format_map(values)


@click.command()
@click.option("--measure", "wants_measures", is_flag=True, help="Measure anew before.")
def main(wants_measures: bool) -> None:
    """Writes the page."""
    if wants_measures:
        measure()
    PAGE.write_text(render())


if __name__ == "__main__":
    main()
