"""Units of a transformer's layers come on and off wholly or not at all, and run wherever it does."""

import subprocess
import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import pytest
import torch
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from diffusers.pipelines.flux.pipeline_flux import FluxPipeline
from peft import LoraConfig, inject_adapter_in_model
from safetensors.torch import save_file
from torch import Tensor, nn

from building import build, hooks_in
from pellucid.errors import InputError, WeightsError
from pellucid.models.frame_units import FrameUnits
from pellucid.models.latent_inputs import as_tokens, find_input
from pellucid.weights.adapter_files import write_adapter
from pellucid.weights.adapter_manager import AdapterManager
from pellucid.weights.layer_units import FRAME_UNITS
from weights.test_adapter_manager import Interruptions

Net = FluxTransformer2DModel
ROWS = 4


def small() -> Net:
    torch.manual_seed(0)
    return build(
        Net,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=1,
        joint_attention_dim=8,
        pooled_projection_dim=8,
        axes_dims_rope=(4, 4, 8),
    ).eval().requires_grad_(False)  # fmt: skip


@pytest.fixture
def net() -> Net:
    return small()


@torch.no_grad()
def predict(net: Callable[..., tuple[Tensor]], time: float = 0.5, seed: int = 0) -> Tensor:
    """Of two scenes of two layers, 4 x 2 tokens each."""
    noise = torch.Generator().manual_seed(seed)
    ids = torch.cartesian_prod(torch.zeros(1), torch.arange(4.0), torch.arange(2.0))
    like = next(net.parameters()) if isinstance(net, nn.Module) else torch.zeros(1)
    return net(
        hidden_states=torch.randn(ROWS, 8, 16, generator=noise).to(like),
        timestep=torch.full((ROWS,), time).to(like),
        pooled_projections=torch.randn(ROWS, 8, generator=noise).to(like),
        encoder_hidden_states=torch.randn(ROWS, 3, 8, generator=noise).to(like),
        txt_ids=torch.zeros(3, 3),
        img_ids=ids,
        return_dict=False,
    )[0]


class Files:
    def __init__(self, folder: Path, net: Net) -> None:
        self.folder, self.net = folder, net

    def units(self, name: str, **more: int) -> Path:
        units = FrameUnits.for_transformer(self.net, frames=2, rank=4, **more)
        state = {f"{FRAME_UNITS}{key}": torch.randn(value.shape) for key, value in units.state_dict().items()}
        write_adapter(state, self.folder / name)
        return self.folder / name

    @cached_property
    def joint(self) -> Path:
        return self.units("joint.safetensors")

    @cached_property
    def shown(self) -> Path:
        return self.units("shown.safetensors", shown_channels=4, side=2)

    @cached_property
    def grown(self) -> Path:
        path = self.folder / "grown.safetensors"
        save_file({"x_embedder.weight": torch.randn(16, 32), "proj_out.bias": torch.randn(16)}, path)
        return path

    @cached_property
    def few(self) -> Path:
        path = self.folder / "few.safetensors"
        save_file({"proj_out.bias": torch.randn(16)}, path)
        return path


@pytest.fixture
def files(net: Net, tmp_path: Path) -> Files:
    return Files(tmp_path, net)


@pytest.mark.parametrize(
    ("before", "after"), [("few", "joint"), ("joint", "few"), ("joint", None), ("joint", "joint2")]
)
def test_an_interruption_leaves_one_state_or_the_other(
    net: Net, files: Files, before: str, after: str | None
) -> None:
    paths = {"few": files.few, "joint": files.joint, "joint2": files.units("joint2.safetensors"), None: None}
    manager, counted, plain = AdapterManager(net), Interruptions(None), predict(net)
    for name in (before, after, before):  # what is done once only is done
        manager.set(paths[name])
    old = predict(net)
    with counted.on():
        manager.set(paths[after])
    new = predict(net)
    for at in range(0, counted.lines, counted.lines // 20):
        manager.set(paths[before])
        with pytest.raises(KeyboardInterrupt), Interruptions(at).on():
            manager.set(paths[after])
        now = predict(net)
        assert torch.equal(now, old) or torch.equal(now, new)
        manager.set(paths[after])
        assert torch.equal(predict(net), new)
    manager.unload()
    assert torch.equal(predict(net), plain), "a hook that was cut short while it was registered does nothing"


def test_nothing_is_left_in_a_transformer(net: Net, files: Files) -> None:
    manager = AdapterManager(net)
    for path in (files.joint, files.shown, files.grown, None):
        manager.set(path)
    assert not hooks_in(net)


def test_units_are_off_while_adapters_are(net: Net, files: Files) -> None:
    manager, plain = AdapterManager(net), predict(net)
    manager.set((files.few, files.joint))
    both = predict(net)
    with manager.disabled():
        assert torch.equal(predict(net), plain)
    assert torch.equal(predict(net), both)
    manager.set(files.joint, 0.0)
    assert torch.equal(predict(net), plain)
    manager.set(files.joint, 0.5)
    assert not torch.equal(predict(net), plain)
    manager.unload()
    assert torch.equal(predict(net), plain)


@pytest.mark.parametrize("end", [0.5, 1.0])
@pytest.mark.parametrize("done", [False, True])
def test_an_adapter_ends_by_whichever_clock_a_transformer_has(
    net: Net, files: Files, end: float, done: bool
) -> None:
    manager, kept = AdapterManager(net), list[float]()
    shares = (1.0, 0.7, 0.3)
    told = [1 - share if done else share for share in shares]
    plain = [predict(net, time) for time in told]
    manager.set(files.joint)
    with manager.conditioned(None, None, end=end):
        kept = [
            share
            for share, time, without in zip(shares, told, plain, strict=True)
            if not torch.equal(predict(net, time), without)
        ]
    assert kept == [share for share in shares if share >= 1 - end]


def test_what_is_shown_reaches_its_scene_alone(net: Net, files: Files) -> None:
    manager = AdapterManager(net)
    images = torch.randn(2, 4, 8, 4)
    for path in (files.grown, files.shown):
        manager.set(path)
        rows = images.repeat_interleave(2, dim=0)
        with manager.conditioned(rows, None):
            both = predict(net)
        other = rows.clone()
        other[2:] += 1
        with manager.conditioned(other, None):
            changed = predict(net)
        torch.testing.assert_close(changed[:2], both[:2], rtol=1e-4, atol=1e-4)
        assert (changed[2:] - both[2:]).abs().min() > 0
        with manager.conditioned(images[:1], None):  # one image for all
            assert predict(net).isfinite().all()
        with (
            manager.conditioned(images.repeat(1, 1, 2, 1), None),
            pytest.raises(InputError, match="conditions for"),
        ):
            predict(net)
    with pytest.raises(InputError, match="Expected images for this adapter"):
        predict(net)
    manager.unload()


def test_tokens_are_laid_out_as_the_pipeline_does() -> None:
    latents = torch.randn(2, 16, 8, 4)
    packed: Callable[..., Tensor] = FluxPipeline._pack_latents  # pyright: ignore[reportPrivateUsage]
    assert torch.equal(as_tokens(latents, 2), packed(latents, *latents.shape))


def test_loras_of_peft_stay_in_force(net: Net, files: Files) -> None:
    manager = AdapterManager(net)
    manager.set(files.joint)
    units = predict(net)
    config = LoraConfig(r=2, target_modules=["to_q", "x_embedder"], init_lora_weights=False)
    inject_adapter_in_model(config, net)
    with_lora = predict(net)
    assert not torch.equal(with_lora, units)
    manager.set(files.few)
    manager.set(files.joint)
    assert torch.equal(predict(net), with_lora)
    manager.set(files.grown)
    with manager.conditioned(torch.randn(1, 4, 8, 4), None):
        assert predict(net).isfinite().all()
    assert find_input(net)[0] == "x_embedder"


def test_units_follow_the_transformer(net: Net, files: Files) -> None:
    manager = AdapterManager(net)
    manager.set(files.shown)
    nn.Module.to(net, torch.bfloat16)
    with manager.conditioned(torch.randn(1, 4, 8, 4), None):
        assert predict(net).dtype == torch.bfloat16


@pytest.mark.slow
def test_compiled_transformers_run_what_is_set() -> None:
    # in a process of its own: what checks types here cannot be compiled
    subprocess.run([sys.executable, "-c", COMPILED], check=True, cwd=Path(__file__).parents[1])


COMPILED = """
import tempfile
from pathlib import Path
import torch
from weights.test_frame_units import Files, predict, small
from pellucid.weights.adapter_manager import AdapterManager

net = small()
files = Files(Path(tempfile.mkdtemp()), net)
compiled = torch.compile(net, backend="eager")
manager, images = AdapterManager(compiled), torch.randn(2, 1, 4, 8, 4)
for path in (None, files.joint, files.shown, files.grown, None):
    manager.set(path)
    for image in images if path in (files.shown, files.grown) else (None,):
        with manager.conditioned(image, None):
            torch.testing.assert_close(predict(compiled), predict(net), rtol=1e-4, atol=1e-4)
"""


def test_units_of_another_transformer_are_refused(net: Net, files: Files) -> None:
    path = files.joint
    other = build(Net, **{**net.config, "num_single_layers": 2})
    before = predict(net)
    with pytest.raises(WeightsError, match="joint"):
        AdapterManager(other).set(path)
    assert torch.equal(predict(net), before)


def test_half_a_scene_is_refused(net: Net, files: Files) -> None:
    manager = AdapterManager(net)
    units = FrameUnits.for_transformer(net, frames=3, rank=4)
    path = files.folder / "three.safetensors"
    write_adapter({f"{FRAME_UNITS}{name}": value for name, value in units.state_dict().items()}, path)
    manager.set(path)
    with pytest.raises(InputError, match="multiple of 3 layers, found 4"):
        predict(net)
