"""Makes a stock diffusers pipeline transparent, and gives it back unchanged.

The stock pipeline here is the embedded model's own, so that the example runs offline. With Stable Diffusion
XL on a GPU the middle line is `pellucid.attach(stock, adapter="sdxl-attn")`, and the rest stays the same.

Run: python examples/02_attach_to_a_pipeline.py
Prints:
    StableDiffusionPipeline becomes TransparentPipeline
    opaque image: RGB, 128 x 128; transparent image: 4 channels
    after detach() the weights are as before: True
"""

import os

import torch

import pellucid

STEPS = int(os.environ.get("EXAMPLE_STEPS", "12"))  # the tests take 1

embedded = pellucid.load()
stock, codec = embedded.detach(), embedded.autoencoder  # stands in for your own pipeline and codec
before = {name: value.clone() for name, value in stock.unet.state_dict().items()}

pipe = pellucid.attach(stock, None, autoencoder=codec)  # or adapter="sdxl-attn", which brings its codec
print(f"{type(stock).__name__} becomes {type(pipe).__name__}")
scene = pipe.generate("a red apple", seed=7, num_inference_steps=STEPS)

stock = pipe.detach()
opaque = stock("a red apple", num_inference_steps=STEPS, generator=torch.Generator().manual_seed(7)).images[0]
print(f"opaque image: {opaque.mode}, {opaque.height} x {opaque.width}; ", end="")
print(f"transparent image: {scene.layers[0].image.shape[2]} channels")
same = all(torch.equal(before[name], value) for name, value in stock.unet.state_dict().items())
print(f"after detach() the weights are as before: {same}")
