"""How many images a file holds, which one is asked for, and each of them as the canvas at its time.

A frame is what is seen while it is shown: what earlier frames left lies below it.
"""

import io
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image

from pellucid.errors import FileError, InputError
from pellucid.files import apng_frames, gif_frames
from pellucid.files.png_chunks import Chunk
from pellucid.rgba.types import RGBA8

MAX_FRAMES = 8000
"""As many as a document may have layers: a few bytes make a frame, and each is a whole image here."""
ANIMATION_CHUNK = 0x02
"""Bit of a WebP's VP8X that announces an animation."""


class TimedImage(NamedTuple):
    """One frame."""

    rgba: RGBA8
    duration_ms: int


@dataclass(frozen=True)
class Frames:
    """The frames of a file, or its pages."""

    count: int = 1
    noun: str = "frames"
    compose: Callable[[Callable[[bytes], RGBA8]], Iterator[TimedImage]] | None = None
    """Yields the frames where Pillow does not compose them right; takes what unpacks a still PNG.

    All are one array, in which the next is drawn.
    """

    def choose(self, name: str, frame: int | None) -> int:
        """Returns the place, from 0, of the frame asked for, from 1.

        Raises:
            FileError: the file has no such frame, or several and none is asked for.
            InputError: less than 1.
        """
        if frame is None and self.count > 1:
            raise FileError(
                f"Cannot read {name}: it holds {self.count} {self.noun}, and one image is meant. "
                "Choose one with --frame, or save one with pellucid convert --frame if a command has no such "
                "option (in Python frame=1, or Scene.open for all)."
            )
        if frame is not None and frame < 1:
            raise InputError(f"Expected a frame of 1 or more, found {frame}. Frames count from 1.")
        if frame is not None and frame > self.count:
            held = f"{self.count} {self.noun}" if self.count > 1 else "one image"
            advice = f"Choose one from 1 to {self.count}." if self.count > 1 else "Leave the frame out."
            raise FileError(f"Cannot read {name}: it holds {held}, and no frame {frame}. {advice}")
        return (frame or 1) - 1


def find_frames(
    name: str, content: bytes, chunks: Sequence[Chunk], image: Image.Image, max_pixels: int
) -> Frames:
    """Counts the frames of an open file without unpacking any.

    Args:
        name: what messages call the file.
        content: it.
        chunks: of a PNG.
        image: the file, opened.
        max_pixels: of one frame.

    Raises:
        FileError: damaged, truncated, or too many or too large.
    """
    if image.format == "GIF":
        return _of_gif(name, content, image, max_pixels)
    if image.format == "PNG":
        return _of_png(name, chunks)
    # a phone's MPO is a photo with a preview
    count = 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))
    if image.format in ("WEBP", "AVIF"):
        _check_whole(name, content, image.format, count)
    if count > MAX_FRAMES:
        raise FileError(f"Cannot read {name}: it holds more than {MAX_FRAMES} frames. Split it.")
    return Frames(count)


def _of_gif(name: str, content: bytes, image: Image.Image, max_pixels: int) -> Frames:
    frames = gif_frames.split_frames(name, content, MAX_FRAMES)
    if len(frames) < 2:
        return Frames()
    if any(frame.width * frame.height > max_pixels for frame in frames):
        raise FileError(
            f"Cannot read {name}: a frame has more pixels than the limit of {max_pixels}. "
            "Make it smaller, or raise max_pixels."
        )
    # as the file says: Pillow enlarges the canvas for a first frame that is larger
    width, height = struct.unpack_from("<2H", content, 6)

    def compose(_: Callable[[bytes], RGBA8]) -> Iterator[TimedImage]:
        shown = gif_frames.show_frames(frames, height or image.height, width or image.width)
        for frame, rgba in zip(frames, shown, strict=True):
            yield TimedImage(rgba, frame.duration_ms)

    return Frames(len(frames), compose=compose)


def _of_png(name: str, chunks: Sequence[Chunk]) -> Frames:
    frames = apng_frames.split_frames(name, chunks, MAX_FRAMES)
    # the one frame of an animation is a still, unless it is another image than the still
    if not frames or (len(frames) == 1 and apng_frames.is_default_image_shown(chunks)):
        return Frames()

    def compose(unpack: Callable[[bytes], RGBA8]) -> Iterator[TimedImage]:
        for frame, rgba in zip(frames, apng_frames.show_frames(frames, chunks, unpack), strict=True):
            yield TimedImage(rgba, frame.duration_ms)

    return Frames(len(frames), compose=compose)


def _check_whole(name: str, content: bytes, form: str, count: int) -> None:
    """Refuses what is cut off: the decoders show the frames that are left."""
    if form == "WEBP":
        is_whole = count == 1 or len(content) >= 8 + int.from_bytes(content[4:8], "little")
    else:
        is_whole = content[8:12] != b"avis" or _has_whole_boxes(content)
    if not is_whole:
        raise FileError(f"Cannot read {name}: it is truncated. Fetch or save it again.")


def _has_whole_boxes(content: bytes) -> bool:
    """Tells whether the boxes of an AVIF sequence go up to the end, its table of frames among them."""
    stream, kinds = io.BytesIO(content), set[bytes]()
    while header := stream.read(8):
        if len(header) < 8:
            return False
        size, kind = struct.unpack(">I4s", header)
        kinds.add(kind)
        start = stream.tell() - 8
        if size == 1:
            size = int.from_bytes(stream.read(8))
        if size and size < 8:
            return False
        end = start + size if size else len(content)
        if end > len(content):
            return False
        stream.seek(end)
    return {b"moov", b"mdat"} <= kinds
