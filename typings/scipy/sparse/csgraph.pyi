import numpy as np
import numpy.typing as npt

def connected_components(
    csgraph: npt.NDArray[np.bool_], directed: bool = True, connection: str = "weak"
) -> tuple[int, npt.NDArray[np.int32]]: ...
