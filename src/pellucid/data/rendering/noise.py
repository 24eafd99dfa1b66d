"""Noise from tables that are made once a process: one look-up an image instead of a Fourier transform."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
"""float32 wherever it is large; what is computed of a few rows or numbers may be float64."""

TABLE_PX = 512
WAVE_PX = 64
"""Length of the longest wave: eight lie side by side in a table, so that no repeat is seen in an image."""
OCTAVES = 5


@cache
def tables() -> dict[str, Floats]:
    """Makes the periodic tables, float32 (512, 512).

    Returns:
        `fractal`, about -1 to 1, smooth; `billow`, 0 to 1, round heaps with sharp valleys; `ridge`, 0 to 1,
        thin bright threads.
    """
    rng = np.random.default_rng(0)  # the same tables in each process: what differs is where an image looks
    waves = np.hypot(np.fft.fftfreq(TABLE_PX)[:, None], np.fft.rfftfreq(TABLE_PX)[None, :])
    made = {name: np.zeros((TABLE_PX, TABLE_PX)) for name in ("fractal", "billow", "ridge")}
    weight_sum = 0.0
    for octave in range(OCTAVES):
        weight, pitch = 0.5**octave, 2.0**octave / WAVE_PX
        band = np.exp(-(((waves - pitch) / (0.35 * pitch)) ** 2))
        layer = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((TABLE_PX, TABLE_PX))) * band)
        layer /= layer.std()
        made["fractal"] += weight * layer
        made["billow"] += weight * np.minimum(np.abs(layer), 2) / 2
        made["ridge"] += weight * np.clip(1 - np.abs(layer), 0, 1) ** 2
        weight_sum += weight
    made["fractal"] /= 2 * made["fractal"].std()
    for name in ("billow", "ridge"):
        made[name] /= weight_sum
        low, high = np.quantile(made[name], (0.005, 0.995))
        made[name] = np.clip((made[name] - low) / (high - low), 0, 1)
    return {name: table.astype(np.float32) for name, table in made.items()}


def look_up(name: str, u: Floats, v: Floats) -> Floats:
    """Reads a table at places that count in longest waves and may lie anywhere.

    Args:
        name: of `tables`.
        u: to the right, (h, w).
        v: down, (h, w).
    """
    across, down = (np.ascontiguousarray(each * np.float32(WAVE_PX), np.float32) for each in (u, v))
    read = cv2.remap(tables()[name], across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(read, np.float32)
