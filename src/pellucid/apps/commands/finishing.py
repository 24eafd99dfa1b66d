"""What happens to an image between the model and its file."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pellucid.apps.commands.placing import Placing

if TYPE_CHECKING:
    from pellucid.scene.scene import Scene


def finisher(clean: bool | None, placing: Placing) -> "Callable[[Scene], tuple[Scene, Mapping[str, object]]]":
    """Returns what cleans, if asked, and places one image; it says for --json how clean it was and is."""

    def finish(scene: "Scene") -> "tuple[Scene, Mapping[str, object]]":
        from pellucid.scene.cleanup import clean_scenes

        (cleaned,), scores = clean_scenes([scene], wanted=clean is True)
        return placing.apply(cleaned), (scores or [dict[str, object]()])[0]

    return finish
