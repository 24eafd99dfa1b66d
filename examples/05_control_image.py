"""Draws a subject in a given shape. The embedded model has a control network of its own.

With Stable Diffusion XL attach to a `StableDiffusionXLControlNetPipeline` and pass the control image in
`pipeline_inputs={"image": control}` instead.

Run: python examples/05_control_image.py
Prints:
    alpha and the disc overlap by 0.9
"""

import os

import numpy as np

import pellucid

STEPS = int(os.environ.get("EXAMPLE_STEPS", "12"))  # the tests take 1
SIDE = 256

rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2 + 0.5
disc = np.hypot(rows, columns) < 0.35 * SIDE
control = np.zeros((SIDE, SIDE, 4), np.uint8)
control[disc] = 255  # a white disc on nothing: its silhouette is what counts

pipe = pellucid.load()
scene = pipe.generate(
    "a cookie", seed=7, control=control, control_kind="silhouette", num_inference_steps=STEPS
)
scene.save("cookie.png")
solid = scene.layers[0].image[..., 3] > 127
print(f"alpha and the disc overlap by {(solid & disc).sum() / (solid | disc).sum():.1f}")
