"""Diffusers pipelines made transparent."""
