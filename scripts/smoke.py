"""Checks an installation in under a minute: every import, every command's help, an adapter beside a LoRA.

Run by `scripts/check_versions.sh` in each environment; it needs no network and only installed packages.
"""

import importlib
import pkgutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click

OPTIONAL = {"matplotlib", "numba", "pymatting", "resvg_py", "tensorboard", "webdataset"}
"""Packages of extras: a module that needs one may be refused without it."""


def import_everything() -> int:
    """Imports each module of the package and returns how many there are."""
    import pellucid

    names = [found.name for found in pkgutil.walk_packages(pellucid.__path__, "pellucid.")]
    names = [name for name in names if not name.endswith("__main__")]
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name not in OPTIONAL:
                raise
    return len(names)


def command_paths() -> Iterator[list[str]]:
    """Yields the words of every command, groups' commands too."""
    from pellucid.apps.cli import cli

    def below(command: click.Command, words: list[str]) -> Iterator[list[str]]:
        yield words
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                if inner is not None:
                    yield from below(inner, [*words, name])

    yield from below(cli, [])


def help_of_everything() -> int:
    """Asks each command for its help in this process, and one in a process of its own."""
    from click.testing import CliRunner

    from pellucid.apps.cli import cli

    paths = list(command_paths())
    for words in paths:
        result = CliRunner().invoke(cli, [*words, "--help"])
        if result.exit_code != 0:
            raise SystemExit(f"pellucid {' '.join(words)} --help: {result.output} {result.exception!r}")
    subprocess.run([sys.executable, "-m", "pellucid", "--help"], check=True, stdout=subprocess.DEVNULL)
    return len(paths)


def draw_with_the_command_line() -> None:
    """Draws one small picture, saves it in two formats and reads its facts."""
    with tempfile.TemporaryDirectory() as folder:
        picture = str(Path(folder) / "apple.png")
        for words in (
            ["generate", "a red apple", "--seed", "7", "--steps", "2", "-o", picture],
            ["convert", picture, str(Path(folder) / "apple.psd")],
            ["show", str(Path(folder) / "apple.psd"), "--json"],
        ):
            subprocess.run([sys.executable, "-m", "pellucid", *words], check=True, stdout=subprocess.DEVNULL)


def draw_beside_a_lora() -> None:
    """Attaches to a small Stable Diffusion pipeline that carries a LoRA put there by PEFT."""
    from peft import LoraConfig

    import pellucid

    embedded = pellucid.load()
    stock = embedded.detach()
    pipe = pellucid.attach(stock, None, autoencoder=embedded.autoencoder)
    stock.unet.add_adapter(LoraConfig(r=4, target_modules=["to_q", "to_v"]), adapter_name="style")
    scene = pipe.generate("a red apple", seed=7, num_inference_steps=2)
    stock.unet.delete_adapters("style")
    assert scene.layers[0].image.shape[2] == 4


def main() -> None:
    """Runs all checks and prints what was counted."""
    print(f"imported {import_everything()} modules")
    print(f"help of {help_of_everything()} commands")
    draw_with_the_command_line()
    print("drew, converted and read a picture")
    draw_beside_a_lora()
    print("drew beside a LoRA")


if __name__ == "__main__":
    main()
