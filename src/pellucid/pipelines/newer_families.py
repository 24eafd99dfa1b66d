"""Families since FLUX.1, as rows of data. All match flows, and none has released files for transparency.

Their stock pipelines from an image have other names for the same parts; here images enter the ones from text,
whose schedule begins in the middle (`pellucid.pipelines.later_start`). Steps and guidance are the stock
pipelines' own defaults.
"""

from pellucid.pipelines.family import ModelFamily, PipelineVariants
from pellucid.pipelines.modes import Sampling
from pellucid.pipelines.transformer_families import ALL_IS_PAINTED

FLUX2, QWEN, SANA = "flux2", "qwenimage", "sana"
NEWER_FAMILIES: tuple[ModelFamily, ...] = (
    ModelFamily(
        name="flux2",
        title="FLUX.2",
        variants=(PipelineVariants(text_to_image=(FLUX2, "pipeline_flux2", "Flux2Pipeline")),),
        denoiser="transformer",
        latent_channels=128,
        vae="AutoencoderKLFlux2",
        scaling_factor=None,
        shift_factor=None,
        vae_scale_factor=16,
        packing="tokens",
        sampling=Sampling(num_inference_steps=50, guidance_scale=4.0),
        flow=True,
        distilled_guidance=True,
    ),
    ModelFamily(
        name="flux2-klein",
        title="FLUX.2 Klein",
        variants=(
            PipelineVariants(
                text_to_image=(FLUX2, "pipeline_flux2_klein", "Flux2KleinPipeline"),
                others=("Flux2KleinInpaintPipeline",),
            ),
        ),
        denoiser="transformer",
        latent_channels=128,
        vae="AutoencoderKLFlux2",
        scaling_factor=None,
        shift_factor=None,
        vae_scale_factor=16,
        packing="tokens",
        returns_raw=True,
        sampling=Sampling(num_inference_steps=50, guidance_scale=4.0),
        flow=True,
    ),
    ModelFamily(
        name="qwen-image",
        title="Qwen-Image",
        variants=(
            PipelineVariants(
                text_to_image=(QWEN, "pipeline_qwenimage", "QwenImagePipeline"),
                # those that edit have the same parts, and without an image make one from text
                others=(
                    "QwenImageImg2ImgPipeline",
                    "QwenImageInpaintPipeline",
                    "QwenImageEditPipeline",
                    "QwenImageEditInpaintPipeline",
                    "QwenImageEditPlusPipeline",
                ),
            ),
            PipelineVariants(
                text_to_image=(QWEN, "pipeline_qwenimage_controlnet", "QwenImageControlNetPipeline"),
            ),
            PipelineVariants(
                text_to_image=(
                    QWEN,
                    "pipeline_qwenimage_controlnet_inpaint",
                    "QwenImageControlNetInpaintPipeline",
                ),
                control_masks=("control_mask",),
                blank_images=ALL_IS_PAINTED,
                mean_of_control=True,
            ),
        ),
        denoiser="transformer",
        latent_channels=16,
        vae="AutoencoderKLQwenImage",
        scaling_factor=None,
        shift_factor=None,
        patch_size=2,
        packing="squares",
        guidance="true_cfg_scale",
        sampling=Sampling(num_inference_steps=50, guidance_scale=4.0),
        flow=True,
    ),
    ModelFamily(
        name="z-image",
        title="Z-Image",
        variants=(
            PipelineVariants(
                text_to_image=("z_image", "pipeline_z_image", "ZImagePipeline"),
                others=("ZImageImg2ImgPipeline", "ZImageInpaintPipeline"),
            ),
            PipelineVariants(
                text_to_image=("z_image", "pipeline_z_image_controlnet", "ZImageControlNetPipeline")
            ),
            PipelineVariants(
                text_to_image=(
                    "z_image",
                    "pipeline_z_image_controlnet_inpaint",
                    "ZImageControlNetInpaintPipeline",
                ),
                blank_images={"image": (3, 0.5), "mask_image": (1, 1.0)},
            ),
        ),
        denoiser="transformer",
        latent_channels=16,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        sampling=Sampling(num_inference_steps=50, guidance_scale=5.0),
        flow=True,
    ),
    ModelFamily(
        name="sana",
        title="SANA",
        variants=(
            PipelineVariants(text_to_image=(SANA, "pipeline_sana", "SanaPipeline")),
            PipelineVariants(text_to_image=("pag", "pipeline_pag_sana", "SanaPAGPipeline")),
            PipelineVariants(text_to_image=(SANA, "pipeline_sana_controlnet", "SanaControlNetPipeline")),
        ),
        denoiser="transformer",
        latent_channels=32,
        vae="AutoencoderDC",
        scaling_factor=0.41407,
        vae_scale_factor=32,
        sampling=Sampling(num_inference_steps=20, guidance_scale=4.5),
        flow=True,
        # sizes and texts as they are asked for, as with PixArt
        default_call_kwargs={"use_resolution_binning": False, "clean_caption": False},
    ),
    ModelFamily(
        name="sana-sprint",
        title="SANA-Sprint",
        variants=(
            PipelineVariants(
                text_to_image=(SANA, "pipeline_sana_sprint", "SanaSprintPipeline"),
                others=("SanaSprintImg2ImgPipeline",),
                own_scheduler=True,
            ),
        ),
        denoiser="transformer",
        latent_channels=32,
        vae="AutoencoderDC",
        scaling_factor=0.41407,
        vae_scale_factor=32,
        distilled_guidance=True,
        reads_answers=False,  # it goes on with them, but not at the end
        sampling=Sampling(num_inference_steps=2, guidance_scale=4.5),
        default_call_kwargs={
            "use_resolution_binning": False,
            "clean_caption": False,
            "intermediate_timesteps": None,
        },
        call_kwargs_at={2: {"intermediate_timesteps": 1.3}},  # the only number that has one
    ),
    ModelFamily(
        name="chroma",
        title="Chroma",
        variants=(
            PipelineVariants(
                text_to_image=("chroma", "pipeline_chroma", "ChromaPipeline"),
                others=("ChromaImg2ImgPipeline", "ChromaInpaintPipeline"),
            ),
        ),
        denoiser="transformer",
        latent_channels=16,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        patch_size=2,
        packing="squares",
        sampling=Sampling(num_inference_steps=35, guidance_scale=5.0),
        flow=True,
    ),
    ModelFamily(
        name="aura-flow",
        title="AuraFlow",
        variants=(PipelineVariants(text_to_image=("aura_flow", "pipeline_aura_flow", "AuraFlowPipeline")),),
        denoiser="transformer",
        scaling_factor=0.13025,
        positions="area",
        sized_as_called=True,
        sampling=Sampling(num_inference_steps=50, guidance_scale=3.5),
        flow=True,
    ),
    ModelFamily(
        name="lumina2",
        title="Lumina 2",
        variants=(PipelineVariants(text_to_image=("lumina2", "pipeline_lumina2", "Lumina2Pipeline")),),
        denoiser="transformer",
        latent_channels=16,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        sampling=Sampling(num_inference_steps=30, guidance_scale=4.0),
        flow=True,
    ),
    ModelFamily(
        name="cogview4",
        title="CogView 4",
        variants=(
            PipelineVariants(text_to_image=("cogview4", "pipeline_cogview4", "CogView4Pipeline")),
            PipelineVariants(
                text_to_image=("cogview4", "pipeline_cogview4_control", "CogView4ControlPipeline"),
                extra_channels=16,
                blank_images={"control_image": (3, 0.0)},
                mean_of_control=True,
            ),
        ),
        denoiser="transformer",
        latent_channels=16,
        scaling_factor=1.0,
        sampling=Sampling(num_inference_steps=50, guidance_scale=5.0),
        flow=True,
    ),
    ModelFamily(
        name="hidream",
        title="HiDream",
        variants=(
            PipelineVariants(
                text_to_image=("hidream_image", "pipeline_hidream_image", "HiDreamImagePipeline")
            ),
        ),
        denoiser="transformer",
        latent_channels=16,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        sized_by="area",
        sampling=Sampling(num_inference_steps=50, guidance_scale=5.0),
        flow=True,
    ),
    ModelFamily(
        name="hunyuan-image",
        title="HunyuanImage 2.1",
        variants=(
            PipelineVariants(
                text_to_image=("hunyuan_image", "pipeline_hunyuanimage", "HunyuanImagePipeline")
            ),
        ),
        denoiser="transformer",
        latent_channels=64,
        vae="AutoencoderKLHunyuanImage",
        scaling_factor=0.75289,
        vae_scale_factor=32,
        guidance="guider",
        sampling=Sampling(num_inference_steps=50, guidance_scale=3.5),
        flow=True,
    ),
    ModelFamily(
        name="ovis-image",
        title="Ovis-Image",
        variants=(
            PipelineVariants(text_to_image=("ovis_image", "pipeline_ovis_image", "OvisImagePipeline")),
        ),
        denoiser="transformer",
        latent_channels=16,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        patch_size=2,
        packing="squares",
        sampling=Sampling(num_inference_steps=50, guidance_scale=5.0),
        flow=True,
    ),
    ModelFamily(
        name="bria",
        title="Bria 3.2",
        variants=(PipelineVariants(text_to_image=("bria", "pipeline_bria", "BriaPipeline")),),
        denoiser="transformer",
        scaling_factor=0.13025,
        patch_size=2,
        packing="squares",
        sampling=Sampling(num_inference_steps=30, guidance_scale=5.0),
        flow=True,
    ),
    ModelFamily(
        name="wan",
        title="Wan, one frame",
        variants=(PipelineVariants(text_to_image=("wan", "pipeline_wan", "WanPipeline")),),
        denoiser="transformer",
        latent_channels=16,
        vae="AutoencoderKLWan",
        scaling_factor=None,
        shift_factor=None,
        packing="frame",
        output="frames",
        native_px=640,
        sampling=Sampling(num_inference_steps=50, guidance_scale=5.0),
        flow=True,
        default_call_kwargs={"num_frames": 1},
    ),
)
