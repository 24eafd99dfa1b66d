"""Open Clip Art: drawings by many people, in the public domain by their own metadata."""

import re
from collections import Counter
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
MOST_SHARED = 4
"""Drawings that one title may name; "various cliparts" names hundreds."""
LARGEST_BYTES = 2 << 20
"""Larger drawings are maps and photographs traced to shapes, which take minutes to render."""


def clip_art_samples(common: Record, name: str, files: Sequence[Files]) -> Iterator[Sample]:
    """Yields the drawings that are in the public domain and show an object, with their records.

    Args:
        common: a record with what all have in common.
        name: of the set.
        files: its archive.
    """
    contents = files[0]
    # sorted: the set must not depend on the order of an archive
    paths = [path for path in sorted(contents) if _is_object(path, contents[path])]
    roots = ((path, _parse(contents[path])) for path in paths)
    public = {path: _title(root) for path, root in roots if root is not None and _is_public(root)}
    shared = Counter(public.values())
    for path, title in track(public.items(), total=len(public), label=f"packing {name}", unit="drawing"):
        root = _parse(contents[path])
        try:
            rgba = render_svg(contents[path].decode("utf-8", "replace"), IMAGE_PX)
        except (ValueError, OSError):
            continue  # some of these files use what no renderer knows
        if root is None or not rgba[..., 3].any():
            continue
        about = replace(
            common,
            name=f"{name}-{path.removeprefix(ROOT).removesuffix('.svg').replace('/', '-')}",
            label=title if title and shared[title] <= MOST_SHARED else _words_of(path),
            keywords=tuple(_keywords(root)),
            group=path.removeprefix(ROOT).partition("/")[0],
            attribution=_author(root) or common.attribution,
            soft=softness(rgba),
        )
        yield about, rgba


def _parse(content: bytes) -> Element | None:
    """Parses a drawing; some hundred of the files are damaged."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        return fromstring(content)
    except (ParseError, DefusedXmlException, ValueError):
        return None


def _is_object(path: str, content: bytes) -> bool:
    inner = path.removeprefix(ROOT)
    known = path.startswith(ROOT) and path.endswith(".svg") and 0 < len(content) <= LARGEST_BYTES
    return known and not inner.startswith(LEFT_OUT)


def _is_public(root: Element) -> bool:
    """Tells whether a drawing's own metadata dedicate it to the public domain; a few say GPL or nothing."""
    licences = [value for tag in root.iter() if tag.tag.endswith("icense") for value in tag.attrib.values()]
    return any(PUBLIC_DOMAIN.search(value) for value in licences)


def _title(root: Element) -> str:
    """Returns a drawing's title, or nothing where it says nothing."""
    title = next((tag.text for tag in root.iter(f"{DUBLIN}title") if tag.text), "") or ""
    words = " ".join(title.replace("_", " ").split()).lower()
    return "" if UNTITLED.search(words) or len(words) > 60 else words


def _words_of(path: str) -> str:
    """Reads a file's name, which ends in its author and a number: "coffee_cup_nicu_bucu_01"."""
    stem = PurePosixPath(path).stem
    words = re.sub(r"(_[a-z]+){0,2}_+\d*$", "", stem).replace("_", " ").strip()
    return words or stem.replace("_", " ").strip()


def _keywords(root: Element) -> list[str]:
    words = (tag.text.strip().lower() for tag in root.iter(f"{RDF}li") if tag.text and tag.text.strip())
    return list(dict.fromkeys(words))[:8]


def _author(root: Element) -> str:
    for creator in root.iter(f"{DUBLIN}creator"):
        for tag in creator.iter(f"{DUBLIN}title"):
            if tag.text and tag.text.strip():
                return f"Open Clip Art Library: {tag.text.strip()}"
    return ""
