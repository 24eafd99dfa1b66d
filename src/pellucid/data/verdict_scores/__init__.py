"""A small classifier of what people keep, learned from the verdicts of rounds, to screen without people."""
