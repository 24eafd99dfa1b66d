"""Files appear whole or not at all, and keep what they were: links, modes, owners, pipes."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pellucid.errors import FileError
from pellucid.files import atomic
from pellucid.files.atomic import open_atomically, write_atomically

UNIX = pytest.mark.skipif(sys.platform == "win32", reason="modes and pipes of Unix")


def test_a_block_that_raises_leaves_the_old_file_and_nothing_new(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_atomically(path, b"old")
    with pytest.raises(KeyError), open_atomically(path) as file:
        file.write(dict[str, bytes]()["new"])
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.parametrize("kind", [RuntimeError, KeyError, TypeError])
def test_what_the_block_raises_is_raised(tmp_path: Path, kind: type[Exception]) -> None:
    def fail() -> None:
        with open_atomically(tmp_path / "a.bin") as file:
            file.write(b"half")
            raise kind

    with pytest.raises(kind):
        fail()
    assert list(tmp_path.iterdir()) == []


@UNIX
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o666, 0o755])
def test_a_file_keeps_its_mode_and_a_new_one_has_the_usual_one(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    path.chmod(mode)
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == mode
    write_atomically(tmp_path / "b.bin", b"new")
    (tmp_path / "c.bin").write_bytes(b"new")
    assert (tmp_path / "b.bin").stat().st_mode == (tmp_path / "c.bin").stat().st_mode


@UNIX
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")
def test_a_file_keeps_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    os.chown(path, 4321, 4322)
    path.chmod(0o640)
    write_atomically(path, b"new")
    found = path.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (4321, 4322, 0o640)


@UNIX
def test_a_link_stays_a_link_and_a_circle_of_links_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "link.bin"
    link.symlink_to(tmp_path / "there" / "a.bin")
    write_atomically(link, b"x")
    assert link.is_symlink()
    assert (tmp_path / "there" / "a.bin").read_bytes() == b"x"
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    with pytest.raises(FileError, match="Cannot write"):
        write_atomically(tmp_path / "one", b"x")


@UNIX
@pytest.mark.parametrize("linked", [False, True])
def test_a_pipe_gets_the_content_and_stays_a_pipe(tmp_path: Path, linked: bool) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    path = tmp_path / "link" if linked else pipe
    if linked:
        path.symlink_to(pipe)
    content = os.urandom(300_000)  # more than a pipe holds
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    write_atomically(path, content)
    reader.join(timeout=20)
    assert found == [content]
    assert pipe.is_fifo()
    assert len(list(tmp_path.iterdir())) == 1 + linked


@UNIX
def test_a_device_is_written_to() -> None:
    write_atomically(Path("/dev/null"), b"x")
    assert Path("/dev/null").is_char_device()
    command = "from pathlib import Path; from pellucid.files.atomic import write_atomically as w; "
    command += "w(Path('/dev/stdout'), b'whole')"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, check=True)
    assert done.stdout == b"whole"


@pytest.mark.parametrize("name", ["😀" * 60 + ".png", "x" * 250 + ".png", "ä" * 120 + ".png"])
def test_long_names_work_as_far_as_the_file_system_goes(tmp_path: Path, name: str) -> None:
    write_atomically(tmp_path / name, b"x")
    assert (tmp_path / name).read_bytes() == b"x"


@UNIX
def test_names_that_are_no_text_are_kept_byte_by_byte(tmp_path: Path) -> None:
    name = b"caf\xe9" + b"\xff" * 120 + b".png"
    write_atomically(tmp_path / os.fsdecode(name), b"x")
    assert [os.fsencode(each.name) for each in tmp_path.iterdir()] == [name]


KILLED = """
import os, signal, sys
from pathlib import Path
from pellucid.files.atomic import open_atomically
with open_atomically(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@UNIX
def test_what_a_killed_process_leaves_goes_with_the_next_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.bin"
    write_atomically(path, b"old")
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    (tmp_path / ".mine.part").touch()  # of somebody else
    assert len(list(tmp_path.glob(".*.part"))) == 2
    monkeypatch.setattr(atomic, "_swept", set[Path]())
    with open_atomically(tmp_path / "b.bin") as file:  # one that is being written stays
        monkeypatch.setattr(atomic, "_swept", set[Path]())
        write_atomically(tmp_path / "c.bin", b"x")
        file.write(b"y")
    names = {each.name for each in tmp_path.iterdir()}
    assert names == {"a.bin", "b.bin", "c.bin", ".mine.part"}


@UNIX
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everything")
def test_a_read_only_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    path.chmod(0o444)
    with pytest.raises(FileError, match="read-only"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
