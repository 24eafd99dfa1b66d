"""Every family of diffusion models, as a row of data: its pipelines, its latents, and how it differs.

A new family is a row here. Code asks the row, the denoiser's config or the VAE's, never a family's name. The
latents' numbers are the released VAEs'; a pipeline's own VAE config is what computes. Sides are in pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from pellucid.errors import InputError
from pellucid.pipelines.modes import Family, Mode, Sampling

Place = tuple[str, str, str]
"""Package, module and class below `diffusers.pipelines`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Twins:
    """Stock pipelines that are made of the same parts."""

    from_text: Place
    from_picture: Place | None
    """None where diffusers has none; pictures then enter as `latents` and `timesteps` of the other."""
    others: tuple[str, ...] = ()
    """Further classes with these parts, of which the two can be built."""

    @property
    def names(self) -> tuple[str, ...]:
        """Classes that this row knows."""
        return *(place[2] for place in (self.from_text, self.from_picture) if place), *self.others


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyRow:
    """What one family of models needs said."""

    name: Family
    title: str
    twins: tuple[Twins, ...]
    denoiser: Literal["unet", "transformer"] = "unet"
    """Part of the pipeline that samples, and that adapters are merged into."""
    latent_channels: int = 4
    scaling_factor: float = 0.18215
    shift_factor: float = 0.0
    """Scaled latents are (raw - shift_factor) * scaling_factor."""
    pixels_per_latent: int = 8
    packing: int = 1
    """Samplers hold this many latents squared as one token (b, tokens, c * packing**2); 1: (b, c, h, w)."""
    text_width: int | None = None
    """`cross_attention_dim` that tells families of the same classes apart; None where classes do."""
    adapters: tuple[Family, ...] = ()
    """Families of `pellucid.pipelines.modes` whose released files fit."""
    sampling: Sampling = field(default_factory=Sampling)
    """Defaults where no mode says more."""
    flow: bool = False
    """Flow matching: the schedulers of `pellucid.pipelines.schedulers` do not apply."""
    negative_needs: str | None = None
    """Argument that must be above 1, else negative prompts are not read."""
    callback: Literal["on_step_end", "in_place"] = "on_step_end"
    """How latents change between steps: `callback_on_step_end`, or the older `callback`, which shows them."""
    fewest_steps: int = 1
    always: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the stock pipeline is called with unless a call says otherwise."""


SD, XL, CONTROL, T2I = "stable_diffusion", "stable_diffusion_xl", "controlnet", "t2i_adapter"
SD3, FLUX, PIXART = "stable_diffusion_3", "flux", "pixart_alpha"
FROM_PICTURE: Place = (SD, "pipeline_stable_diffusion_img2img", "StableDiffusionImg2ImgPipeline")
XL_FROM_PICTURE: Place = (XL, "pipeline_stable_diffusion_xl_img2img", "StableDiffusionXLImg2ImgPipeline")
SD_TWINS = (
    Twins(
        from_text=(SD, "pipeline_stable_diffusion", "StableDiffusionPipeline"),
        from_picture=FROM_PICTURE,
        others=("StableDiffusionInpaintPipeline",),
    ),
    Twins(
        from_text=(CONTROL, "pipeline_controlnet", "StableDiffusionControlNetPipeline"),
        from_picture=(CONTROL, "pipeline_controlnet_img2img", "StableDiffusionControlNetImg2ImgPipeline"),
        others=("StableDiffusionControlNetInpaintPipeline",),
    ),
    # T2I-Adapters steer what is made from text; diffusers has no image-to-image with them
    Twins(
        from_text=(T2I, "pipeline_stable_diffusion_adapter", "StableDiffusionAdapterPipeline"),
        from_picture=FROM_PICTURE,
    ),
)
XL_TWINS = (
    Twins(
        from_text=(XL, "pipeline_stable_diffusion_xl", "StableDiffusionXLPipeline"),
        from_picture=XL_FROM_PICTURE,
        others=("StableDiffusionXLInpaintPipeline",),
    ),
    Twins(
        from_text=(CONTROL, "pipeline_controlnet_sd_xl", "StableDiffusionXLControlNetPipeline"),
        from_picture=(
            CONTROL,
            "pipeline_controlnet_sd_xl_img2img",
            "StableDiffusionXLControlNetImg2ImgPipeline",
        ),
        others=("StableDiffusionXLControlNetInpaintPipeline",),
    ),
    Twins(
        from_text=(T2I, "pipeline_stable_diffusion_xl_adapter", "StableDiffusionXLAdapterPipeline"),
        from_picture=XL_FROM_PICTURE,
    ),
)
PIXART_CALL: Mapping[str, Any] = {
    "use_resolution_binning": False,  # it makes other sizes than asked for
    "clean_caption": False,  # it changes the text, and only where two more packages are installed
}
ROWS: tuple[FamilyRow, ...] = (
    FamilyRow(
        name="sd15",
        title="Stable Diffusion 1.5",
        twins=SD_TWINS,
        text_width=768,
        adapters=("sd15", "mini"),
    ),
    FamilyRow(name="sd21", title="Stable Diffusion 2.1", twins=SD_TWINS, text_width=1024),
    FamilyRow(
        name="sdxl",
        title="Stable Diffusion XL",
        twins=XL_TWINS,
        scaling_factor=0.13025,
        adapters=("sdxl",),
    ),
    FamilyRow(
        name="sd3",
        title="Stable Diffusion 3 and 3.5",
        twins=(
            Twins(
                from_text=(SD3, "pipeline_stable_diffusion_3", "StableDiffusion3Pipeline"),
                from_picture=(SD3, "pipeline_stable_diffusion_3_img2img", "StableDiffusion3Img2ImgPipeline"),
                others=("StableDiffusion3InpaintPipeline",),
            ),
        ),
        denoiser="transformer",
        latent_channels=16,
        scaling_factor=1.5305,
        shift_factor=0.0609,
        sampling=Sampling(num_inference_steps=28, guidance_scale=7.0),
        flow=True,
    ),
    FamilyRow(
        name="flux",
        title="FLUX.1",
        twins=(
            Twins(
                from_text=(FLUX, "pipeline_flux", "FluxPipeline"),
                from_picture=(FLUX, "pipeline_flux_img2img", "FluxImg2ImgPipeline"),
                others=("FluxInpaintPipeline",),
            ),
        ),
        denoiser="transformer",
        latent_channels=16,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        packing=2,
        sampling=Sampling(num_inference_steps=28, guidance_scale=3.5),
        flow=True,
        negative_needs="true_cfg_scale",
    ),
    FamilyRow(
        name="pixart-alpha",
        title="PixArt-alpha",
        twins=(Twins(from_text=(PIXART, "pipeline_pixart_alpha", "PixArtAlphaPipeline"), from_picture=None),),
        denoiser="transformer",
        sampling=Sampling(num_inference_steps=20, guidance_scale=4.5),
        callback="in_place",
        fewest_steps=2,  # with one its stock pipeline asks DPM solvers for what they do not return
        always=PIXART_CALL,
    ),
    FamilyRow(
        name="pixart-sigma",
        title="PixArt-sigma",
        twins=(Twins(from_text=(PIXART, "pipeline_pixart_sigma", "PixArtSigmaPipeline"), from_picture=None),),
        denoiser="transformer",
        scaling_factor=0.13025,
        sampling=Sampling(num_inference_steps=20, guidance_scale=4.5),
        callback="in_place",
        fewest_steps=2,
        always=PIXART_CALL,
    ),
)
FAMILIES: Mapping[str, FamilyRow] = {row.name: row for row in ROWS}
"""Name -> row."""
SUPPORTED = tuple(dict.fromkeys(name for row in ROWS for twins in row.twins for name in twins.names))


def _found(pipeline: Any) -> tuple[FamilyRow, Twins]:  # noqa: ANN401 - any diffusers pipeline
    for cls in type(pipeline).__mro__:  # the nearest class first: a user's own may be a subclass
        rows = [(row, twins) for row in ROWS for twins in row.twins if cls.__name__ in twins.names]
        if rows:
            width = getattr(pipeline, rows[0][0].denoiser).config.get("cross_attention_dim")
            return next((pair for pair in rows if pair[0].text_width == width), rows[0])
    raise InputError(
        f"Expected a Stable Diffusion pipeline, FLUX or PixArt, found {type(pipeline).__name__}. "
        f"Use one of {', '.join(SUPPORTED)}."
    )


def row_of(pipeline: Any) -> FamilyRow:  # noqa: ANN401 - any diffusers pipeline
    """The family of a pipeline; a width of text that no row names is the first row's of these classes.

    Raises:
        InputError: no row has its class.
    """
    return _found(pipeline)[0]


def twins_of(pipeline: Any) -> Twins:  # noqa: ANN401 - any diffusers pipeline
    """The stock pipelines of the same parts; errors of `row_of`."""
    return _found(pipeline)[1]


def own_mode(row: FamilyRow, adapter: Path | None) -> Mode:
    """One transparent layer with a codec that is given, and an adapter's file or None."""
    name = adapter.stem if adapter else "custom"
    title = "one transparent layer"
    return Mode(name=name, title=title, family=row.name, adapter=adapter, sampling=row.sampling)


def denoiser_of(pipeline: Any) -> Any:  # noqa: ANN401 - a UNet or a transformer
    """The module that samples, into which adapters go."""
    return getattr(pipeline, row_of(pipeline).denoiser)


def latent_channels(pipeline: Any) -> int:  # noqa: ANN401 - any diffusers pipeline
    """Channels of the latents (b, c, h, w) that the denoiser was trained on."""
    row = row_of(pipeline)
    return getattr(pipeline, row.denoiser).config.in_channels // row.packing**2


def pixels_per_latent(pipeline: Any) -> int:  # noqa: ANN401 - any diffusers pipeline
    """Side in pixels that one latent stands for."""
    return 2 ** (len(pipeline.vae.config.block_out_channels) - 1)


def latents_multiple(pipeline: Any) -> int:  # noqa: ANN401 - any diffusers pipeline
    """Sides in latents must divide by this: a UNet's halvings, or a transformer's patches."""
    row, config = row_of(pipeline), denoiser_of(pipeline).config
    if row.denoiser == "unet":
        return 2 ** (len(config.block_out_channels) - 1)
    return config.patch_size * row.packing


def native_size(pipeline: Any) -> tuple[int, int]:  # noqa: ANN401 - any diffusers pipeline
    """(height, width) in pixels that the model was trained at."""
    sample = denoiser_of(pipeline).config.get("sample_size") or pipeline.default_sample_size
    rows, columns = sample if isinstance(sample, (list, tuple)) else (sample, sample)
    pixels = pixels_per_latent(pipeline)
    return int(rows * pixels), int(columns * pixels)


def largest_side(pipeline: Any) -> int | None:  # noqa: ANN401 - any diffusers pipeline
    """Pixels of the longest side that the denoiser has positions for; None where any will do."""
    config = denoiser_of(pipeline).config
    positions = config.get("pos_embed_max_size")
    return positions * config.patch_size * pixels_per_latent(pipeline) if positions else None


def packed(pipeline: Any, latents: Tensor) -> Tensor:  # noqa: ANN401 - any diffusers pipeline
    """Latents (b, c, h, w) as the pipeline's sampler holds them."""
    if row_of(pipeline).packing == 1:
        return latents
    return pipeline._pack_latents(latents.contiguous(), *latents.shape)


def unpacked(pipeline: Any, latents: Tensor, height: int, width: int) -> Tensor:  # noqa: ANN401 - as above
    """Undoes `packed`, for a picture of `height` and `width` px."""
    if row_of(pipeline).packing == 1:
        return latents
    return pipeline._unpack_latents(latents, height, width, pixels_per_latent(pipeline))
