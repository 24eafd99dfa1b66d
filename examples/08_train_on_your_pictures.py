"""Trains a LoRA of the embedded model on a handful of pictures, then draws with it. Minutes become seconds
here because it takes so few steps: a real run has hundreds of pictures and some thousands of steps.

Run: python examples/08_train_on_your_pictures.py
Prints:
    packed 8 pictures and trained 2 steps
    drew with runs/token/export/adapter/transparent.safetensors
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import pellucid

TRAIN_STEPS, STEPS = 2, int(os.environ.get("EXAMPLE_STEPS", "12"))
RECIPE = f"""
data = ["token.tar"]
init = "{Path(pellucid.__file__).parent.as_posix()}/mini"
size_px = 128
groups = []
[transparent]
steps = {TRAIN_STEPS}
batch_size = 4
[transparent.model]
method = "lora"
rank = 4
"""

rows, columns = np.mgrid[:128, :128] - 63.5
for number in range(8):  # your own pictures go here, each beside a .txt with its caption
    colour = np.full((128, 128, 3), (30 * number, 90, 200), np.uint8)
    alpha = np.uint8(255 * np.clip(20 + 4 * number - np.hypot(rows, columns), 0, 1))
    Path("pictures").mkdir(exist_ok=True)
    pellucid.Scene.of(np.dstack([colour, alpha])).save(f"pictures/token {number}.png")
Path("recipe.toml").write_text(RECIPE)
for words in ("data pack pictures -o token.tar", "train transparent --config recipe.toml -o runs/token"):
    subprocess.run([sys.executable, "-m", "pellucid", *words.split()], check=True, stdout=subprocess.DEVNULL)
print(f"packed 8 pictures and trained {TRAIN_STEPS} steps")
adapter = "runs/token/export/adapter/transparent.safetensors"
pellucid.load(adapter=adapter).generate("token 3", seed=1, num_inference_steps=STEPS).save("token.png")
print(f"drew with {adapter}")
