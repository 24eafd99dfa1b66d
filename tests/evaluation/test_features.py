"""Feature models and distances between sets of images."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pellucid.errors import InputError, WeightsError
from pellucid.evaluation.distributions import frechet_distance, kernel_distance, set_distance
from pellucid.evaluation.features import TRUNKS, OnnxFeatures, ShiftTolerantLPIPS, load_features
from pellucid.rgba.types import AnyArray

WIDTH = 4
CHANNELS = {"alex": (11, 5, 3, 3, 3), "vgg": (3,) * 13}


def network(trunk: str) -> ShiftTolerantLPIPS:
    """A small network of the published names, with random weights."""
    torch.manual_seed(0)
    state: dict[str, torch.Tensor] = {}
    sides = iter(CHANNELS[trunk])
    inputs = 3
    for index, kind in enumerate(TRUNKS[trunk].replace("*", "").split()):
        name = f"net.slice1.{index}"
        if kind == "conv":
            side = next(sides)
            state[f"{name}.weight"] = torch.randn(WIDTH, inputs, side, side) / side
            state[f"{name}.bias"], inputs = torch.randn(WIDTH), WIDTH
        elif kind == "blur":
            state[f"{name}.filt"] = (torch.tensor([[1.0, 2, 1]]).T @ torch.tensor([[1.0, 2, 1]]) / 16).expand(
                WIDTH, 1, 3, 3
            )
    taps = TRUNKS[trunk].count("*")
    state |= {f"lin{number}.model.1.weight": torch.rand(1, WIDTH, 1, 1) for number in range(taps)}
    return ShiftTolerantLPIPS(trunk, state)


def picture(seed: int, side: int = 48) -> AnyArray:
    return np.random.default_rng(seed).random((side, side, 3))


@pytest.mark.parametrize("trunk", TRUNKS)
def test_a_perceptual_distance_is_one(trunk: str) -> None:
    model = network(trunk)
    a, b = picture(0), picture(1)
    assert model.distance(a, a) == 0
    assert model.distance(a, b) == pytest.approx(model.distance(b, a))
    faint = 0.9 * a + 0.1 * b
    assert 0 < model.distance(a, faint) < model.distance(a, b)
    found = model.features([a, picture(2, side=60)])
    assert found.shape == (2, WIDTH)
    assert trunk in model.name


def test_tensors_of_another_network_are_refused() -> None:
    with pytest.raises(WeightsError, match="tensors of ST-LPIPS"):
        ShiftTolerantLPIPS("alex", {"net.slice1.0.weight": torch.zeros(4, 3, 3, 3)})


def test_sets_of_one_distribution_lie_at_0() -> None:
    rng = np.random.default_rng(0)
    one, other, far = rng.normal(0, 1, (80, 6)), rng.normal(0, 1, (80, 6)), rng.normal(0.8, 1, (80, 6))
    same, apart = kernel_distance(one, other), kernel_distance(one, far)
    assert same.low < 0 < same.high
    assert apart.low > 0
    assert apart.value > 5 * abs(same.value)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-6)
    # of Gaussians that differ in their mean alone it is the squared distance of the means
    assert frechet_distance(one, one + 2) == pytest.approx(6 * 4, rel=1e-6)
    assert set_distance(one, far, "named").plain()["features"] == "named"
    with pytest.raises(InputError, match="two images"):
        set_distance(one[:1], other, "x")


def test_what_is_no_feature_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="st-lpips-alex, st-lpips-vgg"):
        load_features("inception")
    (tmp_path / "x.onnx").write_bytes(b"no model")
    with pytest.raises(WeightsError, match=r"ONNX model in .*x.onnx"):
        OnnxFeatures(tmp_path / "x.onnx")
