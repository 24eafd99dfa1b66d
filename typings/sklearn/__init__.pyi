"""What we ask of scikit-learn, which ships no types."""
