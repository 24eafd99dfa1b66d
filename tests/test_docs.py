"""Docs say what is true: blocks run, links and names lead somewhere, the command line starts light."""

import importlib
import os
import re
import runpy
import subprocess
import sys
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import pytest

import blocks
import pellucid
from pellucid.pipelines.modes import MODES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
ROWS = re.findall(r"`([\w/]+\.py):(\w+)`", (DOCS / "paper-map.md").read_text())
RUNNING = sorted(
    path
    for path in (
        DOCS / "index.md",
        DOCS / "quickstart.md",
        *(DOCS / "how-to").glob("*.md"),
        *(DOCS / "reference").glob("*.md"),
    )
    if re.search(r"^```(python|bash)$", path.read_text(), re.MULTILINE)
)
"""Pages whose blocks are run, top to bottom, in one namespace and one folder a page."""
CITED = "docs/released-format.md"


@pytest.mark.parametrize(("file", "symbol"), ROWS)
def test_the_paper_map_points_at_code(file: str, symbol: str) -> None:
    text = (ROOT / "src/pellucid" / file).read_text()
    assert re.search(rf"^(def|class) {symbol}\b", text, re.MULTILINE)


def test_the_benchmark_page_is_what_its_results_say() -> None:
    pytest.importorskip("scipy")
    page = runpy.run_path(str(ROOT / "benchmarks" / "benchmark_page.py"))
    assert page["render"]() == (DOCS / "benchmark.md").read_text()


def test_the_paper_map_has_rows() -> None:
    assert len(ROWS) >= 8


def test_public_names_exist() -> None:
    for name in pellucid.__all__:
        assert getattr(pellucid, name) is not None


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the embedded model take few steps by default; the README's blocks take all of them."""
    for name, mode in MODES.items():
        if mode.family == "mini":
            sampling = replace(mode.sampling, num_inference_steps=2)
            monkeypatch.setitem(MODES, name, replace(mode, sampling=sampling))


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("page", RUNNING, ids=lambda path: path.stem)
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    for block, mark in blocks.of(page, run=blocks.run_here):
        if not mark:
            block.evaluate()
        elif mark.startswith("needs: "):
            with chdir(ROOT):
                blocks.check(block)
        else:
            pytest.fail(f"{page.name}: a block is marked {mark!r}, which means nothing here")


def test_pages_with_blocks_are_all_run() -> None:
    known = {*RUNNING, DOCS / "deprecations.md"}
    for page in DOCS.rglob("*.md"):
        fences = re.findall(r"^```(python|bash)$", page.read_text(), re.MULTILINE)
        assert page in known or not fences, f"{page}: its blocks are not run"


def test_the_reference_names_code_that_exists() -> None:
    names = [
        name
        for page in (DOCS / "reference").glob("*.md")
        for name in re.findall(r"^::: ([\w.]+)$", page.read_text(), re.MULTILINE)
    ]
    assert len(names) >= 20
    for name in names:
        module, _, symbol = name.rpartition(".")
        try:
            importlib.import_module(name)  # a module
        except ModuleNotFoundError:
            assert hasattr(importlib.import_module(module), symbol), name


def test_docstrings_cite_headings_that_exist() -> None:
    headings = set(re.findall(r"^## (.+)$", (ROOT / CITED).read_text(), re.MULTILINE))
    cited = [
        (path.name, heading)
        for path in (ROOT / "src").rglob("*.py")
        for heading in re.findall(rf"{re.escape(CITED)}, \"([^\"]+)\"", path.read_text())
    ]
    assert headings
    assert not [each for each in cited if each[1] not in headings]


def test_the_figures_are_those_that_the_script_draws() -> None:
    names = runpy.run_path(str(DOCS / "figures.py"))["FIGURE_OF"]
    assert {path.stem for path in (DOCS / "figures").glob("*.png")} == set(names)


@pytest.mark.slow
def test_a_figure_is_drawn_anew(tmp_path: Path) -> None:
    code = "import figures; figures.FIGURES = figures.Path('.'); figures.main(['adapter', 'latent-offset'])"
    env = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{DOCS}"}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=env, timeout=300)
    assert {path.stem for path in tmp_path.glob("*.png")} == {"adapter", "latent-offset"}


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r"(?:: |- )([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    assert listed == {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}


def test_the_site_builds_strictly_and_asks_no_other_host(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")
    pytest.importorskip("mkdocstrings_handlers.python", reason="the extra `docs` is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path / "site")]
    env = os.environ | {"PYTHONPATH": str(ROOT / "src"), "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert built.returncode == 0, built.stdout + built.stderr
    loading = re.compile(r"<(?:script|img|iframe|source)[^>]+src=\"https?:|<link[^>]+href=\"https?:")
    for path in (tmp_path / "site").rglob("*"):
        if path.suffix == ".html":
            assert not loading.search(path.read_text()), path
        if path.suffix == ".css":
            assert not re.search(r"url\([\"']?(https?:)?//|@import", path.read_text()), path


def test_importing_and_help_load_no_torch() -> None:
    code = (
        "import sys; from click.testing import CliRunner; import pellucid\n"
        "from pellucid.apps.cli import cli, COMMANDS\n"
        "for command in [[], *([name] for name in COMMANDS)]:\n"
        "    result = CliRunner().invoke(cli, [*command, '--help'])\n"
        "    assert result.exit_code == 0, result.output\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
