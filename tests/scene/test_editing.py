"""Scenes are edited by name; what is not named stays the same, to the byte."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.errors import InputError
from pellucid.files.metadata import GenerationMetadata
from pellucid.scene.scene import Group, Layer, Mask, Scene

DICE = np.random.default_rng(5)
NAMES = ("sky", "a cat", "a pumpkin", "a hat")


def noise(height: int, width: int) -> np.ndarray:
    return DICE.integers(1, 256, (height, width, 4), np.uint8)


def scene() -> Scene:
    weather = Group(
        name="things", opacity=0.8, mask=Mask(image=np.full((9, 9), 200, np.uint8), offset=(2, 3))
    )
    mask = Mask(image=np.full((4, 5), 99, np.uint8), offset=(1, 1), outside=255)
    layers = (
        Layer(image=noise(40, 60), name="sky"),
        Layer(
            image=noise(20, 30), name="a cat", offset=(5, 7), opacity=128 / 255, groups=(weather,), mask=mask
        ),
        Layer(
            image=noise(12, 9), name="a pumpkin", offset=(-3, 50), groups=(weather,), blend_mode="multiply"
        ),
        Layer(image=noise(8, 8), name="a hat", offset=(30, 2), provenance=GenerationMetadata(prompt="a hat")),
    )
    return Scene(layers=layers, height=40, width=60)


def names(edited: Scene) -> list[str]:
    return [layer.name for layer in edited.layers]


def test_replacing_keeps_place_and_looks_and_takes_pixels_and_name() -> None:
    before, new = scene(), Layer(image=noise(20, 30), name="a dog", opacity=0.1, offset=(1, 1))
    old, made = before.layers[1], before.replace("a cat", new).layers[1]
    assert np.array_equal(made.image, new.image)
    assert (made.name, made.provenance) == ("a dog", None)
    for kept in ("offset", "opacity", "visible", "groups", "blend_mode", "clipped", "mask"):
        assert getattr(made, kept) == getattr(old, kept), kept
    assert before.layers[1] is old
    assert names(before.replace("a cat", new.image)) == list(NAMES)


def test_another_size_is_fitted_into_the_old_rectangle() -> None:
    before = scene()
    white = np.full((100, 100, 4), 255, np.uint8)
    fitted = before.replace("a cat", white).layers[1]
    assert fitted.image.shape == (20, 30, 4)
    assert (fitted.image[:, 5:25] == 255).all()
    assert not fitted.image[:, :5].any()
    assert (before.replace("a cat", white, fit="crop").layers[1].image == 255).all()
    kept = before.replace("a cat", white, fit="keep").layers[1]
    assert np.array_equal(kept.image, white)
    assert kept.offset == (5 - 40, 7 - 35)
    with pytest.raises(InputError, match="No way of fitting"):
        before.replace("a cat", white, fit="shrink")
    with pytest.raises(InputError, match="uint8"):
        before.replace("a cat", white / 255)


def test_a_scene_replaces_a_layer_as_it_looks() -> None:
    made = Scene.of([noise(20, 30), noise(20, 30)], provenance={"prompt": "a dog", "seed": 3})
    layer = scene().replace("a cat", made).layers[1]
    assert np.array_equal(layer.image, made.composite())
    assert layer.name == "a dog"
    assert layer.provenance is not None
    assert layer.provenance.seed == 3


def test_layers_and_groups_are_taken_out() -> None:
    assert names(scene().without("a cat")) == ["sky", "a pumpkin", "a hat"]
    assert names(scene().without("things", "sky")) == ["a hat"]
    with pytest.raises(InputError, match="a layer to stay"):
        scene().without(*NAMES)


def test_what_others_are_clipped_to_goes_with_them_alone() -> None:
    shade = Layer(image=noise(3, 3), name="shade", clipped=True)
    before = replace(scene(), layers=(*scene().layers, shade))
    with pytest.raises(InputError, match="clipped to what is taken out, found 'shade'"):
        before.without("a hat")
    assert names(before.without("a hat", "shade")) == list(NAMES[:3])


def test_layers_and_groups_move_with_their_masks() -> None:
    moved = scene().move("a cat", left=10, top=4).layers[1]
    assert moved.offset == (4, 10)
    assert moved.mask is not None
    assert moved.mask.offset == (0, 4)
    assert scene().move("a cat", left=-9).layers[1].offset == (5, -9)
    group = scene().move("things", left=0, top=0)
    assert [layer.offset for layer in group.layers] == [(0, 0), (8, 0), (0, 43), (30, 2)]
    mask = group.layers[1].groups[0].mask
    assert mask is not None
    assert mask.offset == (5, -4)
    assert group.layers[1].groups[0] is group.layers[2].groups[0]


def test_names_and_opacity_change_alone() -> None:
    assert names(scene().rename("sky", "sea")) == ["sea", *NAMES[1:]]
    assert scene().rename("things", "stuff").layers[2].groups[0].name == "stuff"
    assert scene().with_opacity("sky", 0).layers[0].opacity == 0
    assert scene().with_opacity("things", 0.5).layers[1].groups[0].opacity == 0.5
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="opacity"):
            scene().with_opacity("sky", wrong)


@given(st.permutations(NAMES))
def test_any_order_can_be_made_and_undone(order: list[str]) -> None:
    before = scene()
    after = before.reorder(order)
    assert names(after) == order
    assert [layer.groups for layer in after.layers] == [layer.groups for layer in before.layers]
    again = after.reorder(NAMES)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(before.layers, again.layers, strict=True))


def test_named_layers_share_out_their_places() -> None:
    assert names(scene().reorder(["a hat", "sky"])) == ["a hat", "a cat", "a pumpkin", "sky"]
    with pytest.raises(InputError, match="each layer once"):
        scene().reorder(["sky", "sky"])
    with pytest.raises(InputError, match="found the group 'things'"):
        scene().reorder(["things"])


def test_wrong_names_list_the_nearest_first() -> None:
    with pytest.raises(
        InputError, match=r"No layer is called 'a pumpkn'. Choose one of: 'things / a pumpkin', "
    ):
        scene().without("a pumpkn")
    double = scene().rename("sky", "a hat")
    with pytest.raises(
        InputError, match=r"one layer called 'a hat', found 2 .* by its number from the top: #1, #4"
    ):
        double.without("a hat")
    assert names(double.without("#4")) == list(NAMES[1:])
    assert names(double.without(double.layers[0])) == list(NAMES[1:])
    assert names(double.rename("a cat", "a hat").without("things / a hat")) == ["a hat", "a pumpkin", "a hat"]
    with pytest.raises(InputError, match="a layer of this scene"):
        double.without(scene().layers[0])


@pytest.mark.parametrize("ending", ["psd", "ora", "zip"])
def test_untouched_layers_survive_files_to_the_byte(ending: str, tmp_path: Path) -> None:
    # OpenRaster multiplies a layer's mask into its alpha
    before = scene() if ending != "ora" else replace(
        scene(), layers=tuple(replace(layer, mask=None) for layer in scene().layers)
    )  # fmt: skip
    opened = Scene.open(before.save(tmp_path / f"a.{ending}"))
    edited = opened.replace("a hat", noise(8, 8)).move("a hat", left=1, top=2).with_opacity("a hat", 1)
    again = Scene.open(edited.save(tmp_path / f"b.{ending}"))
    for old, new in zip(opened.layers[:3], again.layers[:3], strict=True):
        assert np.array_equal(old.image, new.image)
        assert (old.name, old.offset, old.opacity, old.blend_mode) == (
            new.name, new.offset, new.opacity, new.blend_mode,
        )  # fmt: skip
        assert [group.name for group in old.groups] == [group.name for group in new.groups]
    assert again.layers[3].offset == (2, 1)
