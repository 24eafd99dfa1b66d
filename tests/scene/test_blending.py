"""Layers that blend, clip and are masked: laws of the composite, and what files keep of them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pellucid.errors import InputError
from pellucid.rgba import strips
from pellucid.rgba.blend_modes import BLEND_FUNCTIONS, OPERATORS, BlendMode
from pellucid.scene import flatten
from pellucid.scene.layer import Group, Layer, Mask
from pellucid.scene.scene import Scene
from scene.scenes import noise

SIZE = 20
MODES = (*BLEND_FUNCTIONS, *OPERATORS)


def mask(seed: int, *, outside: int = 0) -> Mask:
    levels = np.random.default_rng(seed).integers(0, 256, (9, 11), dtype=np.uint8)
    return Mask(image=levels, offset=(3, -2), outside=outside)


def scene(*layers: Layer) -> Scene:
    return Scene(layers=layers, height=SIZE, width=SIZE)


def layer(seed: int, **others: object) -> Layer:
    return Layer(image=noise(SIZE, SIZE, seed), name=f"layer {seed}", **others)  # pyright: ignore


def furthest(first: Scene | np.ndarray, second: Scene | np.ndarray) -> float:
    """Largest difference, levels, premultiplied: colour under alpha 0 is nothing."""
    images = [(each.composite() if isinstance(each, Scene) else each) / 255 for each in (first, second)]
    flat = [np.dstack([rgba[..., :3] * rgba[..., 3:], rgba[..., 3:]]) for rgba in images]
    return float(np.abs(flat[0] - flat[1]).max()) * 255


@pytest.mark.parametrize("mode", MODES)
def test_strips_change_no_byte(mode: BlendMode, monkeypatch: pytest.MonkeyPatch) -> None:
    group = Group(blend_mode=mode, opacity=0.7, mask=mask(3))
    small = Layer(image=noise(5, 6, 4), offset=(8, 9), blend_mode=mode, mask=mask(4, outside=200))
    stack = scene(
        layer(0),
        small,
        layer(1, groups=(group,)),
        layer(2, groups=(group,), clipped=True, blend_mode="screen"),
    )
    whole = stack.composite("#336699", linear=False)
    for pixels in (1, 20, 90):
        monkeypatch.setattr(strips, "STRIP_PIXELS", pixels)
        assert np.array_equal(stack.composite("#336699"), whole)


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_on_nothing_shows_the_layer_or_nothing(mode: BlendMode) -> None:
    only = layer(0, blend_mode=mode)
    shown = mode not in ("source_atop", "destination_in", "destination_out")
    assert furthest(scene(only), only.image if shown else np.zeros((SIZE, SIZE, 4))) == 0


def test_a_background_is_below_the_image_and_not_in_it() -> None:
    stack = scene(layer(0), layer(1, blend_mode="multiply"))
    alone = Scene.of(stack.composite())
    assert furthest(stack.composite("#204060"), alone.composite("#204060")) <= 1.01


@pytest.mark.parametrize("mode", ["multiply", "color", "plus", "destination_out"])
def test_a_group_that_passes_through_is_its_layers(mode: BlendMode) -> None:
    group = Group(blend_mode="pass_through")
    inside = layer(1, groups=(group,)), layer(2, groups=(group,), blend_mode=mode)
    flat = tuple(replace(each, groups=()) for each in inside)
    assert furthest(scene(layer(0), *inside), scene(layer(0), *flat)) == 0
    # in an isolated one the mode meets nothing but what is in the group
    isolated = tuple(replace(each, groups=(alone,)) for alone in [Group()] for each in inside)
    together = Layer(image=scene(*flat).composite())
    assert furthest(scene(layer(0), *isolated), scene(layer(0), together)) <= 2


def test_a_group_that_passes_through_in_part_is_between_without_and_with_it() -> None:
    mode: BlendMode = "difference"
    low, high = layer(0), layer(1, blend_mode=mode)
    without, whole = scene(low).composite() / 255, scene(low, high).composite() / 255
    group = Group(blend_mode="pass_through", opacity=0.25, mask=mask(5, outside=100))
    part = scene(low, replace(high, groups=(group,)))
    share = 0.25 * flatten.mask_values(group.mask, 0, 0, SIZE, SIZE)[..., None] / 255  # pyright: ignore
    flat = [np.dstack([each[..., :3] * each[..., 3:], each[..., 3:]]) for each in (without, whole)]
    wanted = flat[0] + (flat[1] - flat[0]) * share
    straight = np.dstack(
        [wanted[..., :3] / np.where(wanted[..., 3:] > 0, wanted[..., 3:], 1), wanted[..., 3:]]
    )
    assert furthest(part, straight * 255) <= 1.5


@pytest.mark.parametrize("mode", ["normal", "multiply", "hue"])
def test_a_clipped_layer_is_seen_where_its_base_is(mode: BlendMode) -> None:
    base, low = layer(1, opacity=0.8), layer(0)
    clipped = layer(2, clipped=True, blend_mode=mode)
    # as if the base were opaque, then cut out by its alpha
    opaque = base.image.copy()
    opaque[..., 3] = 255
    colour = scene(Layer(image=opaque), replace(clipped, clipped=False)).composite()
    wanted = replace(base, image=np.dstack([colour[..., :3], base.image[..., 3]]))
    assert furthest(scene(low, base, clipped), scene(low, wanted)) <= 1.01
    # hidden with its base, and the base's mode is that of both
    assert furthest(scene(low, replace(base, visible=False), clipped), scene(low)) == 0
    screened = replace(base, blend_mode="screen"), replace(wanted, blend_mode="screen")
    assert furthest(scene(low, screened[0], clipped), scene(low, screened[1])) <= 1.01


def test_what_is_clipped_to_nothing_is_seen_as_it_is() -> None:
    alone = layer(0, clipped=True)
    assert furthest(scene(alone), scene(replace(alone, clipped=False))) == 0


@pytest.mark.parametrize("outside", [0, 77, 255])
def test_a_mask_is_a_share_of_alpha(outside: int) -> None:
    masked = layer(1, mask=mask(6, outside=outside))
    share = flatten.mask_values(masked.mask, 0, 0, SIZE, SIZE) / 255  # pyright: ignore
    wanted = masked.image.copy()
    wanted[..., 3] = np.floor(wanted[..., 3] * share + 0.5)
    assert furthest(scene(masked), wanted) <= 1.01
    off = replace(masked, mask=replace(masked.mask, enabled=False))  # pyright: ignore
    assert furthest(scene(off), masked.image) == 0


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Mask(image=np.zeros((3, 3))), "a mask of uint8"),
        (lambda: Mask(image=np.zeros((3, 3), np.uint8), outside=256), "0 to 255 outside"),
    ],
)
def test_nonsense_is_refused(build: Callable[[], object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        build()


def rich(modes: tuple[BlendMode, ...]) -> Scene:
    """A layer in each mode, groups of all kinds, clipped layers and masks."""
    isolated = Group(name="isolated", blend_mode="multiply", opacity=128 / 255, mask=mask(7, outside=255))
    passing = Group(name="passing", blend_mode="pass_through")
    each = [layer(number, blend_mode=mode, opacity=200 / 255) for number, mode in enumerate(modes)]
    return scene(
        *each,
        layer(50, groups=(isolated,)),
        layer(51, groups=(isolated,), blend_mode="screen"),
        layer(52, groups=(passing,), blend_mode="darken"),
        layer(53, blend_mode="overlay", mask=mask(8)),
        layer(54, clipped=True, mask=mask(9, outside=255)),
        layer(55, clipped=True, visible=False),
    )


PSD_MODES: tuple[BlendMode, ...] = ("normal", *BLEND_FUNCTIONS)


@pytest.mark.parametrize(
    ("ending", "modes"), [("psd", PSD_MODES), ("ora", MODES), ("zip", MODES)], ids=["psd", "ora", "zip"]
)
def test_files_keep_how_layers_are_shown(ending: str, modes: tuple[BlendMode, ...], tmp_path: Path) -> None:
    before = rich(modes)
    after = Scene.open(before.save(tmp_path / f"x.{ending}"))
    assert furthest(before, after) <= 1.01
    again = Scene.open(after.save(tmp_path / f"y.{ending}"))
    assert np.array_equal(after.composite(), again.composite())

    def seen(scene: Scene) -> list[object]:
        return [
            (node.name, node.blend_mode, node.clipped, node.visible, node.mask is not None)
            for each in scene.layers
            for node in (each, *each.groups)
        ]

    assert seen(after) == seen(again)
    if ending != "ora":  # which has no masks of layers, and a stack for those that are clipped
        assert seen(before) == seen(after)
        for old, new in zip(before.layers, after.layers, strict=True):
            assert (old.mask is None) == (new.mask is None)
            if old.mask is not None and new.mask is not None:
                assert np.array_equal(old.mask.image, new.mask.image)
                assert (old.mask.offset, old.mask.outside) == (new.mask.offset, new.mask.outside)


@pytest.mark.parametrize("ending", ["psd", "ora", "zip"])
def test_a_group_alone_keeps_its_mask(ending: str, tmp_path: Path) -> None:
    group = Group(mask=mask(1))
    before = scene(layer(0, groups=(group,)), layer(1, groups=(group, Group(mask=mask(2)))))
    assert furthest(before, Scene.open(before.save(tmp_path / f"x.{ending}"))) <= 1.01


def test_a_tiff_shows_what_it_cannot_keep(tmp_path: Path) -> None:
    before = rich(("normal", "multiply"))
    after = Scene.open(before.save(tmp_path / "x.tiff"))
    assert furthest(before, after) <= 2


def test_what_a_format_cannot_hold_is_refused_and_nothing_written(tmp_path: Path) -> None:
    plus = scene(layer(0), layer(1, blend_mode="plus"))
    with pytest.raises(InputError, match="found plus of 'layer 1'"):
        plus.save(tmp_path / "x.psd")
    burnt = scene(layer(0), layer(1), layer(2, clipped=True, blend_mode="color_burn"))
    with pytest.raises(InputError, match="'layer 2', which blends by color_burn"):
        burnt.save(tmp_path / "x.ora")
    passing = Group(blend_mode="pass_through", mask=mask(0))
    with pytest.raises(InputError, match="a mask of 'group'"):
        scene(layer(0, groups=(passing,))).save(tmp_path / "x.ora")
    faded = Group(blend_mode="pass_through", opacity=0.5)
    with pytest.raises(InputError, match="an opacity of 'group'"):
        scene(layer(0), layer(1, groups=(faded,), blend_mode="multiply")).save(tmp_path / "x.ora")
    assert list(tmp_path.iterdir()) == []


def test_a_faded_group_that_passes_through_is_kept_where_that_makes_no_difference(tmp_path: Path) -> None:
    faded = Group(blend_mode="pass_through", opacity=0.5)
    before = scene(layer(0), layer(1, groups=(faded,)), layer(2, groups=(faded,)))
    assert furthest(before, Scene.open(before.save(tmp_path / "x.ora"))) == 0


def test_an_older_reader_is_told_of_what_it_does_not_know(tmp_path: Path) -> None:
    """A scene with blend modes says another version, which earlier releases refuse."""
    from zipfile import ZipFile

    for number, built in ((1, scene(layer(0))), (2, scene(layer(0, blend_mode="multiply")))):
        with ZipFile(built.save(tmp_path / "x.zip")) as archive:
            assert f'"version": {number}' in archive.read("scene.json").decode()
