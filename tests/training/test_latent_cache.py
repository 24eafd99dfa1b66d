"""Tensors on disk: made once, made again when anything that decides them changes, whole or absent."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pellucid.errors import FileError
from pellucid.training.data.latent_cache import cached, file_key, folder_key, shard_keys

WRITER = """
import sys
import torch
from pathlib import Path
from pellucid.training.data.latent_cache import cached

def make():
    print("made")
    return torch.arange(200_000, dtype=torch.float32).view(1000, 200)

found = cached(Path(sys.argv[1]), ["same"], make)
assert torch.equal(found, torch.arange(200_000, dtype=torch.float32).view(1000, 200))
"""


class Maker:
    """Counts how often it makes its tensor."""

    def __init__(self, value: Tensor) -> None:
        self.value, self.times = value, 0

    def __call__(self) -> Tensor:
        self.times += 1
        return self.value


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_tensor_is_made_once(tmp_path: Path, capfd: pytest.CaptureFixture[str], dtype: torch.dtype) -> None:
    make = Maker(torch.randn(7, 4, 3, 2).to(dtype).transpose(1, 2))
    for _ in range(3):
        found = cached(tmp_path, ["weights", 64, {"a": 1.5}], make)
        assert found.dtype == dtype
        assert torch.equal(found, make.value)
    assert make.times == 1
    assert capfd.readouterr().err.count("(7, 3, 4, 2), 0.0 MB") == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_whatever_decides_it_makes_it_again(tmp_path: Path) -> None:
    make = Maker(torch.zeros(3))
    keys: list[list[object]] = [["a", 64], ["b", 64], ["a", 65], ["a", 64, ""], [["a", 64]]]
    for key in keys:
        cached(tmp_path, key, make)
    assert make.times == len(keys)
    cached(tmp_path, ["a", 64], make, label="texts")
    assert make.times == len(keys) + 1


def test_a_torn_file_is_made_again(tmp_path: Path) -> None:
    make = Maker(torch.arange(5000.0))
    cached(tmp_path, ["x"], make)
    (path,) = tmp_path.iterdir()
    os.truncate(path, 10_000)
    assert torch.equal(cached(tmp_path, ["x"], make), make.value)
    assert make.times == 2


def test_it_is_mapped_and_not_read(tmp_path: Path) -> None:
    found = cached(tmp_path, ["x"], Maker(torch.zeros(40_000_000, dtype=torch.uint8)))
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("no /proc")
    assert str(next(tmp_path.iterdir())) in maps.read_text()
    assert int(found[39_999_999]) == 0


def test_two_processes_that_make_the_same_leave_one_whole_file(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(2)]
    for each in both:
        each.communicate()
        assert each.returncode == 0
    third = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "made" not in third.stdout
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileError, match="Cannot write"):
        cached(tmp_path / "file", ["x"], Maker(torch.zeros(1)))


def test_keys_follow_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"1")
    assert file_key(tmp_path / "a") == file_key(tmp_path / "b")
    before, shards = folder_key(tmp_path), shard_keys([str(tmp_path / "a")])
    assert [name for name, _ in before] == ["a", "b"]
    (tmp_path / "a").write_bytes(b"12")
    assert folder_key(tmp_path) != before
    assert shard_keys([str(tmp_path / "a")]) != shards
