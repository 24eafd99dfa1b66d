import sys
from collections.abc import Callable
from dataclasses import fields

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.errors import InputError, PellucidError
from pellucid.evaluation.metrics import BLEND_COLOURS, blended_metrics
from pellucid.rgba.cleanup import Cleaning, clean
from pellucid.rgba.defects import NINE_COLOURS, Defects, score
from pellucid.rgba.quantization import to_bytes

Picture = npt.NDArray[np.uint8]
SIDE = 128
NOTHING = {"fringe": 0, "dirty": 0, "specks": 0, "holes": 0, "rim": 0}


def disc(centre: tuple[float, float], radius: float, softness: float = 0.5) -> npt.NDArray[np.float64]:
    """Alpha of an anti-aliased disc, [0, 1]; its edge is 2 * softness px wide."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    distance = np.hypot(rows - centre[0], columns - centre[1])
    return np.clip((radius - distance) / (2 * softness) + 0.5, 0, 1)


def image_with(alpha: npt.NDArray[np.float64], colour: tuple[int, int, int] = (200, 60, 30)) -> Picture:
    """A shaded object of one hue; colour 0 where alpha is 0."""
    shade = np.linspace(0.8, 1.1, SIDE)[:, None, None]
    rgb = np.broadcast_to(np.clip(shade * colour, 0, 255), (SIDE, SIDE, 3))
    rgba = np.dstack([rgb, 255 * alpha]).round().astype(np.uint8)
    rgba[rgba[..., 3] == 0] = 0
    return rgba


def apple() -> Picture:
    return image_with(disc((64, 60), 40, softness=1))


def smoke() -> Picture:
    """Alpha that falls off as a Gaussian, colour that changes on the way, no solid pixel."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    alpha = 0.7 * np.exp(-((rows - 64) ** 2 + (columns - 64) ** 2) / (2 * 22**2))
    rgba = image_with(alpha, (190, 190, 200))
    rgba[..., 2] = np.where(rgba[..., 3] > 0, columns + 100, 0)
    return rgba


def goblet() -> Picture:
    """Opaque wine in glass of alpha 0.2 with a thin bright rim of alpha 0.8, a highlight, a glow around."""
    glow = 0.4 * np.exp(-(((np.mgrid[:SIDE, :SIDE] - 64) ** 2).sum(0)) / (2 * 25**2))
    rim = disc((64, 64), 44) - disc((64, 64), 42)
    alpha = np.maximum.reduce([0.2 * disc((64, 64), 44), 0.8 * rim, glow, disc((76, 64), 18)])
    rgba = image_with(alpha, (120, 20, 60))
    bright = (rim > 0.1) | (disc((40, 50), 6) > 0.1)
    rgba[bright, :3] = 240
    return rgba


def mixed_with(rgba: Picture, back: tuple[int, int, int]) -> Picture:
    """A composite on a colour, taken as straight colour."""
    share = rgba[..., 3:] / 255
    mixed = rgba.copy()
    mixed[..., :3] = to_bytes((rgba[..., :3] * share + np.array(back) * (1 - share)) / 255)
    return mixed


def psnr(found: Picture, wanted: Picture) -> float:
    return blended_metrics(found, wanted)["mean"]


def values(faults: Defects) -> dict[str, float]:
    return {each.name: getattr(faults, each.name) for each in fields(faults) if "_by_" not in each.name}


def plant_dirt(rgba: Picture) -> None:
    rgba[:20, :30, 3] = 3
    rgba[60:64, 50:60, 3] = 251


def plant_speck(rgba: Picture) -> None:
    rgba[8, 110, 3] = 90


def plant_hole(rgba: Picture) -> None:
    rgba[70, 50, 3] = 20


def plant_fringe(rgba: Picture) -> None:
    rgba[...] = mixed_with(rgba, (255, 255, 255))


PLANTED = {"dirty": plant_dirt, "specks": plant_speck, "holes": plant_hole, "fringe": plant_fringe}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_raises_its_own_score_alone_and_is_mended(fault: str) -> None:
    faulty = apple()
    PLANTED[fault](faulty)
    before, planted, after = (values(score(each)) for each in (apple(), faulty, clean(faulty)))
    assert {name for name in before if planted[name] > before[name] + 1e-9} == {fault}
    assert after[fault] <= before[fault] + 1e-9 or fault == "fringe"
    if fault in ("dirty", "specks"):
        assert np.array_equal(clean(faulty), apple())
    if fault != "fringe":
        assert np.array_equal(clean(faulty)[..., 3], apple()[..., 3])
        untouched = (faulty == apple()).all(axis=-1)
        assert np.array_equal(clean(faulty)[untouched], faulty[untouched])


def test_the_numbers_are_those_planted() -> None:
    faulty = apple()
    assert values(score(faulty)) == pytest.approx(NOTHING, abs=0.06)
    for plant in (plant_dirt, plant_speck, plant_hole):
        plant(faulty)
    faulty[100:102, 120, 3] = faulty[80, 60, 3] = 30  # another of two pixels, another hole
    found = score(faulty)
    assert (found.dirty, found.specks, found.holes) == (640 / SIDE**2, 2, 2)


@pytest.mark.parametrize("draw", [apple, smoke, goblet])
def test_a_clean_image_comes_back_bit_for_bit(draw: Callable[[], Picture]) -> None:
    rgba = draw()
    kept = rgba.copy()
    assert np.array_equal(clean(rgba), kept)
    assert np.array_equal(rgba, kept)
    assert clean(rgba) is not rgba


@given(st.integers(20, 60), st.floats(0.3, 30), st.integers(0, 255))
def test_a_disc_of_any_softness_comes_back_bit_for_bit(radius: int, softness: float, level: int) -> None:
    rgba = image_with(disc((64, 64), radius, softness), (level, 90, 40))
    assert np.array_equal(clean(rgba), rgba)


def test_cleaning_twice_is_cleaning_once() -> None:
    rgba = apple()
    for plant in PLANTED.values():
        plant(rgba)
    once = clean(rgba)
    assert np.array_equal(clean(once), once)


@pytest.mark.parametrize("draw", [smoke, goblet])
@pytest.mark.parametrize("foreground", ["auto", "estimate"])
def test_noisy_soft_images_do_not_get_worse(draw: Callable[[], Picture], foreground: str) -> None:
    rng, rgba = np.random.default_rng(3), draw()
    noisy = rgba.copy()
    noisy[..., 3] = np.clip(rgba[..., 3] + rng.integers(-2, 3, (SIDE, SIDE)), 0, 255)
    background = "#808080" if foreground == "estimate" else None
    found = clean(noisy, Cleaning(foreground=foreground, background=background))
    assert psnr(found, rgba) > psnr(noisy, rgba) - 0.05


@pytest.mark.parametrize("back", [(0, 0, 0), (128, 128, 128), (255, 255, 255), (20, 200, 40)])
def test_a_background_left_in_the_edges_is_found_and_taken_out(back: tuple[int, int, int]) -> None:
    mixed = mixed_with(apple(), back)
    before, after, known = (
        psnr(each, apple()) for each in (mixed, clean(mixed), clean(mixed, Cleaning(background=back)))
    )
    assert after > before + 12
    assert known > before + 20
    assert score(clean(mixed)).fringe < score(mixed).fringe / 8


def test_a_known_background_leaves_glass_too() -> None:
    mixed = mixed_with(goblet(), (128, 128, 128))
    assert psnr(clean(mixed, Cleaning(background="#808080")), goblet()) > psnr(mixed, goblet()) + 20


def test_pymatting_takes_a_photograph_out_of_edges() -> None:
    rng = np.random.default_rng(2)
    photo = cv2.resize(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8), (SIDE, SIDE))
    share = apple()[..., 3:] / 255
    cut = np.dstack([to_bytes((apple()[..., :3] * share + photo * (1 - share)) / 255), apple()[..., 3]])
    found = clean(cut, Cleaning(foreground="estimate"))
    assert psnr(found, apple()) > psnr(cut, apple()) + 5
    assert np.array_equal(found[..., 3], cut[..., 3])
    assert np.array_equal(clean(cut, Cleaning(foreground="keep")), cut)


def test_colour_that_one_background_does_not_explain_stays() -> None:
    rgba = apple()
    edge = (rgba[..., 3] > 0) & (rgba[..., 3] < 255)
    rgba[edge, :3] = np.random.default_rng(0).integers(0, 256, (int(edge.sum()), 3))
    assert score(rgba).fringe > 5
    assert np.array_equal(clean(rgba), rgba)


def test_fringe_is_what_a_calculation_by_hand_gives() -> None:
    rgba = np.zeros((9, 9, 4), np.uint8)
    rgba[:, :4] = (100, 100, 100, 255)
    rgba[:, 4] = (255, 100, 100, 102)  # 0.4 of red 255 beside solid 100
    found = score(rgba).fringe_by_colour
    # shown on black (102, 40, 40), and the mix that is nearest in the worst channel is grey 71
    assert found["black"] == pytest.approx(31, abs=0.01)
    # on white (255, 193, 193) the nearest grey lies in the middle again
    assert found["white"] == pytest.approx(31, abs=0.01)
    # on red (255, 40, 40): 100 and red 255 mix to (t 255 + (1 - t) 100, (1 - t) 100, ...)
    least = min(max(155 * (1 - t), abs(100 * (1 - t) - 40)) for t in np.linspace(0, 1, 10001))
    assert found["red"] == pytest.approx(least, abs=0.02)


def test_gaps_of_a_mesh_and_confetti_are_no_faults() -> None:
    mesh = apple()
    mesh[50:70:3, 40:60:3, 3] = 0
    confetti = np.zeros((SIDE, SIDE, 4), np.uint8)
    confetti[::9, ::9] = 255
    for rgba in (mesh, confetti):
        assert values(score(rgba)) == pytest.approx(NOTHING, abs=0.06)
        assert np.array_equal(clean(rgba), rgba)


def test_hidden_colour_is_extended_where_an_image_has_some() -> None:
    rgba = apple()
    rgba[rgba[..., 3] == 0, :3] = (7, 8, 9)
    plant_speck(rgba)
    rgba[8, 110, :3] = (0, 255, 0)
    red, green, _, alpha = clean(rgba)[8, 110]
    assert (alpha, red > 150, green < 80) == (0, True, True)
    assert clean(rgba)[0, 0].tolist() == [7, 8, 9, 0]


def test_holes_take_the_colour_around() -> None:
    rgba = apple()
    rgba[60, 50] = (0, 255, 0, 0)
    assert np.abs(clean(rgba)[60, 50].astype(int) - apple()[60, 50]).max() <= 2


def test_options_turn_steps_off() -> None:
    rgba = apple()
    for plant in PLANTED.values():
        plant(rgba)
    off = Cleaning(noise_threshold=0, speckle_share=0, foreground="keep")
    assert np.array_equal(clean(rgba, off), rgba)
    assert score(clean(rgba, Cleaning(speckle_share=0))).specks == 1
    assert score(clean(rgba, Cleaning(noise_threshold=2))).dirty > 0


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 7)])
@pytest.mark.parametrize("level", [0, 5, 130, 252, 255])
def test_images_of_one_alpha_and_any_size_stay(size: tuple[int, int], level: int) -> None:
    rgba = np.full((*size, 4), level, np.uint8)
    assert np.array_equal(clean(rgba), rgba)
    assert score(rgba).fringe == 0


def test_the_nine_colours_are_those_of_the_evaluation() -> None:
    assert {name: tuple(255 * level for level in colour) for name, colour in BLEND_COLOURS.items()} == dict(
        NINE_COLOURS
    )
    assert list(score(apple()).fringe_by_colour) == list(NINE_COLOURS)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="uint8"):
        clean(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(InputError, match="0 to 63 levels"):
        Cleaning(noise_threshold=64)
    with pytest.raises(InputError, match="speckle share"):
        score(apple(), speckle_share=float("nan"))
    with pytest.raises(InputError, match="auto, estimate or keep"):
        Cleaning(foreground="best")
    with pytest.raises(InputError, match="Expected a colour"):
        Cleaning(background="grey")


def test_without_pymatting_the_estimate_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymatting", None)
    with pytest.raises(PellucidError, match=r"pellucid\[clean\]"):
        clean(apple(), Cleaning(foreground="estimate"))
