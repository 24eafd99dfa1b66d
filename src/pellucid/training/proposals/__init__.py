"""Recipes for a model and pictures at hand: what the model is, what its training needs, and why."""
