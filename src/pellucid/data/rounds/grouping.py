"""Finds images that are nearly the same, so that people choose the best of them once."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float

from pellucid.rgba.types import RGBA8

NEAR_BITS = 6
"""Of 64 bits of each hash, how many may differ between near-duplicates."""
MOST = 9
"""Images in a group: one for each digit key."""


def fingerprint(rgba: RGBA8) -> str:
    """Returns two perceptual hashes of 64 bits, as hexadecimal digits: of what is seen, and of alpha.

    The first is of the premultiplied image, so that colour hidden under transparent pixels does not count.
    """
    alpha = rgba[..., 3].astype(np.float32)
    # luma of ITU-R BT.601
    grey = rgba[..., :3].astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) * alpha / 255
    return _hash(grey) + _hash(alpha)


def near_duplicates(fingerprints: Sequence[str]) -> list[int | None]:
    """Gives near-duplicates the same number, and None to images that have none.

    Each image joins the first one that it is near to. Chains of ever so slightly different images would
    otherwise join what does not look alike.
    """
    bits = np.array([np.frombuffer(bytes.fromhex(each), ">u8") for each in fingerprints]).reshape(-1, 2)
    leaders: list[int] = []
    members: dict[int, list[int]] = {}
    for index, own in enumerate(bits):
        apart = np.bitwise_count(bits[leaders] ^ own)
        near = [
            leaders[i]
            # both hashes: two colours of one shape are two images, as are two shapes of one colour
            for i in np.flatnonzero((apart <= NEAR_BITS).all(axis=1))
            if len(members[leaders[i]]) < MOST
        ]
        if near:
            members[near[0]].append(index)
        else:
            leaders.append(index)
            members[index] = [index]
    keys: list[int | None] = [None] * len(bits)
    for leader, group in members.items():
        for index in group if len(group) > 1 else ():
            keys[index] = leader
    return keys


def same_prompts(prompts: Sequence[str]) -> list[int | None]:
    """Gives images of one prompt the same number, nine of them at most, and None to single ones."""
    open_groups: dict[str, list[int]] = {}
    keys: list[int | None] = [None] * len(prompts)
    for index, prompt in enumerate(prompts):
        group = open_groups.setdefault(prompt, [])
        if len(group) == MOST:
            group.clear()
        group.append(index)
        if len(group) > 1:
            keys[group[0]] = keys[index] = group[0]
    return keys


def _hash(values: Float[np.ndarray, "h w"]) -> str:
    # whether each cell is brighter than the one to its left; less than one level is rounding
    small = cv2.resize(values, (9, 8), interpolation=cv2.INTER_AREA)
    rising: Bool[np.ndarray, "8 8"] = np.diff(small, axis=1) > 1
    return np.packbits(rising).tobytes().hex()
