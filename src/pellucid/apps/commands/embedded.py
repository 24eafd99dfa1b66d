"""What `pellucid models` says of the embedded model."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

from pellucid.apps.terminal import tell
from pellucid.vocabulary.names import known
from pellucid.vocabulary.reading import read_prompt
from pellucid.vocabulary.search import find

MOST = 20
"""Names that are listed for a text."""
LIMITS = (
    "paints at its own size and resamples to others; knows its subjects by heart and composes little; "
    "no flags, letters or skin tones; reads 30 word pieces of a prompt"
)


def card() -> dict[str, object]:
    """Returns the model card in short, for text and for JSON."""
    from pellucid.pipelines.modes import MODES

    folder, table = Path(str(files("pellucid") / "mini")), known()
    sets = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))["sets"]
    sampling = MODES["mini"].sampling
    native = json.loads((folder / "unet" / "config.json").read_text(encoding="utf-8"))["sample_size"]
    vae = json.loads((folder / "vae" / "config.json").read_text(encoding="utf-8"))["block_out_channels"]
    decoder = json.loads((folder / "rgba" / "alpha_decoder" / "config.json").read_text(encoding="utf-8"))
    side = native * 2 ** (len(vae) - 1) * decoder["upscale"]
    weights = sum(file.stat().st_size for file in folder.rglob("*.safetensors"))
    groups = Counter(subject.group for subject in table.subjects)
    return {
        "name": "mini",
        "size": f"{weights / 1e6:.0f} MB",
        "native size": f"{side}x{side}",
        "steps": sampling.num_inference_steps,
        "guidance": sampling.guidance_scale,
        "subjects": f"{len(table.subjects)}: " + ", ".join(f"{n} {group}" for group, n in groups.items()),
        "scenes": ", ".join(table.scenes),
        "styles": ", ".join(table.styles),
        "colours": ", ".join(table.colours),
        "sets": ", ".join(sets),
        "licences": ", ".join(sorted(file.stem for file in (folder / "licences").iterdir())),
        "limits": LIMITS,
        "words": "pellucid models words [TEXT]",
        "card": str(folder / "README.md"),
    }


def all_words() -> Mapping[str, Sequence[str]]:
    """Returns every name by its kind."""
    table = known()
    groups: dict[str, list[str]] = {}
    for subject in table.subjects:
        groups.setdefault(subject.group, []).append(subject.name)
    others = {
        "scenes": table.scenes,
        "styles": table.styles,
        "colours": table.colours,
        "materials": table.materials,
    }
    return {**groups, **others}


def found_words(text: str) -> Mapping[str, Sequence[str]]:
    """Returns what a text names; where it names nothing, the names that are nearest by meaning."""
    reading = read_prompt(text)
    if reading.text != text:
        tell(f'"{text}" is read as "{reading.text}".')
    if subjects := find(text):
        return {"known": [subject.name for subject in subjects[:MOST]]}
    from pellucid.apps.fast_imports import lean_imports

    with lean_imports():
        from pellucid.pipelines.loading import load_nearest_names

        return {"nearest": load_nearest_names().nearest(reading.text, MOST // 2)}
