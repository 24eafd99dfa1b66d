"""Layers that see each other, and images that are shown to the model, on every family of transformers."""

import shutil
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from torch import Tensor, nn

import pellucid
import tiny
import tiny_families
import tiny_newer_families
import tiny_vaes
import tiny_variants
from pellucid.errors import ConfigError, InputError
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.models.frame_hooks import put_units, units_on
from pellucid.models.frame_units import FrameUnits
from pellucid.models.latent_inputs import find_input
from pellucid.models.showing import shown_latents
from pellucid.pipelines.arguments import Request
from pellucid.pipelines.families import FAMILIES, custom_mode
from pellucid.pipelines.mode_discovery import discover_tasks
from pellucid.pipelines.modes import BACKGROUND, FOREGROUND, Condition, Sampling
from pellucid.pipelines.stock import StockPipeline
from pellucid.training.denoiser import frozen_pipeline
from pellucid.training.denoiser.parameters import grow_inputs
from pellucid.training.denoiser.predict import Conditions, encode_texts, predict, take_rows
from pellucid.training.stages.conditional_layers import ConditionalLayersStage
from pellucid.training.stages.joint_layers import JointLayersStage
from pellucid.training.stages.registry import make_stage
from pellucid.training.trainer import Trainer
from pellucid.weights.adapters import apply_adapter, remove_adapter
from training.test_any_family import picture_shard, recipe

CPU = torch.device("cpu")
OLDER = ["sd3", "flux", "pixart-alpha", "pixart-sigma"]
VARIANTS = ["flux2", "bria", "hidream", "hunyuan-image", "lumina", "hunyuan-dit", "cogview3"]
NEWER = [name for name in tiny_newer_families.BUILDERS if FAMILIES[name].denoiser == "transformer"]
NAMES = [*OLDER, *NEWER, *VARIANTS]
UNTAUGHT = {"sana-sprint"}
"""Which predict something that cannot be trained here; `make_stage` says so."""
QUICK = [
    "sd3", "flux", "z-image", "lumina2", "wan", "kandinsky5", "bria-fibo2", "ernie-image", "hidream",
]  # fmt: skip
"""Those that train in every run of the tests: of each way to lay out tokens and texts one."""
TEXTS = ["x y z q w", "a", "w q", "q x y z"]


def test_every_family_of_transformers_is_tried() -> None:
    rows = {name for name, row in FAMILIES.items() if row.denoiser == "transformer"}
    assert rows == {*NAMES, "sana-sprint"}  # which was distilled, and is not trained


@dataclass
class Made:
    """A small real pipeline."""

    name: str
    pipeline: DiffusionPipeline

    @property
    def stock(self) -> StockPipeline:
        return StockPipeline(self.pipeline).text_to_image()

    @property
    def alone(self) -> bool:
        return self.stock.family.one_at_a_time

    def units(self, **more: int) -> FrameUnits:
        return FrameUnits.for_transformer(
            self.stock.denoiser, frames=2, rank=2, side=self.stock.token_side, **more
        )

    def size(self) -> tuple[int, int]:
        """Twice as high as wide, px, so that rows and columns cannot be mixed up."""
        side = self.stock.vae_scale_factor * self.stock.latents_multiple
        return (2 * side, 2 * side) if self.name == "kandinsky5" else (4 * side, 2 * side)

    def latents(self, seed: int) -> Tensor:
        height, width = (side // self.stock.vae_scale_factor for side in self.size())
        noise = torch.Generator().manual_seed(seed)
        return torch.randn(1, self.stock.latent_channels, height, width, generator=noise)

    @cached_property
    def texts(self) -> Conditions:
        """Texts of several lengths, as the pipeline's encoders read them."""
        return encode_texts(self.stock, TEXTS)

    @torch.no_grad()
    def predicted(
        self, seeds: Sequence[int] = (1, 2), texts: Sequence[int] = (0, 1), together: int | None = None
    ) -> Tensor:
        """What is predicted of the noise of two seeds and two of the texts, of both rows in one call."""
        together = together or (1 if self.alone else 2)
        noisy = torch.cat([self.latents(seed) for seed in seeds])
        conditions = take_rows(self.texts, torch.tensor(texts))
        return predict(self.stock, noisy, torch.tensor([600, 600]), conditions, {}, rows_together=together)

    def sampled(self) -> Tensor:
        """Latents of one image after the fewest steps."""
        height, width = self.size()
        settings = Sampling(num_inference_steps=self.stock.family.min_inference_steps, guidance_scale=1.0)
        request = Request(prompt=TEXTS[0], negative_prompt="", seed=1)
        return self.stock.sample([request], settings, {"height": height, "width": width})


def pipeline_of(name: str) -> DiffusionPipeline:
    if name in tiny_families.MADE:
        return tiny_families.MADE[name]()
    makers = tiny_newer_families if name in tiny_newer_families.BUILDERS else tiny_variants
    return makers.made(name)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images to learn from, beside the place of a model."""
    picture_shard(tmp_path_factory.getbasetemp() / "discs.tar")
    picture_shard(tmp_path_factory.getbasetemp() / "grounds.tar", "background")
    return tmp_path_factory.getbasetemp() / "model"


@pytest.fixture(scope="module", params=NAMES)
def made(request: pytest.FixtureRequest) -> Made:
    return Made(request.param, pipeline_of(request.param))


@pytest.fixture
def net(made: Made) -> Iterator[nn.Module]:
    """The transformer; units that a test has left are taken off."""
    denoiser: nn.Module = made.stock.denoiser
    yield denoiser
    put_units(denoiser, None)


@pytest.fixture(scope="module")
def plain(made: Made) -> Tensor:
    return made.predicted()


class Erasing(nn.Module):
    """Takes all tokens away that it is shown."""

    def forward(self, x: Tensor, frames: int) -> Tensor:
        return -x


def test_units_reach_the_tokens_of_the_image_and_no_others(made: Made, net: nn.Module) -> None:
    if made.alone:
        pytest.skip("makes one image at a time")
    units = made.units()
    for number in range(len(units.attentions)):
        units.attentions[number] = Erasing()
    put_units(net, units)
    erased = made.predicted()
    assert torch.equal(made.predicted(seeds=(7, 8)), erased), "without its tokens nothing is left of an image"
    if made.name != "lumina":  # its texts are let in by gates, which are closed at first
        assert not torch.equal(made.predicted(texts=(2, 3)), erased), "a text's tokens are left alone"


def test_units_that_have_learned_nothing_change_nothing(made: Made, net: nn.Module, plain: Tensor) -> None:
    if made.alone:
        pytest.skip("makes one image at a time")
    units = made.units(shown_channels=made.stock.latent_channels)
    put_units(net, units)
    units.show(made.latents(3))
    torch.testing.assert_close(made.predicted(), plain, rtol=1e-4, atol=1e-4)
    for value in units.parameters():
        nn.init.normal_(value, std=0.2)
    learned = made.predicted()
    assert not torch.equal(learned, plain)
    # each layer depends on the others and on what is shown
    assert not torch.equal(made.predicted(seeds=(1, 9))[0], learned[0])
    units.show(made.latents(4))
    assert not torch.equal(made.predicted(), learned)
    put_units(net, None)
    assert torch.equal(made.predicted(), plain)


@pytest.mark.parametrize("made", [*NAMES, "dreamlite"], indirect=True)  # a UNet with an image at its side
def test_further_inputs_that_are_zero_change_nothing(made: Made, net: nn.Module, plain: Tensor) -> None:
    name, first = find_input(net)
    channels, weight = made.stock.latent_channels, first.weight
    start = grow_inputs(net, channels, made.stock.token_side)
    assert torch.equal(start[f"{name}.weight"], weight)
    inputs = weight.shape[1]
    rows = made.latents(3) if made.alone else torch.cat([made.latents(3), made.latents(4)])
    with shown_latents(net, rows):
        torch.testing.assert_close(made.predicted(), plain, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        nn.init.normal_(first.weight[:, inputs:], std=0.2)
    pictures: list[Tensor] = []
    for each in (rows, rows.flip(-1), rows.flip(-2)):  # what is shown is seen, wherever it is
        with shown_latents(net, each):
            pictures.append(made.predicted())
    assert len({float(each.sum()) for each in pictures}) == len(pictures)
    # back to what it was, for the other tests
    first.weight = weight
    if isinstance(first, nn.Linear):
        first.in_features = inputs
    else:
        first.in_channels = inputs
    with shown_latents(net, rows):  # the plain model, as after the end of an adapter, sees none of it
        assert torch.equal(made.predicted(), plain)


def test_layers_of_a_scene_are_predicted_together_as_alone(made: Made) -> None:
    if made.alone:
        pytest.skip("makes one image at a time")
    torch.testing.assert_close(made.predicted(), made.predicted(together=1), rtol=1e-3, atol=1e-4)


TABLES = {
    "on": {"roles": ["foreground"], "condition_roles": ["background"], "base_adapter": "", "name": "on"},
    "joint": {"roles": ["foreground", "background"], "base_adapter": "", "name": "joint"},
    "beside": {
        "roles": ["background", "composite"],
        "hint_role": "foreground",
        "base_adapter": "",
        "name": "beside",
    },
}


@pytest.fixture
def in_memory(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets training copy a pipeline and a codec, which takes a tenth of the time of reading files."""

    def load(*_: object, **__: object) -> DiffusionPipeline:
        return deepcopy(made.pipeline)

    def codec_over(_: Path, vae: nn.Module) -> RGBAAutoencoder:
        return tiny_vaes.codec_over(vae)

    monkeypatch.setattr(frozen_pipeline, "load_stock_pipeline", load)
    monkeypatch.setattr(frozen_pipeline, "load_codec", codec_over)


def trained(
    folder: Path, kind: str, run: Path, **more: object
) -> tuple[ConditionalLayersStage | JointLayersStage, Path]:
    """Trains two steps, and returns what was trained and its file."""
    table = {"scenes": 1, "rank": 2, "caption_dropout": 0.0, **TABLES[kind]}
    values = {"steps": 2, "batch_size": 1, **more}
    made = recipe("layers", folder, table, **values)
    stage = make_stage(made, CPU)
    assert isinstance(stage, ConditionalLayersStage | JointLayersStage)
    assert Trainer(made, stage, run / kind).train()
    return stage, run / kind / "export" / "adapter" / f"{kind}.safetensors"


def loss(stage: ConditionalLayersStage | JointLayersStage) -> float:
    with torch.no_grad():
        return sum(float(each) for each in stage.loss("", torch.Generator().manual_seed(7)).values())


@pytest.mark.parametrize(
    "made",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NAMES],
    indirect=True,
)
@pytest.mark.usefixtures("in_memory")
def test_layers_are_learned_and_made(made: Made, folder: Path, tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    before = made.sampled()
    for kind in ["on"] if made.alone else ["on", "beside"]:
        stage, path = trained(folder, kind, tmp_path)
        learned, net = loss(stage), stage.frozen.net
        stage.frozen.stock.pipeline.transformer = again = made.stock.denoiser
        report = apply_adapter(again, path)
        assert any(find_input(net)[0] in name for name in report.changed)
        assert loss(stage) == pytest.approx(learned, rel=2e-3)
        remove_adapter(again)
        assert units_on(again) is None
        shutil.copy(path, files)
    single = custom_mode(made.stock.family, None)
    codec = tiny_vaes.codec_over(made.pipeline.components["vae"])
    pipe = pellucid.attach(made.pipeline, None, autoencoder=codec, layers=discover_tasks([files], single))
    height, width = made.size()
    steps = made.stock.family.min_inference_steps
    ground = np.full((height, width, 4), 200, np.uint8)
    scene = pipe.foreground_on(ground, "a", seed=1, height=height, width=width, num_inference_steps=steps)
    assert [layer.name for layer in scene.layers] == ["background", "a"]
    if not made.alone:
        above = scene.layers[1].image
        scene = pipe.background_for(
            above, "x y z", seed=2, height=height, width=width, num_inference_steps=steps
        )
        assert [layer.name for layer in scene.layers] == ["background", "foreground"]
        assert len(scene.references) == 1
    pipe.detach()
    assert torch.equal(made.sampled(), before)


def test_a_folder_with_layers_is_a_model_that_makes_them(folder: Path, tmp_path: Path) -> None:
    pipeline, model = pipeline_of("sd3"), folder.parent / "whole"
    pipeline.save_pretrained(model)
    tiny.save_codec(tiny_vaes.codec_over(pipeline.components["vae"]), model / "rgba")
    (model / "adapter").mkdir()
    for kind in TABLES:
        shutil.copy(trained(model, kind, tmp_path)[1], model / "adapter")
    pipe = pellucid.load(model)
    assert set(pipe.model.tasks) == {"foreground", "joint", "foreground_on", "background_for"}
    before = pipe.generate("a", seed=1, num_inference_steps=2)
    both = pipe.joint("a", "w q", count=2, seed=5, batch_size=2, height=48, width=64, num_inference_steps=2)
    assert isinstance(both, list)
    for number, scene in enumerate(both):  # in whatever company
        alone = pipe.joint("a", "w q", seed=5 + number, height=48, width=64, num_inference_steps=2)
        assert alone.composite().shape == (48, 64, 4)
        for layer, other in zip(scene.layers, alone.layers, strict=True):
            assert np.abs(layer.image.astype(int) - other.image).max() <= 2
    fronts = [scene.layers[1].image for scene in both]
    assert not np.array_equal(fronts[0], fronts[1])
    behind = pipe.background_for(fronts[0], ["x", "z"], seed=2, batch_size=2, num_inference_steps=2)
    assert isinstance(behind, list)
    assert [len(scene.references) for scene in behind] == [1, 1]
    again = pipe.generate("a", seed=1, num_inference_steps=2)
    assert np.array_equal(again.layers[0].image, before.layers[0].image)
    on = pipe.foreground_on(behind[0].composite(), "a", seed=3, num_inference_steps=2)
    pipe.pipeline.enable_group_offload(CPU, CPU, offload_type="leaf_level")
    pipe.move_codec()
    offloaded = (
        pipe.background_for(fronts[0], "x", seed=2, num_inference_steps=2),
        pipe.foreground_on(behind[0].composite(), "a", seed=3, num_inference_steps=2),
    )
    for scene, other in zip((behind[0], on), offloaded, strict=True):
        assert np.abs(scene.composite().astype(int) - other.composite()).max() <= 2
    pipe.detach()


@pytest.mark.parametrize("made", ["kandinsky5"], indirect=True)
@pytest.mark.usefixtures("in_memory")
def test_layers_that_a_family_cannot_make_are_refused(made: Made, folder: Path) -> None:
    pipeline = made.pipeline
    codec = tiny_vaes.codec_over(pipeline.components["vae"])
    single = custom_mode(FAMILIES["kandinsky5"], None)
    joint = replace(single, outputs=(FOREGROUND, BACKGROUND))
    with pytest.raises(InputError, match="which makes one at a time"):
        pellucid.attach(pipeline, None, autoencoder=codec, layers={"joint": (joint,)})
    hinted = replace(single, conditions=(Condition(role="background", entry="attention-hint"),))
    with pytest.raises(InputError, match="without hints to attentions"):
        pellucid.attach(pipeline, None, autoencoder=codec, layers={"foreground_on": (hinted,)})
    with pytest.raises(ConfigError, match="makes several images together"):
        trained(folder, "joint", folder / "run")
