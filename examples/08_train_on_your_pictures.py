"""Trains a LoRA on eight images for two steps; a real run has hundreds of images and thousands of steps.

Run: python examples/08_train_on_your_pictures.py
Prints:
    packed 8 images, trained 2 steps, drew with runs/token/export/adapter/token.safetensors
"""

import subprocess
import sys
from pathlib import Path

import numpy as np

import pellucid

RECIPE = f"""
data = ["token.tar"]
init = "{Path(pellucid.__file__).parent.as_posix()}/mini"
size_px = 128
[transparent]
steps = 2
batch_size = 4
model = {{name = "token", base_adapter = "transparent", method = "lora", rank = 4}}
"""

rows, columns = np.mgrid[:128, :128] - 63.5
Path("pictures").mkdir(exist_ok=True)
for number in range(8):  # your own images go here, each beside a .txt with its caption
    picture = np.full((128, 128, 4), (30 * number, 90, 200, 0), np.uint8)
    picture[np.hypot(rows, columns) < 20 + 4 * number, 3] = 255
    pellucid.Scene.of(picture).save(f"pictures/token {number}.png")
Path("recipe.toml").write_text(RECIPE)
for words in ("data pack pictures -o token.tar", "train transparent --config recipe.toml -o runs/token"):
    subprocess.run([sys.executable, "-m", "pellucid", *words.split()], check=True, stdout=subprocess.DEVNULL)
adapter = "runs/token/export/adapter/token.safetensors"
pellucid.load(adapter=adapter).generate("token 3", seed=1).save("token.png")
print(f"packed 8 images, trained 2 steps, drew with {adapter}")
