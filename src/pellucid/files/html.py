"""Pages for people: one file of HTML that needs no other host."""

import base64
import html
from collections.abc import Sequence

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
.numbers { display: flex; flex-wrap: wrap; gap: .75rem }
.numbers div { background: var(--soft); border-radius: .6rem; padding: .6rem 1rem; min-width: 8rem }
.numbers b { display: block; font-size: 1.5rem }
table { border-collapse: collapse }
td, th { padding: .3rem .9rem; border-bottom: 1px solid var(--line); text-align: left }
td.n { text-align: right; font-variant-numeric: tabular-nums }
img { max-width: 100%; border-radius: .6rem }
.plots { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)) }
.plots img { background: white }
.cases { display: flex; flex-wrap: wrap; gap: 1rem }
figure { margin: 0 } figcaption { font-size: .85rem }
"""
"""Of all pages: light or dark as the reader's system is, and readable on a phone."""


def html_page(title: str, body: str) -> str:
    """Returns a page.

    Args:
        title: plain text.
        body: HTML, whose texts are escaped already.
    """
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width"><title>{html.escape(title)}</title><style>{STYLE}</style>'
        f"<body>{body}</body></html>\n"
    )


def html_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Returns a table; whole numbers stand to the right, texts are escaped."""
    cells = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    lines = (
        "".join(
            f"<td class=n>{value:,}</td>" if isinstance(value, int) else f"<td>{html.escape(str(value))}</td>"
            for value in row
        )
        for row in rows
    )
    return f"<table><tr>{cells}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def html_image(content: bytes, alt: str, *, kind: str = "png") -> str:
    """Returns an image that lies inside the page.

    Args:
        content: of the file.
        alt: what it shows, plain text.
        kind: "png", "jpeg" or "svg+xml".
    """
    data = base64.b64encode(content).decode()
    return f'<img src="data:image/{kind};base64,{data}" alt="{html.escape(alt, quote=True)}">'
