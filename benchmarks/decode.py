"""Augmented decoding at released size against the plain algorithm: time, peak memory, difference.

    python benchmarks/decode.py [512 1024]

Writes benchmarks/results/decode.json. Eight passes run once in a process of their own each, so that peak
memory is their own, plain and ours in turns; the time of a pass is the median over all. Ratios count.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from diffusers.models.unets.unet_2d_blocks import UNetMidBlock2D, get_down_block, get_up_block
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pellucid.models.alpha_decoder import AlphaDecoder
from pellucid.models.test_time_augmentation import decode_augmented

UNITS = ("cpu_s", "wall_s")
RESULTS = Path(__file__).parent / "results" / "decode.json"
WIDTHS = (32, 32, 64, 128, 256, 512, 512)


class Stock(nn.Module):
    """The released network from stock diffusers blocks."""

    def __init__(self) -> None:
        super().__init__()
        common = {"temb_channels": None, "resnet_eps": 1e-5, "resnet_act_fn": "silu", "resnet_groups": 4}
        common["attention_head_dim"] = 8
        self.conv_in = nn.Conv2d(3, 32, 3, padding=1)
        self.latent_conv_in = nn.Conv2d(4, 64, 1)
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        inner = WIDTHS[0]
        for i, outer in enumerate(WIDTHS):
            kind = "AttnDownBlock2D" if i > 3 else "DownBlock2D"
            last = i == len(WIDTHS) - 1
            block = get_down_block(
                kind, num_layers=2, in_channels=inner, out_channels=outer, add_downsample=not last,
                downsample_padding=1, **common,
            )  # fmt: skip
            self.down_blocks.append(block)
            inner = outer
        self.mid_block = UNetMidBlock2D(
            512, temb_channels=None, resnet_eps=1e-5, resnet_groups=4, attention_head_dim=8, attn_groups=4
        )
        back = WIDTHS[::-1]
        for i, outer in enumerate(back):
            kind = "AttnUpBlock2D" if i < 3 else "UpBlock2D"
            last = i == len(back) - 1
            block = get_up_block(
                kind, num_layers=3, in_channels=back[min(i + 1, 6)], out_channels=outer,
                prev_output_channel=back[max(i - 1, 0)], add_upsample=not last, **common,
            )  # fmt: skip
            self.up_blocks.append(block)
        self.conv_norm_out = nn.GroupNorm(4, 32, 1e-5)
        self.conv_out = nn.Conv2d(32, 4, 3, padding=1)

    def forward(self, rgb: Tensor, latent: Tensor) -> Tensor:
        x = self.conv_in(rgb)
        skips = (x,)
        for i, block in enumerate(self.down_blocks):
            if i == 3:
                x = x + self.latent_conv_in(latent)
            x, new = block(x)
            skips += new
        x = self.mid_block(x)
        for block in self.up_blocks:
            n = len(block.resnets)
            x, skips = block(x, skips[-n:]), skips[:-n]
        return self.conv_out(nn.functional.silu(self.conv_norm_out(x)))


def plain(model: nn.Module, rgb: Tensor, latent: Tensor) -> Tensor:
    """SPEC b.3: eight passes one by one, stacked, torch.median."""
    found = []
    for flip in (False, True):
        for turns in range(4):
            pair = [torch.rot90(x.flip(3) if flip else x, turns, (2, 3)) for x in (rgb, latent)]
            y = torch.rot90(model(*pair).clip(0, 1), -turns, (2, 3))
            found.append(y.flip(3) if flip else y)
    return torch.roll(torch.stack(found).median(dim=0).values, -1, 1)


def scaled_weights(model: nn.Module) -> nn.Module:
    """The same weights in both networks, outputs within [0, 1]."""
    torch.manual_seed(0)
    for name, value in sorted(model.named_parameters()):  # in place, so that making them is not the peak
        if value.ndim > 1:
            value.detach().normal_(0, (0.3 if name == "conv_out.weight" else 1.0) / value[0].numel() ** 0.5)
        else:
            value.detach().fill_(0.5 if name == "conv_out.bias" else float(name.endswith("weight")))
    return model.eval()


def inputs(size: int) -> tuple[Tensor, Tensor]:
    """The same picture and latent in every process."""
    generator = torch.Generator().manual_seed(1)
    rgb = torch.rand(1, 3, size, size, generator=generator)
    return rgb, torch.randn(1, 4, size // 8, size // 8, generator=generator)


class Timed:
    """A network that keeps the seconds of every pass."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.cpu_s, self.wall_s = model, list[float](), list[float]()

    def __call__(self, rgb: Tensor, latent: Tensor) -> Tensor:
        cpu, wall = time.process_time(), time.perf_counter()
        found = self.model(rgb, latent)
        self.cpu_s.append(time.process_time() - cpu)
        self.wall_s.append(time.perf_counter() - wall)
        return found


@torch.no_grad()
def child(what: str, size: int, out: Path) -> None:
    """Runs "plain" or "ours", eight passes, or "fewer", ours with 1, 2 and 4, in this process."""
    model = Timed(scaled_weights(Stock() if what == "plain" else AlphaDecoder()))
    rgb, latent = inputs(size)
    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if what == "plain":
        pictures = {8: plain(model, rgb, latent)}
    else:
        numbers = (8,) if what == "ours" else (1, 2, 4)
        pictures = {n: decode_augmented(model, rgb, latent, passes=n) for n in numbers}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = {"cpu_s": model.cpu_s, "wall_s": model.wall_s, "pictures": pictures}
    torch.save(found | {"peak_mib": peak // 1024, "peak_over_idle_mib": (peak - idle) // 1024}, out)


@torch.no_grad()
def floor(size: int) -> dict[str, float]:
    """Operations of one pass, and the time they would take at the rate of a large matmul."""
    with FlopCounterMode(display=False) as counter:
        Stock()(*inputs(size))
    square, times = torch.randn(2048, 2048), list[float]()
    for _ in range(9):
        begun = time.process_time()
        square @ square
        times.append(time.process_time() - begun)
    operations, rate = counter.get_total_flops(), 2 * 2048**3 / statistics.median(times)
    return {
        "convolutions_and_matmuls_gflop": round(operations / 1e9, 1),
        "large_matmul_gflop_per_cpu_s": round(rate / 1e9, 1),
        "cpu_s": round(operations / rate, 2),
    }


def measure(size: int) -> dict[str, object]:
    """Processes in turns; single passes are compared by their medians."""
    load, runs = os.getloadavg()[0], dict[str, Any]()
    times: dict[str, list[float]] = {f"{who}_{unit}": [] for who in ("plain", "ours") for unit in UNITS}
    with tempfile.TemporaryDirectory() as folder:
        for what in ("plain", "ours", "plain", "fewer") if size < 1024 else ("plain", "ours", "fewer"):
            out = Path(folder) / f"{what}.pt"
            subprocess.run([sys.executable, __file__, "child", what, str(size), str(out)], check=True)
            runs[what] = torch.load(out)
            for unit in UNITS:
                times[f"{'plain' if what == 'plain' else 'ours'}_{unit}"] += runs[what][unit]
            print(size, what, [round(second, 2) for second in runs[what]["cpu_s"]], flush=True)
    medians = {name: statistics.median(values) for name, values in times.items()}
    plainly, ours = runs["plain"], runs["ours"]
    return {
        "threads": torch.get_num_threads(),
        "load_before_and_after": [round(load, 2), round(os.getloadavg()[0], 2)],
        "one_pass": {f"{name}_median": round(value, 2) for name, value in medians.items()},
        "times_faster": {
            unit: round(medians[f"plain_{unit}"] / medians[f"ours_{unit}"], 2) for unit in UNITS
        },
        "floor_of_one_pass": floor(size),
        "eight_passes_peak_over_idle_mib": {
            "plain": plainly["peak_over_idle_mib"],
            "ours": ours["peak_over_idle_mib"],
            "ratio": round(ours["peak_over_idle_mib"] / plainly["peak_over_idle_mib"], 3),
        },
        "difference_from_plain": difference(ours["pictures"][8], plainly["pictures"][8]),
        "fewer_passes_against_eight": {
            passes: difference(picture, ours["pictures"][8])
            for passes, picture in runs["fewer"]["pictures"].items()
        },
    }


def difference(found: Tensor, wanted: Tensor) -> dict[str, float]:
    """Mean and largest."""
    off = (found - wanted).abs()
    return {"mean": float(f"{off.mean():.3g}"), "largest": float(f"{off.max():.3g}")}


def main() -> None:
    """Writes after each size."""
    report: dict[str, object] = {
        "command": "python " + " ".join(["benchmarks/decode.py", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "torch": torch.__version__,
        "note": "random weights of the released size, a random picture and latent",
    }
    for size in map(int, sys.argv[1:] or ("512", "1024")):
        report[str(size)] = measure(size)
        RESULTS.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
