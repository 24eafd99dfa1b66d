"""Draws the figures of the site with the embedded model, always from the same seeds.

    python docs/figures.py [NAME …]

Writes docs/figures/NAME.png; without names, all. Two cores need about two minutes.
"""

import os
import runpy
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import chdir
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

import pellucid
from pellucid.rgba.compositing import over
from pellucid.rgba.preview import on_checkerboard

ROOT = Path(__file__).parent.parent
FIGURES = ROOT / "docs" / "figures"
CELL_PX, LABEL_PX, GAP_PX = 160, 24, 12
TEXT = (118, 126, 140)
"""A grey that can be read on white and on near-black, since the figures are transparent."""

Picture = np.ndarray


@cache
def pipe() -> pellucid.TransparentPipeline:
    """Returns the embedded model."""
    return pellucid.load()


def drawn(prompt: str, seed: int = 7) -> Picture:
    """Returns one transparent image."""
    return pipe().generate(prompt, seed=seed).layers[0].image


def on_colour(rgba: Picture, colour: tuple[int, int, int]) -> Picture:
    """Lays an image on one colour."""
    back = np.full_like(rgba, 255)
    back[..., :3] = colour
    return over(rgba, back)


def checkered(rgba: Picture) -> Picture:
    """Lays an image on a light checkerboard, as it is seen in both of the site's schemes."""
    return on_checkerboard(rgba, cell_px=8)


def grey(values: Picture) -> Picture:
    """Turns values in [0, 1] into a grey image."""
    return np.repeat(np.uint8(255 * np.clip(values, 0, 1))[..., None], 3, axis=2)


def row(cells: Sequence[tuple[str, Picture]], cell_px: int = CELL_PX) -> Image.Image:
    """Sets images side by side with a label below each, on a transparent ground."""
    width = len(cells) * (cell_px + GAP_PX) - GAP_PX
    sheet = Image.new("RGBA", (width, cell_px + LABEL_PX))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for number, (label, picture) in enumerate(cells):
        left = number * (cell_px + GAP_PX)
        image = Image.fromarray(picture).convert("RGBA")
        sheet.paste(image.resize((cell_px, cell_px), Image.Resampling.LANCZOS), (left, 0))
        pen.text((left + cell_px / 2, cell_px + 6), label, TEXT, font, anchor="mt")
    return sheet


def stacked(rows: Sequence[Image.Image]) -> Image.Image:
    """Sets rows below one another."""
    height = sum(each.height for each in rows) + GAP_PX * (len(rows) - 1)
    sheet = Image.new("RGBA", (max(each.width for each in rows), height))
    top = 0
    for each in rows:
        sheet.paste(each, (0, top))
        top += each.height + GAP_PX
    return sheet


def hero() -> Image.Image:
    """Six subjects, each on a checkerboard and on a colour, so that partial transparency shows."""
    subjects = ("a red apple", "a glass cat", "bubbles", "blue fire", "a ghost", "a glass of milk")
    colours = ((24, 62, 88), (20, 90, 60), (120, 60, 50), (20, 30, 60), (60, 40, 90), (230, 200, 120))
    cells: list[tuple[str, Picture]] = []
    for subject, colour in zip(subjects, colours, strict=True):
        rgba = np.asarray(Image.fromarray(drawn(subject)).resize((256, 256), Image.Resampling.LANCZOS))
        both = np.dstack([checkered(rgba), np.full(rgba.shape[:2], 255, np.uint8)])
        both[:, 128:] = on_colour(rgba, colour)[:, 128:]
        cells.append((subject, both))
    return row(cells, 132)


def straight_alpha() -> Image.Image:
    """What an RGBA image holds, and what goes wrong where premultiplied colour is read as straight."""
    rgba = drawn("bubbles")
    opaque = rgba.copy()
    opaque[..., 3] = 255
    wrong = rgba.copy()
    wrong[..., :3] = rgba[..., :3] * (rgba[..., 3:] / 255)  # premultiplied, which `over` multiplies again
    return row(
        [
            ("colour (straight)", opaque),
            ("alpha", grey(rgba[..., 3] / 255)),
            ("on a checkerboard", checkered(rgba)),
            ("on white", on_colour(rgba, (255, 255, 255))),
            ("premultiplied by mistake", on_colour(wrong, (255, 255, 255))),
        ]
    )


def latent_offset() -> Image.Image:
    """One image through the codec: the frozen VAE's view of both latents, their difference, RGBA back."""
    rgba = drawn("a jellyfish")
    codec = pipe().autoencoder
    with torch.no_grad():
        plain = codec.encode_image(rgba, use_offset=False)
        adjusted = codec.encode_image(rgba)
        shown = [codec.decode_opaque(latent)[0].permute(1, 2, 0).numpy() for latent in (plain, adjusted)]
        size = (adjusted - plain).abs().mean(1)[0] / plain.abs().mean()
    offset = np.kron(grey(size.numpy()), np.ones((8, 8, 1), np.uint8))
    back = codec.decode_image(adjusted, passes=1)
    return row(
        [
            ("picture", checkered(rgba)),
            ("plain latent, VAE", np.uint8(255 * shown[0])),
            ("size of the offset", offset),
            ("adjusted latent, VAE", np.uint8(255 * shown[1])),
            ("adjusted, alpha decoder", checkered(back)),
        ]
    )


def adapter() -> Image.Image:
    """The same prompt and seed without and with the adapter, seen by the VAE and by the alpha decoder."""
    transparent = pipe()
    rows: list[tuple[str, Picture]] = []
    for label, wearing in (("without", False), ("with", True)):
        stock = transparent.pipeline if wearing else transparent.detach()
        if wearing:
            transparent = pellucid.load()
            transparent.generate("bubbles", seed=7, num_inference_steps=1)  # puts the adapter in
            stock = transparent.pipeline
        generator = torch.Generator().manual_seed(7)
        latent = stock(
            "bubbles",
            num_inference_steps=12,
            guidance_scale=2.5,
            generator=generator,
            output_type="latent",
            return_dict=False,
        )[0]
        codec = transparent.autoencoder
        with torch.no_grad():
            opaque = np.uint8(255 * codec.decode_opaque(latent)[0].permute(1, 2, 0).numpy())
        rows += [
            (f"{label} adapter: VAE", opaque),
            ("alpha decoder", checkered(codec.decode_image(latent, passes=1))),
        ]
    return row(rows)


def tasks() -> Image.Image:
    """What each task is given and what it makes."""
    model = pellucid.load()
    scene = model.joint(foreground="a penguin", background="snow", seed=7)
    ground = scene.layers[0].image
    rocket = model.generate("a rocket", seed=7).layers[0].image
    on = model.foreground_on(ground, "a snowman", seed=7)
    behind = model.background_for(rocket, "a sky", seed=7)
    grown = model.add_layer(scene, "a snowman", box=(120, 8, 100, 100), seed=7)
    cat = model.generate("a cat", seed=3).layers[0].image
    varied = model.vary(cat, "a tiger", strength=0.6, seed=3).layers[0].image
    return stacked(
        [
            row(
                [
                    ("generate", checkered(cat)),
                    ("joint: background", ground),
                    ("joint: foreground", checkered(scene.layers[1].image)),
                    ("joint: both", scene.composite()),
                ]
            ),
            row(
                [
                    ("foreground_on", on.composite()),
                    ("background_for", behind.composite()),
                    ("add_layer", grown.composite()),
                    ("vary", checkered(varied)),
                ]
            ),
        ]
    )


def gallery() -> Image.Image:
    """What the examples wrote, run as they stand."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        os.environ.pop("EXAMPLE_STEPS", None)
        for example in sorted((ROOT / "examples").glob("0[1-7]*.py")):
            runpy.run_path(str(example), run_name="__main__")
        names = {
            "01 apple.png": "apple", "03 beach.png": "beach", "04 vary.png": "vary",
            "04 inpaint.png": "inpaint", "05 cookie.png": "cookie", "06 image-0.png": "picture-0",
            "06 image-2.png": "picture-2", "07 clean.png": "clean",
        }  # fmt: skip
        cells = [
            (label, checkered(pellucid.Scene.open(f"{name}.png").composite()))
            for label, name in names.items()
        ]
    return stacked([row(cells[:4]), row(cells[4:])])


FIGURE_OF: dict[str, Callable[[], Image.Image]] = {
    "hero": hero,
    "straight-alpha": straight_alpha,
    "latent-offset": latent_offset,
    "adapter": adapter,
    "tasks": tasks,
    "gallery": gallery,
}


def main(names: Sequence[str]) -> None:
    """Draws the figures that are named, or all of them."""
    FIGURES.mkdir(exist_ok=True)
    for name in names or FIGURE_OF:
        path = FIGURES / f"{name}.png"
        FIGURE_OF[name]().save(path, optimize=True)
        print(path)


if __name__ == "__main__":
    main(sys.argv[1:])
