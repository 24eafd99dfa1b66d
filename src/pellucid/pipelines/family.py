"""What a family of diffusion models needs said: its pipelines, its latents, and how its calls differ.

Code asks the row, the denoiser's config or the VAE's, never a family's name. Sides are in pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pellucid.pipelines.modes import Family, Sampling

Packing = Literal["none", "squares", "tokens", "frame", "frame-last", "unfolded"]
Guidance = Literal["guidance_scale", "true_cfg_scale", "guider", "none"]
ClassPath = tuple[str, str, str]
"""Package, module and class below `diffusers.pipelines`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineVariants:
    """Stock pipelines that are made of the same parts."""

    text_to_image: ClassPath
    image_to_image: ClassPath | None = None
    """Of four latent channels or any; None where diffusers has none such. Images then enter the other, whose
    schedule begins in the middle (`pellucid.pipelines.later_start`)."""
    others: tuple[str, ...] = ()
    """Further classes with these parts, of which the two can be built."""
    extra_channels: int = 0
    """Inputs of the denoiser beside the latents, as those made for inpainting have."""
    blank_images: Mapping[str, tuple[int, float]] = field(default_factory=dict[str, tuple[int, float]])
    """Images that the stock pipeline cannot do without: name -> channels, and what all pixels are, 0 to 1, so
    that nothing is shown and all is to be painted."""
    mean_embeddings: Mapping[str, str] = field(default_factory=dict[str, str])
    """Embeddings of images that the stock pipeline cannot do without: name -> part that knows their mean."""
    call_kwargs: Mapping[str, object] = field(default_factory=dict[str, object])
    """What the one from text is always called with."""
    control_name: Literal["control_image", "image"] = "control_image"
    """What the one from text calls an image that steers it."""
    edits: bool = False
    """Whether that image is what the model is told to edit: what is repainted, if a call gives no other."""
    control_masks: tuple[str, ...] = ()
    """Further images that belong to that one, and have its size."""
    least_guidance: float = 0.0
    """Guidance just above 1 where the stock pipeline fails at 1; the prediction is the same."""
    mean_of_control: bool = False
    """Whether the stock pipeline draws latents of a control image by a generator that no seed reaches; it is
    given their mean."""
    own_scheduler: bool = False
    """Whether they run with no scheduler but their own kind."""
    trains_as_called: bool = False
    """Whether training calls the stock pipeline for each prediction, since its denoiser is told more than
    the other variants' is."""

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
    vae: str = "AutoencoderKL"
    """Class of the released VAE, see `pellucid.models.latent_space`."""
    scaling_factor: float | None = 0.18215
    shift_factor: float | None = 0.0
    """Scaled latents are (raw - shift_factor) * scaling_factor; None where each channel has its own."""
    vae_scale_factor: int = 8
    patch_size: int = 1
    """Latents, squared, that samplers hold as one token (b, tokens, c * patch_size**2); 1 folds none."""
    packing: Packing = "none"
    """How samplers hold latents, see `pellucid.pipelines.packing`."""
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
    reads_answers: bool = True
    """Whether the stock pipeline goes on with what its `callback_on_step_end`, if it has one, answers."""
    guidance: Guidance = "guidance_scale"
    """Argument that takes the guidance; "guider" is a part of the pipeline, "none" is of models without."""
    off_guidance: float = 1.0
    """Guidance at which the prediction is that of the text alone."""
    distilled_guidance: bool = False
    """Whether the model was distilled with guidance, which is then an input of its own."""
    output: Literal["images", "image", "frames"] = "images"
    """Field of the result."""
    returns_raw: bool = False
    """Whether latents come out raw and unfolded, whatever the sampler held."""
    positions: Literal["side", "area"] = "side"
    """What the denoiser's `pos_embed_max_size` counts: patches a side, or all."""
    sized_by: Literal["call", "area", "list"] = "call"
    """What decides sizes beside the call: the stock pipeline's own number of pixels, or its list of sizes,
    which then are set to what is asked for."""
    one_at_a_time: bool = False
    """Whether the stock pipeline makes one image a call, or of several texts other images than of each."""
    sized_as_called: bool = False
    """Whether the model was trained at the size that its stock call makes, whatever its denoiser says."""
    native_px: int = 1024
    """Side that the model was trained at, where neither its denoiser nor its pipeline says so."""
    takes_images: bool = True
    """Whether images can be shown to the denoiser as further channels of its latents."""
    min_inference_steps: int = 1
    packages: tuple[str, ...] = ()
    """What the stock pipeline needs installed beside diffusers' own requirements."""
    default_call_kwargs: Mapping[str, object] = field(default_factory=dict[str, object])
    """What the stock pipeline is called with unless a call says otherwise."""
    call_kwargs_at: Mapping[int, Mapping[str, object]] = field(
        default_factory=dict[int, Mapping[str, object]]
    )
    """The same at some numbers of steps."""
