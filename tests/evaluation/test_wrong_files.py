"""Wrong folders, results and options of `pellucid eval`: one clear error, nothing lost."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from evaluation.test_file_scores import Disc, ball, folders, run
from pellucid.errors import FileError, InputError
from pellucid.evaluation.file_scores import cut_out, read_photographs
from pellucid.evaluation.matting import NETWORKS, Matter
from pellucid.files.images import write_image
from pellucid.scene.scene import Scene

__all__ = ["folders"]


def test_an_image_of_a_folder_is_never_chosen_silently(
    folders: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    found, wanted = folders
    (wanted / "5.jpg").write_bytes(b"")
    assert run("composition", found, wanted).exit_code == 0
    assert "5.jpg" in caplog.text
    write_image(ball(), found / "1.webp")
    refused = run("composition", found, wanted)
    assert isinstance(refused.exception, InputError)
    assert "1.png and 1.webp" in str(refused.exception)


def test_photographs_may_be_jpeg(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "wood.JPG"), ball()[..., :3])
    assert read_photographs(str(tmp_path), 4)["wood"].shape == (64, 64, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are text")
def test_names_that_are_no_text_are_told_before_the_work(folders: tuple[Path, Path]) -> None:
    for folder in folders:
        write_image(ball(), folder / "x.png")
        (folder / "x.png").rename(folder / os.fsdecode(b"\xff.png"))
    refused = run("composition", *folders)
    assert isinstance(refused.exception, InputError)
    assert "UTF-8" in str(refused.exception)


def test_a_note_that_is_no_text_loses_no_result(folders: tuple[Path, Path], tmp_path: Path) -> None:
    page, scores = tmp_path / "a.html", tmp_path / "a.json"
    note = "<b>\udcff</b>"
    assert run("composition", *folders, "--contamination", note, "-o", scores, "--page", page).exit_code == 0
    assert json.loads(scores.read_text())["contamination"] == "<b>?</b>"
    assert "&lt;b&gt;?" in page.read_text()


def test_reports_overwrite_neither_images_nor_one_another(folders: tuple[Path, Path], tmp_path: Path) -> None:
    found, wanted = folders
    before = (wanted / "1.png").read_bytes()
    same = tmp_path / "report"
    for words in (["-o", wanted / "1.png"], ["--page", wanted / "1.png"], ["-o", same, "--page", same]):
        assert isinstance(run("composition", found, wanted, *words).exception, InputError)
    assert (wanted / "1.png").read_bytes() == before
    assert not same.exists()


def test_what_is_cut_out_never_overwrites_true_images(folders: tuple[Path, Path]) -> None:
    before = (folders[1] / "1.png").read_bytes()
    matter = Matter(Disc(), NETWORKS["u2netp"], "none")  # type: ignore[arg-type] - the three methods used here
    with pytest.raises(InputError, match="folder of its own"):
        cut_out(folders[1], folders[1] / ".." / "wanted", matter, {})
    assert (folders[1] / "1.png").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"scores": {"psnr": [float("nan")] * 2}}, "finite"),
        ({"scores": {"psnr": [float("inf"), 1]}}, "finite"),
        ({"scores": {"psnr": ["high", 1]}}, "scores.psnr.0: Input should be a valid number"),
        ({"scores": {"beauty": [1, 2]}}, "beauty"),
        ({"scores": {"psnr": [1]}}, "1 scores by psnr of 2 images"),
        ({"images": ["1", "1"]}, "named twice"),
        ({"format": "pellucid-scores-9"}, "pellucid-scores-1"),
        ({"images": None}, "images: Input should be a valid array"),
    ],
)
def test_results_edited_by_hand_are_told(tmp_path: Path, change: dict[str, object], told: str) -> None:
    values = {"format": "pellucid-scores-1", "images": ["1", "2"], "scores": {"psnr": [30, 31]}}
    (tmp_path / "good.json").write_text(json.dumps(values))
    (tmp_path / "edited.json").write_text(json.dumps({**values, **change}))
    refused = run("compare", tmp_path / "good.json", tmp_path / "edited.json")
    assert isinstance(refused.exception, FileError)
    assert told in str(refused.exception)


def test_results_made_in_different_ways_are_not_compared(tmp_path: Path) -> None:
    values = {"format": "pellucid-scores-1", "images": ["1", "2"], "scores": {"psnr": [30, None]}}
    for name, protocol in (("a", "lossless"), ("b", "jpeg"), ("c", "lossless")):
        (tmp_path / f"{name}.json").write_text(json.dumps({**values, "protocol": protocol}))
    refused = run("compare", tmp_path / "a.json", tmp_path / "b.json")
    assert isinstance(refused.exception, InputError)
    assert "lossless and jpeg" in str(refused.exception)
    (tmp_path / "c.json").write_text((tmp_path / "c.json").read_text().replace("30", "null"))
    told = json.loads(run("compare", tmp_path / "a.json", tmp_path / "c.json", "--json").output)
    assert told["psnr"]["first"] is None  # JSON has no NaN


def test_a_document_that_does_not_fit_is_named(tmp_path: Path) -> None:
    for folder, visible in (("found", False), ("wanted", True)):
        (tmp_path / folder).mkdir()
        scene = Scene.of(ball())
        scene = replace(scene, layers=tuple(replace(layer, visible=visible) for layer in scene.layers))
        scene.save(tmp_path / folder / "poster.psd")
    refused = run("layers", tmp_path / "found", tmp_path / "wanted")
    assert isinstance(refused.exception, InputError)
    assert str(refused.exception).startswith("In poster: ")
