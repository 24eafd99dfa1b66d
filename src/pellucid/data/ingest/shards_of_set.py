"""Writes the shards of a finished set from examined parts, without decoding an image again."""

import io
import json
import tarfile
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import TypedDict

from pellucid.data.ingest.files import read_file, write_file
from pellucid.data.shards import add_member
from pellucid.files.tables import is_list


class ShardLine(TypedDict):
    """What a manifest says of one shard."""

    file: str
    sha256: str
    bytes: int
    images: int
    licences: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetShard:
    """One shard of a set: what one task writes."""

    location: str
    images: tuple[tuple[str, str], ...]
    """For each image the stem of its part and its name, in order."""
    kinds: tuple[str, ...] = ("webp", "json")
    """Members that belong to one image; the last one is its record."""


def write_set_shard(shard: SetShard) -> ShardLine:
    """Writes a shard and returns its line of the manifest: file, sha256, bytes, images, licences."""
    licences: Counter[str] = Counter()
    # packed bytes are copied, not decoded: encoding again would cost most of the run a second time
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for stem, name in shard.images:
            members = _members(stem)
            licences[_licence(json.loads(members[f"{name}.{shard.kinds[-1]}"]))] += 1
            for kind in shard.kinds:
                add_member(tar, f"{name}.{kind}", members[f"{name}.{kind}"])
    content = buffer.getvalue()
    write_file(shard.location, content)
    return {
        "file": shard.location.rpartition("/")[2],
        "sha256": sha256(content).hexdigest(),
        "bytes": len(content),
        "images": len(shard.images),
        "licences": dict(licences),
    }


def _licence(about: dict[str, object]) -> str:
    """Returns the licence of an image, or those of a layer triple's images."""
    stated = about.get("licences", [about.get("licence")])
    names = {str(name) for name in stated if name} if is_list(stated) else set[str]()
    return " and ".join(sorted(names)) or "not stated"


@lru_cache(maxsize=2)
def _members(stem: str) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(read_file(f"{stem}.tar"))) as tar:
        return {member.name: file.read() for member in tar if (file := tar.extractfile(member))}
