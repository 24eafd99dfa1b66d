"""`pellucid data layers`: scenes of a foreground, a background and both together."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pellucid.apps.commands.data_sets import (
    chat_deadline,
    echo_manifest,
    read_overrides,
)
from pellucid.apps.commands.engines import build_engine, engine_options
from pellucid.apps.commands.options import (
    CLEAN_FIRST,
    FILE,
    JSON,
    PATH,
    ModelChoice,
    model_options,
    quieten_libraries,
)
from pellucid.apps.sections import SectionedCommand, option
from pellucid.errors import InputError

if TYPE_CHECKING:
    from pellucid.data.filters.triple_rules import TripleRules
    from pellucid.data.scene_prompts import SceneSource
    from pellucid.synthesis.models import ModelSource

COMPOSED_PX = 256


@click.command("layers", cls=SectionedCommand, short_help="Make scenes of two layers.")
@click.argument("sets", nargs=-1)
@option(
    "Scenes",
    "--method",
    type=click.Choice(("compose", "synthesize")),
    default="compose",
    show_default=True,
    help="Place images of SETS on backgrounds, or let models make all three images.",
)
@option(
    "Scenes", "--count", type=click.IntRange(1), default=1000, show_default=True, help="Number of scenes."
)
@option(
    "Scenes",
    "--size-px",
    type=click.IntRange(8),
    help=f"Height and width in pixels.  [default: {COMPOSED_PX} composed, the model's own synthesized]",
)
@option(
    "Scenes",
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="The same seed gives the same scenes.",
)
@option(
    "Scenes",
    "--backgrounds",
    default="land-photos",
    show_default=True,
    help="Set of the opaque images, composed.",
)
@option(
    "Prompts",
    "--prompts",
    type=FILE,
    help="Foreground, composite and background a line (.jsonl), or a grammar of them (.toml).  "
    "[default: the grammar that ships]",
)
@option("Prompts", "--chat-url", metavar="URL", help="OpenAI-compatible server that writes the prompts.")
@option("Prompts", "--chat-model", metavar="NAME", help="Its model.")
@option(
    "Prompts",
    "--key-variable",
    default="OPENAI_API_KEY",
    show_default=True,
    help="Environment variable with its key.",
)
@chat_deadline("Prompts")
@option(
    "Prompts", "--text-model", type=PATH, help="Folder of a text-generation model that writes the prompts."
)
@option(
    "Inpainting",
    "--inpainter",
    metavar="PATH",
    help="Pipeline that diffusers can inpaint with: a folder or a hub id.  [default: the model itself]",
)
@option("Inpainting", "--inpaint-steps", type=click.IntRange(1), help="Its steps.  [default: its own]")
@option("Inpainting", "--inpaint-guidance", type=float, help="Its guidance.  [default: its own]")
@CLEAN_FIRST
@option(
    "Filters",
    "--rules",
    "rules_file",
    type=FILE,
    help="Thresholds of synthesized scenes (TOML).",
)
@option(
    "Filters",
    "--set",
    "overrides",
    multiple=True,
    metavar="RULE=VALUE",
    help="Replace one threshold, as in --set max_seam=30. See docs/how-to/layer-triples.md.",
)
@option("Sampling", "--steps", type=click.IntRange(1), help="Of the foregrounds.  [default: the model's]")
@option("Sampling", "--guidance", type=float, help="Of the foregrounds.  [default: the model's]")
@model_options
@engine_options
@option("Output", "--licence", default="", help="Of synthesized images, kept with each.")
@option(
    "Output",
    "-o",
    "--output",
    required=True,
    metavar="PATH",
    help="Shard to write; for --method synthesize a folder of shards, or its address.",
)
@JSON
def layers_command(
    sets: tuple[str, ...],
    method: str,
    count: int,
    size_px: int | None,
    seed: int,
    backgrounds: str,
    prompts: Path | None,
    chat_url: str | None,
    chat_model: str | None,
    key_variable: str,
    deadline_s: float,
    text_model: Path | None,
    inpainter: str | None,
    inpaint_steps: int | None,
    inpaint_guidance: float | None,
    wants_clean: bool,
    rules_file: Path | None,
    overrides: tuple[str, ...],
    steps: int | None,
    guidance: float | None,
    choice: ModelChoice,
    engine: str,
    workers: int | None,
    ray_address: str | None,
    licence: str,
    output: str,
    as_json: bool,
) -> None:
    """Make scenes of two layers: foreground, background, composite and a text of each.

    Composed, images of SETS are placed on backgrounds, and the composite is exactly both. Synthesized, a
    model makes a foreground from text, another paints what is around it, and then what is behind it; scenes
    that failed are left out, and dropped.jsonl tells why. The same command goes on after a stop.
    """
    if method == "compose":
        if not sets:
            raise InputError("Expected SETS to place on backgrounds, found none. Name one of `data pull`.")
        _compose(sets, backgrounds, count, size_px or COMPOSED_PX, seed, Path(output), as_json)
        return
    if sets or output.endswith(".tar"):
        found = f"the sets {', '.join(sets)}" if sets else f"the file {output}"
        raise InputError(
            f"Expected --method synthesize with a folder for its shards and no SETS, found {found}. "
            "Name a folder alone."
        )
    source = model_source(choice)
    from pellucid.synthesis.models import ImageOptions, InpainterSource
    from pellucid.synthesis.triple_run import TriplePlan, run_triples

    plan = TriplePlan(
        folder=output.rstrip("/"),
        count=count,
        seed=seed,
        scenes=_scene_source(
            prompts, chat_url, chat_model, key_variable, deadline_s, text_model, choice.resolved_device
        ),
        source=source,
        inpainter=InpainterSource(
            path=inpainter or "", num_inference_steps=inpaint_steps, guidance_scale=inpaint_guidance
        ),
        options=ImageOptions(
            height=size_px,
            width=size_px,
            num_inference_steps=steps,
            guidance_scale=guidance,
            clean=wants_clean,
        ),
        rules=_triple_rules(rules_file, read_overrides(overrides)),
        licence=licence,
    )
    built = build_engine(engine, workers, ray_address, device=choice.resolved_device)
    echo_manifest(run_triples(plan, built), plan.folder, as_json)


def model_source(choice: ModelChoice) -> "ModelSource":
    """Names the chosen model for workers, which load it themselves."""
    quieten_libraries()
    from pellucid.synthesis.models import ModelSource

    return ModelSource(
        model=choice.name, adapter=choice.adapter, device=choice.resolved_device, dtype=choice.dtype
    )


def _compose(
    sets: tuple[str, ...],
    backgrounds: str,
    count: int,
    size_px: int,
    seed: int,
    output: Path,
    as_json: bool,
) -> None:
    from pellucid.data.datasets import shards_of
    from pellucid.data.layer_composition import layer_triples, write_triples
    from pellucid.data.shards import read_shard

    fronts = [sample for name in sets for shard in shards_of(name) for sample in read_shard(shard)]
    backs = [sample for shard in shards_of(backgrounds) for sample in read_shard(shard)]
    made = layer_triples(fronts, backs, count, size_px=size_px, seed=seed)
    scenes = write_triples(made, output, seed=seed)
    if as_json:
        click.echo(json.dumps({"path": str(output), "images": scenes}))
    else:
        click.echo(f"{output}: {scenes} scenes, {output.stat().st_size} bytes")


def _scene_source(
    prompts: Path | None,
    chat_url: str | None,
    chat_model: str | None,
    key_variable: str,
    deadline_s: float,
    text_model: Path | None,
    device: str,
) -> "SceneSource":
    from pellucid.data.chat import ChatModel
    from pellucid.data.scene_prompts import (
        NEW_TOKENS,
        ChatScenes,
        LocalScenes,
        read_scene_grammar,
        read_scenes,
        shipped_scenes,
    )

    if bool(chat_url) != bool(chat_model) or bool(chat_url) + bool(text_model) > 1:
        raise InputError(
            "Expected --chat-url with --chat-model, or --text-model, or neither, found something between. "
            "Choose who writes the prompts."
        )
    is_grammar = prompts is not None and prompts.suffix == ".toml"
    if prompts is not None and not is_grammar:
        if chat_url or text_model:
            raise InputError(
                f"Expected a grammar (.toml) whose scenes give a language model its ideas, found {prompts}. "
                "Leave the file out, or the model."
            )
        return read_scenes(prompts)
    ideas = read_scene_grammar(prompts) if prompts is not None else shipped_scenes()
    if chat_url:
        # warm, or every question about one subject would have one answer
        chat = ChatModel(
            url=chat_url,
            model=str(chat_model),
            key_variable=key_variable,
            max_tokens=NEW_TOKENS,
            temperature=0.9,
            deadline_s=deadline_s,
        )
        return ChatScenes(chat=chat, ideas=ideas)
    return LocalScenes(folder=str(text_model), ideas=ideas, device=device) if text_model else ideas


def _triple_rules(path: Path | None, overrides: Mapping[str, str]) -> "TripleRules":
    from pellucid.data.filters.rules import read_table
    from pellucid.data.filters.triple_rules import make_triple_rules

    return make_triple_rules(read_table(path, overrides))


COMMANDS = (layers_command,)
