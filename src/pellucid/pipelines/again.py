"""Results made anew from their metadata: the same to the byte where nothing is changed, or with changes.

What a result was made of besides text must still be known: an image that was repainted is not, the layers
below one that was added to a document are.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pellucid.errors import InputError
from pellucid.files.metadata import GenerationMetadata, Scalar
from pellucid.pipelines.keywords import (
    AddLayerKeywords,
    FittedKeywords,
    ForegroundOnKeywords,
    GenerateKeywords,
    LayerKeywords,
    SamplingKeywords,
)
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.pipelines.recording import pixel_digest
from pellucid.pipelines.schedulers import SCHEDULERS
from pellucid.rgba.types import AnyArray
from pellucid.scene.boxes import Box
from pellucid.scene.layer import Layer
from pellucid.scene.scene import Scene

NEEDS_IMAGE = ("vary", "inpaint", "upscale", "split")
"""Tasks whose images no file keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is to differ; None leaves it as it was."""

    prompt: str | None = None
    seed: int | None = None
    negative_prompt: str | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    scheduler: str | None = None
    passes: int | None = None
    height: int | None = None
    width: int | None = None
    control: object = None


def recipe_of(scene: Scene) -> GenerationMetadata:
    """Returns the metadata of a scene that says how it was made.

    Raises:
        InputError: it has none, or was made of images that no file keeps.
    """
    first = next((layer.provenance for layer in scene.layers if layer.provenance), None)
    metadata = scene.provenance or first
    if metadata is None or metadata.seed is None or metadata.prompt is None:
        raise InputError(
            "Expected an image with its prompt and seed, found none that Pellucid wrote. "
            "Take a file that it made and that no other program has saved."
        )
    tasks = {task_of(layer.provenance) for layer in scene.layers} | {task_of(metadata)}
    for task in NEEDS_IMAGE:
        if task in tasks:
            raise InputError(
                f"Expected an image made from text, found one made by {task} from another, which it does "
                f"not hold. Run {task} on that image again."
            )
    if task_of(metadata) is None:
        raise InputError(
            f"Expected metadata that say how the image was made, found those of version {metadata.version}, "
            "which say less. Make it with its prompt, seed and steps as `pellucid show` prints them."
        )
    if inputs := metadata.extra.get("pipeline_inputs"):
        raise InputError(
            f"Expected an image that the prompt alone decides, found one made with {inputs}, which no file "
            "keeps. Make it as it was made."
        )
    return metadata


def make_again(pipe: TransparentPipeline, scene: Scene, changes: Changes | None = None) -> Scene:
    """Makes a scene anew: each layer that was made, on what is below it; layers that were given stay.

    Places, opacity and other looks of layers stay as they are in the scene.

    Args:
        pipe: the model that made it.
        scene: of a file that Pellucid wrote.
        changes: what is to differ.

    Raises:
        InputError: it is not known how the scene was made, or of what.
    """
    metadata = recipe_of(scene)
    _check_additions(pipe, metadata)
    with pipe.model.reader.reading_as(_readings(scene)):
        return _made(pipe, scene, metadata, changes or Changes())


def _check_additions(pipe: TransparentPipeline, metadata: GenerationMetadata) -> None:
    """Refuses a model without the LoRAs or the VAE that the image was made with."""
    for name in ("loras", "vae"):
        was, now = metadata.extra.get(name), pipe.model.additions.get(name)
        if was != now and (was is not None or now is not None):
            raise InputError(
                f"Expected the {name} that this image was made with, {was or 'none'}, found {now or 'none'}. "
                f"{'Load the model with them' if was else 'Load the model without'}."
            )


def _readings(scene: Scene) -> dict[str, str]:
    """Returns what the prompts of a scene were read as, by what its metadata say."""
    all_metadata = [scene.provenance, *(layer.provenance for layer in (*scene.layers, *scene.references))]
    found: dict[str, str] = {}
    for each in all_metadata:
        if each is not None:
            found[each.prompt or ""] = str(each.extra.get("prompt_read_as", each.prompt or ""))
            found[each.negative_prompt or ""] = str(
                each.extra.get("negative_read_as", each.negative_prompt or "")
            )
    return found


def _made(pipe: TransparentPipeline, scene: Scene, metadata: GenerationMetadata, changes: Changes) -> Scene:
    if task_of(metadata) == "generate" and len(scene.layers) == 1:
        return _generated(pipe, metadata, changes)
    if changes.prompt is not None or changes.height or changes.width or changes.control is not None:
        raise InputError(
            "Expected other seeds, steps and the like for a document of layers, found another prompt, size "
            "or control image. Make it with `pellucid layers`."
        )
    if len(scene.layers) == 1 and task_of(metadata) == "joint":
        return _joint(pipe, metadata, changes)  # flattened, but both texts are known
    if len(scene.layers) == 1:
        raise InputError(
            f"Expected a document with its layers for what {task_of(metadata)} made, found one image. "
            "Take the .psd, .ora or .zip."
        )
    made, used = _lowest(pipe, scene, changes)
    for layer in scene.layers[used:]:
        made = _with_layer(pipe, made, layer, changes)
    looks = (
        replace(old, image=new.image, provenance=new.provenance)
        if old.image.shape == new.image.shape
        else new
        for old, new in zip(scene.layers, made.layers, strict=True)
    )
    return replace(made, layers=tuple(looks), blend_profile=scene.blend_profile)


def task_of(metadata: GenerationMetadata | None) -> str | None:
    """Returns the method that made what the metadata are of; None where they do not say."""
    task = metadata and metadata.extra.get("task")
    return task if isinstance(task, str) else None


def _generated(pipe: TransparentPipeline, metadata: GenerationMetadata, changes: Changes) -> Scene:
    extra = metadata.extra
    if "control" in extra and changes.control is None:
        raise InputError(
            "Expected the image that controlled this one, which no file keeps, found none. Give it again."
        )
    keywords: GenerateKeywords = {
        **_sampling(metadata, changes),
        "height": changes.height or _whole(extra, "height"),
        "width": changes.width or _whole(extra, "width"),
        "hires_strength": _number(extra, "hires_strength"),
        "fix_background": extra.get("fix_background") is True,
        "control": changes.control,
        "control_kind": str(extra.get("control_kind", "both")),
    }
    return pipe.generate((metadata.prompt or "") if changes.prompt is None else changes.prompt, **keywords)


def _joint(pipe: TransparentPipeline, metadata: GenerationMetadata, changes: Changes) -> Scene:
    extra = metadata.extra
    foreground, background, composite = (
        str(extra.get(role, "")) for role in ("foreground", "background", "composite")
    )
    return pipe.joint(foreground, background, composite, **_layer_keywords(metadata, changes))


def _lowest(pipe: TransparentPipeline, scene: Scene, changes: Changes) -> tuple[Scene, int]:
    """Makes the lowest layers, those of the first call; returns the scene and how many they are."""
    first, second = scene.layers[0], scene.layers[min(1, len(scene.layers) - 1)]
    below, above = first.provenance, second.provenance
    if below is not None and task_of(below) == "generate":
        return _generated(pipe, below, changes), 1
    if above is not None and task_of(above) == "joint":
        return _joint(pipe, above, changes), 2
    if above is not None and task_of(above) == "foreground_on":
        _check_same(above, first.image)
        on: ForegroundOnKeywords = {**_fitted_keywords(above, changes), "box": _box(above.extra)}
        return pipe.foreground_on(first.image, above.prompt or "", composite=_composite(above), **on), 2
    if below is not None and task_of(below) == "background_for":
        _check_same(below, second.image)
        behind = _fitted_keywords(below, changes)
        return pipe.background_for(second.image, below.prompt or "", composite=_composite(below), **behind), 2
    return replace(scene, layers=(first,)), 1


def _with_layer(pipe: TransparentPipeline, below: Scene, layer: Layer, changes: Changes) -> Scene:
    """Returns the scene with a layer more: made anew on it, or as it is."""
    metadata = layer.provenance
    if metadata is None or task_of(metadata) != "add_layer":
        return replace(below, layers=(*below.layers, layer))
    keywords: AddLayerKeywords = {
        **_sampling(metadata, changes),
        "adapter_end": _number(metadata.extra, "adapter_end"),
        "adapter_strength": _number(metadata.extra, "adapter_strength"),
        "name": layer.name,
        "box": _box(metadata.extra),
    }
    return pipe.add_layer(below, metadata.prompt or "", composite=_composite(metadata), **keywords)


def _sampling(metadata: GenerationMetadata, changes: Changes) -> SamplingKeywords:
    own = str(metadata.extra.get("scheduler"))
    guidance, steps = changes.guidance_scale, changes.num_inference_steps
    return {
        "seed": metadata.seed if changes.seed is None else changes.seed,
        "negative_prompt": metadata.negative_prompt
        if changes.negative_prompt is None
        else changes.negative_prompt,
        "num_inference_steps": metadata.steps if steps is None else steps,
        "guidance_scale": metadata.guidance if guidance is None else guidance,
        # a class instead of a name is the model's own
        "scheduler": changes.scheduler or (own if own in SCHEDULERS else None),
        "passes": _whole(metadata.extra, "passes") if changes.passes is None else changes.passes,
        # absent where alpha was snapped, as it is by default
        "clean": metadata.extra.get("clean") is not False,
    }


def _layer_keywords(metadata: GenerationMetadata, changes: Changes) -> LayerKeywords:
    extra = metadata.extra
    return {
        **_sampling(metadata, changes),
        "height": _whole(extra, "height"),
        "width": _whole(extra, "width"),
        "adapter_end": _number(extra, "adapter_end"),
        "adapter_strength": _number(extra, "adapter_strength"),
    }


def _fitted_keywords(metadata: GenerationMetadata, changes: Changes) -> FittedKeywords:
    return {**_layer_keywords(metadata, changes), "fit": str(metadata.extra.get("fit", "crop"))}


def _check_same(metadata: GenerationMetadata, image: AnyArray) -> None:
    if metadata.extra.get("on") != pixel_digest(image):
        raise InputError(
            "Expected the image that this layer was made for, found another in its place. "
            "Make the layer with `pellucid layers --on` or `--behind` and that image."
        )


def _composite(metadata: GenerationMetadata) -> str | None:
    text = metadata.extra.get("composite")
    return text if isinstance(text, str) else None


def _box(extra: Mapping[str, Scalar]) -> Box | None:
    match = re.fullmatch(r"(\d+)x(\d+)\+(\d+)\+(\d+)", str(extra.get("box", "")), re.ASCII)
    if match is None:
        return None
    width, height, left, top = (int(number) for number in match.groups())
    return top, left, height, width


def _whole(extra: Mapping[str, Scalar], name: str) -> int | None:
    value = extra.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(extra: Mapping[str, Scalar], name: str) -> float | None:
    value = extra.get(name)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
