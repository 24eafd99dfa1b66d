"""What is used here of pymatting, which has no types."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

def estimate_foreground_ml(image: Floats, alpha: Floats) -> Floats: ...
