"""Records, shards, sources."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pellucid.apps.cli import cli
from pellucid.data.datasets import pull
from pellucid.data.image_folder import folder_samples
from pellucid.data.package_archives import Archive, fetch
from pellucid.data.records import Record, captions, softness
from pellucid.data.shards import read_shard, write_shard
from pellucid.errors import FileError, InputError
from pellucid.rgba.resizing import resize_sample
from pellucid.training.data.subjects import default_images, learned_images


def record(label: str = "red apple", soft: float = 0.0, group: str = "food") -> Record:
    return Record(
        name=label, label=label, keywords=("fruit", "health"), group=group, source="s@1", style="flat icon",
        licence="MIT", attribution="someone", soft=soft,
    )  # fmt: skip


def image(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (24, 20, 4), dtype=np.uint8)


def test_a_shard_comes_back_as_it_was_and_in_the_same_bytes(tmp_path: Path) -> None:
    samples = [(record("red apple"), image(1)), (record("ice", 0.4), image(2))]
    paths = [tmp_path / "a.tar", tmp_path / "b.tar"]
    assert [write_shard(samples, path) for path in paths] == [2, 2]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    for (wanted, rgba), (found, back) in zip(samples, read_shard(paths[0]), strict=True):
        assert found == wanted
        assert np.array_equal(rgba, back)


def test_a_file_that_is_no_shard_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"nothing of the kind")
    with pytest.raises(FileError, match="no readable shard"):
        list(read_shard(tmp_path / "x.tar"))


def test_resizing_makes_no_fringe() -> None:
    rgba = np.zeros((32, 32, 4), np.uint8)
    rgba[8:24, 8:24] = (200, 100, 50, 255)  # black, but transparent, around it
    small = resize_sample(rgba, 12, 12)
    seen = small[..., 3] > 8
    assert seen.any()
    assert np.abs(small[seen][:, :3].astype(int) - (200, 100, 50)).max() <= 8


def test_softness_sees_glass_and_no_edges() -> None:
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[10:54, 10:54, 3] = 255
    assert softness(rgba) == 0
    rgba[20:40, 20:40, 3] = 128
    assert softness(rgba) > 0.1


def test_the_split_depends_on_the_label_alone() -> None:
    labels = [f"thing {number}" for number in range(2000)]
    held_out = [record(label).held_out for label in labels]
    assert 60 < sum(held_out) < 140
    assert held_out == [record(label, soft=0.3, group="objects").held_out for label in labels]


def test_captions_name_the_style_unless_it_is_plain() -> None:
    assert all("flat icon" in text for text in captions(record(), plain=False))
    assert {"red apple", "a red apple"} <= set(captions(record(), plain=True))


def test_a_transparent_image_stands_for_its_subject() -> None:
    records = [record("ice"), record("lemon"), record("ice", soft=0.4), record("key", group="objects")]
    assert default_images(records, ["food", "objects"], 0) == [2, 3, 1]
    assert default_images(records, ["food", "objects"], 2, first=["lemon"]) == [1, 2]


def test_without_groups_every_image_counts_and_those_of_no_group_always() -> None:
    records = [record("red apple", group="food"), record("cat", group=""), record("owl", group="birds")]
    assert sorted(default_images(records, (), 0)) == [0, 1, 2]
    assert default_images(records, ("birds",), 0) == [2, 1]
    kept = [*records, replace(records[0], name="kept", round=2)]
    assert learned_images(kept, ("birds",), 0) == [2, 1, 3]


def test_all_images_of_one_sentence_of_their_own_are_meant() -> None:
    two = [replace(record("two cats", group="animals"), style="", name=f"{number}") for number in range(3)]
    records = [record("cat", group="animals"), record("cat", group="animals"), *two]
    assert learned_images(records, ("animals",), 0) == [0, 2, 3, 4]
    assert learned_images(records, ("food",), 0) == []
    # a vocabulary of some subjects stays one
    assert learned_images(records, ("animals",), 1) == [0]


def test_an_unknown_set_and_a_wrong_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fluent-3d"):
        pull("nothing")
    archive = Archive("thing", "1.0", hashlib.sha256(b"right").hexdigest())
    (tmp_path / archive.file).write_bytes(b"wrong")
    with pytest.raises(FileError, match="sha256"):
        fetch(archive, tmp_path)


def test_a_folder_of_images_keeps_their_captions_and_alpha(tmp_path: Path) -> None:
    (tmp_path / "glass").mkdir()
    rgba = np.zeros((30, 60, 4), np.uint8)
    rgba[:, 20:40] = (200, 10, 10, 128)
    Image.fromarray(rgba).save(tmp_path / "glass" / "red_glass-jar.png")
    Image.fromarray(rgba).save(tmp_path / "b.webp", lossless=True)
    (tmp_path / "b.txt").write_text("a jar of red glass,\n half full\n")
    found = list(folder_samples(tmp_path, 64))
    assert [each.label for each, _ in found] == ["a jar of red glass, half full", "red glass jar"]
    assert captions(found[1][0], plain=False) == ["red glass jar"]
    assert found[0][0].soft > 0.5
    for _, rgba in found:
        assert rgba.shape == (64, 64, 4)
        assert rgba[32, 32, 3] == 128
        assert not rgba[0].any(), "shown whole, with a clear border"
    cropped = next(folder_samples(tmp_path, 30, group="background"))[1]
    assert (cropped[:, 15, 3] == 128).all()
    path = tmp_path / "own.tar"
    write_shard(found, path)
    assert [record for record, _ in read_shard(path)] == [record for record, _ in found]
    packed = CliRunner().invoke(
        cli,
        ["data", "pack", str(tmp_path), "--size-px", "16", "--each", "1", "--weight", "3", "-o", str(path)],
    )
    assert packed.exit_code == 0, packed.output
    written = [record for part in range(2) for record, _ in read_shard(tmp_path / f"own-00000{part}.tar")]
    assert [record.label for record in written] == [record.label for record, _ in found]
    assert {record.weight for record in written} == {3}
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="Expected images"):
        list(folder_samples(tmp_path / "empty", 64))


def test_images_that_cannot_be_read_are_told_and_the_others_packed(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    for name in ("a", "b", "c"):
        Image.new("RGBA", (20, 20), (9, 8, 7, 255)).save(folder / f"{name}.png")
    (folder / "b.png").write_bytes(b"no image")
    (folder / "c.txt").write_bytes(b"\xff\xfe caption")
    command = ["data", "pack", str(folder), "--size-px", "16", "-o", str(tmp_path / "own.tar")]
    packed = CliRunner().invoke(cli, command)
    assert packed.exit_code == 1
    assert [record.label for record, _ in read_shard(tmp_path / "own.tar")] == ["a"]
    assert all(said in packed.stderr for said in ("b.png", "c.txt", "2 images were left out"))
    assert "own.tar" not in packed.stderr
    (folder / "a.png").write_bytes(b"")
    (tmp_path / "own.tar").unlink()
    assert isinstance(CliRunner().invoke(cli, command).exception, FileError)
    assert not (tmp_path / "own.tar").exists()
    with pytest.raises(FileError, match=r"a\.png"):
        list(folder_samples(folder, 16))


def test_a_record_keeps_what_is_known_and_says_nothing_else() -> None:
    plain = Record(name="a", label="cat")
    assert not {"weight", "scores", "prompt", "seed", "round"} & plain.to_json().keys()
    full = Record(name="a", label="cat", weight=2.0, prompt="a cat", seed=3, round=1, scores={"soft": 0.5})
    assert Record.from_json(full.to_json()) == full
    assert hash(full) != hash(plain)
