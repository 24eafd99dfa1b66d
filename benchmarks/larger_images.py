"""The embedded model's decoder of 256 px against one of 128 px enlarged, on the sets' held-out 256 px art.

    python benchmarks/larger_images.py SMALLER/rgba [LARGER/rgba] [--count 139] [--sheet sheet.png]

The larger one is the shipped one, unless a folder names another; src/pellucid/mini/rgba of commit 217201d is
a smaller one. Writes benchmarks/results/larger-images.json. Every image is encoded at 128 px. "enlarged" is
the smaller decoder's image by Lanczos and by cubic interpolation, premultiplied; "at 128 px" is the larger
decoder's image made smaller by area. One pass each, as the embedded model decodes.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import pellucid
from pellucid.evaluation.eval_data import Vocabulary, read_samples, resized
from pellucid.evaluation.generation import edge_width
from pellucid.evaluation.metrics import alpha_grad, alpha_mae, alpha_sad, blended_metrics, rgba_tensor
from pellucid.files.atomic import write_atomically
from pellucid.files.images import write_image
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.models.enlarging import enlarged
from pellucid.models.mini_vae import MiniVAE
from pellucid.rgba.preview import contact_sheet
from pellucid.rgba.resizing import fit_rgba, shrunk
from pellucid.rgba.types import RGBA8
from pellucid.weights.store import load_codec

RESULTS = Path(__file__).parent / "results" / "larger-images.json"
SMALL_PX = 128


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("smaller", type=Path, help="folder `rgba` with a decoder of upscale 1")
    parser.add_argument("larger", type=Path, nargs="?", help="one of upscale 2; the shipped one by default")
    parser.add_argument("--count", type=int, help="images, evenly spread; all held-out ones by default")
    parser.add_argument("--sheet", type=Path, help="PNG to draw: the art, enlarged, by the larger decoder")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    asked = parser.parse_args()
    shipped = pellucid.load().autoencoder
    assert isinstance(shipped.vae, MiniVAE)
    old = load_codec(asked.smaller, shipped.vae)
    new = load_codec(asked.larger, shipped.vae) if asked.larger else shipped
    groups = ("animals", "food", "objects", "activities", "travel", "smileys", "people")
    samples = read_samples(Vocabulary(groups=groups), held_out=True)
    samples = samples[:: max(1, len(samples) // (asked.count or len(samples)))]
    small, large = (resized(samples, side, side) for side in (SMALL_PX, SMALL_PX * new.upscale))
    latents = [old.encode_image(image) for image in small]
    (old_images, old_s), (new_images, new_s) = decoded(old, latents), decoded(new, latents)
    side = SMALL_PX * new.upscale
    found = {
        "enlarged by Lanczos": scores(
            [fit_rgba(image, side, side, "stretch") for image in old_images], large
        ),
        "enlarged by cubes": scores([cubic(image, new.upscale) for image in old_images], large),
        "larger decoder": scores(new_images, large),
        "the art itself": {"edge_px": round(edge_width(alphas(large)), 4)},
        "smaller decoder at 128 px": scores(old_images, small),
        "larger decoder at 128 px": scores([shrunk(image, new.upscale) for image in new_images], small),
    }
    report = {
        "images": len(samples),
        "side_px": side,
        "decode_cpu_s": {"smaller": old_s, "larger": new_s},
        **found,
    }
    write_atomically(asked.output, (json.dumps(report, indent=1) + "\n").encode())
    print(json.dumps(report, indent=1))
    if asked.sheet:
        every = len(large) // 12 or 1
        rows = [large, [cubic(image, new.upscale) for image in old_images], new_images]
        sheet = contact_sheet([image for row in rows for image in row[::every][:12]], columns=12)
        write_image(np.dstack([sheet, np.full(sheet.shape[:2], 255, np.uint8)]), asked.sheet)


def decoded(codec: RGBAAutoencoder, latents: Sequence[Tensor]) -> tuple[list[RGBA8], float]:
    """Decodes one by one; returns the images and the CPU seconds of one."""
    codec.decode_image(latents[0], passes=1)  # the first call allocates
    started = time.process_time()
    images = [codec.decode_image(latent, passes=1) for latent in latents]
    return images, round((time.process_time() - started) / len(latents), 4)


def cubic(image: RGBA8, upscale: int) -> RGBA8:
    """Enlarges as the new decoder does before training, but premultiplied."""
    values = torch.from_numpy(image / 255).permute(2, 0, 1)[None].float()
    values = torch.cat([values[:, :3] * values[:, 3:], values[:, 3:]], 1)
    values = enlarged(values, upscale).clamp(0, 1)
    alpha = values[:, 3:]
    straight = torch.cat([(values[:, :3] / alpha.clamp_min(1e-4)).clamp(0, 1), alpha], 1)
    return (straight[0] * 255).round().byte().permute(1, 2, 0).numpy()


def scores(found: Sequence[RGBA8], wanted: Sequence[RGBA8]) -> dict[str, float]:
    """Means over images; SAD and Grad in thousands, as `eval reconstruction` gives them."""
    ours, art = rgba_tensor(np.stack(found)), rgba_tensor(np.stack(wanted))
    by: dict[str, Callable[[], float]] = {
        "psnr_db": lambda: blended_metrics(ours, art)["mean"],
        "alpha_mae": lambda: alpha_mae(ours, art),
        "alpha_sad": lambda: alpha_sad(ours[:, 3], art[:, 3]),
        "alpha_grad": lambda: alpha_grad(ours[:, 3], art[:, 3]),
        "edge_px": lambda: edge_width(ours[:, 3]),
    }
    return {name: round(float(of()), 5) for name, of in by.items()}


def alphas(images: Sequence[RGBA8]) -> Tensor:
    """Returns alpha (n, h, w) in [0, 1]."""
    return rgba_tensor(np.stack(images))[:, 3]


if __name__ == "__main__":
    main()
