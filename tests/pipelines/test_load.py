"""Loading from folders: the embedded layout and what `save_pretrained` wrote."""

from pathlib import Path

import numpy as np
import pytest

import pellucid
import tiny
from pellucid.errors import InputError, WeightsError
from pellucid.rgba.resizing import fit_rgba


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_mini(tmp_path_factory.mktemp("models") / "mini")


def test_the_embedded_layout_generates(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pipe = pellucid.load(folder)
    scene = pipe.generate("a cat", seed=7, num_inference_steps=2)
    assert scene.layers[0].image.shape == (64, 64, 4)
    assert (scene.provenance.mode, scene.provenance.model) == ("mini", str(folder))
    assert capfd.readouterr() == ("", "")


def test_two_loads_give_the_same_bytes(folder: Path) -> None:
    one, two = (pellucid.load(folder).generate("a", seed=7, num_inference_steps=2) for _ in range(2))
    assert one.layers[0].image.tobytes() == two.layers[0].image.tobytes()


def test_latents_of_any_number_of_channels_can_be_varied(folder: Path) -> None:
    pipe = pellucid.load(folder)
    rgba = np.random.default_rng(0).integers(0, 256, (20, 70, 4), np.uint8)
    scene = pipe.vary(rgba, "a cat", strength=0.5, seed=1, num_inference_steps=4)
    assert scene.layers[0].image.shape == (20, 70, 4)


@pytest.mark.parametrize("kind", ["sd15", "sdxl"])
def test_a_saved_stock_pipeline_loads(kind: str, tmp_path: Path) -> None:
    stock = getattr(tiny, kind)()
    stock.save_pretrained(tmp_path)
    codec = tiny.codec(stock.vae)
    codec.offset_encoder.save_pretrained(tmp_path / "rgba" / "offset_encoder")
    codec.alpha_decoder.save_pretrained(tmp_path / "rgba" / "alpha_decoder")
    scene = pellucid.load(tmp_path).generate("a", seed=1, num_inference_steps=2, height=9, width=9)
    assert scene.layers[0].image.shape == (9, 9, 4)


def test_what_cannot_be_loaded_is_explained(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no hub id"):
        pellucid.load("nowhere")
    with pytest.raises(WeightsError, match="network"):
        pellucid.load("nobody/nothing")
    with pytest.raises(WeightsError, match=r"model_index\.json"):
        pellucid.load(tmp_path)
    with pytest.raises(InputError, match="float16"):
        pellucid.load(folder, dtype="float8")
    with pytest.raises(InputError, match="device"):
        pellucid.load(folder, device="quantum")


def test_the_embedded_models_layers_see_each_other() -> None:
    pipe, settings = pellucid.load(), {"seed": 1, "num_inference_steps": 6}
    assert {task: [mode.name for mode in modes] for task, modes in pipe.tasks.items()} == {
        "foreground": ["mini"],
        "joint": ["mini-background", "mini-foreground-on"],
        "foreground_on": ["mini-foreground-on"],
        "background_for": ["mini-background-for"],
    }
    scene = pipe.joint("a cat", "a beach", **settings)
    below, front = (layer.image for layer in scene.layers)
    assert (below[..., 3] == 255).all()
    assert (front[:8, :8, 3] < 32).all()
    assert 0.15 < (front[..., 3] > 200).mean() < 0.8
    grounds = [np.full((128, 128, 4), grey, np.uint8) for grey in (20, 240)]
    for ground in grounds:
        ground[..., 3] = 255
    dark, bright = (pipe.foreground_on(each, "a sheep", **settings).layers[1].image for each in grounds)
    solid = (dark[..., 3] > 230) & (bright[..., 3] > 230)
    assert solid.mean() > 0.1
    assert dark[solid][:, :3].mean() + 20 < bright[solid][:, :3].mean()
    behind = [pipe.background_for(each, "a beach", **settings).layers[0].image for each in (front, dark)]
    assert np.abs(behind[0].astype(int) - behind[1]).mean() > 3


def test_the_embedded_model_makes_other_sizes_at_its_own() -> None:
    pipe, settings = pellucid.load(), {"seed": 7, "num_inference_steps": 4}
    own = pipe.generate("a red apple", **settings).layers[0].image
    large = pipe.generate("a red apple", height=200, width=300, **settings).layers[0].image
    assert (large == fit_rgba(own, 200, 300, "fit")).all()
    scene = pipe.joint("a red apple", "a beach", height=200, width=300, **settings)
    below, front = (layer.image for layer in scene.layers)
    assert below.shape == front.shape == (200, 300, 4)
    assert (below[..., 3] == 255).all()
    again = pipe.foreground_on(below[:, 50:250], "a red apple", **settings).layers[1].image
    assert np.abs(front[:, 50:250].astype(int) - again).mean() < 1  # for the middle square, and nowhere else
    assert not front[:, :50].any()
    assert not front[:, 250:].any()
    wide = pipe.foreground_on(below, "a red apple", **settings)
    assert (wide.layers[0].image == below).all()
    assert np.abs(wide.layers[1].image.astype(int) - front).mean() < 1
