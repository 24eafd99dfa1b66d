"""What a GPU does with full-size models: speed, decoding, memory under caps, a step of training. One call.

    python benchmarks/gpu.py -o gpu.json [--minutes 9] [--only sampling decoding offloading training]
    python benchmarks/gpu.py -o tiny.json --tiny    # every part on small models, on a CPU too: no figures

Weights are generated, since speed and memory do not depend on their values. Each measurement is written as
soon as it is there; one that fails says so, and what the time does not allow is listed as skipped. Steps a
second are differences of two lengths of a call, so that text encoders and decoding do not count. A cap on
memory is `set_per_process_memory_fraction`: a card of that size, with a faster chip.
"""

import argparse
import gc
import itertools
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from full_size import FULL, TINY, Maker
from PIL import Image

from pellucid.pipelines.placement import offload as offload_parts
from pellucid.training.recipe import read_recipe
from pellucid.training.stages.registry import make_stage
from pellucid.training.trainer import Trainer

CAPS_GB = (6, 8, 12, 24)
OFFLOADS = ("none", "model", "group", "sequential")
SHORT, LONG = 3, 11
"""Steps of the two calls whose difference is measured."""


def timed(call: Callable[[], object]) -> float:
    """Returns the seconds of a call, the GPU's work included."""
    wait()
    started = time.perf_counter()
    call()
    wait()
    return time.perf_counter() - started


def wait() -> None:
    """Waits for the GPU, where there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def peak_gib() -> float | None:
    """Returns the most memory that was reserved since `fresh`, which is what a smaller card would lack."""
    return round(torch.cuda.max_memory_reserved() / 2**30, 2) if torch.cuda.is_available() else None


def fresh() -> None:
    """Frees what is left of the measurement before."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def steps_per_second(run: Callable[[int], object]) -> float:
    """Returns the steps a second of `run`, which takes a number of steps."""
    run(SHORT)
    return round((LONG - SHORT) / max(timed(lambda: run(LONG)) - timed(lambda: run(SHORT)), 1e-9), 2)


def sampling(maker: Maker) -> Iterator[tuple[str, Callable[[], object]]]:
    """Steps a second: the stock pipeline, attached, attached and compiled."""
    for name in ("sd15", "sdxl", "flux"):
        px = min(maker.size.px, 512) if name == "sd15" else maker.size.px

        def measure(name: str = name, px: int = px) -> dict[str, object]:
            pipe = maker.transparent(name)
            stock = pipe.detach()
            plain = steps_per_second(
                lambda n: stock("a", height=px, width=px, num_inference_steps=n, output_type="latent")
            )
            generate = lambda n: pipe.generate("a", height=px, width=px, num_inference_steps=n, passes=1)  # noqa: E731
            found: dict[str, object] = {"px": px, "plain": plain, "attached": steps_per_second(generate)}
            found["peak_gib"] = peak_gib()
            if name == "sdxl":  # compiling takes about as long as all the rest
                pipe.denoiser.compile(backend="inductor" if maker.size is FULL else "eager")
                found["first_compiled_call_s"] = round(timed(lambda: generate(SHORT)), 1)
                found["compiled"] = steps_per_second(generate)
            return found

        yield f"sampling {name}", measure


def decoding(maker: Maker) -> Iterator[tuple[str, Callable[[], object]]]:
    """Seconds and memory of the VAE and the alpha decoder by size, precision, passes and tiles."""
    factor = maker.size.px // 512 or 1
    sides = (512 * factor // 2, 512 * factor, 1024 * factor) if maker.size.px >= 1024 else (32, 64)
    for dtype, side in itertools.product((torch.float32, torch.float16, torch.bfloat16), sides):

        def measure(dtype: torch.dtype = dtype, side: int = side) -> dict[str, object]:
            with maker.device:
                vae = AutoencoderKL(**maker.size.vae, latent_channels=4).eval()
            codec = maker.codec(vae)
            torch.nn.Module.to(codec, dtype)
            latent = torch.randn(1, 4, side // 8, side // 8, device=maker.device, dtype=dtype)
            found: dict[str, object] = {}
            for passes, tile in ((1, None), (8, None), (1, max(side // 2, 128))):
                codec.decode(latent, passes=passes, tile=tile)
                fresh()
                seconds = timed(lambda p=passes, t=tile: codec.decode(latent, passes=p, tile=t))
                key = f"{passes} passes" + ("" if tile is None else f", tiles of {tile}")
                found[key] = {"seconds": round(seconds, 4), "peak_gib": peak_gib()}
            return found

        yield f"decoding {side} px {str(dtype).removeprefix('torch.')}", measure


def offloading(maker: Maker) -> Iterator[tuple[str, Callable[[], object]]]:
    """Which cards Stable Diffusion XL fits on, by offloading, with and without tiles and 8 bits."""
    on_gpu = maker.device.type == "cuda"
    for how, light in itertools.product(OFFLOADS if on_gpu else ("none", "group"), (False, True)):

        def measure(how: str = how, light: bool = light) -> dict[str, object]:
            found: dict[str, object] = {}
            for cap in CAPS_GB:
                found[f"{cap} GB"] = made = under_cap(cap, lambda: one_image(maker, how, light))
                if not isinstance(made, str):
                    break  # larger cards hold it too
            return found

        yield f"offloading {how}" + (", light" if light else ""), measure


def under_cap(cap: int, measure: Callable[[], object]) -> object:
    """Measures as on a card of `cap` GB; says where that is not enough."""
    fresh()
    if torch.cuda.is_available():
        total = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(cap * 2**30 / total, 1.0))
    try:
        return measure()
    except torch.OutOfMemoryError:
        return "out of memory"
    finally:
        if torch.cuda.is_available():
            torch.cuda.set_per_process_memory_fraction(1.0)


def one_image(maker: Maker, how: str, light: bool) -> dict[str, object]:
    """Makes one image by Stable Diffusion XL; light is with tiles and a denoiser in float8."""
    pipe = maker.transparent("sdxl", maker.device if how == "none" else torch.device("cpu"))
    if light:
        pipe.denoiser.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=maker.dtype)
        pipe.enable_tiling()
    if how != "none":
        offload_parts(pipe.pipeline, maker.device, how)
        pipe.move_codec()
    px = maker.size.px
    seconds = timed(lambda: pipe.generate("a", height=px, width=px, num_inference_steps=SHORT, passes=1))
    return {"seconds_of_3_steps": round(seconds, 2), "peak_gib": peak_gib()}


def training(maker: Maker) -> Iterator[tuple[str, Callable[[], object]]]:
    """A step of the codec and of a LoRA of Stable Diffusion XL, at full size."""
    px, folder = maker.size.px, maker.folder
    stages = {
        "autoencoder": {"batch_size": 1, "model": {
            "offset_encoder": dict(maker.size.encoder), "alpha_decoder": dict(maker.size.decoder)}},
        "transparent": {"batch_size": 1, "gradient_checkpointing": True, "model": {
            "method": "lora", "rank": maker.size.rank, "opaque_share": 0.0}},
    }  # fmt: skip
    for stage, options in stages.items():

        def measure(stage: str = stage, options: dict[str, object] = options) -> dict[str, object]:
            model, images = folder / "sdxl", folder / "images"
            if not model.is_dir():
                pipe = maker.transparent("sdxl")
                pipe.pipeline.save_pretrained(model)
                pipe.autoencoder.offset_encoder.save_pretrained(model / "rgba/offset_encoder")
                pipe.autoencoder.alpha_decoder.save_pretrained(model / "rgba/alpha_decoder")
                (model / "rgba/convention.json").write_text(json.dumps({"convention": "forge"}))
                images.mkdir()
                for i in range(8):
                    Image.effect_noise((px, px), 64).convert("RGBA").save(images / f"image {i}.png")
                del pipe
                fresh()
            from pellucid.apps.cli import cli

            shard = folder / "images.tar"
            if not shard.is_file():
                cli(
                    ["data", "pack", str(images), "--size-px", str(px), "-o", str(shard)],
                    standalone_mode=False,
                )
            table = {
                "data": [str(shard)],
                "init": str(model),
                "size_px": px,
                "groups": [],
                stage: {"steps": 100, "sample_every": 0, "score_count": 0, **options},
            }
            recipe = write_toml(folder / f"{stage}.toml", table)
            read = read_recipe(recipe, stage, {})
            trainer = Trainer(read, make_stage(read, maker.device), folder / f"run-{stage}")
            trainer.one_step()
            seconds = timed(lambda: [trainer.one_step() for _ in range(3)]) / 3
            return {"px": px, "seconds_a_step": round(seconds, 3), "peak_gib": peak_gib()}

        yield f"training {stage}", measure


def write_toml(path: Path, table: dict[str, object]) -> Path:
    """Writes a recipe: plain values are the same in TOML as in JSON."""

    def lines(values: dict[str, object], name: str) -> Iterator[str]:
        tables = {key: value for key, value in values.items() if isinstance(value, dict)}
        if name:
            yield f"[{name}]"
        yield from (f"{key} = {json.dumps(value)}" for key, value in values.items() if key not in tables)
        for key, value in tables.items():
            yield from lines(value, f"{name}.{key}" if name else key)

    path.write_text("\n".join(lines(table, "")) + "\n")
    return path


SECTIONS = {"sampling": sampling, "decoding": decoding, "offloading": offloading, "training": training}


def main() -> None:
    """Measures section by section until the time is over, and writes after each measurement."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--only", nargs="+", choices=tuple(SECTIONS), default=tuple(SECTIONS))
    parser.add_argument("--tiny", action="store_true", help="small models, which only try this script")
    arguments = parser.parse_args()
    until = time.monotonic() + 60 * arguments.minutes
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    result: dict[str, object] = {
        "command": "python benchmarks/gpu.py", "tiny": arguments.tiny, "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu", "skipped": [],
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        maker = Maker(TINY if arguments.tiny else FULL, device, Path(folder))
        for section in arguments.only:
            for name, measure in SECTIONS[section](maker):
                fresh()
                if time.monotonic() > until:
                    result["skipped"].append(name)
                    continue
                try:
                    result[name] = measure()
                except Exception as error:  # noqa: BLE001 - one fault must not lose the other measurements
                    result[name] = {"failed": f"{type(error).__name__}: {error}"[:500]}
                print(name, result[name], flush=True)
                arguments.output.write_text(json.dumps(result, indent=1) + "\n")
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
