"""What a call asks for, spelled out picture by picture."""

import pytest

from pellucid.errors import InputError
from pellucid.models.test_time_augmentation import ORIENTATIONS
from pellucid.pipelines.requests import MAX_SEED, PASSES, check_passes, requests_of


@pytest.mark.parametrize("prompt", [3, None, b"a", ["a", 3], {"a"}])
def test_what_is_no_text_is_refused(prompt: object) -> None:
    with pytest.raises(InputError, match="as text or a list"):
        requests_of(prompt)


def test_without_a_seed_one_is_drawn_and_told() -> None:
    first, second = requests_of("a")[0].seed, requests_of("a")[0].seed
    assert first != second
    assert 0 <= first < 2**32


def test_seeds_wrap_at_the_end() -> None:
    assert [r.seed for r in requests_of("a", count=2, seed=MAX_SEED)] == [MAX_SEED, 0]


def test_a_seed_for_each_picture() -> None:
    assert [r.seed for r in requests_of(["a", "b"], count=2, seed=[4, 3, 2, 1])] == [4, 3, 2, 1]


def test_passes_are_those_of_the_decoder() -> None:
    assert tuple(ORIENTATIONS) == PASSES
    for passes in (0, 3, 9, -1):
        with pytest.raises(InputError, match="1, 2, 4 or 8 passes"):
            check_passes(passes)
