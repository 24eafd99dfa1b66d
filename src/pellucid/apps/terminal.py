"""Text of files on a terminal."""

import contextlib
import io
import os
import sys
import unicodedata

from pellucid.progress import announce

TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of what follows them, beyond the name that holds them."""


def printable(text: str) -> str:
    r"""Returns a text that moves no cursor and sets no colour or title: "\x1b" stands for an escape.

    Names of layers, prompts and messages come out of files by anybody. Letters of all languages stay;
    control characters, line breaks, and characters that turn the direction of writing are spelt out.
    """
    return "".join(
        each if _is_shown(each) else each.encode("unicode_escape").decode("ascii") for each in text
    )


def allow_any_names() -> None:
    """Lets standard output and errors have names of files that are no UTF-8, byte by byte, or escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            is_utf8 = stream.encoding.lower().replace("-", "") == "utf8"
            stream.reconfigure(errors="surrogateescape" if is_utf8 else "backslashreplace")


def drop_output() -> None:
    """Sends what is left for standard output nowhere: it would fail once more when Python ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def tell(line: str) -> None:
    """Prints a line on stderr, above the bars: what a command makes of what it was given."""
    announce(printable(f"pellucid: {line}"), sys.stderr)


def _is_shown(character: str) -> bool:
    # not str.isprintable, which takes joiners out of emoji and spaces out of French
    return unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp") and character not in TURNING
