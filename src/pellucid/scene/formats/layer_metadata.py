"""What a document's format has no place for: where its layers come from, and names it cannot hold."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from pellucid.errors import InputError
from pellucid.files.metadata import GenerationMetadata
from pellucid.scene.layer import Group, Layer
from pellucid.scene.scene import Scene

REFERENCES = "references"
"""Name of the hidden group, lowest in a file, that holds a scene's references."""


class _Note(NamedTuple):
    """What is known of one layer."""

    name: str
    stored_name: str
    """What the format can hold of the name."""
    provenance: GenerationMetadata | None


class LayerMetadata:
    """GenerationMetadata of a scene and its layers, each layer under a key that its format keeps.

    A note about a layer counts only while the layer is called as it was when the note was written, so that
    other programs may reorder, rename and add layers.
    """

    def __init__(self, *, provenance: GenerationMetadata | None = None, references: int = 0) -> None:
        """Starts without metadata about layers.

        Args:
            provenance: where the scene comes from.
            references: how many of the lowest layers are references. Without any a hidden group called
                "references" is the user's own, and stays a group.
        """
        self.provenance, self.references = provenance, references
        self._layers: dict[str, _Note] = {}

    @classmethod
    def describing(cls, scene: Scene) -> "tuple[LayerMetadata, Scene]":
        """Returns metadata about a scene, and the scene with its references as layers in a hidden group."""
        group = Group(name=REFERENCES, visible=False)
        lowest = tuple(replace(layer, groups=(group, *layer.groups)) for layer in scene.references)
        metadata = cls(provenance=scene.provenance, references=len(lowest))
        return metadata, replace(scene, layers=(*lowest, *scene.layers), references=())

    def scene(self, layers: Sequence[Layer], height: int, width: int) -> Scene:
        """Returns the scene of a file's layers, bottom first, its references apart; undoes `describing`."""
        hidden = next(
            (
                layer.groups[0]
                for layer in layers
                if layer.groups and layer.groups[0].name == REFERENCES and not layer.groups[0].visible
            ),
            None,
        )
        if not self.references or hidden is None:
            return Scene(layers=tuple(layers), height=height, width=width, provenance=self.provenance)
        # by identity: another group of that name may lie in the stack
        inside = [layer for layer in layers if layer.groups and layer.groups[0] is hidden]
        return Scene(
            layers=tuple(layer for layer in layers if layer not in inside),
            references=tuple(replace(layer, groups=layer.groups[1:]) for layer in inside),
            height=height,
            width=width,
            provenance=self.provenance,
        )

    def add(self, key: str, name: str, stored_name: str, provenance: GenerationMetadata | None) -> None:
        """Notes a layer, if there is anything to note.

        Args:
            key: what the format keeps for it.
            name: its name.
            stored_name: what the format can hold of the name.
            provenance: where it comes from.
        """
        if provenance is not None or name != stored_name:
            self._layers[key] = _Note(name, stored_name, provenance)

    def name(self, key: str, stored_name: str) -> str:
        """Returns the whole name of a layer that is called `stored_name` in its file."""
        note = self._note(key, stored_name)
        return stored_name if note is None else note.name

    def of(self, key: str, stored_name: str) -> GenerationMetadata | None:
        """Returns the provenance of a layer that is called `stored_name` in its file."""
        note = self._note(key, stored_name)
        return None if note is None else note.provenance

    def to_json(self) -> str:
        """Encodes the metadata as one ASCII JSON object, or as "" if there is none."""
        if self.provenance is None and not self._layers and not self.references:
            return ""
        counted = {"references": self.references} if self.references else {}
        layers = {
            key: {"name": note.name, "shown": note.stored_name, "provenance": _plain(note.provenance)}
            for key, note in self._layers.items()
        }
        return json.dumps({"provenance": _plain(self.provenance), **counted, "layers": layers})

    @classmethod
    def from_json(cls, text: str | bytes) -> "LayerMetadata":
        """Reads `to_json`; anything else gives empty metadata, since files by others may hold anything."""
        try:
            values = json.loads(text)
            provenance, references = (
                GenerationMetadata.of(values["provenance"]),
                int(values.get("references", 0)),
            )
            metadata = cls(provenance=provenance, references=references)
            for key, row in values["layers"].items():
                name, stored_name = str(row["name"]), str(row["shown"])
                # a lone surrogate is valid JSON, but no name that could be written again
                name.encode()
                metadata.add(str(key), name, stored_name, GenerationMetadata.of(row["provenance"]))
        except (AttributeError, InputError, LookupError, RecursionError, TypeError, ValueError):
            return cls()
        return metadata

    def _note(self, key: str, stored_name: str) -> _Note | None:
        note = self._layers.get(key)
        return note if note is not None and note.stored_name == stored_name else None


def _plain(provenance: GenerationMetadata | None) -> dict[str, object] | None:
    return provenance and provenance.as_dict()
