"""`pellucid train`: a stage of a recipe or all of them, resumed where the folder holds a checkpoint."""

from functools import partial
from pathlib import Path

import click

from pellucid.apps.commands.options import PATH
from pellucid.apps.commands.train_new import new_command
from pellucid.apps.terminal import tell
from pellucid.errors import ConfigError

# loads no torch, and --help needs the stages' names
from pellucid.training.recipe import STAGES, check_stages_of, read_recipe, recipe_stages

LINES = {
    "vae": "Train a VAE of one's own.",
    "autoencoder": "Train the codec: offset encoder and alpha decoder over a frozen VAE.",
    "base": "Train a new UNet on opaque images.",
    "transparent": "Train the adapter of single transparent images.",
    "layers": "Train layers that see each other.",
    "control": "Train a T2I-Adapter for silhouettes and edges.",
    "all": "Train all stages of a recipe into one model.",
}
"""Stage -> its line in --help."""


class StageCommand(click.Command):
    """Lists a stage's fields in its `--help`."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        if self.name in STAGES:
            from pellucid.training.recipe_help import stage_help

            for heading, rows in stage_help(self.name):
                with formatter.section(heading):
                    formatter.write_dl(rows, col_max=34)


class TrainGroup(click.Group):
    """Lists its commands in the order in which a model is made."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group("train", cls=TrainGroup)
def train_command() -> None:
    """Train a stage of a recipe, or all of them; the same command resumes it.

    Writes log.jsonl, TensorBoard files, sample grids, an atomic checkpoint every few minutes, and `export`.
    `train STAGE --help` lists the stage's fields. On several GPUs: `accelerate launch -m pellucid train …`
    (docs/scale.md).
    """


def _run(
    stage: str,
    config: Path,
    overrides: tuple[str, ...],
    output: Path | None,
    budget_s: float | None,
    device: str | None,
    threads: int | None,
) -> None:
    values = _values(overrides)
    recipe_stages(config)  # or it is no recipe, which is told before torch is imported

    import math

    import torch

    from pellucid.training.distributed import Processes
    from pellucid.training.stages.registry import make_stage, train_all, usable_device
    from pellucid.training.trainer import Trainer

    if threads:
        torch.set_num_threads(threads)
    processes = Processes(usable_device(device))
    torch.set_float32_matmul_precision("high")  # these two matter on a GPU alone
    # it times convolutions once for each shape, and a training has few
    torch.backends.cudnn.benchmark = True
    folder = output or Path("runs") / (config.stem if stage == "all" else stage)
    budget_s = budget_s or math.inf
    if stage == "all":
        made = train_all(config, values, folder, processes.device, budget_s, processes)
    else:
        check_stages_of(values, [stage])
        recipe = read_recipe(config, stage, values)
        trained_stage = make_stage(recipe, processes.device)
        Trainer(recipe, trained_stage, folder, processes).train(budget_s=budget_s)
        made = folder / "export"
    # every process of `accelerate launch` comes here; one message is enough
    if processes.main:
        click.echo(made or f"{folder}: time is up; the same command goes on")
        if made and stage == "all":
            tell(f'The model is ready: pellucid generate "WORDS" --model {made}')


def _values(overrides: tuple[str, ...]) -> dict[str, str]:
    """Splits pairs of --set."""
    if bad := [pair for pair in overrides if "=" not in pair]:
        raise ConfigError(f"Expected --set KEY=VALUE, got {bad[0]!r}. Write for example --set steps=100.")
    # at the first = alone: a value may have others
    return dict(pair.split("=", 1) for pair in overrides)


def _stage_command(stage: str) -> click.Command:
    """Returns the command that trains a stage."""
    usual = "the recipe's name" if stage == "all" else stage
    options = [
        click.Option(
            ["--config"],
            type=PATH,
            required=True,
            help="Recipe (TOML).",
        ),
        click.Option(
            ["overrides", "--set"],
            multiple=True,
            metavar="KEY=VALUE",
            help="Replace one value of the recipe; dots reach into tables of any depth.",
        ),
        click.Option(
            ["-o", "--output"],
            type=click.Path(path_type=Path, file_okay=False),
            help=f"Folder of the run.  [default: runs/{usual}]",
        ),
        click.Option(
            ["budget_s", "--budget"],
            type=float,
            help="Stop after so many seconds; the same command goes on.",
        ),
        click.Option(
            ["--device"],
            help='Where to train: "cpu" or "cuda".  [default: a GPU if torch sees one, else the CPU]',
        ),
        click.Option(
            ["--threads"],
            type=int,
            help="CPU threads. 1 makes resumed runs bit-equal to uninterrupted ones.",
        ),
    ]

    more = " The model lies in OUTPUT/model." if stage == "all" else ""
    help_text = f"{LINES[stage]} The same command resumes it.{more}"
    return StageCommand(
        stage, callback=partial(_run, stage), params=[*options], help=help_text, short_help=LINES[stage]
    )


train_command.add_command(new_command)
for _name in (*STAGES, "all"):
    train_command.add_command(_stage_command(_name))
