"""Where training pictures come from: published sets as rows of data, fetched with npm and packed once."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from pellucid.data.records import Record
from pellucid.data.shards import Sample, write_shard
from pellucid.errors import FileError, InputError
from pellucid.progress import track

GROUPS = (
    "smileys",
    "people",
    "component",
    "animals",
    "food",
    "travel",
    "activities",
    "objects",
    "symbols",
    "flags",
)
"""Unicode's emoji groups in emojibase's numbering."""
LEFT_OUT = ("component", "symbols", "flags")
"""Groups that hold no objects."""
PICTURE_PX = 256


@dataclass(frozen=True, slots=True)
class Archive:
    """One pinned npm package."""

    package: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        """The name that `npm pack` gives it."""
        return f"{self.package.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


FLUENT = Archive(
    "@lobehub/fluent-emoji-3d", "1.1.0", "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58"
)
NOTO = Archive(
    "@iconify-json/noto", "1.2.9", "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad"
)
NAMES = Archive(
    "emojibase-data", "17.0.0", "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a"
)
KEYWORDS = Archive("emojilib", "4.0.3", "7f9a6b43cff31d18985b7d65d11faba5bd971cbcc60020cf6d09322fbaaaf303")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A set of labelled transparent pictures."""

    archive: Archive
    style: str
    licence: str
    attribution: str
    pictures: Callable[[dict[str, bytes]], Iterator[tuple[str, Callable[[], np.ndarray]]]]
    """Files of the archive -> (hexcode, function that renders uint8 (256, 256, 4))."""


def _fluent(files: dict[str, bytes]) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    for name, content in sorted(files.items()):
        if name.endswith(".webp"):
            yield (
                Path(name).stem,
                lambda content=content: np.asarray(Image.open(io.BytesIO(content)).convert("RGBA")),
            )


def _noto(files: dict[str, bytes]) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    from resvg_py import svg_to_bytes

    icons = json.loads(files["package/icons.json"])["icons"]

    def render(body: str) -> np.ndarray:
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 128">{body}</svg>'
        png = svg_to_bytes(svg_string=svg, width=PICTURE_PX, height=PICTURE_PX)
        return np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGBA"))

    for hexcode, name in sorted(json.loads(files["package/chars.json"]).items()):
        if name in icons:
            yield hexcode, lambda name=name: render(icons[name]["body"])


SOURCES: dict[str, Source] = {
    "fluent-3d": Source(
        archive=FLUENT,
        style="3D glossy icon",
        licence="MIT",
        attribution="Fluent Emoji, Microsoft Corporation",
        pictures=_fluent,
    ),
    "noto": Source(
        archive=NOTO,
        style="flat icon",
        licence="Apache-2.0",
        attribution="Noto Emoji, Google LLC",
        pictures=_noto,
    ),
}


def cache_folder() -> Path:
    """Where fetched archives and shards are kept: `$XDG_CACHE_HOME/pellucid`, else `~/.cache/pellucid`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pellucid"


def pull(name: str, *, archives: Path | None = None, folder: Path | None = None) -> Path:
    """Fetches a set, packs it to a shard and returns the shard's path; does nothing twice.

    Args:
        name: a key of `SOURCES`.
        archives: folder that already holds the .tgz files; nothing is fetched then.
        folder: where archives and the shard are kept. None is `cache_folder()`.

    Raises:
        InputError: no such set.
        FileError: a file cannot be fetched, or is not the pinned one.
    """
    if name not in SOURCES:
        raise InputError(f"Expected one of {', '.join(SOURCES)}, got {name!r}. Choose a set that is listed.")
    folder = folder or cache_folder()
    source = SOURCES[name]
    shard = folder / f"{name}-{source.archive.version}.tar"
    if shard.exists():
        return shard
    paths = {archive: fetch(archive, archives or folder) for archive in (source.archive, NAMES, KEYWORDS)}
    table = _names(read_archive(paths[NAMES]), read_archive(paths[KEYWORDS]))
    write_shard(_samples(name, source, read_archive(paths[source.archive]), table), shard)
    return shard


def shard_of(name: str) -> Path:
    """The shard of a set by its name, fetched if need be; any other name is a shard's path."""
    return pull(name) if name in SOURCES else Path(name)


def fetch(archive: Archive, folder: Path) -> Path:
    """The archive's path in `folder`, fetched with `npm pack` where it is absent; its hash is checked."""
    path = folder / archive.file
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "pack", "--silent", f"{archive.package}@{archive.version}"]
        try:
            subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=600)
        except (OSError, subprocess.SubprocessError) as error:
            raise FileError(
                f"{archive.package} could not be fetched with npm: {error}. "
                f"Put {archive.file} into a folder yourself and name it with --archives."
            ) from error
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != archive.sha256:
        raise FileError(
            f"{path} should have sha256 {archive.sha256[:12]}…, has {found[:12]}…. Delete it and pull again."
        )
    return path


def read_archive(path: Path) -> dict[str, bytes]:
    """All files of a .tgz by name."""
    with gzip.open(path) as stream, tarfile.open(fileobj=stream) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]


Names = dict[str, tuple[str, tuple[str, ...], str]]


def _bare(hexcode: str) -> str:
    """Files and tables disagree on the variation selector: leave it out on both sides."""
    return hexcode.lower().replace("-fe0f", "")


def _names(emojibase: dict[str, bytes], emojilib: dict[str, bytes]) -> Names:
    """Hexcode -> label, keywords, group; without skin-tone variants and groups that hold no objects."""
    extra = json.loads(emojilib["package/dist/emoji-en-US.json"])
    table: Names = {}
    for entry in json.loads(emojibase["package/en/data.json"]):
        group = GROUPS[entry["group"]] if "group" in entry else "component"
        if group in LEFT_OUT:
            continue
        words = [
            *entry.get("tags", []),
            *(word.replace("_", " ") for word in extra.get(entry["emoji"], [])[1:]),
        ]
        table[_bare(entry["hexcode"])] = (entry["label"], tuple(dict.fromkeys(words)), group)
    return table


def _samples(name: str, source: Source, files: dict[str, bytes], table: Names) -> Iterator[Sample]:
    pictures = [(code, render) for code, render in source.pictures(files) if _bare(code) in table]
    for code, render in track(pictures, total=len(pictures), label=f"packing {name}", unit="picture"):
        label, keywords, group = table[_bare(code)]
        rgba = render()
        yield (
            Record(
                name=f"{name}-{_bare(code)}",
                label=label,
                keywords=keywords,
                group=group,
                source=f"{source.archive.package}@{source.archive.version}",
                style=source.style,
                licence=source.licence,
                attribution=source.attribution,
                soft=softness(rgba),
            ),
            rgba,
        )


def softness(rgba: np.ndarray) -> float:
    """Share of the visible area that is partly transparent at least 5 px deep: glass, smoke, glow; 0 to 1.

    Args:
        rgba: uint8 (h, w, 4).
    """
    alpha = rgba[..., 3]
    partly = ((alpha > 12) & (alpha < 243)).astype(np.uint8)
    deep = cv2.erode(partly, np.ones((5, 5), np.uint8))
    return float(deep.sum() / max(1, int((alpha > 0).sum())))
