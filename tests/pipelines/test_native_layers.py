"""An image is taken apart by a model that makes layers itself, and comes back as a document."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from diffusers.models.transformers.transformer_qwenimage import QwenImageTransformer2DModel
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from diffusers.pipelines.qwenimage.pipeline_qwenimage_layered import QwenImageLayeredPipeline
from PIL import Image

import pellucid
import tiny
import tiny_families
import tiny_newer_families
import tiny_texts
import tiny_vaes
from building import build, present
from pellucid.apps.cli import cli
from pellucid.errors import InputError
from pellucid.rgba.resizing import fit_rgba

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 56, 4), np.uint8)


@pytest.fixture(scope="module")
def layered() -> DiffusionPipeline:
    torch.manual_seed(0)
    net = build(
        QwenImageTransformer2DModel,
        in_channels=64,
        out_channels=16,
        num_layers=1,
        joint_attention_dim=tiny_texts.WIDTH,
        axes_dims_rope=(4, 6, 6),
        use_additional_t_cond=True,
        use_layer3d_rope=True,
        **tiny_newer_families.HEADS,
    )
    # a VAE of images with alpha
    made = build(
        QwenImageLayeredPipeline,
        scheduler=tiny_newer_families.flow(use_dynamic_shifting=True),
        vae=tiny_vaes.qwen(4),
        text_encoder=tiny_texts.qwen_vl(),
        tokenizer=tiny_texts.tokenizer(),
        processor=tiny_texts.tokenizer(),
        transformer=net.eval(),
    )
    return tiny_families.quiet(made)


def test_layers_are_the_stock_pipelines_at_the_images_size(layered: DiffusionPipeline) -> None:
    scene = pellucid.decompose(
        layered, PICTURE, layers=2, prompt="a cat", seed=3, num_inference_steps=1, guidance_scale=1.0
    )
    assert (scene.height, scene.width) == PICTURE.shape[:2]
    assert [layer.name for layer in scene.layers] == ["background", "layer 1"]
    assert callable(layered)
    own = layered(
        image=Image.fromarray(PICTURE), prompt="a cat", negative_prompt=" ", layers=2, true_cfg_scale=1.0,
        num_inference_steps=1, generator=torch.Generator().manual_seed(3), output_type="np",
    ).images[0]  # fmt: skip
    stock: list[np.ndarray] = [*own]  # pyright: ignore[reportUnknownVariableType]
    for layer, made in zip(scene.layers, stock, strict=True):
        expected = fit_rgba(np.rint(made * 255).astype(np.uint8), 40, 56, "stretch")
        assert np.abs(layer.image.astype(int) - expected).max() <= 1
    known = present(scene.provenance)
    assert (known.prompt, known.seed, known.mode, known.steps) == ("a cat", 3, "decompose", 1)


def test_the_command_writes_a_document(layered: DiffusionPipeline, tmp_path: Path) -> None:
    layered.save_pretrained(tmp_path / "model")
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    words = [
        "decompose",
        str(tmp_path / "a.png"),
        "-o",
        str(tmp_path / "a.psd"),
        "--model",
        str(tmp_path / "model"),
    ]
    more = ["--layers", "1", "--prompt", "a cat", "--seed", "3", "--steps", "1", "--guidance", "1", "--json"]
    result = CliRunner().invoke(cli, words + more)
    assert result.exit_code == 0, result.exception
    facts = json.loads(result.stdout)
    assert facts["layers"] == ["background"]
    found = pellucid.Scene.open(facts["path"])
    assert (found.height, found.width) == PICTURE.shape[:2]


def test_what_the_model_cannot_do_is_explained(layered: DiffusionPipeline) -> None:
    with pytest.raises(InputError, match="Expected QwenImageLayeredPipeline, found StableDiffusionPipeline"):
        pellucid.decompose(tiny.sd15(), PICTURE)
    for layers, resolution, steps, words in [
        (0, 640, 1, "Expected 1 to 20 layers, found 0"),
        (21, 640, 1, "Expected 1 to 20 layers, found 21"),
        (4, 512, 1, "Expected a resolution of 640 or 1024"),
        (4, 640, 0, "Expected 1 to 999 steps"),
    ]:
        with pytest.raises(InputError, match=words):
            pellucid.decompose(
                layered, PICTURE, layers=layers, resolution=resolution, num_inference_steps=steps
            )
    with pytest.raises(
        InputError, match=r"makes transparent layers by itself\. Pass it to `pellucid.decompose`"
    ):
        pellucid.attach(layered, None)
