"""Recolours transparent images, so that a model can learn colour words by construction: "a blue apple".

Works in OKLab (Ottosson 2020), where equal steps look equal: hue and strength of colour are replaced, while
the order of lightnesses, which is what shows the shape, stays. Alpha is never touched.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pellucid.data.records import Record
from pellucid.rgba.oklab import from_oklab, to_oklab
from pellucid.rgba.types import RGBA8

Floats = NDArray[np.float64]

GREY_CHROMA = 0.04
"""Below this a pixel has no colour that anybody would name."""
HELD_OUT_SHARE = 0.1
"""Share of pairs of subject and colour that no recipe may train on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Colour:
    """What a colour word means, in OKLCH."""

    hue: float
    """Degrees; without meaning where the chroma is 0."""
    chroma: float
    """Median of what is recoloured, 0 to about 0.3."""
    lightness: float
    """Median of what is recoloured, 0 to 1."""


COLOURS: dict[str, Colour] = {
    "red": Colour(hue=27, chroma=0.20, lightness=0.56),
    "orange": Colour(hue=55, chroma=0.17, lightness=0.70),
    "yellow": Colour(hue=98, chroma=0.16, lightness=0.84),
    "green": Colour(hue=142, chroma=0.17, lightness=0.62),
    "turquoise": Colour(hue=190, chroma=0.11, lightness=0.74),
    "blue": Colour(hue=260, chroma=0.18, lightness=0.53),
    "purple": Colour(hue=305, chroma=0.18, lightness=0.50),
    "pink": Colour(hue=355, chroma=0.13, lightness=0.76),
    "brown": Colour(hue=55, chroma=0.08, lightness=0.42),
    "black": Colour(hue=0, chroma=0.0, lightness=0.22),
    "white": Colour(hue=0, chroma=0.0, lightness=0.93),
    "grey": Colour(hue=0, chroma=0.0, lightness=0.60),
}


def recolour(rgba: RGBA8, colour: Colour) -> RGBA8:
    """Gives an image another colour.

    Where the image has colours, they take the new hue and keep how much stronger one is than another; greys
    among them (eyes, teeth, wheels) stay grey. An image of greys alone is tinted whole, but for its
    highlights and outlines. Lightnesses are raised to one power, which moves their median to the colour's and
    keeps their order, black and white.

    Args:
        rgba: uint8 (h, w, 4), straight alpha.
        colour: one of `COLOURS`.

    Returns:
        uint8 (h, w, 4); alpha as it was, to the byte.
    """
    visible = rgba[..., 3] > 0
    if not visible.any():
        return rgba.copy()
    lab = to_oklab(rgba[visible][:, :3].astype(np.float64) / 255)
    # rounding may leave black a little below 0, and a negative number has no power
    lightness, chroma = lab[:, 0].clip(1e-4, 1), np.hypot(lab[:, 1], lab[:, 2])
    weight = rgba[visible][:, 3] / 255
    coloured = chroma >= GREY_CHROMA
    tinted = weight[coloured].sum() < 0.25 * weight.sum()  # mostly grey: a wheel, a ghost, a spoon
    chosen = np.ones_like(coloured) if tinted else coloured
    # clipped: a median of 1 would divide by 0, and one of 0 would send the power to it
    power = np.log(colour.lightness) / np.log(np.median(lightness[chosen]).clip(0.02, 0.98))
    new_lightness = np.where(chosen, lightness**power, lightness)
    if tinted:  # most colour at middle lightness, none at black and white
        new_chroma = colour.chroma * (4 * new_lightness * (1 - new_lightness)).clip(0, 1) ** 0.5
    else:
        new_chroma = chroma * colour.chroma / max(float(np.median(chroma[chosen])), GREY_CHROMA)
        # 0.32 is about the strongest colour of sRGB (magenta); more would only be cut off channel by channel
        new_chroma = np.minimum(new_chroma, 0.32)
    new_chroma = np.where(chosen, new_chroma, chroma)
    hue = np.where(chosen, np.radians(colour.hue), np.arctan2(lab[:, 2], lab[:, 1]))
    new = np.stack([new_lightness, new_chroma * np.cos(hue), new_chroma * np.sin(hue)], axis=1)
    result = rgba.copy()
    result[visible, :3] = np.rint(from_oklab(new) * 255).astype(np.uint8)
    return result


def held_out(subject: str, colour: str) -> bool:
    """Tells whether a pair is kept for measuring: fixed by a hash of both words, the same in every set."""
    # not hash(), which differs from process to process
    digest = hashlib.sha256(f"{colour} {subject}".encode()).digest()
    return int.from_bytes(digest[:4], "little") < HELD_OUT_SHARE * 2**32


def recolour_all(
    samples: Iterable[tuple[Record, RGBA8]], each: int, seed: int
) -> Iterator[tuple[Record, RGBA8]]:
    """Yields recoloured images with captions that say so, `each` colours an image; held-out pairs never.

    Args:
        samples: images with their records.
        each: colours an image, drawn without repetition.
        seed: of the draws; the same bytes come of the same seed and samples.
    """
    rng = np.random.default_rng(seed)
    names = list(COLOURS)
    for record, rgba in samples:
        drawn: list[str] = [names[i] for i in rng.permutation(len(names))]
        for name in [name for name in drawn if not held_out(record.label, name)][:each]:
            article = "an" if name[0] in "aeiou" else "a"
            asked = (name, f"{article} {name}")[int(rng.integers(2))]  # people ask in both ways
            label = f"{asked} {record.label}"
            # keywords may name the colour before ("red fruit"), and a style would add captions without it
            changed = replace(record, name=f"{record.name}-{name}", label=label, keywords=(), style="")
            yield changed, recolour(rgba, COLOURS[name])
