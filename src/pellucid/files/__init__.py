"""Pictures on disk: reading, writing, metadata."""
