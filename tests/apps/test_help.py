"""Help that lists options under headings, and spellings of the last release."""

import re

import pytest
from click.testing import CliRunner, Result

from pellucid.apps.cli import COMMANDS, cli
from pellucid.pipelines.schedulers import SCHEDULERS


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def sections(*command: str) -> dict[str, set[str]]:
    """Headings of a command's help, with the options below each."""
    text = run(*command, "--help").stdout
    headings: dict[str, set[str]] = {}
    heading = ""
    for line in text.splitlines():
        if re.fullmatch(r"[A-Z][\w ]+:", line):
            heading = line[:-1]
        headings.setdefault(heading, set()).update(re.findall(r"^  (?:-\w, )?(--[\w-]+)", line))
    return headings


@pytest.mark.parametrize("command", ["generate", "vary", "upscale", "inpaint", "layers", "split"])
def test_shared_options_stand_under_the_same_headings(command: str) -> None:
    headings = sections(command)
    assert {"--seed", "--count", "--steps", "--guidance", "--passes"} <= headings["Sampling"]
    assert headings["Model"] == {
        "--model",
        "--adapter",
        "--device",
        "--dtype",
        "--literal",
        "--lora",
        "--vae",
    }
    assert {"--output", "--json"} <= headings["Output"]
    assert headings["Other options"] == {"--help"}
    assert headings["Elsewhere"] == {"--server", "--server-token"}
    assert list(headings)[-6:] == ["Sampling", "Model", "Elsewhere", "Memory", "Output", "Other options"]


@pytest.mark.parametrize(
    "command", [name for name in COMMANDS if name not in ("data", "models", "eval", "study", "train")]
)
def test_no_option_but_help_is_without_a_heading(command: str) -> None:
    assert sections(command)["Other options"] == {"--help"}


@pytest.mark.parametrize(
    ("command", "former", "present"),
    [
        (("generate", "a"), "--mend", "--fix-background"),
        (("layers", "--foreground", "a", "--background", "b"), "--stop-at=0.5", "--adapter-end"),
        (("split", "a.png", "--background", "b.png"), "--stop-at", "--adapter-end"),
        (("clean", "a.png"), "--dirt=4", "--noise-threshold"),
        (("clean", "a.png"), "--small=0", "--speckle-share"),
    ],
)
def test_former_spellings_work_and_are_not_shown(command: tuple[str, ...], former: str, present: str) -> None:
    value = ["0.5"] if former == "--stop-at" else []
    # the folder does not exist: arguments are accepted, and the path is refused
    result = run(*command, former, *value, "-o", "none/x.psd")
    assert f"{former.partition('=')[0]} is now {present}" in result.stderr
    assert result.exit_code == 1
    help_text = run(command[0], "--help").output
    assert present in help_text
    assert former.partition("=")[0] not in help_text.split()


def test_a_prompt_after_two_dashes_is_left_alone() -> None:
    result = run("generate", "-o", "none/x.png", "--", "--mend")
    assert "is now" not in result.stderr
    assert result.exit_code == 1


def test_help_names_every_scheduler() -> None:
    words = re.split(r"[\s,]+", run("generate", "--help").stdout)
    assert set(SCHEDULERS) <= {word.rstrip(".") for word in words}
