"""Layers that see each other, and images that are shown to the model, on every family of transformers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.models.frame_hooks import put_units, units_on
from pellucid.models.frame_units import FrameUnits
from pellucid.models.latent_inputs import find_input
from pellucid.models.showing import shown_latents
from pellucid.pipelines.arguments import Request
from pellucid.pipelines.families import FAMILIES, custom_mode
from pellucid.pipelines.mode_discovery import discover_tasks
from pellucid.pipelines.modes import Sampling
from pellucid.pipelines.stock import StockPipeline
from pellucid.training.denoiser.parameters import grow_inputs
from pellucid.training.denoiser.predict import encode_texts, predict, take_rows
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
UNSAVED = {"flux2"}
"""Whose tokenizers of these tests cannot be saved."""
TEXTS = ["x y z q w", "a"]


def test_every_family_of_transformers_is_tried() -> None:
    rows = {name for name, row in FAMILIES.items() if row.denoiser == "transformer"}
    assert rows == {*NAMES, "sana-sprint"}  # which was distilled, and is not trained


@dataclass
class Made:
    """A small real pipeline, its codec, and where both are saved."""

    name: str
    pipeline: DiffusionPipeline
    codec: RGBAAutoencoder
    folder: Path

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

    def sampled(self, seeds: Sequence[int] = (1, 2), texts: Sequence[str] = TEXTS) -> Tensor:
        """Latents of two rows after the fewest steps."""
        stock = self.stock
        rows = [
            Request(prompt=text, negative_prompt="", seed=seed)
            for text, seed in zip(texts, seeds, strict=True)
        ]
        height, width = self.size()
        settings = Sampling(num_inference_steps=stock.family.min_inference_steps, guidance_scale=1.0)
        return stock.sample(rows, settings, {"height": height, "width": width})


def pipeline_of(name: str) -> DiffusionPipeline:
    if name in tiny_families.MADE:
        return tiny_families.MADE[name]()
    makers = tiny_newer_families if name in tiny_newer_families.BUILDERS else tiny_variants
    return makers.made(name)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    picture_shard(tmp_path_factory.getbasetemp() / "discs.tar")
    picture_shard(tmp_path_factory.getbasetemp() / "grounds.tar", "background")
    return tmp_path_factory.getbasetemp()


def made_of(name: str, shards: Path) -> Made:
    folder = shards / name
    pipeline = pipeline_of(name)
    codec = tiny_vaes.codec_over(pipeline.components["vae"])
    if name not in UNSAVED and not folder.exists():
        pipeline.save_pretrained(folder)
        tiny.save_codec(codec, folder / "rgba")
    return Made(name, pipeline, codec, folder)


@pytest.fixture(scope="module", params=NAMES)
def made(request: pytest.FixtureRequest, shards: Path) -> Made:
    return made_of(request.param, shards)


@pytest.fixture
def net(made: Made) -> Iterator[nn.Module]:
    """The transformer; units that a test has left are taken off."""
    denoiser: nn.Module = made.stock.denoiser
    yield denoiser
    put_units(denoiser, None)


@pytest.fixture
def plain(made: Made) -> Tensor:
    return made.sampled()


class Erasing(nn.Module):
    """Takes all tokens away that it is shown."""

    def forward(self, x: Tensor, frames: int) -> Tensor:
        return -x


def test_units_reach_the_tokens_of_the_image_and_no_others(made: Made, net: nn.Module) -> None:
    if made.alone:
        pytest.skip("makes one image at a time")
    units, predicted = made.units(), list[Tensor]()
    for number in range(len(units.attentions)):
        units.attentions[number] = Erasing()
    put_units(net, units)

    def note(_: nn.Module, inputs: object, made: tuple[Tensor | list[Tensor]]) -> None:
        predicted.append(made[0] if isinstance(made[0], Tensor) else torch.stack(made[0]))

    hook = net.register_forward_hook(note)
    for seeds, texts in (((1, 2), TEXTS), ((7, 8), TEXTS), ((1, 2), ["w q", "q x y z"])):
        predicted.append(torch.empty(0))
        made.sampled(seeds, texts)
    hook.remove()
    starts = [i for i, each in enumerate(predicted) if not each.numel()]
    first, other_noise, other_texts = (predicted[start + 1] for start in starts)
    assert torch.equal(first, other_noise), "without its tokens nothing is left of an image"
    if made.name != "lumina":  # its texts are let in by gates, which are closed at first
        assert not torch.equal(first, other_texts), "a text's tokens are left alone"


def test_units_that_have_learned_nothing_change_nothing(made: Made, net: nn.Module, plain: Tensor) -> None:
    if made.alone:
        pytest.skip("makes one image at a time")
    units = made.units(shown_channels=made.stock.latent_channels)
    put_units(net, units)
    units.show(made.latents(3))
    torch.testing.assert_close(made.sampled(), plain, rtol=1e-4, atol=1e-4)
    for value in units.parameters():
        nn.init.normal_(value, std=0.2)
    learned = made.sampled()
    assert not torch.equal(learned, plain)
    # each layer depends on the others and on what is shown
    assert not torch.equal(made.sampled((1, 9))[0], learned[0])
    units.show(made.latents(4))
    assert not torch.equal(made.sampled(), learned)
    put_units(net, None)
    assert torch.equal(made.sampled(), plain)


def test_further_inputs_that_are_zero_change_nothing(made: Made, net: nn.Module, plain: Tensor) -> None:
    name, first = find_input(net)
    channels, weight = made.stock.latent_channels, first.weight
    start = grow_inputs(net, channels, made.stock.token_side)
    assert torch.equal(start[f"{name}.weight"], weight)
    inputs = weight.shape[1]
    rows = made.latents(3) if made.alone else torch.cat([made.latents(3), made.latents(4)])
    with shown_latents(net, rows):
        torch.testing.assert_close(made.sampled(), plain, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        nn.init.normal_(first.weight[:, inputs:], std=0.2)
    pictures: list[Tensor] = []
    for each in (rows, rows.flip(-1), rows.flip(-2)):  # what is shown is seen, wherever it is
        with shown_latents(net, each):
            pictures.append(made.sampled())
    assert len({float(each.sum()) for each in pictures}) == len(pictures)
    # back to what it was, for the other tests
    first.weight = weight
    if isinstance(first, nn.Linear):
        first.in_features = inputs
    else:
        first.in_channels = inputs
    with shown_latents(net, rows):  # the plain model, as after the end of an adapter, sees none of it
        assert torch.equal(made.sampled(), plain)


def test_layers_of_a_scene_are_predicted_together_as_alone(made: Made) -> None:
    if made.alone:
        pytest.skip("makes one image at a time")
    stock = made.stock
    conditions = take_rows(encode_texts(stock, TEXTS), torch.arange(2))
    noisy = torch.cat([made.latents(3), made.latents(4)])
    with torch.no_grad():
        alone, together = (
            predict(stock, noisy, torch.tensor([600, 600]), conditions, {}, rows_together=count)
            for count in (1, 2)
        )
    torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-4)


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


def trained(made: Made, kind: str, runs: Path, **more: object) -> ConditionalLayersStage | JointLayersStage:
    """Trains two steps, and leaves the file among the folder's adapters."""
    table = {"scenes": 2, "rank": 2, **TABLES[kind]}
    values = {"steps": 2, "batch_size": 2, **more}
    run = recipe("layers", made.folder, table, **values)
    stage = make_stage(run, CPU)
    assert isinstance(stage, ConditionalLayersStage | JointLayersStage)
    assert Trainer(run, stage, runs / kind).train()
    file = runs / kind / "export" / "adapter" / f"{kind}.safetensors"
    (made.folder / "adapter").mkdir(exist_ok=True)
    (made.folder / "adapter" / file.name).write_bytes(file.read_bytes())
    return stage


def loss(stage: ConditionalLayersStage | JointLayersStage) -> float:
    with torch.no_grad():
        return sum(float(each) for each in stage.loss("", torch.Generator().manual_seed(7)).values())


def test_layers_are_learned_and_made(made: Made, tmp_path: Path, plain: Tensor) -> None:
    if made.name in UNSAVED:
        pytest.skip("its tokenizer cannot be saved")
    kinds = ["on"] if made.alone else ["on", "beside"]
    stages = {kind: trained(made, kind, tmp_path) for kind in kinds}
    for kind, stage in stages.items():
        learned, net = loss(stage), stage.frozen.net
        path = made.folder / "adapter" / f"{kind}.safetensors"
        stage.frozen.stock.pipeline.transformer = again = made.stock.denoiser
        report = apply_adapter(again, path)
        assert find_input(net)[0] in " ".join(report.changed)
        assert loss(stage) == pytest.approx(learned, rel=2e-3)
        remove_adapter(again)
        assert units_on(again) is None
    single = custom_mode(made.stock.family, None)
    tasks = discover_tasks([made.folder / "adapter"], single)
    pipe = pellucid.attach(made.pipeline, None, autoencoder=made.codec, layers=tasks)
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
    assert torch.equal(made.sampled(), plain)
