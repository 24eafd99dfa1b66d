"""Every example runs offline with few steps, and prints what its first lines say."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("[0-9]*.py"))
MOST_LINES = 40
STEPS = {"04_repaint.py": "2"}
"""Where one denoising step is too few: repainting takes a share of them."""


def promised(text: str) -> list[str]:
    """Returns the printed lines that an example's docstring shows."""
    block = re.search(r"^Prints:\n((?:    .+\n)+)\"\"\"$", text, re.MULTILINE)
    assert block, "an example's docstring ends in `Prints:` and indented lines"
    return [line.removeprefix("    ") for line in block[1].splitlines()]


def without_figures(lines: list[str]) -> list[str]:
    """Replaces every number: at one denoising step, shares and overlaps are not those of the whole run."""
    return [re.sub(r"\d+(\.\d+)?", "N", line) for line in lines]


def test_there_are_eight() -> None:
    assert len(EXAMPLES) == 8


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_prints_what_it_promises(
    example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = example.read_text()
    assert len(text.splitlines()) <= MOST_LINES
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.setenv("EXAMPLE_STEPS", STEPS.get(example.name, "1"))
    runpy.run_path(str(example), run_name="__main__")
    assert without_figures(capsys.readouterr().out.splitlines()) == without_figures(promised(text))


def test_the_readme_of_the_examples_lists_them() -> None:
    text = (ROOT / "examples/README.md").read_text()
    assert re.findall(r"\((\d\d_\w+\.py)\)", text) == [path.name for path in EXAMPLES]
