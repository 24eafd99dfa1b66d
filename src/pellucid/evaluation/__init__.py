"""Scores of a model: reconstruction, generation and speed, and the metrics behind them."""
