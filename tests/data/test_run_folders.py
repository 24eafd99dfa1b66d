"""A run's folder: one plan, one command at a time, and nothing of anybody else's is replaced or removed."""

import subprocess
import sys
from pathlib import Path

import pytest

from pellucid.data.ingest.folders import claimed
from pellucid.errors import FileError, InputError

PLAN = {"seed": 1}


def test_a_folder_is_claimed_again_by_its_own_plan_alone(tmp_path: Path) -> None:
    folder = str(tmp_path / "new" / "set")
    for _ in range(2):
        with claimed(folder, PLAN):
            pass
    assert [path.name for path in Path(folder).iterdir()] == ["plan.json"]
    with claimed(folder, {"seed": 2}):  # nothing was made by the first plan
        (Path(folder) / "parts").mkdir()
    with pytest.raises(InputError, match="seed differ"), claimed(folder, PLAN):
        pass


@pytest.mark.parametrize("name", ["parts/novel.txt", "manifest.json", "set-000000.tar", "dropped.jsonl"])
def test_what_somebody_else_wrote_is_left_alone(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("precious")
    with pytest.raises(InputError, match="new or empty folder"), claimed(str(tmp_path), PLAN):
        pass
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == [path]


@pytest.mark.parametrize("plan", ["{bad", "[1]", "3", "null"])
def test_a_plan_that_is_none_is_told(plan: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(plan)
    with pytest.raises(InputError, match="plan of an earlier run"), claimed(str(tmp_path), PLAN):
        pass


def test_names_that_cannot_be_folders_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in (str(tmp_path / "file"), str(tmp_path / "file" / "below"), "nope://a/b"):
        with pytest.raises(FileError, match="Check"), claimed(name, PLAN):
            pass
    with pytest.raises(InputError, match="empty name"), claimed("", PLAN):
        pass


def test_a_second_command_is_kept_out_until_the_first_has_ended(tmp_path: Path) -> None:
    code = f"""from pellucid.data.ingest.folders import claimed
with claimed({str(tmp_path)!r}, {PLAN!r}):
    print("has it", flush=True)
    input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline()
        with pytest.raises(InputError, match="another command"), claimed(str(tmp_path), PLAN):
            pass
        other.kill()
    # however it ended
    with claimed(str(tmp_path), PLAN):
        pass
