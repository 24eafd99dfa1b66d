"""Known checkpoints: find, verify, load, apply."""
