"""Augmented decoding at released size against the plain algorithm: time, peak memory, difference.

    python benchmarks/decode.py 512 [1024]

Each variant runs in its own process, so that peak memory is its own. Ratios count: machines differ.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from diffusers.models.unets.unet_2d_blocks import UNetMidBlock2D, get_down_block, get_up_block
from torch import Tensor, nn

from pellucid.models.alpha_decoder import AlphaDecoder
from pellucid.models.augmentation import decode_augmented

VARIANTS = ("plain", "ours-8", "ours-4", "ours-2", "ours-1")
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


@torch.no_grad()
def child(variant: str, size: int, out: Path) -> None:
    """Runs one variant and saves its picture and figures."""
    model = scaled_weights(Stock() if variant == "plain" else AlphaDecoder())
    generator = torch.Generator().manual_seed(1)
    rgb = torch.rand(1, 3, size, size, generator=generator)
    latent = torch.randn(1, 4, size // 8, size // 8, generator=generator)
    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    if variant == "plain":
        found = plain(model, rgb, latent)
    else:
        found = decode_augmented(model, rgb, latent, passes=int(variant.split("-")[1]))
    spent = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    torch.save(
        (found, {"cpu_s": spent, "peak_mib": peak // 1024, "peak_over_idle_mib": (peak - idle) // 1024}), out
    )


def measure(size: int) -> dict[str, object]:
    """All variants at one size, each against the plain one."""
    rows: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for variant in VARIANTS:
            out = Path(folder) / f"{variant}.pt"
            subprocess.run([sys.executable, __file__, "child", variant, str(size), str(out)], check=True)
            picture, rows[variant] = torch.load(out)
            if variant == "plain":
                reference, base = picture, rows[variant]
            rows[variant] |= {
                "times_faster": round(base["cpu_s"] / rows[variant]["cpu_s"], 2),
                "memory_ratio": round(rows[variant]["peak_mib"] / base["peak_mib"], 3),
                "memory_over_idle_ratio": round(
                    rows[variant]["peak_over_idle_mib"] / max(base["peak_over_idle_mib"], 1), 3
                ),
                "largest_difference": (picture - reference).abs().max().item(),
                "mean_difference": (picture - reference).abs().mean().item(),
            }
            print(size, variant, rows[variant], flush=True)
    return {"pixels": size, "threads": torch.get_num_threads(), "torch": torch.__version__, "variants": rows}


if __name__ == "__main__":
    if sys.argv[1] == "child":
        child(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    else:
        old = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        old |= {f"{side}": measure(int(side)) for side in sys.argv[1:]}
        RESULTS.write_text(json.dumps(old, indent=2) + "\n")
