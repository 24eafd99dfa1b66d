"""A store with a round of small images, and a browser."""

from chromium import browser, context
from round_fixtures import opened, store

__all__ = ["browser", "context", "opened", "store"]
