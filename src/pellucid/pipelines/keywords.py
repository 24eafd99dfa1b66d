"""Keywords of the public methods as types, for the overloads that tell one scene from a list.

`TransparentPipeline.generate` says what each of them means.
"""

from collections.abc import Sequence
from typing import TypedDict

from pellucid.pipelines.arguments import CallKwargs
from pellucid.scene.boxes import Box


# Without `count`, which each overload spells out: it decides between one scene and a list.
class SamplingKeywords(TypedDict, total=False):
    """Keywords of every method that samples, but `count`."""

    seed: int | Sequence[int] | None
    negative_prompt: str | Sequence[str] | None
    num_inference_steps: int | None
    guidance_scale: float | None
    scheduler: str | None
    passes: int | None
    batch_size: int | None
    pipeline_inputs: CallKwargs | None
    clean: bool


class RepaintKeywords(SamplingKeywords, total=False):
    """The same for `vary` and `inpaint`."""

    strength: float


class UpscaleKeywords(SamplingKeywords, total=False):
    """The same for `upscale`."""

    scale: float
    strength: float | None


class GenerateKeywords(SamplingKeywords, total=False):
    """The same for `generate`."""

    height: int | None
    width: int | None
    hires_strength: float | None
    fix_background: bool
    control: object
    control_kind: str


class AdapterKeywords(SamplingKeywords, total=False):
    """The same for layers whose size is given."""

    adapter_end: float | None
    adapter_strength: float | None


class LayerKeywords(AdapterKeywords, total=False):
    """The same for `joint`."""

    height: int | None
    width: int | None


class FittedKeywords(LayerKeywords, total=False):
    """The same for `background_for`."""

    fit: str


class ForegroundOnKeywords(FittedKeywords, total=False):
    """The same for `foreground_on`."""

    box: Box | None


class SplitKeywords(FittedKeywords, total=False):
    """The same for `split`."""

    background: object
    foreground: object


# Without height and width: a document keeps its canvas when it gets a layer.
class AddLayerKeywords(AdapterKeywords, total=False):
    """The same for `add_layer`."""

    name: str | None
    box: Box | None
