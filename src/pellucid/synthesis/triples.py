"""One layer triple from three texts: foreground, then what is around it, then what is behind it.

Images are uint8 (h, w, 4), straight alpha; composite and background are opaque. Source: paper section 3.3.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from pellucid.data.filters.triple_rules import (
    TripleMeasures,
    TripleRules,
    measure_background,
    measure_changed,
    measure_foreground,
    reason_to_drop_triple,
)
from pellucid.data.scene_prompts import ScenePrompt
from pellucid.pipelines.arguments import MAX_SEED
from pellucid.pipelines.layer_sampler import LAYER_SEED_STRIDE
from pellucid.pipelines.opaque_inpainting import Inpainter
from pellucid.pipelines.pipeline import TransparentPipeline
from pellucid.rgba.compositing import opaque, over
from pellucid.rgba.quantization import to_bytes, to_float
from pellucid.rgba.resizing import on_grey
from pellucid.rgba.types import RGBA8, AnyArray
from pellucid.synthesis.models import ImageOptions

GROWN_PX = 8
"""Pixels around the foreground that are repainted with it: its shadow, reflections and soft outline lie
there. Source: paper section 3.3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeTriple:
    """Three images of one scene, and what was measured of them."""

    foreground: RGBA8
    background: RGBA8
    composite: RGBA8
    measures: TripleMeasures


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedTriple:
    """Why a triple was dropped, and what was known by then."""

    reason: str
    measures: TripleMeasures


def synthesise(
    prompt: ScenePrompt,
    seed: int,
    pipe: TransparentPipeline,
    inpainter: Inpainter,
    rules: TripleRules,
    *,
    options: ImageOptions | None = None,
) -> MadeTriple | FailedTriple:
    """Makes one triple, or as much of it as the rules let pass.

    Args:
        prompt: what each image shows.
        seed: of the foreground; both inpaintings share another one that follows from it, so that what is
            painted behind the foreground goes on with the scene around it.
        pipe: makes the foreground.
        inpainter: makes composite and background.
        rules: what the triple must pass.
        options: of the foreground.
    """
    scene_seed = (seed + LAYER_SEED_STRIDE) % (MAX_SEED + 1)
    options = options or ImageOptions()
    foreground = options.image_of(pipe.generate(prompt.foreground, **options.keywords(seed)))
    measures = measure_foreground(foreground)
    if reason := reason_to_drop_triple(measures, rules):
        return FailedTriple(reason=reason, measures=measures)

    around = (1 - to_float(foreground[..., 3])).astype(np.float32)
    text = prompt.composite if inpainter.knows_subjects else prompt.background
    painted = inpainter.inpaint(to_bytes(on_grey(foreground)), around, text, seed=scene_seed)
    if inpainter.knows_subjects:
        measures = measure_changed(measures, foreground, painted)
    # the foreground's own pixels over what was painted: seen through where it is glass, kept where it is not
    composite = over(foreground, opaque(painted))
    if reason := reason_to_drop_triple(measures, rules):
        return FailedTriple(reason=reason, measures=measures)

    behind = repainted_share(foreground)
    seen = np.ascontiguousarray(composite[..., :3])
    painted = inpainter.inpaint(seen, (behind > 0).astype(np.float32), prompt.background, seed=scene_seed)
    measures = measure_background(measures, foreground, seen, painted, behind)
    if reason := reason_to_drop_triple(measures, rules):
        return FailedTriple(reason=reason, measures=measures)
    mixed = painted * behind[..., None] + seen * (1 - behind[..., None])
    background = opaque(np.rint(mixed).astype(np.uint8))
    return MadeTriple(foreground=foreground, background=background, composite=composite, measures=measures)


def repainted_share(foreground: RGBA8) -> AnyArray:
    """Returns how much of each pixel of the background is repainted: float32 (h, w), [0, 1].

    1 where the foreground has any alpha, falling to 0 over `GROWN_PX` pixels around it: what is kept of the
    composite there is the same scene, so the two can be blended, which leaves no line.
    """
    shown = (foreground[..., 3] > 0).astype(np.uint8)
    if not shown.any():
        return np.zeros(shown.shape, np.float32)
    distance = cv2.distanceTransform(1 - shown, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.clip(1 - distance / (GROWN_PX + 1), 0, 1).astype(np.float32)
