"""Cleaning of transparent images: dirty alpha, specks, pinholes, and colour of a background left in edges.

Every step leaves alone what it cannot tell from image: gradients of alpha, glass, smoke, and colours that
one background does not explain. An image without faults comes back bit for bit.
"""

from dataclasses import asdict, dataclass

import numpy as np

from pellucid._deprecation import renamed_arguments
from pellucid.errors import InputError, PellucidError
from pellucid.rgba.compositing import Colour, parse_colour
from pellucid.rgba.defects import (
    NOISE_THRESHOLD,
    SPECKLE_SHARE,
    AlphaDefects,
    Edges,
    Mask,
    check_limits,
    find_clear_defects,
    find_edges,
    find_solid_defects,
)
from pellucid.rgba.estimators import estimate_foreground, load_pymatting
from pellucid.rgba.mixtures import (
    Levels,
    Mixture,
    as_levels,
    find_mixture,
    hidden_colour,
    rim_depth,
    unmix,
)
from pellucid.rgba.padding import pad_rgb
from pellucid.rgba.quantization import to_bytes
from pellucid.rgba.rims import RIMS, defringe, find_holes, open_holes, shrink
from pellucid.rgba.types import RGBA8, AnyArray, check_rgba8

FOREGROUNDS = ("auto", "estimate", "keep")
WIDEST_RIM = 64
"""Pixels; a wider rim is the image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaning:
    """What to clean, and how far to go."""

    noise_threshold: int = NOISE_THRESHOLD
    """Alpha at most so many levels off 0 or 255 becomes that, unless a gradient ends there. 0 leaves it."""
    speckle_share: float = SPECKLE_SHARE
    """Specks go and holes are filled up to this weight, as a share of the image. 0 leaves them."""
    foreground: str = "auto"
    """Colour of partly transparent pixels. "auto": if one background colour explains what is wrong with it,
    that is taken out of the mix. "estimate": pymatting estimates the colour of narrow edges. "keep": left."""
    background: Colour | None = None
    """What is mixed into partly transparent pixels. None: "auto" finds it, and "estimate" takes the colour
    under transparent pixels, which images that were cut out of a photograph often still have."""
    rim: str = "keep"
    """Opaque pixels at the edge that still show a background: "defringe" gives them the colour further
    inside, "shrink" takes them away, "keep" leaves them."""
    rim_width: int | None = None
    """How many pixels of the rim; None measures it if the background is known or hidden there, else 1."""
    open_holes: bool = False
    """Whether enclosed opaque areas of the `background` become transparent."""

    def __post_init__(self) -> None:
        check_limits(self.noise_threshold, self.speckle_share)
        if self.foreground not in FOREGROUNDS:
            raise InputError(
                f"Expected a foreground of auto, estimate or keep, found {self.foreground!r}. "
                "Choose one of them."
            )
        if self.rim not in RIMS:
            raise InputError(
                f"Expected a rim of keep, shrink or defringe, found {self.rim!r}. Choose one of them."
            )
        if self.rim_width is not None and not 1 <= self.rim_width <= WIDEST_RIM:
            raise InputError(
                f"Expected a rim of 1 to {WIDEST_RIM} px, found {self.rim_width}. Leave it out to measure it."
            )
        if self.background is not None:
            parse_colour(self.background)
        elif self.open_holes:
            raise InputError("Expected a background whose holes to open, found none. Name its colour.")


Cleaning.__init__ = renamed_arguments(dirt="noise_threshold", small="speckle_share")(Cleaning.__init__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """What was done to an image; numbers are of pixels unless they say otherwise."""

    snapped: int = 0
    """Whose alpha was a little off 0 or 255."""
    specks: int = 0
    """Specks that were removed."""
    holes: int = 0
    """Small holes that were filled."""
    background: str = ""
    """Colour that was taken out of soft pixels, #rrggbb; empty if none was found or named."""
    recoloured: int = 0
    """Soft pixels whose colour changed."""
    rim_width: int = 0
    """Of the opaque rim that was changed, px."""
    opened: int = 0
    """Made transparent in holes of the background's colour."""

    def as_dict(self) -> dict[str, object]:
        """Returns all of it by name for a report."""
        return asdict(self)

    def words(self) -> str:
        """Says it in one line."""
        counted = (
            (
                self.recoloured,
                f"{self.background or 'the background'} taken out of {self.recoloured} soft pixels",
            ),
            (self.snapped, f"alpha of {self.snapped} pixels set to 0 or 255"),
            (self.specks, f"specks removed: {self.specks}"),
            (self.holes, f"holes filled: {self.holes}"),
            (self.rim_width, f"rim of {self.rim_width} px changed"),
            (self.opened, f"{self.opened} pixels of holes opened"),
        )
        return "; ".join(text for number, text in counted if number) or "nothing to clean"


def clean(rgba: AnyArray, cleaning: Cleaning | None = None) -> RGBA8:
    """Mends the faults that `pellucid.rgba.defects.score` counts.

    Args:
        rgba: uint8 (h, w, 4), straight alpha.
        cleaning: None takes the defaults.

    Returns:
        A new image. Pixels without a fault keep their bytes. Pixels that become transparent get the colour
        of what is near by, or 0 where every transparent pixel has 0.

    Raises:
        InputError: not a uint8 RGBA image.
        PellucidError: "estimate" without pymatting.
    """
    return clean_and_tell(rgba, cleaning)[0]


def clean_and_tell(rgba: AnyArray, cleaning: Cleaning | None = None) -> tuple[RGBA8, Cleaned]:
    """Cleans an image as `clean`, and says what was done to it."""
    check_rgba8(rgba)
    settings = cleaning or Cleaning()
    back = None if settings.background is None else parse_colour(settings.background)
    opened, n_opened = rgba, 0
    if settings.open_holes and back is not None:
        holes = find_holes(rgba, back)
        opened, n_opened = open_holes(rgba, holes, back), int(holes.sum())
    below = find_clear_defects(opened[..., 3], settings.noise_threshold, settings.speckle_share)
    above = find_solid_defects(opened[..., 3], settings.noise_threshold, settings.speckle_share)
    # before alpha changes, since colour was mixed by it
    recoloured, taken_out = _with_clean_colour(opened, back, below.speckle, settings)
    mended = _with_clean_alpha(opened, recoloured, below, above)
    cleaned, width = _with_clean_rim(mended, back, settings)
    return cleaned, Cleaned(
        snapped=int((below.halo | above.halo).sum()),
        specks=below.count(8),
        holes=above.count(4),
        background="" if taken_out is None else "#{:02x}{:02x}{:02x}".format(*taken_out),
        recoloured=int((recoloured != opened).any(axis=-1).sum()),
        rim_width=width,
        opened=n_opened,
    )


def _with_clean_alpha(
    rgba: AnyArray, recoloured: AnyArray, below: AlphaDefects, above: AlphaDefects
) -> RGBA8:
    cleaned = recoloured.copy()
    if above.speckle.any():
        cleaned[above.speckle, 3] = 0  # so that the colour around is extended into it
        cleaned[above.speckle, :3] = _extended(cleaned)[above.speckle]
    cleaned[above.halo | above.speckle, 3] = 255
    emptied = below.halo | below.speckle
    cleaned[emptied, 3] = 0
    if emptied.any():
        was_hidden = rgba[rgba[..., 3] == 0, :3]
        cleaned[emptied, :3] = _extended(cleaned)[emptied] if was_hidden.any() else 0
    return cleaned


def _with_clean_colour(
    rgba: AnyArray, back: Levels | None, specks: Mask, settings: Cleaning
) -> tuple[RGBA8, Levels | None]:
    """Returns the image without a background in its soft pixels, and that background's colour."""
    if settings.foreground == "keep":
        return rgba.copy(), None
    if settings.foreground == "estimate":
        return _estimated(rgba, back, find_edges(rgba, settings.noise_threshold, specks)), back
    mixture = find_mixture(rgba) if back is None else Mixture(colour=back, exact=True, known=True)
    return (rgba.copy(), None) if mixture is None else (unmix(rgba, mixture), mixture.colour)


def _with_clean_rim(rgba: AnyArray, back: Levels | None, settings: Cleaning) -> tuple[RGBA8, int]:
    if settings.rim == "keep":
        return rgba, 0
    width = settings.rim_width
    if width is None:
        hidden = hidden_colour(rgba) if back is None else back
        width = 1 if hidden is None else rim_depth(rgba, as_levels(hidden))
    if width == 0:
        return rgba, 0
    return (shrink if settings.rim == "shrink" else defringe)(rgba, width), width


def _estimated(rgba: AnyArray, back: tuple[int, int, int] | None, edges: Edges) -> RGBA8:
    """Takes the colour of narrow edges from pymatting's multi-level estimate (Germer et al. 2020)."""
    try:
        load_pymatting()
    except ImportError:
        raise PellucidError(
            "Expected pymatting for foreground estimation, found none. "
            "Install it with `pip install 'pellucid[clean]'`, or leave the foreground at auto."
        ) from None
    mixed = rgba[..., :3].copy()
    if back is not None:
        # the estimate looks at the colour of clear pixels, which is the background's where one is known
        mixed[rgba[..., 3] == 0] = back
    colour = np.asarray(estimate_foreground(mixed / 255, rgba[..., 3] / 255))
    result = rgba.copy()
    result[edges.at, :3] = to_bytes(colour[edges.at])
    return result


def _extended(rgba: AnyArray) -> AnyArray:
    return to_bytes(np.clip(pad_rgb(rgba), 0, 1))
