"""Emoji sets: pictures by hexcode, names and keywords from Unicode's tables."""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from pellucid.data.package_archives import Archive
from pellucid.data.records import Record, softness
from pellucid.data.shards import Sample
from pellucid.progress import track

GROUPS = (
    "smileys",
    "people",
    "component",
    "animals",
    "food",
    "travel",
    "activities",
    "objects",
    "symbols",
    "flags",
)
"""Unicode's emoji groups in emojibase's numbering."""
LEFT_OUT = ("component", "symbols", "flags")
"""Groups that hold no objects."""
PICTURE_PX = 256


NAMES = Archive(
    "emojibase-data", "17.0.0", "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a"
)
KEYWORDS = Archive("emojilib", "4.0.3", "7f9a6b43cff31d18985b7d65d11faba5bd971cbcc60020cf6d09322fbaaaf303")
Files = dict[str, bytes]
Pictures = Iterator[tuple[str, Callable[[], np.ndarray]]]
"""(hexcode, function that renders uint8 (256, 256, 4))."""


def fluent(files: Files) -> Pictures:
    """Yields the images of Fluent Emoji 3D, decoded when they are asked for."""
    for name, content in sorted(files.items()):
        if name.endswith(".webp"):
            yield (
                Path(name).stem,
                lambda content=content: np.asarray(Image.open(io.BytesIO(content)).convert("RGBA")),
            )


def noto(files: Files) -> Pictures:
    """Yields the images of Noto Emoji, rendered from SVG when they are asked for."""
    # imported here because only packing this set needs a renderer
    from resvg_py import svg_to_bytes

    icons = json.loads(files["package/icons.json"])["icons"]

    def render(body: str) -> np.ndarray:
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 128">{body}</svg>'
        png = svg_to_bytes(svg_string=svg, width=PICTURE_PX, height=PICTURE_PX)
        return np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGBA"))

    for hexcode, name in sorted(json.loads(files["package/chars.json"]).items()):
        if name in icons:
            yield hexcode, lambda name=name: render(icons[name]["body"])


Names = dict[str, tuple[str, tuple[str, ...], str]]


def _bare(hexcode: str) -> str:
    """Files and tables disagree on the variation selector: leave it out on both sides."""
    return hexcode.lower().replace("-fe0f", "")


def _names(emojibase: dict[str, bytes], emojilib: dict[str, bytes]) -> Names:
    """Hexcode -> label, keywords, group; without skin-tone variants and groups that hold no objects."""
    extra = json.loads(emojilib["package/dist/emoji-en-US.json"])
    table: Names = {}
    for entry in json.loads(emojibase["package/en/data.json"]):
        group = GROUPS[entry["group"]] if "group" in entry else "component"
        if group in LEFT_OUT:
            continue
        words = [
            *entry.get("tags", []),
            *(word.replace("_", " ") for word in extra.get(entry["emoji"], [])[1:]),
        ]
        table[_bare(entry["hexcode"])] = (entry["label"], tuple(dict.fromkeys(words)), group)
    return table


def emoji_samples(
    pictures_of: Callable[[Files], Pictures], common: Record, name: str, files: list[Files]
) -> Iterator[Sample]:
    """Yields every emoji that shows an object, with its record.

    Args:
        pictures_of: what is in the set's own archive.
        common: a record with what all have in common: source, style, licence, attribution.
        name: of the set.
        files: its archive, `NAMES` and `KEYWORDS`.
    """
    table = _names(files[1], files[2])
    pictures = [(code, render) for code, render in pictures_of(files[0]) if _bare(code) in table]
    for code, render in track(pictures, total=len(pictures), label=f"packing {name}", unit="picture"):
        label, keywords, group = table[_bare(code)]
        rgba = render()
        yield (
            replace(
                common,
                name=f"{name}-{_bare(code)}",
                label=label,
                keywords=keywords,
                group=group,
                soft=softness(rgba),
            ),
            rgba,
        )
