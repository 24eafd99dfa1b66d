"""Shells: command line and servers; no model code."""
