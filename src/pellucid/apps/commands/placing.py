"""Options for images ready to place, --trim, --margin and --fit, which several commands share."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pellucid.apps.commands.options import Size, gathered
from pellucid.apps.sections import option

if TYPE_CHECKING:
    from pellucid.scene.scene import Scene


@dataclass(frozen=True, slots=True, kw_only=True)
class Placing:
    """Values of `placing_options`: how what is visible lies on its canvas."""

    trim: bool
    margin: int | None
    fit: tuple[int, int] | None

    def check(self) -> None:
        """Refuses, before any work, a margin that leaves no room."""
        from pellucid.rgba.placing import check_margin

        check_margin(self.margin or 0, self.fit)

    def apply(self, scene: "Scene") -> "Scene":
        """Returns a scene of one layer placed, or any scene itself where nothing was asked for."""
        if not self.trim and self.margin is None and self.fit is None:
            return scene
        from pellucid.rgba.placing import fit_visible, trim
        from pellucid.scene.scene import Scene

        margin, image = self.margin or 0, scene.composite()
        placed = trim(image, margin) if self.fit is None else fit_visible(image, *self.fit, margin)
        layer = replace(scene.layers[0], image=placed, offset=(0, 0), opacity=1.0)
        return Scene(
            layers=(layer,), height=placed.shape[0], width=placed.shape[1], provenance=scene.provenance
        )


placing_options = gathered(
    "placing",
    Placing,
    (
        option("Placing", "--trim", is_flag=True, help="Cut away what is wholly clear around the image."),
        option(
            "Placing",
            "--margin",
            type=int,
            metavar="PX",
            help="Clear pixels around what is left by --trim, or inside --fit; trims by itself.",
        ),
        option(
            "Placing",
            "--fit",
            type=Size(),
            help="Trim, and bring into the middle of a canvas of this size, as large as the margin lets it.",
        ),
    ),
)
"""Adds the options of placing; the command gets them as `placing`."""
