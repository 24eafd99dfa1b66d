"""What a recipe may ask of optimizer and memory."""

import sys
from pathlib import Path

import pytest
import torch
from test_loop import TINY, images

from pellucid.errors import ConfigError
from pellucid.training.recipe import Recipe, read_recipe
from pellucid.training.stages.vae import VAEStage
from pellucid.training.trainer import Trainer


def run(folder: Path, **values: object) -> Trainer:
    usual = {"steps": 4, "sample_every": 0, "batch_size": 4, "size_px": 16}
    made = Recipe(stage="vae", data=(), model=TINY, **(usual | values))  # type: ignore[arg-type]
    return Trainer(made, VAEStage(made, images(), torch.device("cpu")), folder)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("optimizer=sgd", "one of adamw, adamw-8bit, got 'sgd'"),
        ("precision=float16", "one of auto, float32, bfloat16, got 'float16'"),
    ],
)
def test_an_unknown_choice_is_refused(tmp_path: Path, field: str, message: str) -> None:
    (tmp_path / "r.toml").write_text("data = []\n[vae]\nsteps = 1\n")
    with pytest.raises(ConfigError, match=message):
        read_recipe(tmp_path / "r.toml", "vae", dict([field.split("=")]))


def test_eight_bits_need_bitsandbytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    with pytest.raises(ConfigError, match="bitsandbytes is not installed"):
        run(tmp_path, optimizer="adamw-8bit")


@pytest.mark.filterwarnings("ignore")
def test_eight_bits_need_a_gpu(tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    with pytest.raises(ConfigError, match="needs a GPU, found cpu"):
        run(tmp_path, optimizer="adamw-8bit")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_eight_bits_train_and_resume(tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")

    def made() -> Trainer:
        recipe = Recipe(
            stage="vae", data=(), model=TINY, steps=8, batch_size=4, size_px=16, sample_every=0,
            optimizer="adamw-8bit",
        )  # fmt: skip
        return Trainer(recipe, VAEStage(recipe, images(), torch.device("cuda")), tmp_path)

    first = made()
    first.one_step()
    first.save()
    assert made().train()


def test_channels_last_changes_the_layout_and_not_the_loss(tmp_path: Path) -> None:
    plain, last = run(tmp_path / "plain"), run(tmp_path / "last", channels_last=True)
    weight = last.first.encoder[0].weight  # type: ignore[index,union-attr]
    assert weight.is_contiguous(memory_format=torch.channels_last)
    for _ in range(3):
        terms = [each.one_step() for each in (plain, last)]
        for name, value in terms[0].items():
            torch.testing.assert_close(terms[1][name], value, rtol=1e-4, atol=1e-6)


def test_checkpoints_of_activations_are_refused_where_there_are_none() -> None:
    with pytest.raises(ConfigError, match="gradient_checkpointing only in stages autoencoder, base"):
        Recipe(stage="vae", data=(), steps=1, gradient_checkpointing=True)


def test_bfloat16_trains_float32_weights_and_loses_alike(tmp_path: Path) -> None:
    plain, half = run(tmp_path / "plain"), run(tmp_path / "half", precision="bfloat16")
    for _ in range(3):
        terms = [each.one_step() for each in (plain, half)]
        for name, value in terms[0].items():
            torch.testing.assert_close(terms[1][name].float(), value, rtol=0.05, atol=0.01)
    before = list(plain.first.parameters())
    assert all(parameter.dtype == torch.float32 for parameter in half.first.parameters())
    assert any(
        not torch.equal(a, b) for a, b in zip(before, half.first.parameters(), strict=True)
    )  # it did compute in another precision
