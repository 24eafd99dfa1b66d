"""The version, apart from the package so that lower floors may read it without a circle."""

__version__ = "0.1.0"
