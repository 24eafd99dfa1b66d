"""A store with a round of small images."""

from round_fixtures import opened, store

__all__ = ["opened", "store"]
