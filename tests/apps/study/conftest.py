"""A study of small discs, and a browser."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from chromium import browser, context
from pellucid.evaluation.study.pairs import create_study
from pellucid.evaluation.study.plan import read_plan
from pellucid.files.images import write_image

__all__ = ["browser", "context"]

PLAN = """
title = "Green or red"
instructions = "Look at the discs."
prompts = "prompts.tsv"
raters_a_pair = {raters}
swapped = {swapped}
attention = {attention}
[methods]
green = "green"
red = "red"
[[questions]]
id = "prefer"
text = "Which disc do you prefer?"
methods = ["green", "red"]
votes = {votes}
"""
COLOURS = {"green": (20, 200, 60), "red": (220, 30, 40)}


@pytest.fixture
def studied(tmp_path: Path) -> Callable[..., Path]:
    """Makes a study, whose methods can be told by colour, and returns its folder."""

    def make(
        pairs: int = 12, votes: int = 20, raters: int = 2, swapped: float = 0.2, attention: float = 0.1
    ) -> Path:
        y, x = np.mgrid[:32, :32] - 15.5
        for method, colour in COLOURS.items():
            (tmp_path / method).mkdir()
            for number in range(pairs):
                rgba = np.zeros((32, 32, 4), np.uint8)
                rgba[..., :3] = np.add(colour, number % 12)
                rgba[..., 3] = np.where(x**2 + y**2 < 200, 255, 0)
                write_image(rgba, tmp_path / method / f"{number}.png")
        lines = "".join(f"{number}\ta disc, number {number}\n" for number in range(pairs))
        (tmp_path / "prompts.tsv").write_text(lines)
        plan = tmp_path / "plan.toml"
        plan.write_text(PLAN.format(raters=raters, swapped=swapped, attention=attention, votes=votes))
        create_study(read_plan(plan), plan, tmp_path / "study", tmp_path)
        return tmp_path / "study"

    return make
