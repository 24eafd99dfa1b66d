"""Colours of a PSD to sRGB by colour mode, depth and profile; what cannot be shown right is refused by name.

| mode | bits | colours |
|---|---|---|
| grey, RGB | 8, 16 | by the profile; without one sRGB |
| grey, RGB | 32 | light, by the profile; without one in sRGB's primaries; none brighter than white |
| CMYK | 8, 16 | by the profile; without one refused |
| Lab | 8, 16 | L*, a*, b* of D50, as the mode defines them; a profile says nothing more |
| indexed | 8 | the table's, by the profile |
| bitmap | 1 | black and white |

Duotone and multichannel are refused: a duotone's inks are described nowhere, and those of the other have at
most names. CMYK without a profile is ink of no known press: Pillow's formula, one minus each ink, shows full
cyan as (0, 255, 255), where a press on coated paper prints about (0, 174, 239).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from psd_tools.constants import ColorMode

from pellucid.files.blend_space import blend_space
from pellucid.files.colour_profiles import is_other_space, to_srgb
from pellucid.files.deep_colours import convert_strips, deep_to_srgb, linear_srgb
from pellucid.files.matrix_profiles import lab_to_srgb
from pellucid.rgba.quantization import to_bytes
from pellucid.rgba.types import RGB8, RGBA8, AnyArray
from pellucid.scene.formats.limits import UnsupportedDocument
from pellucid.scene.layer import Layer

DEPTHS = {
    ColorMode.BITMAP: (1,),
    ColorMode.GRAYSCALE: (8, 16, 32),
    ColorMode.INDEXED: (8,),
    ColorMode.RGB: (8, 16, 32),
    ColorMode.CMYK: (8, 16),
    ColorMode.LAB: (8, 16),
}
UNKNOWN_INKS = {
    ColorMode.DUOTONE: "a duotone, whose inks are described nowhere",
    ColorMode.MULTICHANNEL: "multichannel, whose inks have no known colours",
}
WHITE = 1.001
"""Brightest level of 32 bits that counts as white: Photoshop itself stores 1.00001."""
UNMIXED = ("normal", "pass_through")
LIGHT = 32
"""Bits of a document whose levels are light."""


@dataclass(frozen=True)
class Colours:
    """What the levels of one document mean.

    Raises:
        UnsupportedDocument: a mode or depth that cannot be shown right.
    """

    mode: ColorMode
    depth: int
    profile: bytes
    notes: list[str]
    """Gets a sentence if the profile cannot be read."""

    def __post_init__(self) -> None:
        what = f"{self.mode.name} of {self.depth} bits, of which nothing is known here"
        if self.mode in UNKNOWN_INKS:
            what = UNKNOWN_INKS[self.mode]
        elif self.mode is ColorMode.CMYK and not self.profile:
            what = "CMYK without a colour profile, so nobody knows what its inks look like"
        elif self.depth in DEPTHS.get(self.mode, ()):
            return
        raise UnsupportedDocument(f"it is {what}. Convert it to RGB in the program that made it.")

    @property
    def are_bytes(self) -> bool:
        """Whether `bytes_to_srgb` takes them: 8 bits, grey or RGB."""
        return self.depth == 8 and self.mode in (ColorMode.GRAYSCALE, ColorMode.RGB)

    def bytes_to_srgb(self, rgba: RGBA8) -> RGBA8:
        """Converts an image of 8 bits, (h, w, 4); grey is repeated in red, green and blue."""
        return to_srgb(rgba, self.profile, self.notes) if self.profile else rgba

    def to_srgb(self, levels: AnyArray, alpha: AnyArray) -> RGBA8:
        """Converts an image.

        Args:
            levels: floats (h, w, channels) as psd-tools has them, [0, 1]; of CMYK 1 is no ink.
            alpha: floats (h, w, 1), [0, 1].
        """
        if self.depth == 8 and self.mode not in (ColorMode.CMYK, ColorMode.LAB):
            rgb = levels if levels.shape[2] == 3 else np.repeat(levels, 3, axis=2)
            return self.bytes_to_srgb(to_bytes(np.concatenate([rgb, alpha], axis=-1)))
        return np.dstack([self._rgb(levels, alpha), to_bytes(alpha)])

    def _rgb(self, levels: AnyArray, alpha: AnyArray) -> RGB8:
        if self.mode is ColorMode.LAB:
            # steps of 16 bits are those of other readers; 32768 for no chroma would differ by half a unit
            return convert_strips(levels, lambda part: lab_to_srgb(part * (100, 255, 255) - (0, 128, 128)))
        if self.mode is ColorMode.CMYK:
            return deep_to_srgb(1 - levels, self.profile, self.notes)
        if self.depth != LIGHT:
            return deep_to_srgb(levels, self.profile, self.notes)
        shown = levels[alpha[..., 0] > 0]
        if not np.isfinite(shown).all():
            raise ValueError("a level that is no number")
        if shown.size and shown.max() > WHITE:
            raise UnsupportedDocument(
                "it has high dynamic range (levels above white), which has no place in 8 bits. Convert it to "
                "8 or 16 bits with tone mapping first."
            )
        return deep_to_srgb(np.nan_to_num(levels), self.profile or linear_srgb(), self.notes)

    def check_blending(self, layers: Sequence[Layer]) -> bool:
        """Warns of layers that their program blends in a space not known here; says whether they mix light.

        Args:
            layers: bottom first.
        """
        # the lowest of all lies over nothing
        if not any(layer.visible and _is_mixed(layer) for layer in layers[1:]):
            return False
        space = self._other_space()
        if space:
            self.notes.append(
                f"its layers were made to blend in {space}, and are blended in sRGB, which differs where one "
                "shows another through"
            )
        return self.depth == LIGHT

    def _other_space(self) -> str:
        """Returns the name of the space in which its program blends; empty if that is sRGB or known."""
        if self.blend_profile is not None:
            return ""
        if self.depth == LIGHT:
            return "light"
        if self.mode in (ColorMode.CMYK, ColorMode.LAB):
            return self.mode.name
        return "its profile's colours" if self.profile and is_other_space(self.profile) else ""

    @property
    def blend_profile(self) -> bytes | None:
        """The profile in whose levels layers are mixed; None for sRGB, and where that is not known here."""
        profile = self.profile or (linear_srgb() if self.depth == LIGHT else b"")
        known = self.mode in (ColorMode.RGB, ColorMode.GRAYSCALE) and profile
        if not known or blend_space(profile) is None or not is_other_space(profile):
            return None
        return profile


def _is_mixed(layer: Layer) -> bool:
    """Says whether some pixel of a layer is mixed with what is below it."""
    alpha = layer.image[..., 3]
    parts = (layer, *layer.groups)
    if any(part.opacity < 1 or part.blend_mode not in UNMIXED for part in parts):
        return True
    if any(part.enabled_mask is not None for part in parts):
        return True
    return bool(((alpha > 0) & (alpha < 255)).any())
