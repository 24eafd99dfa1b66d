"""The latest families, as rows of data. All match flows, and none has released files for transparency.

As in `newer_families`, images enter the pipelines from text, whose schedule begins in the middle, and steps
and guidance are the stock pipelines' own defaults.
"""

from pellucid.pipelines.family import ModelFamily, PipelineVariants
from pellucid.pipelines.modes import Sampling

RECENT_FAMILIES: tuple[ModelFamily, ...] = (
    ModelFamily(
        name="ernie-image",
        title="ERNIE-Image",
        variants=(
            PipelineVariants(text_to_image=("ernie_image", "pipeline_ernie_image", "ErnieImagePipeline")),
        ),
        denoiser="transformer",
        latent_channels=128,
        vae="AutoencoderKLFlux2",
        scaling_factor=None,
        shift_factor=None,
        vae_scale_factor=16,
        sampling=Sampling(num_inference_steps=50, guidance_scale=4.0),
        flow=True,
        # texts as they are asked for, not as a language model of no seed rewrites them
        default_call_kwargs={"use_pe": False},
    ),
    ModelFamily(
        name="longcat-image",
        title="LongCat-Image",
        variants=(
            PipelineVariants(
                text_to_image=("longcat_image", "pipeline_longcat_image", "LongCatImagePipeline"),
                # those that edit have the same parts
                others=("LongCatImageEditPipeline",),
            ),
        ),
        denoiser="transformer",
        latent_channels=16,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        patch_size=2,
        packing="squares",
        sampling=Sampling(num_inference_steps=50, guidance_scale=4.5),
        flow=True,
        default_call_kwargs={"enable_prompt_rewrite": False},
    ),
    ModelFamily(
        name="krea2",
        title="Krea 2",
        variants=(PipelineVariants(text_to_image=("krea2", "pipeline_krea2", "Krea2Pipeline")),),
        denoiser="transformer",
        latent_channels=16,
        vae="AutoencoderKLQwenImage",
        scaling_factor=None,
        shift_factor=None,
        patch_size=2,
        packing="squares",
        off_guidance=0.0,
        sampling=Sampling(num_inference_steps=28, guidance_scale=4.5),
        flow=True,
    ),
    ModelFamily(
        name="kandinsky5",
        title="Kandinsky 5 Image",
        variants=(
            PipelineVariants(text_to_image=("kandinsky5", "pipeline_kandinsky_t2i", "Kandinsky5T2IPipeline")),
        ),
        denoiser="transformer",
        latent_channels=16,
        scaling_factor=0.3611,
        packing="frame-last",
        output="image",
        sized_by="list",
        one_at_a_time=True,  # shorter texts of a batch are filled up, and attended to all the same
        sampling=Sampling(num_inference_steps=50, guidance_scale=3.5),
        flow=True,
    ),
    ModelFamily(
        name="bria-fibo",
        title="Bria FIBO",
        variants=(
            PipelineVariants(
                text_to_image=("bria_fibo", "pipeline_bria_fibo", "BriaFiboPipeline"),
                others=("BriaFiboEditPipeline",),
            ),
        ),
        denoiser="transformer",
        latent_channels=48,
        vae="AutoencoderKLWan",
        scaling_factor=None,
        shift_factor=None,
        vae_scale_factor=16,
        packing="tokens",
        sampling=Sampling(num_inference_steps=30, guidance_scale=5.0),
        flow=True,
    ),
    ModelFamily(
        name="bria-fibo2",
        title="Bria FIBO 2",
        variants=(
            PipelineVariants(text_to_image=("bria_fibo2", "pipeline_bria_fibo2", "BriaFibo2Pipeline")),
        ),
        denoiser="transformer",
        latent_channels=128,
        vae="AutoencoderKLFlux2",
        scaling_factor=None,
        shift_factor=None,
        vae_scale_factor=16,
        packing="unfolded",
        sampling=Sampling(num_inference_steps=30, guidance_scale=5.0),
        flow=True,
    ),
    ModelFamily(
        name="nucleus-image",
        title="Nucleus-Image",
        variants=(
            PipelineVariants(
                text_to_image=("nucleusmoe_image", "pipeline_nucleusmoe_image", "NucleusMoEImagePipeline")
            ),
        ),
        denoiser="transformer",
        latent_channels=16,
        vae="AutoencoderKLQwenImage",
        scaling_factor=None,
        shift_factor=None,
        patch_size=2,
        packing="squares",
        sampling=Sampling(num_inference_steps=50, guidance_scale=4.0),
        flow=True,
    ),
    ModelFamily(
        name="prx",
        title="PRX",
        variants=(PipelineVariants(text_to_image=("prx", "pipeline_prx", "PRXPipeline")),),
        denoiser="transformer",
        latent_channels=16,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        reads_answers=False,
        packages=("ftfy",),  # with which it cleans every text
        one_at_a_time=True,  # with guidance the denoiser is told the time of two rows, however many it has
        native_px=512,
        sampling=Sampling(num_inference_steps=28, guidance_scale=4.0),
        flow=True,
        default_call_kwargs={"use_resolution_binning": False},
    ),
    ModelFamily(
        name="dreamlite",
        title="DreamLite",
        variants=(PipelineVariants(text_to_image=("dreamlite", "pipeline_dreamlite", "DreamLitePipeline")),),
        vae="AutoencoderTiny",
        scaling_factor=1.0,
        takes_images=False,  # it sees a place for one beside its latents
        one_at_a_time=True,
        sampling=Sampling(num_inference_steps=30, guidance_scale=3.5),
        flow=True,
    ),
    ModelFamily(
        name="dreamlite-mobile",
        title="DreamLite Mobile",
        variants=(
            PipelineVariants(
                text_to_image=("dreamlite", "pipeline_dreamlite_mobile", "DreamLiteMobilePipeline")
            ),
        ),
        vae="AutoencoderTiny",
        scaling_factor=1.0,
        takes_images=False,  # it sees a place for one beside its latents
        guidance="none",
        one_at_a_time=True,
        sampling=Sampling(num_inference_steps=4, guidance_scale=1.0),
        flow=True,
    ),
)
