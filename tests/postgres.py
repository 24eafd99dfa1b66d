"""A PostgreSQL of one's own: a new cluster of Debian's package, thrown away after the tests."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path


def programs() -> Path | None:
    """Returns the folder of PostgreSQL's programs; Debian keeps them off the path."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return folders[-1] if folders and (folders[-1] / "initdb").exists() else None


@contextlib.contextmanager
def running() -> Generator[str]:
    """Starts a cluster and yields the URL of its database."""
    binaries = programs()
    assert binaries is not None
    # PostgreSQL refuses to run as root, and tmp_path belongs to whoever tests
    unprivileged: dict[str, object] = {}
    folder = Path(tempfile.mkdtemp(prefix="pellucid-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
        unprivileged = {"user": "nobody", "extra_groups": []}
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]

    def run(*words: object) -> None:
        command = [str(word) for word in words]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, timeout=60, **unprivileged)  # type: ignore[call-overload]

    try:
        run(binaries / "initdb", "-D", folder / "data", "-U", "pellucid", "--auth=trust")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
        run(binaries / "pg_ctl", "-D", folder / "data", "-l", folder / "log", "-w", "-o", options, "start")
        try:
            yield f"postgresql://pellucid@127.0.0.1:{port}/postgres"
        finally:
            run(binaries / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
