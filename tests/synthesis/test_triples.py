"""Synthesised layer triples: what they consist of, what drops them, and runs that go on after a stop."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import pellucid
import tiny
from pellucid.apps.cli import cli
from pellucid.data.chat import NoAnswer
from pellucid.data.engines import Engine, LocalEngine, ProcessEngine
from pellucid.data.filters.triple_rules import (
    TRIPLE_RULES,
    TripleMeasures,
    TripleRules,
    make_triple_rules,
    measure_background,
    measure_changed,
    measure_foreground,
    reason_to_drop_triple,
    structural_similarity,
)
from pellucid.data.ingest.assembly import Manifest
from pellucid.data.layer_composition import read_triples
from pellucid.data.records import Record
from pellucid.data.scene_prompts import Refusal, ScenePrompt
from pellucid.errors import ConfigError, FileError, InputError
from pellucid.pipelines.arguments import SamplingOptions
from pellucid.pipelines.opaque_inpainting import LatentInpainter
from pellucid.rgba.compositing import over
from pellucid.rgba.types import AnyArray
from pellucid.synthesis.models import ImageOptions, InpainterSource, ModelSource
from pellucid.synthesis.triple_run import TriplePlan, run_triples
from pellucid.synthesis.triples import GROWN_PX, FailedTriple, MadeTriple, repainted_share, synthesise
from synthesis.engines import HookedEngine, stopping_after

ANY = TripleRules(
    min_visible=0,
    max_visible=1,
    min_transparent=0,
    max_changed=1e9,
    max_subject=1,
    min_contrast=0,
    max_seam=1e9,
    max_grain=1e9,
)
PROMPT = ScenePrompt(foreground="a cat", background="a beach", composite="a cat on a beach")


def disc(side: int = 64, radius: int = 12) -> AnyArray:
    y, x = np.mgrid[:side, :side] - side / 2 + 0.5
    rgba = np.zeros((side, side, 4), np.uint8)
    rgba[..., :3] = (200, 40, 40)
    rgba[..., 3] = np.where(np.hypot(x, y) < radius, 255, 0)
    return rgba


@pytest.fixture(scope="module")
def made() -> MadeTriple:
    """One triple of the embedded model, with few steps."""
    pipe = pellucid.load()
    inpainter = LatentInpainter(pipe.model, SamplingOptions(num_inference_steps=3))
    triple = synthesise(PROMPT, 5, pipe, inpainter, ANY, options=ImageOptions(num_inference_steps=4))
    assert isinstance(triple, MadeTriple)
    return triple


def test_composite_and_background_are_opaque_and_the_foreground_is_not(made: MadeTriple) -> None:
    assert made.foreground.shape == made.background.shape == made.composite.shape == (256, 256, 4)
    assert (made.background[..., 3] == 255).all()
    assert (made.composite[..., 3] == 255).all()
    assert (made.foreground[..., 3] == 0).mean() > 0.2


def test_the_foregrounds_opaque_pixels_are_kept_to_the_byte(made: MadeTriple) -> None:
    opaque = made.foreground[..., 3] == 255
    assert np.array_equal(made.composite[opaque], made.foreground[opaque])


def test_the_background_is_the_composite_beyond_the_grown_outline(made: MadeTriple) -> None:
    share = repainted_share(made.foreground)
    assert np.array_equal(made.background[share == 0], made.composite[share == 0])
    inside = made.foreground[..., 3] == 255
    assert (made.background[inside] != made.composite[inside]).any(axis=-1).mean() > 0.8


def test_both_layers_make_the_composite_where_nothing_was_repainted(made: MadeTriple) -> None:
    both = over(made.foreground, made.background)
    apart = (repainted_share(made.foreground) == 0) | (made.foreground[..., 3] == 255)
    assert np.array_equal(both[apart], made.composite[apart])


def test_the_same_seed_makes_the_same_and_another_does_not(made: MadeTriple) -> None:
    pipe = pellucid.load()
    inpainter = LatentInpainter(pipe.model, SamplingOptions(num_inference_steps=3))
    for seed in (5, 6):
        again = synthesise(PROMPT, seed, pipe, inpainter, ANY, options=ImageOptions(num_inference_steps=4))
        assert isinstance(again, MadeTriple)
        assert np.array_equal(again.background, made.background) == (seed == 5)


def test_what_is_repainted_is_one_inside_and_falls_to_nothing_outside() -> None:
    share = repainted_share(disc(64, 12))
    middle = share[32]
    assert (middle[21:43] == 1).all()
    assert middle[32 - 12 - GROWN_PX - 1] == 0
    assert (np.diff(middle[:32]) >= 0).all()
    assert not repainted_share(np.zeros((4, 5, 4), np.uint8)).any()


def test_measures_tell_what_went_wrong() -> None:
    subject = disc()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    composite = over(subject, np.dstack([noise, np.full((64, 64), 255, np.uint8)]))[..., :3]
    share = repainted_share(subject)
    known = measure_foreground(subject)
    assert known.visible == pytest.approx((subject[..., 3] > 0).mean())
    still = measure_background(known, subject, composite, composite, share)
    gone = measure_background(known, subject, composite, noise, share)
    assert still.subject == pytest.approx(1)
    assert still.seam == 0
    assert gone.subject < 0.2
    other = measure_background(known, subject, composite, np.full_like(noise, 90), share)
    assert other.seam > 50
    smooth = np.repeat(np.repeat(noise[:4, :4], 16, axis=0), 16, axis=1)
    grainy = measure_background(known, subject, composite, smooth, share)
    assert gone.grain == pytest.approx(1, abs=0.2)
    assert grainy.grain > 3
    assert measure_changed(known, subject, composite).changed == 0
    assert measure_changed(known, subject, noise).changed > 60
    assert np.isnan(measure_changed(known, np.zeros_like(subject), noise).changed)


def test_similarity_is_one_for_the_same_and_no_number_without_a_region() -> None:
    image = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert structural_similarity(image, image, np.ones((8, 8))) == pytest.approx(1)
    assert structural_similarity(image, 255 - image, np.ones((8, 8))) < 0
    assert np.isnan(structural_similarity(image, image, np.zeros((8, 8))))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"visible": 0.001, "transparent": 0.999}, "foreground empty"),
        ({"visible": 0.99, "transparent": 0.01}, "foreground not transparent"),
        ({"visible": 0.9, "transparent": 0.1}, "foreground fills the frame"),
        ({"changed": 60.0}, "subject changed in the composite"),
        ({"subject": 0.9}, "subject still in the background"),
        ({"contrast": 1.0}, "flat background"),
        ({"seam": 60.0}, "seam in the background"),
        ({"grain": 4.0}, "grain around the subject"),
        ({}, None),
    ],
)
def test_every_rule_drops_its_own(values: dict[str, float], reason: str | None) -> None:
    measures = TripleMeasures(**{"visible": 0.4, "transparent": 0.6, **values})
    assert reason_to_drop_triple(measures, TripleRules()) == reason
    assert reason is None or reason in [rule.name for rule in TRIPLE_RULES]


def test_unknown_rules_are_refused() -> None:
    with pytest.raises(ConfigError, match="max_seams"):
        make_triple_rules({"max_seams": 3})


def test_what_the_rules_drop_early_is_not_inpainted() -> None:
    class Refusing:
        knows_subjects = True

        def inpaint(self, *_: object, **__: object) -> AnyArray:
            raise AssertionError("inpainted")

    pipe = pellucid.load()
    rules = TripleRules(min_visible=1.0)
    failed = synthesise(PROMPT, 1, pipe, Refusing(), rules, options=ImageOptions(num_inference_steps=1))
    assert isinstance(failed, FailedTriple)
    assert failed.reason == "foreground empty"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.save_mini(tmp_path_factory.mktemp("models") / "mini"))


def plan(folder: Path, model: str, **more: object) -> TriplePlan:
    values: dict[str, object] = {
        "folder": str(folder),
        "count": 5,
        "source": ModelSource(model=model),
        "inpainter": InpainterSource(num_inference_steps=1),
        "options": ImageOptions(num_inference_steps=1, height=24, width=32),
        "rules": ANY,
        "licence": "CC0-1.0",
        "part_length": 2,
        "shard_length": 3,
    }
    return TriplePlan(**{**values, **more})  # type: ignore[arg-type]


def checksums(manifest: Manifest) -> list[str]:
    return [shard["sha256"] for shard in manifest["shards"]]


def test_a_run_writes_the_composed_layout_with_provenance(tmp_path: Path, model: str) -> None:
    manifest = run_triples(plan(tmp_path, model), LocalEngine())
    assert manifest["images"] == manifest["listed"] == 5
    assert manifest["licences"] == {"CC0-1.0": 5}
    assert [shard["file"] for shard in manifest["shards"]] == ["layers-000000.tar", "layers-000001.tar"]
    scenes = [scene for shard in manifest["shards"] for scene in read_triples(tmp_path / shard["file"])]
    images, about = scenes[4]
    assert images["composite"].shape == (24, 32, 4)
    assert set(about["texts"]) == {"foreground", "background", "composite"}
    front, back = (Record.from_json(values) for values in about["records"])
    assert front.name == "scene-0000004-foreground" == about["of"][0]
    assert front.prompt == about["texts"]["foreground"]
    assert (front.seed, front.licence, back.group) == (4, "CC0-1.0", "background")
    assert front.model.startswith(model)
    assert not (tmp_path / "parts").exists()


def test_a_stopped_run_goes_on_and_its_bytes_stay(tmp_path: Path, model: str) -> None:
    whole = run_triples(plan(tmp_path / "whole", model), LocalEngine())

    with pytest.raises(KeyboardInterrupt):
        run_triples(plan(tmp_path / "again", model), stopping_after("make_triples", 1))
    done = tmp_path / "again" / "parts"
    assert [(done / f"part-00000{number}.json").exists() for number in range(3)] == [True, True, False]
    again = run_triples(plan(tmp_path / "again", model), LocalEngine())
    assert checksums(again) == checksums(whole)
    assert run_triples(plan(tmp_path / "again", model), LocalEngine()) == again


@pytest.mark.parametrize(
    "engine",
    [LocalEngine(), pytest.param(ProcessEngine(1), marks=pytest.mark.slow)],
    ids=["local", "processes"],
)
def test_parts_and_engines_do_not_change_a_byte(tmp_path: Path, model: str, engine: Engine) -> None:
    one = run_triples(plan(tmp_path / "one", model, count=3), LocalEngine())
    other = run_triples(plan(tmp_path / "other", model, count=3, part_length=1), engine)
    assert checksums(one) == checksums(other)


def test_a_folder_of_another_plan_or_another_models_parts_is_refused(tmp_path: Path, model: str) -> None:
    run_triples(plan(tmp_path / "a", model, count=1), LocalEngine())
    with pytest.raises(InputError, match="seed differ"):
        run_triples(plan(tmp_path / "a", model, count=1, seed=9), LocalEngine())

    def retrain(name: str, number: int) -> None:
        if (name, number) == ("make_triples", 0):
            report = tmp_path / "b" / "parts" / "part-000000.json"
            report.write_text(report.read_text().replace(f"{model} ", f"{model} other"))

    with pytest.raises(InputError, match="weights were changed"):
        run_triples(plan(tmp_path / "b", model, count=3), HookedEngine(retrain))


class SometimesRefusing:
    """A writer of prompts who refuses the second scene."""

    digest = "test"

    def write(self, number: int, seed: int) -> ScenePrompt | Refusal:
        del seed
        return Refusal("no JSON object") if number == 1 else PROMPT


def test_the_funnel_counts_refused_prompts_and_dropped_scenes(tmp_path: Path, model: str) -> None:
    rules = TripleRules(**{**ANY.model_dump(), "max_seam": 0.0})
    scenes = SometimesRefusing()
    manifest = run_triples(plan(tmp_path, model, scenes=scenes, rules=rules, count=3), LocalEngine())
    assert next(iter(manifest["dropped"])) == "no usable prompt"
    assert manifest["dropped"]["no usable prompt"] == 1
    assert sum(manifest["dropped"].values()) + manifest["images"] == 3
    lines = [json.loads(line) for line in (tmp_path / "dropped.jsonl").read_text().splitlines()]
    assert lines[0]["name"] in {"scene-0000000", "scene-0000001"}


class Silent:
    """A writer of prompts who answers no question."""

    digest = "test"

    def write(self, number: int, seed: int) -> ScenePrompt | Refusal:
        return Refusal(f"late {number + seed}", unanswered=True)


def test_a_writer_who_never_answers_stops_the_run(tmp_path: Path, model: str) -> None:
    with pytest.raises(NoAnswer, match="no answer to 2 questions one after the other: late 1"):
        run_triples(plan(tmp_path, model, scenes=Silent(), count=3, seed=0, part_length=2), LocalEngine())


def test_the_command_synthesises_and_refuses_what_belongs_to_composing(tmp_path: Path, model: str) -> None:
    loose = [f"--set={name}={value}" for name, value in ANY.model_dump().items()]
    steps = ["--steps", "1", "--inpaint-steps", "1", "--size-px", "24", "--count", "2"]
    arguments = ["data", "layers", "--method", "synthesize", "--model", model, *steps, *loose]
    result = CliRunner().invoke(cli, [*arguments, "-o", str(tmp_path / "out"), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["images"] == 2
    for wrong, words in (
        ([*arguments, "fluent-3d", "-o", "x"], "found the sets fluent-3d"),
        ([*arguments, "-o", "x.tar"], "found the file x.tar"),
        (["data", "layers", "-o", "x.tar"], "Expected SETS"),
        ([*arguments, "--chat-url", "http://x", "-o", "x"], "Expected --chat-url with --chat-model"),
    ):
        assert words in str(CliRunner().invoke(cli, wrong).exception)


def test_a_shard_of_something_else_is_no_shard_of_layers(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"nothing")
    with pytest.raises(FileError, match="no shard of layers"):
        list(read_triples(tmp_path / "x.tar"))
