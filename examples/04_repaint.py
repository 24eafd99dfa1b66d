"""Repaints a transparent image: all of it, inside a mask, and at twice the size. Alpha is repainted too.

Run: python examples/04_repaint.py
Prints:
    vary: 256 x 256
    inpaint: 256 x 256, bytes changed outside the mask: 0
    upscale: 512 x 512
"""

import os

import numpy as np

import pellucid

STEPS = int(os.environ.get("EXAMPLE_STEPS", "12"))  # the tests take 2

pipe = pellucid.load()
cat = pipe.generate("a cat", seed=3, num_inference_steps=STEPS).layers[0].image

varied = pipe.vary(cat, "a tiger", strength=0.6, seed=3, num_inference_steps=STEPS).layers[0].image
print(f"vary: {varied.shape[0]} x {varied.shape[1]}")

mask = np.zeros(cat.shape[:2], np.uint8)
mask[: cat.shape[0] // 2] = 255  # white is repainted
repainted = pipe.inpaint(cat, mask, "a tiger", seed=3, num_inference_steps=STEPS).layers[0].image
outside = (repainted != cat)[mask == 0].sum()
print(f"inpaint: {repainted.shape[0]} x {repainted.shape[1]}, bytes changed outside the mask: {outside}")

large = pipe.upscale(cat, "a cat", scale=2, seed=3, num_inference_steps=STEPS)
print(f"upscale: {large.height} x {large.width}")
for name, picture in (("vary", varied), ("inpaint", repainted), ("upscale", large.layers[0].image)):
    pellucid.Scene.of(picture, name=name).save(f"{name}.png")
