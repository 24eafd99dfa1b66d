"""One training stage a module."""
