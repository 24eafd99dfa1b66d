"""What ComfyUI and AUTOMATIC1111's web UI write about an image into its file, in the words used here.

Both are texts of a PNG: "prompt" is ComfyUI's graph of nodes as JSON, "parameters" is the web UI's text.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from pellucid.files.tables import is_list, is_table

FROM_PARAMETERS = {
    "Steps": "steps",
    "Sampler": "sampler",
    "Schedule type": "schedule",
    "CFG scale": "guidance",
    "Seed": "seed",
    "Model": "model",
    "Denoising strength": "strength",
}
FROM_SAMPLER = {
    "steps": "steps",
    "sampler_name": "sampler",
    "scheduler": "schedule",
    "cfg": "guidance",
    "seed": "seed",
    "noise_seed": "seed",
    "denoise": "strength",
}
MODEL_INPUTS = ("ckpt_name", "unet_name", "model_name")
MOST_NODES = 200
"""Between a sampler and its text."""
Node = Mapping[str, object]
NO_NODE: Node = MappingProxyType({})


def read_foreign(texts: Mapping[str, str]) -> dict[str, object]:
    """Returns prompt, negative prompt, seed, steps and the like, and "made by"; nothing if it is not known.

    Args:
        texts: of a file, by key, as `DecodedImage.metadata`.
    """
    if "parameters" in texts:
        return _read_parameters(texts["parameters"])
    if "prompt" in texts:
        return _read_graph(texts["prompt"])
    return {}


def _read_parameters(text: str) -> dict[str, object]:
    """Reads `prompt / Negative prompt: … / Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1`."""
    lines = text.strip().splitlines()
    if not lines or not re.match(r"Steps: \d+", lines[-1]):
        return {}
    words = "\n".join(lines[:-1])
    prompt, _, negative = words.partition("Negative prompt:")
    # values with commas stand in quotes
    pairs = re.findall(r'\s*([\w ]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)', lines[-1])
    found = {FROM_PARAMETERS[key]: _number(value) for key, value in pairs if key in FROM_PARAMETERS}
    stated: dict[str, object] = {"made by": "AUTOMATIC1111 web UI", "prompt": prompt.strip()}
    return stated | ({"negative_prompt": negative.strip()} if negative.strip() else {}) | found


def _read_graph(text: str) -> dict[str, object]:
    """Reads the nodes that sampled, and the texts that they were given."""
    try:
        graph = json.loads(text)
    # nested a thousand deep, JSON exhausts the stack
    except (RecursionError, ValueError):
        return {}
    if not is_table(graph) or not graph:
        return {}
    nodes = {str(name): node for name, node in graph.items() if is_table(node) and "class_type" in node}
    if not nodes:
        return {}
    sampler = next((node for node in nodes.values() if {"positive", "seed"} <= _inputs(node).keys()), None)
    sampler = sampler or next((node for node in nodes.values() if "positive" in _inputs(node)), NO_NODE)
    return {"made by": "ComfyUI", **_prompts(nodes, sampler), **_settings([sampler, *nodes.values()])}


def _prompts(nodes: Mapping[str, Node], sampler: Node) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, name in (("positive", "prompt"), ("negative", "negative_prompt")):
        words = next(_texts(nodes, _inputs(sampler).get(key), set()), "")
        found |= {name: words} if words else {}
    return found


def _settings(nodes: Sequence[Node]) -> dict[str, object]:
    """Returns what nodes say of sampling; the first that says it counts."""
    found: dict[str, object] = {}
    for node in nodes:
        for key, value in _inputs(node).items():
            name = "model" if key in MODEL_INPUTS else FROM_SAMPLER.get(key)
            # links to other nodes are lists
            if name and name not in found and isinstance(value, (str, int, float)):
                found[name] = value
    return found


def _texts(nodes: Mapping[str, Node], link: object, seen: set[str]) -> Iterator[str]:
    """Yields the texts that reach an input, those of the nearest nodes first; a graph may be a circle."""
    if not is_list(link) or not link or str(link[0]) in seen or len(seen) > MOST_NODES:
        return
    seen.add(str(link[0]))
    inputs = _inputs(nodes.get(str(link[0]), {}))
    yield from (value for key, value in inputs.items() if "text" in key and isinstance(value, str) and value)
    for value in inputs.values():
        yield from _texts(nodes, value, seen)


def _inputs(node: Node) -> Mapping[str, object]:
    inputs = node.get("inputs")
    return inputs if is_table(inputs) else {}


def _number(text: str) -> object:
    value = text.strip().strip('"')
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value
