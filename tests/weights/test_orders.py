"""Every order of adapters, LoRAs, fusing and compiling is right to 1e-5, or refused with a reason."""

from pathlib import Path

import pytest

from weights.orders import KINDS, Bench

SLOW = ("sdxl", "sd3")  # one UNet and one transformer are enough for every run
CASES = [
    pytest.param(family, kind, marks=pytest.mark.slow if family in SLOW else ())
    for family, kinds in KINDS.items()
    for kind in kinds
]
MERGED = [case for case in CASES if case.values[1] != "sharing"]
ORDERS = (
    "attach load scale disable unload unload_lora",
    "load attach scale strength other unload unload_lora",
    "load disable attach enable unload disable enable attach",
    "attach load unload_lora unload",
    "load attach unload_lora strength unload",
    "load attach disable other enable unload_lora peek unload",
    "attach attach load attach strength peek attach unload unload",
    "load unload_lora attach load peek unload_lora unload load",
    "load fuse attach strength peek other unload unfuse unload_lora",
    "load scale fuse attach unload_lora peek unload",
    "load fuse attach unfuse unload? strength? other? peek? fuse unload unfuse",
    "attach load fuse unload? strength? other? peek? unfuse unload unload_lora",
    "attach load fuse attach unfuse other unload unload_lora",
    "load attach fuse unload? unfuse fuse unfuse strength unload",
    "attach load fuse unfuse unload_lora unload",
    "load attach unload fuse attach unload unfuse",
    # diffusers itself neither scales nor fuses LoRAs of a wrapped denoiser
    "compile attach load strength peek other unload attach",
    "load compile attach peek other unload",
    "load attach compile attach other peek unload",
    "qkv attach! unqkv attach strength unload qkv",
)
WEIGHTS_ONLY = (
    # what is fused and then unloaded cannot be taken apart again; the model still runs
    "attach load fuse unload_lora unload! other! peek! attach",
    # fusing copies merged weights, so only changing them is refused
    "attach qkv attach unload! strength! other! peek! unqkv other unload",
)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("family", "kind"), CASES)
def test_every_order_is_right_or_refused(family: str, kind: str, order: str, tmp_path: Path) -> None:
    Bench(family, kind, tmp_path).run(order)


@pytest.mark.parametrize("order", WEIGHTS_ONLY)
@pytest.mark.parametrize(("family", "kind"), MERGED)
def test_merged_weights_are_guarded(family: str, kind: str, order: str, tmp_path: Path) -> None:
    bench = Bench(family, kind, tmp_path)
    bench.run(order)
    assert all(len(refusal.rstrip(".").split(". ")) == 2 for refusal in bench.refusals)  # reason, remedy


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6))])
@pytest.mark.parametrize(("family", "kind"), CASES)
def test_random_orders_are_right_or_refused(family: str, kind: str, seed: int, tmp_path: Path) -> None:
    Bench(family, kind, tmp_path).walk(seed, 16)
