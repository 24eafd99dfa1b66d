"""How documents and images by the specifications are shown: `python benchmarks/corpus.py [--programs]`.

Without a word, all features alone and every pair of them are opened here; with `--programs` each feature
alone is also opened by Krita, GIMP, ImageMagick and psd-tools, as far as they are installed and read the
format. All are compared with one plain renderer (tests/corpus/render.py): largest and 99th percentile of the
difference over all pixels, levels, premultiplied.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from corpus.drawn import drawn_cases
from corpus.features import Case, pairs, singles
from corpus.images import image_cases
from corpus.render import differences
from pellucid.errors import FileError
from pellucid.files.images import read_image
from pellucid.scene.scene import Scene

RIGHT = 1.01
"""Levels that rounding alone explains."""
PATIENCE = 45
"""Seconds for a program: one that asks a question waits for ever."""
CHUNK = 25
"""Files that GIMP opens before it starts anew: one that it fails on ends the rest."""


def ours(cases: Sequence[Case], folder: Path) -> list[np.ndarray | None]:
    """Opens documents here; None for those that are refused."""
    found: list[np.ndarray | None] = []
    for case in cases:
        path = folder / f"x.{case.ending}"
        path.write_bytes(case.content())
        try:
            found.append(Scene.open(path).composite())
        except FileError:
            found.append(None)
    return found


def measure_documents(folder: Path) -> dict[str, object]:
    """Compares every feature and pair with what it should show."""
    alone: dict[str, dict[str, float | None]] = defaultdict(dict)
    for case, image in zip(singles(), ours(singles(), folder), strict=True):
        far = None if image is None else round(float(differences(image, case.build()).max()), 2)
        alone[case.ending][case.features[0].name] = far
    both: dict[str, dict[str, dict[str, float | None]]] = defaultdict(lambda: defaultdict(dict))
    for case in pairs():
        first, second = (feature.name for feature in case.features)
        (image,) = ours([case], folder)
        both[case.ending][first][second] = None if image is None else far_pair(image, case)
    return {"alone": alone, "pairs": both}


def far_pair(image: np.ndarray, case: Case) -> float:
    """Returns the largest difference of a pair, or the second largest where one pixel lies on a step."""
    every = np.sort(differences(image, case.build()).reshape(-1))
    return round(float(every[-2] if every[-1] > RIGHT else every[-1]), 2)


def measure_drawn(folder: Path) -> dict[str, float | None]:
    """Compares every document of a layer that is told and not stored with what it should show."""
    found: dict[str, float | None] = {}
    for case in drawn_cases():
        (folder / "x.psd").write_bytes(case.content())
        _, truth = case.document()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # each says what was drawn
            try:
                levels = Scene.open(folder / "x.psd").composite() / 255
            except FileError:
                found[case.name] = None
                continue
        levels[..., :3] *= levels[..., 3:]
        found[case.name] = round(float(np.abs(levels - truth).max() * 255), 2)
    return found


def measure_images(folder: Path) -> dict[str, float]:
    """Compares every still image with what it should show."""
    found: dict[str, float] = {}
    for case in image_cases():
        path = folder / f"x.{case.ending}"
        path.write_bytes(case.content)
        document = case.ending in ("psd", "psb")
        image = Scene.open(path).composite() if document else read_image(path).rgba
        found[f"{case.ending}: {case.name}"] = round(case.off(image), 2)
    return found


def run(folder: Path, *words: str) -> None:
    """Runs a program at home in `folder`, whatever becomes of it."""
    home = {**os.environ, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
    silent = subprocess.DEVNULL
    # a group of its own, so that what it started ends with it
    with subprocess.Popen(
        words, cwd=folder, env=home, stdout=silent, stderr=silent, start_new_session=True
    ) as program:
        try:
            program.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(program.pid, signal.SIGKILL)


def by_krita(paths: list[Path], folder: Path) -> None:
    """Exports each document with Krita, on a screen that nobody sees."""
    for path in paths:
        run(folder, "xvfb-run", "-a", "krita", "--export", "--export-filename", f"{path}.png", str(path))


def by_gimp(paths: list[Path], folder: Path) -> None:
    """Exports all documents with GIMP, some at a time."""
    for start in range(0, len(paths), CHUNK):
        words = [word for path in paths[start : start + CHUNK] for word in ("-b", gimp_script(path))]
        run(folder, "gimp", "-i", "-d", "-f", "-s", "--no-data", *words, "-b", "(gimp-quit 0)")


def gimp_script(path: Path) -> str:
    """Returns what GIMP does with a document."""
    return (
        f'(let* ((image (car (gimp-file-load RUN-NONINTERACTIVE "{path}" "{path}")))'
        " (layer (car (gimp-image-merge-visible-layers image CLIP-TO-IMAGE))))"
        " (gimp-layer-resize-to-image-size layer)"
        f' (file-png-save-defaults RUN-NONINTERACTIVE image layer "{path}.png" "{path}.png"))'
    )


def by_imagemagick(paths: list[Path], folder: Path) -> None:
    """Lays the layers of each document over one another with ImageMagick."""
    for path in paths:
        layers = (str(path), "-delete", "0", "-background", "none", "-flatten")
        run(folder, "convert", *layers, "-depth", "8", f"PNG32:{path}.png")


def by_psd_tools(paths: list[Path], folder: Path) -> None:
    """Composites each document with psd-tools."""
    from psd_tools import PSDImage

    for path in paths:
        image = PSDImage.open(path).composite(ignore_preview=True)
        if image is not None:
            image.convert("RGBA").save(f"{path}.png")


PROGRAMS: dict[str, tuple[tuple[str, ...], Callable[[list[Path], Path], None]]] = {
    "Krita": (("psd", "ora"), by_krita),
    "GIMP": (("psd",), by_gimp),  # its plug-in for OpenRaster needs Python 2
    "ImageMagick": (("psd",), by_imagemagick),
    "psd-tools": (("psd",), by_psd_tools),
}
COMMANDS = {"Krita": "krita", "GIMP": "gimp", "ImageMagick": "convert"}


Measured = dict[str, dict[str, dict[str, list[float] | None]]]
"""Format, feature, program: the largest difference and its 99th percentile, None without an image."""


def known(path: Path) -> dict[str, dict[str, list[float] | None]]:
    """Returns what an earlier start measured, by the names of cases."""
    before: Measured = json.loads(path.read_text())["off"] if path.exists() else {}
    return {f"{ending}: {name}": values for ending, cases in before.items() for name, values in cases.items()}


def measure_programs(
    folder: Path, names: Sequence[str], known: dict[str, dict[str, list[float] | None]]
) -> Measured:
    """Compares what programs make of each feature alone: by format, feature and program.

    What `known` has is not measured again, so that a program that hung or crashed may try once more.
    """
    found: Measured = defaultdict(lambda: defaultdict(dict))
    for case, image in zip(singles(), ours(singles(), folder), strict=True):
        found[case.ending][case.features[0].name]["Pellucid"] = off(image, case)
    for name in names:
        endings, export = PROGRAMS[name]
        cases = [case for case in singles() if case.ending in endings]
        for case in cases:
            found[case.ending][case.features[0].name][name] = known.get(case.name, {}).get(name)
        cases = [case for case in cases if found[case.ending][case.features[0].name][name] is None]
        paths = [folder / f"{name}-{number}.{case.ending}" for number, case in enumerate(cases)]
        for path, case in zip(paths, cases, strict=True):
            path.write_bytes(case.content())
        export(paths, folder)
        for path, case in zip(paths, cases, strict=True):
            found[case.ending][case.features[0].name][name] = off(read_back(Path(f"{path}.png")), case)
    return found


def read_back(path: Path) -> np.ndarray | None:
    """Returns what a program exported, if it did, as uint8 (h, w, 4)."""
    return np.asarray(Image.open(path).convert("RGBA")) if path.exists() else None


def off(image: np.ndarray | None, case: Case) -> list[float] | None:
    """Returns the largest and the 99th percentile of the difference; None without an image of that size."""
    document = case.build()
    if image is None or image.shape[:2] != (20, 28):
        return None
    every = differences(image, document)
    return [round(float(every.max()), 1), round(float(np.percentile(every, 99)), 1)]


def table(found: Measured, names: Sequence[str]) -> str:
    """Returns features in which a program deviates, as a table in Markdown."""
    lines = [f"| format | feature | {' | '.join(names)} |", "|---" * (2 + len(names)) + "|"]
    for ending, features in found.items():
        for feature, values in features.items():
            cells = [shown(values[name]) if name in values else "" for name in names]
            if any(cell not in ("", "yes") for cell in cells):
                lines.append(f"| {ending} | {feature} | {' | '.join(cells)} |")
    return "\n".join(lines)


def shown(value: list[float] | None) -> str:
    """Returns a cell: nothing but "yes" for what is within two levels."""
    if value is None:
        return "no image"
    return "yes" if value[0] <= 2 else f"{value[0]:.0f} ({value[1]:.0f})"


def main() -> None:
    """Measures, and writes the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", action="store_true")
    parser.add_argument("--output", type=Path, help="JSON")
    options = parser.parse_args()
    name = "corpus-programs.json" if options.programs else "corpus.json"
    options.output = options.output or Path("benchmarks/results") / name
    with tempfile.TemporaryDirectory() as folder:
        if options.programs:
            names = [name for name in PROGRAMS if name not in COMMANDS or shutil.which(COMMANDS[name])]
            found: dict[str, object] = {"psd-tools": version("psd-tools")}
            measured = measure_programs(Path(folder), names, known(options.output))
            found["off"] = measured
            print(table(measured, ["Pellucid", *names]))
        else:
            found = {
                **measure_documents(Path(folder)),
                "drawn": measure_drawn(Path(folder)),
                "images": measure_images(Path(folder)),
            }
    options.output.write_text(json.dumps(found, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
