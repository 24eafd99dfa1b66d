"""Open Clip Art: drawings by many people, in the public domain by their own metadata."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element

from pellucid.data.emoji import IMAGE_PX, Files
from pellucid.data.records import Record, softness
from pellucid.data.shards import Sample
from pellucid.data.svg import render_svg
from pellucid.progress import track

ROOT = "./usr/share/openclipart/svg/"
LEFT_OUT = (
    "shapes/stars/",
    "shapes/gradients/",
    "signs_and_symbols/",
    "computer/icons/",
    "recreation/games/cards/",
    "special/patterns/",
    "education/",
    "unsorted/flags/",
)
"""Folders of generated stars, flags, playing cards and parts of icon themes: no objects, or many copies."""
DUBLIN, RDF = "{http://purl.org/dc/elements/1.1/}", "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
PUBLIC_DOMAIN = re.compile(
    r"web\.resource\.org/cc/PublicDomain|publicdomain|creativecommons\.org/.*zero", re.I
)
UNTITLED = re.compile(r"part of|icon collection|untitled|^\W*$", re.IGNORECASE)
LARGEST_BYTES = 2 << 20
"""Larger drawings are maps and photographs traced to shapes, which take minutes to render."""


def clip_art_samples(common: Record, name: str, files: Sequence[Files]) -> Iterator[Sample]:
    """Yields the drawings that are in the public domain and show an object, with their records.

    Args:
        common: a record with what all have in common.
        name: of the set.
        files: its archive.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    contents = files[0]
    chosen = [path for path in sorted(contents) if _is_object(path, contents[path])]
    for path in track(chosen, total=len(chosen), label=f"packing {name}", unit="drawing"):
        text = contents[path].decode("utf-8", "replace")
        try:
            root: Element = fromstring(contents[path])
            if not _is_public(root):
                continue
            rgba = render_svg(text, IMAGE_PX)
        except (ParseError, DefusedXmlException, ValueError, OSError):
            continue  # some hundred of these files are damaged or use what no renderer knows
        about = replace(
            common,
            name=f"{name}-{path.removeprefix(ROOT).removesuffix('.svg').replace('/', '-')}",
            label=_title(root, path),
            keywords=tuple(_keywords(root)),
            group=path.removeprefix(ROOT).partition("/")[0],
            attribution=_author(root) or common.attribution,
            soft=softness(rgba),
        )
        yield about, rgba


def _is_object(path: str, content: bytes) -> bool:
    inner = path.removeprefix(ROOT)
    known = path.startswith(ROOT) and path.endswith(".svg") and 0 < len(content) <= LARGEST_BYTES
    return known and not inner.startswith(LEFT_OUT)


def _is_public(root: Element) -> bool:
    """Tells whether a drawing's own metadata dedicate it to the public domain; a few say GPL or nothing."""
    licences = [value for tag in root.iter() if tag.tag.endswith("icense") for value in tag.attrib.values()]
    return any(PUBLIC_DOMAIN.search(value) for value in licences)


def _title(root: Element, path: str) -> str:
    title = next((tag.text for tag in root.iter(f"{DUBLIN}title") if tag.text), "") or ""
    words = " ".join(title.replace("_", " ").split()).lower()
    if not words or UNTITLED.search(words) or len(words) > 60:
        # names end in their author and a number: "coffee_cup_nicu_bucu_01"
        words = re.sub(r"(_[a-z]+){0,2}_\d+$", "", PurePosixPath(path).stem).replace("_", " ")
    return words.strip() or PurePosixPath(path).stem


def _keywords(root: Element) -> list[str]:
    words = (tag.text.strip().lower() for tag in root.iter(f"{RDF}li") if tag.text and tag.text.strip())
    return list(dict.fromkeys(words))[:8]


def _author(root: Element) -> str:
    for creator in root.iter(f"{DUBLIN}creator"):
        for tag in creator.iter(f"{DUBLIN}title"):
            if tag.text and tag.text.strip():
                return f"Open Clip Art Library: {tag.text.strip()}"
    return ""
