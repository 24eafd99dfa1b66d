"""Which queued jobs run next: the least served client's oldest, and what can be sampled together with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """What choosing needs to know of a queued job."""

    number: int
    client: str
    batch_key: str
    count: int
    work: float
    attempts: int = 0
    """How often it was begun by a server that died since."""

    @property
    def suspect(self) -> bool:
        """Tells whether it may be what kills the server; then all others come first."""
        return self.attempts >= SUSPECT


SUSPECT = 2


def choose(waiting: Sequence[Waiting], served: Mapping[str, float], max_images: int) -> list[Waiting]:
    """Chooses jobs to run at once: those of the client who was served least first.

    A client with a thousand jobs and one with a single job are next in turn alike. Nobody starves, since what
    others were served lately (`served`) grows while one waits.

    Args:
        waiting: queued jobs in any order.
        served: work done lately, by client.
        max_images: of all chosen jobs together; the first is taken whatever it makes.

    Returns:
        Jobs of one batch key, the first in turn first; none of an empty queue.
    """
    if not waiting:
        return []
    spent = {each.client: served.get(each.client, 0.0) for each in waiting}
    first = min(waiting, key=lambda each: (each.suspect, spent[each.client], each.number))
    chosen = [first]
    if not first.batch_key or first.suspect:  # what may kill the server takes no other with it
        return chosen
    left = [
        each
        for each in waiting
        if each.batch_key == first.batch_key and each is not first and not each.suspect
    ]
    spent[first.client] += first.work
    images = first.count
    while left:
        following = min(left, key=lambda each: (spent[each.client], each.number))
        left.remove(following)
        if images + following.count > max_images:
            continue
        chosen.append(following)
        images += following.count
        spent[following.client] += following.work
    return chosen
