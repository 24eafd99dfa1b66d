"""One pipeline may be shared and moved; between calls the stock pipeline is as `attach` left it."""

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline

import pellucid
import tiny
from building import Quick, call_stock, hooks_in
from pellucid.pipelines.modes import MODES, TASKS, Family, Mode, Task
from pellucid.pipelines.pipeline import TransparentPipeline

THREADS, CALLS = 8, 60
FAST: Quick = {"num_inference_steps": 1, "passes": 1}
PICTURE = np.random.default_rng(0).integers(0, 256, (64, 64, 4), np.uint8)
Call = Callable[[TransparentPipeline, int], pellucid.Scene]


def with_layers(stock: DiffusionPipeline, folder: Path, family: Family) -> TransparentPipeline:
    """A pipeline with a random adapter for single layers and for every layer mode of its family."""
    single = tiny.delta_file(folder / "single.safetensors", stock.unet)
    layers: dict[Task, tuple[Mode, ...]] = {}
    for task, names in TASKS[family].items():
        modes: list[Mode] = []
        for name in names:
            mode, path = MODES[name], folder / f"{name}.safetensors"
            if len(mode.outputs) > 1:
                tiny.sharing_file(path, stock.unet, len(mode.outputs), control=bool(mode.conditions))
            elif mode.conditions:
                tiny.delta_file(path, stock.unet, 4 + 4 * len(mode.conditions))
            else:
                path = single
            modes.append(replace(mode, adapter=path))
        if task != "foreground":
            layers[task] = tuple(modes)
    return pellucid.attach(stock, single, autoencoder=tiny.codec(stock.vae), layers=layers)


@pytest.fixture(params=["sd15", "sdxl"])
def pipe(request: pytest.FixtureRequest, tmp_path: Path) -> TransparentPipeline:
    return with_layers(getattr(tiny, request.param)(), tmp_path, request.param)


def bytes_of(scene: pellucid.Scene) -> bytes:
    return b"".join(layer.image.tobytes() for layer in (*scene.layers, *scene.references))


KINDS: tuple[Call, ...] = (
    lambda pipe, seed: pipe.generate("a cat", seed=seed, **FAST),
    lambda pipe, seed: pipe.generate("a dog", seed=seed, scheduler="euler-a", **FAST),
    lambda pipe, seed: pipe.vary(PICTURE, "a fox", seed=seed, strength=1.0, **FAST),
    lambda pipe, seed: pipe.generate("an owl", seed=seed, scheduler="dpm++-2m-karras", **FAST),
    lambda pipe, seed: pipe.joint("a cat", "a sea", seed=seed, **FAST),
)


def test_eight_threads_give_what_one_gives(tmp_path: Path) -> None:
    pipe = with_layers(tiny.sd15(), tmp_path, "sd15")
    stock = pipe.pipeline
    scheduler, settings = stock.scheduler, copy.deepcopy(dict(stock.scheduler.config))
    before = {name: value.clone() for name, value in stock.unet.state_dict().items()}
    asked = [(KINDS[i % len(KINDS)], i % 4) for i in range(CALLS)]
    alone = {(call, seed): bytes_of(call(pipe, seed)) for call, seed in dict.fromkeys(asked)}
    with ThreadPoolExecutor(THREADS) as pool:
        calls = [pool.submit(call, pipe, seed) for call, seed in asked]
        found = [bytes_of(call.result()) for call in calls]
    assert [alone[each] for each in asked] == found
    assert stock.scheduler is scheduler
    assert dict(stock.scheduler.config) == settings
    after = stock.unet.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_two_wrappers_of_one_denoiser_take_turns(tmp_path: Path) -> None:
    stock = tiny.sd15()
    one = with_layers(stock, tmp_path, "sd15")
    adapter = one.model.attached
    assert isinstance(adapter, Path)
    other = pellucid.attach(copy.copy(stock), adapter, autoencoder=one.autoencoder)
    assert one.model.stock.lock is other.model.stock.lock
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(KINDS[0], pipe, 3) for pipe in (one, other) * 6]
    assert len({bytes_of(call.result()) for call in calls}) == 1


def test_other_threads_wait_while_one_has_the_pipeline_to_itself(tmp_path: Path) -> None:
    pipe = with_layers(tiny.sd15(), tmp_path, "sd15")
    alone = bytes_of(KINDS[0](pipe, 3))
    with ThreadPoolExecutor(1) as pool:
        with pipe.exclusive() as stock:
            assert stock is pipe.pipeline
            other = pool.submit(KINDS[0], pipe, 3)
            with pytest.raises(TimeoutError):
                other.result(timeout=0.5)
            assert bytes_of(KINDS[0](pipe, 3)) == alone  # this thread may call it all the same
            assert not other.done()
        assert bytes_of(other.result()) == alone


def test_a_call_leaves_the_stock_pipeline_as_attach_did(pipe: TransparentPipeline, tmp_path: Path) -> None:
    stock, scheduler = pipe.pipeline, pipe.pipeline.scheduler
    before = {name: value.clone() for name, value in stock.unet.state_dict().items()}
    values = dict(vars(stock))
    calls: list[Callable[[], object]] = [
        lambda: pipe.joint("a", "b", seed=1, **FAST),
        lambda: pipe.foreground_on(PICTURE, "a", seed=1, **FAST),
        lambda: pipe.background_for(PICTURE, "a", seed=1, **FAST),
        lambda: pipe.generate("a", seed=1, scheduler="euler", **FAST),
        lambda: pipe.vary(PICTURE, "a", strength=1.0, **FAST),
    ]
    for call in calls:
        call()
        after = stock.unet.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert stock.unet.conv_in.in_channels == stock.unet.config.in_channels == 4
        assert stock.scheduler is scheduler
        assert vars(stock).keys() == values.keys()
        assert all(vars(stock)[name] is values[name] for name in values)
        call_stock(stock, "a", num_inference_steps=1, output_type="latent")  # the plain pipeline runs
        values = dict(vars(stock))  # a call of its own may write on it
    stock.save_pretrained(tmp_path / "saved")
    loaded = type(stock).from_pretrained(tmp_path / "saved")
    assert all(torch.equal(value, before[name]) for name, value in loaded.unet.state_dict().items())


def test_after_detach_calls_put_the_adapter_in_and_take_it_out(pipe: TransparentPipeline) -> None:
    attached = bytes_of(pipe.generate("a", seed=1, **FAST))
    stock = pipe.detach()
    plain = {name: value.clone() for name, value in stock.unet.state_dict().items()}
    assert bytes_of(pipe.generate("a", seed=1, **FAST)) == attached
    pipe.joint("a", "b", seed=1, **FAST)
    assert all(torch.equal(value, plain[name]) for name, value in stock.unet.state_dict().items())


def test_an_interrupted_call_leaves_the_stock_pipeline_usable(pipe: TransparentPipeline) -> None:
    before = {name: value.clone() for name, value in pipe.denoiser.state_dict().items()}

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for task in (pipe.joint, pipe.generate):
        texts = ("a", "b") if task == pipe.joint else ("a",)
        with pytest.raises(KeyboardInterrupt):
            task(*texts, seed=1, pipeline_inputs={"callback_on_step_end": interrupt}, **FAST)
        after = pipe.denoiser.state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)
        assert not hooks_in(pipe.denoiser)
    pipe.generate("a", seed=1, **FAST)


def all_kinds(pipe: TransparentPipeline) -> list[np.ndarray]:
    scenes = [call(pipe, 3) for call in KINDS]
    return [layer.image.astype(int) for scene in scenes for layer in (*scene.layers, *scene.references)]


@pytest.mark.parametrize("moved", ["model", "group"])
def test_the_codec_and_adapters_follow_an_offloaded_pipeline(pipe: TransparentPipeline, moved: str) -> None:
    """Computes where the pipeline does; here that is the CPU again, by the roads that a GPU's user takes."""
    before = all_kinds(pipe)
    if moved == "model":
        pipe.pipeline.enable_model_cpu_offload(device="cpu")
    else:
        device = torch.device("cpu")
        pipe.pipeline.enable_group_offload(
            onload_device=device, offload_device=device, offload_type="leaf_level"
        )
    after = all_kinds(pipe)
    assert all(np.abs(a - b).max() <= 1 for a, b in zip(before, after, strict=True))
    assert pipe.decode(pipe.encode(PICTURE), passes=1).shape == (64, 64, 4)


@pytest.mark.parametrize("by", ["pipe", "stock"])
def test_a_cast_after_attaching_is_a_cast_before(tmp_path: Path, by: str) -> None:
    after = with_layers(tiny.sd15(), tmp_path, "sd15")
    if by == "pipe":
        assert after.to("cpu", torch.float64) is after
    else:
        after.pipeline.to(torch.float64)
    before = with_layers(tiny.sd15().to(torch.float64), tmp_path, "sd15")
    assert all(np.abs(a - b).max() <= 1 for a, b in zip(all_kinds(after), all_kinds(before), strict=True))
    assert after.encode(PICTURE).dtype == torch.float64
    stock = after.detach()
    assert {value.dtype for value in stock.unet.state_dict().values()} == {torch.float64}
    plain = tiny.sd15().to(torch.float64).unet.state_dict()
    assert all(torch.equal(value, plain[name]) for name, value in stock.unet.state_dict().items())
