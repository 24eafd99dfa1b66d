"""What is used here of pymatting, which has no types."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

def estimate_foreground_ml(image: Floats, alpha: Floats) -> Floats: ...
def estimate_alpha_cf(image: Floats, trimap: Floats) -> Floats: ...
def estimate_alpha_knn(image: Floats, trimap: Floats) -> Floats: ...
