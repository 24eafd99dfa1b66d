"""What happens to an image between the model and its file."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pellucid.apps.commands.placing import Placing

if TYPE_CHECKING:
    from pellucid.scene.scene import Scene


def finisher(clean: bool | None, placing: Placing) -> "Callable[[Scene], tuple[Scene, Mapping[str, object]]]":
    """Returns what cleans, if asked, and places one image; it says for --json how clean it was and is."""

    def finish(scene: "Scene") -> "tuple[Scene, Mapping[str, object]]":
        from pellucid.pipelines.recording import recorded
        from pellucid.scene.cleanup import clean_scenes

        (cleaned,), scores = clean_scenes([scene], wanted=clean is True)
        fit = placing.fit and f"{placing.fit[1]}x{placing.fit[0]}"
        # for `again`, which makes the image anew and has to finish it the same way
        facts = {
            "clean": clean or None, "trim": placing.trim or None, "margin": placing.margin, "fit_canvas": fit,
        }  # fmt: skip
        return recorded(placing.apply(cleaned), facts), (scores or [dict[str, object]()])[0]

    return finish
