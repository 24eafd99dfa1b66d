"""Docs that point at code point at code that exists; the command line starts light."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import pellucid

ROOT = Path(__file__).parent.parent
ROWS = re.findall(r"`([\w/]+\.py):(\w+)`", (ROOT / "docs/paper-map.md").read_text())


@pytest.mark.parametrize(("file", "symbol"), ROWS)
def test_the_paper_map_points_at_code(file: str, symbol: str) -> None:
    text = (ROOT / "src/pellucid" / file).read_text()
    assert re.search(rf"^(def|class) {symbol}\b", text, re.MULTILINE)


def test_the_paper_map_has_rows() -> None:
    assert len(ROWS) >= 8


def test_public_names_exist() -> None:
    for name in pellucid.__all__:
        assert getattr(pellucid, name) is not None


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
