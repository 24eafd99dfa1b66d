"""Runs the layer modes at full size on this machine, with generated weights: seconds and peak memory.

    python benchmarks/full_size_layers.py KEYS_FOLDER

Stable Diffusion 1.5 and XL UNets and VAEs, adapters of the listed names and shapes, 512 px, two steps, with
guidance; each in a process of its own. Text encoders have two layers, as nothing depends on them here. Three
single pictures in one process stand beside the joint scene of three frames. Writes
benchmarks/results/full_size_layers.json.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from full_size_adapters import SD15, SDXL
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, PreTrainedTokenizerFast

import pellucid
from pellucid.models.alpha_decoder import AlphaDecoder
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.models.offset_encoder import OffsetEncoder
from pellucid.pipelines.modes import MODES

RESULTS = Path(__file__).parent / "results" / "full_size_layers.json"
SIDE_PX, STEPS = 512, 2
RUNS = {
    # name: (base, adapter file, mode)
    "sd15 single, three times": ("sd15", "layer_sd15_transparent_attn", "sd15-attn"),
    "sd15 joint": ("sd15", "layer_sd15_joint", "sd15-joint"),
    "sd15 foreground to background": ("sd15", "layer_sd15_fg2bg", "sd15-fg2bg"),
    "sdxl background and composite to foreground": ("sdxl", "layer_xl_bgble2fg", "sdxl-bgble2fg"),
}
VAE = {
    "block_out_channels": (128, 256, 512, 512), "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4, "layers_per_block": 2,
}  # fmt: skip


def generated(build: object) -> torch.nn.Module:
    """The module, float32, with small seeded weights."""
    with torch.device("meta"):
        module = build()
    module = module.to_empty(device="cpu").eval().requires_grad_(False)
    torch.manual_seed(0)
    for name, value in module.named_parameters():
        if value.ndim > 1:
            value.normal_(0, 0.5 * value[0].numel() ** -0.5)
        else:
            value.fill_(1.0 if name.endswith("weight") else 0.0)
    return module


def adapter(folder: Path, keys: Path, name: str) -> Path:
    """A checkpoint of the listed names and shapes, half precision."""
    torch.manual_seed(1)
    tensors: dict[str, torch.Tensor] = {}
    for line in (keys / f"{name}.tsv").read_text().splitlines():
        if not line.startswith("#"):
            key, shape, _ = line.split("\t")
            tensors[key] = (torch.randn(tuple(map(int, shape.split("x")))) * 0.01).half()
    save_file(tensors, folder / f"{name}.safetensors")
    return folder / f"{name}.safetensors"


def text(cls: type, width: int) -> CLIPTextModel:
    """A text encoder of the true width and two layers."""
    config = CLIPTextConfig(hidden_size=width, intermediate_size=width, num_hidden_layers=2,
                            num_attention_heads=width // 64, projection_dim=width, vocab_size=512,
                            bos_token_id=1, eos_token_id=2)  # fmt: skip
    return cls(config).eval()


def tokenizer() -> PreTrainedTokenizerFast:
    """Splits at blanks; knows nothing."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "[END]": 2}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", model_max_length=77
    )


def stock(base: str) -> StableDiffusionPipeline | StableDiffusionXLPipeline:
    """A stock pipeline with UNet and VAE of full size."""
    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, steps_offset=1
    )
    vae = generated(lambda: AutoencoderKL(**VAE, sample_size=SIDE_PX))
    unet = generated(lambda: UNet2DConditionModel(**(SD15 | {"sample_size": 64} if base == "sd15" else SDXL)))
    common = {"vae": vae, "unet": unet, "scheduler": scheduler, "tokenizer": tokenizer()}
    if base == "sd15":
        return StableDiffusionPipeline(
            **common, text_encoder=text(CLIPTextModel, 768), safety_checker=None, feature_extractor=None,
            requires_safety_checker=False,
        )  # fmt: skip
    return StableDiffusionXLPipeline(
        **common, text_encoder=text(CLIPTextModel, 768), tokenizer_2=tokenizer(),
        text_encoder_2=text(CLIPTextModelWithProjection, 1280), add_watermarker=False,
    )  # fmt: skip


def child(name: str, keys: Path) -> None:
    """Runs one mode and prints its row as JSON."""
    base, file, mode = RUNS[name]
    pipeline = stock(base)
    codec = RGBAAutoencoder(
        pipeline.vae, generated(OffsetEncoder), generated(AlphaDecoder), convention="forge"
    )
    picture = np.random.default_rng(0).integers(0, 256, (SIDE_PX, SIDE_PX, 4), np.uint8)
    options = {"num_inference_steps": STEPS, "passes": 1, "height": SIDE_PX, "width": SIDE_PX, "seed": 1,
               "scheduler": "ddim"}  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        row = replace(MODES[mode], adapter=adapter(Path(folder), keys, file))
        tasks = {task: (row,) for task in ("foreground", "joint", "background_for", "split_foreground")}
        pipe = pellucid.attach(pipeline, None, autoencoder=codec, layers=tasks)
        start = time.perf_counter()
        pipe.adapters.set(row.source)
        worn_s = time.perf_counter() - start
        calls = {
            "sd15-attn": lambda: pipe.generate(["a", "b", "c"], **options),
            "sd15-joint": lambda: pipe.joint("a", "b", "c", **options),
            "sd15-fg2bg": lambda: pipe.background_for(picture, "b", **options),
            "sdxl-bgble2fg": lambda: pipe.split(picture, "a", background=picture, **options),
        }
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start, cpu = time.perf_counter(), time.process_time()
        calls[mode]()
        spent, worked = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({
        "mode": mode, "adapter_on_s": round(worn_s, 1), "seconds": round(spent, 1), "cpu_s": round(worked, 1),
        "peak_gib": round(peak / 2**20, 2), "peak_gib_before": round(before / 2**20, 2),
    }))  # fmt: skip


def main() -> None:
    """Every run, one after another."""
    rows: dict[str, dict[str, object]] = {}
    for name in RUNS:
        command = [sys.executable, __file__, "child", name, sys.argv[1]]
        found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows[name] = json.loads(found.stdout.splitlines()[-1]) | {"load_1min": round(os.getloadavg()[0], 2)}
        print(name, rows[name], flush=True)
    three, joint = rows["sd15 single, three times"], rows["sd15 joint"]
    report = {
        "command": "python benchmarks/full_size_layers.py KEYS_FOLDER",
        "date": time.strftime("%Y-%m-%d", time.gmtime()), "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "side_px": SIDE_PX, "steps": STEPS, "dtype": "float32",
        "joint_over_three_single": {
            "cpu": round(float(str(joint["cpu_s"])) / float(str(three["cpu_s"])), 2),
            "peak_memory": round(float(str(joint["peak_gib"])) / float(str(three["peak_gib"])), 2),
        },
        "runs": rows,
    }  # fmt: skip
    RESULTS.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "child":
        child(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
