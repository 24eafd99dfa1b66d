import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

import pellucid
from pellucid.errors import FileError, InputError
from pellucid.files.images import read_image
from pellucid.files.metadata import GenerationMetadata
from pellucid.rgba.compositing import over
from pellucid.scene.scene import Layer, Scene

DICE = np.random.default_rng(3)
A, B = (DICE.integers(0, 256, (9, 11, 4), dtype=np.uint8) for _ in range(2))


def test_one_full_layer_is_saved_to_the_byte(tmp_path: Path) -> None:
    scene = Scene.of(A, provenance={"prompt": "🦊", "seed": 7})
    assert np.array_equal(scene.composite(), A)
    for ending in ("png", "webp", "tiff"):
        found = Scene.open(scene.save(tmp_path / f"x.{ending}"))
        assert np.array_equal(found.layers[0].image, A)
        assert found.provenance == GenerationMetadata(prompt="🦊", seed=7)


@pytest.mark.parametrize("linear", [False, True])
def test_two_layers_are_over_within_a_level(linear: bool) -> None:
    found, expected = Scene.of([A, B]).composite(linear=linear), over(B, A, linear=linear)
    assert np.abs(found.astype(int) - expected).max() <= 1  # ties only


def test_three_layers_round_once() -> None:
    scene = Scene.of([A, B, A[::-1].copy()])
    exact = over(A[::-1] / 255, over(B / 255, A / 255))
    assert np.array_equal(scene.composite(), np.rint(exact * 255))


def test_backgrounds() -> None:
    scene = Scene.of(A)
    red = np.zeros_like(A) | np.array([255, 0, 0, 255], np.uint8)
    assert np.array_equal(scene.composite("#ff0000"), scene.composite(red))
    assert np.array_equal(scene.composite("#ff0000"), scene.composite(red[..., :3].copy()))
    assert (scene.composite("#ff0000")[..., 3] == 255).all()
    for bad in ("red", A[:3].copy(), A / 255):
        with pytest.raises(InputError, match="Expected a"):
            scene.composite(bad)


def test_offset_opacity_and_visibility() -> None:
    dot = np.full((2, 2, 4), 255, np.uint8)
    layers = (
        Layer(image=dot, offset=(-1, 3), opacity=0.5),
        Layer(image=dot, visible=False),
        Layer(image=dot, offset=(99, -99)),
    )
    flat = Scene(layers=layers, height=3, width=4).composite()
    assert flat[0, 3].tolist() == [255, 255, 255, 128]
    assert np.count_nonzero(flat[..., 3]) == 1


def test_an_archive_reopens_to_the_same_layers(tmp_path: Path) -> None:
    layer = Layer(
        image=A,
        name="ünter/../🦊",
        offset=(-2, 5),
        opacity=0.25,
        visible=False,
        provenance=GenerationMetadata(seed=1),
    )
    scene = Scene(
        layers=(layer, Layer(image=B[:3].copy())),
        height=20,
        width=30,
        provenance=GenerationMetadata(prompt="é"),
    )
    first = scene.save(tmp_path / "a.zip").read_bytes()
    assert scene.save(tmp_path / "b.zip").read_bytes() == first
    found = pellucid.Scene.open(tmp_path / "a.zip")
    assert (found.height, found.width, found.provenance) == (20, 30, scene.provenance)
    for before, after in zip(scene.layers, found.layers, strict=True):
        assert np.array_equal(before.image, after.image)
        for name in ("name", "offset", "opacity", "visible", "provenance"):
            assert getattr(before, name) == getattr(after, name)


def test_damaged_archives_are_refused(tmp_path: Path) -> None:
    path = Scene.of([A, B]).save(tmp_path / "x.zip")
    content = path.read_bytes()
    dice = np.random.default_rng(0)
    for _ in range(200):
        data = bytearray(content[: dice.integers(len(content))] if dice.random() < 0.2 else content)
        for _ in range(3):
            if data:
                data[dice.integers(len(data))] = dice.integers(256)
        path.write_bytes(data)
        try:
            Scene.open(path)
        except FileError as error:
            assert str(path) in str(error)  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize("index", [[], {}, {"format": "pellucid-scene", "version": 9}, None])
def test_other_zips_are_refused(tmp_path: Path, index: object) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("scene.json" if index is not None else "other", json.dumps(index))
    with pytest.raises(FileError, match="no scene"):
        Scene.open(tmp_path / "x.zip")


def test_other_endings_are_refused(tmp_path: Path) -> None:
    for ending in ("jpg", "xcf", ""):
        with pytest.raises(FileError, match=r"Cannot write .* for \.psd, \.ora"):
            Scene.of(A).save(tmp_path / f"x.{ending}")
    for ending in ("zip", "psd", "ora", "tiff", "png"):
        with pytest.raises(FileError, match="Cannot read"):
            Scene.open(tmp_path / f"absent.{ending}")


def test_wrong_layers_and_canvases_are_refused() -> None:
    for opacity in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="opacity of 0 to 1"):
            Layer(image=A, opacity=opacity)
    with pytest.raises(InputError, match="layer 'x' as uint8"):
        Layer(image=A / 255, name="x")
    with pytest.raises(InputError, match="canvas of 1 pixel"):
        Scene(layers=(), height=0, width=1)
    with pytest.raises(InputError, match="found none"):
        Scene.of([])


def test_a_flattened_scene_carries_its_provenance(tmp_path: Path) -> None:
    path = Scene.of([A, B], provenance={"seed": 4}).save(tmp_path / "x.png", background="#fff")
    assert read_image(path).provenance == GenerationMetadata(seed=4)
