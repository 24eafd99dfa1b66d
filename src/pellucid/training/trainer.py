"""The one training loop.

Every random draw of step `n` comes from a generator seeded with (recipe seed, n, part): a resumed run needs
no stored random state and sees what the uninterrupted one would have seen, bit for bit on one CPU thread. Nor
does it matter how many processes share the parts of a step.
"""

import json
import math
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.swa_utils import AveragedModel

from pellucid.errors import ConfigError
from pellucid.files.atomic import write_atomically
from pellucid.progress import track
from pellucid.training import checkpoints, distributed
from pellucid.training.data.streaming import find_prefetcher
from pellucid.training.distributed import Loss, Processes
from pellucid.training.optimizers import build_optimizer
from pellucid.training.recipe import Recipe
from pellucid.training.rng import StepGenerator
from pellucid.training.run_log import RunLog, open_log
from pellucid.training.stages.protocol import Stage


def progress(recipe: Recipe, step: int, elapsed_s: float = 0.0) -> float:
    """Returns the share of a run that is done, 0 to 1: of its steps or, with `minutes`, of its time."""
    # whichever end comes first; a run on a rented machine is cut off by the clock
    timed = elapsed_s / (60 * recipe.minutes) if recipe.minutes else 0.0
    return min(1.0, max(step / recipe.steps, timed))


def learning_rate(recipe: Recipe, step: int, elapsed_s: float = 0.0) -> float:
    """Returns a step's rate: linear warm-up, then a cosine to `final_learning_rate` of the highest."""
    # step + 1, since a rate of 0 would waste the first step
    warm = min(1.0, (step + 1) / max(1, recipe.warmup_steps))
    fall = (1 + math.cos(math.pi * progress(recipe, step, elapsed_s))) / 2
    return (
        recipe.learning_rate * warm * (recipe.final_learning_rate + (1 - recipe.final_learning_rate) * fall)
    )


Tensors = tuple[Tensor, ...] | list[Tensor]
Average = Callable[[Tensors, Tensors, Tensor | int], None]


def warmed_average(decay: float, steps_done: Callable[[], int]) -> Average:
    """Makes an exponential average whose memory grows with the run; a fixed one keeps the untrained start."""

    @torch.no_grad()
    def update(averaged: Tensors, current: Tensors, _: Tensor | int) -> None:
        # The schedule of TensorFlow's ExponentialMovingAverage. A fixed decay of 0.995 still holds a quarter
        # of the untrained start after 280 steps (docs/log.md).
        kept = min(decay, (1 + steps_done()) / (10 + steps_done()))
        # all tensors in a few kernels, since networks have hundreds
        torch._foreach_lerp_(averaged, current, 1 - kept)  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]

    return update


class Trainer:
    """One training run in one folder: made new, or taken up where its checkpoint stopped.

    Args:
        recipe: what to do.
        stage: what is trained.
        folder: of the run; made if absent.
        processes: those that train it together. None is this one alone.
    """

    def __init__(
        self, recipe: Recipe, stage: Stage, folder: Path, processes: Processes | None = None
    ) -> None:
        self.recipe, self.stage, self.folder = recipe, stage, folder
        self.first = next(iter(stage.modules.values()))
        self.device = next(self.first.parameters()).device
        self.processes = processes or Processes(self.device)
        if recipe.half_frozen and self.processes.sharded:
            raise ConfigError("Expected half_frozen without FSDP, found both. Take one of them.")
        self.micro_batches = self.processes.micro_batches(recipe.accumulation)
        self.step, self.elapsed_s = 0, 0.0
        self.reader = find_prefetcher(stage)
        self._last_wait = (time.monotonic(), self.reader.waited_s if self.reader else 0.0)
        if self.reader:
            self.reader.parts = self.micro_batches
        # stays on the device: asking a GPU for it in every step would stall it
        self._finite = torch.ones((), dtype=torch.bool, device=self.device)
        if recipe.channels_last:
            for module in (*stage.modules.values(), *stage.compiled):
                module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - a stub's
        # made before `_prepare`, which puts shards in the place of their parameters
        self.optimizers = {
            module_name: build_optimizer(recipe, module, self.device, sharded=self.processes.sharded)
            for module_name, module in stage.modules.items()
        }
        update = warmed_average(recipe.ema_decay, lambda: self.step)
        self.average = AveragedModel(self.first, multi_avg_fn=update) if recipe.ema_decay else None
        self._prepare()
        if state := checkpoints.load(folder):
            checkpoints.check_recipe(folder, recipe, state)
            with checkpoints.fitting(folder):
                self._restore(state)
        # after the checkpoint is loaded: compiled modules have other names in their state
        if recipe.compile:
            for network in stage.compiled:
                network.compile()

    def _prepare(self) -> None:
        """Prepares modules and optimizers for all processes."""
        # a sharded module cannot be exported: its copy of before takes the whole weights
        self._plain = deepcopy(self.first) if self.processes.sharded and self.processes.main else None
        losses = {module_name: Loss(self.stage, module_name) for module_name in self.stage.modules}
        self.losses = self.processes.prepared(losses, self.optimizers)
        if self.average:
            distributed.shard_like(self.average.module, self.first)

    def _restore(self, state: checkpoints.State) -> None:
        for module_name, module in self.stage.modules.items():
            distributed.load_module(module, state["modules"][module_name])
            distributed.load_optimizer(self.optimizers[module_name], state["optimizers"][module_name])
        if self.average:
            distributed.load_module(self.average, state["average"])
        self.step, self.elapsed_s = int(state["step"]), float(state["elapsed_s"])

    def save(self) -> None:
        """Writes the checkpoint; everything that the next step depends on is in it.

        Raises:
            RuntimeError: the run is broken (see `one_step`); the last checkpoint stays.
        """
        # a broken state must not replace the last good checkpoint
        self._check_finite_everywhere()
        state: checkpoints.State = {
            "modules": {name: module.state_dict() for name, module in self.stage.modules.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "average": self.average.state_dict() if self.average else {},
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            "recipe": self.recipe.plain(),
        }
        # every process takes part in gathering, and one of them writes
        state = distributed.full_state_dict(state, keep=self.processes.main)
        if self.processes.main:
            checkpoints.save(state, self.folder)

    def exported(self) -> nn.Module:
        """Returns what is exported: the average where there is one; whole in the main process."""
        kept = self.average.module if self.average else self.first
        if not self.processes.sharded:
            return kept
        state = distributed.full_state_dict(kept.state_dict(), keep=self.processes.main)
        if self._plain is None:
            return kept
        self._plain.load_state_dict(state)
        return self._plain

    def one_step(self) -> dict[str, Tensor]:
        """Takes an optimizer step of every module; returns this process's loss terms, still on their device.

        Raises:
            RuntimeError: the loss or a gradient is not finite. On a CPU the parameters are then still those
                of before; a GPU, which asking would stall, is asked when something is logged or saved.
        """
        terms: dict[str, Tensor] = {}
        for module_name, module in self.stage.modules.items():
            optimizer = self.optimizers[module_name]
            # None instead of zeros, which saves writing and then adding them
            optimizer.zero_grad(set_to_none=True)
            for part in self.micro_batches:
                for name, value in self._backward(module_name, part).items():
                    # stays a tensor: `.item()` would wait for the GPU in every step
                    mean = value.detach() / len(self.micro_batches)
                    terms[f"{module_name}/{name}"] = terms.get(f"{module_name}/{name}", 0) + mean
            nn.utils.clip_grad_norm_(
                module.parameters(), self.recipe.max_grad_norm, error_if_nonfinite=self._on_cpu
            )
            # set here and not by a scheduler: the rate follows from the step, so nothing is stored for it
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(self.recipe, self.step, self.elapsed_s)
            optimizer.step()
        if self.average:
            self.average.update_parameters(self.first)
        # counted last: generators and learning rate above belong to the step that ends here
        self.step += 1
        return terms

    def _backward(self, module_name: str, part: int) -> dict[str, Tensor]:
        """Adds the gradients of one part, and returns its loss terms."""
        loss = self.losses[module_name]
        with self.processes.no_sync(loss, last=part == self.micro_batches[-1]):
            with self._precision():
                terms: dict[str, Tensor] = loss(StepGenerator(self.device, self.recipe.seed, self.step, part))
            total = torch.stack(list(terms.values())).sum() / len(self.micro_batches)
            self._finite &= torch.isfinite(total)  # an L1 of NaN has a finite gradient
            if self._on_cpu:
                self._check_finite()
            total.backward()
        return terms

    @contextmanager
    def _precision(self) -> Generator[None]:
        """Forward passes in the recipe's precision."""
        if not self.recipe.bfloat16_on(self.device):
            yield
            return
        with torch.autocast(self.device.type, torch.bfloat16):
            if not self._on_cpu:
                yield
                return
            with sdpa_kernel(
                SDPBackend.MATH
            ):  # fused attention in bfloat16 takes four times as long backwards
                yield

    @property
    def _on_cpu(self) -> bool:
        return self.device.type == "cpu"

    def _check_finite(self) -> None:
        if not self._finite:
            raise RuntimeError(
                f"The loss at or before step {self.step} is non-finite. Lower the learning rate."
            )

    def _check_finite_everywhere(self) -> None:
        self._finite = self.processes.all_of(self._finite)
        self._check_finite()

    def train(self, *, budget_s: float = math.inf) -> bool:
        """Trains to the last step or the end of the time budget; writes all that a run leaves behind.

        Returns:
            Whether the last step was reached. What was trained so far lies in the folder `export`.

        Raises:
            FileError: the disk is full or not writable; the last checkpoint is then still whole.
            RuntimeError: the run is broken (see `one_step`); the last checkpoint stays.
        """
        with checkpoints.kept(self.folder):
            with open_log(self.folder) if self.processes.main else nullcontext() as run_log:
                self._train(run_log, budget_s)
            exported = self.exported()
            if self.processes.main:
                with torch.compiler.set_stance("force_eager"):
                    self.stage.export(exported, self.folder / "export")
            self.processes.wait()
        return self.done

    def _train(self, run_log: RunLog | None, budget_s: float) -> None:
        if run_log:
            write_atomically(self.folder / "recipe.json", json.dumps(self.recipe.plain(), indent=1).encode())
        started = saved = last = self.processes.clock()
        steps = range(self.step, self.recipe.steps)
        for _ in track(
            steps, total=self.recipe.steps, label=self.recipe.stage, unit="step", start=steps.start
        ):
            if self.done or last - started > budget_s:
                break
            terms = self.one_step()
            if self.step % self.recipe.log_every == 0 or self.step == self.recipe.steps:
                self._log(run_log, terms)
            if self.recipe.sample_every and self.step % self.recipe.sample_every == 0:
                self._evaluate(run_log)
            now = self.processes.clock()
            # of all runs together, since the learning rate may fall by the clock
            self.elapsed_s += now - last
            last = now
            if now - saved > self.recipe.save_every_s:
                self.save()
                saved = now
        # the export comes from the weights that a later run would take up
        self.save()

    @property
    def done(self) -> bool:
        """Returns whether the last step, or the end of the time that the recipe gives, was reached."""
        return progress(self.recipe, self.step, self.elapsed_s) >= 1

    def _log(self, run_log: RunLog | None, terms: dict[str, Tensor]) -> None:
        self._check_finite_everywhere()
        values = {name: round(value, 6) for name, value in self.processes.mean(terms).items()}
        about = {
            "seconds": round(self.elapsed_s, 1),
            "learning_rate": learning_rate(self.recipe, self.step, self.elapsed_s),
            **self._data_wait(),
        }
        if run_log:
            run_log.write(self.step, about | values)

    def _data_wait(self) -> dict[str, float]:
        """Returns the share of time since the last line in which steps waited for images, 0 to 1."""
        if not self.reader:
            return {}
        (now, waited), (before, had_waited) = (time.monotonic(), self.reader.waited_s), self._last_wait
        self._last_wait = (now, waited)
        return {"data_wait": round((waited - had_waited) / (now - before), 4)}

    @torch.no_grad()
    @torch.compiler.set_stance("force_eager")  # other batch sizes are not worth compiling for
    def _evaluate(self, run_log: RunLog | None) -> None:
        # before the return, since gathering shards needs every process
        exported = self.exported()
        if not run_log:
            return
        grid = self.folder / f"sample-{self.step:07d}.png"
        self.stage.sample_grid(exported, grid)
        run_log.show(self.step, grid)
        if self.recipe.score_count:
            run_log.write(self.step, self.stage.validation_metrics(exported))
