"""What the embedded model knows by name, and how prompts in other words are read."""
