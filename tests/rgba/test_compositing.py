import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from pellucid.errors import InputError
from pellucid.rgba.compositing import flatten, over, parse_colour, premultiply, unpremultiply

ROUNDINGS = 1e-12
"""A few of float64."""

level_rgba = st.lists(st.integers(0, 255), min_size=4, max_size=4)
levels = level_rgba.map(lambda v: np.array(v, np.uint8).reshape(1, 1, 4))
pixels = level_rgba.map(lambda v: torch.tensor(v, dtype=torch.float64).div(255).view(4, 1, 1))


def rounded(value: Fraction) -> int:
    return int(value + Fraction(1, 2))


@given(front=pixels, middle=pixels, back=pixels)
def test_over_is_associative(front: Tensor, middle: Tensor, back: Tensor) -> None:
    assert_close(over(over(front, middle), back), over(front, over(middle, back)), atol=ROUNDINGS, rtol=0)


@given(front=pixels, middle=pixels, back=pixels)
def test_over_is_associative_in_linear_light(front: Tensor, middle: Tensor, back: Tensor) -> None:
    left = over(over(front, middle, linear=True), back, linear=True)
    right = over(front, over(middle, back, linear=True), linear=True)
    assert_close(left, right, atol=1e-7, rtol=0)  # the published knees of the curve do not meet exactly


@given(front=levels, back=levels)
def test_over_of_bytes_is_the_exact_value_rounded(front: np.ndarray, back: np.ndarray) -> None:
    result = over(front, back)[0, 0].tolist()
    (*front_rgb, fa), (*back_rgb, ba) = front[0, 0].tolist(), back[0, 0].tolist()
    front_alpha, share = Fraction(fa, 255), Fraction(ba, 255) * (1 - Fraction(fa, 255))
    alpha = front_alpha + share
    colour = [
        (f * front_alpha + b * share) / alpha if alpha else Fraction(0)
        for f, b in zip(front_rgb, back_rgb, strict=True)
    ]
    assert result == [*map(rounded, colour), rounded(alpha * 255)]


@given(front=levels, back=levels)
def test_torch_and_numpy_agree_on_bytes(front: np.ndarray, back: np.ndarray) -> None:
    for linear in (False, True):
        first, second = (torch.from_numpy(x).movedim(-1, 0) for x in (front, back))
        assert np.array_equal(
            over(first, second, linear=linear).movedim(0, -1).numpy(), over(front, back, linear=linear)
        )


@given(front=levels, back=levels, linear=st.booleans())
def test_an_opaque_front_wins_and_a_transparent_one_is_neutral(
    front: np.ndarray, back: np.ndarray, linear: bool
) -> None:
    front[..., 3] = 255
    assert np.array_equal(over(front, back, linear=linear), front)
    front[..., 3] = 0
    expected = back if back[0, 0, 3] else np.zeros_like(back)
    assert np.array_equal(over(front, back, linear=linear), expected)
    assert np.array_equal(over(back, front, linear=linear), expected)


@given(front=pixels, back=pixels)
def test_over_an_opaque_back_is_opaque(front: Tensor, back: Tensor) -> None:
    assert over(front, back.index_fill(0, torch.tensor([3]), 1.0))[3].item() == 1.0


@given(rgba=pixels)
def test_unpremultiply_inverts_premultiply(rgba: Tensor) -> None:
    expected = rgba if rgba[3] > 0 else torch.zeros_like(rgba)
    assert_close(unpremultiply(premultiply(rgba)), expected, atol=ROUNDINGS, rtol=0)


@given(rgba=levels)
def test_premultiplied_bytes_survive_a_round_trip(rgba: np.ndarray) -> None:
    once = premultiply(rgba)
    assert np.array_equal(premultiply(unpremultiply(once)), once)
    assert (once[..., :3] <= once[..., 3:]).all()


def test_half_transparent_red_over_blue_is_purple() -> None:
    red, blue = np.array([[[1, 0, 0, 0.5]]]), np.array([[[0, 0, 1, 1.0]]])
    assert over(red, blue).tolist() == [[[0.5, 0, 0.5, 1]]]
    assert_close(
        torch.from_numpy(over(red, blue, linear=True))[0, 0, 0].item(), 0.7353569830524495, atol=1e-9, rtol=0
    )


def test_flatten_takes_colours_and_images() -> None:
    rgba = np.array([[[255, 0, 0, 255], [9, 9, 9, 0]]], np.uint8)
    assert flatten(rgba, "#0f0").tolist() == [[[255, 0, 0], [0, 255, 0]]]
    back = np.full((1, 2, 3), 7, np.uint8)
    assert flatten(rgba, back).tolist() == [[[255, 0, 0], [7, 7, 7]]]
    tensor = torch.rand(2, 4, 5, 6)
    assert flatten(tensor, (255, 255, 255)).shape == (2, 3, 5, 6)
    assert flatten(tensor, torch.rand(2, 3, 5, 6)).shape == (2, 3, 5, 6)


@pytest.mark.parametrize("linear", [False, True])
def test_gradients_are_finite_even_where_nothing_is_visible(linear: bool) -> None:
    front = torch.zeros(4, 3, 3, requires_grad=True)
    over(front, torch.zeros(4, 3, 3), linear=linear).sum().backward()
    assert front.grad is not None
    assert front.grad.isfinite().all()
    premultiplied = torch.zeros(4, 3, 3, requires_grad=True)
    unpremultiply(premultiplied).sum().backward()
    assert premultiplied.grad is not None
    assert premultiplied.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_dtype_is_kept(dtype: torch.dtype) -> None:
    assert over(torch.rand(4, 2, 2).to(dtype), torch.rand(4, 2, 2).to(dtype)).dtype == dtype


def test_a_tensor_with_alpha_last_is_taken_so() -> None:
    front, back = torch.rand(5, 6, 4), torch.rand(5, 6, 4)
    expected = over(front.movedim(-1, 0), back.movedim(-1, 0)).movedim(0, -1)
    assert torch.equal(over(front, back), expected)


def test_leading_axes_broadcast() -> None:
    assert over(np.ones((3, 1, 2, 2, 4)), np.ones((5, 2, 2, 4))).shape == (3, 5, 2, 2, 4)


@pytest.mark.parametrize(
    ("front", "back"),
    [
        (np.ones((2, 2, 3)), np.ones((2, 2, 4))),
        (np.ones((2, 2, 4), np.int32), np.ones((2, 2, 4), np.int32)),
        (np.ones((2, 2, 4)), np.ones((2, 2, 4), np.float32)),
        (np.ones((2, 2, 4)), np.ones((2, 3, 4))),
        (np.ones((2, 2, 2, 4)), np.ones((3, 2, 2, 4))),
        (np.ones((2, 2, 4)), torch.ones(2, 2, 4)),
        ([[1, 2, 3, 4]], np.ones((2, 2, 4))),
    ],
)
def test_what_does_not_fit_is_refused(front: object, back: object) -> None:
    with pytest.raises(InputError, match=r"^Expected .+\. [A-Z]"):
        over(front, back)  # pyright: ignore[reportArgumentType] - what the test is about


@pytest.mark.parametrize("colour", ["red", "#12345", "#gggggg", (1, 2), (0, 0, 256), ""])
def test_what_is_no_colour_is_refused(colour: object) -> None:
    with pytest.raises(InputError, match="Expected a colour"):
        parse_colour(colour)  # type: ignore[arg-type]


def test_a_background_of_another_size_is_refused() -> None:
    with pytest.raises(InputError, match="RGB background"):
        flatten(np.ones((2, 2, 4)), np.ones((3, 2, 3)))


def test_numpy_compositing_loads_no_torch() -> None:
    lines = (
        "import sys, numpy as np",
        "from pellucid.rgba.compositing import over",
        "over(np.ones((1, 1, 4)), np.ones((1, 1, 4)))",
        "assert 'torch' not in sys.modules",
    )
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, env={"PYTHONPATH": "src"})
