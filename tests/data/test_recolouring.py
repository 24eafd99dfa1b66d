"""Recoloured images: the asked hue, the same alpha, the same shading, and nothing that is held out."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid.data.recolouring import (
    COLOURS,
    GREY_CHROMA,
    held_out,
    recolour,
    recolour_all,
)
from pellucid.data.records import Record
from pellucid.rgba.oklab import from_oklab, to_oklab
from pellucid.rgba.types import RGBA8

HUED = [name for name, colour in COLOURS.items() if colour.chroma > 0]


def shaded_disc(rgb: tuple[int, int, int]) -> RGBA8:
    """A disc of one colour, lit from the top left, with a soft edge and a grey spot."""
    y, x = np.mgrid[:48, :48] - 23.5
    light = (0.75 - (x + y) / 120).clip(0.3, 1)[..., None]
    colour = np.rint(np.array(rgb) * light)
    colour[np.hypot(x + 8, y) < 4] = 90
    alpha = (255 * (20.5 - np.hypot(x, y)).clip(0, 1))[..., None]
    return np.concatenate([colour, alpha], axis=2).astype(np.uint8)


def record(label: str) -> Record:
    return Record(name=label, label=label, keywords=("round",), style="icon", group="objects")


@given(st.lists(st.integers(0, 255), min_size=3, max_size=3))
def test_oklab_and_back_is_the_same_byte(rgb: list[int]) -> None:
    value = np.array(rgb) / 255
    assert np.rint(from_oklab(to_oklab(value)) * 255).tolist() == rgb


@pytest.mark.parametrize("name", COLOURS)
@pytest.mark.parametrize("rgb", [(220, 40, 30), (60, 120, 220), (250, 220, 60)])
def test_the_median_is_the_colour_that_was_asked_for(name: str, rgb: tuple[int, int, int]) -> None:
    before, colour = shaded_disc(rgb), COLOURS[name]
    after = recolour(before, colour)
    assert np.array_equal(after[..., 3], before[..., 3])
    solid = (before[..., 3] == 255) & (before[..., :3] != 90).any(axis=2)
    lab = to_oklab(after[solid][:, :3] / 255)
    assert abs(np.median(lab[:, 0]) - colour.lightness) < 0.06
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    if colour.chroma == 0:
        assert np.median(chroma) < GREY_CHROMA
        return
    hue = np.degrees(np.arctan2(np.median(lab[:, 2]), np.median(lab[:, 1])))
    assert abs((hue - colour.hue + 180) % 360 - 180) < 12
    assert np.median(chroma) > 0.6 * colour.chroma


@pytest.mark.parametrize("name", COLOURS)
def test_what_was_lighter_stays_lighter_and_greys_stay_grey(name: str) -> None:
    before = shaded_disc((220, 40, 30))
    after = recolour(before, COLOURS[name])
    spot = (before[..., :3] == 90).all(axis=2)
    assert np.array_equal(before[spot], after[spot])
    chosen = (before[..., 3] == 255) & ~spot
    old, new = (to_oklab(each[chosen][:, :3] / 255)[:, 0] for each in (before, after))
    order = np.argsort(old, kind="stable")
    assert (np.diff(new[order]) > -0.02).all()  # but for the rounding to bytes


def test_a_thing_of_greys_is_tinted_but_for_black_and_white() -> None:
    grey = shaded_disc((170, 170, 170))
    grey[20, 20, :3], grey[30, 20, :3] = 255, 0
    after = recolour(grey, COLOURS["blue"])
    assert np.ptp(after[24, 30, :3].astype(int)) > 60
    assert np.ptp(after[20, 20, :3].astype(int)) < 12
    assert np.ptp(after[30, 20, :3].astype(int)) < 12


def test_a_clear_image_stays_as_it_is() -> None:
    clear = np.zeros((4, 4, 4), np.uint8)
    assert np.array_equal(recolour(clear, COLOURS["red"]), clear)


def test_held_out_pairs_are_never_made_and_a_seed_gives_the_same() -> None:
    samples = [(record(f"thing {i}"), shaded_disc((220, 40, 30))) for i in range(40)]
    made = list(recolour_all(samples, 12, seed=1))
    pairs = {(colour, f"thing {i}") for i in range(40) for colour in COLOURS}
    kept = {pair for pair in pairs if not held_out(pair[1], pair[0])}
    assert {tuple(re.sub("^an? ", "", record.label).split(" ", 1)) for record, _ in made} == kept
    assert 0.05 < 1 - len(kept) / len(pairs) < 0.15
    assert all(each.style == "" and each.keywords == () for each, _ in made)
    again = list(recolour_all(samples, 12, seed=1))
    assert [each for each, _ in again] == [each for each, _ in made]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(made, again, strict=True))
    assert len(list(recolour_all(samples, 3, seed=1))) == 120
