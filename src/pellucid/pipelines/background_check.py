"""Whether a model left its surroundings on the grey that means "clear", and what to do when it did not.

A base model that was tuned to paint backgrounds, or a prompt that asks for one, puts another colour there,
which the alpha decoder reads as opaque. Users report it of Illustrious, NoobAI and Pony checkpoints.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.pipelines.arguments import CallKwargs
from pellucid.pipelines.inpainting import keep_outside, step_end_callback, with_step_end
from pellucid.pipelines.stock import StockPipeline

# One latent at the embedded model's size; two cut subjects off (docs/log.md, 2026-11-23).
FRAME = 1 / 16
"""Share of each side that the surroundings are measured in, and that is held clear by the remedy."""
# Right surroundings were at most 0.012 off, wrong ones 0.45 in the median.
THRESHOLD = 0.08
"""Distance from grey from which surroundings are wrong; see benchmarks/backdrop.py for either kind's."""
# Pure noise leaves more haze than 0.8; below, the clear start alone mends fewer images.
START = 0.8
"""How much of the noise schedule the remedy goes through; less keeps more of the clear start."""


@torch.no_grad()
def background_distance(autoencoder: RGBAAutoencoder, latent: Float[Tensor, "1 c h w"]) -> float:
    """Measures how far the surroundings are from the model's grey: 0 is right, 0.5 is black or white.

    The median, over the outermost sixteenth of what the frozen VAE shows, of the channel that is furthest
    off; a subject may touch less than half of it.
    """
    rgb = autoencoder.decode_opaque(latent)[0].float()
    off = (rgb - autoencoder.convention.background).abs().amax(dim=0)
    return float(off[_frame(*off.shape)].median())


def clear_start(
    stock: StockPipeline, clear_latent: Float[Tensor, "1 c h w"], inputs: CallKwargs
) -> dict[str, object]:
    """Makes the inputs of an image-to-image pipeline that starts clear and keeps a clear frame at every step.

    Args:
        stock: the pipeline.
        clear_latent: the adjusted latent of a wholly transparent image.
        inputs: what else the pipeline is called with; a `callback_on_step_end` among it is called before.
    """
    inner = (~_frame(*clear_latent.shape[-2:])).to(clear_latent)[None, None]
    callback = keep_outside(stock, clear_latent, inner, first=step_end_callback(inputs))
    return {**with_step_end(inputs, callback), "image": clear_latent, "strength": START}


def _frame(height: int, width: int) -> Tensor:
    rows, columns = (max(round(side * FRAME), 1) for side in (height, width))
    frame = torch.ones(height, width, dtype=torch.bool)
    frame[rows:-rows, columns:-columns] = False
    return frame
