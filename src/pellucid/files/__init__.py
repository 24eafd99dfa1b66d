"""Images on disk: reading, writing, metadata."""
