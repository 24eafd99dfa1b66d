"""What people keep, learned from verdicts: figures that hold on other prompts, files that cannot run code."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file

from data.loose_images import encode, subject
from pellucid.apps.cli import cli
from pellucid.data.estimates import wilson
from pellucid.data.records import Record
from pellucid.data.verdict_scores.features import Features, feature_names, image_features, plugin_features
from pellucid.data.verdict_scores.learning import Judged, learn, threshold_at
from pellucid.data.verdict_scores.score import CARD, TENSORS, VerdictScore, load_score
from pellucid.data.verdict_scores.verdicts import read_verdicts
from pellucid.errors import ConfigError, InputError, WeightsError
from pellucid.rgba.types import RGBA8
from screening import PLAIN, draw, say, verdict

COUNT = 120
KNOWN: dict[tuple[tuple[int, ...], bytes], Features] = {}


def judged(number: int) -> Judged:
    """Every other image has holes and specks, as a model's failures have, and nearly all of those go."""
    rgba = subject(number)
    rng = np.random.default_rng((7, number))
    spoilt = number % 2 == 1
    if spoilt:
        rgba[..., 3] = np.where(rng.random(rgba.shape[:2]) < 0.1, 255 - rgba[..., 3], rgba[..., 3])
    kept = bool(rng.random() < (0.1 if spoilt else 0.85))
    return Record(name=f"n{number}", label="", prompt=f"thing {number % 30}"), rgba, kept


@pytest.fixture(scope="module")
def images() -> list[Judged]:
    return [judged(number) for number in range(COUNT)]


@pytest.fixture(scope="module")
def score(images: list[Judged]) -> VerdictScore:
    return learn(images, recall=0.9, source="test")


@pytest.fixture(autouse=True)
def features_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of the time of `learn`, and the same for the same image, as the test below says."""

    def remembered(rgba: RGBA8) -> Features:
        key = rgba.shape, rgba.tobytes()
        if key not in KNOWN:
            KNOWN[key] = image_features(rgba)
        return KNOWN[key]

    monkeypatch.setattr("pellucid.data.verdict_scores.learning.image_features", remembered)


def test_features_are_named_finite_and_the_same_for_the_same_image() -> None:
    features = image_features(subject(1))
    assert features.shape == (len(feature_names()),)
    assert np.isfinite(features).all()
    assert np.array_equal(features, image_features(subject(1)))
    assert not np.array_equal(features, image_features(subject(2)))
    for extreme in (np.zeros((9, 70, 4), np.uint8), np.full((70, 9, 4), 255, np.uint8)):
        assert np.isfinite(image_features(extreme)).all()


def test_colour_hidden_under_alpha_0_is_no_feature() -> None:
    plain = subject(3)
    hidden = plain.copy()
    hidden[hidden[..., 3] == 0, :3] = 200
    names, (first, second) = np.array(feature_names()), (image_features(plain), image_features(hidden))
    assert np.allclose(first[names != "fringe"], second[names != "fringe"], atol=1e-5)


def test_what_was_learned_holds_and_its_figures_are_those_of_the_threshold(score: VerdictScore) -> None:
    card = score.card
    assert card.area > 0.8
    assert card.brier < card.brier_of_base_rate
    assert card.recall.value >= 0.9
    assert card.precision.value > card.kept / card.images + 0.15
    assert card.precision.low < card.precision.value < card.precision.high
    assert card.taken.n == card.images == COUNT
    assert card.recall == wilson(round(card.recall.value * card.kept), card.kept)


def test_an_image_is_the_less_certain_the_nearer_its_score_is_to_a_half(score: VerdictScore) -> None:
    found = [score.of_round(rgba, record) for record, rgba, _ in map(judged, range(COUNT, COUNT + 20))]
    by_verdict = sorted(found, key=lambda each: abs(each["verdict"] - 0.5))
    assert by_verdict == sorted(found, key=lambda each: -each["uncertainty"])
    assert all(0 <= each["uncertainty"] <= 1 for each in found)


def test_scores_of_new_images_are_probabilities_that_tell_good_from_bad(score: VerdictScore) -> None:
    new = [judged(number) for number in range(COUNT, COUNT + 20)]
    found = np.array([score.of_image(rgba, record) for record, rgba, _ in new])
    assert ((found >= 0) & (found <= 1)).all()
    assert found[::2].min() > found[1::2].max() - 0.2
    assert found[::2].mean() > 0.6 > 0.4 > found[1::2].mean()


def test_verdicts_without_sense_teach_nothing() -> None:
    rng = np.random.default_rng(0)
    noise = [
        (Record(name=str(i), label=str(i)), subject(i % 40), bool(rng.random() < 0.5)) for i in range(60)
    ]
    card = learn(noise).card
    assert card.area < 0.72
    assert card.precision.low < card.kept / card.images


def test_the_threshold_finds_at_least_the_wanted_share() -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert threshold_at(scores, 1.0) == 0.1
    assert threshold_at(scores, 0.9) == 0.2
    assert threshold_at(scores, 0.85) == 0.2
    assert threshold_at(scores, 0.01) == 1.0


def test_a_saved_score_says_the_same_and_other_files_are_refused(score: VerdictScore, tmp_path: Path) -> None:
    score.save(tmp_path)
    load_score.cache_clear()
    loaded = load_score(str(tmp_path))
    record, rgba, _ = judged(3)
    assert loaded.of_image(rgba, record) == score.of_image(rgba, record)
    assert loaded.card == score.card
    page = (tmp_path / "README.md").read_text()
    assert f"{score.card.precision.value:.1%}" in page
    load_score.cache_clear()
    whole = (tmp_path / CARD).read_text()
    (tmp_path / CARD).write_text(whole.replace("alpha step 0", "another"))
    with pytest.raises(WeightsError, match="Learn it again"):
        load_score(str(tmp_path))
    (tmp_path / CARD).write_text(whole)
    arrays = load_file(tmp_path / TENSORS)
    save_file({**arrays, "mean": arrays["mean"][:3]}, tmp_path / TENSORS)
    with pytest.raises(WeightsError, match="Expected a score"):
        load_score(str(tmp_path))
    with pytest.raises(WeightsError, match="Expected a score"):
        load_score(str(tmp_path / "nothing"))


def redness(rgba: RGBA8, record: Record) -> list[float]:
    """A feature of one's own."""
    del record
    return [float(rgba[..., 0].mean())]


def nonsense(rgba: RGBA8, record: Record) -> list[float]:
    """No feature."""
    del rgba, record
    return [float("nan")]


def test_a_plug_in_adds_features(images: list[Judged], tmp_path: Path) -> None:
    score = learn(images[:80], plugin="data.verdict_scores.test_learning:redness")
    assert score.card.features[-1] == "plug-in 0"
    score.save(tmp_path)
    record, rgba, _ = images[0]
    assert load_score(str(tmp_path)).of_image(rgba, record) == score.of_image(rgba, record)
    with pytest.raises(ConfigError, match="finite numbers"):
        plugin_features("data.verdict_scores.test_learning:nonsense", rgba, record)


@pytest.mark.parametrize(
    ("chosen", "recall", "words"),
    [
        (slice(0, 20), 0.9, "Review more"),
        (slice(0, 0), 0.9, "found none"),
        (slice(0, 80), 0.0, "recall above 0"),
        (slice(0, 120, 30), 0.9, "Review more"),
    ],
)
def test_too_little_to_learn_from_is_refused(
    images: list[Judged], chosen: slice, recall: float, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        learn(images[chosen], recall=recall)


def test_images_of_few_prompts_are_refused(images: list[Judged]) -> None:
    some = images[:60]
    same = [(Record(name=record.name, label="", prompt="a cat"), rgba, kept) for record, rgba, kept in some]
    with pytest.raises(InputError, match="Sample more prompts"):
        learn(same)


def test_verdicts_come_from_a_list_of_files(images: list[Judged], tmp_path: Path) -> None:
    lines: list[str] = []
    for record, rgba, kept in images[:60]:
        (tmp_path / f"{record.name}.png").write_bytes(encode(rgba))
        decision = "keep" if kept else "reject"
        lines.append(
            json.dumps({"image": f"{record.name}.png", "decision": decision, "prompt": record.prompt})
        )
    path = tmp_path / "verdicts.jsonl"
    path.write_text("\n".join(lines))
    read = list(read_verdicts(path))
    assert [(record.prompt, kept) for record, _, kept in read] == [
        (record.prompt, kept) for record, _, kept in images[:60]
    ]
    assert np.array_equal(read[5][1], images[5][1])
    arguments = ["data", "learn", str(path), "-o", str(tmp_path / "score")]
    result = CliRunner().invoke(cli, [*arguments, "--recall", "0.8", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["wanted_recall"] == 0.8
    assert (tmp_path / "score" / CARD).is_file()
    assert "precision" in CliRunner().invoke(cli, arguments).stdout
    path.write_text('{"image": "a.png", "decision": "perhaps"}')
    with pytest.raises(InputError, match="line 1"):
        list(read_verdicts(path))
    with pytest.raises(InputError, match="Review a round"):
        list(read_verdicts(tmp_path))


def test_verdicts_come_from_the_store_of_rounds(tmp_path: Path) -> None:
    from dataclasses import replace

    from sqlalchemy import select

    from pellucid.data.rounds.beginning import begin_round
    from pellucid.data.rounds.database import open_store
    from pellucid.data.rounds.prompts import shipped_grammar
    from pellucid.data.rounds.sampling import sample_round
    from pellucid.data.rounds.tables import Sample

    store = open_store(tmp_path)
    begin_round(store, replace(PLAIN, samples=6), data=["fluent-3d"])
    sample_round(store, shipped_grammar(), draw, model="m")
    with store.reading() as session:
        samples = list(session.scalars(select(Sample).order_by(Sample.place)))
    for sample in samples[:4]:
        say(store, "ann", verdict(sample.id, "keep" if sample.place % 2 else "reject"))
    say(store, "bob", verdict(samples[3].id, "reject"))
    store.close()
    read = list(read_verdicts(tmp_path))
    assert [kept for _, _, kept in read] == [False, True, False]
    assert [record.prompt for record, _, _ in read] == [sample.prompt for sample in samples[:3]]
    assert np.array_equal(read[0][1], draw([""], [0 + 1_000_000])[0])
