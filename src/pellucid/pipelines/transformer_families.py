"""Families whose denoiser is a transformer, as rows of data.

Steps and guidance are the stock pipelines' own defaults.
"""

from collections.abc import Mapping

from pellucid.pipelines.family import ModelFamily, PipelineVariants
from pellucid.pipelines.modes import Sampling

SD3, FLUX, PIXART, PAG = "stable_diffusion_3", "flux", "pixart_alpha", "pag"
PIXART_CALL: Mapping[str, object] = {
    "use_resolution_binning": False,  # it makes other sizes than asked for
    "clean_caption": False,  # it changes the text, and only where two more packages are installed
}
ALL_IS_PAINTED = {"control_image": (3, 0.5), "control_mask": (1, 1.0)}
"""What ControlNets made for inpainting are shown where a call shows nothing."""
TRANSFORMER_FAMILIES: tuple[ModelFamily, ...] = (
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
            PipelineVariants(
                text_to_image=(PAG, "pipeline_pag_sd_3", "StableDiffusion3PAGPipeline"),
                image_to_image=(PAG, "pipeline_pag_sd_3_img2img", "StableDiffusion3PAGImg2ImgPipeline"),
            ),
            PipelineVariants(
                text_to_image=(
                    "controlnet_sd3",
                    "pipeline_stable_diffusion_3_controlnet",
                    "StableDiffusion3ControlNetPipeline",
                ),
                mean_of_control=True,
            ),
            PipelineVariants(
                text_to_image=(
                    "controlnet_sd3",
                    "pipeline_stable_diffusion_3_controlnet_inpainting",
                    "StableDiffusion3ControlNetInpaintingPipeline",
                ),
                control_masks=("control_mask",),
                blank_images=ALL_IS_PAINTED,
                mean_of_control=True,
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
                # Kontext's edits images; without one it makes one from text, as the others do
                others=("FluxInpaintPipeline", "FluxKontextPipeline", "FluxKontextInpaintPipeline"),
            ),
            PipelineVariants(
                text_to_image=(FLUX, "pipeline_flux_controlnet", "FluxControlNetPipeline"),
                others=("FluxControlNetImg2ImgPipeline", "FluxControlNetInpaintPipeline"),
            ),
            PipelineVariants(
                text_to_image=(FLUX, "pipeline_flux_fill", "FluxFillPipeline"),
                # the masked image's latents, and a mask of 8 x 8 px for each
                extra_channels=16 + 64,
                blank_images={"image": (3, 0.5), "mask_image": (1, 1.0)},
                trains_as_called=True,
            ),
            PipelineVariants(
                text_to_image=(FLUX, "pipeline_flux_control", "FluxControlPipeline"),
                others=("FluxControlImg2ImgPipeline", "FluxControlInpaintPipeline"),
                extra_channels=16,
                blank_images={"control_image": (3, 0.0)},
                trains_as_called=True,
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
        distilled_guidance=True,
        packing="squares",
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
            PipelineVariants(text_to_image=(PAG, "pipeline_pag_pixart_sigma", "PixArtSigmaPAGPipeline")),
        ),
        denoiser="transformer",
        scaling_factor=0.13025,
        sampling=Sampling(num_inference_steps=20, guidance_scale=4.5),
        min_inference_steps=2,
        default_call_kwargs=PIXART_CALL,
    ),
    ModelFamily(
        name="hunyuan-dit",
        title="HunyuanDiT",
        variants=(
            PipelineVariants(text_to_image=("hunyuandit", "pipeline_hunyuandit", "HunyuanDiTPipeline")),
            PipelineVariants(
                text_to_image=(PAG, "pipeline_pag_hunyuandit", "HunyuanDiTPAGPipeline"),
                least_guidance=1 + 1e-6,  # below, diffusers tells the denoiser of three rows and shows it two
            ),
            PipelineVariants(
                text_to_image=(
                    "controlnet_hunyuandit",
                    "pipeline_hunyuandit_controlnet",
                    "HunyuanDiTControlNetPipeline",
                ),
                mean_of_control=True,
            ),
        ),
        denoiser="transformer",
        scaling_factor=0.13025,
        sampling=Sampling(num_inference_steps=50, guidance_scale=5.0),
        default_call_kwargs={"use_resolution_binning": False},
    ),
    ModelFamily(
        name="cogview3",
        title="CogView 3",
        variants=(
            PipelineVariants(
                text_to_image=("cogview3", "pipeline_cogview3plus", "CogView3PlusPipeline"),
                # its schedule is shifted towards noise, of which other schedulers know nothing
                own_scheduler=True,
            ),
        ),
        denoiser="transformer",
        latent_channels=16,
        scaling_factor=1.0,
        sampling=Sampling(num_inference_steps=50, guidance_scale=5.0),
    ),
    ModelFamily(
        name="lumina",
        title="Lumina-Next",
        variants=(PipelineVariants(text_to_image=("lumina", "pipeline_lumina", "LuminaPipeline")),),
        denoiser="transformer",
        scaling_factor=0.13025,
        sampling=Sampling(num_inference_steps=30, guidance_scale=4.0),
        flow=True,
        default_call_kwargs={"clean_caption": False},
    ),
)
