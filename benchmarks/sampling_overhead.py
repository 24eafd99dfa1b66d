"""What an attached pipeline adds to sampling: `generate` without decoding over the stock pipeline's own call.

    python benchmarks/sampling_overhead.py --runs 10

Both sample the embedded model with the same prompt, seed, steps, guidance and scheduler in one process, one
right after the other and in alternating order; a figure is the median of the ratios of such pairs. "Ours" is
all of `TransparentPipeline.generate`, its decoder replaced by one that returns an empty picture at once:
checks, seeds, the scheduler that is made for each call, the stock call, and the scene. "Plain" is the stock
pipeline as it is loaded, without adapter, given the same scheduler beforehand, with output_type "latent".
The control is plain over plain. Attention sharing replaces every attention by a unit that computes more; one
UNet call of Stable Diffusion 1.5's size (random weights, 512 px, guidance) shows what that is at real sizes,
in --full-size-runs pairs. Writes benchmarks/results/sampling-overhead.json.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel

import pellucid
from pellucid.models.attention_sharing import AttentionSharing
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.pipelines.schedulers import scheduler_for_call

RESULTS = Path(__file__).parent / "results" / "sampling-overhead.json"
PROMPT = "a glass bottle of honey"
RANKS = (64, 256)
"""Of the attention-sharing units; 256 is the released one, 64 suits the embedded model's lesser widths."""
Sampler = Callable[[int], torch.Tensor]


def plain_sampler(pipe: TransparentPipeline) -> Sampler:
    """The stock pipeline's own call, by seed."""
    sampling, stock = pipe.model.single.sampling, pipe.pipeline

    def sample(seed: int) -> torch.Tensor:
        return stock(
            [PROMPT],
            negative_prompt=[""],
            height=pipe.native_size[0],
            width=pipe.native_size[1],
            num_inference_steps=sampling.num_inference_steps,
            guidance_scale=sampling.guidance_scale,
            generator=[torch.Generator("cpu").manual_seed(seed)],
            output_type="latent",
        ).images

    return sample


def our_sampler(pipe: TransparentPipeline) -> Sampler:
    """`generate` whose decoder costs nothing and keeps the latent, by seed."""
    kept: list[torch.Tensor] = []
    empty = torch.zeros(1, 4, *pipe.native_size)

    def decode(latents: torch.Tensor, *, passes: int) -> torch.Tensor:
        del passes
        kept[:] = [latents]
        return empty

    def sample(seed: int) -> torch.Tensor:
        pipe.autoencoder.decode = decode
        try:
            pipe.generate(PROMPT, seed=seed)
        finally:
            del pipe.autoencoder.decode
        return kept[0]

    return sample


def timed(sample: Sampler, seed: int) -> tuple[float, float]:
    """Wall and CPU seconds of one picture's latent."""
    wall, cpu = time.perf_counter(), time.process_time()
    sample(seed)
    return time.perf_counter() - wall, time.process_time() - cpu


def compared(ours: Sampler, plain: Sampler, runs: int) -> dict[str, object]:
    """Medians over pairs; the first pair, which fills caches, is not counted."""
    pairs: list[tuple[tuple[float, float], tuple[float, float]]] = []
    for seed in range(runs + 1):
        if seed % 2:
            second, first = timed(plain, seed), timed(ours, seed)
        else:
            first, second = timed(ours, seed), timed(plain, seed)
        pairs.append((first, second))
    wall, cpu = ([ours[i] / plain[i] for ours, plain in pairs[1:]] for i in (0, 1))
    return {
        "ratio_wall_median": round(statistics.median(wall), 4),
        "ratio_cpu_median": round(statistics.median(cpu), 4),
        "ratios_wall": [round(ratio, 3) for ratio in sorted(wall)],
        "ratios_cpu": [round(ratio, 3) for ratio in sorted(cpu)],
        "plain_wall_s_median": round(statistics.median(plain[0] for _, plain in pairs[1:]), 3),
        "ours_wall_s_median": round(statistics.median(ours[0] for ours, _ in pairs[1:]), 3),
    }


def difference(ours: Sampler, plain: Sampler) -> float:
    """Largest difference of two latents of one seed."""
    return float((ours(3) - plain(3)).abs().max())


def shared(pipe: TransparentPipeline, plain: Sampler, rank: int, runs: int) -> dict[str, object]:
    """Untrained attention-sharing units of one frame, which change nothing but the time."""
    unet = pipe.pipeline.unet
    units = AttentionSharing.for_unet(unet, frames=1, rank=rank).eval()
    previous = units.attach(unet)
    ours = our_sampler(pipe)
    try:
        return {**compared(ours, plain, runs), "largest_difference_from_plain": difference(ours, plain)}
    finally:
        units.detach(unet, previous)


@torch.no_grad()
def full_size(runs: int) -> dict[str, object]:
    """One UNet call as Stable Diffusion 1.5's at 512 px with guidance, with and without units of rank 256."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(cross_attention_dim=768, attention_head_dim=8).eval()
    units = AttentionSharing.for_unet(unet, frames=1, rank=256).eval()
    x, text = torch.randn(2, 4, 64, 64), torch.randn(2, 77, 768)

    def plain(seed: int) -> torch.Tensor:
        return unet(x, 500 + seed, text).sample

    def ours(seed: int) -> torch.Tensor:
        previous = units.attach(unet)
        try:
            return plain(seed)
        finally:
            units.detach(unet, previous)

    return compared(ours, plain, runs)


def measured(runs: int) -> dict[str, object]:
    """All figures, each kind against the same stock pipeline."""
    merged, bare, base = pellucid.load(), pellucid.load(), pellucid.load()
    base.detach()
    mode = replace(bare.model.single, adapter=None)
    bare = TransparentPipeline(bare.detach(), bare.autoencoder, tasks={"foreground": (mode,)})
    stock = base.pipeline
    stock.scheduler = scheduler_for_call(stock.scheduler, base.model.single.sampling.scheduler)
    plain = plain_sampler(base)
    found: dict[str, object] = {
        "control, plain over plain": compared(plain, plain, runs),
        "no adapter": {
            **compared(our_sampler(bare), plain, runs),
            "largest_difference_from_plain": difference(our_sampler(bare), plain),
        },
        "merged adapter": compared(our_sampler(merged), plain, runs),
    }
    for rank in RANKS:
        found[f"attention sharing, 1 layer, rank {rank}"] = shared(bare, plain, rank, runs)
    return found


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--full-size-runs", type=int, default=3)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    before = os.getloadavg()[0]
    figures = measured(options.runs)
    figures["attention sharing, 1 frame, rank 256, one call of a full-size UNet"] = full_size(
        options.full_size_runs
    )
    results = {
        "command": f"python benchmarks/sampling_overhead.py --runs {options.runs}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "threads": torch.get_num_threads(),
        "load_before_and_after": [round(before, 2), round(os.getloadavg()[0], 2)],
        "versions": {name: version(name) for name in ("torch", "diffusers", "transformers")},
        "model": "mini, 128 px, 12 steps, guidance 2.5, dpm++-2m",
        "note": "ratios are ours over plain; ours is generate without decoding, plain the stock call",
        **figures,
    }
    options.output.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
