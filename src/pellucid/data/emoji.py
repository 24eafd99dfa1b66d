"""Emoji sets: images by hexcode, names and keywords from Unicode's tables."""

import io
import json
from collections.abc import Callable, Iterator, Sequence
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
IMAGE_PX = 256


# The names are pinned like the images: a label decides by its hash whether an image is held out, so another
# table would move images between training and measuring.
NAMES = Archive(
    "emojibase-data", "17.0.0", "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a"
)
KEYWORDS = Archive("emojilib", "4.0.3", "7f9a6b43cff31d18985b7d65d11faba5bd971cbcc60020cf6d09322fbaaaf303")
Files = dict[str, bytes]
RenderedImages = Iterator[tuple[str, Callable[[], np.ndarray]]]
"""(hexcode, function that renders uint8 (256, 256, 4))."""


def fluent(files: Files) -> RenderedImages:
    """Yields the images of Fluent Emoji 3D, decoded when they are asked for."""
    for name, content in sorted(files.items()):
        if name.endswith(".webp"):
            # bound as a default: a plain closure would see the content of the last file
            yield (
                Path(name).stem,
                lambda content=content: np.asarray(Image.open(io.BytesIO(content)).convert("RGBA")),
            )


def noto(files: Files) -> RenderedImages:
    """Yields the images of Noto Emoji, rendered from SVG when they are asked for."""
    # imported here because only packing this set needs a renderer
    from resvg_py import svg_to_bytes

    icons = json.loads(files["package/icons.json"])["icons"]

    def render(body: str) -> np.ndarray:
        # the package keeps what is inside each <svg>, drawn on a square of 128 units
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 128">{body}</svg>'
        png = svg_to_bytes(svg_string=svg, width=IMAGE_PX, height=IMAGE_PX)
        return np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGBA"))

    for hexcode, name in sorted(json.loads(files["package/chars.json"]).items()):
        if name in icons:
            # bound as a default, as above
            yield hexcode, lambda name=name: render(icons[name]["body"])


Names = dict[str, tuple[str, tuple[str, ...], str]]


def bare_hexcode(hexcode: str) -> str:
    """Leaves out the variation selector, on which files and tables disagree."""
    return hexcode.lower().replace("-fe0f", "")


def emoji_names(emojibase: dict[str, bytes], emojilib: dict[str, bytes]) -> Names:
    """Maps hexcodes to label, keywords and group; without skin tones and groups that hold no objects."""
    extra = json.loads(emojilib["package/dist/emoji-en-US.json"])
    table: Names = {}
    for entry in json.loads(emojibase["package/en/data.json"]):
        # entries without a group, such as single letters of flags, show no objects either
        group = GROUPS[entry["group"]] if "group" in entry else "component"
        if group in LEFT_OUT:
            continue
        # emojilib's first word is the emoji's own name, which the label says already
        words = [
            *entry.get("tags", []),
            *(word.replace("_", " ") for word in extra.get(entry["emoji"], [])[1:]),
        ]
        # without repetition but in order, since captions take the first words
        table[bare_hexcode(entry["hexcode"])] = (entry["label"], tuple(dict.fromkeys(words)), group)
    return table


def emoji_samples(
    read_images: Callable[[Files], RenderedImages], common: Record, name: str, files: Sequence[Files]
) -> Iterator[Sample]:
    """Yields every emoji that shows an object, with its record.

    Args:
        read_images: reads the images in the set's own archive.
        common: a record with what all have in common: source, style, licence, attribution.
        name: of the set.
        files: its archive, `NAMES` and `KEYWORDS`.
    """
    table = emoji_names(files[1], files[2])
    # a list, so that the progress bar knows the number; rendering still waits for its turn
    images = [(code, render) for code, render in read_images(files[0]) if bare_hexcode(code) in table]
    for code, render in track(images, total=len(images), label=f"packing {name}", unit="image"):
        label, keywords, group = table[bare_hexcode(code)]
        rgba = render()
        yield (
            replace(
                common,
                name=f"{name}-{bare_hexcode(code)}",
                label=label,
                keywords=keywords,
                group=group,
                soft=softness(rgba),
            ),
            rgba,
        )
