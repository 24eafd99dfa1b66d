"""`pellucid train`: a stage of a recipe or all of them, resumed where the folder holds a checkpoint."""

from pathlib import Path

import click

from pellucid.training.recipe import STAGES, read_recipe


@click.command("train")
@click.argument("stage", type=click.Choice([*STAGES, "all"]))
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
    help="Folder of the run.  [default: runs/STAGE; for all, the recipe's name]",
)
@click.option(
    "--budget", "budget_s", type=float, help="Stop after so many seconds; the same command goes on."
)
@click.option(
    "--device", help='Where to train: "cpu" or "cuda".  [default: a GPU if torch sees one, else the CPU]'
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
    device: str | None,
    threads: int | None,
) -> None:
    """Train STAGE from a recipe; the same command resumes it.

    Writes log.jsonl, TensorBoard files, sample sheets, an atomic checkpoint every few minutes, and `export`.
    On several GPUs: `accelerate launch -m pellucid train …` (docs/scale.md).
    STAGE all trains one stage after the other into OUTPUT/model.
    """
    import math

    import torch

    from pellucid.errors import ConfigError
    from pellucid.training.distributed import Processes
    from pellucid.training.stages.registry import make_stage, train_all, usable_device
    from pellucid.training.trainer import Run

    if bad := [pair for pair in overrides if "=" not in pair]:
        raise ConfigError(f"Expected --set KEY=VALUE, got {bad[0]!r}. Write for example --set steps=100.")
    values = dict(pair.split("=", 1) for pair in overrides)
    if threads:
        torch.set_num_threads(threads)
    processes = Processes(usable_device(device))
    torch.set_float32_matmul_precision("high")  # these two matter on a GPU alone
    torch.backends.cudnn.benchmark = True
    folder = output or Path("runs") / (config.stem if stage == "all" else stage)
    if stage == "all":
        model = train_all(config, values, folder, processes.device, budget_s or math.inf, processes)
        said = model or f"{folder}: time is up; the same command goes on"
    else:
        recipe = read_recipe(config, stage, values)
        made = make_stage(recipe, processes.device)
        Run(recipe, made, folder, processes).train(budget_s=budget_s or math.inf)
        said = folder / "export"
    if processes.main:
        click.echo(said)
