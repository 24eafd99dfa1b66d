"""`pellucid train`: a stage of a recipe or all of them, resumed where the folder holds a checkpoint."""

from pathlib import Path

import click

# loads no torch, and --help needs the stages' names
from pellucid.training.recipe import STAGES, read_recipe


class TrainCommand(click.Command):
    """Lists a stage's fields where `--help` follows its name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # kept for the help, which click prints before it has read the arguments
        ctx.meta["stage"] = next((word for word in args if word in STAGES), None)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        if stage := ctx.meta.get("stage"):
            from pellucid.training.recipe_help import stage_help

            for heading, rows in stage_help(stage):
                with formatter.section(heading):
                    formatter.write_dl(rows, col_max=34)


@click.command("train", cls=TrainCommand)
@click.argument("stage", type=click.Choice([*STAGES, "all"]))
@click.option(
    "--config",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="Recipe (TOML).",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Replace one value of the recipe; dots reach into tables.",
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
    """Train STAGE from a recipe; the same command resumes it. `train STAGE --help` lists the stage's fields.

    Writes log.jsonl, TensorBoard files, sample grids, an atomic checkpoint every few minutes, and `export`.
    On several GPUs: `accelerate launch -m pellucid train …` (docs/scale.md).
    STAGE all trains one stage after the other into OUTPUT/model.
    """
    import math

    import torch

    from pellucid.errors import ConfigError
    from pellucid.training.distributed import Processes
    from pellucid.training.stages.registry import make_stage, train_all, usable_device
    from pellucid.training.trainer import Trainer

    if bad := [pair for pair in overrides if "=" not in pair]:
        raise ConfigError(f"Expected --set KEY=VALUE, got {bad[0]!r}. Write for example --set steps=100.")
    # at the first = alone: a value may have others
    values = dict(pair.split("=", 1) for pair in overrides)
    if threads:
        torch.set_num_threads(threads)
    processes = Processes(usable_device(device))
    torch.set_float32_matmul_precision("high")  # these two matter on a GPU alone
    # it times convolutions once for each shape, and a training has few
    torch.backends.cudnn.benchmark = True
    folder = output or Path("runs") / (config.stem if stage == "all" else stage)
    if stage == "all":
        model = train_all(config, values, folder, processes.device, budget_s or math.inf, processes)
        message = model or f"{folder}: time is up; the same command goes on"
    else:
        recipe = read_recipe(config, stage, values)
        trained_stage = make_stage(recipe, processes.device)
        Trainer(recipe, trained_stage, folder, processes).train(budget_s=budget_s or math.inf)
        message = folder / "export"
    # every process of `accelerate launch` comes here; one message is enough
    if processes.main:
        click.echo(message)
