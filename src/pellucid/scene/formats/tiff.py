"""A scene as a TIFF: what is seen, a page a layer, each as large as the canvas.

TIFF has no opacity, no hidden pages and no negative places. So a page holds the layer as it is seen: cropped
to the canvas, times its opacity and mask; hidden layers are left out. A group that is more than the sum of
its layers becomes one page, as does a layer with those that are clipped to it; where one blends by another
mode than normal, it and all below it become one. Then every program that lays pages over one another shows
what `Scene.composite` gives.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pellucid.errors import FileError
from pellucid.files.atomic import open_atomically, write_atomically
from pellucid.files.metadata import GenerationMetadata
from pellucid.files.tiff_layout import XMP
from pellucid.files.tiff_pages import Page, count_pages, decode_pages, encode_pages, page_tags
from pellucid.files.tiff_strips import write_tiff_strips
from pellucid.rgba.strips import StripImage, is_large
from pellucid.scene.formats.layer_metadata import LayerMetadata
from pellucid.scene.formats.limits import MAX_LAYERS, PixelLimit, UnsupportedDocument, canvas_around
from pellucid.scene.formats.xmp import build_xmp, parse_xmp
from pellucid.scene.layer import (
    GroupNode,
    Layer,
    all_lie_over,
    clipping_runs,
    facts,
    layer_tree,
    leaves,
    lies_over,
)
from pellucid.scene.scene import Scene

PageLayers = tuple[str, GenerationMetadata | None, list[Layer]]
"""Name and metadata of a page, and the layers that are laid together on it."""


def write_tiff(scene: Scene, path: Path) -> None:
    """Writes a page for each visible layer, at least one.

    Raises:
        FileError: the file cannot be written.
    """
    pages = list(_split_pages(layer_tree(scene.layers))) or [("layer", None, [])]
    if scene.blend_profile:  # pages are laid over one another in sRGB
        pages = [(pages[-1][0], None, list(scene.layers))]
    metadata = LayerMetadata(provenance=scene.provenance)
    for number, (name, provenance, _) in enumerate(pages):
        metadata.add(str(number), name, name.replace("\0", " "), provenance)
    described = _describe_pages(scene, pages, build_xmp(metadata, scene.provenance))
    if not is_large(len(pages) * scene.height * scene.width):
        write_atomically(path, encode_pages((image.gather(), tags) for image, tags in described))
        return
    with open_atomically(path) as file:
        write_tiff_strips(file, described)


def read_tiff(content: bytes, name: str, pixel_limit: PixelLimit) -> Scene | None:
    """Reads each page as a layer, the first one lowest; returns None for a single page.

    Raises:
        FileError: damaged, or of a kind that cannot be read.
    """
    count = count_pages(name, content)
    # one page is an image like others, read with its orientation and profile
    if count < 2:
        return None
    if count > MAX_LAYERS:
        raise UnsupportedDocument(f"it has {count} pages, more than {MAX_LAYERS}. Split it.")
    pages = decode_pages(name, content, pixel_limit.spend)
    if not pages:
        raise FileError(f"Cannot read {name}: it has only thumbnails. Fetch or save it again.")
    metadata = parse_xmp(pages[0].tags.get(XMP))
    layers = tuple(_layer(page, number, metadata) for number, page in enumerate(pages))
    height, width = canvas_around(layers)
    pixel_limit.canvas(height, width)
    return Scene(layers=layers, height=height, width=width, provenance=metadata.provenance)


def _layer(page: Page, number: int, metadata: LayerMetadata) -> Layer:
    stored_name = page.name or f"page {number + 1}"
    return Layer(
        image=page.rgba,
        name=metadata.name(str(number), stored_name),
        offset=page.offset,
        provenance=metadata.of(str(number), stored_name) or page.provenance,
    )


def _split_pages(nodes: Sequence[Layer | GroupNode]) -> Iterator[PageLayers]:
    runs = [run for run in clipping_runs(nodes) if facts(run[0]).visible]
    # what blends by its colour needs all below it at hand
    blending = [number for number, (base, _) in enumerate(runs) if not lies_over(base)]
    merged = blending[-1] + 1 if blending else 0
    if merged:
        yield facts(runs[merged - 1][0]).name, None, _layers(runs[:merged])
    for base, clipped in runs[merged:]:
        whole = facts(base).opacity < 1 or facts(base).mask is not None or clipped
        if isinstance(base, GroupNode) and not whole and all_lie_over(base.children):
            yield from _split_pages(base.children)
        else:
            provenance = base.provenance if isinstance(base, Layer) and not clipped else None
            yield facts(base).name, provenance, _layers([(base, clipped)])


def _layers(runs: Sequence[tuple[Layer | GroupNode, Sequence[Layer | GroupNode]]]) -> list[Layer]:
    return [layer for base, clipped in runs for node in (base, *clipped) for layer in leaves(node)]


def _describe_pages(
    scene: Scene, pages: Sequence[PageLayers], xmp: bytes
) -> Iterator[tuple[StripImage, dict[int, str | bytes]]]:
    for number, (name, provenance, layers) in enumerate(pages):
        strips = replace(scene, layers=tuple(layers)).composite_strips()
        tags = page_tags(
            name=name,
            provenance=provenance or (None if number else scene.provenance),
            xmp=None if number else xmp,
        )
        yield StripImage(scene.height, scene.width, strips), tags
