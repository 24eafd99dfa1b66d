"""Files of prompts: a text with one a line, a table, or JSON; rows may say their own seed, name and size."""

import csv
import difflib
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pellucid.apps.commands.options import parse_size
from pellucid.errors import InputError
from pellucid.files.names import RESERVED
from pellucid.files.tables import is_table

COLUMNS = ("prompt", "seed", "name", "negative", "size")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptRow:
    """One prompt, and what it says beside the options of the command; None takes those."""

    prompt: str
    seed: int | None = None
    name: str | None = None
    """Stem of the file that is written."""
    negative: str | None = None
    size: tuple[int, int] | None = None
    """(height, width), px."""


def read_prompts(content: bytes, name: str) -> list[PromptRow]:
    """Reads prompts from a file's content.

    Args:
        content: UTF-8.
        name: of the file. .csv and .tsv are tables with a header, the former between commas or semicolons as
            spreadsheets of many countries write; .json is a list, .jsonl and .ndjson a value
            a line, of texts or of objects; anything else has one prompt a line, but for empty lines and those
            that begin with #.

    Raises:
        InputError: no prompt, an unknown column, or a value of another kind; says the row.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(
            f"Expected prompts in UTF-8, found other bytes in {name}. Save it as UTF-8."
        ) from None
    ending = Path(name).suffix.lower()
    if ending in (".csv", ".tsv"):
        values = _table(text, name, "\t" if ending == ".tsv" else _delimiter(text))
    elif ending == ".json":
        values = _json_list(text, name)
    elif ending in (".jsonl", ".ndjson"):
        values = (
            (f"line {number} of {name}", _json(line, f"line {number} of {name}"))
            # at line feeds alone: JSON may hold U+2028 and the like, which splitlines cuts at
            for number, line in enumerate(text.split("\n"), 1)
            if line.strip()
        )
    else:
        values = (
            (f"line {number} of {name}", line.strip())
            for number, line in enumerate(text.splitlines(), 1)
            if line.strip() and not line.lstrip().startswith("#")
        )
    rows = [_row(value, place) for place, value in values]
    if not rows:
        beneath = " beneath the names of its columns" if ending in (".csv", ".tsv") else ""
        raise InputError(f"Expected at least one prompt in {name}{beneath}, found none. Write one a line.")
    return rows


def _delimiter(text: str) -> str:
    header = text.partition("\n")[0]
    return ";" if ";" in header and "," not in header else ","


def _table(text: str, name: str, delimiter: str) -> Iterator[tuple[str, object]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [key.strip().lower() for key in reader.fieldnames or ()]
        if twice := [key for key in header if header.count(key) > 1]:
            raise InputError(
                f"Expected each column once in {name}, found {twice[0]!r} twice. Leave one of them out."
            )
        for row in reader:
            place = f"line {reader.line_num} of {name}"
            # a row longer than the header has its rest under None
            if None in row:
                raise InputError(
                    f"Expected {len(reader.fieldnames or ())} columns in {place}, found more. "
                    'Put text that holds a comma between "quotes".'
                )
            yield place, {key.strip().lower(): value.strip() for key, value in row.items() if value}
    except csv.Error as error:
        raise InputError(
            f"Expected a table in {name}, found a fault near line {reader.line_num} ({error}). Mend the line."
        ) from None


def _json_list(text: str, name: str) -> Iterable[tuple[str, object]]:
    values = _json(text, name)
    if not isinstance(values, list):
        raise InputError(
            f'Expected a JSON list of prompts in {name}, found {type(values).__name__}. Write ["a cat", …].'
        )
    several: list[object] = values
    return ((f"prompt {number} of {name}", value) for number, value in enumerate(several, 1))


def _json(text: str, place: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"Expected JSON in {place}, found a fault ({error}). Mend it there.") from None


def _row(value: object, place: str) -> PromptRow:
    columns: Mapping[str, object] = {"prompt": value} if isinstance(value, str) else _columns(value, place)
    prompt, name, negative = (_text(columns.get(key), key, place) for key in ("prompt", "name", "negative"))
    if not prompt:
        raise InputError(f"Expected a prompt in {place}, found none. Fill in its column, or drop the row.")
    if name is not None and (re.search(r'[<>:"/\\|?*\x00-\x1f]', name) or not name.strip(". ")):
        raise InputError(
            f"Expected a file's name in {place}, found {name!r:.60}. Leave out slashes and <>:\"|?*."
        )
    if name is not None and RESERVED.fullmatch(name):
        raise InputError(
            f"Expected a file's name in {place}, found {name!r}, a device on Windows. Choose another."
        )
    return PromptRow(
        prompt=prompt,
        seed=_seed(columns.get("seed"), place),
        name=name,
        negative=negative,
        size=_size(columns.get("size"), place),
    )


def _columns(value: object, place: str) -> Mapping[str, object]:
    if not is_table(value):
        raise InputError(
            f"Expected a text or an object in {place}, found {type(value).__name__}. Write a prompt."
        )
    for key in value:
        if key not in COLUMNS:
            near = difflib.get_close_matches(key, COLUMNS, 1)
            hint = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(COLUMNS)}."
            raise InputError(f"Expected known columns, found {key!r} in {place}. {hint}")
    return value


def _text(value: object, key: str, place: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise InputError(f"Expected {key} as text in {place}, found {value!r:.40}. Put it between quotes.")
    return value or None


def _seed(value: object, place: str) -> int | None:
    if value is None or value == "":
        return None
    from pellucid.pipelines.arguments import MAX_SEED

    seed = value
    if isinstance(value, str) and re.fullmatch(r"\d{1,19}", value, re.ASCII):
        seed = int(value)
    if isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed <= MAX_SEED:
        return seed
    raise InputError(
        f"Expected a whole number as seed in {place}, 0 to {MAX_SEED}, found {value!r:.40}. "
        "Or leave it empty."
    )


def _size(value: object, place: str) -> tuple[int, int] | None:
    if value is None or value == "":
        return None
    from pellucid.files.conversion import MAX_SIDE_PX

    size = parse_size(str(value))
    if size is None or not 1 <= min(size) <= max(size) <= MAX_SIDE_PX:
        raise InputError(
            f"Expected a size such as 64x96 in {place}, of 1 to {MAX_SIDE_PX} pixels a side, "
            f"found {value!r:.40}. Write WxH."
        )
    return size
