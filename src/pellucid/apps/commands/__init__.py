"""One module a family of commands; heavy imports stay inside the functions."""
