"""What a document's format has no place for: where its layers come from, and names it cannot hold."""

import json
from typing import Any

from pellucid.errors import InputError
from pellucid.files.metadata import Provenance


class Notes:
    """Provenance of a scene and its layers, each layer under a key that its format keeps.

    A note about a layer counts only while the layer is called as it was when the note was written, so that
    other programs may reorder, rename and add layers.
    """

    def __init__(self, *, provenance: Provenance | None = None) -> None:
        self.provenance = provenance
        self._layers: dict[str, dict[str, Any]] = {}

    def add(self, key: str, name: str, shown: str, provenance: Provenance | None) -> None:
        """Notes a layer, if there is anything to note.

        Args:
            key: what the format keeps for it.
            name: its name.
            shown: what the format can hold of the name.
            provenance: where it comes from.
        """
        if provenance is not None or name != shown:
            known = provenance and provenance.as_dict()
            self._layers[key] = {"name": name, "shown": shown, "provenance": known}

    def name(self, key: str, shown: str) -> str:
        """The whole name of a layer that is called `shown` in its file."""
        note = self._note(key, shown)
        return shown if note is None else str(note["name"])

    def of(self, key: str, shown: str) -> Provenance | None:
        """Where a layer comes from that is called `shown` in its file."""
        note = self._note(key, shown)
        return None if note is None else Provenance.of(note["provenance"])

    def to_json(self) -> str:
        """One JSON object, ASCII, "" if there is nothing to say."""
        if self.provenance is None and not self._layers:
            return ""
        known = self.provenance and self.provenance.as_dict()
        return json.dumps({"provenance": known, "layers": self._layers})

    @classmethod
    def from_json(cls, text: str | bytes) -> "Notes":
        """Reads `to_json`; anything else gives empty notes, since files by others may hold anything."""
        try:
            values = json.loads(text)
            notes = cls(provenance=Provenance.of(values["provenance"]))
            for key, row in values["layers"].items():
                name, shown = str(row["name"]), str(row["shown"])
                name.encode()
                notes.add(str(key), name, shown, Provenance.of(row["provenance"]))
        except (AttributeError, InputError, LookupError, RecursionError, TypeError, ValueError):
            return cls()
        return notes

    def _note(self, key: str, shown: str) -> dict[str, Any] | None:
        note = self._layers.get(key)
        return note if note is not None and note["shown"] == shown else None
