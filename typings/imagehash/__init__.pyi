"""What is used here of imagehash, whose arrays have no types."""

import numpy as np
import numpy.typing as npt
from PIL import Image

class ImageHash:
    hash: npt.NDArray[np.bool_]

def phash(image: Image.Image, hash_size: int) -> ImageHash: ...
