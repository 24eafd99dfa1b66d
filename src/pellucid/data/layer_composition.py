"""Layer triples: a transparent image placed on a background, and exactly what both make together.

Images are uint8 (h, w, 4), straight alpha. Source: paper section 3.3, with placed images instead of
generated ones.
"""

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float
from PIL import Image

from pellucid.data.records import Record, captions, draw_weights
from pellucid.data.shards import Sample, add_member, decoded, opened
from pellucid.errors import ConfigError, FileError, first_line
from pellucid.files.atomic import open_atomically
from pellucid.rgba.compositing import over
from pellucid.rgba.resizing import resize_sample
from pellucid.rgba.types import AnyArray

SHADOW_ALPHA = 0.45
SHADOW_HEIGHT = 0.16
"""Height of a shadow over the height of what throws it."""
SOFT = 0.2
"""`Record.soft` from which a thing, such as smoke, throws no shadow."""
PLACES = ("{} on {}", "{} in front of {}", "{}, {}")
ROLES = ("foreground", "background", "composite")
"""Images of a scene, in the order in which a shard has them."""
NO_GROUND = frozenset({"sky", "space station", "fog"})
"""Scenes in which things float: they throw no shadow, and are anywhere."""
MID_LIGHT = 0.45
"""Mean of a background that leaves a foreground's colours as they are."""
GAINS = (0.5, 1.3)
"""The least and the most that light multiplies a colour with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """How foregrounds are put on backgrounds."""

    scale: tuple[float, float] = (0.45, 0.85)
    """Side of the foreground over that of the canvas, the least and the most."""
    stands_at: tuple[float, float] = (0.72, 0.97)
    """Where the foreground's lowest pixel lies, as a share of the canvas's height."""
    overhang: float = 0.125
    """Share of its side that may be cut off at the left, the right and the top."""
    shadow_share: float = 0.5
    """How many of the solid foregrounds throw a shadow; it belongs to their layer."""
    light: float = 0.0
    """How far a foreground takes the light of what is behind it, 0 to 1: each channel is multiplied by the
    background's mean there over `MID_LIGHT`, to this power, within `GAINS`. Its own layer shows it."""

    def __post_init__(self) -> None:
        for name, (low, high), least in (("scale", self.scale, 0.05), ("stands_at", self.stands_at, 0.0)):
            if not least <= low <= high <= 1:
                raise ConfigError(
                    f"Expected {name} of {least} to 1, the smaller first, found {low} and {high}. "
                    "Change them in the recipe."
                )
        shares = {"overhang": self.overhang, "shadow_share": self.shadow_share, "light": self.light}
        if bad := {name: value for name, value in shares.items() if not 0 <= value <= 1}:
            raise ConfigError(f"Expected shares of 0 to 1, found {bad}. Change them in the recipe.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Triple:
    """One scene of two layers."""

    foreground: AnyArray
    background: AnyArray
    composite: AnyArray
    """*Over* of the two, to the byte."""
    front: Record
    back: Record

    def texts(self, rng: np.random.Generator, *, plain: bool) -> dict[str, str]:
        """Draws a caption for each image; `plain` as in `captions`."""
        front_captions = captions(self.front, plain=plain)
        front, scene = front_captions[rng.integers(len(front_captions))], self.back.label
        article = "" if scene.endswith("s") or scene in ("fog", "lava", "snow", "water") else "a "
        place = PLACES[rng.integers(len(PLACES))].format(front, article + scene)
        return {"foreground": front, "background": article + scene, "composite": place}


def layer_triples(
    foregrounds: Sequence[Sample],
    backgrounds: Sequence[Sample],
    count: int,
    *,
    size_px: int,
    seed: int = 0,
    arrangement: Arrangement | None = None,
    chances: Float[np.ndarray, "foregrounds backgrounds"] | None = None,
) -> Iterator[Triple]:
    """Yields `count` scenes; the same seed gives the same. Images are drawn by `Record.weight`.

    Args:
        foregrounds: transparent images of any size.
        backgrounds: opaque ones.
        count: how many scenes.
        size_px: side of the canvas.
        seed: of placement and pairing.
        arrangement: how foregrounds are put there; None is `Arrangement()`.
        chances: of each background for each foreground, 0 or more; None draws at random.
    """
    arrangement = arrangement or Arrangement()
    front_weights, back_weights = (
        draw_weights([record for record, _ in samples]) for samples in (foregrounds, backgrounds)
    )
    for number in range(count):
        # a generator of its own for each scene: scene 7 is the same however many are made
        rng = np.random.default_rng((seed, number))
        chosen = _drawn(rng, len(foregrounds), front_weights)
        front, front_rgba = foregrounds[chosen]
        back_chances = back_weights if chances is None else chances[chosen] * (back_weights or 1)
        back, back_rgba = backgrounds[_drawn(rng, len(backgrounds), back_chances)]
        below = resize_sample(back_rgba, size_px, size_px)
        if rng.random() < 0.5:
            # mirrored, since photographs are few; copied, since torch takes no negative strides
            below = np.ascontiguousarray(below[:, ::-1])
        layer = _arranged(front_rgba, front, below, back, arrangement, rng)
        yield Triple(foreground=layer, background=below, composite=over(layer, below), front=front, back=back)


def _drawn(rng: np.random.Generator, count: int, weights: Sequence[float] | AnyArray | None) -> int:
    """Draws an index below `count`, by weight if there are weights."""
    if weights is None:
        return int(rng.integers(count))
    chances = np.asarray(weights, dtype=float)
    return int(rng.choice(count, p=chances / chances.sum()))


def _arranged(
    rgba: AnyArray,
    front: Record,
    below: AnyArray,
    back: Record,
    arrangement: Arrangement,
    rng: np.random.Generator,
) -> AnyArray:
    """Makes the foreground's layer: placed, lit by what is behind it, with its shadow."""
    size_px, floats = len(below), back.label in NO_GROUND
    side = max(round(size_px * rng.uniform(*arrangement.scale)), 1)
    # at least one pixel, for canvases of tests
    thing = resize_sample(rgba, side, side)
    # images have clear margins: what stands on the ground is the lowest visible pixel, not the image's edge
    rows = np.flatnonzero(thing[..., 3].max(axis=1))
    lowest = int(rows[-1]) + 1 if len(rows) else side
    # only the sides and the top may be cut off; a thing without its foot would seem to float
    out = int(side * arrangement.overhang)
    top = max(round(size_px * rng.uniform(*arrangement.stands_at)) - lowest, -out)
    # drawn even for things that stand, so that what is drawn below does not depend on the scene
    anywhere = int(rng.integers(-out, size_px - side + out + 1))
    left = int(rng.integers(-out, size_px - side + out + 1))
    layer = lit(_pasted(thing, size_px, anywhere if floats else top, left), below, arrangement.light)
    shadow = rng.random() < arrangement.shadow_share and front.soft < SOFT and not floats
    # the shadow is part of the foreground's layer: the composite stays *over* of two layers, exactly
    return over(layer, _shadow(layer)) if shadow else layer


def lit(layer: AnyArray, below: AnyArray, light: float) -> AnyArray:
    """Multiplies a layer by the light of what it lies on, see `Arrangement.light`; both uint8 (h, w, 4)."""
    weight = layer[..., 3].astype(np.float64)
    if not light or not weight.any():
        return layer
    # weighted by alpha: glass takes as much of the light as it covers
    mean = np.tensordot(weight, below[..., :3] / 255, axes=2) / weight.sum()
    # 0.01 keeps a black background from making the power 0 or undefined
    gains = np.clip((np.maximum(mean, 0.01) / MID_LIGHT) ** light, *GAINS)
    relit = layer.copy()
    relit[..., :3] = np.rint(np.minimum(layer[..., :3] * gains, 255))
    return relit


def _pasted(thing: AnyArray, size_px: int, top: int, left: int) -> AnyArray:
    canvas = np.zeros((size_px, size_px, 4), np.uint8)
    height, width = thing.shape[:2]
    rows = slice(max(top, 0), min(top + height, size_px))
    columns = slice(max(left, 0), min(left + width, size_px))
    canvas[rows, columns] = thing[
        rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
    ]
    return canvas


def _shadow(layer: AnyArray) -> AnyArray:
    """Draws a soft dark ellipse where the thing meets the ground: its lowest fifth, flattened and blurred."""
    alpha = layer[..., 3]
    rows = np.flatnonzero(alpha.max(axis=1))
    shadow = np.zeros_like(layer)
    if not len(rows):
        return shadow
    height = int(rows[-1]) - int(rows[0]) + 1
    foot = alpha[max(int(rows[-1]) - height // 5, 0) : int(rows[-1]) + 1].max(axis=0)
    columns = np.flatnonzero(foot > 127)
    if not len(columns):
        return shadow
    # the ellipse is a tenth wider than the foot (11/20 on each side) and lies on the lowest row
    centre = (int(columns[0]) + int(columns[-1])) // 2, int(rows[-1])
    axes = max((int(columns[-1]) - int(columns[0])) * 11 // 20, 1), max(round(height * SHADOW_HEIGHT / 2), 1)
    # one radius of 0 would draw a line, hence at least 1 above
    mask = np.zeros(alpha.shape, np.uint8)
    cv2.ellipse(mask, centre, axes, 0, 0, 360, 255, -1)
    sigma = max(axes[1] / 1.5, 0.8)
    shadow[..., 3] = np.rint(cv2.GaussianBlur(mask, (0, 0), sigma) * SHADOW_ALPHA)
    return shadow


def write_triples(triples: Iterable[Triple], path: Path, *, seed: int = 0) -> int:
    """Writes scenes as three PNGs and a JSON each, atomically, and returns how many there were.

    Errors as `write_shard`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    count = 0
    with open_atomically(path) as file, tarfile.open(fileobj=file, mode="w") as tar:
        for number, triple in enumerate(triples):
            count = number + 1
            # the scene's own generator again: its captions do not depend on how many scenes went before
            texts = triple.texts(np.random.default_rng((seed, number)), plain=True)
            about: dict[str, object] = {
                "texts": texts,
                "of": [triple.front.name, triple.back.name],
                "licences": [triple.front.licence, triple.back.licence],
            }
            images = {role: getattr(triple, role) for role in ROLES}
            add_triple(tar, f"scene-{number:05d}", images, about)
    return count


def add_triple(
    tar: tarfile.TarFile, name: str, images: Mapping[str, AnyArray], about: Mapping[str, object]
) -> None:
    """Adds one scene to an open shard.

    Args:
        tar: the shard.
        name: of the scene, without a dot.
        images: uint8 (h, w, 4) of each of `ROLES`.
        about: `texts` by role, names and licences of foreground and background, and more if there is.
    """
    for role in ROLES:
        png = io.BytesIO()
        Image.fromarray(images[role], "RGBA").save(png, "png")
        add_member(tar, f"{name}.{role}.png", png.getvalue())
    add_member(tar, f"{name}.json", json.dumps(about, sort_keys=True).encode())


def read_triples(path: Path | str) -> Iterator[tuple[dict[str, AnyArray], dict[str, Any]]]:
    """Yields the scenes of a shard: images by role, uint8 (h, w, 4), and what `add_triple` was told.

    Raises:
        FileError: the file is absent or no such shard.
    """
    try:
        with opened(path) as file, tarfile.open(fileobj=file) as tar:
            members = {member.name: content.read() for member in tar if (content := tar.extractfile(member))}
        for name in [name for name in members if name.endswith(".json")]:
            stem = name.removesuffix("json")
            yield {role: decoded(members[f"{stem}{role}.png"]) for role in ROLES}, json.loads(members[name])
    except (OSError, tarfile.TarError, KeyError, ValueError) as error:
        raise FileError(
            f"{path} is no shard of layers: {first_line(error)}. Make one with `pellucid data layers`."
        ) from error
