"""What a call asks for, spelled out image by image."""

import subprocess
import sys

import numpy as np
import pytest

from pellucid.errors import InputError
from pellucid.models.test_time_augmentation import ORIENTATIONS
from pellucid.pipelines.arguments import (
    MAX_SEED,
    PASSES,
    as_number,
    as_whole_number,
    check_passes,
    expand_requests,
)


@pytest.mark.parametrize("prompt", [3, None, b"a", ["a", 3], {"a"}])
def test_what_is_no_text_is_refused(prompt: object) -> None:
    with pytest.raises(InputError, match="as text or a list"):
        expand_requests(prompt)


def test_without_a_seed_one_is_drawn_and_told() -> None:
    first, second = expand_requests("a")[0].seed, expand_requests("a")[0].seed
    assert first != second
    assert 0 <= first < 2**32


def test_seeds_wrap_at_the_end() -> None:
    assert [r.seed for r in expand_requests("a", count=2, seed=MAX_SEED)] == [MAX_SEED, 0]


def test_a_seed_for_each_image() -> None:
    assert [r.seed for r in expand_requests(["a", "b"], count=2, seed=[4, 3, 2, 1])] == [4, 3, 2, 1]


def test_passes_are_those_of_the_decoder() -> None:
    assert tuple(ORIENTATIONS) == PASSES
    for passes in (0, 3, 9, -1):
        with pytest.raises(InputError, match="1, 2, 4 or 8 passes"):
            check_passes(passes)


@pytest.mark.parametrize("value", ["64", 2.5, None, [3], b"3"])
def test_what_is_no_whole_number_is_told_by_name(value: object) -> None:
    with pytest.raises(InputError, match=r"Expected height as a whole number, found .*\. Pass an int"):
        as_whole_number(value, "height")


@pytest.mark.parametrize("value", ["7", None, [1.0], b"1"])
def test_what_is_no_number_is_told_by_name(value: object) -> None:
    with pytest.raises(InputError, match=r"Expected guidance_scale as a number, found .*\. Pass a float"):
        as_number(value, "guidance_scale")


def test_numpys_numbers_are_numbers() -> None:
    assert as_whole_number(np.int64(3), "height") == 3
    assert as_number(np.float32(0.5), "strength") == 0.5


def test_checking_arguments_loads_no_model_library() -> None:
    """Commands refuse bad arguments at once, and import diffusers without what they do not need later."""
    code = "import sys, pellucid.pipelines.arguments as a\na.expand_requests('a')\n"
    code += "assert not {'torch', 'diffusers', 'transformers'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
