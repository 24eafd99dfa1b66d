"""Tables of JSON and TOML: what parsers return is of no type until it has been looked at."""

from typing import TypeGuard


def is_table(value: object) -> TypeGuard[dict[str, object]]:
    """Tells whether a parsed value is a table. Its names are text: neither JSON nor TOML has others."""
    return isinstance(value, dict)
