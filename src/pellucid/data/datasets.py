"""Published sets of training images: one row of data a set, fetched and packed once."""

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pellucid.data.animations import frame_samples
from pellucid.data.clip_art import clip_art_samples
from pellucid.data.emoji import KEYWORDS, NAMES, emoji_samples, fluent, noto
from pellucid.data.icon_sets import icons_by_label, weather_icons
from pellucid.data.land_photos import land_samples
from pellucid.data.package_archives import Archive, LazyArchives, fetch
from pellucid.data.records import Record
from pellucid.data.shards import Sample, expanded, write_shard
from pellucid.data.sprites import sprite_samples
from pellucid.errors import InputError

# Pinned by hash, since scores of two runs compare only if both saw the same images.
FLUENT = Archive(
    "@lobehub/fluent-emoji-3d", "1.1.0", "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58"
)
NOTO = Archive(
    "@iconify-json/noto", "1.2.9", "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad"
)
FLUENT_ANIMATED = (
    Archive(
        "@lobehub/fluent-emoji-anim-1",
        "1.0.0",
        "4c03ac178c1eabf2e2a16dd498f3cc2b92dc30ec3466ae38fdc497d4774c99ea",
    ),
    Archive(
        "@lobehub/fluent-emoji-anim-2",
        "1.0.0",
        "e431da8172e394036c330faa77648d6fbbae1fd3b0be95637c4497c9075019c0",
    ),
    Archive(
        "@lobehub/fluent-emoji-anim-3",
        "1.0.0",
        "3624d0c34c819c1794b74ccf6ae9034adff7c4cb6318dd2a645145f0196feb43",
    ),
    Archive(
        "@lobehub/fluent-emoji-anim-4",
        "1.0.0",
        "3d4c08f1e321f70808ef4996aba0ab575a9d97b6c56ffffc92cf6161a7836aa3",
    ),
)
FLUENT_COLOUR = Archive(
    "@iconify-json/fluent-emoji", "1.2.7", "8044210dbf11e016d4de85f15d01a243423bd832457e7e2491df1b751c0e272b"
)
FX_EMOJI = Archive(
    "@iconify-json/fxemoji", "1.2.2", "f3e72b3c59d05e1db03b7e308d55c0d05bd7ba3f625a90da1b79313c12858eef"
)
METEOCONS = Archive(
    "@iconify-json/meteocons", "1.2.4", "1c0b49c6375c0e35c3ed65db6e41e9811a0cbd2368c13ee27f870f60c6185ff0"
)
CLIP_ART = Archive(
    "openclipart-svg",
    "1:0.18+dfsg-19",
    "989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5",
    "deb",
)
KENNEY = Archive(
    "arcade", "3.3.3", "25f4e0e5b8bcbe7a7d087c0a23b19e9f423b0c70ec00945c8712c9a3e541ebd2", "pypi"
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
    samples: Callable[[Record, str, Sequence[dict[str, bytes]]], Iterator[Sample]]
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
    "fluent-3d-animated": Source(
        archives=(*FLUENT_ANIMATED, NAMES, KEYWORDS),
        style="3D glossy icon",
        licence="MIT",
        attribution="Fluent Emoji, Microsoft Corporation",
        samples=frame_samples,
    ),
    "fluent-colour": Source(
        archives=(FLUENT_COLOUR, NAMES, KEYWORDS),
        style="gradient icon",
        licence="MIT",
        attribution="Fluent Emoji, Microsoft Corporation",
        samples=icons_by_label,
    ),
    "fxemoji": Source(
        archives=(FX_EMOJI, NAMES, KEYWORDS),
        style="simple flat icon",
        licence="Apache-2.0",
        attribution="FxEmojis, Mozilla",
        samples=icons_by_label,
    ),
    "meteocons": Source(
        archives=(METEOCONS,),
        style="weather icon",
        licence="MIT",
        attribution="Meteocons, Bas Milius",
        samples=weather_icons,
    ),
    "openclipart": Source(
        archives=(CLIP_ART,),
        style="clip art",
        licence="public domain",
        attribution="Open Clip Art Library",
        samples=clip_art_samples,
    ),
    "kenney": Source(
        archives=(KENNEY,),
        style="game sprite",
        licence="CC0-1.0",
        attribution="Kenney.nl, as the Arcade library carries them",
        samples=sprite_samples,
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
    # some file systems allow no ":" in names, which versions of Debian have
    shard = folder / f"{name}-{main.version.replace(':', '_')}.tar"
    # shards are written atomically: one that exists is whole
    if shard.exists():
        return shard
    files = LazyArchives([fetch(archive, archives or folder) for archive in source.archives])
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
    # a folder of shards, as `data ingest` writes it, is as good as a name
    if Path(name).is_dir():
        return expanded(f"{glob.escape(name)}/*.tar")
    return expanded(name)
