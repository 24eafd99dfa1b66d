"""Image files of a round, read from where they lie in their shards; nothing is decoded."""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pellucid.data.records import Record
from pellucid.data.shards import read_packed
from pellucid.errors import FileError, first_line

MEDIA_TYPES = {".png": "image/png", ".webp": "image/webp"}


@dataclass(frozen=True, slots=True)
class Stored:
    """An image file inside a shard."""

    record: Record
    offset: int
    content: bytes
    media_type: str
    width: int
    height: int


def stored_images(shard: Path) -> Iterator[Stored]:
    """Yields the images of a local shard in its order, with the byte at which each begins.

    Raises:
        FileError: the shard is absent or none.
    """
    try:
        with tarfile.open(shard) as tar:
            members = {Path(member.name).stem: member for member in tar if not member.name.endswith(".json")}
    except (OSError, tarfile.TarError) as error:
        raise FileError(
            f"{shard} is no readable shard: {first_line(error)}. Sample the round again."
        ) from error
    for record, content in read_packed(shard):
        # as shards write it: WebDataset takes all after the first dot for a kind
        member = members[record.name.replace(".", "_")]
        with Image.open(io.BytesIO(content)) as image:  # reads the header alone
            width, height = image.size
        yield Stored(
            record, member.offset_data, content, MEDIA_TYPES[Path(member.name).suffix], width, height
        )


def read_image(shard: Path, offset: int, length: int) -> bytes:
    """Returns one image file.

    Raises:
        FileError: the shard is absent or shorter than it was.
    """
    try:
        with shard.open("rb") as file:
            file.seek(offset)
            content = file.read(length)
    except OSError as error:
        raise FileError(
            f"Cannot read {shard}: {error.strerror}. Put it back where it was sampled."
        ) from error
    if len(content) != length:
        raise FileError(f"Expected {length} bytes in {shard}, found {len(content)}. Sample the round again.")
    return content
