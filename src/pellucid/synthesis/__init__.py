"""Training data that models make: single images by the million, and layer triples."""
