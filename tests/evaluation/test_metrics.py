"""Matting scores after Rhemann et al. 2009, and blends on nine colours."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pellucid.errors import InputError
from pellucid.evaluation.metrics import (
    alpha_conn,
    alpha_grad,
    alpha_mae,
    alpha_mse,
    alpha_sad,
    blended_metrics,
    nearest_rank,
)

Score = Callable[..., float]
SCORES: list[Score] = [alpha_sad, alpha_mse, alpha_grad, alpha_conn]
BYTES = arrays(np.uint8, (7, 9))
EXACT = 1e-12


@pytest.mark.parametrize("score", SCORES)
@given(alpha=BYTES)
def test_equal_alphas_score_zero(score: Score, alpha: np.ndarray) -> None:
    assert score(alpha, alpha) == 0


@pytest.mark.parametrize("score", SCORES)
@given(one=BYTES, two=BYTES)
def test_scores_are_symmetric_and_not_negative(score: Score, one: np.ndarray, two: np.ndarray) -> None:
    assert score(one, two) == pytest.approx(score(two, one), abs=EXACT)
    assert score(one, two) >= 0


@pytest.mark.parametrize("score", SCORES)
@given(one=BYTES, two=BYTES)
def test_bytes_floats_and_tensors_score_alike(score: Score, one: np.ndarray, two: np.ndarray) -> None:
    wanted = score(one, two)
    assert score(one / 255, two / 255) == pytest.approx(wanted, abs=EXACT)
    assert score(torch.from_numpy(one), torch.from_numpy(two)) == pytest.approx(wanted, abs=EXACT)


@pytest.mark.parametrize("score", SCORES)
def test_several_images_score_their_mean(score: Score) -> None:
    one, two = np.random.default_rng(0).random((2, 3, 8, 8))
    apart = [score(*pair) for pair in zip(one, two, strict=True)]
    assert score(one, two) == pytest.approx(np.mean(apart))


def test_sums_are_in_thousands_and_the_mean_square_is_plain() -> None:
    found, wanted = np.full((10, 20), 0.75), np.full((10, 20), 0.25)
    assert alpha_sad(found, wanted) == pytest.approx(200 * 0.5 / 1000)
    assert alpha_mse(found, wanted) == pytest.approx(0.25)
    assert alpha_grad(found, wanted) == pytest.approx(0, abs=EXACT)  # flat images have no edges


def test_the_gradient_is_that_of_the_unit_kernel() -> None:
    found, wanted = np.zeros((21, 21)), np.zeros((21, 21))
    found[10, 10] = 1.0
    # the answer to a single dot is the kernels themselves, whose squares sum to 1 in each direction
    assert alpha_grad(found, wanted) == pytest.approx(2 / 1000)


def test_a_step_edge_has_the_gradient_worked_out_by_hand() -> None:
    found, wanted = np.zeros((30, 40)), np.zeros((30, 40))
    found[:, 20:] = 1.0
    place = np.arange(-4, 5)  # exp(-x**2 / (2 * 1.4**2)) falls under the cutoff beyond 4
    smooth = np.exp(-(place**2) / (2 * 1.4**2))
    slope = place * smooth
    smooth, slope = smooth / np.linalg.norm(smooth), slope / np.linalg.norm(slope)
    answer = np.array([slope[place >= 20 - column].sum() * smooth.sum() for column in range(16, 25)])
    assert alpha_grad(found, wanted) == pytest.approx(30 * (answer**2).sum() / 1000, rel=1e-9)


def test_a_floating_speck_is_disconnected_by_its_whole_alpha() -> None:
    wanted = np.zeros((12, 12))
    wanted[2:8, 2:8] = 1.0
    found = wanted.copy()
    found[10, 10] = 0.8
    assert alpha_conn(found, wanted) == pytest.approx(0.8 / 1000)


def test_connectedness_forgives_less_than_theta() -> None:
    wanted, found = np.full((4, 5), 0.5), np.full((4, 5), 0.6)
    # both join at 0.5, and 0.6 lies only 0.1 above it
    assert alpha_conn(found, wanted) == 0
    # 0.7 lies 0.2 above the level at which the two part
    assert alpha_conn(np.full((4, 5), 0.7), wanted) == pytest.approx(20 * 0.2 / 1000)


def test_corners_do_not_connect() -> None:
    wanted = np.zeros((6, 6))
    wanted[:3, :3] = 1.0
    found = wanted.copy()
    found[3, 3] = 1.0  # touches the square by a corner
    assert alpha_conn(found, wanted) == pytest.approx(1 / 1000)


@pytest.mark.parametrize("score", SCORES)
def test_a_trimap_is_a_mask_of_what_is_unknown(score: Score) -> None:
    one, two = np.random.default_rng(0).random((2, 9, 9))
    trimap = np.zeros((9, 9), np.uint8)
    trimap[3:6, 2:7] = 128
    trimap[7:] = 255
    inside = score(one, two, trimap=trimap)
    assert inside == score(one, two, mask=trimap == 128)
    assert inside == score(one, two, trimap=trimap / 255)
    assert inside != score(one, two)


def test_only_masked_pixels_count() -> None:
    found, wanted = np.ones((4, 4)), np.zeros((4, 4))
    mask = np.zeros((4, 4), bool)
    mask[0, :3] = True
    assert alpha_sad(found, wanted, mask=mask) == pytest.approx(3 / 1000)
    assert alpha_mse(found * 0.5, wanted, mask=mask) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("found", "options", "message"),
    [
        (np.zeros((4, 5)), {}, "one shape"),
        (np.full((4, 4), 255.0), {}, r"\[0, 1\]"),
        (np.full((4, 4), np.nan), {}, r"\[0, 1\]"),
        (np.zeros(16), {}, "shape"),
        (np.zeros((4, 4)), {"mask": np.ones((5, 5))}, "mask of"),
        (np.zeros((4, 4)), {"mask": np.zeros((4, 4))}, "at least one"),
        (np.zeros((4, 4)), {"mask": np.ones((4, 4)), "trimap": np.ones((4, 4))}, "both"),
    ],
)
def test_what_does_not_fit_is_explained(
    found: np.ndarray, options: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        alpha_sad(found, np.zeros((4, 4)), **options)


def test_blends_of_half_red_on_nine_colours_by_hand() -> None:
    red = np.zeros((2, 2, 4))
    red[...] = (1, 0, 0, 0.5)
    clear = np.zeros((2, 2, 4))
    scores = blended_metrics(red, clear)
    assert set(scores) == {
        "black", "grey", "white", "red", "green", "blue", "yellow", "cyan", "magenta", "mean",
    }  # fmt: skip
    assert scores["black"] == pytest.approx(-10 * np.log10(0.25 / 3), abs=1e-4)
    assert scores["cyan"] == pytest.approx(-10 * np.log10(0.25), abs=1e-4)
    assert scores["red"] == pytest.approx(120)


def test_blends_take_bytes_floats_and_tensors_and_ignore_hidden_colour() -> None:
    one, two = np.random.default_rng(0).integers(0, 256, (2, 3, 8, 8, 4), np.uint8)
    wanted = blended_metrics(one, two)
    assert blended_metrics(one / 255, two / 255) == pytest.approx(wanted)
    tensors = [torch.from_numpy(rgba).permute(0, 3, 1, 2) for rgba in (one, two)]
    assert blended_metrics(*tensors) == pytest.approx(wanted)
    hidden = one.copy()
    hidden[..., 3] = 0
    other = hidden.copy()
    other[..., :3] = 255 - other[..., :3]
    assert blended_metrics(hidden[0], other[0])["mean"] == pytest.approx(120)


@given(st.integers(1, 3))
def test_images_without_four_channels_are_refused(channels: int) -> None:
    with pytest.raises(InputError, match="RGBA"):
        blended_metrics(np.zeros((8, 8, channels)), np.zeros((8, 8, channels)))


def test_the_nearest_image_of_a_copy_is_itself_at_any_size() -> None:
    known = torch.rand(5, 4, 32, 32)
    found = known[[3, 1]].repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)
    labels = ["a", "b", "c", "d", "e"]
    assert nearest_rank(found, known, labels, ["d", "b"]) == [1, 1]
    assert nearest_rank(known[:1], known, ["x", "x", "c", "d", "x"], ["x"]) == [1]


def test_the_mean_absolute_error_is_of_alpha_alone() -> None:
    found, wanted = torch.rand(2, 4, 3, 3), torch.zeros(2, 4, 3, 3)
    found[:, 3] = 0.5
    assert alpha_mae(found, wanted) == pytest.approx(0.5)
