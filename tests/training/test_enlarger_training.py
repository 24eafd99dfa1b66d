"""Training a decoder that enlarges: pairs of sizes, what moves, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from building import build
from pellucid.data.records import Record
from pellucid.errors import ConfigError
from pellucid.models.mini_vae import MiniVAE
from pellucid.training.data.in_memory import InMemoryDataset, augmented, augmented_together
from pellucid.training.recipe import Recipe
from pellucid.training.sample_grids import write_sample_grid
from pellucid.training.stages.autoencoder import AutoencoderStage
from pellucid.training.stages.registry import make_stage
from pellucid.training.trainer import Trainer
from pellucid.weights.store import load_codec, read

CPU = torch.device("cpu")


def twice(images: Tensor) -> Tensor:
    return images.repeat_interleave(2, -2).repeat_interleave(2, -1)


def discs(size_px: int) -> Tensor:
    torch.manual_seed(1)
    x = torch.linspace(-1, 1, size_px)
    radius = torch.linspace(0.3, 0.8, 8)[:, None, None]
    alpha = (x[:, None] ** 2 + x**2 < radius**2).float()
    rgba = torch.cat([torch.rand(8, 3, 1, 1).expand(-1, -1, size_px, size_px), alpha[:, None]], 1)
    return (rgba * 255).round().byte()


def images() -> InMemoryDataset:
    records = tuple(Record(name=label, label=label) for label in "xyzwxycj")
    return InMemoryDataset(records, discs(32), larger=discs(64))


def recipe(init: Path, steps: int = 20, **model: object) -> Recipe:
    table: dict[str, object] = {
        "offset_encoder": {"widths": (8, 8), "fold": 4},
        "alpha_decoder": {
            "widths": (8, 8), "fold": 4, "latent_level": 1, "attention_levels": 0, "layers_per_block": 1,
            "upscale": 2, "upscale_width": 16, "upscale_blocks": 1,
        },
        "discriminator": {"width": 8},
        **model,
    }  # fmt: skip
    return build(
        Recipe, stage="autoencoder", data=(), init=str(init), steps=steps, batch_size=4, size_px=32,
        ema_decay=0.9, warmup_steps=1, learning_rate=3e-3, sample_every=0, score_count=2, model=table,
    )  # fmt: skip


@pytest.fixture(scope="module")
def init(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose codec has no decoder that enlarges."""
    folder = tmp_path_factory.mktemp("start")
    torch.manual_seed(0)
    MiniVAE((3, 12, 16, 24), layers_per_block=1).eval().save_pretrained(folder / "vae")
    plain = {"widths": (8, 8), "fold": 4, "latent_level": 1, "attention_levels": 0, "layers_per_block": 1}
    made = recipe(folder, alpha_decoder=plain)
    run = Trainer(made, make_stage(made, CPU, InMemoryDataset(images().records, discs(32))), folder / "run")
    run.train()
    (folder / "run" / "export" / "rgba").rename(folder / "rgba")
    return folder


def test_both_sizes_are_changed_alike_by_whole_pixels() -> None:
    small = torch.rand(16, 4, 24, 32)
    one, two = augmented_together(small, twice(small), torch.Generator().manual_seed(3))
    assert torch.equal(two, twice(one))
    assert torch.equal(one, augmented(small, torch.Generator().manual_seed(3)))
    assert not torch.equal(one, small)


def test_batches_and_their_targets_are_the_same_images() -> None:
    dataset = images().only(held_out=False)
    rgba, target = dataset.batch_and_targets(6, torch.Generator().manual_seed(0))
    assert (rgba.shape, target.shape) == ((6, 4, 32, 32), (6, 4, 64, 64))
    assert torch.equal(rgba, dataset.batch(6, torch.Generator().manual_seed(0), augment=True))
    coarse = torch.nn.functional.avg_pool2d(target[:, 3:], 2)
    assert (coarse - rgba[:, 3:]).abs().mean() < 0.05
    alone = InMemoryDataset(dataset.records, dataset.rgba)
    assert all(each is alone.targets for each in (alone.rgba, alone.targets))
    same = alone.batch_and_targets(6, torch.Generator().manual_seed(0))
    assert torch.equal(same[0], same[1])


def test_only_what_enlarges_learns_and_the_rest_stays_to_the_bit(init: Path, tmp_path: Path) -> None:
    made = recipe(init, 60, start="init", trainable="^alpha_decoder.enlarger")
    stage = make_stage(made, CPU, images())
    assert isinstance(stage, AutoencoderStage)
    before = stage.validation_metrics(stage.parts)
    run = Trainer(made, stage, tmp_path)
    run.train()
    after = stage.validation_metrics(run.exported())
    assert after["held_out_psnr_db"] > before["held_out_psnr_db"]
    stage.sample_grid(run.exported(), tmp_path / "grid.png")
    name = "alpha_decoder/diffusion_pytorch_model.safetensors"
    kept, exported = read(init / "rgba" / name), read(tmp_path / "export" / "rgba" / name)
    assert {each.partition(".")[0] for each in exported.keys() - kept.keys()} == {"enlarger"}
    assert all(torch.equal(value, exported[each]) for each, value in kept.items())
    codec = load_codec(tmp_path / "export" / "rgba", stage.vae)
    assert codec.decode(codec.encode(torch.rand(1, 4, 32, 32)), passes=1).shape == (1, 4, 64, 64)


def test_distilled_decoders_are_measured_at_their_own_size(init: Path, tmp_path: Path) -> None:
    made = recipe(init, start="init", trainable="^alpha_decoder.enlarger")
    run = Trainer(made, make_stage(made, CPU, images()), tmp_path)
    run.one_step()
    run.stage.export(run.exported(), tmp_path)
    (tmp_path / "vae").symlink_to(init / "vae")
    stage = make_stage(recipe(tmp_path, distill=True), CPU, images())
    assert isinstance(stage, AutoencoderStage)
    Trainer(recipe(tmp_path, distill=True), stage, tmp_path / "run").one_step()
    assert stage.validation_metrics(stage.parts)["one_pass/psnr_db"] > 0


@pytest.mark.parametrize(
    ("recipe_fields", "model", "message"),
    [({"stream": True}, {}, "stream"), ({}, {"alpha_encoding": "inflated"}, "inflated")],
)
def test_what_cannot_be_trained_that_way_is_refused(
    init: Path, recipe_fields: dict[str, object], model: dict[str, object], message: str
) -> None:
    table = {"alpha_decoder": {"upscale": 2}, **model}
    with pytest.raises(ConfigError, match=message):
        build(
            Recipe,
            stage="autoencoder",
            data=(),
            init=str(init),
            steps=1,
            size_px=32,
            model=table,
            **recipe_fields,
        )


def test_rows_of_smaller_images_fill_a_sheet_as_the_others(tmp_path: Path) -> None:
    small = torch.rand(3, 3, 8, 8)
    write_sample_grid([twice(small), small], tmp_path / "sheet.png")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert (sheet[: len(sheet) // 2] == sheet[len(sheet) // 2 :]).all()
