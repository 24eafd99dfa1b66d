"""Small sound files of every format that is read, to be damaged."""

import io
from itertools import groupby

import numpy as np
from PIL import Image

from corpus.drawn import drawn_cases
from corpus.features import singles
from corpus.images import image_cases, samples
from corpus.model import noise


def seed_files(documents: int = 40, images: int = 40) -> list[tuple[str, bytes]]:
    """Returns (ending, content) of documents and images of the corpus, and of what only encoders write.

    Args:
        documents: of each format of documents, evenly among its features.
        images: of each format of images.
    """
    found: list[tuple[str, bytes]] = []
    for ending, cases in groupby(sorted(singles(), key=lambda case: case.ending), lambda case: case.ending):
        each = list(cases)
        found += [(ending, case.content()) for case in each[:: max(1, len(each) // documents)]]
    stills = sorted(image_cases(), key=lambda case: case.ending)
    for ending, group in groupby(stills, lambda case: case.ending):
        members = list(group)
        found += [(ending, case.content) for case in members[:: max(1, len(members) // images)]]
    found += [("psd", case.content()) for case in drawn_cases()[::3]]
    return [*found, *_encoded(), *_animated()]


def _encoded() -> list[tuple[str, bytes]]:
    rgba = Image.fromarray(samples(4, 8))
    found: list[tuple[str, bytes]] = []
    for ending, image, options in (
        ("jpg", rgba.convert("RGB"), {}),
        ("jpg", rgba.convert("CMYK"), {}),
        ("jpg", rgba.convert("L"), {"progressive": True}),
        ("bmp", rgba.convert("RGB"), {}),
        ("bmp", rgba.convert("P"), {}),
        ("tga", rgba, {}),
        ("tga", rgba.convert("P"), {"compression": "tga_rle"}),
        ("ico", rgba, {}),
        ("ico", rgba, {"bitmap_format": "bmp"}),
        ("gif", rgba.convert("P"), {}),
        ("webp", rgba, {"quality": 80}),
    ):
        file = io.BytesIO()
        image.save(file, {"jpg": "JPEG"}.get(ending, ending.upper()), **options)
        found.append((ending, file.getvalue()))
    return found


def _animated() -> list[tuple[str, bytes]]:
    frames = [Image.fromarray((noise(11, 15, seed) >> 8).astype(np.uint8)) for seed in (70, 71, 72)]
    found: list[tuple[str, bytes]] = []
    for ending, form in (
        ("gif", "GIF"),
        ("apng", "PNG"),
        ("webp", "WEBP"),
        ("avif", "AVIF"),
        ("tiff", "TIFF"),
    ):
        file = io.BytesIO()
        frames[0].save(file, form, save_all=True, append_images=frames[1:])
        found.append((ending, file.getvalue()))
    return found
