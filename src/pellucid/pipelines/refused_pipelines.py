"""Stock pipelines that cannot be made transparent, and why: by class, else by their package in diffusers.

Every pipeline class of diffusers is either of a family or here; a test walks them all.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why, as what a class does, and what to do instead."""

    reason: str
    """Goes on after "which"."""
    advice: str = "Take a text-to-image pipeline."


VIDEO = Refusal(reason="makes videos")
AUDIO = Refusal(reason="makes sound")
SOLID = Refusal(reason="makes 3D models")
TEXT = Refusal(reason="writes text")
MOLECULES = Refusal(reason="makes proteins")
PIXELS = Refusal(reason="samples pixels and has no VAE")
UNCONDITIONAL = Refusal(reason="reads no text")
QUANTISED = Refusal(reason="rounds its latents to a codebook, which an offset does not survive")
PRIOR = Refusal(
    reason="is a prior and makes no image",
    advice="Attach the pipeline that paints; this one's embeddings go into pipeline_inputs.",
)
PRIOR_INSIDE = Refusal(
    reason="draws what it paints from a prior of its own",
    advice="Take StableUnCLIPImg2ImgPipeline; embeddings go into pipeline_inputs.",
)
UPSCALER = Refusal(
    reason="enlarges or refines images that are there", advice="Use `upscale` of the pipeline that made them."
)
ESTIMATOR = Refusal(reason="measures images and makes none")
DEPRECATED = Refusal(
    reason="diffusers no longer maintains", advice="Take Stable Diffusion's own pipeline over the same parts."
)
FOREIGN = Refusal(reason="runs outside torch", advice="Load it as a torch pipeline.")
EDITOR = Refusal(
    reason="is told by an image what to edit",
    advice="Take the text-to-image pipeline; `vary` repaints images.",
)
OWN_ALPHA = Refusal(
    reason="makes transparent layers by itself",
    advice="Pass it to `pellucid.decompose`.",
)
IMAGE_STEERED = Refusal(
    reason="is told by further images what to paint", advice="Take the text-to-image pipeline of its family."
)
LATER = Refusal(
    reason="animates", advice="Take the image pipeline of the same model; animation is not supported yet."
)
OWN_ALPHA_IMAGES = Refusal(
    reason="has a VAE with an alpha of its own", advice="Call it: its images have alpha already."
)
DRAWN_TOKENS = Refusal(reason="paints by tokens that a language model draws from torch's global generator")
TWO_DENOISERS = Refusal(reason="is guided by a second denoiser, which an adapter does not reach")
CASCADE = Refusal(reason="is two diffusion models in a row, neither with a VAE's latent of its image")
BASE = Refusal(reason="is the base class of all")
NOT_YET = Refusal(
    reason="no row of pellucid.pipelines.families describes yet", advice="Ask for it, or add a row."
)
BY_CLASS: Mapping[str, Refusal] = {
    "DiffusionPipeline": BASE,
    "FluxPriorReduxPipeline": PRIOR,
    "KandinskyPriorPipeline": PRIOR,
    "KandinskyV22PriorPipeline": PRIOR,
    "KandinskyV22PriorEmb2EmbPipeline": PRIOR,
    "StableCascadePriorPipeline": PRIOR,
    "QwenImageLayeredPipeline": OWN_ALPHA,
    "QwenImage21Pipeline": OWN_ALPHA_IMAGES,
    "Ideogram4Pipeline": TWO_DENOISERS,
    "BlipDiffusionControlNetPipeline": IMAGE_STEERED,
    "ZImageOmniPipeline": IMAGE_STEERED,
    "Flux2KleinKVPipeline": IMAGE_STEERED,
    "AnimateDiffPAGPipeline": LATER,
    "StableDiffusionDepth2ImgPipeline": IMAGE_STEERED,
    "StableDiffusionImageVariationPipeline": IMAGE_STEERED,
    "StableUnCLIPPipeline": PRIOR_INSIDE,
    "StableDiffusionLatentUpscalePipeline": UPSCALER,
    "StableDiffusionUpscalePipeline": UPSCALER,
    "LDMSuperResolutionPipeline": UPSCALER,
    "HunyuanImageRefinerPipeline": UPSCALER,
    "Kandinsky6SRPipeline": UPSCALER,
    "OnnxStableDiffusionPipeline": FOREIGN,
    "OnnxStableDiffusionImg2ImgPipeline": FOREIGN,
    "OnnxStableDiffusionInpaintPipeline": FOREIGN,
    "OnnxStableDiffusionUpscalePipeline": FOREIGN,
    "StableDiffusionOnnxPipeline": FOREIGN,
    "PRXPixelPipeline": PIXELS,
    "Kandinsky5I2IPipeline": EDITOR,
}
BY_PACKAGE: Mapping[str, Refusal] = {
    **dict.fromkeys(
        (
            "allegro", "anyflow", "chronoedit", "cogvideo", "consisid", "cosmos", "easyanimate", "helios",
            "hunyuan_video", "hunyuan_video1_5", "kandinsky5", "kandinsky6", "latte", "ltx", "ltx2", "lucy",
            "mochi", "motif_video", "sana_video", "sana_wm", "skyreels_v2", "stable_video_diffusion", "wan",
        ),
        VIDEO,
    ),
    **dict.fromkeys(
        ("ace_step", "audioldm2", "longcat_audio_dit", "stable_audio", "stable_audio_3"), AUDIO
    ),
    **dict.fromkeys(("ddim", "ddpm", "consistency_models", "deepfloyd_if"), PIXELS),
    **dict.fromkeys(("kandinsky", "kandinsky2_2", "kandinsky3", "latent_diffusion"), QUANTISED),
    **dict.fromkeys(("diffusion_gemma", "llada2"), TEXT),
    **dict.fromkeys(("joyimage", "visualcloze"), EDITOR),
    **dict.fromkeys(
        (
            "omnigen",
        ),
        NOT_YET,
    ),
    "animatediff": LATER,
    "glm_image": DRAWN_TOKENS,
    "deprecated": DEPRECATED,
    "dit": UNCONDITIONAL,
    "marigold": ESTIMATOR,
    "rfd4_proteina": MOLECULES,
    "shap_e": SOLID,
    "stable_cascade": CASCADE,
}  # fmt: skip


def refusal_of(name: str, package: str) -> Refusal | None:
    """Returns why a class is not taken; None where nothing is known of it.

    Args:
        name: of the class.
        package: below `diffusers.pipelines`.
    """
    return BY_CLASS.get(name) or BY_PACKAGE.get(package)
