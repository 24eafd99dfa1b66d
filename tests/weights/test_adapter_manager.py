"""An adapter comes on and off wholly or not at all, whatever happens to the denoiser meanwhile."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING
from typing import cast as cast_type
from weakref import ref

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel as UNet
from peft import LoraConfig
from safetensors.torch import save_file
from torch import nn

import tiny
from building import cast, hooks_in, present, submodule
from models.test_attention_sharing import predict, tiny_unet
from pellucid.errors import InputError, WeightsError
from pellucid.models.attention_sharing import SharingProcessor
from pellucid.weights.adapter_manager import AdapterManager
from pellucid.weights.adapter_state import AdapterState, Contents, PutParameter
from pellucid.weights.placement import Slot
from weights.orders import delta_file as plain_delta
from weights.orders import lora_file

if TYPE_CHECKING:
    from _typeshed import TraceFunction

Bits = dict[str, object]


def grown_file(path: Path, channels: int = 12) -> Path:
    values = {"conv_in.weight": torch.randn(8, channels, 3, 3), "conv_out.bias": torch.randn(4)}
    save_file({name: value * 0.1 for name, value in values.items()}, path)
    return path


class Files:
    """Adapter files for one denoiser, each written when a test first asks for it."""

    def __init__(self, folder: Path, net: UNet) -> None:
        self.folder, self.net = folder, net

    @cached_property
    def few(self) -> Path:
        path = self.folder / "few.safetensors"
        save_file({"conv_in.bias": torch.randn(8), "conv_out.bias": torch.randn(4)}, path)
        return path

    @cached_property
    def lora(self) -> Path:
        return lora_file(self.folder / "lora.safetensors", self.net, 1)

    @cached_property
    def delta(self) -> Path:
        return plain_delta(self.folder / "delta.safetensors", self.net, 2)

    @cached_property
    def grown(self) -> Path:
        return grown_file(self.folder / "grown.safetensors")

    @cached_property
    def sharing(self) -> Path:
        return tiny.sharing_file(self.folder / "sharing.safetensors", self.net, 1)

    @cached_property
    def control(self) -> Path:
        return tiny.sharing_file(self.folder / "control.safetensors", self.net, 2, control=True)


@pytest.fixture
def net() -> UNet:
    torch.manual_seed(0)
    return tiny_unet()


@pytest.fixture
def files(net: UNet, tmp_path: Path) -> Files:
    return Files(tmp_path, net)


def bits(net: nn.Module) -> Bits:
    """All that an adapter may change."""
    found: Bits = {name: value.detach().clone() for name, value in net.state_dict().items()}
    found["in_channels"] = submodule(net, "conv_in", nn.Conv2d).in_channels
    names: list[str] = [name for name, _ in net.named_modules()]
    for name in names:
        module = net.get_submodule(name)
        processor: object = getattr(module, "processor", None)
        if processor is not None:
            unit: object = getattr(processor, "unit", None)
            found[f"{name}.processor"] = type(processor) if unit is None else id(unit)
    return found


def tensor_of(found: Bits, name: str) -> torch.Tensor:
    value = found[name]
    assert isinstance(value, torch.Tensor)
    return value


def same(a: Bits, b: Bits) -> bool:
    return a.keys() == b.keys() and all(
        torch.equal(value, other)
        if isinstance(value, torch.Tensor) and isinstance(other, torch.Tensor)
        else value == other
        for value, other in zip(a.values(), b.values(), strict=True)
    )


class Interruptions:
    """Raises at a line of our code: all beneath a swap count, and others when they are first met."""

    def __init__(self, at: int | None) -> None:
        self.at, self.lines, self.depth = at, 0, 0
        self.met: set[tuple[object, int]] = set()

    def _begun(self, frame: FrameType, event: str, _: object) -> "TraceFunction | None":
        file = frame.f_code.co_filename
        self.depth += self._is_swap(frame)
        beneath = self.depth and any(part in file for part in ("pellucid/", "torch/", "diffusers/"))
        return self._line if "pellucid/weights" in file or beneath else None

    @staticmethod
    def _is_swap(frame: FrameType) -> bool:
        # by name, since type checks wrap functions in tests
        return frame.f_code.co_name == "swap" and frame.f_code.co_filename.endswith("adapter_state.py")

    def _line(self, frame: FrameType, event: str, _: object) -> "TraceFunction":
        place = frame.f_code, frame.f_lineno
        if event == "line" and (self.depth or place not in self.met):
            self.met.add(place)
            if self.lines == self.at:
                raise KeyboardInterrupt
            self.lines += 1
        elif event == "return":
            self.depth -= self._is_swap(frame)
        return self._line

    @contextmanager
    def on(self) -> Generator[None]:
        before = sys.gettrace()
        sys.settrace(self._begun)
        try:
            yield
        finally:
            sys.settrace(before)


STEPS = (
    ("few", "grown"), ("grown", "sharing"), ("sharing", None), ("grown", "disabled"),
    ("sharing", "few"), ("grown", None), (None, "grown"), ("sharing", "disabled"),
)  # fmt: skip
EVERY = [pytest.param(*step, 1, marks=pytest.mark.slow) for step in STEPS]


def change_to(manager: AdapterManager, files: Files, name: str | None) -> None:
    if name == "disabled":
        with manager.disabled():
            pass
    else:
        manager.set(getattr(files, name) if name else None)


def without_units(found: Bits) -> Bits:
    """Leaves out units, which are new objects whenever a file is read."""
    return {name: value for name, value in found.items() if "processor" not in name}


@pytest.mark.parametrize(("before", "after", "apart"), [*((*step, 23) for step in STEPS[:4]), *EVERY])
def test_an_interruption_at_any_line_leaves_one_state_or_the_other(
    net: UNet, files: Files, before: str | None, after: str | None, apart: int
) -> None:
    """`apart` thins the lines out, for the runs that are not slow."""
    manager, counted = AdapterManager(net), Interruptions(None)
    plain = bits(net)
    change_to(manager, files, before)
    with counted.on():
        change_to(manager, files, after)
    wanted = without_units(bits(net))
    finished = 0
    for at in range(0, counted.lines, apart):
        manager.unload()
        change_to(manager, files, before)
        old = bits(net)
        with pytest.raises(KeyboardInterrupt), Interruptions(at).on():
            change_to(manager, files, after)
        now = bits(net)
        if not same(now, old):
            finished += 1
            either = wanted if after != "disabled" else without_units(plain)
            assert same(without_units(now), either)
        change_to(manager, files, after)
        if after == "disabled":  # one that was interrupted before its end stays so until the next `set`
            change_to(manager, files, before)
        assert same(without_units(bits(net)), wanted)
    assert counted.lines > 100
    assert finished < counted.lines / 2
    manager.unload()
    assert same(bits(net), plain)
    assert not hooks_in(net)


class Touchy(nn.Module):
    """Refuses to be changed a number of times."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals = 0
        self.weight = nn.Parameter(torch.zeros(1))

    def __setattr__(self, name: str, value: torch.Tensor | nn.Module) -> None:
        if name == "weight" and self.refusals:
            self.refusals -= 1
            raise KeyboardInterrupt
        super().__setattr__(name, value)


def test_an_interruption_of_the_way_back_is_mended_by_the_next_call() -> None:
    modules, state = [Touchy() for _ in range(3)], AdapterState()
    changes = [PutParameter(Slot(ref(each), "weight"), nn.Parameter(torch.ones(1))) for each in modules]
    modules[1].refusals = 2
    with pytest.raises(KeyboardInterrupt):
        state.swap(changes, Contents(key="after"))
    assert state.contents.undo
    state.recover()
    assert [each.weight.item() for each in modules] == [0, 0, 0]
    assert state.contents.is_plain
    state.swap(changes, Contents(key="after"))
    assert [each.weight.item() for each in modules] == [1, 1, 1]
    assert state.contents.key == "after"


def test_setting_again_is_cheap_and_a_new_file_is_read(net: UNet, files: Files) -> None:
    manager = AdapterManager(net)
    report = manager.set(files.delta)
    assert manager.set(files.delta) is report
    first = bits(net)
    assert AdapterManager(net).set(files.delta) is report  # another pipeline over the same denoiser
    plain_delta(files.delta, tiny_unet(), 99)
    assert manager.set(files.delta) is not report
    assert not same(bits(net), first)


def test_a_refused_file_keeps_the_adapter_before(net: UNet, files: Files, tmp_path: Path) -> None:
    manager = AdapterManager(net)
    manager.set(files.lora)
    before = bits(net)
    save_file({"conv_in.bias": torch.ones(8), "odd": torch.ones(1)}, tmp_path / "odd.safetensors")
    for source in (tmp_path / "odd.safetensors", tmp_path / "no.safetensors", (files.delta, "nothing")):
        with pytest.raises(WeightsError):
            manager.set(source)
        assert same(bits(net), before)
    with pytest.raises(InputError, match="0 or 1"):
        manager.set(files.sharing, 0.5)
    assert same(bits(net), before)


def test_several_adapters_are_stacked_in_their_order(net: UNet, files: Files) -> None:
    manager, before = AdapterManager(net), bits(net)
    manager.set((files.lora, files.delta))
    once = bits(net)
    manager.set(files.delta)
    manager.set((files.lora, files.delta))
    assert same(bits(net), once)
    with manager.disabled():
        assert same(bits(net), before)
        with manager.disabled():
            assert same(bits(net), before)
        assert same(bits(net), before)
    assert same(bits(net), once)
    manager.unload()
    assert same(bits(net), before)


def test_a_file_for_a_larger_model_is_refused(files: Files, tmp_path: Path) -> None:
    large = lora_file(tmp_path / "large.safetensors", tiny.sd15_unet(), 1)
    net = tiny_unet()
    before = bits(net)
    with pytest.raises(WeightsError, match=r"\d+ of its \d+ tensors have no place, such as .*base model"):
        AdapterManager(net).set(large)
    assert same(bits(net), before)


@pytest.mark.parametrize("kind", ["lora", "delta"])
def test_edits_by_others_are_noticed(net: UNet, files: Files, kind: str) -> None:
    manager = AdapterManager(net)
    changed = present(manager.set(getattr(files, kind))).changed[0]
    with torch.no_grad():
        net.get_parameter(changed).mul_(1.01)
    edited = bits(net)
    for call in (manager.unload, lambda: manager.set(files.grown), lambda: manager.disabled().__enter__()):
        with pytest.raises(WeightsError, match=r"changed since.*Load the model again"):
            call()
        assert same(bits(net), edited)
    with pytest.raises(WeightsError), manager.conditioned(None, None, end=0.5):
        pass
    assert not hooks_in(net)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_weak_lora_that_is_baked_into_half_precision_is_noticed(
    net: UNet, files: Files, dtype: torch.dtype
) -> None:
    cast(net, dtype)
    manager = AdapterManager(net)
    manager.set(files.lora)
    net.add_adapter(LoraConfig(r=2, target_modules=["to_q"], init_lora_weights=False))
    for name, value in net.named_parameters():
        if "lora_" in name:
            value.data *= 0.1
    net.fuse_lora()
    with pytest.raises(WeightsError, match="unfuse_lora"):
        manager.unload()
    net.unload_lora()
    with pytest.raises(WeightsError, match="Load the model again"):
        manager.unload()


def test_a_replaced_layer_is_noticed(net: UNet, files: Files) -> None:
    manager = AdapterManager(net)
    manager.set(files.delta)
    net.conv_in = nn.Conv2d(4, 8, 3, padding=1)
    with pytest.raises(WeightsError, match="others in their place"):
        manager.unload()


@pytest.mark.parametrize("kind", ["lora", "delta", "grown", "sharing"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_after_a_cast_everything_comes_off_in_that_dtype(
    net: UNet, files: Files, kind: str, dtype: torch.dtype
) -> None:
    wanted = {name: value.to(dtype) for name, value in net.state_dict().items()}
    manager = AdapterManager(net)
    manager.set(getattr(files, kind))
    cast(net, dtype)
    assert predict_in(net, dtype).isfinite().all() or kind == "grown"
    with manager.disabled():
        assert all(torch.equal(value, wanted[name]) for name, value in net.state_dict().items())
    manager.set(files.lora)
    manager.set(getattr(files, kind))
    manager.unload()
    found = net.state_dict()
    assert found.keys() == wanted.keys()
    assert all(value.dtype == dtype and torch.equal(value, wanted[name]) for name, value in found.items())


def predict_in(net: UNet, dtype: torch.dtype) -> torch.Tensor:
    if net.conv_in.in_channels != 4:
        return torch.zeros(1)
    noise = torch.Generator().manual_seed(1)
    x, text = torch.randn(2, 4, 8, 8, generator=noise), torch.randn(2, 5, 12, generator=noise)
    with torch.no_grad():
        return net(x.to(dtype), 10, text.to(dtype)).sample


def test_a_cast_there_and_back_is_no_edit(net: UNet, files: Files) -> None:
    before, manager = bits(net), AdapterManager(net)
    changed = present(manager.set(files.lora)).changed
    cast(net, torch.float16)
    cast(net, torch.float32)
    manager.unload()
    assert all(torch.equal(net.get_parameter(name), tensor_of(before, name)) for name in changed)


def test_units_follow_the_denoiser_and_training_units_do_not(net: UNet, files: Files) -> None:
    manager = AdapterManager(net)
    sharing = present(present(manager.set(files.sharing)).sharing)
    cast(net, torch.bfloat16)
    assert predict_in(net, torch.bfloat16).dtype == torch.bfloat16
    assert {value.dtype for value in sharing.layers.parameters()} == {torch.bfloat16}


def test_layerwise_casting_works_with_sharing_and_before_it_with_merging(net: UNet, files: Files) -> None:
    manager = AdapterManager(net)
    manager.set(files.delta)
    whole = predict_in(net, torch.float32)
    net.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.float32)
    stored = predict_in(net, torch.float32)
    assert (stored - whole).norm() < 0.2 * whole.norm()
    manager.unload()
    plain = predict_in(net, torch.float32)
    matrix = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight"
    assert net.get_parameter(matrix).dtype == torch.float8_e4m3fn
    manager.set(files.lora)  # beside the weights, see test_side_differences.py
    assert net.get_parameter(matrix).dtype == torch.float8_e4m3fn
    assert not torch.equal(predict_in(net, torch.float32), plain)
    manager.unload()
    manager.set(files.sharing)
    assert not torch.equal(predict_in(net, torch.float32), plain)
    manager.unload()
    assert torch.equal(predict_in(net, torch.float32), plain)


def test_group_offloading_takes_units_and_merged_weights(net: UNet, files: Files) -> None:
    from diffusers.hooks.group_offloading import apply_group_offloading

    manager = AdapterManager(net)
    wanted: list[torch.Tensor] = []
    for kind in ("sharing", "lora", "delta"):
        manager.set(getattr(files, kind))
        wanted.append(predict(net))
    manager.unload()
    apply_group_offloading(net, torch.device("cpu"), offload_type="leaf_level")
    for kind, output in zip(("sharing", "lora", "delta"), wanted, strict=True):
        manager.set(getattr(files, kind))
        torch.testing.assert_close(predict(net), output, rtol=0, atol=1e-5)
    manager.unload()


def test_sequential_offloading_is_refused_with_what_to_do(net: UNet, files: Files) -> None:
    from accelerate import cpu_offload
    from accelerate.hooks import remove_hook_from_module

    before, manager = bits(net), AdapterManager(net)
    manager.set(files.lora)
    cpu_offload(net, torch.device("cpu"))
    with pytest.raises(WeightsError, match="remove_all_hooks"):
        manager.unload()
    remove_hook_from_module(net, recurse=True)
    manager.unload()
    cpu_offload(net, torch.device("cpu"))
    with pytest.raises(WeightsError, match="remove_all_hooks"):
        manager.set(files.delta)
    remove_hook_from_module(net, recurse=True)
    assert same(bits(net), before)


def compiled_eagerly(net: UNet) -> UNet:
    """Compiles; what comes back is a wrapper that passes on all that it does not know."""
    compile_: Callable[..., object] = torch.compile
    compiled = compile_(net, backend="eager")
    return cast_type(UNet, compiled)


def test_compiled_denoisers_run_what_is_set(net: UNet, files: Files) -> None:
    plain = AdapterManager(net)
    wanted: dict[str | None, torch.Tensor] = {}
    for kind in (None, "lora", "delta"):
        plain.set(getattr(files, kind) if kind else None)
        wanted[kind] = predict(net)
    plain.unload()
    compiled = compiled_eagerly(net)
    manager = AdapterManager(compiled)
    assert manager.denoiser is net
    for kind in (None, "lora", "delta", None, "lora"):
        manager.set(getattr(files, kind) if kind else None)
        torch.testing.assert_close(predict(compiled), wanted[kind], rtol=0, atol=1e-5)
    condition = torch.rand(1, 8, 8, 8)
    manager.set(files.grown)
    outputs: list[torch.Tensor] = []
    for latents in (condition, condition * 0, condition):
        with manager.conditioned(latents, None):
            outputs.append(predict(compiled))
    assert torch.equal(outputs[0], outputs[2])
    assert not torch.equal(outputs[0], outputs[1])
    with manager.conditioned(condition, None, end=0.0):
        torch.testing.assert_close(predict(compiled), wanted[None], rtol=0, atol=1e-5)
    manager.unload()
    torch.testing.assert_close(predict(compiled), wanted[None], rtol=0, atol=1e-5)
    torch.compiler.reset()


@pytest.mark.parametrize(("end", "timestep", "plain"), [(1.0, 0, False), (0.5, 500, False), (0.5, 499, True)])
def test_after_its_end_the_plain_denoiser_goes_on(
    net: UNet, files: Files, end: float, timestep: int, plain: bool
) -> None:
    manager = AdapterManager(net)
    x, text = torch.rand(2, 4, 8, 8), torch.rand(2, 5, 12)
    wanted = net(x, timestep, text).sample
    manager.set(files.lora)
    merged = bits(net)
    for call in (lambda: net(x, timestep, text), lambda: net(x, torch.tensor([timestep]), text)):
        with manager.conditioned(None, None, end=end):
            assert torch.equal(call().sample, wanted) == plain
    with manager.conditioned(None, None, end=end):
        found = net(sample=x, timestep=timestep, encoder_hidden_states=text)
        assert torch.equal(found.sample, wanted) == plain
    assert same(bits(net), merged)


def test_what_is_refused_leaves_no_hook(net: UNet, files: Files) -> None:
    manager = AdapterManager(net)
    manager.set(files.grown)
    concat, hint = torch.rand(1, 8, 8, 8), torch.rand(1, 3, 64, 64)
    with pytest.raises(InputError, match="hint modes"), manager.conditioned(concat, hint, end=0.5):
        pass
    with pytest.raises(InputError, match="end of 0 to 1"), manager.conditioned(concat, None, end=1.5):
        pass
    assert not hooks_in(net)
    sharing = present(present(manager.set(files.control)).sharing)
    with (
        pytest.raises(Exception, match=r"image|channels"),
        manager.conditioned(None, torch.rand(1, 5, 64, 64)),
    ):
        pass
    with manager.conditioned(None, hint, end=0.5):
        assert sharing.state.control_features
    assert not sharing.state.control_features
    assert not hooks_in(net)


def test_what_was_grown_is_undone_and_saves_a_model_that_loads(
    net: UNet, files: Files, tmp_path: Path
) -> None:
    before, config, manager = bits(net), dict(net.config), AdapterManager(net)
    manager.set(files.grown)
    assert net.conv_in.in_channels == 12
    assert net.config["in_channels"] == 4
    manager.unload()
    assert (net.conv_in.in_channels, dict(net.config)) == (4, config)
    net.save_pretrained(tmp_path / "saved")
    again = UNet.from_pretrained(tmp_path / "saved")
    assert same(bits(again), before)


def test_units_give_way_to_another_processor_and_come_back(net: UNet, files: Files) -> None:
    from diffusers.models.attention_processor import AttnProcessor

    manager = AdapterManager(net)
    report = manager.set(files.sharing)
    output = predict(net)
    net.set_attn_processor(AttnProcessor())
    assert manager.set(files.sharing) is report  # attached again, not loaded again
    torch.testing.assert_close(predict(net), output, rtol=0, atol=1e-5)
    manager.unload()
    assert {type(each) for each in net.attn_processors.values()} == {AttnProcessor}
    manager.set(files.sharing)
    assert {type(each) for each in net.attn_processors.values()} == {SharingProcessor}


def test_fused_projections_refuse_units_until_they_are_unfused(net: UNet, files: Files) -> None:
    manager = AdapterManager(net)
    output = predict(net)
    manager.set(files.sharing)
    shared = predict(net)
    net.fuse_qkv_projections()
    with pytest.raises(WeightsError, match="unfuse_qkv_projections"):
        manager.set(files.sharing)
    net.unfuse_qkv_projections()
    manager.set(files.sharing)
    assert torch.equal(predict(net), shared)
    manager.unload()
    assert torch.equal(predict(net), output)


def test_a_forgotten_denoiser_is_freed(files: Files) -> None:
    import gc

    net = tiny_unet()
    AdapterManager(net).set(files.lora)
    gone = ref(net)
    del net
    gc.collect()
    assert gone() is None
