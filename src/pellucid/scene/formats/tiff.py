"""A scene as a TIFF: what is seen, a page a layer, each as large as the canvas.

TIFF has no opacity, no hidden pages and no negative places. So a page holds the layer as it is seen: cropped
to the canvas, times its opacity; hidden layers are left out; a group that is partly transparent as a whole
becomes one page. Then every program that lays pages over one another shows what `Scene.composite` gives.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pellucid.errors import FileError
from pellucid.files.atomic import write_atomically
from pellucid.files.metadata import Provenance
from pellucid.files.tiff_pages import XMP, Page, count_pages, decode_pages, encode_pages
from pellucid.scene.flatten import flatten_layers
from pellucid.scene.formats.layer_metadata import LayerMetadata
from pellucid.scene.formats.limits import MAX_LAYERS, PixelLimit, UnsupportedDocument, canvas_around
from pellucid.scene.formats.xmp import build_xmp, parse_xmp
from pellucid.scene.layer import GroupNode, Layer, layer_tree
from pellucid.scene.scene import Scene

Sheet = tuple[str, Provenance | None, list[Layer]]


def write_tiff(scene: Scene, path: Path) -> None:
    """Writes a page for each visible layer, at least one.

    Raises:
        FileError: the file cannot be written.
    """
    sheets = list(_sheets(layer_tree(scene.layers))) or [("layer", None, [])]
    notes = LayerMetadata(provenance=scene.provenance)
    for number, (name, provenance, _) in enumerate(sheets):
        notes.add(str(number), name, name.replace("\0", " "), provenance)
    write_atomically(path, encode_pages(_pages(scene, sheets, build_xmp(notes, scene.provenance))))


def read_tiff(content: bytes, name: str, pixel_limit: PixelLimit) -> Scene | None:
    """Reads each page as a layer, the first one lowest; returns None for a single page.

    Raises:
        FileError: damaged, or of a kind that cannot be read.
    """
    count = count_pages(name, content)
    if count < 2:
        return None
    if count > MAX_LAYERS:
        raise UnsupportedDocument(f"it has {count} pages, more than {MAX_LAYERS}. Split it.")
    pages = decode_pages(name, content, pixel_limit.spend)
    if not pages:
        raise FileError(f"Cannot read {name}: it has only thumbnails. Fetch or save it again.")
    notes = parse_xmp(pages[0].tags.get(XMP))
    layers = tuple(_layer(page, number, notes) for number, page in enumerate(pages))
    height, width = canvas_around(layers)
    pixel_limit.canvas(height, width)
    return Scene(layers=layers, height=height, width=width, provenance=notes.provenance)


def _layer(page: Page, number: int, notes: LayerMetadata) -> Layer:
    shown = page.name or f"page {number + 1}"
    return Layer(
        image=page.rgba,
        name=notes.name(str(number), shown),
        offset=page.offset,
        provenance=notes.of(str(number), shown) or page.provenance,
    )


def _sheets(nodes: Sequence[Layer | GroupNode]) -> Iterator[Sheet]:
    for node in nodes:
        if isinstance(node, Layer):
            if node.visible:
                yield node.name, node.provenance, [node]
        elif node.group.visible:
            below = _sheets(node.children)
            if node.group.opacity == 1:
                yield from below
            else:
                yield node.group.name, None, [layer for _, _, layers in below for layer in layers]


def _pages(scene: Scene, sheets: Sequence[Sheet], xmp: bytes) -> Iterator[Page]:
    for number, (name, provenance, layers) in enumerate(sheets):
        yield Page(
            rgba=flatten_layers(layers, scene.height, scene.width),
            name=name,
            provenance=provenance or (None if number else scene.provenance),
            tags={XMP: xmp} if number == 0 else {},
        )
