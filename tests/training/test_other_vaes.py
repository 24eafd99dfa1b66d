"""A codec is trained over any family's VAE, in the latents that its diffusion model knows."""

from pathlib import Path

import pytest
import torch
from test_stages import shard

import pellucid
import tiny_families
from pellucid.errors import ConfigError
from pellucid.models.autoencoder import RGBAAutoencoder
from pellucid.training.recipe import read_recipe
from pellucid.training.stages.autoencoder import AutoencoderStage
from pellucid.training.stages.components import load_vae
from pellucid.training.stages.registry import make_stage
from pellucid.training.trainer import Trainer

RECIPE = """
data = [{data!r}]
init = {init!r}
size_px = 32
steps = 2
batch_size = 2
warmup_steps = 1
[autoencoder.model.offset_encoder]
widths = [8, 8, 8, 8]
latent_channels = {channels}
[autoencoder.model.alpha_decoder]
widths = [8, 8, 8, 8]
latent_channels = {channels}
latent_level = 3
attention_levels = 0
layers_per_block = 1
norm_num_groups = 8
[autoencoder.model.discriminator]
width = 8
"""


@pytest.mark.parametrize("name", ["sd3", "flux", "pixart-sigma"])
def test_a_codec_trained_over_a_familys_vae_is_attached_to_its_pipeline(tmp_path: Path, name: str) -> None:
    stock = tiny_families.MADE[name]()
    stock.save_pretrained(tmp_path / "model")
    data = shard(tmp_path / "large.tar")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        RECIPE.format(data=str(data), init=str(tmp_path / "model"), channels=stock.vae.config.latent_channels)
    )
    found = read_recipe(recipe, "autoencoder", {})
    stage = make_stage(found, torch.device("cpu"))
    assert isinstance(stage, AutoencoderStage)
    rgba = torch.rand(1, 4, 32, 32)
    codec = RGBAAutoencoder(stock.vae, None, None, convention="embedded")
    with torch.no_grad():
        latents = codec.encode(rgba, use_offset=False)
        torch.testing.assert_close(stage.vae_latents(rgba), latents, rtol=1e-4, atol=1e-5)
        shown = codec.decode_opaque(latents)
        torch.testing.assert_close(stage.decode_frozen(latents).clamp(0, 1), shown, rtol=1e-4, atol=1e-5)
    Trainer(found, stage, tmp_path / "run").train()
    (tmp_path / "run" / "export" / "rgba").rename(tmp_path / "model" / "rgba")
    pipe = pellucid.load(tmp_path / "model")
    scene = pipe.generate("a cat", seed=1, num_inference_steps=2, height=40, width=33)
    assert scene.layers[0].image.shape == (40, 33, 4)


@pytest.mark.filterwarnings("ignore:The `local_dir_use_symlinks`")  # between diffusers and huggingface_hub
def test_a_vae_is_taken_from_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stock, repository = tiny_families.MADE["flux"](), tmp_path / "models--owner--name"
    stock.vae.save_pretrained(repository / "snapshots" / ("1" * 40) / "vae")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("1" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    found = load_vae("owner/name", torch.device("cpu"))
    assert not any(parameter.requires_grad for parameter in found.parameters())
    state = stock.vae.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in found.state_dict().items())
    with pytest.raises(ConfigError, match=r"VAE in owner/other on the hub.*set `init` to a folder"):
        load_vae("owner/other", torch.device("cpu"))
    with pytest.raises(ConfigError, match="from an earlier stage"):
        load_vae("nowhere", torch.device("cpu"))
