"""Edits of a stack of layers: each gives a new stack, and layers that are not named stay the same objects.

Layers are listed bottom first. Names are those of layers and groups, see `find`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from difflib import SequenceMatcher

import numpy as np

from pellucid.errors import InputError
from pellucid.rgba.types import AnyArray, check_rgba8
from pellucid.scene.layer import Group, GroupNode, Layer, Mask, clipping_runs, facts, layer_tree, leaves

Layers = tuple[Layer, ...]
Node = Layer | GroupNode
Named = str | Layer | Group
"""A name, or the layer or group itself, which is clear where two are called the same."""
FITS = ("fit", "crop", "stretch", "keep")
LISTED = 12
"""Most names in an error; documents may have thousands."""


def find(layers: Sequence[Layer], named: Named) -> Layer | Group:
    """Finds a layer or group.

    Args:
        layers: the stack.
        named: a name; the names of its groups and its own, "weather / sun", where two are called the same;
            "#2" for the second layer from the top, as `pellucid show` lists them; or the object itself.

    Raises:
        InputError: none is called so, or several; says the names that there are, the nearest first.
    """
    groups = list(dict.fromkeys(group for layer in layers for group in layer.groups))
    nodes: list[Layer | Group] = [*reversed(layers), *groups]
    if not isinstance(named, str):
        if named not in nodes:
            raise InputError(
                f"Expected a layer of this scene, found another called {named.name!r}. "
                "Take one of `scene.layers`, or a name."
            )
        return named
    found = [node for node in nodes if node.name == named] or [
        layer for layer in layers if path_of(layer) == named
    ]
    number = re.fullmatch(r"#([1-9]\d{0,5})", named)
    if not found and number and int(number[1]) <= len(layers):
        return layers[-int(number[1])]
    if len(found) == 1:
        return found[0]
    names = _nearest(
        named, dict.fromkeys(path_of(node) if isinstance(node, Layer) else node.name for node in nodes)
    )
    if found:
        numbers = [f"#{len(layers) - at}" for at, layer in enumerate(layers) if layer in found]
        which = (
            f", or say which by its number from the top: {', '.join(reversed(numbers))}" if numbers else ""
        )
        raise InputError(
            f"Expected one layer called {named!r}, found {len(found)} of: {names}. Rename one{which}."
        )
    raise InputError(f"No layer is called {named!r}. Choose one of: {names}.")


def path_of(layer: Layer) -> str:
    """Returns the names of a layer's groups and its own, as `pellucid show` prints them: "weather / sun"."""
    return " / ".join([*(group.name for group in layer.groups), layer.name])


def with_pixels(layers: Layers, named: Named, new: Layer | AnyArray, fit: str = "fit") -> Layers:
    """Puts another image in a layer's place; see `Scene.replace`."""
    old = _layer(layers, named)
    if fit not in FITS:
        raise InputError(f"No way of fitting is called {fit!r}. Choose one of {', '.join(FITS)}.")
    source = replace(old, image=check_rgba8(new), provenance=None) if isinstance(new, np.ndarray) else new
    size, place = (old.image.shape[0], old.image.shape[1]), old.offset
    if fit == "keep":
        new_size = source.image.shape[:2]
        place = old.offset[0] + (size[0] - new_size[0]) // 2, old.offset[1] + (size[1] - new_size[1]) // 2
        image = source.image
    else:
        # imported here: opening a document does without OpenCV
        from pellucid.rgba.resizing import fit_rgba

        image = fit_rgba(source.image, *size, fit)
    placed = replace(old, image=image, offset=place, name=source.name, provenance=source.provenance)
    return _mapped(layers, {old: placed})


def without(layers: Layers, names: Sequence[Named]) -> Layers:
    """Takes layers and groups out; see `Scene.without`."""
    removed = {layer for named in names for layer in _inside(layers, find(layers, named))}
    kept = tuple(layer for layer in layers if layer not in removed)
    if not kept:
        raise InputError("Expected a layer to stay, found all of them named. Leave one.")
    # left alone they would be seen whole, or be clipped to what happens to lie below
    loose = [
        repr(facts(node).name)
        for base, clipped in _runs(layer_tree(layers))
        for node in clipped
        if _is_gone(base, removed) and not _is_gone(node, removed)
    ]
    if loose:
        raise InputError(
            f"Expected nothing clipped to what is taken out, found {', '.join(loose[:LISTED])}. "
            "Take it out too."
        )
    return kept


def moved(layers: Layers, named: Named, left: int | None, top: int | None) -> Layers:
    """Moves a layer or group, with its masks; see `Scene.move`."""
    found = find(layers, named)
    inside = _inside(layers, found)
    corner = min(layer.offset[0] for layer in inside), min(layer.offset[1] for layer in inside)
    by = (0 if top is None else top - corner[0]), (0 if left is None else left - corner[1])

    def shift(layer: Layer) -> Layer:
        return replace(layer, offset=_sum(layer.offset, by), mask=_shifted(layer.mask, by))

    changed = _mapped(layers, {layer: shift(layer) for layer in inside})
    if isinstance(found, Layer):
        return changed
    groups = {group for layer in inside for group in layer.groups[layer.groups.index(found) :]}
    return _with_groups(changed, {group: replace(group, mask=_shifted(group.mask, by)) for group in groups})


def shifted(layers: Layers, by: tuple[int, int]) -> Layers:
    """Moves all layers, and the masks of layers and groups, down and to the right."""
    moved = {
        layer: replace(layer, offset=_sum(layer.offset, by), mask=_shifted(layer.mask, by))
        for layer in layers
    }
    groups = {group for layer in layers for group in layer.groups}
    return _with_groups(
        _mapped(layers, moved), {group: replace(group, mask=_shifted(group.mask, by)) for group in groups}
    )


def renamed(layers: Layers, named: Named, name: str) -> Layers:
    """Gives a layer or group another name."""
    found = find(layers, named)
    if isinstance(found, Layer):
        return _mapped(layers, {found: replace(found, name=name)})
    return _with_groups(layers, {found: replace(found, name=name)})


def with_opacity(layers: Layers, named: Named, opacity: float) -> Layers:
    """Gives a layer or group another opacity."""
    found = find(layers, named)
    if isinstance(found, Layer):
        return _mapped(layers, {found: replace(found, opacity=opacity)})
    return _with_groups(layers, {found: replace(found, opacity=opacity)})


def reordered(layers: Layers, names: Sequence[Named]) -> Layers:
    """Deals the places of the named layers out among them; see `Scene.reorder`."""
    order = [_layer(layers, named) for named in names]
    if len(set(order)) != len(order):
        raise InputError(
            f"Expected each layer once, found {[layer.name for layer in order][:LISTED]}. Name each once."
        )
    places = sorted(layers.index(layer) for layer in order)
    result = list(layers)
    for place, layer in zip(places, order, strict=True):
        result[place] = replace(layer, groups=layers[place].groups)
    return tuple(result)


def _layer(layers: Layers, named: Named) -> Layer:
    found = find(layers, named)
    if isinstance(found, Group):
        raise InputError(f"Expected a layer, found the group {found.name!r}. Name one of the layers in it.")
    return found


def _inside(layers: Layers, found: Layer | Group) -> list[Layer]:
    return [found] if isinstance(found, Layer) else [layer for layer in layers if found in layer.groups]


def _mapped(layers: Layers, changes: dict[Layer, Layer]) -> Layers:
    return tuple(changes.get(layer, layer) for layer in layers)


def _with_groups(layers: Layers, changes: dict[Group, Group]) -> Layers:
    # a layer outside of all of them stays the object that it is
    return tuple(
        replace(layer, groups=tuple(changes.get(group, group) for group in layer.groups))
        if any(group in changes for group in layer.groups)
        else layer
        for layer in layers
    )


def _runs(nodes: Sequence[Node]) -> Iterator[tuple[Node, list[Node]]]:
    """Yields every layer and group of a tree that is not clipped, with what is clipped to it."""
    for base, clipped in clipping_runs(nodes):
        yield base, clipped
        for node in (base, *clipped):
            if isinstance(node, GroupNode):
                yield from _runs(node.children)


def _is_gone(node: Node, removed: set[Layer]) -> bool:
    return all(layer in removed for layer in leaves(node))


def _sum(offset: tuple[int, int], by: tuple[int, int]) -> tuple[int, int]:
    return offset[0] + by[0], offset[1] + by[1]


def _shifted(mask: Mask | None, by: tuple[int, int]) -> Mask | None:
    return None if mask is None else replace(mask, offset=_sum(mask.offset, by))


def _nearest(wanted: str, names: Iterable[str]) -> str:
    """Returns names, quoted, those most like the wanted one first."""
    ordered = sorted(names, key=lambda name: -SequenceMatcher(None, wanted.lower(), name.lower()).ratio())
    more = f" and {len(ordered) - LISTED} more" if len(ordered) > LISTED else ""
    return ", ".join(repr(name[:60]) for name in ordered[:LISTED]) + more
