"""Builds the wheel, looks at what is in it, and uses it in a new environment without the repository.

    python scripts/check_wheel.py [--no-install]

Fails if a needed file is missing, if something else is in it, if the weights are 95 MB or more, or if
`pellucid --help` does not run from the installed wheel.
"""

import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
MOST_WEIGHT_BYTES = 95_000_000
NEEDED = (
    "pellucid/__init__.py",
    "pellucid/py.typed",
    "pellucid/apps/cli.py",
    "pellucid/apps/review/static/index.html",
    "pellucid/apps/review/static/review.js",
    "pellucid/apps/study/static/index.html",
    "pellucid/apps/study/static/study.js",
    "pellucid/data/composing/subjects.toml",
    "pellucid/data/rounds/grammar.toml",
    "pellucid/data/rounds/migrations/versions/v0001_first.py",
    "pellucid/mini/model_index.json",
    "pellucid/mini/README.md",
    "pellucid/mini/words.zip",
    "pellucid/mini/unet/diffusion_pytorch_model.safetensors",
)
PAGE = (".html", ".js", ".css", ".svg", ".webp")
"""Of the built web pages."""
ENDINGS = {".py", ".typed", ".json", ".md", ".safetensors", ".txt", ".png", ".toml", ".zip", *PAGE, ""}
"""Of files in the package; the last one is for licences."""


def build(folder: Path) -> Path:
    """Builds the wheel into a folder and returns its path."""
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def check_contents(wheel: Path) -> None:
    """Raises SystemExit for a missing, foreign or too large file."""
    infos = zipfile.ZipFile(wheel).infolist()
    names = {info.filename for info in infos}
    if missing := [name for name in NEEDED if name not in names]:
        raise SystemExit(f"missing from the wheel: {missing}")
    foreign = [
        name
        for name in names
        if ".dist-info/" not in name
        and (not name.startswith("pellucid/") or Path(name).suffix not in ENDINGS or "__pycache__" in name)
    ]
    if foreign:
        raise SystemExit(f"not expected in the wheel: {sorted(foreign)[:10]}")
    if not any(name.endswith("licenses/LICENSE") for name in names):
        raise SystemExit("the wheel has no licence")
    weights = sum(info.file_size for info in infos if info.filename.endswith(".safetensors"))
    if weights >= MOST_WEIGHT_BYTES:
        raise SystemExit(f"weights of {weights:,} bytes; at most {MOST_WEIGHT_BYTES:,} are allowed")
    print(f"{wheel.name}: {len(names)} files, {wheel.stat().st_size:,} bytes, weights {weights:,} bytes")


def check_installed(wheel: Path, folder: Path) -> None:
    """Installs the wheel into a new environment, away from the repository, and asks for help.

    The environment sees this one's packages, so that torch is not installed again. Help and `import pellucid`
    come from the wheel all the same.
    """
    venv.create(folder, with_pip=True, system_site_packages=False)
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", str(wheel)], check=True)
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    packages = [path for path in sys.path if path.endswith("site-packages")]
    (Path(site.stdout.strip()) / "zz_dependencies.pth").write_text("\n".join(packages))
    where = "import pellucid; print(pellucid.__file__, pellucid.__version__)"
    found = subprocess.run(
        [python, "-c", where], check=True, capture_output=True, text=True, cwd=folder, env={}
    )
    if not Path(found.stdout.split()[0]).is_relative_to(folder):
        raise SystemExit(f"the wheel was not used: {found.stdout}")
    script = python.parent / ("pellucid.exe" if sys.platform == "win32" else "pellucid")
    for words in (["--help"], ["--version"], ["generate", "a red apple", "--steps", "2", "-o", "apple.png"]):
        subprocess.run([script, *words], check=True, cwd=folder, stdout=subprocess.DEVNULL, env={})
    print(f"installed and drew apple.png with pellucid {found.stdout.split()[1]} from {wheel.name}")


def main() -> None:
    """Builds and checks; `--no-install` leaves the environment out."""
    with tempfile.TemporaryDirectory() as folder:
        wheel = build(Path(folder))
        check_contents(wheel)
        if "--no-install" not in sys.argv:
            check_installed(wheel, Path(folder).resolve() / "venv")


if __name__ == "__main__":
    main()
