"""Recipes as text: every field below a comment with its meaning, which the options' classes state once."""

import inspect
import json
import re
import textwrap
from collections.abc import Iterator

from pellucid.files.tables import is_table
from pellucid.models.alpha_decoder import AlphaDecoder
from pellucid.models.discriminator import PatchDiscriminator
from pellucid.models.offset_encoder import OffsetEncoder
from pellucid.training.proposals.plan import Entry, Plan
from pellucid.training.recipe import STAGES, Recipe
from pellucid.training.recipe_help import field_docs
from pellucid.training.stages.options import options_class

WIDTH = 108
NETWORKS = {
    "offset_encoder": OffsetEncoder, "alpha_decoder": AlphaDecoder, "discriminator": PatchDiscriminator,
}  # fmt: skip
INDENT = 4
"""Spaces that stand before an argument below "Args:"."""


def recipe_text(plan: Plan, head: str) -> str:
    """Returns a recipe (TOML) that explains itself.

    Args:
        plan: its tables.
        head: sentences for the top of the file.
    """
    return "\n".join([*_comment(head), *_table(plan, ())]) + "\n"


def argument_docs(function: object) -> dict[str, str]:
    """Returns what a docstring in Google's style says of each argument."""
    _, _, rest = (inspect.getdoc(function) or "").partition("Args:\n")
    found: dict[str, str] = {}
    name = ""
    for line in rest.splitlines():
        if not line.strip() or not line.startswith(" "):
            break
        begins = re.match(rf" {{{INDENT}}}(\w+): (.*)", line)
        if begins:
            name = begins[1]
            found[name] = begins[2]
        elif name:
            found[name] += f" {line.strip()}"
    return found


def _table(plan: Plan, path: tuple[str, ...]) -> Iterator[str]:
    docs = _docs(path)
    for name, entry in plan.items():
        if isinstance(entry, Entry):
            yield ""
            yield from _comment(f"{docs.get(name, '')} {entry.why}")
            yield f"{name} = {_value(entry.value)}"
    for name, table in plan.items():
        if is_table(table):
            yield ""
            if doc := docs.get(name):
                yield from _comment(doc)
            yield f"[{'.'.join((*path, name))}]"
            yield from _table(table, (*path, name))


def _docs(path: tuple[str, ...]) -> dict[str, str]:
    """Returns the meaning of the fields of a table."""
    if not path or path[-1] in STAGES:
        return field_docs(Recipe)
    if path[-1] == "model":
        return field_docs(options_class(path[0], {}))
    network = NETWORKS.get(path[-1])
    return argument_docs(network.__init__) if network else {}


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(" ".join(text.split()), WIDTH)]


def _value(value: object) -> str:
    # JSON's texts, numbers, lists and booleans are TOML's too
    return repr(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
