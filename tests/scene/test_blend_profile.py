"""Scenes whose layers are mixed in another space than sRGB, against the mix computed in doubles."""

from pathlib import Path

import numpy as np
import pytest

from pellucid.errors import FileWarning, InputError
from pellucid.files.blend_space import blend_space
from pellucid.files.colour_profiles import PRIMARIES, SRGB_CURVE, SRGB_PRIMARIES, build_profile
from pellucid.rgba.types import AnyArray
from pellucid.scene.layer import Layer
from pellucid.scene.scene import Scene

P3 = build_profile(PRIMARIES[12], SRGB_CURVE)
LINEAR = build_profile(SRGB_PRIMARIES, (1.0,))
GAMMA = build_profile(PRIMARIES[9], (2.2,))
SIZE = 16


def image(seed: int) -> AnyArray:
    return np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, 4), dtype=np.uint8)


def mixed(profile: bytes | None) -> Scene:
    low = image(0)
    low[..., 3] = 255
    layers = Layer(image=low), Layer(image=image(1)), Layer(image=image(2), blend_mode="screen", opacity=0.5)
    return Scene(layers=layers, height=SIZE, width=SIZE, blend_profile=profile)


@pytest.mark.parametrize("profile", [P3, LINEAR, GAMMA], ids=["P3", "linear", "BT.2020"])
def test_there_and_back_is_the_same_colour(profile: bytes) -> None:
    space = blend_space(profile)
    assert space is not None
    levels = np.arange(256) / 255
    colours = np.stack(np.meshgrid(levels[::15], levels[::15], levels[::15]), axis=-1).reshape(-1, 3)
    assert np.abs(space.to_srgb(space.from_srgb(colours)) - colours).max() * 255 < 0.2
    greys = np.repeat(levels[:, None], 3, axis=1)
    assert np.abs(space.to_srgb(space.from_srgb(greys)) - greys).max() * 255 < 0.2


@pytest.mark.parametrize("profile", [P3, LINEAR, GAMMA], ids=["P3", "linear", "BT.2020"])
def test_layers_are_mixed_on_the_profiles_levels(profile: bytes) -> None:
    scene, space = mixed(profile), blend_space(profile)
    assert space is not None
    low, high, top = (space.from_srgb(layer.image[..., :3] / 255) for layer in scene.layers)
    alpha = scene.layers[1].image[..., 3:] / 255
    wanted = low * (1 - alpha) + high * alpha
    share = scene.layers[2].image[..., 3:] / 255 * 0.5
    wanted = wanted * (1 - share) + share * (wanted + top - wanted * top)
    assert np.abs(scene.composite()[..., :3] - space.to_srgb(wanted) * 255).max() < 0.6


def test_a_layer_alone_is_what_it_is_in_any_space() -> None:
    only = Layer(image=image(3), opacity=0.7)
    scenes = [Scene(layers=(only,), height=SIZE, width=SIZE, blend_profile=each) for each in (None, GAMMA)]
    plain, other = (each.composite().astype(int) for each in scenes)
    assert (plain[..., 3] == other[..., 3]).all()
    assert np.abs(plain - other)[plain[..., 3] > 0].max() <= 1


def test_light_is_light_in_any_space() -> None:
    assert np.array_equal(mixed(P3).composite(linear=True), mixed(None).composite(linear=True))


@pytest.mark.parametrize("ending", ["psd", "zip"])
def test_files_keep_the_profile(ending: str, tmp_path: Path) -> None:
    before = mixed(GAMMA)
    after = Scene.open(before.save(tmp_path / f"x.{ending}"))
    assert after.blend_profile == GAMMA
    # a PSD holds the profile's levels, each to the nearest one
    away = np.abs(before.composite().astype(int) - after.composite())
    assert np.percentile(away, 99) <= 2
    if ending == "zip":
        assert away.max() == 0


def test_a_tiff_is_mixed_once_and_for_all(tmp_path: Path) -> None:
    scene = mixed(GAMMA)
    assert np.array_equal(Scene.open(scene.save(tmp_path / "x.tiff")).composite(), scene.composite())


def test_what_has_no_place_for_it_says_so(tmp_path: Path) -> None:
    with pytest.warns(FileWarning, match="mixed in sRGB in this file"):
        mixed(P3).save(tmp_path / "x.ora")
    assert Scene.open(tmp_path / "x.ora").blend_profile is None


def test_nonsense_is_refused() -> None:
    with pytest.raises(InputError, match="ICC profile of curves and primaries"):
        mixed(b"no profile")
