"""Networks that look at images: a perceptual distance, and features for distances between sets.

The usual ones are those of ST-LPIPS (Ghildyal and Liu, ECCV 2022, BSD-2-Clause), LPIPS that tolerates a shift
of a pixel: they come whole in a package of PyPI, while LPIPS, FID and CLIP need files of other hosts. Any
ONNX model by path takes their place for features. A distance over other features than Inception's is no FID,
and reports name the network beside every figure.
"""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from pellucid.data.datasets import cache_folder
from pellucid.data.package_archives import Archive, fetch, read_archive
from pellucid.errors import InputError, WeightsError, first_line, missing_package
from pellucid.rgba.types import AnyArray

ST_LPIPS = Archive(
    "stlpips_pytorch",
    "0.0.2",
    "a412bf901a97c942b37af57c7c63b6e5d1aebfe8d1dfc17853d4b2f878630645",
    registry="pypi",
)
"""File `stlpips_pytorch-0.0.2-py3-none-any.whl`, 64 MB."""
TRUNKS = {
    "alex": "conv blur relu* pool3 blur conv relu* pool3 blur conv relu* conv relu* conv relu*",
    "vgg": "conv relu conv relu* pool2 blur conv relu conv relu* pool2 blur conv relu conv relu conv relu* "
    "pool2 blur conv relu conv relu conv relu* pool2 blur conv relu conv relu conv relu*",
}
"""Layers of AlexNet and VGG16, all of stride 1 but "blur", which halves; distances are taken at each *.

Source: Ghildyal and Liu 2022, section 4: no stride before a blur, more padding around it.
"""
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""LPIPS' own normalisation of values in [-1, 1] (Zhang et al. 2018)."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BLUR_PADDING = 2

Images = Sequence[AnyArray]


@runtime_checkable
class FeatureModel(Protocol):
    """Describes images by vectors."""

    @property
    def name(self) -> str:
        """Returns what a report calls it."""
        ...

    def features(self, images: Images) -> Float[np.ndarray, "n d"]:
        """Returns a vector for each image, floats (h, w, 3) in [0, 1] of any sizes."""
        ...


@runtime_checkable
class PerceptualModel(Protocol):
    """Tells how different two images look."""

    @property
    def name(self) -> str:
        """Returns what a report calls it."""
        ...

    def distance(self, first: Float[np.ndarray, "h w 3"], second: Float[np.ndarray, "h w 3"]) -> float:
        """Returns the distance of two images, floats (h, w, 3) in [0, 1]; 0 is the same."""
        ...


class ShiftTolerantLPIPS(nn.Module):
    """ST-LPIPS: distances of the features of AlexNet or VGG16, and the last of these as features."""

    def __init__(self, trunk: str, state: dict[str, Tensor]) -> None:
        """`trunk`: key of `TRUNKS`. `state`: tensors of the published file.

        Raises:
            WeightsError: the tensors are of another network.
        """
        super().__init__()
        self.trunk = trunk
        layers = {
            int(name.split(".")[2]): name.rpartition(".")[0] for name in state if name.startswith("net.")
        }
        try:
            self.layers = nn.ModuleList(
                _layer(kind, state, layers.get(index, ""))
                for index, kind in enumerate(TRUNKS[trunk].replace("*", "").split())
            )
            self.taps = [index for index, kind in enumerate(TRUNKS[trunk].split()) if kind.endswith("*")]
            self.heads = [state[f"lin{number}.model.1.weight"].flatten() for number in range(len(self.taps))]
        except (KeyError, RuntimeError) as error:
            raise WeightsError(
                f"Expected the tensors of ST-LPIPS ({trunk}), found others: {first_line(error)}. "
                "Fetch the file again."
            ) from None
        self.requires_grad_(False).eval()

    @property
    def name(self) -> str:
        """Returns what a report calls it."""
        return f"ST-LPIPS ({self.trunk}, {ST_LPIPS.version})"

    @torch.no_grad()
    def distance(self, first: Float[np.ndarray, "h w 3"], second: Float[np.ndarray, "h w 3"]) -> float:
        """Returns the distance of two images, floats (h, w, 3) in [0, 1]."""
        pairs = zip(self._tapped([first, second]), self.heads, strict=True)
        units = ((functional.normalize(features, dim=1, eps=1e-10), head) for features, head in pairs)
        return sum(
            float(((unit[0] - unit[1]).square() * head[:, None, None]).sum(dim=0).mean())
            for unit, head in units
        )

    @torch.no_grad()
    def features(self, images: Images) -> Float[np.ndarray, "n d"]:
        """Returns the last layer's mean over the image, (n, 256) of AlexNet, (n, 512) of VGG16."""
        # one by one: sizes differ, and memory stays that of one image
        return np.stack([self._tapped([image])[-1].mean(dim=(2, 3))[0].numpy() for image in images])

    def _tapped(self, images: Images) -> list[Tensor]:
        x = torch.from_numpy(np.stack(images)).float().permute(0, 3, 1, 2) * 2 - 1
        x = (x - x.new_tensor(SHIFT).view(1, 3, 1, 1)) / x.new_tensor(SCALE).view(1, 3, 1, 1)
        found: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index in self.taps:
                found.append(x)
        return found


class OnnxFeatures:
    """Features by any ONNX model that takes RGB (1, 3, h, w), such as Inception's or CLIP's image encoder."""

    def __init__(self, path: Path, *, size_px: int = 224) -> None:
        """`size_px`: side of the input where the file leaves it open.

        Raises:
            WeightsError: no such model, or one with another input.
            InputError: onnxruntime is not installed.
        """
        try:
            from onnxruntime import InferenceSession
        except ImportError as error:
            raise missing_package("onnxruntime", "features by an ONNX model", "eval") from error
        try:
            content = path.read_bytes()
            self._session = InferenceSession(content, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001 - onnxruntime's errors have no common base
            raise WeightsError(
                f"Expected an ONNX model in {path}, found {first_line(error)}. Name another file."
            ) from None
        (first, *_) = self._session.get_inputs()
        shape = first.shape
        if len(shape) != 4 or shape[1] not in (3, "3"):
            raise WeightsError(
                f"Expected a model of RGB images (1, 3, h, w) in {path}, found {shape}. Name another."
            )
        self._input, self._output = first.name, self._session.get_outputs()[0].name
        self._side_px = shape[2] if isinstance(shape[2], int) else size_px
        self._name = f"{path.name} ({hashlib.sha256(content).hexdigest()[:12]})"

    @property
    def name(self) -> str:
        """Returns the file's name with the begin of its hash."""
        return self._name

    def features(self, images: Images) -> Float[np.ndarray, "n d"]:
        """Returns the first output for each image, flat; what lies over places is averaged."""
        return np.stack([self._of(image) for image in images])

    def _of(self, image: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "d"]:
        way = cv2.INTER_AREA if min(image.shape[:2]) > self._side_px else cv2.INTER_LINEAR
        small = cv2.resize(image.astype(np.float32), (self._side_px, self._side_px), interpolation=way)
        normal = (small - np.array(IMAGENET_MEAN, np.float32)) / np.array(IMAGENET_STD, np.float32)
        batch = np.ascontiguousarray(normal.transpose(2, 0, 1)[None], dtype=np.float32)
        (found,) = self._session.run([self._output], {self._input: batch})
        values = np.asarray(found, dtype=np.float64)[0]
        return values.mean(axis=(1, 2)) if values.ndim == 3 else values.ravel()


def load_perceptual(trunk: str = "alex", archives: Path | None = None) -> ShiftTolerantLPIPS:
    """Loads ST-LPIPS from its package, which is fetched once.

    Args:
        trunk: "alex" (fast) or "vgg".
        archives: folder where the package lies or is kept. None is Pellucid's cache.

    Raises:
        FileError: it cannot be fetched, or is not the pinned one.
    """
    files = read_archive(fetch(ST_LPIPS, archives or cache_folder()))
    content = files[f"stlpips_pytorch/weights/vST0.0/{trunk}_shift_tolerant.pth"]
    # weights_only: a pickle that could run code is refused
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    return ShiftTolerantLPIPS(trunk, state)


def load_features(source: str, archives: Path | None = None) -> FeatureModel:
    """Loads a feature model.

    Args:
        source: "st-lpips-alex", "st-lpips-vgg", or the path of an .onnx file.
        archives: see `load_perceptual`.

    Raises:
        InputError: another name.
        FileError, WeightsError: see the two loaders.
    """
    if source.endswith(".onnx"):
        return OnnxFeatures(Path(source))
    trunk = source.removeprefix("st-lpips-")
    if trunk not in TRUNKS:
        raise InputError(
            f"Expected st-lpips-alex, st-lpips-vgg or an .onnx file's path, found {source!r}. Choose one."
        )
    return load_perceptual(trunk, archives)


def _layer(kind: str, state: dict[str, Tensor], name: str) -> nn.Module:
    """Builds a layer with its tensors, of the name that it has in the file."""
    if kind == "relu":
        return nn.ReLU()
    if kind.startswith("pool"):
        return nn.MaxPool2d(int(kind[4:]), stride=1)
    if kind == "blur":
        kernel = state[f"{name}.filt"]
        blur = nn.Conv2d(
            len(kernel),
            len(kernel),
            kernel.shape[2],
            stride=2,
            padding=BLUR_PADDING,
            groups=len(kernel),
            bias=False,
            padding_mode="reflect",
        )
        blur.weight = nn.Parameter(kernel)
        return blur
    weight = state[f"{name}.weight"]
    side = weight.shape[2]
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], side, padding=min(side // 2, 2))
    conv.load_state_dict({"weight": weight, "bias": state[f"{name}.bias"]})
    return conv
