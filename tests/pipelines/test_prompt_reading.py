"""The embedded model gets prompts in its own words; metadata keep the user's, and each is told of once."""

import numpy as np
import pytest

import pellucid
from pellucid.pipelines.pipeline import TransparentPipeline


@pytest.fixture(scope="module")
def mini() -> TransparentPipeline:
    return pellucid.load()


def test_a_prompt_in_other_words_gives_the_image_of_its_meaning(mini: TransparentPipeline) -> None:
    lines: list[str] = []
    mini.model.reader.tell = lines.append
    read = mini.generate("Katze", seed=1, num_inference_steps=2)
    mini.generate("Katze", seed=2, num_inference_steps=1)
    plain = mini.generate("cat", seed=1, num_inference_steps=2)
    np.testing.assert_array_equal(read.layers[0].image, plain.layers[0].image)
    assert lines == ['"Katze" is read as "cat".']
    assert read.provenance is not None
    assert read.provenance.prompt == "Katze"
    assert read.provenance.extra["prompt_read_as"] == "cat"
    assert plain.provenance is not None
    assert "prompt_read_as" not in plain.provenance.extra


def test_far_and_long_prompts_are_told_of(mini: TransparentPipeline) -> None:
    lines: list[str] = []
    mini.model.reader.tell = lines.append
    mini.generate(["xqzw", "a cat " + "and a dog " * 12 + "at the very end"], seed=1, num_inference_steps=1)
    assert lines[0].startswith('Unknown: "xqzw"; nearest known: ')
    assert lines[1].startswith("The prompt is too long")
    assert lines[1].endswith('at the very end".')


def test_reading_can_be_turned_off_and_is_off_elsewhere() -> None:
    pipe = pellucid.load(read_prompts=False)
    assert pipe.model.reader.text_of("Katze") == "Katze"
    # the stock pipeline attached once more is anybody's
    attached = TransparentPipeline(pipe.pipeline, pipe.autoencoder)
    assert attached.model.reader.text_of("Katze") == "Katze"
