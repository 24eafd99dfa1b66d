"""Draws an image with the embedded model: no network, no GPU, a few seconds on two cores.

Run: python examples/01_embedded_model.py
Prints:
    apple.png: 256 x 256, uint8
    clear, partial and opaque pixels: 34 %, 15 %, 51 %
"""

import os

import pellucid

STEPS = int(os.environ.get("EXAMPLE_STEPS", "12"))  # the tests take 1

pipe = pellucid.load()
scene = pipe.generate("a red apple", seed=7, num_inference_steps=STEPS)
path = scene.save("apple.png")

rgba = scene.layers[0].image  # (height, width, 4), straight alpha
alpha = rgba[..., 3]
shares = (alpha == 0).mean(), ((alpha > 0) & (alpha < 255)).mean(), (alpha == 255).mean()
print(f"{path}: {rgba.shape[0]} x {rgba.shape[1]}, {rgba.dtype}")
print("clear, partial and opaque pixels: " + ", ".join(f"{share:.0%}".replace("%", " %") for share in shares))
