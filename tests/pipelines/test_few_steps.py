"""Distilled models: the settings that the documentation gives each kind, with diffusers' own schedulers."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import numpy as np
import pytest
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from peft import LoraConfig

import pellucid
import tiny
from building import build
from pellucid.errors import InputError
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.rgba.types import AnyArray
from pellucid.scene.scene import Scene

PAGE = Path(__file__).parents[2] / "docs/how-to/few-steps.md"
RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (64, 64, 4), np.uint8)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the page's table."""

    kind: str
    scheduler: str
    steps: int
    guidance: float
    timesteps: list[int]
    eta: float | None


class Call(TypedDict):
    """Arguments of `vary` and `inpaint`."""

    scheduler: str
    num_inference_steps: int
    guidance_scale: float
    strength: float
    seed: int
    passes: int


def rows() -> list[Row]:
    lines = re.findall(
        r"^\| (.+?) \| `(.+?)` \| (\d+) \| ([\d.]+) \| ([\d, ]+) \| (.+) \|$", PAGE.read_text(), re.M
    )
    made: list[Row] = []
    for kind, scheduler, steps, guidance, timesteps, rest in lines:
        eta = re.search(r'"eta": ([\d.]+)', rest)
        made.append(
            Row(
                kind=kind,
                scheduler=scheduler,
                steps=int(steps),
                guidance=float(guidance),
                timesteps=[int(each) for each in timesteps.split(",")],
                eta=float(eta[1]) if eta else None,
            )
        )
    return made


ROWS = rows()


def test_the_page_has_the_kinds() -> None:
    kinds = " ".join(row.kind for row in ROWS)
    assert all(kind in kinds for kind in ("LCM", "TCD", "Lightning", "Hyper", "Turbo", "DMD2"))


def distilled(family: str, folder: Path) -> TransparentPipeline:
    """A pipeline with a transparent adapter and, over it, a LoRA that stands for the distilled one."""
    stock: DiffusionPipeline = tiny.sd15() if family == "sd15" else tiny.sdxl()
    adapter = tiny.delta_file(folder / "transparent.safetensors", stock.unet)
    pipe = pellucid.attach(stock, adapter, autoencoder=tiny.codec(stock.components["vae"]))
    stock.unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_k"], init_lora_weights=False))
    return pipe


def images(made: Scene | list[Scene]) -> list[AnyArray]:
    return [scene.layers[0].image.astype(int) for scene in (made if isinstance(made, list) else [made])]


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.kind)
def test_each_kind_runs_at_its_timesteps(row: Row, family: str, tmp_path: Path) -> None:
    pipe, seen = distilled(family, tmp_path), list[int]()

    def callback(_: object, __: int, timestep: object, values: dict[str, object]) -> dict[str, object]:
        seen.append(int(float(timestep)))  # pyright: ignore[reportArgumentType] - a tensor of one number
        return values

    def make(batch_size: int) -> list[AnyArray]:
        inputs = {} if row.eta is None else {"eta": row.eta}
        return images(
            pipe.generate(
                "a cat",
                seed=3,
                scheduler=row.scheduler,
                num_inference_steps=row.steps,
                guidance_scale=row.guidance,
                passes=1,
                clean=False,
                pipeline_inputs={**inputs, "callback_on_step_end": callback},
                count=2,
                batch_size=batch_size,
            )
        )

    first = make(1)
    assert seen == row.timesteps * 2
    again, batch = make(1), make(2)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    # noise that a scheduler adds between steps comes from each image's own seed
    assert all(np.abs(a - b).max() <= 1 for a, b in zip(first, batch, strict=True))
    assert not np.array_equal(first[0], first[1])


@pytest.mark.parametrize("row", [row for row in ROWS if row.steps > 1], ids=lambda row: row.kind)
def test_each_kind_repaints(row: Row, tmp_path: Path) -> None:
    pipe, mask = distilled("sd15", tmp_path), np.zeros((64, 64), np.uint8)
    mask[16:48, 16:48] = 255
    call: Call = {
        "scheduler": row.scheduler,
        "num_inference_steps": row.steps,
        "guidance_scale": row.guidance,
        "strength": 0.5,
        "seed": 3,
        "passes": 1,
    }
    varied = images(pipe.vary(IMAGE, "a cat", **call))[0]
    painted = images(pipe.inpaint(IMAGE, mask, "a cat", **call))[0]
    assert np.abs(varied - IMAGE).max() > 0
    assert np.array_equal(painted[mask == 0], IMAGE[mask == 0])
    assert np.abs(painted - IMAGE)[mask > 0].max() > 0


@pytest.mark.parametrize(("scheduler", "most"), [("dmd2", 4), ("lcm", 50), ("tcd", 50)])
def test_more_steps_than_a_model_was_distilled_at_are_refused(scheduler: str, most: int) -> None:
    pipe = pellucid.attach(stock := tiny.sd15(), None, autoencoder=tiny.codec(stock.vae))
    with pytest.raises(InputError, match=f"at most {most} steps"):
        pipe.generate("a cat", scheduler=scheduler, num_inference_steps=most + 1)


def test_a_model_that_takes_guidance_as_an_input_is_given_it() -> None:
    """UNets that were distilled with guidance, as LCMs are, embed it in place of a second pass."""
    stock = tiny.sd15()
    config = {name: value for name, value in stock.unet.config.items() if not name.startswith("_")}
    unet = type(stock.unet)(**{**config, "time_cond_proj_dim": 8}).eval()
    parts = {**stock.components, "unet": unet}
    pipeline = build(type(stock), **parts, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    pipe = pellucid.attach(pipeline, None, autoencoder=tiny.codec(pipeline.vae))
    made = [
        images(
            pipe.generate(
                "a cat",
                seed=3,
                scheduler="lcm",
                num_inference_steps=4,
                guidance_scale=scale,
                passes=1,
                clean=False,
            )
        )[0]
        for scale in (1.0, 8.0)
    ]
    assert not np.array_equal(made[0], made[1])
