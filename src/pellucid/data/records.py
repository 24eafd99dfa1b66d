"""One training image and what is known of it."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import cv2
import numpy as np

from pellucid.errors import ConfigError

HELD_OUT_SHARE = 0.05
"""Share of images that no recipe may train on."""


LATER_FIELDS = frozenset({"weight", "url", "prompt", "seed", "model", "round", "scores", "captions"})
"""Fields that the shards of version 0.1 do not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What a shard says of one image.

    `name` is unique in its set. `soft` is the share of the visible area that is partly transparent at least
    five pixels deep: glass, smoke or glow, not an anti-aliased edge.
    """

    name: str
    label: str
    keywords: tuple[str, ...] = ()
    group: str = ""
    source: str = ""
    style: str = ""
    licence: str = ""
    attribution: str = ""
    soft: float = 0.0
    weight: float = 1.0
    """How often training draws this image, relative to one of weight 1; above 0."""
    url: str = ""
    """Where it was fetched."""
    prompt: str = ""
    """The sentence from which a model made it, with `seed` and `model`."""
    seed: int = -1
    model: str = ""
    """Name and hash of that model."""
    round: int = 0
    """Round of screening in which people kept it; 0 for images of the base set."""
    scores: Mapping[str, float] = field(default_factory=dict, hash=False)
    """What filters and plug-ins measured, by name."""
    captions: tuple[str, ...] = ()
    """Sentences that ask for this image, all of them; none are made from label, keywords and style."""

    @property
    def held_out(self) -> bool:
        """Tells whether this image is kept for measuring: by a hash of its label, the same in every set."""
        # by label and not by name, so that the same thing is never trained on in another style
        # not hash(), which differs from process to process
        digest = hashlib.sha256(self.label.encode()).digest()
        # four bytes of a digest are a uniform number below 2^32
        return int.from_bytes(digest[:4], "little") < HELD_OUT_SHARE * 2**32

    def to_json(self) -> dict[str, object]:
        """Returns the record as plain JSON values; later fields stand in it only where they say something."""
        # shards of earlier versions keep their bytes, and readers of those versions can read new ones
        unset = asdict(Record(name="", label=""))
        return {
            name: value
            for name, value in asdict(self).items()
            if name not in LATER_FIELDS or value != unset[name]
        }

    @classmethod
    def from_json(cls, values: dict[str, object]) -> "Record":
        """Makes a record from what `to_json` gave."""
        lists = {name: tuple(values.get(name, ())) for name in ("keywords", "captions")}  # type: ignore[arg-type]
        return cls(**{**values, **lists})  # type: ignore[arg-type]


def draw_weights(records: Sequence[Record]) -> list[float] | None:
    """Returns how often each record is drawn relative to others; None if all are drawn alike.

    Callers draw without weights then, as version 0.1 did, to the bit.

    Raises:
        ConfigError: a weight is not above 0.
    """
    if bad := [record.name for record in records if not 0 < record.weight < math.inf]:
        raise ConfigError(f"Expected weights above 0, found others at {bad[:3]}. Make these shards again.")
    weights = [record.weight for record in records]
    return None if all(weight == 1 for weight in weights) else weights


def captions(record: Record, *, plain: bool) -> list[str]:
    """Makes sentences that ask for this image; they name its style unless `plain` says it is the default.

    Args:
        record: of the image.
        plain: whether this image is the one meant when nobody asks for a style.

    Returns:
        The record's own `captions` where it has some.
    """
    if record.captions:
        return list(record.captions)
    if not record.style:  # a caption of one's own
        return [record.label]
    styled = [f"a {record.style} of {record.label}", f"{record.label}, {record.style}"]
    if not plain:
        return styled
    article = "an" if record.label[0].lower() in "aeiou" else "a"
    # six words make three captions; later keywords are remote associations
    words = [word for word in record.keywords if word != record.label][:6]
    lists = [
        f"{record.label}, {first}, {second}" for first, second in zip(words[::2], words[1::2], strict=False)
    ]
    return [record.label, f"{article} {record.label}", *styled[:1], *lists]


def softness(rgba: np.ndarray) -> float:
    """Returns the share of the visible area, 0 to 1, that is partly transparent at least 5 px deep.

    Such are glass, smoke and glow; an anti-aliased edge is thinner.

    Args:
        rgba: uint8 (h, w, 4).
    """
    alpha = rgba[..., 3]
    partly = ((alpha > 12) & (alpha < 243)).astype(np.uint8)
    # a pixel stays if all of the 5 x 5 around it are partly transparent; outlines are thinner than that
    deep = cv2.erode(partly, np.ones((5, 5), np.uint8))
    return float(deep.sum() / max(1, int((alpha > 0).sum())))
