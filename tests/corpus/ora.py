"""OpenRaster. Source: openraster.org, "Layer Stack Specification" and "File Layout Specification", 0.0.6."""

import io
import zipfile
from xml.sax.saxutils import quoteattr

import numpy as np

from corpus.model import HEIGHT, WIDTH, Document, Node
from corpus.pngs import png_bytes

OPERATIONS = {
    "normal": "svg:src-over", "multiply": "svg:multiply", "screen": "svg:screen", "overlay": "svg:overlay",
    "darken": "svg:darken", "lighten": "svg:lighten", "color_dodge": "svg:color-dodge",
    "color_burn": "svg:color-burn", "hard_light": "svg:hard-light", "soft_light": "svg:soft-light",
    "difference": "svg:difference", "color": "svg:color", "luminosity": "svg:luminosity", "hue": "svg:hue",
    "saturation": "svg:saturation", "plus": "svg:plus", "destination_in": "svg:dst-in",
    "destination_out": "svg:dst-out", "source_atop": "svg:src-atop", "destination_atop": "svg:dst-atop",
}  # fmt: skip


def ora_bytes(document: Document) -> bytes:
    """Returns the whole file."""
    members: dict[str, bytes] = {}
    inside = _stack(document, document.nodes, members)
    root = "<stack>" if "bare root" in document.options else '<stack name="root" opacity="1.0">'
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<image version="0.0.6" w="{WIDTH}" h="{HEIGHT}" xres="72" yres="72">{root}{inside}</stack></image>'
    )
    wrong = png_bytes(np.full((HEIGHT, WIDTH, 4), 99, np.uint8))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("mimetype"), "image/openraster")  # first, and not packed
        archive.writestr("stack.xml", text)
        for name, data in members.items():
            archive.writestr(name, data)
        archive.writestr("mergedimage.png", wrong)
        archive.writestr("Thumbnails/thumbnail.png", wrong)
    return file.getvalue()


def _stack(document: Document, nodes: list[Node], members: dict[str, bytes]) -> str:
    """The elements of nodes: the topmost comes first."""
    return "".join(_element(document, node, members) for node in reversed(nodes))


def _element(document: Document, node: Node, members: dict[str, bytes]) -> str:
    words = f"name={quoteattr(node.name)}"
    if node.opacity != 255 or "all attributes" in document.options:
        words += f' opacity="{node.opacity / 255!r}"'
    if not node.visible or "all attributes" in document.options:
        words += f' visibility="{"visible" if node.visible else "hidden"}"'
    mode = "normal" if node.mode == "pass_through" else node.mode
    if mode != "normal" or "all attributes" in document.options:
        words += f' composite-op="{OPERATIONS[mode]}"'
    comment = "<!-- seen -->" if "comments" in document.options else ""
    if node.children is not None:
        words += _isolation(document, node)
        return f"{comment}<stack {words}>{_stack(document, node.children, members)}</stack>"
    source = f"data/{len(members):03}.png"
    samples = document.samples(node)
    if samples.size == 0:
        samples = np.zeros((1, 1, 4), np.uint8)  # a PNG has at least one pixel
    members[source] = png_bytes(samples[..., (0, 3)] if document.grey else samples)
    return f'{comment}<layer {words} src="{source}" x="{node.left}" y="{node.top}"/>'


def _isolation(document: Document, node: Node) -> str:
    """What is said of a stack: "auto" is the default, and isolates what has an opacity or a mode."""
    passes = node.mode == "pass_through"
    if "no isolation" in document.options and passes:
        return ""
    auto = passes or ("auto isolation" in document.options and node.opacity < 255)
    return f' isolation="{"auto" if auto else "isolate"}"'
