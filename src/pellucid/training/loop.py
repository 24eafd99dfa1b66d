"""The one training loop.

Every random draw of step `n` comes from a generator seeded with (recipe seed, n): a resumed run needs no
stored random state and sees what the uninterrupted one would have seen, bit for bit on one CPU thread.
"""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from pellucid.progress import track
from pellucid.training import checkpoints
from pellucid.training.config import Recipe


@runtime_checkable
class Stage(Protocol):
    """What differs between stages: the modules, the loss, and what is written at the end."""

    turns: Mapping[str, nn.Module]
    """Modules by the name of the turn in which they train, in order; the first is averaged and exported."""

    def loss(self, turn: str, generator: torch.Generator) -> dict[str, Tensor]:
        """Weighted loss terms of one batch drawn from `generator`."""
        ...

    def export(self, module: nn.Module, folder: Path) -> None:
        """Writes the trained module where the next stage reads it."""
        ...

    def sheet(self, module: nn.Module, path: Path) -> None:
        """Draws sample pictures to a PNG."""
        ...


def learning_rate(recipe: Recipe, step: int) -> float:
    """Linear warm-up, then a cosine down to `final_learning_rate` of the highest."""
    warm = min(1.0, (step + 1) / max(1, recipe.warmup_steps))
    fall = (1 + math.cos(math.pi * min(1.0, step / recipe.steps))) / 2
    return (
        recipe.learning_rate * warm * (recipe.final_learning_rate + (1 - recipe.final_learning_rate) * fall)
    )


Average = Callable[[tuple[Tensor, ...] | list[Tensor], tuple[Tensor, ...] | list[Tensor], Tensor | int], None]


def warmed_average(decay: float) -> Average:
    """Exponential average whose memory grows with the run, since a fixed one keeps the untrained start."""

    @torch.no_grad()
    def update(
        averaged: tuple[Tensor, ...] | list[Tensor],
        current: tuple[Tensor, ...] | list[Tensor],
        count: Tensor | int,
    ) -> None:
        kept = min(decay, (1 + int(count)) / (10 + int(count)))
        for mean, value in zip(averaged, current, strict=True):
            mean.lerp_(value, 1 - kept)

    return update


class Run:
    """One training run in one folder: made new, or taken up where its checkpoint stopped."""

    def __init__(self, recipe: Recipe, stage: Stage, folder: Path) -> None:
        self.recipe, self.stage, self.folder = recipe, stage, folder
        self.optimizers = {
            turn: torch.optim.AdamW(
                [p for p in module.parameters() if p.requires_grad],
                lr=recipe.learning_rate,
                weight_decay=recipe.weight_decay,
                betas=(0.9, 0.99),
            )
            for turn, module in stage.turns.items()
        }
        first = next(iter(stage.turns.values()))
        decay = recipe.ema_decay
        self.average = AveragedModel(first, multi_avg_fn=warmed_average(decay)) if decay else None
        self.step = 0
        if state := checkpoints.load(folder):
            self._restore(state)

    def _restore(self, state: dict[str, dict[str, object]]) -> None:
        for turn, module in self.stage.turns.items():
            module.load_state_dict(state["modules"][turn])  # type: ignore[arg-type]
            self.optimizers[turn].load_state_dict(state["optimizers"][turn])  # type: ignore[arg-type]
        if self.average:
            self.average.load_state_dict(state["average"])
        self.step = int(state["step"])  # type: ignore[arg-type]

    def save(self) -> None:
        """Writes the checkpoint; everything that the next step depends on is in it."""
        state = {
            "modules": {turn: module.state_dict() for turn, module in self.stage.turns.items()},
            "optimizers": {turn: optimizer.state_dict() for turn, optimizer in self.optimizers.items()},
            "average": self.average.state_dict() if self.average else {},
            "step": self.step,
        }
        checkpoints.save(state, self.folder)

    def exported(self) -> nn.Module:
        """The module that is worth keeping: the averaged one where there is one."""
        return self.average.module if self.average else next(iter(self.stage.turns.values()))

    def one_step(self) -> dict[str, Tensor]:
        """One optimizer step of every turn; returns the loss terms, still on their device.

        Raises:
            RuntimeError: the loss or a gradient is not finite. The parameters are then still those of before.
        """
        terms: dict[str, Tensor] = {}
        for turn, module in self.stage.turns.items():
            optimizer = self.optimizers[turn]
            optimizer.zero_grad(set_to_none=True)
            for part in range(self.recipe.accumulation):
                found = self.stage.loss(turn, self._generator(part))
                total = torch.stack(list(found.values())).sum() / self.recipe.accumulation
                if not torch.isfinite(total):  # an L1 of NaN has a finite gradient
                    raise RuntimeError(
                        f"The loss of step {self.step} is non-finite. Lower the learning rate."
                    )
                total.backward()
                terms |= {f"{turn}/{name}": value.detach() for name, value in found.items()}
            nn.utils.clip_grad_norm_(module.parameters(), self.recipe.max_grad_norm, error_if_nonfinite=True)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(self.recipe, self.step)
            optimizer.step()
        if self.average:
            self.average.update_parameters(next(iter(self.stage.turns.values())))
        self.step += 1
        return terms

    def _generator(self, part: int) -> torch.Generator:
        number = (self.recipe.seed * 1_000_003 + self.step) * 1_009 + part
        return torch.Generator().manual_seed(number)

    def train(self, *, budget_s: float = math.inf) -> None:
        """Trains to the last step or the end of the time budget; writes all that a run leaves behind."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "recipe.json").write_text(json.dumps(asdict(self.recipe), indent=1, default=dict))
        started = saved = time.monotonic()
        steps = range(self.step, self.recipe.steps)
        for _ in track(
            steps, total=self.recipe.steps, label=self.recipe.stage, unit="step", start=steps.start
        ):
            terms = self.one_step()
            now = time.monotonic()
            if self.step % self.recipe.log_every == 0:
                self._log(terms, now - started)
            if self.recipe.sample_every and self.step % self.recipe.sample_every == 0:
                self.stage.sheet(self.exported(), self.folder / f"sample-{self.step:07d}.png")
            if now - saved > self.recipe.save_every_s:
                self.save()
                saved = time.monotonic()
            if now - started > budget_s:
                break
        self.save()
        self.stage.export(self.exported(), self.folder / "export")

    def _log(self, terms: dict[str, Tensor], seconds: float) -> None:
        line = {
            "step": self.step,
            "seconds": round(seconds, 1),
            "learning_rate": learning_rate(self.recipe, self.step),
        }
        values = {name: round(float(value), 6) for name, value in terms.items()}
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(line | values) + "\n")
