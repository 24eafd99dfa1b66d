"""Families whose denoiser is a UNet, as rows of data."""

from pellucid.pipelines.family import ClassPath, ModelFamily, PipelineVariants
from pellucid.pipelines.modes import Sampling

SD, XL = "stable_diffusion", "stable_diffusion_xl"
IMAGE_TO_IMAGE: ClassPath = (SD, "pipeline_stable_diffusion_img2img", "StableDiffusionImg2ImgPipeline")
XL_IMAGE_TO_IMAGE: ClassPath = (
    XL,
    "pipeline_stable_diffusion_xl_img2img",
    "StableDiffusionXLImg2ImgPipeline",
)
PAG, LCM = "pag", "latent_consistency_models"
CONTROL, T2I = "controlnet", "t2i_adapter"
ALL_IS_PAINTED = {"image": (3, 0.5), "mask_image": (1, 1.0)}
"""What UNets made for inpainting are shown: nothing that is kept."""
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
        control_name="image",
    ),
    PipelineVariants(
        text_to_image=(PAG, "pipeline_pag_controlnet_sd", "StableDiffusionControlNetPAGPipeline"),
        others=("StableDiffusionControlNetPAGInpaintPipeline",),
        control_name="image",
    ),
    # T2I-Adapters steer what is made from text; diffusers has no image-to-image with them
    PipelineVariants(
        text_to_image=(T2I, "pipeline_stable_diffusion_adapter", "StableDiffusionAdapterPipeline"),
        image_to_image=IMAGE_TO_IMAGE,
        control_name="image",
    ),
    PipelineVariants(
        text_to_image=(PAG, "pipeline_pag_sd", "StableDiffusionPAGPipeline"),
        image_to_image=(PAG, "pipeline_pag_sd_img2img", "StableDiffusionPAGImg2ImgPipeline"),
        others=("StableDiffusionPAGInpaintPipeline",),
    ),
    PipelineVariants(
        text_to_image=(LCM, "pipeline_latent_consistency_text2img", "LatentConsistencyModelPipeline"),
        # whose stock schedule forbids little strength
        others=("LatentConsistencyModelImg2ImgPipeline",),
        own_scheduler=True,
        trains_as_called=True,  # with the guidance that it was distilled with
    ),
    PipelineVariants(
        text_to_image=(
            SD,
            "pipeline_stable_diffusion_instruct_pix2pix",
            "StableDiffusionInstructPix2PixPipeline",
        ),
        extra_channels=4,
        blank_images={"image": (3, 0.5)},
        control_name="image",
        edits=True,
        trains_as_called=True,
    ),
    PipelineVariants(
        text_to_image=(SD, "pipeline_stable_unclip_img2img", "StableUnCLIPImg2ImgPipeline"),
        mean_embeddings={"image_embeds": "image_normalizer"},
        trains_as_called=True,
    ),
    PipelineVariants(
        text_to_image=(SD, "pipeline_stable_diffusion_inpaint", "StableDiffusionInpaintPipeline"),
        extra_channels=5,
        blank_images=ALL_IS_PAINTED,
        call_kwargs={"strength": 1.0},
        trains_as_called=True,
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
        control_name="image",
    ),
    PipelineVariants(
        text_to_image=(PAG, "pipeline_pag_controlnet_sd_xl", "StableDiffusionXLControlNetPAGPipeline"),
        image_to_image=(
            PAG,
            "pipeline_pag_controlnet_sd_xl_img2img",
            "StableDiffusionXLControlNetPAGImg2ImgPipeline",
        ),
        control_name="image",
    ),
    PipelineVariants(
        text_to_image=(
            CONTROL,
            "pipeline_controlnet_union_sd_xl",
            "StableDiffusionXLControlNetUnionPipeline",
        ),
        image_to_image=(
            CONTROL,
            "pipeline_controlnet_union_sd_xl_img2img",
            "StableDiffusionXLControlNetUnionImg2ImgPipeline",
        ),
        others=("StableDiffusionXLControlNetUnionInpaintPipeline",),
    ),
    PipelineVariants(
        text_to_image=(T2I, "pipeline_stable_diffusion_xl_adapter", "StableDiffusionXLAdapterPipeline"),
        image_to_image=XL_IMAGE_TO_IMAGE,
        control_name="image",
    ),
    PipelineVariants(
        text_to_image=(PAG, "pipeline_pag_sd_xl", "StableDiffusionXLPAGPipeline"),
        image_to_image=(PAG, "pipeline_pag_sd_xl_img2img", "StableDiffusionXLPAGImg2ImgPipeline"),
        others=("StableDiffusionXLPAGInpaintPipeline",),
    ),
    PipelineVariants(
        text_to_image=(
            XL,
            "pipeline_stable_diffusion_xl_instruct_pix2pix",
            "StableDiffusionXLInstructPix2PixPipeline",
        ),
        extra_channels=4,
        blank_images={"image": (3, 0.5)},
        control_name="image",
        edits=True,
        trains_as_called=True,
    ),
    PipelineVariants(
        text_to_image=(XL, "pipeline_stable_diffusion_xl_inpaint", "StableDiffusionXLInpaintPipeline"),
        extra_channels=5,
        blank_images=ALL_IS_PAINTED,
        call_kwargs={"strength": 1.0},
        trains_as_called=True,
    ),
)
UNET_FAMILIES: tuple[ModelFamily, ...] = (
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
        name="kolors",
        title="Kolors",
        variants=(
            PipelineVariants(
                text_to_image=("kolors", "pipeline_kolors", "KolorsPipeline"),
                image_to_image=("kolors", "pipeline_kolors_img2img", "KolorsImg2ImgPipeline"),
            ),
            PipelineVariants(text_to_image=(PAG, "pipeline_pag_kolors", "KolorsPAGPipeline")),
        ),
        scaling_factor=0.13025,
        sampling=Sampling(num_inference_steps=50, guidance_scale=5.0),
    ),
)
