"""The example notebook runs cell by cell, and what its cells end in shows itself."""

# pyright: reportPrivateUsage=false
# notebooks call these names, which only look private

import ast
import json
from pathlib import Path

import pytest

import pellucid

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


def run_cell(source: str, names: dict[str, object]) -> object:
    """Runs a cell as Jupyter does, and returns the value of the expression that it ends in, if it does."""
    tree = ast.parse(source)
    last = tree.body[-1]
    if not isinstance(last, ast.Expr):
        exec(compile(tree, "cell", "exec"), names)
        return None
    exec(compile(ast.Module(tree.body[:-1], []), "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names)


def test_there_is_one() -> None:
    assert [path.name for path in NOTEBOOKS] == ["scenes.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook = json.loads(path.read_text())
    assert notebook["nbformat"] == 4
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EXAMPLE_STEPS", "1")
    names: dict[str, object] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        # results are made by running it, and would only age in the repository
        assert (cell["outputs"], cell["execution_count"]) == ([], None)
        shown = run_cell("".join(cell["source"]), names)
        assert isinstance(shown, (pellucid.Scene, pellucid.Layer))
        assert "data:image/png;base64," in shown._repr_html_()
    assert "the same: True" in capsys.readouterr().out
