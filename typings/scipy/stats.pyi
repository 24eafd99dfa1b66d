class BinomTestResult:
    pvalue: float

def binomtest(k: int, n: int, p: float = 0.5) -> BinomTestResult: ...

class _Binomial:
    def pmf(self, k: object, n: int, p: float) -> object: ...

binom: _Binomial
