"""`pellucid eval` from the command line, on a small model and a small set."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

import tiny
from pellucid.apps.cli import cli
from pellucid.data.records import Record
from pellucid.data.shards import write_shard
from pellucid.errors import ConfigError, FileError, WeightsError
from pellucid.evaluation.fidelity import MEAN, STD, ClipFidelity
from pellucid.evaluation.score_table import read_table
from pellucid.files.images import read_rgba, write_image
from tiny_onnx import write_mean_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("models")
    generator = np.random.default_rng(0)
    samples = [
        (
            Record(
                name=f"{i}",
                label=f"thing {i}",
                keywords=(),
                group="food",
                source="s",
                style="icon",
                licence="MIT",
                attribution="x",
                soft=0.0,
            ),
            generator.integers(0, 256, (20, 20, 4), np.uint8),
        )
        for i in range(40)
    ]
    assert any(record.held_out for record, _ in samples)
    write_shard(samples, folder / "set.tar")
    made = tiny.save_mini(folder / "mini")
    (made / "vocabulary.json").write_text(json.dumps({"sets": [str(folder / "set.tar")], "subjects": 7}))
    return str(made)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["eval", *map(str, arguments)])


def test_reconstruction_takes_held_out_images_or_a_folder(model: str, tmp_path: Path) -> None:
    result = run("reconstruction", "--model", model, "--passes", "1", "-o", tmp_path / "x.json", "--json")
    assert result.exit_code == 0, result.output
    scores = json.loads(result.stdout)
    assert 1 <= scores["pictures"] < 40
    assert (scores["sizes"], scores["written"]) == ("64 x 64", [str(tmp_path / "x.json")])
    written = json.loads((tmp_path / "x.json").read_text())
    assert written["psnr_db"] == scores["psnr_db"]
    assert "held out" in written["contamination"]
    assert len(written["scores"]["identity"]) == scores["pictures"]
    assert len(read_table(tmp_path / "x.json").names) == scores["pictures"]
    write_image(np.full((9, 11, 4), 200, np.uint8), tmp_path / "a.png")
    result = run("reconstruction", tmp_path, "--model", model, "--passes", "1")
    assert "sizes             9 x 11" in result.stdout
    assert "psnr_db           black " in result.stdout


def test_words_scores_kinds_and_writes_sheets(model: str, tmp_path: Path) -> None:
    words = ["words", "--model", model, "--kind", "counts", "--kind", "pairs"]
    written = ["--steps", "1", "-o", tmp_path / "w.json"]
    # none of the set's subjects can make a pair
    assert isinstance(run(*words, *written).exception, ConfigError)
    result = run(*words[:5], *written, "--sheets", tmp_path / "sheets")
    assert result.exit_code == 0, result.output
    scores = json.loads((tmp_path / "w.json").read_text())["counts"]
    trained, held_out = scores["trained"], scores["held_out"]
    assert trained["of"] + held_out["of"] == 30
    said = f"counts: {trained['obeyed']} of {trained['of']} obeyed; never shown together: "
    assert result.stdout.startswith(said)
    assert read_rgba(tmp_path / "sheets" / "counts.png").shape[2] == 4


def test_generation_scores_the_vocabulary_and_writes_a_sheet(model: str, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    words = ["generation", "--model", model, "--captions", "3", "--steps", "1", "--sheet", sheet]
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    scores = json.loads(result.stdout)
    assert (scores["captions"], scores["subjects"], scores["written"]) == (3, 7, [str(sheet)])
    assert read_rgba(sheet).shape[1] > 3 * 64
    assert json.loads(run(*words, "--subjects", "2", "--json").stdout)["subjects"] == 2


def test_generation_writes_every_score_and_a_page(model: str, tmp_path: Path, tiny_clip: str) -> None:
    output, page = tmp_path / "x.json", tmp_path / "x.html"
    write_mean_model(tmp_path / "mean.onnx")
    words = ["generation", "--model", model, "--captions", "3", "--steps", "1"]
    words += ["--aesthetic", str(tmp_path / "mean.onnx"), "--clip", tiny_clip]
    result = run(*words, "-o", output, "--page", page, "--json")
    assert result.exit_code == 0, result.output
    written = json.loads(output.read_text())
    assert written["kind"] == "generation"
    assert {"top1", "top5", "fringe", "dirty", "hidden", "clip", "aesthetic"} <= written["scores"].keys()
    assert all(-100 <= value <= 100 for value in written["scores"]["clip"])
    assert all(-3 < value < 3 for value in written["scores"]["aesthetic"])  # the mean after normalisation
    assert written["made"]["commit"]
    assert list(json.loads(result.stdout)["clip"]) == ["clip (CLIP)"]
    assert "the model has learned the images of" in page.read_text()
    assert isinstance(run(*words[:-1], tmp_path).exception, WeightsError)


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A CLIP model of a few thousand weights, whose words are letters."""
    from transformers import CLIPConfig, CLIPModel

    folder = tmp_path_factory.mktemp("models") / "clip"
    folder.mkdir()
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789"]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer"}))
    small = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config={
            **small,
            "vocab_size": len(words),
            "max_position_embeddings": 16,
            "eos_token_id": len(words) - 1,
        },
        vision_config={**small, "image_size": 24, "patch_size": 8},
        projection_dim=8,
    )
    CLIPModel(config).save_pretrained(folder)
    return str(folder)


def test_fidelity_is_the_cosine_of_the_models_own_embeddings(tiny_clip: str) -> None:
    from transformers import CLIPModel, CLIPTokenizer

    rgba = np.random.default_rng(0).integers(0, 256, (24, 24, 4), np.uint8)
    (found,) = ClipFidelity(tiny_clip).scores([rgba], ["a red cat"])
    model, tokenizer = CLIPModel.from_pretrained(tiny_clip), CLIPTokenizer.from_pretrained(tiny_clip)
    alpha = rgba[..., 3:] / 255.0
    rgb = (rgba[..., :3] * alpha + 255 * (1 - alpha)) / 255
    pixels = torch.tensor((rgb - MEAN) / STD, dtype=torch.float32).permute(2, 0, 1)[None]
    with torch.no_grad():
        output = model(pixel_values=pixels, **tokenizer("a red cat", return_tensors="pt"))
    # a model of one text and one image says the cosine times its scale
    assert found == pytest.approx(
        100 * float(output.logits_per_image / model.logit_scale.detach().exp()), abs=1e-3
    )


def test_speed_prints_a_small_table(model: str) -> None:
    result = run("speed", "--model", model, "--steps", "1", "--runs", "1", "--passes", "1")
    assert [line.split()[0] for line in result.stdout.splitlines()][:3] == ["model", "device", "threads"]


def test_what_does_not_fit_is_refused_before_any_work(tmp_path: Path) -> None:
    assert isinstance(run("speed", "-o", tmp_path / "no" / "x.json").exception, FileError)
    assert isinstance(run("generation", "--sheet", tmp_path / "x.gif").exception, FileError)
    assert isinstance(run("generation", "--group", "fish").exception, ConfigError)
    assert isinstance(run("reconstruction", "--set", tmp_path / "no.tar").exception, FileError)
    assert run("reconstruction", tmp_path / "no").exit_code == 2
