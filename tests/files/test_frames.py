"""Frames of animations and pages of a TIFF: each is what is seen at its time, or the file is refused."""

import io
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from files.animations import Part, apng, colours, gif, saved
from pellucid.errors import FileError, InputError
from pellucid.files import frames as frame_limits
from pellucid.files.image_decoding import count_frames, decode_frames
from pellucid.files.images import read_image, read_rgba
from pellucid.rgba.compositing import over
from pellucid.rgba.types import AnyArray

TWO_SENTENCES = r"\. [A-Z].*\.$"
KINDS = ("GIF", "PNG", "WEBP", "AVIF")
some = settings(max_examples=40)


def noise(seed: int, height: int = 9, width: int = 11) -> AnyArray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)


def all_frames(content: bytes) -> list[AnyArray]:
    found = decode_frames("x", content, 10**6, [], lambda height, width: None)
    return [image.rgba for image, _ in found]


def animation(kind: str) -> bytes:
    """Builds three frames, of which the last two change a part."""
    frames = [noise(0)]
    frames[0][..., 3] = 255
    for top in (1, 5):
        frames.append(frames[-1].copy())
        frames[-1][top : top + 3, 2:6] = (top, 200, 0, 255)
    return saved(kind, frames, duration=[100, 200, 50], **({"lossless": True} if kind == "WEBP" else {}))


@st.composite
def moving(draw: st.DrawFn, levels: tuple[int, ...]) -> list[AnyArray]:
    """Draws up to five frames, each the last one with a rectangle that changes, and no two alike."""
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    canvas = np.full((height, width, 4), (1, 2, 3, draw(st.sampled_from(levels))), np.uint8)
    frames = [canvas]
    for number in range(draw(st.integers(1, 4))):
        canvas = canvas.copy()
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        bottom, right = draw(st.integers(top + 1, height)), draw(st.integers(left + 1, width))
        canvas[top:bottom, left:right] = (40 * number + 50, 7, 9, draw(st.sampled_from(levels)))
        frames.append(canvas)
    return frames


def seen(rgba: AnyArray) -> AnyArray:
    """Returns the image without what is under alpha 0, where an encoder may write anything."""
    return np.where(rgba[..., 3:] > 0, rgba, 0)


def distinct(frames: list[AnyArray]) -> list[AnyArray]:
    """Leaves out frames that show the same as the one before: encoders make them one."""
    return [
        frame
        for place, frame in enumerate(frames)
        if not place or not np.array_equal(seen(frame), seen(frames[place - 1]))
    ]


@pytest.mark.parametrize("disposal", [0, 1, 2])
@pytest.mark.parametrize("kind", KINDS)
@some
@given(data=st.data())
def test_frames_that_an_encoder_was_given_come_back(kind: str, disposal: int, data: st.DataObject) -> None:
    # what is not disposed of cannot become clear again, nor what only goes over what is there
    covers = (kind == "GIF" and disposal < 2) or (kind == "PNG" and disposal == 2)
    levels = (255,) if covers else (0, 255) if kind == "GIF" else (0, 90, 255)
    frames = data.draw(moving(levels))
    by_kind: dict[str, dict[str, object]] = {
        "GIF": {"disposal": disposal, "optimize": False},
        "PNG": {"disposal": 0, "blend": 1} if covers else {"disposal": disposal, "blend": 0},
        "WEBP": {"lossless": True, "exact": True},
        "AVIF": {"quality": 100, "subsampling": "4:4:4"},
    }
    found = all_frames(saved(kind, frames, **by_kind[kind]))
    if kind == "AVIF":
        assert len(found) == len(frames)
        for have, want in zip(found, frames, strict=True):
            assert np.array_equal(have[..., 3], want[..., 3])
            assert np.abs(seen(have).astype(int) - seen(want)).max() <= 4
        return
    # how often one image is held is the encoder's affair
    for have, want in zip(distinct(found), distinct(frames), strict=True):
        assert np.array_equal(seen(have), seen(want))


@st.composite
def gif_parts(draw: st.DrawFn, whole: bool = False) -> tuple[int, int, list[Part]]:
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    parts = list[Part]()
    for number in range(draw(st.integers(2, 5))):
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        size = draw(st.integers(1, height - top)), draw(st.integers(1, width - left))
        if whole and number == 0:
            top, left, size = 0, 0, (height, width)
        pixels = np.random.default_rng(number).integers(0, 4, size, dtype=np.uint8)
        parts.append(
            Part(
                pixels=pixels,
                top=top,
                left=left,
                disposal=draw(st.sampled_from([0, 1, 2, 3][: 3 if whole and number == 0 else 4])),
                clear=draw(st.sampled_from([None, 0, 2])),
                own_table=draw(st.booleans()),
            )
        )
    return height, width, parts


def shown(
    height: int, width: int, parts: list[Part], lay: Callable[[Part, AnyArray], AnyArray]
) -> list[AnyArray]:
    """Lays parts as the specifications say, on a copy each time: slow and plain."""
    canvas, results = np.zeros((height, width, 4), np.uint8), list[AnyArray]()
    for part in parts:
        rows = slice(part.top, part.top + part.pixels.shape[0])
        columns = slice(part.left, part.left + part.pixels.shape[1])
        drawn = canvas.copy()
        drawn[rows, columns] = lay(part, canvas[rows, columns])
        results.append(drawn)
        after = drawn.copy()
        after[rows, columns] = 0
        canvas = {0: drawn, 1: drawn, 2: after, 3: canvas}[part.disposal]
    return results


def lay_numbers(part: Part, below: AnyArray) -> AnyArray:
    rgba = np.dstack([colours(part.own_table)[part.pixels], np.full(part.pixels.shape, 255, np.uint8)])
    return rgba if part.clear is None else np.where((part.pixels == part.clear)[..., None], below, rgba)


@some
@given(case=gif_parts(), background=st.integers(0, 3))
def test_a_gif_is_shown_as_its_specification_says(case: tuple[int, int, list[Part]], background: int) -> None:
    found = all_frames(gif(*case, background=background))
    for have, want in zip(found, shown(*case, lay_numbers), strict=True):
        assert np.array_equal(have, want)


@pytest.mark.external
@pytest.mark.skipif(shutil.which("convert") is None, reason="needs ImageMagick")
@settings(max_examples=60, deadline=None)
@given(case=gif_parts(whole=True))
def test_image_magick_shows_a_gif_alike(case: tuple[int, int, list[Part]]) -> None:
    # where no frame has been, or is gone back to, it paints the background's colour, and browsers none
    content = gif(*case)
    call = ["convert", "gif:-", "-coalesce", "-depth", "8", "rgba:-"]
    raw = subprocess.run(call, input=content, capture_output=True, check=True).stdout
    height, width, parts = case
    theirs = np.frombuffer(raw, np.uint8).reshape(len(parts), height, width, 4)
    for have, want in zip(all_frames(content), theirs, strict=True):
        assert np.array_equal(seen(have), seen(want))


@st.composite
def png_parts(draw: st.DrawFn) -> tuple[int, int, list[Part]]:
    height, width, parts = draw(gif_parts())
    levels = np.array([0, 1, 90, 254, 255], np.uint8)
    made = list[Part]()
    for number, part in enumerate(parts):
        size = (height, width) if number == 0 else part.pixels.shape
        pixels = noise(number, *size)
        pixels[..., 3] = levels[pixels[..., 3] % 5]
        made.append(
            Part(
                pixels=pixels,
                top=part.top if number else 0,
                left=part.left if number else 0,
                disposal=draw(st.sampled_from([0, 1, 2])),
                blending=draw(st.sampled_from([0, 1])),
            )
        )
    return height, width, made


def lay_png(part: Part, below: AnyArray) -> AnyArray:
    return over(part.pixels, below) if part.blending else part.pixels


@pytest.mark.parametrize("has_default", [False, True])
@some
@given(case=png_parts())
def test_an_apng_is_shown_as_its_specification_says(
    has_default: bool, case: tuple[int, int, list[Part]]
) -> None:
    height, width, parts = case
    content = apng(height, width, parts, default=noise(99, height, width) if has_default else None)
    # its numbers are those of a GIF's, less one
    named = [replace(part, disposal={0: 0, 1: 2, 2: 3}[part.disposal]) for part in parts]
    found = all_frames(content)
    for have, want in zip(found, shown(height, width, named, lay_png), strict=True):
        assert np.array_equal(have, want)
    assert np.array_equal(read_rgba(content, frame=len(parts)), found[-1])


def test_an_animation_of_one_frame_is_a_still() -> None:
    part = Part(pixels=noise(1))
    assert np.array_equal(read_rgba(apng(9, 11, [part])), part.pixels)
    # the default image is for programs that know no animations
    assert np.array_equal(read_rgba(apng(9, 11, [part], default=noise(2))), part.pixels)
    assert np.array_equal(read_rgba(apng(9, 11, [part], count=0)), part.pixels)
    for kind in ("WEBP", "AVIF", "GIF"):
        assert read_rgba(saved(kind, [noise(1)]), frame=1).shape == (9, 11, 4)


def test_frames_of_16_bits_and_of_palettes_are_read(tmp_path: Path) -> None:
    frames = [Image.fromarray(noise(seed)).quantize(7) for seed in (1, 2)]
    file = io.BytesIO()
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:], disposal=1, blend=0)
    for have, want in zip(all_frames(file.getvalue()), frames, strict=True):
        assert np.array_equal(seen(have), seen(np.asarray(want.convert("RGBA"))))


@pytest.mark.parametrize("kind", [*KINDS, "TIFF"])
def test_one_image_of_several_is_read_only_if_it_is_named(kind: str) -> None:
    content, noun = animation(kind), "pages" if kind == "TIFF" else "frames"
    with pytest.raises(FileError, match=f"holds 3 {noun}.*{TWO_SENTENCES}") as refusal:
        read_image(content)
    assert "--frame" in str(refusal.value)
    found = [read_image(content, frame=number) for number in (1, 2, 3)]
    assert {image.format for image in found} == {kind}
    assert not np.array_equal(found[1].rgba, found[2].rgba)
    assert count_frames("x", content, 10**6) == 3
    with pytest.raises(FileError, match=f"holds 3 {noun}, and no frame 7. Choose one from 1 to 3"):
        read_image(content, frame=7)
    with pytest.raises(InputError, match=TWO_SENTENCES):
        read_image(content, frame=0)
    with pytest.raises(FileError, match=f"holds one image, and no frame 2{TWO_SENTENCES}"):
        read_image(saved(kind, [noise(1)]), frame=2)


@pytest.mark.parametrize("kind", KINDS)
def test_durations_are_told(kind: str) -> None:
    found = decode_frames("x", animation(kind), 10**6, [], lambda height, width: None)
    assert [duration for _, duration in found] == [100, 200, 50]


@pytest.mark.parametrize("kind", [*KINDS, "TIFF"])
def test_an_animation_cut_off_anywhere_is_refused(kind: str) -> None:
    content = animation(kind)
    # the encoder of TIFF fills up with zeros that nothing points at
    for length in range(len(content.rstrip(b"\0")) if kind == "TIFF" else len(content)):
        for frame in (None, 1):
            with pytest.raises(FileError):
                read_image(content[:length], frame=frame)


@pytest.mark.parametrize("kind", KINDS)
def test_too_many_frames_are_refused_before_any_is_unpacked(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spent = list[tuple[int, int]]()

    def refuse(height: int, width: int) -> None:
        spent.append((height, width))
        if len(spent) > 2:
            raise FileError("too many")

    content = animation(kind)
    with pytest.raises(FileError, match="too many"):
        decode_frames("x", content, 10**6, [], refuse)
    assert spent == [(9, 11)] * 3
    monkeypatch.setattr(frame_limits, "MAX_FRAMES", 2)
    with pytest.raises(FileError, match=f"more than 2{TWO_SENTENCES}|more than 2 frames{TWO_SENTENCES}"):
        read_image(content, frame=1)


@pytest.mark.parametrize(
    "build",
    [
        lambda: animation("PNG").replace(b"acTL", b"acTl"),
        lambda: apng(9, 11, [Part(pixels=noise(1))] * 2, count=3),
        lambda: apng(9, 11, [Part(pixels=noise(1)), Part(pixels=noise(1), left=1)]),
        lambda: apng(9, 11, [Part(pixels=noise(1), disposal=3)] * 2),
    ],
)
def test_damaged_animations_are_refused(build: Callable[[], bytes]) -> None:
    with pytest.raises(FileError, match=TWO_SENTENCES):
        read_image(build(), frame=1)


def test_a_frame_that_reaches_beyond_the_canvas_is_cut_off() -> None:
    part = Part(pixels=np.zeros((2, 2), np.uint8))
    wide = Part(pixels=np.ones((5, 90), np.uint8), top=1, left=1)
    found = all_frames(gif(2, 2, [part, wide]))
    assert [frame.shape for frame in found] == [(2, 2, 4)] * 2
    assert found[1][1, 1, :3].tolist() == colours(False)[1].tolist()
    with pytest.raises(FileError, match="more pixels than the limit of 400"):
        read_image(gif(2, 2, [part, wide]), max_pixels=400, frame=1)
