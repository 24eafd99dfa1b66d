"""File names made of any text, such as names of layers: valid on Linux, macOS and Windows, each once."""

import re
from collections.abc import Iterable, Sequence

MAX_BYTES = 200
"""Of a name without its ending; file systems take 255 bytes."""
RESERVED = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\..*)?", re.IGNORECASE | re.DOTALL
)
"""Names that mean devices on Windows, with any ending."""
REFUSED = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+')
"""Characters that Windows refuses, and those that turn or break lines."""

SURROGATES = re.compile("[\ud800-\udfff]")
"""What Python makes of bytes in names of files that are no UTF-8; no file and no layer can hold it."""


def named_after(text: str) -> str:
    """Returns a file's name, or any text, as the name of a layer: what is no character becomes U+FFFD."""
    return SURROGATES.sub("\ufffd", text)


def safe_stem(text: str) -> str:
    """Returns a text as a file name without ending; letters of all languages and spaces stay.

    Example:
        safe_stem("hat: 1/2")  # "hat 1-2"
    """
    stem = REFUSED.sub("-", named_after(text).replace(":", " ")).encode()[:MAX_BYTES].decode(errors="ignore")
    # Windows drops dots and spaces at the end, and a dot in front hides a file elsewhere
    stem = re.sub(r"\s+", " ", stem).strip(" .-") or "layer"
    return f"{stem}-layer" if RESERVED.fullmatch(stem) else stem


def unique_stems(texts: Sequence[str]) -> list[str]:
    """Returns a file name without ending for each text; those that come again are numbered.

    Names that differ in capitals alone are one file on Windows and macOS, and count as the same.
    """
    return without_doubles((safe_stem(text), "") for text in texts)


def without_doubles(wanted: Iterable[tuple[str, str]]) -> list[str]:
    """Joins stems and endings; names that come again, in whatever capitals, are numbered: `honey-2.png`."""
    taken = set[str]()
    # where to go on for a name: ten thousand equal ones would be counted from the first again each time
    last: dict[str, int] = {}
    names: list[str] = []
    for stem, ending in wanted:
        name = base = f"{stem}{ending}"
        number = last.get(base.casefold(), 1)
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}{ending}"
        last[base.casefold()] = number
        taken.add(name.casefold())
        names.append(name)
    return names
