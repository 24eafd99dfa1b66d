"""Draws several images for each of several prompts. A seed gives the same image in any batch.

Run: python examples/06_batch_of_prompts.py
Prints:
    a cat: seeds 7, 8
    a lamp: seeds 7, 8
    alone and in the batch, at most 1 level apart: True
"""

import os

import numpy as np

import pellucid

STEPS = int(os.environ.get("EXAMPLE_STEPS", "12"))  # the tests take 1
PROMPTS = ["a cat", "a lamp"]

pipe = pellucid.load()
scenes = pipe.generate(PROMPTS, count=2, seed=7, batch_size=4, num_inference_steps=STEPS)

for number, scene in enumerate(scenes):
    scene.save(f"picture-{number}.png")
for number, prompt in enumerate(PROMPTS):
    seeds = [scene.provenance.seed for scene in scenes[2 * number : 2 * number + 2]]
    print(f"{prompt}: seeds {', '.join(map(str, seeds))}")

alone = pipe.generate(PROMPTS[0], seed=7, num_inference_steps=STEPS)
difference = alone.layers[0].image.astype(int) - scenes[0].layers[0].image
print(f"alone and in the batch, at most 1 level apart: {np.abs(difference).max() <= 1}")
