"""Icon sets in Iconify's JSON: SVG by name, each set with its own way of naming."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from pellucid.data.emoji import IMAGE_PX, Files, emoji_names
from pellucid.data.records import Record, softness
from pellucid.data.shards import Sample
from pellucid.data.svg import render_svg
from pellucid.progress import track

About = tuple[str, tuple[str, ...], str]
"""Label, keywords and group."""
Labels = dict[str, About]
"""What Unicode's names say, by the letters of the label."""
Naming = Callable[[str, Labels], About | None]
"""Gives label, keywords and group of an icon's name, or None where it shows no object."""


def icon_samples(
    naming: Naming, with_names: bool, common: Record, name: str, files: Sequence[Files]
) -> Iterator[Sample]:
    """Yields every icon that shows an object, with its record.

    Args:
        naming: how the set names its icons.
        with_names: whether Unicode's names are needed, whose archives then follow the set's own.
        common: a record with what all have in common.
        name: of the set.
        files: of its archives.
    """
    document = json.loads(files[0]["package/icons.json"])
    names = emoji_names(files[1], files[2]) if with_names else {}
    labels = {_key(about[0]): about for about in names.values()}
    known = [(icon, about) for icon in sorted(document["icons"]) if (about := naming(icon, labels))]
    # 16 is Iconify's own default, and an icon's size wins over its set's
    side = document.get("width", 16), document.get("height", 16)
    for icon, (label, keywords, group) in track(
        known, total=len(known), label=f"packing {name}", unit="image"
    ):
        entry = document["icons"][icon]
        width, height = entry.get("width", side[0]), entry.get("height", side[1])
        box = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        rgba = render_svg(f'<svg xmlns="http://www.w3.org/2000/svg" {box}>{entry["body"]}</svg>', IMAGE_PX)
        yield (
            replace(
                common,
                name=f"{name}-{icon}",
                label=label,
                keywords=keywords,
                group=group,
                soft=softness(rgba),
            ),
            rgba,
        )


def _key(words: str) -> str:
    return "".join(letter for letter in words.lower() if letter.isalnum())


def _by_label(icon: str, labels: Labels) -> About | None:
    """Finds Unicode's label that has the same letters; variants in skin tones find none."""
    return labels.get(_key(icon))


def _weather(icon: str, labels: Labels) -> About | None:
    """Reads a name of Meteocons. Only filled icons are taken: the others are outlines of the same things."""
    if not icon.endswith("-fill") or any(letter.isdigit() for letter in icon):
        return None
    return icon.removesuffix("-fill").replace("-", " "), ("weather",), "objects"


icons_by_label = partial(icon_samples, _by_label, True)
weather_icons = partial(icon_samples, _weather, False)
