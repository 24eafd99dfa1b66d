"""Random draws as a pure function of where they are in a run."""

import torch


class StepGenerator(torch.Generator):
    """All randomness of one part of one step."""

    step: int
    part: int
    batches: int
    """How many batches were drawn by it."""

    def __new__(cls, device: torch.device, seed: int, step: int, part: int) -> "StepGenerator":
        """Seeds it.

        Args:
            device: that the numbers are drawn on.
            seed: the recipe's.
            step: number of the optimizer step, from 0.
            part: number of the forward pass within it.
        """
        generator = super().__new__(cls, device)  # pyright: ignore[reportCallIssue] - its stub lacks it
        # Primes: no two of (seed, step, part) meet below 1,000,003 steps and 1,009 parts.
        generator.manual_seed((seed * 1_000_003 + step) * 1_009 + part)
        generator.step, generator.part, generator.batches = step, part, 0
        return generator

    def __init__(self, device: torch.device, seed: int, step: int, part: int) -> None:
        super().__init__()
