"""Options for images ready to place, --trim, --margin and --fit, which several commands share."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pellucid.apps.commands.options import Size, gathered
from pellucid.apps.sections import option
from pellucid.errors import InputError

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

    @property
    def is_asked_for(self) -> bool:
        """Tells whether any of the options was given."""
        return self.trim or self.margin is not None or self.fit is not None

    def apply(self, scene: "Scene", target: Path | None = None) -> "Scene":
        """Returns a scene placed, or the scene itself where nothing was asked for.

        Args:
            scene: any.
            target: what it will be written to; one that keeps layers gets them all, otherwise they are laid
                flat.

        Raises:
            InputError: a canvas of another size for a scene whose layers are kept.
        """
        if not self.is_asked_for:
            return scene
        from pellucid.files.extensions import IN_LAYERS
        from pellucid.scene.placing import fit_scene, trim_scene

        layered = target is not None and target.suffix.lower() in IN_LAYERS
        if self.fit is None:
            return trim_scene(scene, self.margin or 0, flat=not layered)
        if layered and len(scene.layers) > 1:
            raise InputError(
                f"Expected one layer for --fit, found {len(scene.layers)}, which {target} keeps. Write a "
                ".png instead, or use --trim."
            )
        return fit_scene(scene, *self.fit, self.margin or 0)


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
