"""Orders of what users do with a pipeline, done by an `AdapterManager` and by hand.

`Bench` is a tiny pipeline with adapter files and a LoRA; `Hand` keeps the plain sums of weights that its
denoiser ought to have. `Bench.run` does an order, a word an operation, and compares the outputs after each.
An operation with "!" has to refuse with a PellucidError and change nothing; one with "?" has to where weights
are merged, and to work where units are attached; one with "~" may do either.
"""

import copy
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import torch
from diffusers.configuration_utils import ConfigMixin
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from safetensors.torch import load_file, save_file
from torch import nn

import tiny
import tiny_families
from pellucid.errors import PellucidError
from pellucid.models.attention_sharing import AttentionSharing
from pellucid.weights.adapter_manager import AdapterManager
from pellucid.weights.tensor_files import NoInit, fill

PIPELINES: dict[str, Callable[[], DiffusionPipeline]] = {
    "sd15": tiny.sd15,
    "sdxl": tiny.sdxl,
    "sd3": tiny_families.sd3,
    "flux": tiny_families.flux,
}
KINDS = {"sd15": ("lora", "delta", "sharing"), "sdxl": ("lora", "delta", "sharing")} | {
    name: ("lora", "delta") for name in ("sd3", "flux")
}
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
RANK = 2
MANAGED = ("attach", "strength", "other", "unload", "peek")
LORA = {
    "absent": {"load": "loaded"},
    "loaded": {"scale": "scaled", "disable": "disabled", "fuse": "fused", "unload_lora": "absent"},
    "scaled": {"fuse": "fused", "unload_lora": "absent"},
    "disabled": {"enable": "loaded", "unload_lora": "absent"},
    "fused": {"unfuse": "scaled", "unload_lora": "baked"},
    "baked": {"attach": "baked"},
}
"""State of the LoRA -> operation -> state after it."""
CLOSE = 1e-5
"""Largest difference of two outputs, as a share of the largest value."""


class Output(Protocol):
    sample: torch.Tensor


def part_of(pipeline: DiffusionPipeline) -> str:
    return "unet" if hasattr(pipeline, "unet") else "transformer"


def config_of(net: nn.Module) -> Mapping[str, int]:
    assert isinstance(net, ConfigMixin)
    return net.config


def predict(net: nn.Module, weights: dict[str, torch.Tensor] | None = None) -> torch.Tensor:
    """Runs any of the denoisers on the same noise, with other `weights` for once, and without compiling."""
    plain = getattr(net, "_orig_mod", net)
    like = next(value for value in plain.parameters() if value.dtype.itemsize > 1)
    noise = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=noise).to(like)

    name, config, t = type(plain).__name__, config_of(plain), torch.tensor([10, 10])

    def run(*inputs: object, **options: object) -> Output:
        return torch.func.functional_call(plain, weights or {}, inputs, options)

    with torch.no_grad():
        if name == "UNet2DConditionModel":
            text = normal(2, 5, config["cross_attention_dim"])
            x = normal(2, config["in_channels"], 8, 8)
            more = {"text_embeds": normal(2, 16), "time_ids": normal(2, 6)}
            return run(x, t[0], text, added_cond_kwargs=more).sample
        text, pooled = normal(2, 5, config["joint_attention_dim"]), normal(2, config["pooled_projection_dim"])
        if name == "SD3Transformer2DModel":
            return run(normal(2, 16, 8, 8), text, pooled, t).sample
        ids = torch.zeros(16, 3)
        ids[:, 1], ids[:, 2] = torch.arange(16) // 4, torch.arange(16) % 4
        return run(
            normal(2, 16, 64), text, pooled, t / 1000, ids, torch.zeros(5, 3), guidance=torch.ones(2)
        ).sample


def rescaled(shape: tuple[int, ...], scale: float) -> torch.Tensor:
    return torch.randn(shape) * scale


def attention_weights(net: nn.Module) -> list[str]:
    return [
        f"{name}.weight"
        for name, module in net.named_modules()
        if isinstance(module, nn.Linear) and name.endswith(ATTENTION)
    ]


def lora_file(path: Path, net: nn.Module, seed: int) -> Path:
    """Writes an adapter of LoRAs on every attention, and on convolutions if there are some."""
    torch.manual_seed(seed)
    state: dict[str, torch.Tensor] = {}
    convs = [f"{n}.weight" for n, m in net.named_modules() if isinstance(m, nn.Conv2d) and "conv1" in n]
    for name in (*attention_weights(net), *convs):
        weight = net.get_parameter(name)
        state[f"{name}::lora::0"] = rescaled((weight.shape[0], RANK), 0.2)
        state[f"{name}::lora::1"] = rescaled((RANK, weight[0].numel()), 0.2)
    save_file(state, path)
    return path


def delta_file(path: Path, net: nn.Module, seed: int) -> Path:
    """Writes an adapter of differences of every attention's values and outputs, and of some biases."""
    torch.manual_seed(seed)
    names = [name for name in attention_weights(net) if "to_k" not in name]
    names += [
        name for name, _ in net.named_parameters() if name.endswith(("proj_out.bias", "conv_in.weight"))
    ]
    save_file({name: rescaled(net.get_parameter(name).shape, 0.05) for name in names}, path)
    return path


@lru_cache(maxsize=2)
def dense(path: Path) -> dict[str, torch.Tensor]:
    """Reads a file as differences of whole weights."""
    state, found = load_file(path), dict[str, torch.Tensor]()
    for name, value in state.items():
        target, _, part = name.partition("::lora::")
        if part == "0":
            found[target] = value @ state[f"{target}::lora::1"]
        elif not part:
            found[name] = value
    return found


def peft_lora(net: nn.Module, part: str, seed: int = 11) -> dict[str, torch.Tensor]:
    """Makes a LoRA on every query, key, value and output, as `load_lora_weights` takes it."""
    torch.manual_seed(seed)
    state: dict[str, torch.Tensor] = {}
    for name in attention_weights(net):
        outer, inner = net.get_parameter(name).shape
        layer = f"{part}.{name.removesuffix('.weight')}"
        state[f"{layer}.lora_A.weight"] = rescaled((RANK, inner), 0.2)
        state[f"{layer}.lora_B.weight"] = rescaled((outer, RANK), 0.2)
    return state


@dataclass
class Hand:
    """Says what a denoiser ought to be, in sums of weights."""

    base: nn.Module
    lora: dict[str, torch.Tensor]
    scale: float = 0.0
    baked: float = 0.0
    adapter: tuple[Path, float] | None = None
    sharings: dict[Path, AttentionSharing] = field(default_factory=dict[Path, AttentionSharing])

    def predict(self) -> torch.Tensor:
        weights = {
            name: self.base.get_parameter(name) + (self.scale + self.baked) * value
            for name, value in self.lora.items()
        }
        if self.adapter is None:
            return predict(self.base, weights)
        path, strength = self.adapter
        if "sharing" not in path.name:
            for name, value in dense(path).items():
                weight = weights.get(name, self.base.get_parameter(name))
                weights[name] = weight + strength * value.view(weight.shape)
            return predict(self.base, weights)
        if path not in self.sharings:
            with NoInit():
                self.sharings[path] = AttentionSharing.for_unet(self.base, frames=1, rank=4)
            fill(self.sharings[path], path, "hookers.")
        sharing = self.sharings[path]
        previous = sharing.attach(self.base)
        try:
            return predict(self.base, weights)
        finally:
            sharing.detach(self.base, previous)


@dataclass
class Bench:
    """Does orders on a fresh pipeline of `family`, with adapters of `kind`."""

    family: str
    kind: str
    folder: Path
    pipeline: DiffusionPipeline = field(init=False)
    manager: AdapterManager = field(init=False)
    hand: Hand = field(init=False)
    refusals: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.pipeline = PIPELINES[self.family]()
        self.part = part_of(self.pipeline)
        net = self.net.requires_grad_(False)
        write = {"lora": lora_file, "delta": delta_file}.get(self.kind)
        self.files = [self.folder / f"{self.family}-{self.kind}-{i}.safetensors" for i in range(2)]
        for seed, path in enumerate(self.files):
            if write:
                write(path, net, seed)
            else:
                tiny.sharing_file(path, net, 1)
        state = peft_lora(net, self.part)
        self.state = state
        ups = [name for name in state if "lora_B" in name]
        deltas = {
            name.removeprefix(f"{self.part}.").replace("lora_B.weight", "weight"): state[name]
            @ state[name.replace("lora_B", "lora_A")]
            for name in ups
        }
        self.hand = Hand(copy.deepcopy(net), deltas)
        self.manager = AdapterManager(self.net)

    @property
    def net(self) -> nn.Module:
        return getattr(self.pipeline, self.part)

    def run(self, order: str) -> None:
        before = predict(self.net)
        for operation in order.split():
            mark = operation[-1]
            refuses = mark == "!" or (mark == "?" and self.kind != "sharing")
            hand = copy.copy(self.hand)
            try:
                getattr(self, f"do_{operation.rstrip('!?~')}")()
            except PellucidError as refusal:
                if not refuses and mark != "~":
                    raise
                assert torch.equal(predict(self.net), before), f"{operation} of {order!r} changed something"
                self.hand = hand
                self.refusals.append(str(refusal))
            else:
                assert not refuses, f"{operation} of {order!r} did not refuse"
            before = self.compare(f"after {operation} of {order!r}")

    def walk(self, seed: int, n_operations: int) -> None:
        """Does a random order of what makes sense for the LoRA's state; the manager may refuse anything."""
        draw = random.Random(seed)
        lora = "absent"
        for _ in range(n_operations):
            operation = draw.choice([*(MANAGED if draw.random() < 0.7 else LORA[lora])])
            lora = LORA[lora].get(operation, lora)
            self.run(operation + ("~" if operation in MANAGED else ""))

    def compare(self, where: str) -> torch.Tensor:
        """Returns what the denoiser gives, which is what it has to give by hand."""
        found, wanted = predict(self.net), self.hand.predict()
        apart = float((found - wanted).abs().max() / wanted.abs().max())
        assert apart < CLOSE, f"{where}: {apart:.1e} of {self.family} {self.kind}"
        return found

    def _set(self, number: int, strength: float) -> None:
        self.hand.adapter = (self.files[number], strength)
        self.manager.set(*self.hand.adapter)

    def do_attach(self) -> None:
        self._set(0, 1.0)

    def do_strength(self) -> None:
        self._set(0, 1.0 if self.kind == "sharing" else 0.5)

    def do_other(self) -> None:
        self._set(1, 1.0)

    def do_unload(self) -> None:
        self.hand.adapter = None
        self.manager.unload()

    def do_peek(self) -> None:
        """Looks at the plain denoiser for a while."""
        with self.manager.disabled():
            adapter, self.hand.adapter = self.hand.adapter, None
            self.compare("within disabled")
            self.hand.adapter = adapter

    def do_load(self) -> None:
        self.pipeline.load_lora_weights(dict(self.state), adapter_name="style", low_cpu_mem_usage=True)
        self.hand.scale = 1.0

    def do_scale(self) -> None:
        self.pipeline.set_adapters("style", 0.5)
        self.hand.scale = 0.5

    def do_disable(self) -> None:
        self.pipeline.disable_lora()
        self.hand.scale = 0.0

    def do_enable(self) -> None:
        self.pipeline.enable_lora()
        self.hand.scale = 1.0

    def do_fuse(self) -> None:
        self.pipeline.fuse_lora()
        self.hand.baked, self.hand.scale = self.hand.scale, 0.0

    def do_unfuse(self) -> None:
        self.pipeline.unfuse_lora()
        self.hand.baked, self.hand.scale = 0.0, self.hand.baked

    def do_unload_lora(self) -> None:
        self.pipeline.unload_lora_weights()
        self.hand.scale = 0.0

    def do_qkv(self) -> None:
        self.net.fuse_qkv_projections()  # type: ignore[operator]

    def do_unqkv(self) -> None:
        self.net.unfuse_qkv_projections()  # type: ignore[operator]

    def do_compile(self) -> None:
        """Wraps, as `pipe.unet = torch.compile(pipe.unet)` does; `predict` runs what is inside."""
        setattr(self.pipeline, self.part, torch.compile(self.net, backend="eager"))
        self.manager = AdapterManager(self.net)
