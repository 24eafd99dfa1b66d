"""Scores of a small model: vocabulary, codec, images, speed."""

import json
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

import pellucid
import tiny
from building import present
from pellucid.data.records import Record
from pellucid.data.spread import evenly
from pellucid.errors import ConfigError, InputError
from pellucid.evaluation.eval_data import Vocabulary, read_folder, read_vocabulary, spread
from pellucid.evaluation.generation import (
    edge_width,
    generate_all,
    sample_sheet,
    score_generation,
    transparency,
)
from pellucid.evaluation.pair_scores import PairSettings
from pellucid.evaluation.reconstruction import reconstruct, score_reconstruction
from pellucid.evaluation.report import table
from pellucid.evaluation.speed import score_speed
from pellucid.pipelines.pipeline import TransparentPipeline


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> TransparentPipeline:
    return pellucid.load(tiny.save_mini(tmp_path_factory.mktemp("models") / "mini"))


def sample(label: str, seed: int = 0) -> tuple[Record, np.ndarray]:
    record = Record(
        name=label, label=label, keywords=("a", "b"), group="food", source="s", style="icon", licence="MIT",
        attribution="x", soft=0.0,
    )  # fmt: skip
    return record, np.random.default_rng(seed).integers(0, 256, (40, 40, 4), np.uint8)


def test_a_vocabulary_is_read_beside_the_model_and_options_win(tmp_path: Path) -> None:
    assert read_vocabulary(tmp_path) == Vocabulary()
    (tmp_path / "vocabulary.json").write_text(json.dumps({"sets": ["noto"], "subjects": 3}))
    assert read_vocabulary(tmp_path, groups=(), subjects=None).subjects == 3
    assert read_vocabulary(tmp_path, groups=("food",), subjects=0) == Vocabulary(
        sets=("noto",), groups=("food",), subjects=0
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "readable"),
        ("[]", "list"),
        ('{"set": []}', "found set"),
        ('{"sets": "noto"}', "list of texts"),
        ('{"sets": [1]}', "list of texts"),
        ('{"subjects": true}', "number"),
        ('{"groups": ["fish"]}', "fish"),
        ('{"sets": []}', "at least one"),
        ('{"subjects": -1}', "0 or more"),
    ],
)
def test_a_wrong_vocabulary_is_explained(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "vocabulary.json").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_vocabulary(tmp_path)


def test_captions_are_spread_over_all_subjects() -> None:
    samples = [sample(label) for label in ("apple", "dog", "key", "jar")]
    asked = spread(samples, 8)
    assert [index for _, index in asked] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert asked[0][0] == "apple"
    assert len(spread(samples, 50)) == 50


def test_a_codec_is_scored_at_any_sizes(pipe: TransparentPipeline) -> None:
    images = [np.random.default_rng(0).integers(0, 256, (h, 24, 4), np.uint8) for h in (24, 24, 17)]
    scores = score_reconstruction(pipe, images, passes=1, all_passes=True)
    assert (scores["pictures"], scores["sizes"]) == (3, "17 x 24 to 24 x 24")
    assert set(scores["alpha"]) == {"mae", "sad", "mse", "grad", "conn"}
    assert scores.get("psnr_by_passes_db", {})["1"] == scores["psnr_db"]["mean"]
    alone = [score_reconstruction(pipe, [image], passes=1) for image in images]
    mean = sum(each["alpha"]["mae"] for each in alone) / 3
    assert scores["alpha"]["mae"] == pytest.approx(mean, abs=1e-5)


def test_an_untouched_latent_has_the_identity_of_equal_pictures(pipe: TransparentPipeline) -> None:
    encoder = present(pipe.autoencoder.offset_encoder)
    kept = {name: value.clone() for name, value in encoder.state_dict().items()}
    with torch.no_grad():
        for value in encoder.parameters():
            value.zero_()
    rgba = np.full((16, 16, 4), 128, np.uint8)
    assert score_reconstruction(pipe, [rgba], passes=1)["identity_psnr_db"] == pytest.approx(120)
    encoder.load_state_dict(kept)


def test_a_reconstruction_is_scored_image_by_image(pipe: TransparentPipeline) -> None:
    images = {f"{h}": np.random.default_rng(h).integers(0, 256, (h, 24, 4), np.uint8) for h in (24, 17, 16)}
    found = reconstruct(pipe, images, PairSettings(photographs={}), passes=1)
    assert found.scores == score_reconstruction(pipe, list(images.values()), passes=1)
    assert found.table.names == list(images) == list(found.images)
    for name, wanted in images.items():
        assert found.images[name].shape == wanted.shape
    means = {name: float(np.mean(found.table.values[name])) for name in ("psnr", "mse", "identity")}
    # there before, here after rounding to bytes
    assert means["psnr"] == pytest.approx(found.scores["psnr_db"]["mean"], abs=0.02)
    assert means["mse"] == pytest.approx(found.scores["alpha"]["mse"], abs=1e-3)
    assert means["identity"] == pytest.approx(found.scores["identity_psnr_db"], abs=1e-3)


def test_batches_change_no_image_by_more_than_a_level(pipe: TransparentPipeline) -> None:
    prompts = ["a", "b", "c"]
    one, two = (generate_all(pipe, prompts, batch_size=size, num_inference_steps=1) for size in (1, 2))
    assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(one, two, strict=True))
    assert not np.array_equal(one[0], one[1])


@pytest.mark.parametrize(("total", "count"), [(2, 4), (4, 4), (5, 4), (1, 24), (200, 24)])
def test_what_is_chosen_evenly_is_never_the_same_twice(total: int, count: int) -> None:
    chosen = evenly(total, count)
    assert len(set(chosen)) == min(total, count)
    assert chosen == sorted(chosen)
    assert chosen[0] == 0


def test_a_sheet_of_few_images_shows_each(pipe: TransparentPipeline) -> None:
    subjects = [sample(label, seed) for seed, label in enumerate(("apple", "dog", "key"))]
    found = score_generation(pipe, subjects, captions=3, batch_size=3, num_inference_steps=1)
    sheet = sample_sheet(found)
    cells = [sheet[8:72, 8 + 72 * place : 72 + 72 * place] for place in range(3)]
    assert not np.array_equal(cells[0], cells[1])
    assert not np.array_equal(cells[1], cells[2])


def test_images_are_scored_against_the_vocabulary(pipe: TransparentPipeline) -> None:
    subjects = [sample(label, seed) for seed, label in enumerate(("apple", "dog", "key"))]
    found = score_generation(pipe, subjects, captions=4, batch_size=3, num_inference_steps=1)
    scores = found.scores
    assert (scores["captions"], scores["subjects"], scores["size"]) == (4, 3, "64 x 64")
    assert scores["top5"] == scores["chance_top5"] == 1  # three subjects: all are among the first five
    assert found.captions == [text for text, _ in spread(subjects, 4)]
    table = found.table(PairSettings(photographs={}))
    assert np.mean(table.values["top1"]) == pytest.approx(scores["top1"], abs=1e-4)
    assert [image.shape for image in found.cases(table.names[3])] == [(64, 64, 4)] * 2
    assert set(scores["generated"]) == set(scores["training"])
    with pytest.raises(InputError, match="captions"):
        score_generation(pipe, subjects, captions=0)


def test_transparency_counts_every_pixel_once() -> None:
    alpha = torch.zeros(1, 8, 8)
    alpha[0, :, 4:] = 1
    alpha[0, :, 4] = 0.5
    found = transparency(alpha)
    assert (found["clear"], found["partial"], found["opaque"]) == (0.5, 0.125, 0.375)
    assert found["clear_corners"] == 0
    assert transparency(torch.zeros(2, 8, 8))["clear_corners"] == 1


@pytest.mark.parametrize("soft", [0, 1, 3])
def test_the_width_of_an_edge_is_that_of_its_ramp(soft: int) -> None:
    alpha = torch.zeros(1, 20, 20)
    alpha[:, :, 10:] = 1
    alpha[:, :, 10 : 10 + soft] = torch.arange(1, soft + 1) / (soft + 1)
    assert edge_width(alpha) == soft
    assert edge_width(torch.zeros(1, 4, 4)) == 0


def test_speed_tells_the_first_image_apart(pipe: TransparentPipeline) -> None:
    ticks = count(step=2.0)
    scores = score_speed(lambda: pipe, runs=2, num_inference_steps=1, passes=1, clock=lambda: next(ticks))
    assert scores["load_s"] == scores["first_s"] == scores["median_s"] == 2
    assert (scores["size"], scores["steps"], scores["runs"]) == ("64 x 64", 1, 2)
    memory = scores["peak_memory_mib"]
    assert isinstance(memory, float)
    assert memory > 10


def test_a_table_has_a_line_a_score() -> None:
    text = table({"pictures": 3, "psnr_db": {"black": 20.123, "mean": 0.5}, "memory": None})
    assert text.splitlines() == ["pictures  3", "psnr_db   black 20.12  mean 0.5", "memory    unknown"]


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found none"):
        read_folder(tmp_path)
