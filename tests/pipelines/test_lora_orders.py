"""Community LoRAs beside the transparent adapter, in every order: latents as of weights summed by hand."""

import copy
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import pytest
import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline

import pellucid
import tiny
from building import QuickSeeded, call_stock, present
from pellucid.errors import PellucidError
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.pipelines.families import FAMILIES
from pellucid.pipelines.modes import Family, Mode, Task
from pellucid.pipelines.pipeline import TransparentPipeline
from weights.orders import KINDS, PIPELINES, config_of, delta_file, dense, lora_file, part_of, peft_lora

CLOSE = 1e-4
"""Largest difference of two latents, as a share of the largest value: sums of weights round otherwise."""
FAST: QuickSeeded = {"seed": 3, "num_inference_steps": 2, "passes": 1}
ORDERS = {
    "attach load generate scale generate disable generate enable generate unload_lora generate detach": "",
    "load attach generate scale generate unload_lora generate detach": "",
    "attach generate load generate detach": "",
    "load fuse attach generate detach": "",
    "attach load fuse generate": "",
    "attach load fuse detach!": "unfuse_lora",
    "attach load fuse detach! unfuse generate detach": "unfuse_lora",
    "attach load strength generate": "",
    "attach load compile generate": "",
}
"""Orders, a word an operation; "!" refuses, with these words in the reason."""
LAYER_ORDERS = {
    "attach load joint generate detach": "",
    "load attach joint scale joint unload_lora joint": "",
}


def latents_of(pipe: TransparentPipeline) -> torch.Tensor:
    """What `generate` hands to the decoder."""
    kept: list[torch.Tensor] = []

    def decode(latents: torch.Tensor, *, passes: int) -> torch.Tensor:
        kept.append(latents)
        side = pipe.autoencoder.pixels_per_latent
        return torch.zeros(1, 4, latents.shape[-2] * side, latents.shape[-1] * side)

    with mock.patch.object(pipe.autoencoder, "decode", decode):
        pipe.generate("a cat", **FAST)
    return kept[0]


@dataclass
class Bench:
    """One pipeline with the transparent adapter and a LoRA, and the weights that it ought to have."""

    family: str
    kind: str
    folder: Path
    stock: DiffusionPipeline = field(init=False)
    codec: RGBAAutoencoder = field(init=False)
    scale: float = 0.0
    """Of the LoRA as PEFT applies it now."""
    enabled: float = 0.0
    """The same before it was disabled."""
    baked: float = 0.0
    """Of the LoRA as it is fused into the weights."""
    strength: float = 1.0
    pipe: TransparentPipeline | None = None

    def __post_init__(self) -> None:
        self.stock = PIPELINES[self.family]()
        self.codec = tiny.codec(self.stock.vae, FAMILIES[self.family].latent_channels)
        self.part = part_of(self.stock)
        self.base = copy.deepcopy(self.net)
        write = lora_file if self.kind == "lora" else delta_file
        self.file = write(self.folder / f"{self.family}.safetensors", self.net, 0)
        self.lora = peft_lora(self.net, self.part)

    @property
    def net(self) -> torch.nn.Module:
        return getattr(self.stock, self.part)

    def by_hand(self) -> torch.Tensor:
        """Latents of a plain pipeline over plain sums of weights, without PEFT and without adapters."""
        stock = PIPELINES[self.family]()
        weights = {name: value.clone() for name, value in self.base.state_dict().items()}
        for name in (name for name in self.lora if "lora_B" in name):
            difference = self.lora[name] @ self.lora[name.replace("lora_B", "lora_A")]
            target = name.removeprefix(f"{self.part}.").replace("lora_B.weight", "weight")
            weights[target] += (self.scale + self.baked) * difference
        for name, value in dense(self.file).items():
            weights[name] += self.strength * value.view(weights[name].shape)
        getattr(stock, self.part).load_state_dict(weights)
        plain = pellucid.attach(stock, None, autoencoder=tiny.codec(stock.vae, self.codec_channels))
        return latents_of(plain)

    @property
    def codec_channels(self) -> int:
        return FAMILIES[self.family].latent_channels

    def do_attach(self) -> None:
        self.pipe = pellucid.attach(self.stock, self.file, autoencoder=self.codec)

    def do_strength(self) -> None:
        self.strength = 0.5
        self.pipe = pellucid.attach(self.stock, self.file, strength=0.5, autoencoder=self.codec)

    def do_load(self) -> None:
        self.stock.load_lora_weights(dict(self.lora), adapter_name="style", low_cpu_mem_usage=True)
        self.scale = 1.0

    def do_scale(self) -> None:
        self.stock.set_adapters("style", 0.5)
        self.scale = 0.5

    def do_disable(self) -> None:
        self.stock.disable_lora()
        self.scale, self.enabled = 0.0, self.scale

    def do_enable(self) -> None:
        self.stock.enable_lora()
        self.scale = self.enabled

    def do_unload_lora(self) -> None:
        self.stock.unload_lora_weights()
        self.scale = 0.0

    def do_fuse(self) -> None:
        self.stock.fuse_lora()
        self.scale, self.baked = 0.0, self.scale

    def do_unfuse(self) -> None:
        self.stock.unfuse_lora()
        self.scale, self.baked = self.baked, 0.0

    def do_compile(self) -> None:
        setattr(self.stock, self.part, torch.compile(self.net, backend="eager", disable=True))

    def do_generate(self) -> None:
        found, wanted = latents_of(present(self.pipe)), self.by_hand()
        assert float((found - wanted).abs().max() / wanted.abs().max()) < CLOSE

    def do_joint(self) -> None:
        scene = present(self.pipe).joint("a cat", "a sea", **FAST)
        assert len(scene.layers) == 2
        assert config_of(self.net)["in_channels"] == 4
        call_stock(self.stock, "a", num_inference_steps=2, output_type="latent")  # the plain pipeline runs

    def do_detach(self) -> None:
        assert present(self.pipe).detach() is self.stock
        if self.scale == self.baked == 0:
            found = {name.replace(".base_layer", ""): value for name, value in self.net.state_dict().items()}
            assert all(torch.equal(value, found[name]) for name, value in self.base.state_dict().items())

    def run(self, order: str, reason: str) -> None:
        for operation in order.split():
            call = getattr(self, f"do_{operation.rstrip('!')}")
            if operation.endswith("!"):
                with pytest.raises(PellucidError, match=reason):
                    call()
            else:
                call()
            call_stock(self.stock, "a", num_inference_steps=2, output_type="latent")  # usable after every one


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", ["lora", "delta"])
@pytest.mark.parametrize(
    "family", ["sd15", *(pytest.param(name, marks=pytest.mark.slow) for name in ("sdxl", "sd3", "flux"))]
)
def test_latents_are_those_of_weights_summed_by_hand(
    family: str, kind: str, order: str, tmp_path: Path
) -> None:
    assert kind in KINDS[family]
    Bench(family, kind, tmp_path).run(order, ORDERS[order])


@pytest.mark.parametrize("order", LAYER_ORDERS)
@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_layer_modes_run_beside_a_lora(family: Family, order: str, tmp_path: Path) -> None:
    from pipelines.test_shared_state import with_layers

    bench = Bench(family, "lora", tmp_path)
    layered = with_layers(PIPELINES[family](), tmp_path, family)
    attach = pellucid.attach

    def do_attach() -> None:
        layers: dict[Task, tuple[Mode, ...]] = {
            task: modes for task, modes in layered.tasks.items() if task != "foreground"
        }
        bench.pipe = attach(bench.stock, bench.file, autoencoder=bench.codec, layers=layers)

    bench.do_attach = do_attach
    bench.run(order, LAYER_ORDERS[order])


def test_a_model_saved_after_layer_modes_loads(tmp_path: Path) -> None:
    from pipelines.test_shared_state import with_layers

    pipe = with_layers(tiny.sdxl(), tmp_path, "sdxl")
    pipe.joint("a", "b", **FAST)
    pipe.pipeline.save_pretrained(tmp_path / "model")
    loaded = type(pipe.pipeline).from_pretrained(tmp_path / "model")
    assert loaded.unet.config.in_channels == loaded.unet.conv_in.in_channels == 4
