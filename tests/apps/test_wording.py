"""The command line says what is wrong in its own words, and what of a prompt was cut off."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import pellucid
from pellucid.apps.cli import cli
from pellucid.apps.wording import OPTIONS, in_shell_words
from pellucid.errors import InputError, PellucidError, PromptWarning, first_line
from pellucid.files.conversion import to_rgba8
from pellucid.pipelines.prompt_length import cut_off

PYTHON = (*OPTIONS, "pipeline_inputs", "Scene.", "`layers=`", "Pass ", " int.", " float.", " str.")


@pytest.mark.parametrize(
    "arguments",
    [
        ("generate", "a", "--steps", "0"),
        ("generate", "a", "--guidance", "-1"),
        ("generate", "a", "--seed", "-1"),
        ("generate", "a", "--passes", "3"),
        ("generate", "a", "--scheduler", "heun"),
        ("generate", "a", "--size", "9000x9"),
        ("generate", "a", "--hires", "2"),
        ("generate", "a", "-o", "x.jpg"),
        ("layers", "x.psd", "--remove", "a"),
        ("convert", "x.zip", "y.png"),
        ("again", "x.png"),
        ("composite", "x.png", "--background", "red"),
    ],
)
def test_no_error_names_what_only_python_has(arguments: tuple[str, ...]) -> None:
    for ending in ("png", "zip", "psd"):
        Path(f"x.{ending}").write_bytes(b"nothing")
    error = CliRunner().invoke(cli, arguments).exception
    assert isinstance(error, PellucidError)
    said = in_shell_words(error)
    assert not [name for name in PYTHON if name in said], said


def test_arguments_become_options() -> None:
    error = InputError("Expected num_inference_steps as a whole number,\n found 'x' (str). Pass an int.")
    assert (
        in_shell_words(error) == "Expected --steps as a whole number, found 'x' (str). Give a whole number."
    )


def test_the_end_of_a_long_prompt_is_told() -> None:
    tokenizer = pellucid.load().pipeline.tokenizer
    assert cut_off("a cat", [tokenizer, None]) == ""
    assert cut_off("a cat " * 40 + "with a hat", [tokenizer]).endswith("with a hat")
    with pytest.warns(PromptWarning, match=r"Cut off: '.*with a hat'"):
        pellucid.load().generate("a cat " * 40 + "with a hat", seed=1, num_inference_steps=1)


def test_floats_out_of_their_range_are_refused() -> None:
    for wrong in (np.full((4, 4, 4), 200.0), np.full((4, 4, 3), -1.0, np.float32)):
        with pytest.raises(InputError, match=r"floats in \[0, 1\]"):
            to_rgba8(wrong)
    # what rounds to the ends all the same is taken
    assert (to_rgba8(np.full((2, 2, 4), 1.0015)) == 255).all()


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "vae", "--config", "absent.toml"),
        ("decode", "absent.safetensors"),
        ("study", "results", "."),
        ("data", "stats", "absent.tar"),
        ("eval", "compare", "absent.json", "absent.json"),
    ],
)
def test_what_the_system_refuses_is_told_without_its_numbers(arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code != 0
    assert "Errno" not in f"{result.output} {result.exception}"
    assert first_line(FileNotFoundError(2, "No such file or directory", "x")) == "No such file or directory"
