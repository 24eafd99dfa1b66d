"""`pellucid train new`: a recipe for a model and a folder of pictures."""

from pathlib import Path

import click

from pellucid.apps.commands.options import PATH
from pellucid.apps.sections import SectionedCommand, option
from pellucid.apps.terminal import tell
from pellucid.errors import FileError


@click.command("new", cls=SectionedCommand, short_help="Write a recipe for a model and a folder of pictures.")
@option(
    "Training",
    "--from",
    "model",
    default="mini",
    show_default=True,
    metavar="MODEL",
    help="mini, a folder in diffusers' layout, or a hub id.",
)
@option(
    "Training",
    "--pictures",
    type=PATH,
    required=True,
    help="Folder of transparent pictures, each captioned by a .txt of its name, or by its name.",
)
@option(
    "Training",
    "--size",
    "size_px",
    type=click.IntRange(8),
    metavar="PX",
    help="Height and width of the training images, in pixels.  [default: the model's]",
)
@option(
    "Training",
    "--memory",
    "memory_gib",
    type=click.FloatRange(0, min_open=True),
    metavar="GB",
    help="Memory that training may use.  [default: what the device has]",
)
@option(
    "Training",
    "--device",
    help='Where it will train: "cpu" or "cuda".  [default: a GPU if torch sees one, else the CPU]',
)
@option("Training", "--keep-opaque", is_flag=True, help="Take pictures without a transparent pixel, too.")
@option(
    "Output",
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder, or file ending in .toml, of the recipe.  [default: runs/NAME OF THE PICTURES' FOLDER]",
)
def new_command(
    model: str,
    pictures: Path,
    size_px: int | None,
    memory_gib: float | None,
    device: str | None,
    keep_opaque: bool,
    output: Path | None,
) -> None:
    """Pack pictures of your own, and write a recipe that teaches them to a model.

    The recipe explains each of its fields. Pictures that cannot be used are told, with the reason, and left
    out. `pellucid train all` trains it.
    """
    from pellucid.training.proposals.new_recipe import write_new_recipe
    from pellucid.training.stages.registry import usable_device

    folder = output or Path("runs") / pictures.resolve().name
    recipe = folder if folder.suffix == ".toml" else folder / "recipe.toml"
    left_out: list[Path] = []

    def set_aside(path: Path, error: FileError) -> None:
        left_out.append(path)
        tell(f"Left out: {error}")

    made = write_new_recipe(
        model,
        pictures,
        recipe,
        size_px=size_px,
        memory_gib=memory_gib,
        device=usable_device(device),
        keep_opaque=keep_opaque,
        set_aside=set_aside,
    )
    click.echo(made.recipe)
    measuring = (
        f", {made.held_out} of them held out to measure the codec" if "autoencoder" in made.stages else ""
    )
    tell(f"{made.pictures} pictures of {made.captions} captions{measuring}; {len(left_out)} left out.")
    if made.fit.gib > made.memory_gib:
        tell(
            f"Training takes about {made.fit.gib:g} GiB, more than the {made.memory_gib:.1f} that there are. "
            "Take a smaller --size or model."
        )
    tell(f"Next: pellucid train all --config {made.recipe} -o {recipe.parent}")
