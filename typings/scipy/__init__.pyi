"""What is used here of scipy, which has no types."""
