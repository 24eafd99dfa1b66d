"""Copies what a run exported into a model folder, in half precision.

Usage: `python recipes/install_parts.py runs/base/export src/pellucid/mini`
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def main(source: Path, target: Path) -> None:
    """Every file of `source` to the same place in `target`; weights become float16."""
    for path in sorted(source.rglob("*")):
        if not path.is_file():
            continue
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix != ".safetensors":
            shutil.copyfile(path, place)
            continue
        state = {name: value.to(torch.float16) for name, value in load_file(path).items()}
        save_file(state, place, metadata={"format": "pt"})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
    print(json.dumps({"written": sys.argv[2]}))  # noqa: T201
