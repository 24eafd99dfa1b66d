"""Makes a scene of three layers and saves it as a PSD that Photoshop, Krita and GIMP open.

Run: python examples/03_layers_to_psd.py
Prints:
    beach.psd: 256 x 256, 3 layers
    top: a ball, 80 x 80 at (160, 16)
    below: a cat, 256 x 256 at (0, 0)
    below: background, 256 x 256 at (0, 0)
"""

import os

import pellucid

STEPS = int(os.environ.get("EXAMPLE_STEPS", "12"))  # the tests take 1

pipe = pellucid.load()
scene = pipe.joint(foreground="a cat", background="a beach", seed=1, num_inference_steps=STEPS)
box = (160, 16, 80, 80)  # top, left, height, width: the part of the canvas that the new layer is made for
scene = pipe.add_layer(scene, "a ball", box=box, seed=2, num_inference_steps=STEPS)
scene.save("beach.psd")
scene.save("beach.png")  # the same, flattened

again = pellucid.Scene.open("beach.psd")
print(f"beach.psd: {again.height} x {again.width}, {len(again.layers)} layers")
for place, layer in zip(("top", "below", "below"), reversed(again.layers), strict=True):
    height, width = layer.image.shape[:2]
    print(f"{place}: {layer.name}, {height} x {width} at {layer.offset}")
