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
from pellucid.data.records import Record
from pellucid.data.shards import add_member


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


def write_set_shard(shard: SetShard) -> ShardLine:
    """Writes a shard and returns its line of the manifest: file, sha256, bytes, images, licences."""
    licences: Counter[str] = Counter()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for stem, name in shard.images:
            members = _members(stem)
            about = members[f"{name}.json"]
            licences[Record.from_json(json.loads(about)).licence or "not stated"] += 1
            add_member(tar, f"{name}.webp", members[f"{name}.webp"])
            add_member(tar, f"{name}.json", about)
    content = buffer.getvalue()
    write_file(shard.location, content)
    return {
        "file": shard.location.rpartition("/")[2],
        "sha256": sha256(content).hexdigest(),
        "bytes": len(content),
        "images": len(shard.images),
        "licences": dict(licences),
    }


@lru_cache(maxsize=2)
def _members(stem: str) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(read_file(f"{stem}.tar"))) as tar:
        return {member.name: file.read() for member in tar if (file := tar.extractfile(member))}
