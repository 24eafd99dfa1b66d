"""Animations as scenes: a layer a frame, within the limits of layers."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from files.animations import Part, gif, saved
from pellucid.errors import FileError
from pellucid.files.images import read_image
from pellucid.scene.scene import Scene
from scene.scenes import noise

KINDS = ("GIF", "PNG", "WEBP", "AVIF")


@pytest.mark.parametrize("kind", KINDS)
def test_frames_are_layers_of_which_the_first_is_seen(kind: str, tmp_path: Path) -> None:
    frames = [noise(9, 8, seed) for seed in range(3)]
    path = tmp_path / "x.bin"
    path.write_bytes(saved(kind, frames, duration=40))
    scene = Scene.open(path)
    assert [(layer.name, layer.visible) for layer in scene.layers] == [
        ("frame 1", True),
        ("frame 2", False),
        ("frame 3", False),
    ]
    for number, layer in enumerate(scene.layers, 1):
        assert np.array_equal(layer.image, read_image(path, frame=number).rgba)
    # colour under alpha 0 is kept of a scene of one layer alone
    assert np.array_equal(scene.composite("#000"), Scene.of(scene.layers[0].image).composite("#000"))


def test_frames_count_as_layers_before_any_is_unpacked(tmp_path: Path) -> None:
    dot = Part(pixels=np.zeros((1, 1), np.uint8))
    path = tmp_path / "x.gif"
    # 3 layers of the whole canvas are within the limit, the fourth is not
    path.write_bytes(gif(10, 10, [dot] * 3))
    assert len(Scene.open(path, max_pixels=100).layers) == 3
    path.write_bytes(gif(10, 10, [dot] * 4))
    with pytest.raises(FileError, match="more than 300 pixels in all"):
        Scene.open(path, max_pixels=100)
    path.write_bytes(gif(1, 1, [dot] * 8001))
    with pytest.raises(FileError, match="more than 8000 frames"):
        Scene.open(path)


@pytest.mark.parametrize("ending", ["psd", "ora", "zip", "tiff", "png"])
def test_a_document_is_read_once_and_from_front_to_back(ending: str, tmp_path: Path) -> None:
    content = Scene.of([noise(9, 8, 0), noise(9, 8, 1)]).save(tmp_path / f"x.{ending}").read_bytes()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(content))
    writer.start()
    found = Scene.open(pipe)
    writer.join(10)
    assert np.array_equal(found.composite(), Scene.open(tmp_path / f"x.{ending}").composite())
