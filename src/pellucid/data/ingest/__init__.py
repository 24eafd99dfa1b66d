"""Collects loose images from folders, archives, tables and addresses into filtered shards."""
