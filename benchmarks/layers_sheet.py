"""Scenes of the embedded model, seed 7, no second tries.

    python benchmarks/layers_sheet.py [--model mini]

docs/layers.webp: both layers from text; composite, background and foreground of each. docs/layers-on.webp:
foregrounds made for photographs, two of them one on another, in boxes; below, the layers on top alone.
docs/layers-behind.webp: one subject in three lights, and the backgrounds that are made for it. Prints the
seconds of each scene, the model loaded.
"""

import time
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from PIL import Image

import pellucid
from pellucid.data.datasets import shards_of
from pellucid.data.layer_composition import lit
from pellucid.data.shards import read_shard
from pellucid.rgba.preview import on_checkerboard

DOCS = Path(__file__).parent.parent / "docs"
SCENES = (
    ("a cat", "a beach"), ("a penguin", "snow"), ("a rocket", "a sky"), ("a cactus", "a desert"),
    ("a glass of milk", "fields"), ("a ghost", "a forest"), ("a sailboat", "a sea"), ("a house", "hills"),
)  # fmt: skip
ON = (
    ("beach", "a crab", "a soccer ball"), ("forest", "a bear", "a mushroom"),
    ("sky", "a rocket", "an airplane"),
    ("city", "a bus", "a robot"), ("snow", "a snowman", "a penguin"), ("desert", "a camel", "a cactus"),
)  # fmt: skip
BOXES = ((72, 24, 150, 150), (160, 150, 90, 90))
BEHIND = ("mountains", "a beach", "a forest", "a city")
CASTS = ((255, 255, 255), (255, 170, 110), (110, 150, 255))
"""Of light on the subject."""


def joint(pipe: pellucid.TransparentPipeline) -> list[np.ndarray]:
    """A column a scene."""
    columns: list[np.ndarray] = []
    for foreground, background in SCENES:
        start = time.perf_counter()
        scene = pipe.joint(foreground=foreground, background=background, seed=7)
        print(f"{foreground}, {background}: {time.perf_counter() - start:.1f} s")
        below, front = scene.layers
        shown = (scene.composite()[..., :3], below.image[..., :3], on_checkerboard(front.image, cell_px=8))
        columns.append(np.concatenate(shown))
    return columns


def on_photographs(pipe: pellucid.TransparentPipeline) -> list[np.ndarray]:
    """A column a photograph, the third of its scene."""
    samples = [sample for shard in shards_of("land-photos") for sample in read_shard(shard)]
    columns: list[np.ndarray] = []
    for place, *texts in ON:
        ground = [rgba for record, rgba in samples if record.label == place][2]
        scene = pipe.foreground_on(ground, texts[0], seed=7, box=BOXES[0])
        scene = pipe.add_layer(scene, texts[1], seed=7, box=BOXES[1])
        alone = pellucid.Scene(layers=scene.layers[1:], height=scene.height, width=scene.width)
        columns.append(
            np.concatenate([scene.composite()[..., :3], on_checkerboard(alone.composite(), cell_px=8)])
        )
    return columns


def behind(pipe: pellucid.TransparentPipeline) -> list[np.ndarray]:
    """A column a light: the subject, then the scenes."""
    subject = pipe.generate("a sheep", seed=7).layers[0].image
    columns: list[np.ndarray] = []
    for cast in CASTS:
        light = np.full_like(subject, 255)
        light[..., :3] = cast
        picture = lit(subject, light, 1.0)
        scenes = [pipe.background_for(picture, text, seed=7).composite()[..., :3] for text in BEHIND]
        columns.append(np.concatenate([on_checkerboard(picture, cell_px=8), *scenes]))
    return columns


def write(columns: Sequence[np.ndarray], path: Path, scale: float) -> None:
    """Columns side by side."""
    sheet = Image.fromarray(np.concatenate(columns, axis=1))
    sheet.resize((round(sheet.width * scale), round(sheet.height * scale)), Image.Resampling.LANCZOS).save(
        path, quality=88
    )
    print(path)


@click.command()
@click.option("--model", default="mini", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=DOCS, show_default=True)
def main(model: str, output: Path) -> None:
    """Draws all three."""
    pipe = pellucid.load(model)
    write(joint(pipe), output / "layers.webp", 1.5)
    write(on_photographs(pipe), output / "layers-on.webp", 1.0)
    write(behind(pipe), output / "layers-behind.webp", 1.5)


if __name__ == "__main__":
    main()
