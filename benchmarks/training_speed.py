"""Training throughput: ours on cached latents, over a plain loop that encodes pictures and texts each step.

    python benchmarks/training_speed.py --pairs 10

Both train all of the embedded model's UNet on the same pictures over grey, with the same batch size, AdamW,
clipping and averaged weights, in one process and one thread, one right after the other and in alternating
order; the figure is the median over such pairs. "Ours" is stage `base` as `pellucid train` runs it. "Plain"
is written in the manner of diffusers' text-to-image example: a data loader of PNG files, the VAE and the
text encoder in every step, `DDPMScheduler.add_noise`, `EMAModel`. Ours encodes everything once before:
`cache_s` (three backgrounds), and from how many steps on that is paid back. `data_wait` is the share of the
time in which the UNet waits for its batch to be read (by the plain loop's data loader), `encoding` that in
which VAE and text encoder work. Writes benchmarks/results/training-speed.json.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from diffusers.training_utils import EMAModel
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from transformers import AutoTokenizer, BertModel

from pellucid.data.datasets import shards_of
from pellucid.data.shards import read_shard, write_shard
from pellucid.models.mini_vae import MiniVAE
from pellucid.rgba.resizing import resize_sample
from pellucid.training.recipe import Recipe
from pellucid.training.stages.registry import make_stage
from pellucid.training.trainer import Trainer

RESULTS = Path(__file__).parent / "results" / "training-speed.json"
MINI = Path(__file__).parents[1] / "src" / "pellucid" / "mini"
SIZE_PX = 128
RATE = 1e-5


class Files(Dataset[dict[str, Tensor]]):
    """PNG files and tokens of their captions."""

    def __init__(self, paths: list[Path], captions: list[str]) -> None:
        self.paths = paths
        tokenizer = AutoTokenizer.from_pretrained(MINI / "tokenizer")
        self.tokens = tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt")

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        picture = Image.open(self.paths[index]).convert("RGB")
        picture = picture.resize((SIZE_PX, SIZE_PX), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1).float() / 127.5 - 1
        if torch.rand(()) < 0.5:
            pixels = pixels.flip(-1)
        return {
            "pixels": pixels,
            "ids": self.tokens.input_ids[index],
            "mask": self.tokens.attention_mask[index],
        }


class Plain:
    """The plain loop."""

    def __init__(self, data: Files, batch_size: int) -> None:
        self.loader = DataLoader(data, batch_size, shuffle=True, drop_last=True)
        self.vae = MiniVAE.from_pretrained(MINI / "vae", torch_dtype=torch.float32).requires_grad_(False)
        self.encoder = BertModel.from_pretrained(MINI / "text_encoder", torch_dtype=torch.float32).eval()
        self.encoder.requires_grad_(False)
        self.unet = UNet2DConditionModel.from_pretrained(MINI / "unet", torch_dtype=torch.float32).train()
        self.scheduler = DDPMScheduler.from_pretrained(MINI / "scheduler")
        self.optimizer = torch.optim.AdamW(self.unet.parameters(), lr=RATE)
        self.rates = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda step: min(1.0, step / 100))
        self.average = EMAModel(self.unet.parameters())
        self.batches = self._batches()
        self.waited_s = self.encoded_s = 0.0

    def _batches(self) -> Iterator[dict[str, Tensor]]:
        while True:
            yield from self.loader

    def step(self) -> None:
        """One optimizer step."""
        started = time.perf_counter()
        batch = next(self.batches)
        loaded = time.perf_counter()
        with torch.no_grad():
            latents = (
                self.vae.encode(batch["pixels"]).latent_dist.sample() * self.vae.config["scaling_factor"]
            )
            texts = self.encoder(batch["ids"], attention_mask=batch["mask"])[0]
        self.waited_s += loaded - started
        self.encoded_s += time.perf_counter() - loaded
        noise = torch.randn_like(latents)
        steps = torch.randint(0, self.scheduler.config["num_train_timesteps"], (len(latents),))
        noisy = self.scheduler.add_noise(latents, noise, steps)
        target = self.scheduler.get_velocity(latents, noise, steps)
        found = self.unet(noisy, steps, texts, return_dict=False)[0]
        torch.nn.functional.mse_loss(found, target).backward()
        torch.nn.utils.clip_grad_norm_(self.unet.parameters(), 1.0)
        self.optimizer.step()
        self.rates.step()
        self.optimizer.zero_grad()
        self.average.step(self.unet.parameters())


class Ours:
    """Stage `base` in our loop, its latents cached when it is made."""

    def __init__(self, shard: Path, folder: Path, batch_size: int) -> None:
        recipe = Recipe(
            stage="base", data=(str(shard),), init=str(MINI), size_px=SIZE_PX, steps=10**6,
            batch_size=batch_size, learning_rate=RATE, model={"opaque_share": 0.0},
        )  # fmt: skip
        started = time.perf_counter()
        stage = make_stage(recipe, torch.device("cpu"))
        self.cache_s = time.perf_counter() - started
        self.waited_s = 0.0
        draw = stage.batch  # type: ignore[attr-defined]

        def batch(generator: torch.Generator) -> object:
            before = time.perf_counter()
            found = draw(generator)
            self.waited_s += time.perf_counter() - before
            return found

        stage.batch = batch  # type: ignore[attr-defined]
        self.run = Trainer(recipe, stage, folder)

    def step(self) -> None:
        """One optimizer step."""
        self.run.one_step()


def timed(step: Callable[[], None], steps: int) -> tuple[float, float]:
    """Wall and CPU seconds of some steps."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(steps):
        step()
    return time.perf_counter() - wall, time.process_time() - cpu


def prepared(folder: Path, count: int) -> tuple[Path, Files]:
    """The same pictures as a shard and as PNG files over grey."""
    samples = [(record, rgba) for name in shards_of("fluent-3d") for record, rgba in read_shard(name)]
    samples = [sample for sample in samples if sample[0].group in ("animals", "food", "objects")][:count]
    shard = folder / "pictures.tar"
    write_shard(((record, resize_sample(rgba, SIZE_PX, SIZE_PX)) for record, rgba in samples), shard)
    paths: list[Path] = []
    for record, rgba in read_shard(shard):
        grey = Image.new("RGBA", (SIZE_PX, SIZE_PX), (128, 128, 128, 255))
        paths.append(folder / f"{record.name}.png")
        Image.alpha_composite(grey, Image.fromarray(rgba)).convert("RGB").save(paths[-1])
    return shard, Files(paths, [record.label for record, _ in samples])


def measured(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """All figures."""
    shard, data = prepared(folder, options.pictures)
    ours, plain = Ours(shard, folder / "run", options.batch_size), Plain(data, options.batch_size)
    for each in (ours, plain):
        timed(each.step, 1)  # fills caches
        each.waited_s = 0.0
    plain.encoded_s = 0.0
    pairs: list[tuple[tuple[float, float], tuple[float, float]]] = []
    for number in range(options.pairs):
        if number % 2:
            second, first = timed(plain.step, options.steps), timed(ours.step, options.steps)
        else:
            first, second = timed(ours.step, options.steps), timed(plain.step, options.steps)
        pairs.append((first, second))
    samples = options.steps * options.batch_size
    wall = [sum(pair[i][0] for pair in pairs) for i in (0, 1)]
    rates = [statistics.median(samples / pair[i][0] for pair in pairs) for i in (0, 1)]
    saved_s = statistics.median((pair[1][0] - pair[0][0]) / options.steps for pair in pairs)
    ratios = [[pair[1][i] / pair[0][i] for pair in pairs] for i in (0, 1)]
    return {
        "ratio_of_throughputs_wall_median": round(statistics.median(ratios[0]), 3),
        "ratio_of_throughputs_cpu_median": round(statistics.median(ratios[1]), 3),
        "ratios_wall": [round(ratio, 3) for ratio in sorted(ratios[0])],
        "ratios_cpu": [round(ratio, 3) for ratio in sorted(ratios[1])],
        "ours": {
            "samples_a_second": round(rates[0], 2),
            "data_wait": round(ours.waited_s / wall[0], 4),
            "cache_s": round(ours.cache_s, 1),
            "steps_that_pay_the_cache": round(ours.cache_s / saved_s) if saved_s > 0 else None,
        },
        "plain": {
            "samples_a_second": round(rates[1], 2),
            "data_wait": round(plain.waited_s / wall[1], 4),
            "encoding": round(plain.encoded_s / wall[1], 4),
        },
    }


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--steps", type=int, default=4, help="of each in a pair")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        figures = measured(Path(folder), options)
    results = {
        "command": f"python benchmarks/training_speed.py --pairs {options.pairs} --steps {options.steps} "
        f"--batch-size {options.batch_size} --pictures {options.pictures}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "threads": torch.get_num_threads(),
        "load_before_and_after": [round(before, 2), round(os.getloadavg()[0], 2)],
        "versions": {name: version(name) for name in ("torch", "diffusers", "transformers")},
        "model": "mini's UNet, all parameters, 128 px, latents 8x16x16, one data loader process",
        **figures,
    }
    options.output.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
