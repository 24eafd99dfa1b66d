"""What is handed to the stock pipeline itself: control images, embeddings, callbacks, and what is refused."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from diffusers.models.adapter import MultiAdapter, T2IAdapter
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.controlnet.pipeline_controlnet import StableDiffusionControlNetPipeline
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_img2img import (
    StableDiffusionXLImg2ImgPipeline,
)
from diffusers.pipelines.t2i_adapter.pipeline_stable_diffusion_adapter import StableDiffusionAdapterPipeline
from PIL import Image

import pellucid
import tiny
import tiny_families
import tiny_vaes
import tiny_variants
from building import QuickSeeded, build
from pellucid.errors import InputError
from pellucid.pipelines.arguments import ELSEWHERE
from pellucid.pipelines.control_window import ControlWindow
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.rgba.resizing import on_grey
from pellucid.scene.scene import Scene

FAST: QuickSeeded = {"num_inference_steps": 3, "passes": 1, "seed": 3}
RNG = np.random.default_rng(0)
SHOWN = Image.fromarray(RNG.integers(0, 256, (50, 100, 3), np.uint8))
"""A control image of a size that no canvas here has."""
IMAGE = RNG.integers(0, 256, (50, 100, 4), np.uint8)
MASK = np.zeros((50, 100), np.uint8)
MASK[10:30, 20:60] = 255


def with_controlnets(count: int) -> TransparentPipeline:
    stock = tiny.sd15(tiny.sd15_unet())
    nets = [
        ControlNetModel.from_unet(stock.unet, conditioning_embedding_out_channels=(4, 8, 8, 8)).eval()
        for _ in range(count)
    ]
    for net in nets:  # their last layers are zeros before training
        zeros: list[torch.nn.Module] = [*net.controlnet_down_blocks, net.controlnet_cond_embedding.conv_out]
        for zero in zeros:
            torch.nn.init.normal_(zero.get_parameter("weight"))
    parts = {**stock.components, "controlnet": nets if count > 1 else nets[0]}
    pipeline = build(StableDiffusionControlNetPipeline, **parts, requires_safety_checker=False)
    return attached(pipeline)


def with_t2i_adapters(count: int) -> TransparentPipeline:
    stock = tiny.sd15(tiny.sd15_unet())
    adapters = [
        T2IAdapter(in_channels=3, channels=[8, 16, 16, 16], num_res_blocks=1, downscale_factor=8).eval()
        for _ in range(count)
    ]
    parts = {**stock.components, "adapter": MultiAdapter(adapters) if count > 1 else adapters[0]}
    parts.pop("image_encoder", None)
    return attached(build(StableDiffusionAdapterPipeline, **parts, requires_safety_checker=False))


def attached(pipeline: DiffusionPipeline) -> TransparentPipeline:
    pipeline.set_progress_bar_config(disable=True)
    return pellucid.attach(pipeline, None, autoencoder=tiny.codec(pipeline.vae))


Call = Callable[[TransparentPipeline, object], Scene | list[Scene]]
CALLS: dict[str, Call] = {
    "generate": lambda pipe, image: pipe.generate(
        "a", height=50, width=100, pipeline_inputs={"image": image}, clean=False, **FAST
    ),
    "batch": lambda pipe, image: pipe.generate(
        "a", count=3, batch_size=2, pipeline_inputs={"image": image}, clean=False, **FAST
    ),
    "hires": lambda pipe, image: pipe.generate(
        "a", height=90, width=100, hires_strength=0.7, pipeline_inputs={"image": image}, clean=False, **FAST
    ),
    "fix_background": lambda pipe, image: pipe.generate(
        "a", height=50, width=100, fix_background=True, pipeline_inputs={"image": image}, clean=False, **FAST
    ),
    "vary": lambda pipe, image: pipe.vary(
        IMAGE, "a", strength=0.7, pipeline_inputs={"control_image": image}, clean=False, **FAST
    ),
    "inpaint": lambda pipe, image: pipe.inpaint(
        IMAGE, MASK, "a", strength=0.7, pipeline_inputs={"control_image": image}, clean=False, **FAST
    ),
}


def pixels(made: Scene | list[Scene]) -> list[np.ndarray]:
    return [scene.layers[0].image for scene in (made if isinstance(made, list) else [made])]


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
@pytest.mark.parametrize("count", [1, 2])
def test_a_control_image_of_any_size_steers_every_call(call: Call, count: int) -> None:
    pipe = with_controlnets(count)
    black = Image.new("RGB", SHOWN.size)
    made = [pixels(call(pipe, [image] * count if count > 1 else image)) for image in (SHOWN, black)]
    assert all(not np.array_equal(a, b) for a, b in zip(*made, strict=True))


@pytest.mark.parametrize("kind", ["Pillow", "path", "bytes", "floats", "tensor"])
def test_a_control_image_has_one_meaning_in_every_form(kind: str, tmp_path: Path) -> None:
    pipe, array = with_controlnets(1), np.asarray(SHOWN.resize((64, 64)))
    path = tmp_path / "control.png"
    Image.fromarray(array).save(path)
    forms = {
        "Pillow": Image.fromarray(array),
        "path": path,
        "bytes": array,
        "floats": (array / 255).astype(np.float32),
        "tensor": torch.from_numpy(array / 255).float().permute(2, 0, 1)[None],
    }
    wanted = pipe.generate("a", pipeline_inputs={"image": forms["Pillow"]}, clean=False, **FAST)
    found = pipe.generate("a", pipeline_inputs={"image": forms[kind]}, clean=False, **FAST)
    assert np.abs(pixels(found)[0].astype(int) - pixels(wanted)[0]).max() <= 1


def test_what_is_repainted_is_shown_its_own_part_of_a_control_image() -> None:
    marked = Image.new("RGB", (200, 100))
    marked.paste("white", (100, 50, 200, 100))  # the lower right quarter
    window = ControlWindow(part=(0.5, 0.5, 1, 1), box=(8, 8, 32, 48), canvas=(48, 64))
    shown = np.asarray(window.show(marked))
    assert (shown[8:40, 8:56] == 255).all()
    outside = np.ones(shown.shape, bool)
    outside[8:40, 8:56] = False
    assert not shown[outside].any()
    tensor = window.show(torch.from_numpy(np.asarray(marked) / 255).permute(2, 0, 1))
    assert isinstance(tensor, torch.Tensor)
    assert np.abs(tensor[0].permute(1, 2, 0).numpy() * 255 - shown).max() <= 1


def test_an_editor_is_told_to_edit_what_is_repainted() -> None:
    pipe = attached_family(tiny_variants.made("sd-pix2pix"))
    told = {"control_image": on_grey(IMAGE)}
    calls: list[Callable[..., Scene]] = [
        partial(pipe.vary, IMAGE, "a cat", strength=0.7),
        partial(pipe.inpaint, IMAGE, MASK, "a cat"),
    ]
    for call in calls:
        assert np.array_equal(pixels(call(**FAST))[0], pixels(call(pipeline_inputs=told, **FAST))[0])
        black = {"control_image": np.zeros_like(IMAGE[..., :3])}
        assert not np.array_equal(pixels(call(**FAST))[0], pixels(call(pipeline_inputs=black, **FAST))[0])


def test_several_t2i_adapters_steer_batches() -> None:
    pipe = with_t2i_adapters(2)
    inputs = {"image": [SHOWN, SHOWN]}
    batch = pipe.generate("a", count=3, batch_size=3, pipeline_inputs=inputs, clean=False, **FAST)
    alone = pipe.generate("a", count=3, pipeline_inputs=inputs, clean=False, **FAST)
    differences = [np.abs(a.astype(int) - b).max() for a, b in zip(pixels(batch), pixels(alone), strict=True)]
    assert max(differences) <= 1


def test_a_control_image_that_would_go_unseen_is_refused() -> None:
    with pytest.raises(InputError, match="Expected no image to repaint"):
        with_t2i_adapters(1).vary(IMAGE, "a", pipeline_inputs={"image": SHOWN}, **FAST)


@pytest.mark.parametrize("name", [*ELSEWHERE, "no_such_input"])
def test_what_a_method_says_itself_is_refused(name: str) -> None:
    pipe = attached(tiny.sd15())
    with pytest.raises(InputError, match=name):
        pipe.generate("a", pipeline_inputs={name: 2}, **FAST)
    with pytest.raises(InputError, match=name):
        pipe.vary(IMAGE, "a", pipeline_inputs={name: 2}, **FAST)


FAMILIES = {"sd15": tiny.sd15, "sdxl": tiny.sdxl, "flux": tiny_families.flux, "sd3": tiny_families.sd3}


def embeddings(stock: DiffusionPipeline, prompt: str) -> dict[str, torch.Tensor]:
    """Embeds a text as the pipelines' own manual says."""
    names = (
        "prompt_embeds",
        "negative_prompt_embeds",
        "pooled_prompt_embeds",
        "negative_pooled_prompt_embeds",
    )
    if "HiDream" in type(stock).__name__:
        kinds = ("prompt_embeds_t5", "prompt_embeds_llama3", "pooled_prompt_embeds")
        pairs = [each for kind in kinds for each in (kind, f"negative_{kind}")]
        return dict(zip(pairs, stock.encode_prompt(prompt, negative_prompt=""), strict=True))
    if "Flux" in type(stock).__name__:
        made = stock.encode_prompt(prompt, None)[:2]
        return {"prompt_embeds": made[0], "pooled_prompt_embeds": made[1]}
    if "Diffusion3" in type(stock).__name__:
        made = stock.encode_prompt(prompt, None, None)
    elif "XL" in type(stock).__name__:
        made = stock.encode_prompt(prompt, negative_prompt="")  # without one, XL takes zeros
    else:
        made = stock.encode_prompt(prompt, torch.device("cpu"), 1, True)
    return dict(zip(names, made, strict=False))


@pytest.mark.parametrize("family", FAMILIES)
def test_embeddings_stand_for_their_text(family: str) -> None:
    pipe = attached_family(FAMILIES[family]())
    wanted = pixels(pipe.generate(["a cat"], count=2, clean=False, **FAST))
    inputs = embeddings(pipe.pipeline, "a cat")
    for batch_size in (1, 2):
        found = pipe.generate(
            [""], count=2, batch_size=batch_size, pipeline_inputs=inputs, clean=False, **FAST
        )
        assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(wanted, pixels(found), strict=True))


def attached_family(pipeline: DiffusionPipeline) -> TransparentPipeline:
    channels = pipeline.vae.config.latent_channels
    return pellucid.attach(pipeline, None, autoencoder=tiny.codec(pipeline.vae, latent_channels=channels))


@pytest.mark.parametrize("make", [tiny.sd15, partial(tiny_variants.made, "hidream")])
def test_each_image_may_have_embeddings_of_its_own(make: Callable[[], DiffusionPipeline]) -> None:
    pipe = attached_family(make())
    texts = ["a cat", "a dog", "the sea"]
    parts = [embeddings(pipe.pipeline, text) for text in texts]
    together = {
        name: torch.cat([part[name] for part in parts], dim=1 if "llama3" in name else 0) for name in parts[0]
    }
    wanted = pixels(pipe.generate(texts, clean=False, **FAST))
    for batch_size in (1, 2):
        found = pipe.generate([""] * 3, batch_size=batch_size, pipeline_inputs=together, clean=False, **FAST)
        assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(wanted, pixels(found), strict=True))
    with pytest.raises(InputError, match="each of 2 images"):
        pipe.generate([""] * 2, pipeline_inputs=together, **FAST)


def test_each_image_may_be_told_an_image_by_its_embedding() -> None:
    pipe = attached_family(tiny_variants.made("unclip"))
    told = torch.randn(2, 16, generator=torch.Generator().manual_seed(0))
    alone = [
        pixels(pipe.generate("a cat", pipeline_inputs={"image_embeds": each[None]}, clean=False, **FAST))[0]
        for each in told
    ]
    assert not np.array_equal(alone[0], alone[1])
    both = pipe.generate(
        ["a cat"] * 2,
        batch_size=2,
        seed=[3, 3],
        num_inference_steps=3,
        passes=1,
        pipeline_inputs={"image_embeds": told},
        clean=False,
    )
    assert all(np.abs(a.astype(int) - b).max() <= 2 for a, b in zip(alone, pixels(both), strict=True))


def test_long_embeddings_want_negative_ones_as_long() -> None:
    pipe = attached(tiny.sd15())
    long = torch.cat([embeddings(pipe.pipeline, "a cat")["prompt_embeds"]] * 2, dim=1)
    with pytest.raises(InputError, match="Embed an empty text at the same length"):
        pipe.generate("", pipeline_inputs={"prompt_embeds": long}, **FAST)
    inputs = {"prompt_embeds": long, "negative_prompt_embeds": torch.zeros_like(long)}
    assert isinstance(pipe.generate("", pipeline_inputs=inputs, **FAST), Scene)
    with pytest.raises(InputError, match="found both"):
        pipe.generate("", negative_prompt="a dog", pipeline_inputs=inputs, **FAST)


def test_the_callers_callback_is_called_beside_ours() -> None:
    pipe, seen = attached(tiny.sd15()), list[tuple[int, frozenset[str]]]()

    def callback(_: object, step: int, __: object, values: dict[str, object]) -> dict[str, object]:
        seen.append((step, frozenset(values)))
        return values

    inputs = {"callback_on_step_end": callback, "callback_on_step_end_tensor_inputs": ["prompt_embeds"]}
    shown = frozenset({"prompt_embeds", "latents"})
    pipe.inpaint(IMAGE, MASK, "a", pipeline_inputs=inputs, **FAST)
    assert seen == [(step, shown) for step in range(3)]
    seen.clear()
    pipe.generate("a", fix_background=True, pipeline_inputs=inputs, **FAST)
    # of a first image whose surroundings were wrong, as a random model's are, and of the mended one
    assert [step for step, _ in seen] == [0, 1, 2, 0, 1]
    assert seen[-1][1] == shown


def refiner() -> TransparentPipeline:
    stock, like = tiny.sdxl(), tiny.sdxl_unet()
    config = {name: value for name, value in like.config.items() if not name.startswith("_")}
    projection = stock.text_encoder_2.config.projection_dim
    config["projection_class_embeddings_input_dim"] = projection + 5 * config["addition_time_embed_dim"]
    config["cross_attention_dim"] = stock.text_encoder_2.config.hidden_size
    unet = UNet2DConditionModel(**config).eval()
    parts = {**stock.components, "unet": unet, "text_encoder": None, "tokenizer": None}
    return attached(build(StableDiffusionXLImg2ImgPipeline, **parts, requires_aesthetics_score=True))


def test_a_refiner_repaints_and_does_not_begin() -> None:
    pipe = refiner()
    varied = pipe.vary(IMAGE, "a", strength=0.7, **FAST)
    assert pixels(varied)[0].shape == IMAGE.shape
    with pytest.raises(InputError, match="Attach the base model"):
        pipe.generate("a", **FAST)


def test_a_control_image_for_each_image_is_cut_to_batches() -> None:
    pipe = with_controlnets(1)
    shades = [Image.new("RGB", (64, 64), colour) for colour in ("black", "white", "grey")]
    alone = [
        pixels(pipe.generate("a", pipeline_inputs={"image": each}, clean=False, **FAST))[0] for each in shades
    ]
    for batch_size in (1, 2, 3):
        together = pipe.generate(
            ["a"] * 3,
            pipeline_inputs={"image": shades},
            batch_size=batch_size,
            clean=False,
            num_inference_steps=3,
            passes=1,
            seed=[3, 3, 3],
        )
        assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(alone, pixels(together), strict=True))


def test_what_only_the_first_pass_takes_does_not_stop_the_second() -> None:
    inputs = {"image": SHOWN, "adapter_conditioning_scale": 0.5}
    made = with_t2i_adapters(1).generate(
        "a", height=90, width=100, hires_strength=0.7, pipeline_inputs=inputs, **FAST
    )
    assert pixels(made)[0].shape == (90, 100, 4)


def test_sizes_and_images_for_adapters_are_no_rows() -> None:
    pipe = attached(tiny.sdxl())
    inputs = {"negative_original_size": (64, 64), "negative_crops_coords_top_left": (0, 0)}
    assert len(pixels(pipe.generate("a", count=2, pipeline_inputs=inputs, **FAST))) == 2


def test_an_image_that_a_pipeline_does_not_take_is_told() -> None:
    for make in (tiny_families.flux, tiny_families.pixart_alpha):
        with pytest.raises(InputError, match="found image"):
            attached_family(make()).generate("a", pipeline_inputs={"image": SHOWN}, **FAST)


def test_control_images_of_16_bits_and_of_one_channel_keep_their_shades() -> None:
    window = ControlWindow.whole((8, 8), (8, 8), 1)
    depth = Image.fromarray(np.full((8, 8), 2**15, np.uint16))
    assert np.abs(np.asarray(window.show(depth)).astype(int) - 128).max() <= 1
    for array in (np.full((8, 8), 128, np.uint8), np.full((8, 8, 1), 128, np.uint8)):
        assert (np.asarray(window.show(array)) == 128).all()
    several = window.show(np.full((2, 8, 8, 3), 128, np.uint8))
    images = cast("list[Image.Image]", several)
    assert [np.asarray(each).shape for each in images] == [(8, 8, 3)] * 2
    shown = window.show(np.full((8, 8), 0.5, np.float32))
    assert isinstance(shown, torch.Tensor)
    assert tuple(shown.shape) == (1, 1, 8, 8)


def test_a_consistency_model_that_starts_from_an_image_ends_without_noise() -> None:
    pipe, seen = attached_family(tiny_families.pixart_sigma()), list[int]()

    def callback(pipeline: object, _: int, __: object, values: dict[str, object]) -> dict[str, object]:
        seen.append(getattr(getattr(pipeline, "scheduler"), "num_inference_steps"))  # noqa: B009
        return values

    inputs = {"callback_on_step_end": callback}
    pipe.vary(IMAGE, "a", strength=0.5, scheduler="lcm", num_inference_steps=8, pipeline_inputs=inputs)
    assert seen == [4] * 4  # noise is added at each but the one that is counted as the last


def test_a_pipeline_of_two_denoisers_is_refused() -> None:
    import tiny_newer_families

    stock = tiny_newer_families.made("wan")
    stock.register_modules(transformer_2=stock.components["transformer"])
    codec = tiny_vaes.codec_over(stock.components["vae"])
    with pytest.raises(InputError, match="found two"):
        pellucid.attach(stock, None, autoencoder=codec)


@pytest.mark.parametrize(("family", "dtype"), [("sd15", torch.float16), ("flux", torch.bfloat16)])
def test_transformers_compute_in_bfloat16_on_a_gpu(family: str, dtype: torch.dtype, tmp_path: Path) -> None:
    from pellucid.pipelines.placement import dtype_for

    FAMILIES[family]().save_pretrained(tmp_path)
    assert dtype_for(tmp_path, None, torch.device("cuda")) == dtype
    assert dtype_for(tmp_path, "float32", torch.device("cuda")) == torch.float32
    assert dtype_for(tmp_path, None, torch.device("cpu")) == torch.float32
    assert dtype_for("mini", "auto", torch.device("cuda")) == torch.float16
