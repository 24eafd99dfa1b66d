"""Writes the tables of docs/families.md from the rows; with `--check` it only compares."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

from pellucid.pipelines.families import ROWS, ModelFamily
from pellucid.pipelines.refused_pipelines import refusal_of

PAGE = Path(__file__).parents[1] / "docs" / "families.md"


def main() -> int:
    """Writes the page, or tells with `--check` whether it is as it would be written."""
    text = PAGE.read_text(encoding="utf-8")
    for name, lines in {"latents": latents(), "what works": works(), "refused": refused()}.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        text = before + begin + "\n".join(lines) + "\n" + end + rest.partition(end)[2]
    if "--check" in sys.argv:
        current = PAGE.read_text(encoding="utf-8") == text
        print("current" if current else "docs/families.md is out of date. Run python scripts/families.py.")
        return 0 if current else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


def latents() -> Iterator[str]:
    """Yields the table of latents."""
    yield "| family | VAE | channels | scaling | shift | pixels a latent | packing | denoiser | models |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in ROWS:
        numbers = " | ".join(map(_factor, (row.scaling_factor, row.shift_factor)))
        yield (
            f"| `{row.name}` | {row.vae} | {row.latent_channels} | {numbers} | {row.vae_scale_factor} "
            f"| {row.packing} | `{row.denoiser}` | {row.title} |"
        )


def works() -> Iterator[str]:
    """Yields the table of classes that are taken, and with what."""
    yield "| family | pipelines of diffusers | an image enters | guidance | named schedulers |"
    yield "|---|---|---|---|---|"
    for row in ROWS:
        classes = ", ".join(f"`{name}`" for variants in row.variants for name in variants.names)
        # some variants of others run with their own kind alone, which the page says in words
        own = row.flow or all(variants.own_scheduler for variants in row.variants)
        schedulers = "none" if own else "yes"
        yield f"| `{row.name}` | {classes} | {_entry(row)} | `{row.guidance}` | {schedulers} |"


def refused() -> Iterator[str]:
    """Yields the table of classes that are not taken."""
    packages: dict[str, list[str]] = importlib.import_module("diffusers.pipelines")._import_structure
    known = {name for row in ROWS for variants in row.variants for name in variants.names}
    reasons: dict[tuple[str, str], list[str]] = {}
    for package, names in packages.items():
        for name in names:
            refusal = refusal_of(name, package)
            if name.endswith("Pipeline") and name not in known and refusal is not None:
                reasons.setdefault((refusal.reason, refusal.advice), []).append(name)
    yield "| which | classes | what to do |"
    yield "|---|---|---|"
    for (reason, advice), names in sorted(reasons.items()):
        yield f"| {reason} | {', '.join(f'`{name}`' for name in sorted(names))} | {advice} |"


def _factor(value: float | None) -> str:
    return "by channel" if value is None else f"{value:g}"


def _entry(row: ModelFamily) -> str:
    kinds = {"image-to-image" if each.image_to_image else "a later start" for each in row.variants}
    return " or ".join(sorted(kinds, reverse=True))


if __name__ == "__main__":
    sys.exit(main())
