"""What a run leaves to look at: log.jsonl and, where TensorBoard is installed, its event files."""

import json
import threading
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
            threading.excepthook = _ignore_full_disks
            self._board = SummaryWriter(str(folder / "tensorboard"))

    def _drop_torn_line(self) -> None:
        """Cuts off what a full disk left of a line."""
        if self.path.exists() and not (content := self.path.read_bytes()).endswith(b"\n"):
            write_atomically(self.path, content[: content.rfind(b"\n") + 1])

    def write(self, step: int, values: dict[str, float]) -> None:
        """Adds one line of numbers."""
        with self.path.open("a") as log:
            log.write(json.dumps({"step": step} | values) + "\n")
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def show(self, step: int, grid: Path) -> None:
        """Adds a sample grid that is already on disk."""
        if self._board:
            self._board.add_image("samples", np.asarray(Image.open(grid)), step, dataformats="HWC")
            self._board.flush()


def _ignore_full_disks(raised: threading.ExceptHookArgs) -> None:
    """Says nothing of a full disk in TensorBoard's thread: the next line of the log ends the run with it."""
    if not isinstance(raised.exc_value, OSError):
        threading.__excepthook__(raised)
