"""Training pictures: sources, records, shards."""
