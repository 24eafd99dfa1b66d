"""Starts a server: what can be refused is refused before anything large is imported."""

import contextlib
import logging
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pellucid.apps.server.logs import write_logs
from pellucid.apps.web.server import is_local, listen
from pellucid.errors import InputError
from pellucid.files.locks import locked_folder
from pellucid.serving.store import JobStore, Limits, open_job_store
from pellucid.serving.tokens import TokenStore

log = logging.getLogger("pellucid.server")


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """Options of the command line."""

    host: str
    port: int
    public_url: str | None
    cors: tuple[str, ...]
    require_token: bool
    log_text: bool
    log_prompts: bool
    models: tuple[str, ...]
    device: str
    dtype: str
    offload: str
    model_memory: float | None
    max_batch: int
    max_pixels: int
    max_upload: int
    max_queue: int
    max_queue_per_client: int
    deadline: float
    keep: float
    database: str | None
    folder: Path
    engine: str
    replicas: tuple[int, int]
    ray_address: str | None

    @classmethod
    def of(cls, values: Mapping[str, Any], folder: Path) -> "ServeOptions":
        """Takes what the command line parsed."""
        names = {each.name for each in fields(cls)} - {"replicas"}
        chosen = {name: value for name, value in values.items() if name in names}
        return cls(folder=folder, replicas=parse_replicas(values["replicas"]), **chosen)

    @property
    def limits(self) -> Limits:
        """Returns what the store holds."""
        return Limits(
            max_queue=self.max_queue, max_queue_per_client=self.max_queue_per_client,
            deadline_s=self.deadline, keep_s=self.keep,
        )  # fmt: skip

    @property
    def is_local(self) -> bool:
        """Tells whether no other machine can reach it."""
        return is_local(self.host)

    @property
    def needs_token(self) -> bool:
        """Tells whether callers must show who they are."""
        return self.require_token or not self.is_local


def run_server(options: ServeOptions, *, announce: Callable[[str], None]) -> None:
    """Serves until SIGTERM or Ctrl-C: then nothing new is taken, what runs is finished, the queue is kept.

    Args:
        options: of the command line.
        announce: told the address once the server listens.

    Raises:
        InputError: the address is in use, an option does not fit, or callers need tokens and there are none.
        FileError: the store cannot be opened.
    """
    write_logs(as_text=options.log_text)
    with opened_store(options) as store:
        if options.needs_token and not any(token.revoked_at is None for token in TokenStore(store).all()):
            raise InputError(
                "Expected a token for callers of other machines, found none. "
                "Make one with `pellucid serve tokens new NAME`."
            )
        if options.engine == "ray":
            from pellucid.apps.server.cluster import serve_cluster

            serve_cluster(options, announce)
            return
        listening = listen(options.host, options.port)
        try:
            from pellucid.apps.server.running import serve_app  # torch and diffusers, some seconds

            shown = f"[{options.host}]" if ":" in options.host else options.host
            serve_app(
                options, store, listening, lambda: announce(f"http://{shown}:{listening.getsockname()[1]}")
            )
        finally:
            listening.close()


@contextlib.contextmanager
def opened_store(options: ServeOptions) -> Generator[JobStore]:
    """Opens the store, with jobs of a server that was killed back in the queue.

    One server at a time has a folder; with a database of their own several share it, by leases.
    """
    alone = options.database is None
    with locked_folder(options.folder) if alone else contextlib.nullcontext():
        store = open_job_store(options.folder, options.database, options.limits)
        try:
            found = store.recover(alone=alone)
            if found:
                log.info("%s jobs of a server that was killed wait again", found)
            yield store
        finally:
            store.close()


def parse_replicas(text: str) -> tuple[int, int]:
    """Reads "2" or "1-4": how many replicas at least and at most.

    Raises:
        InputError: something else.
    """
    low, _, high = text.partition("-")
    if not low.isdecimal() or (high and not high.isdecimal()) or not 1 <= int(low) <= int(high or low):
        raise InputError(f"Expected replicas as 2 or 1-4, found {text!r:.40}. Write it so.")
    return int(low), int(high or low)
