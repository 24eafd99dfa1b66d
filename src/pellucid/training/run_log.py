"""What a run leaves to look at: log.jsonl and, where TensorBoard is installed, its event files."""

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from pellucid.files.atomic import write_atomically


class RunLog:
    """Appends to the log of one run's folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "log.jsonl"
        self._drop_torn_line()
        try:
            from torch.utils.tensorboard.writer import SummaryWriter  # with the extra `train`
        except ImportError:
            self._board = None
        else:
            self._board = SummaryWriter(str(folder / "tensorboard"))

    def close(self) -> None:
        """Waits for TensorBoard's thread to write what is left."""
        if self._board:
            self._board.close()

    def _drop_torn_line(self) -> None:
        """Cuts off what a full disk left of a line."""
        if self.path.exists() and not (content := self.path.read_bytes()).endswith(b"\n"):
            write_atomically(self.path, content[: content.rfind(b"\n") + 1])

    def write(self, step: int, values: dict[str, float]) -> None:
        """Adds one line of numbers."""
        with self.path.open("a") as log:
            # one call a line, so that a kill leaves a torn line at the end at worst
            log.write(json.dumps({"step": step} | values) + "\n")
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def show(self, step: int, grid: Path) -> None:
        """Adds a sample grid that is already on disk."""
        if self._board:
            self._board.add_image("samples", np.asarray(Image.open(grid)), step, dataformats="HWC")
            self._board.flush()


@contextmanager
def open_log(folder: Path) -> Generator[RunLog]:
    """Opens the log of a run's folder, and keeps TensorBoard's thread quiet about a full disk meanwhile.

    The next line of the log ends such a run with one error. The hook for threads is the process's, so what
    was there before is called for all else, and is put back at the end.
    """
    # TensorBoard writes in a thread, whose errors no caller can catch
    before, disk_failed = threading.excepthook, False

    def ignore_full_disks(raised: threading.ExceptHookArgs) -> None:
        if not isinstance(raised.exc_value, OSError):
            before(raised)

    threading.excepthook = ignore_full_disks
    log: RunLog | None = None
    try:
        log = RunLog(folder)
        yield log
    except OSError:
        disk_failed = True  # the thread has yet to fail as well, and there is nothing to wait for
        raise
    finally:
        if not disk_failed:
            if log:
                log.close()
            threading.excepthook = before
