"""Images by the million, in small: the same bytes on any way, the funnel, provenance and learned scores."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file

import pellucid
import tiny
from data.loose_images import encode, subject
from pellucid.apps.cli import cli
from pellucid.data.engines import Engine, LocalEngine, ProcessEngine, RayEngine
from pellucid.data.filters.rules import Rules
from pellucid.data.ingest.assembly import Manifest
from pellucid.data.ingest.parts import Dropped, judge
from pellucid.data.records import Record
from pellucid.data.shards import read_shard
from pellucid.data.verdict_scores.learning import Judged, learn
from pellucid.data.verdict_scores.score import NAME, load_score
from pellucid.errors import FileError, InputError, WeightsError
from pellucid.rgba.types import RGBA8
from pellucid.synthesis.image_run import ImagePlan, run_images
from pellucid.synthesis.models import ImageOptions, ModelSource
from synthesis.engines import stopping_after

LOOSE = Rules(
    min_side_px=8,
    opaque=True,
    min_visible=0,
    max_checkerboard=1,
    max_matte=1,
    max_fringe=1e9,
    max_dirty=1,
    duplicates=True,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.save_mini(tmp_path_factory.mktemp("models") / "mini"))


def plan(folder: Path, model: str, **more: object) -> ImagePlan:
    values: dict[str, object] = {
        "folder": str(folder),
        "count": 7,
        "source": ModelSource(model=model),
        "options": ImageOptions(num_inference_steps=1, height=32, width=24),
        "rules": LOOSE,
        "licence": "CC0-1.0",
        "part_length": 3,
        "shard_length": 4,
    }
    return ImagePlan(**{**values, **more})  # type: ignore[arg-type]


def checksums(manifest: Manifest) -> list[str]:
    return [shard["sha256"] for shard in manifest["shards"]]


def read(folder: Path, manifest: Manifest) -> list[tuple[Record, RGBA8]]:
    return [sample for shard in manifest["shards"] for sample in read_shard(folder / shard["file"])]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, model: str) -> tuple[Path, Manifest]:
    folder = tmp_path_factory.mktemp("whole")
    return folder, run_images(plan(folder, model), LocalEngine())


def test_a_set_says_of_each_image_how_it_was_made(whole: tuple[Path, Manifest], model: str) -> None:
    folder, manifest = whole
    assert manifest["images"] == manifest["listed"] == 7
    assert [shard["images"] for shard in manifest["shards"]] == [4, 3]
    samples = read(folder, manifest)
    record, rgba = samples[5]
    assert rgba.shape == (32, 24, 4)
    assert (record.name, record.seed, record.licence) == ("made-00000005", 5, "CC0-1.0")
    assert record.prompt == record.label != ""
    assert record.model.startswith(f"{model} ")
    assert len({record.prompt for record, _ in samples}) > 3
    assert not (folder / "parts").exists()


@pytest.mark.parametrize(
    "engine",
    [
        LocalEngine(),
        pytest.param(ProcessEngine(2), marks=pytest.mark.slow),
        pytest.param("ray", marks=pytest.mark.slow),
    ],
    ids=["local", "processes", "ray"],
)
def test_neither_parts_nor_engines_change_a_byte(
    whole: tuple[Path, Manifest], model: str, tmp_path: Path, engine: Engine | str
) -> None:
    found = RayEngine(workers=2) if isinstance(engine, str) else engine
    try:
        other = run_images(plan(tmp_path, model, part_length=2), found)
    finally:
        if isinstance(engine, str):
            import ray

            ray.shutdown()
    assert checksums(other) == checksums(whole[1])


def test_images_are_cleaned_or_the_rules_would_drop_those_with_a_haze() -> None:
    rgba = pellucid.load().generate("a cat", seed=1).layers[0].image.copy()
    # as decoders leave it that were trained for less long than the shipped one
    hazy = np.random.default_rng(0).random(rgba.shape[:2]) < 0.3
    rgba[hazy, 3] = rgba[hazy, 3].clip(4, 251)
    scene = pellucid.Scene.of(rgba)
    cleaned, raw = (ImageOptions(clean=wanted).image_of(scene) for wanted in (True, False))
    assert np.array_equal(raw, scene.layers[0].image)
    record = Record(name="cat", label="a cat")
    assert not isinstance(judge(cleaned, record, Rules()), Dropped)
    dropped = judge(raw, record, Rules())
    assert isinstance(dropped, Dropped)
    assert dropped.reason == "dirty alpha"


def test_a_batch_changes_the_last_level_at_most(model: str, tmp_path: Path) -> None:
    # not cleaned, since a level more or less may decide whether a pixel is
    options = ImageOptions(num_inference_steps=1, height=32, width=24, clean=False)
    whole = tmp_path / "one", run_images(plan(tmp_path / "one", model, options=options), LocalEngine())
    tmp_path = tmp_path / "three"
    other = run_images(plan(tmp_path, model, options=options, batch_size=3), LocalEngine())
    for (first, one), (second, two) in zip(read(*whole), read(tmp_path, other), strict=True):
        assert first.name == second.name
        assert np.abs(one.astype(int) - two.astype(int)).max() <= 1


def test_a_stopped_run_goes_on_and_its_bytes_stay(
    whole: tuple[Path, Manifest], model: str, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_images(plan(tmp_path, model), stopping_after("make_images", 0))
    assert (tmp_path / "parts" / "part-000000.json").exists()
    assert not (tmp_path / "parts" / "part-000001.json").exists()
    again = run_images(plan(tmp_path, model), LocalEngine())
    assert checksums(again) == checksums(whole[1])
    assert run_images(plan(tmp_path, model), LocalEngine()) == again
    with pytest.raises(InputError, match="rules differ"):
        run_images(plan(tmp_path, model, rules=Rules()), LocalEngine())


def test_prompts_come_by_their_weights_from_a_file_or_a_grammar(model: str, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.tsv"
    prompts.write_text("a cat\t1\tanimals\na dog\t0\na fox\t3\tanimals\n")
    manifest = run_images(plan(tmp_path / "a", model, prompts=str(prompts), count=20), LocalEngine())
    found = read(tmp_path / "a", manifest)
    assert {record.prompt for record, _ in found} == {"a cat", "a fox"}
    assert {record.group for record, _ in found} == {"animals"}
    grammar = tmp_path / "words.toml"
    grammar.write_text('sentences = ["{subject}"]\nsubjects = ["hats"]\n[words]\nhats = ["a top hat"]\n')
    manifest = run_images(plan(tmp_path / "b", model, prompts=str(grammar), count=1), LocalEngine())
    assert read(tmp_path / "b", manifest)[0][0].prompt == "a top hat"
    with pytest.raises(FileError, match="prompts"):
        run_images(plan(tmp_path / "c", model, prompts=str(tmp_path / "none.txt")), LocalEngine())


def test_the_same_rules_as_in_an_ingest_drop_images_and_likes_of_others(model: str, tmp_path: Path) -> None:
    rules = LOOSE.model_copy(update={"min_side_px": 30})
    manifest = run_images(plan(tmp_path / "a", model, rules=rules), LocalEngine())
    assert manifest["dropped"] == {"too small": 7}
    assert len((tmp_path / "a" / "dropped.jsonl").read_text().splitlines()) == 7
    alike = LOOSE.model_copy(update={"duplicates": False})
    manifest = run_images(plan(tmp_path / "b", model, rules=alike), LocalEngine())
    assert manifest["images"] + manifest["dropped"].get("near-duplicate", 0) == 7


def score_folder(folder: Path) -> Path:
    def judged(number: int) -> Judged:
        rgba = subject(number)
        if number % 2:
            rgba[..., 3] //= 3
        return Record(name=str(number), label=str(number)), rgba, number % 2 == 0

    learn([judged(number) for number in range(60)]).save(folder)
    return folder


def test_images_below_the_learned_threshold_are_dropped_with_their_score(model: str, tmp_path: Path) -> None:
    folder = str(score_folder(tmp_path / "score"))
    weights = load_file(tmp_path / "score" / "score.safetensors")
    assert set(weights) == {"mean", "scale", "weights", "calibration"}
    every = run_images(plan(tmp_path / "a", model, score=folder, min_score=0.0), LocalEngine())
    scored = read(tmp_path / "a", every)
    values = sorted(record.scores[NAME] for record, _ in scored)
    assert len(values) == 7
    least = values[3]
    some = run_images(plan(tmp_path / "b", model, score=folder, min_score=least - 1e-4), LocalEngine())
    assert some["images"] + some["dropped"].get(f"score {NAME}", 0) == 7
    assert {record.name for record, _ in read(tmp_path / "b", some)} >= {
        record.name for record, _ in scored if record.scores[NAME] > least
    }
    learned = run_images(plan(tmp_path / "c", model, score=folder), LocalEngine())
    threshold = load_score(folder).card.threshold
    assert learned["images"] == sum(record.scores[NAME] >= round(threshold, 4) for record, _ in scored)
    with pytest.raises(WeightsError, match="Expected a score"):
        run_images(plan(tmp_path / "d", model, score=str(tmp_path)), LocalEngine())


def test_an_image_that_fails_is_set_aside_with_its_reason(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pellucid.pipelines.pipeline import TransparentPipeline

    generate = TransparentPipeline.generate

    def failing(self: TransparentPipeline, prompt: list[str], **options: object) -> object:
        if 4 in options["seed"]:  # type: ignore[operator]
            raise InputError("Expected numbers after 1 steps, found NaN. Take fewer.")
        return generate(self, prompt, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(TransparentPipeline, "generate", failing)
    manifest = run_images(plan(tmp_path, model, batch_size=3), LocalEngine())
    assert manifest["dropped"] == {"failed": 1}
    line = json.loads((tmp_path / "dropped.jsonl").read_text())
    assert line["name"] == "made-00000004"
    assert "found NaN" in line["detail"]


def test_options_that_no_sampler_has_are_refused_before_any_work(model: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="steps"):
        run_images(plan(tmp_path, model, options=ImageOptions(num_inference_steps=0)), LocalEngine())
    assert not (tmp_path / "plan.json").exists()


def test_the_command_learns_from_verdicts_once_and_filters_by_them(model: str, tmp_path: Path) -> None:
    lines: list[str] = []
    for number in range(60):
        rgba = subject(number)
        rgba[..., 3] //= 1 + 2 * (number % 2)
        (tmp_path / f"{number}.png").write_bytes(encode(rgba))
        decision = "reject" if number % 2 else "keep"
        lines.append(json.dumps({"image": f"{number}.png", "decision": decision, "prompt": str(number)}))
    verdicts = tmp_path / "verdicts.jsonl"
    verdicts.write_text("\n".join(lines))
    arguments = ["data", "generate", "-n", "3", "--model", model, "--steps", "1", "--set", "opaque=true"]
    command = [*arguments, "-o", str(tmp_path / "set"), "--scores", str(verdicts), "--json"]
    result = CliRunner().invoke(cli, [*command, "--recall", "0.8"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["listed"] == 3
    card = tmp_path / "set-score" / "score.json"
    assert json.loads(card.read_text())["wanted_recall"] == 0.8
    verdicts.write_text("nothing that could be learned from")
    assert CliRunner().invoke(cli, [*command, "--recall", "0.8"]).exit_code == 0
    for wrong, words in (
        ([*arguments, "-o", "x", "--recall", "0.5"], "Expected --scores"),
        ([*arguments, "-o", "x", "--scores", str(card.parent), "--recall", "0.5"], "Expected --recall"),
        ([*arguments, "-o", "memory://x", "--scores", str(verdicts)], "Expected a local folder"),
    ):
        assert words in str(CliRunner().invoke(cli, wrong).exception)
