"""What a run leaves to look at: log.jsonl and, where TensorBoard is installed, its event files."""

import json
from pathlib import Path

import numpy as np
from PIL import Image


class Journal:
    """Appends to the log of one run's folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "log.jsonl"
        try:
            from torch.utils.tensorboard.writer import SummaryWriter  # with the extra `train`
        except ImportError:
            self._board = None
        else:
            self._board = SummaryWriter(str(folder / "tensorboard"))

    def write(self, step: int, values: dict[str, float]) -> None:
        """Adds one line of numbers."""
        with self.path.open("a") as log:
            log.write(json.dumps({"step": step} | values) + "\n")
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def show(self, step: int, sheet: Path) -> None:
        """Adds a sample sheet that is already on disk."""
        if self._board:
            self._board.add_image("samples", np.asarray(Image.open(sheet)), step, dataformats="HWC")
            self._board.flush()
