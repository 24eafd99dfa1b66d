"""Filters of training images: measures, rules, plug-ins and near-duplicates."""
