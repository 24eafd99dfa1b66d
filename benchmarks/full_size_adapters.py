"""Proves on full-size UNets that every tensor of the released adapters lands, and comes off bit for bit.

    python benchmarks/full_size_adapters.py KEYS_FOLDER

Files of the listed names and shapes are made in half precision in a temporary folder, one at a time, each
in a process of its own, so that peak memory is its own. Writes benchmarks/results/full_size_adapters.json.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file

from pellucid.weights.adapters import apply_adapter, remove_adapter

RESULTS = Path(__file__).parent / "results" / "full_size_adapters.json"
SD15 = {"cross_attention_dim": 768, "attention_head_dim": 8}
SDXL = {
    "block_out_channels": (320, 640, 1280), "cross_attention_dim": 2048, "attention_head_dim": (5, 10, 20),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), "sample_size": 128,
    "transformer_layers_per_block": (1, 2, 10), "use_linear_projection": True,
    "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip
FILES = {
    "sdxl": (
        "layer_xl_transparent_attn", "layer_xl_transparent_conv", "layer_xl_fg2ble", "layer_xl_bg2ble",
        "layer_xl_fgble2bg", "layer_xl_bgble2fg", "ld_diffusers_sdxl_attn",
        "diffuser_layer_xl_transparent_conv",
        "diffuser_layer_xl_fg2ble", "diffuser_layer_xl_bg2ble", "diffuser_layer_xl_fgble2bg",
        "diffuser_layer_xl_bgble2fg",
    ),
    "sd15": ("layer_sd15_transparent_attn", "layer_sd15_joint", "layer_sd15_fg2bg", "layer_sd15_bg2fg"),
}  # fmt: skip


def unet_of(config: dict[str, object]) -> UNet2DConditionModel:
    """Full size, half precision, every tensor a small constant of its own."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(**config).half()
    unet = unet.to_empty(device="cpu").requires_grad_(False)
    for i, value in enumerate(unet.parameters()):
        value.fill_((i % 97 + 1) / 1000)
    return unet


def write(folder: Path, keys: Path, name: str) -> tuple[Path, int]:
    """A checkpoint of the listed names and shapes."""
    tensors: dict[str, torch.Tensor] = {}
    for line in (keys / f"{name}.tsv").read_text().splitlines():
        if not line.startswith("#"):
            key, shape, _ = line.split("\t")
            tensors[key] = torch.full(tuple(map(int, shape.split("x"))), 0.01, dtype=torch.float16)
    path = folder / f"{name}.safetensors"
    save_file(tensors, path)
    return path, len(tensors)


def prints(unet: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    """A fingerprint of every tensor's bits."""
    return {
        name: (*value.shape, int(value.view(torch.int16).sum(dtype=torch.int64)))
        for name, value in unet.named_parameters()
    }


def check(unet: UNet2DConditionModel, keys: Path, name: str) -> dict[str, object]:
    """Applies and removes one file."""
    before = prints(unet)
    with tempfile.TemporaryDirectory() as folder:
        path, count = write(Path(folder), keys, name)
        start = time.process_time()
        report = apply_adapter(unet, path)
        spent, size = time.process_time() - start, path.stat().st_size
    changed = sum(a != b for a, b in zip(before.values(), prints(unet).values(), strict=True))
    inputs = unet.conv_in.weight.shape[1]
    remove_adapter(unet)
    return {
        "tensors": count, "bytes": size, "targets": len(report.changed), "values_changed": changed,
        "unmatched": len(report.unmatched), "conv_in_inputs": inputs,
        "bit_equal_after": prints(unet) == before,
        "apply_cpu_s": round(spent, 1),
    }  # fmt: skip


def child(base: str, keys: Path, name: str) -> None:
    """Checks one file in this process and prints its row as JSON."""
    row = check(unet_of({"sd15": SD15, "sdxl": SDXL}[base]), keys, name)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"base": base, **row, "peak_gib": round(peak, 2)}))


def main() -> None:
    """Checks every file; stops at one whose key list is not in the folder."""
    keys, rows = Path(sys.argv[1]), dict[str, dict[str, object]]()
    report = {
        "command": "python benchmarks/full_size_adapters.py KEYS_FOLDER",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "torch": torch.__version__,
        "note": "values_changed is 0 for attention sharing, which attaches units instead of changing weights",
    }
    wanted = [(base, name) for base, names in FILES.items() for name in names]
    for base, name in reversed(wanted):  # the small ones first
        command = [sys.executable, __file__, "child", base, str(keys), name]
        found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows[name] = json.loads(found.stdout.splitlines()[-1])
        whole = {"complete": len(rows) == len(wanted), "load_1min": round(os.getloadavg()[0], 2)}
        peak = max(float(str(row["peak_gib"])) for row in rows.values())
        text = json.dumps(report | whole | {"peak_gib": peak, "files": rows}, indent=2)
        RESULTS.write_text(text + "\n")  # at once: a run takes minutes
        print(name, rows[name], flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "child":
        child(sys.argv[2], Path(sys.argv[3]), sys.argv[4])
    else:
        main()
