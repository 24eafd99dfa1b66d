"""One layered file format a module."""
