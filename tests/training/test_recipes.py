"""What a recipe may say, what is refused and how, and which run may go on by which recipe."""

import json
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from test_loop import TINY, images, recipe, run
from test_stages import RECIPE, shard

import pellucid
import tiny
from pellucid.apps.commands.train import train_command
from pellucid.data.records import Record
from pellucid.errors import ConfigError, PellucidError, WeightsError
from pellucid.training import checkpoints
from pellucid.training.data.in_memory import InMemoryDataset, held_out_flags
from pellucid.training.recipe import STAGES, Recipe, check_stages_of, read_recipe, recipe_stages
from pellucid.training.recipe_help import TABLES, field_docs
from pellucid.training.stages.autoencoder import AutoencoderStage
from pellucid.training.stages.options import AutoencoderOptions, TransparentOptions
from pellucid.training.stages.registry import make_stage, train_all
from pellucid.training.stages.vae import VAEStage
from pellucid.training.trainer import Trainer
from pellucid.training.validation import OLD_NAMES, field_names

CPU = torch.device("cpu")
MINI = Path(pellucid.__file__).parent / "mini"


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    """A recipe of all stages."""
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.format(data="small.tar", init=str(MINI), lands="lands.tar"))
    return path


@pytest.mark.parametrize(
    ("stage", "field", "message"),
    [
        ("vae", "stepz=3", r"recipe.toml has no field 'stepz'.*Did you mean 'steps'\?"),
        ("vae", "model.latent_chanels=3", r"\[vae.model\] has no field.*Did you mean 'latent_channels'\?"),
        ("transparent", "model.rnk=4", r"\[transparent.model\] has no field 'rnk'.*Did you mean 'rank'\?"),
        ("layers", "model.format=released", r"\[layers.model\] has no field 'format'"),
        ("base", "model.unet.atention_head_dim=4", r"Did you mean 'attention_head_dim'\?"),
        ("autoencoder", "model.alpha_decoder.width=[8]", r"alpha_decoder\] has.*Did you mean 'widths'\?"),
        (
            "autoencoder",
            "model.alpha_decoder.fold=two",
            r"Expected fold of \[autoencoder.model.alpha_decoder",
        ),
        ("vae", "data=3", "Expected data of"),
        ("vae", "steps=2.5", "Expected steps of .* integer, got 2.5"),
        ("vae", "steps=true", "Expected steps of .* integer, got True"),
        ("vae", "compile=1", "Expected compile of .* boolean, got 1"),
        ("vae", 'batch_size="4"', "Expected batch_size of .* integer, got '4'"),
        ("vae", "model=3", "Expected model of .* to be a table"),
        ("vae", "steps.x=3", "Expected steps of --set steps.x to be a table"),
        ("vae", "learning_rate=-1e-3", "Expected learning_rate of 0 or more, got -0.001"),
        ("vae", "learning_rate=nan", "Expected learning_rate of 0 or more, got nan"),
        ("vae", "ema_decay=1.0", "Expected ema_decay of 0 to 1"),
        ("vae", "batch_size=0", "Expected batch_size of 1 or more, got 0"),
        ("vae", "size_px=-32", "Expected size_px of 1 or more"),
        ("vae", "minutes=-1.0", "Expected minutes of 0 or more"),
        ("vae", "save_every_s=inf", "Expected save_every_s of 0 or more, got inf"),
        ("vae", "weights.kl=-1", "loss weights of 0 or more"),
        ("transparent", "model.rank=0", "Expected rank of 1 or more"),
        ("transparent", "model.caption_dropout=1.5", "Expected caption_dropout of 0 to 1"),
        ("transparent", "model.method=low", "Expected method to be one of full, conv"),
        ("transparent", "model.bits=8.5", "Expected bits to be one of 16, 8"),
        ("transparent", "model.name=../x", "Expected name to be a file's name"),
        ("layers", "model.scale=[0.9, 0.5]", "Expected scale as the least and the most"),
        ("layers", "model.scale=[0.9]", r"Expected scale of \[layers.model\]"),
        ("layers", 'model.roles=["sky"]', "Expected roles of foreground, background, composite"),
    ],
)
def test_a_mistake_is_refused_before_anything_is_loaded(
    toml: Path, stage: str, field: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read_recipe(toml, stage, dict([field.split("=", 1)]))


@pytest.mark.parametrize(("old", "new"), OLD_NAMES.items())
def test_a_former_name_is_refused_with_the_present_one(toml: Path, old: str, new: str) -> None:
    stage = next(stage for stage in STAGES for kind in (Recipe, *TABLES[stage]) if new in field_names(kind))
    prefix = "" if new in field_names(Recipe) else "model."
    more = {"model.condition_roles": '["background"]', "model.roles": '["foreground"]'}
    table = more if new == "condition_roles" else {}
    with pytest.raises(ConfigError, match=f"{old!r}, which is called {new!r} now"):
        read_recipe(toml, stage, {**table, f"{prefix}{old}": "1"})


def test_values_reach_tables_of_any_depth_and_leave_other_stages_alone(toml: Path) -> None:
    found = read_recipe(toml, "autoencoder", {"model.alpha_decoder.fold": "2", "model.latent_noise": "1"})
    options = found.options(AutoencoderOptions)
    assert (options.alpha_decoder["fold"], options.alpha_decoder["latent_level"]) == (2, 1)
    assert options.latent_noise == 1.0
    other = read_recipe(toml, "autoencoder").options(AutoencoderOptions)
    assert other.alpha_decoder["fold"] == 4


def test_one_set_may_stand_without_brackets(toml: Path) -> None:
    assert read_recipe(toml, "vae", {"data": "noto"}).data == ("noto",)
    assert read_recipe(toml, "vae", {"data": '["noto", "x"]'}).data == ("noto", "x")


def test_a_mapping_becomes_the_stages_options() -> None:
    made = Recipe(stage="transparent", data=(), steps=1, model={"rank": 4})
    assert made.options(TransparentOptions) == TransparentOptions(rank=4)
    assert json.dumps(made.plain())


@pytest.mark.parametrize("stage", STAGES)
def test_help_lists_every_field_of_a_stage_and_what_it_means(stage: str) -> None:
    text = CliRunner().invoke(train_command, [stage, "--help"]).output
    for kind in TABLES[stage]:
        assert field_docs(kind).keys() == set(field_names(kind)), "a field without a docstring"
        assert all(f"{name} [" in text for name in field_names(kind))
    assert "batch_size [32]" in text
    assert ("stream [false]" in text) == (stage in ("vae", "autoencoder"))
    assert field_docs(Recipe).keys() == set(field_names(Recipe))


def test_a_changed_recipe_is_refused_in_the_same_folder(tmp_path: Path) -> None:
    run(tmp_path).train()
    with pytest.raises(ConfigError, match=r"batch_size 4 → 2; learning_rate 0.001 → 0.5\. Set them back"):
        run(tmp_path, batch_size=2, learning_rate=0.5)
    wider = {**TINY, "latent_channels": 8}
    with pytest.raises(ConfigError, match=r"model.latent_channels 4 → 8"):
        run(tmp_path, model=wider)
    longer = run(tmp_path, steps=8, log_every=1, save_every_s=1.0, minutes=5.0)
    assert longer.step == 6
    assert longer.train()
    assert json.loads((tmp_path / "recipe.json").read_text())["steps"] == 8


@pytest.mark.parametrize("has_recipe", [True, False])
def test_a_run_is_not_made_shorter_than_it_is(tmp_path: Path, has_recipe: bool) -> None:
    run(tmp_path).train()
    path = tmp_path / checkpoints.NAME
    if not has_recipe:  # as in checkpoints from before recipes were kept
        state = torch.load(path, weights_only=True)
        torch.save({name: value for name, value in state.items() if name != "recipe"}, path)
    before = path.read_bytes()
    for steps in (1, 5):
        with pytest.raises(ConfigError, match=rf"Expected 6 steps or more.*found {steps}\. Set more"):
            run(tmp_path, steps=steps)
        with pytest.raises(ConfigError, match=r"into another folder"):
            checkpoints.check_recipe(tmp_path, recipe(steps))
    assert path.read_bytes() == before
    assert run(tmp_path, steps=6).train()
    assert run(tmp_path, steps=7).train()


def test_a_wrong_start_can_be_set_right_until_something_was_trained_over_it(tmp_path: Path) -> None:
    shard(tmp_path / "small.tar")
    path, folder = tmp_path / "recipe.toml", tmp_path / "run"
    path.write_text("[control]\nsteps = 1\nsize_px = 32\nbatch_size = 2\nsample_every = 0\n")
    data, absent = json.dumps([str(tmp_path / "small.tar")]), json.dumps([str(tmp_path / "absent.tar")])
    # a folder that is not there, a name of no model, and a model whose data was wrong
    for init, values in (("no/such/folder", data), (str(tmp_path), data), (str(MINI), absent)):
        with pytest.raises((PellucidError, OSError)):
            train_all(path, {"init": init, "data": values}, folder, CPU, 600)
    other = shutil.copytree(MINI, tmp_path / "other")
    for init in (other, MINI):
        with pytest.raises((PellucidError, OSError)):
            train_all(path, {"init": str(init), "data": absent}, folder, CPU, 600)
    # stopped before the end: a checkpoint, and no part yet
    assert train_all(path, {"init": str(MINI), "data": data}, folder, CPU, 0) is None
    for model in (None, folder / "model"):
        assert model is None or train_all(path, {"init": str(MINI), "data": data}, folder, CPU, 600) == model
        with pytest.raises(ConfigError, match=r"Expected init to be .*Set it back, or train into another"):
            train_all(path, {"init": str(other), "data": data}, folder, CPU, 600)


def test_fields_that_may_change_are_fields(toml: Path) -> None:
    known = set(field_names(Recipe))
    known |= {f"model.{name}" for kinds in TABLES.values() for kind in kinds for name in field_names(kind)}
    assert known > checkpoints.MAY_CHANGE


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_torn_checkpoint_is_one_clear_error(tmp_path: Path, kept: float) -> None:
    run(tmp_path).save()
    path = tmp_path / checkpoints.NAME
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(WeightsError, match=r"Expected a whole checkpoint.*Put a copy of it back"):
        run(tmp_path)


@pytest.mark.parametrize("content", [{"step": 1}, [1], {"recipe": "{bad"}, {"recipe": 3}])
def test_a_checkpoint_of_something_else_is_one_clear_error(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / checkpoints.NAME)
    with pytest.raises(WeightsError, match="Expected a whole checkpoint"):
        run(tmp_path)
    (tmp_path / checkpoints.NAME).write_bytes(b'{"step": 1')
    with pytest.raises(WeightsError, match="Expected a whole checkpoint"):
        run(tmp_path)


def log(folder: Path) -> list[Mapping[str, float]]:
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_each_stage_trains_on_its_own_data_and_a_resumed_run_on_the_same(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    for name, labels in (("one", ("lemon", "apple", "c", "j")), ("two", ("cat", "jar", "c", "bell"))):
        shard(tmp_path / f"{name}.tar", labels)
    path = tmp_path / "recipe.toml"
    text = RECIPE.format(data=str(tmp_path / "one.tar"), init=str(MINI), lands="")
    text = text[: text.index("[base.model]")].replace("sample_every = 3", "sample_every = 0")
    own = f'[autoencoder]\ndata = ["{tmp_path / "two.tar"}"]\n[autoencoder.model.offset'
    path.write_text(text.replace("[autoencoder.model.offset", own, 1) + "[base]\n[transparent]\n")
    folder = tmp_path / "run"
    train_two(path, folder)
    whole, curve = weights_in(folder / "autoencoder"), log(folder / "autoencoder")
    found = read_recipe(path, "autoencoder", {"init": str(folder / "model")})
    alone = Trainer(found, make_stage(found, CPU), tmp_path / "alone")
    alone.train()
    assert curve == log(tmp_path / "alone")
    for made in ("model/rgba", "autoencoder"):
        shutil.rmtree(folder / made)
    stopped = Trainer(found, make_stage(found, CPU), folder / "autoencoder")
    stopped.one_step()
    stopped.save()
    train_two(path, folder)
    resumed = weights_in(folder / "autoencoder")
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())
    assert log(folder / "autoencoder") == curve[1:]


def weights_in(folder: Path) -> Mapping[str, torch.Tensor]:
    return torch.load(folder / checkpoints.NAME, weights_only=True)["modules"]["parts"]


def train_two(path: Path, folder: Path) -> None:
    """Trains the first two stages; the rest is taken from the embedded model."""
    for part in ("unet", "adapter/transparent.safetensors"):
        (folder / "model" / part).parent.mkdir(parents=True, exist_ok=True)
        (folder / "model" / part).touch()
    assert train_all(path, {}, folder, CPU, 600)


def test_a_finished_stage_of_all_is_not_passed_over_with_another_recipe(toml: Path, tmp_path: Path) -> None:
    shard(tmp_path / "small.tar")
    data = json.dumps([str(tmp_path / "small.tar")])
    for part in ("rgba", "unet", "adapter/transparent.safetensors", "adapter/joint.safetensors", "control"):
        (tmp_path / "run" / "model" / part).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / "model" / part).touch()
    values = {"data": data, "sample_every": "0"}
    assert train_all(toml, values, tmp_path / "run", CPU, 600)
    assert train_all(toml, values, tmp_path / "run", CPU, 600)
    with pytest.raises(ConfigError, match=r"learning_rate 0.001 → 0.5"):
        train_all(toml, {**values, "learning_rate": "0.5"}, tmp_path / "run", CPU, 600)
    # nor trained further, since the others were trained over it
    with pytest.raises(ConfigError, match=r"Expected vae as long as before.*autoencoder was trained over it"):
        train_all(toml, {**values, "vae.steps": "9"}, tmp_path / "run", CPU, 600)


def labelled(labels: str) -> tuple[Record, ...]:
    return tuple(Record(name=f"{i}{label}", label=label, group="food") for i, label in enumerate(labels))


@pytest.mark.parametrize(
    "labels",
    ["xy", "xxxxxyyyy", "cj", "xyzwxyzw", "cjx", "xx", "cc", "x" * 60, "c" * 60, "xy" * 30, "abxc" * 15],
)
def test_two_images_are_enough_to_train_and_to_measure(labels: str) -> None:
    records = labelled(labels)
    flags = held_out_flags(records)
    assert set(flags) == {True, False}
    assert sum(flags) <= max(1, len(labels) / 4)
    # another order of the same images holds the same ones out
    backwards = held_out_flags(records[::-1])[::-1]
    assert flags == backwards


def test_the_stages_of_a_recipe_are_those_of_its_tables(toml: Path, tmp_path: Path) -> None:
    assert recipe_stages(toml) == STAGES
    (tmp_path / "one.toml").write_text("[transparent]\nsteps = 1\n")
    assert recipe_stages(tmp_path / "one.toml") == ("transparent",)
    (tmp_path / "none.toml").write_text("steps = 1\n")
    with pytest.raises(ConfigError, match=r"Expected a table of a stage in .*none.toml, found none"):
        recipe_stages(tmp_path / "none.toml")


@pytest.mark.parametrize("labels", ["abcdefghijklmnopqrstuvwxyz" * 2, "xyzwvu", "abdefgh"])
def test_with_many_captions_all_images_of_one_are_on_one_side(labels: str) -> None:
    records = labelled(labels)
    flags = held_out_flags(records)
    assert set(flags) == {True, False}
    for label in set(labels):
        assert len({flag for record, flag in zip(records, flags, strict=True) if record.label == label}) == 1
    if {record.held_out for record in records} == {True, False}:
        assert flags == [record.held_out for record in records]


def test_one_image_is_refused_before_the_run(tmp_path: Path) -> None:
    one = InMemoryDataset(labelled("x"), torch.zeros(1, 4, 16, 16, dtype=torch.uint8))
    with pytest.raises(ConfigError, match=r"two images or more.*found 1 to train on and 0 held out"):
        VAEStage(recipe(sample_every=2), one, CPU)
    VAEStage(recipe(sample_every=0), one, CPU)


def test_sixty_images_of_one_caption_train_and_are_measured(tmp_path: Path) -> None:
    sixty = InMemoryDataset(labelled("x" * 60), torch.zeros(60, 4, 16, 16, dtype=torch.uint8))
    stage = VAEStage(recipe(sample_every=2, score_count=2), sixty, CPU)
    assert (stage.images.count, stage.held_out.count) == (57, 3)
    stage.sample_grid(stage.vae, tmp_path / "grid.png")
    assert stage.validation_metrics(stage.vae)


def test_values_for_one_stage_leave_the_others_alone(toml: Path) -> None:
    values = {"transparent.model.rank": "3", "transparent.steps": "7", "batch_size": "5"}
    found = read_recipe(toml, "transparent", values)
    assert (found.options(TransparentOptions).rank, found.steps, found.batch_size) == (3, 7, 5)
    other = read_recipe(toml, "vae", values)
    assert (other.steps, other.batch_size) == (read_recipe(toml, "vae").steps, 5)
    with pytest.raises(ConfigError, match=r"Expected --set for vae, found transparent.model.rank"):
        check_stages_of(values, ["vae"])
    check_stages_of(values, STAGES)


@pytest.mark.parametrize(("pixels", "latents"), [(4, 4), (8, 4), (16, 8)])
def test_a_codec_needs_no_tables(tmp_path: Path, pixels: int, latents: int) -> None:
    from test_codec_variants import discs, kl_vae

    kl_vae(latents, pixels).save_pretrained(tmp_path / "vae")
    made = Recipe(stage="autoencoder", data=(), init=str(tmp_path), steps=1, size_px=32, batch_size=2)
    stage = make_stage(made, CPU, discs())
    assert isinstance(stage, AutoencoderStage)
    assert stage.loss("parts", torch.Generator().manual_seed(0))["reconstruction"] > 0


def test_the_released_codecs_shape_is_what_a_vae_of_eight_pixels_gets() -> None:
    from pellucid.training.stages.networks import decoder_defaults, encoder_defaults

    assert encoder_defaults({}, 8)["widths"] == (32, 64, 128, 256)
    found = decoder_defaults({}, 8, 512)
    assert found == {"widths": (32, 32, 64, 128, 256, 512, 512), "latent_level": 3}


def test_a_size_that_cannot_be_halved_is_one_clear_error(tmp_path: Path) -> None:
    found = InMemoryDataset(images().records, torch.zeros(12, 4, 60, 60, dtype=torch.uint8))
    made = recipe(size_px=60)
    with pytest.raises(ConfigError, match=r"multiple of 8 for these networks, got 60. Set it to 56 or 64"):
        VAEStage(made, found, CPU)
    model = tiny.save_mini(tmp_path / "model")
    shard(tmp_path / "large.tar")
    for stage in ("autoencoder", "transparent", "control"):
        made = Recipe(stage=stage, data=(str(tmp_path / "large.tar"),), steps=1, size_px=60, init=str(model))  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match=r"multiple of .* for these networks, got 60"):
            make_stage(made, CPU)


def test_the_last_step_is_in_the_log(tmp_path: Path) -> None:
    run(tmp_path, steps=3, log_every=100).train()
    assert [line["step"] for line in log(tmp_path)] == [3]


def test_a_run_leaves_the_process_as_it_was(tmp_path: Path) -> None:
    before = threading.excepthook
    run(tmp_path, steps=1).train()
    assert threading.excepthook is before


def test_mini_is_the_embedded_model_unless_there_is_such_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = Recipe(stage="transparent", data=(), steps=1, init="mini", model={"name": "x"})
    assert (Path(made.init_folder) / "adapter" / "transparent.safetensors").is_file()
    Path("mini").mkdir()
    assert made.init_folder == "mini"
    assert made.plain()["init"] == "mini"
