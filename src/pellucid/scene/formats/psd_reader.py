"""A PSD or PSB by any program to a scene, as long as layers here can show it.

Every colour mode that can be shown right (see `psd_colours`), layers and groups with their blend modes,
clipping and pixel masks, text, shapes and smart objects by their stored pixels. What is stored without pixels
is drawn (`psd_drawing`) where the file's own image proves the drawing right. Everything else is refused:
another image than the author's would be worse than none.
"""

import io
import warnings
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from psd_tools import ParseLimits, PSDDecompressionWarning, PSDImage
from psd_tools.api.layers import Group as Folder
from psd_tools.api.layers import Layer as Entry
from psd_tools.api.layers import TypeLayer
from psd_tools.constants import BlendMode, Resource

from pellucid.files.blend_space import blend_space
from pellucid.files.image_decoding import warn_of
from pellucid.files.sources import NamedContent
from pellucid.rgba.types import RGBA8
from pellucid.scene.formats.layer_metadata import LayerMetadata
from pellucid.scene.formats.limits import (
    PixelLimit,
    UnsupportedDocument,
    UnsupportedLayer,
)
from pellucid.scene.formats.psd_agreement import CLOSE, Agreement, compare, rows_of
from pellucid.scene.formats.psd_colours import LIGHT, Colours
from pellucid.scene.formats.psd_drawing import Drawing
from pellucid.scene.formats.psd_features import MODES, Drawable, Obstacle, find_obstacles, is_clipped
from pellucid.scene.formats.psd_paths import Edges
from pellucid.scene.formats.psd_pixels import StoredPixels
from pellucid.scene.formats.psd_text import with_text_gamma
from pellucid.scene.formats.xmp import parse_xmp
from pellucid.scene.layer import MAX_DEPTH, Group, Layer
from pellucid.scene.scene import Scene, Unsupported

EMPTY = np.zeros((1, 1, 4), np.uint8)
LIGHT_MIXED = "it has 32 bits, and layers that show others through, blended as light"
NOTHING_TO_COMPARE = "and the file holds no image of the whole to compare a drawing with"
TEXT_MIXED = (
    "the edges of its text were mixed with a gamma by its program, and are drawn for what is below them"
)
WAYS: tuple[Edges, ...] = ("samples", "coarse samples", "areas")
"""In which edges of paths are smoothed."""


def read_psd(source: NamedContent, pixel_limit: PixelLimit, unsupported: Unsupported = "refuse") -> Scene:
    """Reads a document.

    Args:
        source: the file.
        pixel_limit: of what is unpacked.
        unsupported: what becomes of a layer that cannot be shown as its author sees it.

    Raises:
        UnsupportedDocument: something that layers here cannot show, or too large.
    """
    # a small file may declare gigabytes: unpacked data is bounded by what its size makes likely
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", PSDDecompressionWarning)  # it would go on with black
        with source.opened() as file:
            length = file.seek(0, io.SEEK_END)
            file.seek(0)
            limits = ParseLimits(max_read_bytes=length + 1, max_total_bytes=16 * length + (1 << 20))
            document = PSDImage.open(file, parse_limits=limits)
        pixel_limit.canvas(document.height, document.width)
        scene, notes = _Document(document, pixel_limit.limit).read(unsupported)
    warn_of(source.name, notes)
    return scene


class _Document:
    """A parsed document, which may be gone through more than once."""

    def __init__(self, document: PSDImage, max_pixels: int) -> None:
        self.document, self.max_pixels = document, max_pixels
        self.unpacked = dict[int, RGBA8]()
        resources = document.image_resources
        profile = resources.get_data(Resource.ICC_PROFILE)
        self.metadata = parse_xmp(resources.get_data(Resource.XMP_METADATA))
        self.icc = profile if isinstance(profile, bytes) else b""

    def read(self, unsupported: Unsupported) -> tuple[Scene, list[str]]:
        """Returns the scene, and what to warn of."""
        try:
            return self._drawn()
        except UnsupportedLayer as refusal:
            if unsupported == "refuse":
                raise
            reader = self._reader(skips=True)
            if unsupported == "flatten":
                return self._scene([reader.flattened_instead(self.document, refusal)], reader), reader.notes
        reader.read(self.document, ())
        return self._scene(reader.layers, reader), reader.notes

    def _drawn(self) -> tuple[Scene, list[str]]:
        """Reads it whole, drawing what has to be; refuses it if that is not as the file's own image.

        Raises:
            UnsupportedLayer: something that cannot be shown for certain.
        """
        best = self._attempt(WAYS[0])
        notes = best.notes  # of what was unpacked, which is not done again
        for edges in WAYS[1:] if best.drawing.vectors else ():
            if best.agreement is not None and best.agreement.furthest > CLOSE:
                best = min(best, self._attempt(edges), key=_mean)
        drawn = best.drawing.drawn
        if drawn and best.agreement is None:
            raise UnsupportedLayer(f"{drawn[0]}, {NOTHING_TO_COMPARE}")
        if drawn and best.agreement is not None and not best.agreement.is_right:
            raise UnsupportedLayer(f"{drawn[0]}, and drawn here it is {best.agreement.words}")
        return best.scene, [*dict.fromkeys([*notes, *best.notes]), *_told(drawn)]

    def _attempt(self, edges: Edges) -> "_Attempt":
        """Reads it whole, and compares it with the file's own image where something was drawn or is text."""
        reader = self._reader(edges=edges)
        reader.read(self.document, ())
        layers = reader.layers if len(self.document) else [reader.flattened(self.document)]
        scene, drawing = self._scene(layers, reader), reader.drawing
        if reader.mixes_light:
            drawing.drawn.append(LIGHT_MIXED)
        agreement: Agreement | None = None
        if drawing.drawn and self._truth is not None:
            agreement = compare(scene.composite(), self._truth, drawing.smoothed)
        if reader.texts and self._truth is not None and self._is_off_at_text(scene, reader, agreement):
            agreement, scene = self._with_text(scene, reader, self._truth)
        return _Attempt(scene, reader.notes, drawing, agreement)

    def _is_off_at_text(self, scene: Scene, reader: "_Reader", agreement: Agreement | None) -> bool:
        """Says whether the rows that text is in differ from the file's own image."""
        assert self._truth is not None
        if agreement is not None:
            return agreement.furthest > CLOSE
        texts = [layer for layer in scene.layers if id(layer) in reader.texts and layer.visible]
        first = max(min((layer.offset[0] for layer in texts), default=0), 0)
        last = max((layer.offset[0] + len(layer.image) for layer in texts), default=0)
        rows = slice(first, min(last, scene.height))
        if rows.stop <= rows.start:
            return False
        return compare(rows_of(scene, rows).composite(), self._truth[rows], None).furthest > CLOSE

    def _with_text(self, scene: Scene, reader: "_Reader", truth: RGBA8) -> tuple[Agreement | None, Scene]:
        """Returns the scene with the edges of text mixed otherwise, if that makes it right; else as it is."""
        texts = [place for place, layer in enumerate(scene.layers) if id(layer) in reader.texts]
        space = blend_space(scene.blend_profile) if scene.blend_profile else None
        mixed = with_text_gamma(scene, texts, space)
        before, after = (compare(each.composite(), truth, reader.drawing.smoothed) for each in (scene, mixed))
        if not after.is_right or after.mean >= before.mean:
            return before, scene
        reader.notes.append(TEXT_MIXED)
        return after, mixed

    @cached_property
    def _truth(self) -> RGBA8 | None:
        """Returns the file's own image of the whole; None if it has none, or does not say so."""
        version = self.document.image_resources.get_data(Resource.VERSION_INFO)
        if version is None or not version.has_composite:
            return None
        try:
            return self._reader().flattened(self.document).image
        except (UnsupportedDocument, ValueError):  # damage behind the layers, which may be sound
            return None

    def _reader(self, *, edges: Edges = "samples", skips: bool = False) -> "_Reader":
        notes = list[str]()
        colours = Colours(self.document.color_mode, self.document.depth, self.icc, notes)
        pixels = StoredPixels(PixelLimit(self.max_pixels), colours, self.unpacked)
        drawing = Drawing(pixels, self.document.height, self.document.width, edges)
        return _Reader(drawing, self.metadata, notes, skips=skips)

    def _scene(self, layers: list[Layer], reader: "_Reader") -> Scene:
        colours = reader.pixels.colours
        scene = self.metadata.scene(layers, self.document.height, self.document.width)
        reader.mixes_light = colours.check_blending(layers)
        # light is told of only where it makes a difference: few formats have a place for it
        told = len(layers) > 1 and (reader.mixes_light or colours.depth != LIGHT)
        return replace(scene, blend_profile=colours.blend_profile) if told else scene


class _Attempt(NamedTuple):
    """A document as it was read in one way."""

    scene: Scene
    notes: list[str]
    drawing: Drawing
    agreement: Agreement | None
    """With the file's own image; None without one, and where nothing had to be compared."""


def _mean(attempt: _Attempt) -> float:
    return attempt.agreement.mean if attempt.agreement is not None else float("inf")


class _Reader:
    """Gathers the layers of a document, bottom first."""

    def __init__(self, drawing: Drawing, metadata: LayerMetadata, notes: list[str], *, skips: bool) -> None:
        self.drawing, self.metadata, self.notes, self.skips = drawing, metadata, notes, skips
        self.pixels, self.mixes_light = drawing.pixels, False
        self.layers: list[Layer] = []
        self.texts = set[int]()
        """Identities of layers of text."""

    def read(self, parent: PSDImage | Folder, groups: tuple[Group, ...]) -> None:
        if len(groups) > MAX_DEPTH:
            raise UnsupportedDocument(f"its groups are nested more than {MAX_DEPTH} deep. Nest them less.")
        base: Entry | None = None
        entries = list(parent)
        for entry, above in zip(entries, [*entries[1:], None], strict=False):
            clipped = is_clipped(entry)
            holds = not clipped and above is not None and is_clipped(above)
            obstacles = find_obstacles(entry, base, holds=holds)
            base = base if clipped else entry
            if self._leaves_out(str(entry.name)[:40], obstacles):
                continue
            # a layer is shown with all that can be drawn of it, or without
            kinds: set[Drawable] = {each.drawable for each in obstacles if each.drawable and not self.skips}
            key, stored_name = str(entry.layer_id), str(entry.name)
            if isinstance(entry, Folder):
                group = self._group(entry, self.metadata.name(key, stored_name), kinds)
                self.read(entry, (*groups, group))
            else:
                plain = self._plain(entry, key, stored_name, groups, kinds)
                self.layers += self.drawing.layer(entry, plain, kinds, holds=holds)
                if isinstance(entry, TypeLayer):
                    self.texts.add(id(self.layers[-1]))

    def _leaves_out(self, name: str, obstacles: Iterable[Obstacle]) -> bool:
        """Says whether a layer or group is passed over; refuses it if it cannot be shown or drawn.

        Raises:
            UnsupportedLayer: naming it.
        """
        left_out, words = False, list[str]()
        for obstacle in obstacles:
            if self.skips:
                what = "it" if obstacle.whole else "that"
                self.notes.append(f"{name!r} {obstacle.words}; {what} is left out")
                left_out |= obstacle.whole
            elif obstacle.drawable is None:
                raise UnsupportedLayer(f"{name!r} {obstacle.words}")
            else:
                words.append(obstacle.words)
        if words:
            self.drawing.drawn.append(f"{name!r} {' and '.join(words)}")
        return left_out

    def flattened_instead(self, document: PSDImage, refusal: UnsupportedLayer) -> Layer:
        """Returns the flattened image that the file holds beside layers of which one cannot be shown.

        Raises:
            UnsupportedDocument: it holds none.
        """
        version = document.image_resources.get_data(Resource.VERSION_INFO)
        if version is not None and not version.has_composite:
            raise UnsupportedDocument(
                f"{refusal.words}, and it holds no flattened image. "
                "Save it with maximum compatibility in the program that made it."
            ) from refusal
        self.notes.append(f"{refusal.words}; the file's flattened image is taken instead")
        return self.flattened(document)

    def flattened(self, document: PSDImage) -> Layer:
        """Returns the flattened image of a document as its only layer."""
        return Layer(image=self.pixels.flattened(document), name="Background")

    def _plain(
        self, entry: Entry, key: str, stored_name: str, groups: tuple[Group, ...], kinds: set[Drawable]
    ) -> Layer:
        """Returns a layer without its image and place."""
        return Layer(
            image=EMPTY,
            name=self.metadata.name(key, stored_name),
            opacity=_opacity(entry),
            visible=entry.visible,
            provenance=self.metadata.of(key, stored_name),
            groups=groups,
            blend_mode=MODES.get(entry.blend_mode, "normal"),
            clipped=is_clipped(entry),
            mask=self.drawing.mask(entry, kinds),
        )

    def _group(self, entry: Folder, name: str, kinds: set[Drawable]) -> Group:
        passes = entry.blend_mode is BlendMode.PASS_THROUGH
        return Group(
            name=name,
            opacity=_opacity(entry),
            visible=entry.visible,
            blend_mode="pass_through" if passes else MODES.get(entry.blend_mode, "normal"),
            clipped=is_clipped(entry),
            mask=self.drawing.mask(entry, kinds),
        )


def _opacity(entry: Entry) -> float:
    # where fill opacity is something else than opacity, the layer is refused
    return entry.opacity / 255 * (entry.fill_opacity / 255)


def _told(drawn: Iterable[str]) -> list[str]:
    """Says what was drawn, as warnings."""
    return [
        f"{each}; that was drawn as pixels, as the file's own image has it" for each in dict.fromkeys(drawn)
    ]
