"""Training images: sources, records, shards."""
