"""What results say of how they were made, beside prompt, seed and settings: enough to make them again."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from pellucid.files.metadata import GenerationMetadata, Scalar
from pellucid.pipelines.arguments import SamplingOptions
from pellucid.rgba.types import AnyArray
from pellucid.scene.layer import Layer
from pellucid.scene.scene import MAX_NAME, Scene

Facts = Mapping[str, Scalar]
"""By the names of the methods' keywords, and "task", the method's own name; None is not written."""
DIGITS = 16
"""Of a digest in hexadecimal: enough that no two images of a folder share one."""


def pixel_digest(image: AnyArray) -> str:
    """Returns a short digest of an image, uint8 (h, w, c), which tells whether another is the same."""
    shape = "x".join(map(str, image.shape)).encode()
    return hashlib.sha256(shape + image.tobytes()).hexdigest()[:DIGITS]


def sampling_facts(options: SamplingOptions) -> dict[str, Scalar]:
    """Returns what the options of a call add to the metadata that each image has anyhow."""
    others = ", ".join(sorted(name for name, value in options.inputs.items() if not is_onlooker(value)))
    return {
        "pipeline_inputs": others or None,
        "clean": None if options.clean else False,
        # images that are sampled together differ in their last bits from those that are sampled alone
        "batch_size": options.batch_size if options.batch_size and options.batch_size > 1 else None,
    }


def is_onlooker(value: object) -> bool:
    """Tells whether a callback says of itself, by an attribute `only_looks`, that it changes nothing."""
    return getattr(value, "only_looks", False) is True


def recorded(scene: Scene, facts: Facts) -> Scene:
    """Returns a scene of which every layer that was made, and the whole, say the facts too."""
    return replace(
        scene,
        layers=tuple(replace(layer, provenance=_extended(layer.provenance, facts)) for layer in scene.layers),
        provenance=_extended(scene.provenance, facts),
    )


def named_by_prompt(layer: Layer, role: str) -> Layer:
    """Returns a layer that is called by its role under the first words of its prompt, if it has one."""
    prompt = layer.provenance and layer.provenance.prompt
    return replace(layer, name=prompt[:MAX_NAME]) if prompt and layer.name == role else layer


def _extended(metadata: GenerationMetadata | None, facts: Facts) -> GenerationMetadata | None:
    if metadata is None:
        return None
    stated = {name: value for name, value in facts.items() if value is not None}
    return replace(metadata, extra={**metadata.extra, **stated})
