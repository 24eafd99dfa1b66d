"""Chooses some of many, evenly."""


def evenly(total: int, count: int) -> list[int]:
    """Returns `count` different indices, evenly spread over `total`; all of them where there are no more."""
    count = min(count, total)
    return [place * total // count for place in range(count)]
