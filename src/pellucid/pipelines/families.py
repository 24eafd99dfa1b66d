"""Every family of diffusion models, as a row of data: its pipelines, its latents, and how it differs.

A new family is a row here. Code asks the row, the denoiser's config or the VAE's, never a family's name. The
latents' numbers are the released VAEs'; a pipeline's own VAE config is what computes. Sides are in pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pellucid.pipelines.modes import Family, Mode, Sampling

ClassPath = tuple[str, str, str]
"""Package, module and class below `diffusers.pipelines`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineVariants:
    """Stock pipelines that are made of the same parts."""

    text_to_image: ClassPath
    image_to_image: ClassPath | None
    """None where diffusers has none; images then enter as `latents` and `timesteps` of the other."""
    others: tuple[str, ...] = ()
    """Further classes with these parts, of which the two can be built."""

    @property
    def names(self) -> tuple[str, ...]:
        """Returns the classes that this row knows."""
        return *(place[2] for place in (self.text_to_image, self.image_to_image) if place), *self.others


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFamily:
    """What one family of models needs said."""

    name: Family
    title: str
    variants: tuple[PipelineVariants, ...]
    denoiser: Literal["unet", "transformer"] = "unet"
    """Part of the pipeline that samples, and that adapters are merged into."""
    latent_channels: int = 4
    scaling_factor: float = 0.18215
    shift_factor: float = 0.0
    """Scaled latents are (raw - shift_factor) * scaling_factor."""
    vae_scale_factor: int = 8
    patch_size: int = 1
    """Samplers hold this many latents squared as one token (b, tokens, c * patch_size**2); 1 packs none."""
    text_width: int | None = None
    """`cross_attention_dim` that tells families of the same classes apart; None where classes do."""
    adapters: tuple[Family, ...] = ()
    """Families of `pellucid.pipelines.modes` whose released files fit."""
    default_adapter: str | None = None
    """Mode that `pellucid.load` attaches when none is named; None where nobody has released one."""
    sampling: Sampling = field(default_factory=Sampling)
    """Defaults where no mode says more."""
    # DPM-Solver++ and UniPC can do it in diffusers, but lack `scale_noise`, which image-to-image calls
    flow: bool = False
    """Flow matching: the schedulers of `pellucid.pipelines.schedulers` do not apply."""
    negative_prompt_requires: str | None = None
    """Argument that must be above 1, else negative prompts are not read."""
    callback: Literal["on_step_end", "in_place"] = "on_step_end"
    """How latents change between steps: `callback_on_step_end`, or the older `callback`, which shows them."""
    min_inference_steps: int = 1
    default_call_kwargs: Mapping[str, object] = field(default_factory=dict[str, object])
    """What the stock pipeline is called with unless a call says otherwise."""


SD, XL, CONTROL, T2I = "stable_diffusion", "stable_diffusion_xl", "controlnet", "t2i_adapter"
SD3, FLUX, PIXART = "stable_diffusion_3", "flux", "pixart_alpha"
IMAGE_TO_IMAGE: ClassPath = (SD, "pipeline_stable_diffusion_img2img", "StableDiffusionImg2ImgPipeline")
XL_IMAGE_TO_IMAGE: ClassPath = (
    XL,
    "pipeline_stable_diffusion_xl_img2img",
    "StableDiffusionXLImg2ImgPipeline",
)
SD_VARIANTS = (
    PipelineVariants(
        text_to_image=(SD, "pipeline_stable_diffusion", "StableDiffusionPipeline"),
        image_to_image=IMAGE_TO_IMAGE,
        others=("StableDiffusionInpaintPipeline",),
    ),
    PipelineVariants(
        text_to_image=(CONTROL, "pipeline_controlnet", "StableDiffusionControlNetPipeline"),
        image_to_image=(CONTROL, "pipeline_controlnet_img2img", "StableDiffusionControlNetImg2ImgPipeline"),
        others=("StableDiffusionControlNetInpaintPipeline",),
    ),
    # T2I-Adapters steer what is made from text; diffusers has no image-to-image with them
    PipelineVariants(
        text_to_image=(T2I, "pipeline_stable_diffusion_adapter", "StableDiffusionAdapterPipeline"),
        image_to_image=IMAGE_TO_IMAGE,
    ),
)
XL_VARIANTS = (
    PipelineVariants(
        text_to_image=(XL, "pipeline_stable_diffusion_xl", "StableDiffusionXLPipeline"),
        image_to_image=XL_IMAGE_TO_IMAGE,
        others=("StableDiffusionXLInpaintPipeline",),
    ),
    PipelineVariants(
        text_to_image=(CONTROL, "pipeline_controlnet_sd_xl", "StableDiffusionXLControlNetPipeline"),
        image_to_image=(
            CONTROL,
            "pipeline_controlnet_sd_xl_img2img",
            "StableDiffusionXLControlNetImg2ImgPipeline",
        ),
        others=("StableDiffusionXLControlNetInpaintPipeline",),
    ),
    PipelineVariants(
        text_to_image=(T2I, "pipeline_stable_diffusion_xl_adapter", "StableDiffusionXLAdapterPipeline"),
        image_to_image=XL_IMAGE_TO_IMAGE,
    ),
)
PIXART_CALL: Mapping[str, object] = {
    "use_resolution_binning": False,  # it makes other sizes than asked for
    "clean_caption": False,  # it changes the text, and only where two more packages are installed
}
ROWS: tuple[ModelFamily, ...] = (
    ModelFamily(
        # first of its classes: any other width of text counts as this one, as the embedded model's does
        name="sd15",
        title="Stable Diffusion 1.5",
        variants=SD_VARIANTS,
        text_width=768,
        adapters=("sd15", "mini"),
        default_adapter="sd15-attn",
    ),
    ModelFamily(name="sd21", title="Stable Diffusion 2.1", variants=SD_VARIANTS, text_width=1024),
    ModelFamily(
        name="sdxl",
        title="Stable Diffusion XL",
        variants=XL_VARIANTS,
        scaling_factor=0.13025,
        adapters=("sdxl",),
        default_adapter="sdxl-attn",
    ),
    ModelFamily(
        name="sd3",
        title="Stable Diffusion 3 and 3.5",
        variants=(
            PipelineVariants(
                text_to_image=(SD3, "pipeline_stable_diffusion_3", "StableDiffusion3Pipeline"),
                image_to_image=(
                    SD3,
                    "pipeline_stable_diffusion_3_img2img",
                    "StableDiffusion3Img2ImgPipeline",
                ),
                others=("StableDiffusion3InpaintPipeline",),
            ),
        ),
        denoiser="transformer",
        latent_channels=16,
        scaling_factor=1.5305,
        shift_factor=0.0609,
        # the stock pipeline's own defaults, as in the rows below
        sampling=Sampling(num_inference_steps=28, guidance_scale=7.0),
        flow=True,
    ),
    ModelFamily(
        name="flux",
        title="FLUX.1",
        variants=(
            PipelineVariants(
                text_to_image=(FLUX, "pipeline_flux", "FluxPipeline"),
                image_to_image=(FLUX, "pipeline_flux_img2img", "FluxImg2ImgPipeline"),
                others=("FluxInpaintPipeline",),
            ),
        ),
        denoiser="transformer",
        latent_channels=16,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        patch_size=2,
        # the guidance that the model was distilled with, an input of its own; schnell ignores it
        sampling=Sampling(num_inference_steps=28, guidance_scale=3.5),
        flow=True,
        # the stock pipeline would drop them in silence (docs/decisions/009-families.md)
        negative_prompt_requires="true_cfg_scale",
    ),
    ModelFamily(
        name="pixart-alpha",
        title="PixArt-alpha",
        variants=(
            PipelineVariants(
                text_to_image=(PIXART, "pipeline_pixart_alpha", "PixArtAlphaPipeline"), image_to_image=None
            ),
        ),
        denoiser="transformer",
        sampling=Sampling(num_inference_steps=20, guidance_scale=4.5),
        # its stock pipeline has no other callback to change latents by
        callback="in_place",
        min_inference_steps=2,  # with one its stock pipeline asks DPM solvers for what they do not return
        default_call_kwargs=PIXART_CALL,
    ),
    ModelFamily(
        name="pixart-sigma",
        title="PixArt-sigma",
        variants=(
            PipelineVariants(
                text_to_image=(PIXART, "pipeline_pixart_sigma", "PixArtSigmaPipeline"), image_to_image=None
            ),
        ),
        denoiser="transformer",
        scaling_factor=0.13025,
        sampling=Sampling(num_inference_steps=20, guidance_scale=4.5),
        callback="in_place",
        min_inference_steps=2,
        default_call_kwargs=PIXART_CALL,
    ),
)
FAMILIES: Mapping[str, ModelFamily] = {row.name: row for row in ROWS}
"""Name -> row."""


def custom_mode(family: ModelFamily, adapter: Path | tuple[Path, ...] | None) -> Mode:
    """Returns the mode of one transparent layer for a codec of the user's own.

    Args:
        family: of the pipeline; gives the sampling defaults.
        adapter: a .safetensors file, several that lie over each other, the lowest first, or None where the
            denoiser needs none.
    """
    highest = adapter[-1] if isinstance(adapter, tuple) else adapter
    name = highest.stem if highest else "custom"
    title = "one transparent layer"
    return Mode(name=name, title=title, family=family.name, adapter=adapter, sampling=family.sampling)
