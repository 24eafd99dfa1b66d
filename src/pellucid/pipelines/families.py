"""Every family of diffusion models that can be made transparent, as a row of data.

A new family is a row in `unet_families`, `transformer_families`, `newer_families` or `recent_families`. The
latents' numbers there are the released VAEs'; a pipeline's own VAE is what computes
(`pellucid.models.latent_space`).
"""

from collections.abc import Mapping
from pathlib import Path

from pellucid.pipelines.family import ClassPath, ModelFamily, PipelineVariants
from pellucid.pipelines.modes import Mode
from pellucid.pipelines.newer_families import NEWER_FAMILIES
from pellucid.pipelines.recent_families import RECENT_FAMILIES
from pellucid.pipelines.transformer_families import TRANSFORMER_FAMILIES
from pellucid.pipelines.unet_families import UNET_FAMILIES

__all__ = [
    "FAMILIES", "ROWS", "ClassPath", "ModelFamily", "PipelineVariants", "custom_mode",
]  # fmt: skip

ROWS: tuple[ModelFamily, ...] = (
    *UNET_FAMILIES, *TRANSFORMER_FAMILIES, *NEWER_FAMILIES, *RECENT_FAMILIES,
)  # fmt: skip
FAMILIES: Mapping[str, ModelFamily] = {row.name: row for row in ROWS}
"""Name -> row."""


def custom_mode(family: ModelFamily, adapter: Path | tuple[str | Path, ...] | None) -> Mode:
    """Returns the mode of one transparent layer for a codec of the user's own.

    Args:
        family: of the pipeline; gives the sampling defaults.
        adapter: a .safetensors file; several that lie over each other, the lowest first, which may be a name
            of the catalog; or None where the denoiser needs none.
    """
    highest = adapter[-1] if isinstance(adapter, tuple) else adapter
    name = Path(highest).stem if highest else "custom"
    title = "one transparent layer"
    return Mode(name=name, title=title, family=family.name, adapter=adapter, sampling=family.sampling)
