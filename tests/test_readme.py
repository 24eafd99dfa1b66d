"""Every block of the README runs as it stands there.

A block under `<!-- needs: … -->` is too long or needs a network: its `pellucid` commands are only
parsed, down to option names and files that must exist. `<!-- test command -->` marks what runs these tests.
"""

import re
from pathlib import Path

import pytest
from sybil import Example

import blocks

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BLOCKS = [(f"line-{example.line}", mark, example) for example, mark in blocks.of(README)]
RUN = [pytest.param(block, id=name) for name, mark, block in BLOCKS if not mark]
UNRUN = [pytest.param(block, id=name) for name, mark, block in BLOCKS if mark.startswith("needs: ")]


def test_no_block_is_missed() -> None:
    fences = re.findall(r"^```(\w+)$", README.read_text(), re.MULTILINE)
    assert len(BLOCKS) == len([fence for fence in fences if fence in ("python", "bash")])
    assert {mark for _, mark, _ in BLOCKS if not mark.startswith("needs: ")} == {"", "test command"}
    assert RUN
    assert UNRUN


def test_ci_finds_the_test_command() -> None:
    marked = [example.parsed for example, mark in blocks.of(README) if mark == "test command"]
    assert len(marked) == 1
    assert marked[0].startswith("pip install ")


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", README.read_text()):
        assert target.startswith("https://") or (ROOT / target).exists(), target


@pytest.mark.parametrize("block", RUN)
def test_a_block_runs(block: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    block.evaluate()


@pytest.mark.parametrize("block", UNRUN)
def test_a_block_that_needs_more_is_understood(block: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    blocks.check(block)
