"""Scores as text."""

from collections.abc import Mapping


def table(scores: Mapping[str, object]) -> str:
    """Formats scores, a line each with names aligned; a group of scores is one line of names and values."""
    width = max((len(name) for name in scores), default=0)
    return "\n".join(f"{name:<{width}}  {_cell(value)}" for name, value in scores.items())


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        group: Mapping[object, object] = value
        return "  ".join(f"{name} {_cell(inner)}" for name, inner in group.items())
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1 else f"{value:.2f}"
    return "unknown" if value is None else str(value)
