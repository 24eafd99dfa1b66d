"""Tables and lists of JSON and TOML: what a parser returns has no type until it has been looked at."""

from typing import TypeGuard


def is_table(value: object) -> TypeGuard[dict[str, object]]:
    """Tells whether a parsed value is a table. Its names are text: neither JSON nor TOML has others."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[object]]:
    """Tells whether a parsed value is a list."""
    return isinstance(value, list)
