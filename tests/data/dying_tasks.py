"""Tasks that fail or take their worker down: a file of their own, since each new worker imports it."""

import os
import signal
from pathlib import Path

import numpy as np

from pellucid.data.records import Record
from pellucid.errors import InputError


def refuse_three(number: int) -> int:
    if number == 3:
        raise InputError("3")
    return number


def die_once(rgba: np.ndarray, record: Record) -> float:
    marker = Path(record.source).parent / "once"
    if "07" in record.name and marker.is_file():
        marker.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return 0.0


def die_of_third(rgba: np.ndarray, record: Record) -> None:
    if "02" in record.name:
        os.kill(os.getpid(), signal.SIGKILL)
