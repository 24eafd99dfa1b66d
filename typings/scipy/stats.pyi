import numpy as np
import numpy.typing as npt

class BinomTestResult:
    pvalue: float

def binomtest(k: int, n: int, p: float = 0.5) -> BinomTestResult: ...

class _Binomial:
    def pmf(self, k: npt.NDArray[np.int64], n: int, p: float) -> npt.NDArray[np.float64]: ...

binom: _Binomial

class _Student:
    def ppf(self, q: float, df: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]: ...
    def sf(self, x: float, df: float) -> float: ...

t: _Student
