"""A researcher's day: a folder of pictures, three commands, a transparent image; killed on the way."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from drawn_pictures import BROKEN, OPAQUE, draw_pictures
from PIL import Image

import pellucid
import tiny
from pellucid.apps.cli import cli
from pellucid.data.shards import read_shard
from pellucid.files.images import read_rgba
from pellucid.pipelines.modes import MODES, Codec
from pellucid.training.proposals import start_model
from pellucid.weights.adapter_files import write_adapter

SOURCE = Path(pellucid.__file__).parents[1]
QUICK = (
    "--threads=1", "--device=cpu", "--set", "save_every_s=0.0", "--set", "log_every=1",
    "--set", "batch_size=2", "--set", "autoencoder.steps=3", "--set", "autoencoder.sample_every=3",
    "--set", "transparent.steps=30", "--set", "transparent.sample_every=0",
)  # fmt: skip
"""Fewer steps than the recipe says, and a checkpoint after each."""


def run(*words: str) -> Result:
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result


def killed_within(stage: Path, words: Sequence[str]) -> None:
    """Runs a command as a process of its own, which SIGKILL ends once a stage has a checkpoint."""
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-m", "pellucid", *words], env=environment)
    deadline = time.monotonic() + 500
    while not (stage / "checkpoint.pt").exists():
        assert process.poll() is None, "it ended before its first checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


def weights(model: Path) -> dict[str, bytes]:
    """The files that training wrote, by their names."""
    found = {str(path.relative_to(model)): path.read_bytes() for path in model.rglob("*.safetensors")}
    # another program's copy has the time in its metadata
    return {name: content for name, content in found.items() if not name.startswith("diffusers-lora")}


def write_recipe(base: Path, pictures: Path, run_folder: Path) -> Path:
    """The first command, on sixty pictures that can be used and four that cannot."""
    draw_pictures(pictures)
    made = run("train", "new", "--from", str(base), "--pictures", str(pictures), "-o", str(run_folder))
    assert made.stdout.strip() == str(run_folder / "recipe.toml")
    for name in (*BROKEN, *OPAQUE):
        assert f"/{name}" in made.stderr, "a picture that is left out is told"
    assert "60 pictures of 3 captions, 3 of them held out" in made.stderr
    records = [record for record, _ in read_shard(run_folder / "pictures.tar")]
    assert {record.label for record in records} == {"a disc", "a ring", "a glow"}
    return run_folder / "recipe.toml"


@pytest.mark.slow
def test_from_sixty_pictures_to_a_transparent_image(tmp_path: Path) -> None:
    base, run_folder = tmp_path / "base", tmp_path / "run"
    tiny.sd15().save_pretrained(base)
    recipe = write_recipe(base, tmp_path / "pictures", run_folder)
    words = ["train", "all", "--config", str(recipe), *QUICK]
    killed_within(run_folder / "transparent", [*words, "-o", str(run_folder)])
    assert not (run_folder / "model" / "adapter").exists()
    done = run(*words, "-o", str(run_folder))
    model = run_folder / "model"
    assert done.stdout.strip() == str(model)
    assert done.stderr.rstrip().endswith(f'pellucid generate "WORDS" --model {model}')
    run(*words, "-o", str(tmp_path / "whole"))
    assert weights(model) == weights(tmp_path / "whole" / "model")
    lines = (run_folder / "transparent" / "log.jsonl").read_text().splitlines()
    assert {json.loads(line)["step"] for line in lines} == set(range(1, 31))

    # the base is named, and not copied
    assert json.loads((model / "base_model.json").read_text())["base_model_name_or_path"] == str(base)
    assert not (model / "unet").exists()
    output, other = tmp_path / "ring.png", tmp_path / "other.png"
    sampling = ("--model", str(model), "--steps", "2", "--seed", "3")
    run("generate", "a ring", *sampling, "-o", str(output))
    with Image.open(output) as image:
        assert (image.mode, image.size) == ("RGBA", (64, 64))
    adapter = model / "adapter" / "transparent.safetensors"
    run("generate", "a ring", *sampling, "--adapter", str(adapter), "-o", str(other))
    assert np.array_equal(read_rgba(output), read_rgba(other)), "the folder's own adapter is worn unasked"


@pytest.mark.slow
def test_the_embedded_model_learns_pictures_of_ones_own(tmp_path: Path) -> None:
    pictures = draw_pictures(tmp_path / "pictures", count=6)
    run_folder = tmp_path / "run"
    run("train", "new", "--pictures", str(pictures), "-o", str(run_folder))
    quick = ("--set", "steps=2", "--set", "batch_size=2", "--set", "sample_every=0", "--threads=1")
    words = ("train", "all", "--config", str(run_folder / "recipe.toml"), "-o", str(run_folder), *quick)
    run(*words)
    model = run_folder / "model"
    before = weights(model)
    # the last stage may be trained further
    run(*words, "--set", "steps=3")
    assert weights(model) != before
    assert json.loads((model / "base_model.json").read_text())["base_model_name_or_path"] == "mini"
    assert [path.name for path in sorted((model / "adapter").iterdir())] == ["single-layer.safetensors"]
    output = tmp_path / "ring.png"
    run("generate", "a ring", "--model", str(model), "--steps", "2", "--seed", "3", "-o", str(output))
    with Image.open(output) as image:
        assert image.mode == "RGBA"
    # layers that see another are the embedded model's still
    two = tmp_path / "two.psd"
    words = ("--foreground", "a ring", "--model", str(model), "--steps", "2", "-o", str(two))
    run("layers", "--on", str(output), *words)
    assert len(pellucid.Scene.open(two).layers) == 2


@pytest.mark.slow
def test_a_model_with_released_files_gets_an_adapter_over_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the released row, with files that fit the small model in place of those on the hub
    base, released = tmp_path / "base", tmp_path / "released"
    pipeline = tiny.sd15()
    pipeline.save_pretrained(base)
    tiny.save_codec(tiny.codec(pipeline.vae), released)
    torch.manual_seed(1)
    write_adapter({"mid_block.resnets.0.conv1.weight": torch.randn(32, 32, 3, 3)}, released / "a.safetensors")
    codec = Codec(
        offset_encoder=str(released / "offset_encoder"), alpha_decoder=str(released / "alpha_decoder")
    )
    mode = replace(MODES["sd15-attn"], adapter=str(released / "a.safetensors"), codec=codec)
    monkeypatch.setitem(MODES, "sd15-attn", mode)
    monkeypatch.setattr(start_model, "RELEASED_VAE", (4, 8, 8, 8))

    draw_pictures(tmp_path / "pictures", count=4)
    pictures, run_folder = str(tmp_path / "pictures"), tmp_path / "run"
    run("train", "new", "--from", str(base), "--pictures", pictures, "-o", str(run_folder))
    text = (run_folder / "recipe.toml").read_text()
    assert 'codec = "sd15-attn"' in text
    assert "[autoencoder]" not in text
    quick = ("--set", "steps=1", "--set", "batch_size=2", "--set", "sample_every=0", "--threads=1")
    run("train", "all", "--config", str(run_folder / "recipe.toml"), "-o", str(run_folder), *quick)
    pipe = pellucid.load(run_folder / "model", device="cpu")
    own = run_folder / "model" / "adapter" / "single-layer.safetensors"
    assert pipe.model.single.source == (str(released / "a.safetensors"), own)
    assert pipe.generate("a ring", seed=1, num_inference_steps=2).layers[0].image.shape == (64, 64, 4)
