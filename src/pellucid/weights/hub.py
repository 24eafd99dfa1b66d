"""Finds checkpoints by path, catalog name or hub address, fetches and verifies them."""

import hashlib
import re
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from pellucid.errors import WeightsError
from pellucid.weights.catalog import Checkpoint, named
from pellucid.weights.tensor_files import shapes

SUFFIX = ".safetensors"
HUB = "hf://"


def is_path(source: str | Path) -> bool:
    r"""Tells whether a source is a path and nothing else, whatever the working directory holds.

    So is every `Path`, and a string that begins with ".", "/" or "~", has a "\" or a drive letter, or ends in
    ".safetensors"; "hf://..." never is.
    """
    if isinstance(source, Path):
        return True
    if source.startswith(HUB):
        return False
    return source.startswith((".", "/", "~")) or "\\" in source or source.endswith(SUFFIX) or _drive(source)


def _drive(source: str) -> bool:
    return re.match(r"[A-Za-z]:", source) is not None


def locate(source: str | Path, *, fetch: bool = True) -> Path:
    """Returns the file of a checkpoint on this machine.

    Args:
        source: a path (see `is_path`), the name of a row of the catalog such as "sdxl-attn", or
            "hf://owner/repository/file.safetensors".
        fetch: whether to download what the hub's cache lacks.

    Raises:
        WeightsError: not safetensors, no such file, or the hub cannot be reached.
    """
    if is_path(source):
        return _local(source)
    text = str(source)
    if text.startswith(HUB):
        parts = text.removeprefix(HUB).split("/", 2)
        if len(parts) != 3 or not all(parts) or not text.endswith(SUFFIX):
            raise WeightsError(
                f"Expected hf://owner/repository/file.safetensors, found {text!r}. Name all three parts."
            )
        return _fetch(f"{parts[0]}/{parts[1]}", parts[2], None, fetch)
    if (row := named(text)) is not None:
        return _fetch(row.repo, row.file, row.revision, fetch)
    raise _not_a_checkpoint(source)


def _local(source: str | Path) -> Path:
    path = Path(source).expanduser()
    if path.suffix != SUFFIX:
        raise _not_a_checkpoint(source)
    if path.is_file():
        return path
    # three parts may have been meant for the hub; asking it unasked would send a mistyped path abroad
    on_hub = isinstance(source, str) and re.fullmatch(r"[\w-][\w.-]*/[\w.-]+/[^\\]+", source)
    also = f", or write {HUB}{source} for a file on the hub" if on_hub else ""
    raise WeightsError(f"Expected a checkpoint at {source}, found no file. Check the path{also}.")


def _not_a_checkpoint(source: str | Path) -> WeightsError:
    return WeightsError(
        f"Expected a {SUFFIX} file or a name of the catalog, found {str(source)!r}. List the names with "
        "`pellucid models list`, or convert other formats first: opening them can run code."
    )


def _fetch(repo: str, file: str, revision: str | None, fetch: bool) -> Path:
    try:
        # without a network the cache answers: the hub's own files are fetched once
        return Path(hf_hub_download(repo, file, revision=revision, local_files_only=not fetch))
    except HFValidationError as error:
        raise WeightsError(f"Expected a repository of the hub, found {repo!r}. Check its name.") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise WeightsError(
            f"{repo}/{file} is not in the local cache and could not be fetched ({type(error).__name__}). "
            "Connect and run `pellucid models get`, or pass the path of a copy."
        ) from error


def sha256_of(path: Path) -> str:
    """Computes the hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path, row: Checkpoint) -> str:
    """Compares a file with its row of the catalog; returns its digest.

    Raises:
        WeightsError: size, hash or number of tensors differ.
    """
    size, digest = path.stat().st_size, sha256_of(path)
    if row.bytes_certain and size != row.bytes:
        raise WeightsError(f"{path} should have {row.bytes} bytes, found {size}. Fetch it again.")
    if not digest.startswith(row.sha256):
        raise WeightsError(
            f"{path} should have SHA-256 {row.sha256}..., found {digest[:16]}. Fetch it again."
        )
    if (n_tensors := len(shapes(path))) != row.tensors:
        raise WeightsError(f"{path} should have {row.tensors} tensors, found {n_tensors}. Fetch it again.")
    return digest
