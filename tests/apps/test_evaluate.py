"""`pellucid eval` from the command line, on a small model and a small set."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import tiny
from pellucid.apps.cli import cli
from pellucid.data.records import Record
from pellucid.data.shards import write_shard
from pellucid.errors import ConfigError, FileError
from pellucid.files.images import read_rgba, write_image


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
    assert json.loads((tmp_path / "x.json").read_text())["psnr_db"] == scores["psnr_db"]
    write_image(np.full((9, 11, 4), 200, np.uint8), tmp_path / "a.png")
    result = run("reconstruction", tmp_path, "--model", model, "--passes", "1")
    assert "sizes             9 x 11" in result.stdout
    assert "psnr_db           black " in result.stdout


def test_generation_scores_the_vocabulary_and_writes_a_sheet(model: str, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    words = ["generation", "--model", model, "--captions", "3", "--steps", "1", "--sheet", sheet]
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    scores = json.loads(result.stdout)
    assert (scores["captions"], scores["subjects"], scores["written"]) == (3, 7, [str(sheet)])
    assert read_rgba(sheet).shape[1] > 3 * 64
    assert json.loads(run(*words, "--subjects", "2", "--json").stdout)["subjects"] == 2


def test_speed_prints_a_small_table(model: str) -> None:
    result = run("speed", "--model", model, "--steps", "1", "--runs", "1", "--passes", "1")
    assert [line.split()[0] for line in result.stdout.splitlines()][:3] == ["model", "device", "threads"]


def test_what_does_not_fit_is_refused_before_any_work(tmp_path: Path) -> None:
    assert isinstance(run("speed", "-o", tmp_path / "no" / "x.json").exception, FileError)
    assert isinstance(run("generation", "--sheet", tmp_path / "x.gif").exception, FileError)
    assert isinstance(run("generation", "--group", "fish").exception, ConfigError)
    assert isinstance(run("reconstruction", "--set", tmp_path / "no.tar").exception, FileError)
    assert run("reconstruction", tmp_path / "no").exit_code == 2
