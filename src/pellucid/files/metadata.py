"""Where an image comes from: prompt, seed and the rest, as it is written into files."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TypedDict, TypeGuard

from pellucid._deprecation import renamed_attributes
from pellucid.errors import InputError
from pellucid.files.tables import is_table
from pellucid.rgba.types import RGBA8

Scalar = str | int | float | bool | None

# A guidance of 7 is whole, in JSON as in people's code.
TEXT, WHOLE, NUMBER = (str,), (int,), (int, float)
KINDS: dict[str, tuple[type, ...]] = {
    "prompt": TEXT,
    "negative_prompt": TEXT,
    "seed": WHOLE,
    "model": TEXT,
    "version": TEXT,
    "mode": TEXT,
    "steps": WHOLE,
    "guidance": NUMBER,
}
KEY = "pellucid"
"""Name of the JSON in a file; in EXIF and TIFF, the word before it."""
# Tags of TIFF 6.0, which EXIF has taken over.
IMAGE_DESCRIPTION = 0x010E
SOFTWARE = 0x0131


class _Fields(TypedDict, total=False):
    """Fields of `Provenance` with a value."""

    prompt: str
    negative_prompt: str
    seed: int
    model: str
    version: str
    mode: str
    steps: int
    guidance: float


def _fit_fields(values: Mapping[str, object]) -> TypeGuard[_Fields]:
    return all(isinstance(value, KINDS[name]) for name, value in values.items())


def _are_scalars(values: Mapping[str, object]) -> TypeGuard[Mapping[str, Scalar]]:
    return all(isinstance(value, Scalar) for value in values.values())


@dataclass(frozen=True, kw_only=True)
class GenerationMetadata:
    """What it takes to make an image again. None means unknown."""

    prompt: str | None = None
    negative_prompt: str | None = None
    seed: int | None = None
    model: str | None = None
    version: str | None = None
    """Of Pellucid."""
    mode: str | None = None
    steps: int | None = None
    guidance: float | None = None
    extra: Mapping[str, Scalar] = field(default_factory=dict[str, Scalar])
    """Anything else worth keeping, by name."""

    def __post_init__(self) -> None:
        try:
            # tried here, so that what no file can hold fails where it is made and not while a file is written
            self.to_json(ascii_only=False).encode()
        except (TypeError, ValueError) as error:
            raise InputError(
                f"Expected provenance of text and numbers, found {error}. Leave out objects and "
                f"unpaired surrogates."
            ) from None

    @classmethod
    def of(cls, values: "GenerationMetadata | Mapping[str, object] | None") -> "GenerationMetadata | None":
        """Sorts a mapping into the fields; names that are no field go to `extra`."""
        if values is None or isinstance(values, GenerationMetadata):
            return values
        ours = {name: value for name, value in values.items() if name in KINDS and value is not None}
        rest = {str(name): value for name, value in values.items() if name not in KINDS and name != "extra"}
        # what `as_dict` returns has them apart; callers may also name them among the fields
        nested = values.get("extra") or dict[str, object]()
        extra = {**nested, **rest} if is_table(nested) else {**rest, "extra": nested}
        if not _fit_fields(ours) or not _are_scalars(extra):
            wrong = [name for name, value in ours.items() if not isinstance(value, KINDS[name])]
            wrong += [name for name, value in extra.items() if not isinstance(value, Scalar)]
            raise InputError(
                f"Expected provenance of text and numbers, found other values for {wrong[:3]}. "
                "Leave them out, or write them as text."
            )
        return cls(**ours, extra=extra)

    def as_dict(self) -> dict[str, object]:
        """Returns the fields that are known, with `extra` as a mapping."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "extra"}
        # a seed of 0 and an empty prompt are known
        stated = {name: value for name, value in values.items() if value is not None}
        return {**stated, "extra": dict(self.extra)} if self.extra else stated

    def to_json(self, *, ascii_only: bool) -> str:
        """Encodes the fields as one JSON object; `ascii_only` escapes what EXIF cannot hold."""
        return json.dumps(self.as_dict(), ensure_ascii=ascii_only)

    @classmethod
    def from_json(cls, text: str) -> "GenerationMetadata | None":
        """Reads `to_json`; None when the text is something else, since files by others may hold anything."""
        try:
            values = json.loads(text)
            return cls.of(values) if is_table(values) else None
        # nested a thousand deep, JSON exhausts the stack; InputError is a ValueError
        except (RecursionError, ValueError):
            return None

    def readable(self) -> dict[str, str]:
        """Returns the known fields under the keys that image viewers show."""
        values = self.as_dict()
        values.pop("extra", None)
        version = values.pop("version", None)
        # most viewers end a text at a NUL
        words = {
            name.replace("_", " ").capitalize(): str(value).replace("\0", " ")
            for name, value in values.items()
        }
        if "Prompt" in words:
            words["Description"] = words.pop("Prompt")
        return {**words, "Software": f"Pellucid {version}" if version else "Pellucid"}


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """An image and what its file said about it."""

    rgba: RGBA8
    format: str
    """"PNG", "WEBP", "AVIF", "TIFF", "JPEG", "GIF", "BMP", "ICO" or "TGA"."""
    provenance: GenerationMetadata | None = None
    """What Pellucid wrote into the file, if it did."""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    """Every text of the file, by its key there."""


__getattr__ = renamed_attributes(__name__, Provenance="GenerationMetadata", Picture="DecodedImage")
