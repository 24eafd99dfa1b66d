"""`pellucid train`: one stage from a recipe, resumed where its folder holds a checkpoint."""

from pathlib import Path

import click


@click.command("train")
@click.argument("stage", type=click.Choice(["vae", "base", "autoencoder", "transparent"]))
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="Recipe (TOML).",
)
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Replace one value of the recipe."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the run.  [default: runs/STAGE]",
)
@click.option(
    "--budget", "budget_s", type=float, help="Stop after so many seconds; the same command goes on."
)
@click.option(
    "--threads", type=int, help="CPU threads. 1 makes resumed runs bit-equal to uninterrupted ones."
)
def train_command(
    stage: str,
    config: Path,
    overrides: tuple[str, ...],
    output: Path | None,
    budget_s: float | None,
    threads: int | None,
) -> None:
    """Train STAGE from a recipe; the same command resumes it.

    Writes log.jsonl, sample sheets, an atomic checkpoint every few minutes, and at the end `export`.
    """
    import math

    import torch

    from pellucid.errors import ConfigError
    from pellucid.training.config import read_recipe
    from pellucid.training.loop import Run
    from pellucid.training.stages import make_stage

    if bad := [pair for pair in overrides if "=" not in pair]:
        raise ConfigError(f"Expected --set KEY=VALUE, got {bad[0]!r}. Write for example --set steps=100.")
    recipe = read_recipe(config, dict(pair.split("=", 1) for pair in overrides))
    if recipe.stage != stage:
        raise ConfigError(
            f"{config} trains {recipe.stage!r}, not {stage!r}. Name that stage or another recipe."
        )
    if threads:
        torch.set_num_threads(threads)
    folder = output or Path("runs") / stage
    run = Run(recipe, make_stage(recipe), folder)
    run.train(budget_s=budget_s or math.inf)
    click.echo(folder / "export")
