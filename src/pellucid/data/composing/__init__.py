"""Training images composed by program from sets of images, with captions that say what was done."""
