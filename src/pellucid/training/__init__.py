"""Training of every stage."""
