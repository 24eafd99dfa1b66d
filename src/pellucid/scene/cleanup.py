"""Cleaning of documents, layer by layer."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pellucid.rgba.cleanup import Cleaned, Cleaning, clean_and_tell
from pellucid.rgba.defects import Defects, score
from pellucid.scene.scene import Scene


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerScores:
    """A layer's faults before and after cleaning."""

    name: str
    before: Defects
    after: Defects
    done: Cleaned

    def as_dict(self) -> dict[str, object]:
        """Returns the name and both scores for a report."""
        before, after, done = self.before.as_dict(), self.after.as_dict(), self.done.as_dict()
        return {"name": self.name, "before": before, "after": after, "done": done}


def clean_scene(scene: Scene, cleaning: Cleaning | None = None) -> tuple[Scene, list[LayerScores]]:
    """Cleans each layer's image; places, names, groups and opacity stay.

    Returns:
        The scene, and the scores of its layers, bottom first.
    """
    cleaned = [clean_and_tell(layer.image, cleaning) for layer in scene.layers]
    layers = [replace(old, image=image) for old, (image, _) in zip(scene.layers, cleaned, strict=True)]
    scores = [
        LayerScores(name=old.name, before=score(old.image), after=score(image), done=done)
        for old, (image, done) in zip(scene.layers, cleaned, strict=True)
    ]
    return replace(scene, layers=tuple(layers)), scores


def clean_scenes(
    scenes: Iterable[Scene], *, wanted: bool = True
) -> tuple[list[Scene], list[dict[str, object]]]:
    """Cleans scenes with the defaults of `Cleaning`, or returns them as they are if not `wanted`.

    Returns:
        The scenes, and for each what a report says about its cleaning: the scores by layer, or nothing.
    """
    if not wanted:
        return list(scenes), []
    cleaned = [clean_scene(scene) for scene in scenes]
    reports: list[dict[str, object]] = [
        {"cleaned": [layer_scores.as_dict() for layer_scores in scores]} for _, scores in cleaned
    ]
    return [scene for scene, _ in cleaned], reports
