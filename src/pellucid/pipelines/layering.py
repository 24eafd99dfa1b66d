"""Scenes of several layers, as users ask for them: together, on a picture, behind one, one layer more.

Pictures are uint8 (h, w, 4), straight alpha, sRGB; sizes are (height, width). Layers are listed bottom first.
Source: paper section 3.3; SPEC d.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Unpack

import numpy as np

from pellucid.errors import InputError
from pellucid.pipelines.codec import rgba_of
from pellucid.pipelines.frames import FrameSampling, Prompt, jobs_of, unmixed
from pellucid.pipelines.modes import Role, Task
from pellucid.pipelines.options import LayerOptions, StackOptions, check_options
from pellucid.rgba.resizing import Pixels, check_fit, fit_pixels, fit_rgba, on_grey
from pellucid.rgba.types import AnyArray
from pellucid.scene.boxes import Box, cut, placed
from pellucid.scene.layer import Layer
from pellucid.scene.scene import Scene

MAX_NAME = 40


class LayerTasks(FrameSampling):
    """The part of `TransparentPipeline` that makes scenes of several layers."""

    def joint(
        self,
        foreground: Prompt,
        background: Prompt,
        composite: Prompt | None = None,
        **options: Unpack[LayerOptions],
    ) -> Scene | list[Scene]:
        """Makes a foreground, a background and the picture of both, from text.

        Args:
            foreground: what the transparent layer shows; a list makes a scene each.
            background: what the opaque layer below it shows.
            composite: what both together show; None joins the two texts.
            options: `count`, `seed`, `height`, … of `pellucid.pipelines.options.LayerOptions`.

        Returns:
            A scene of background and foreground for one prompt and a count of 1; else a list. The model's own
            picture of both, if it makes one, is among `Scene.references`.

        Raises:
            InputError: an argument does not fit, or the model has no adapter for this.
        """
        check_options(options, LayerOptions, "joint")
        height, width = self._canvas(options, like=None)
        prompts: dict[Role, Prompt | None] = {"foreground": foreground, "background": background}
        return self._scenes_of("joint", {**prompts, "composite": composite}, {}, (height, width), options)

    def foreground_on(
        self,
        background: object,
        prompt: Prompt,
        *,
        composite: Prompt | None = None,
        fit: str = "crop",
        box: Box | None = None,
        **options: Unpack[LayerOptions],
    ) -> Scene | list[Scene]:
        """Makes a foreground that belongs on a picture.

        Args:
            background: picture of any size, mode and orientation: array, PIL picture or path.
            prompt: what the foreground shows; a list makes a scene each.
            composite: what both together show; None takes `prompt`.
            fit: how the picture meets another canvas: "crop", "fit" or "stretch".
            box: (top, left, height, width) of the part of the picture that the foreground is made for, px;
                its layer is as large and lies there. None is all of it. Not with `height` or `width`.
            options: see `joint`; without `height` and `width` the scene is as large as the picture, which
                stays to the byte, and what the model makes at its own size is enlarged to that.

        Returns:
            See `joint`.

        Raises:
            InputError: see `joint`.
        """
        check_options(options, LayerOptions, "foreground_on")
        prompts: dict[Role, Prompt | None] = {"foreground": prompt, "composite": composite}
        if box is None:
            return self._scenes_from("foreground_on", prompts, {"background": background}, fit, options)
        if options.get("height") is not None or options.get("width") is not None:
            raise InputError("Expected no height or width with a box, found some. Resize the picture first.")
        whole = rgba_of(background)
        found = self._scenes_from("foreground_on", prompts, {"background": cut(whole, box)}, fit, options)
        if isinstance(found, list):
            return [placed(each, whole, box) for each in found]
        return placed(found, whole, box)

    def background_for(
        self,
        foreground: object,
        prompt: Prompt,
        *,
        composite: Prompt | None = None,
        fit: str = "fit",
        **options: Unpack[LayerOptions],
    ) -> Scene | list[Scene]:
        """Makes a background that belongs behind a transparent picture.

        Args:
            foreground: see `foreground_on`'s picture; its alpha is kept.
            prompt: what the background shows; a list makes a scene each.
            composite: see `foreground_on`.
            fit: see `foreground_on`.
            options: see `foreground_on`.

        Returns:
            See `joint`.

        Raises:
            InputError: see `joint`.
        """
        check_options(options, LayerOptions, "background_for")
        prompts: dict[Role, Prompt | None] = {"background": prompt, "composite": composite}
        return self._scenes_from("background_for", prompts, {"foreground": foreground}, fit, options)

    def split(
        self,
        composite: object,
        prompt: Prompt = "",
        *,
        background: object = None,
        foreground: object = None,
        fit: str = "crop",
        **options: Unpack[LayerOptions],
    ) -> Scene | list[Scene]:
        """Takes a picture apart, given one of its two layers.

        A model without an adapter for this does it by arithmetic, see `pellucid.rgba.layer_separation`:
        gives the picture again, but nothing is made up that cannot be seen.

        Args:
            composite: the picture of both.
            prompt: what the missing layer shows.
            background: the picture without the foreground; the foreground is then made.
            foreground: the transparent layer; the background is then made. Give one of the two.
            fit: see `foreground_on`; both pictures are fitted the same way.
            options: see `foreground_on`.

        Returns:
            See `joint`; the picture given is the scene's reference.

        Raises:
            InputError: neither or both layers are given, and see `joint`.
        """
        check_options(options, LayerOptions, "split")
        if (background is None) == (foreground is None):
            found = "neither" if background is None else "both"
            raise InputError(
                f"Expected background or foreground, found {found}. Give the one layer that you have."
            )
        missing: Role = "foreground" if foreground is None else "background"
        task: Task = "split_foreground" if missing == "foreground" else "split_background"
        given: dict[Role, object] = {"composite": composite}
        given |= {"background": background} if foreground is None else {"foreground": foreground}
        prompts: dict[Role, Prompt | None] = {missing: prompt}
        if task in self.tasks:
            return self._scenes_from(task, prompts, given, fit, options)
        pictures = _opened(given)
        height, width = pictures["composite"].shape[:2]  # nothing here has a size of its own
        known, canvas = self._fitted(pictures, fit, {"height": height, "width": width, **options})
        jobs = jobs_of(prompts, known, options)
        for job in jobs:
            unmixed(job, missing)
        return self._result([self._assembled(job, canvas) for job in jobs], prompts, options)

    def add_layer(
        self,
        scene: Scene,
        prompt: Prompt,
        *,
        composite: Prompt | None = None,
        name: str | None = None,
        box: Box | None = None,
        **options: Unpack[StackOptions],
    ) -> Scene | list[Scene]:
        """Makes one more foreground, that belongs on what the scene shows now, on top of it.

        Args:
            scene: of any size and depth; its layers stay as they are.
            prompt: what the new layer shows.
            composite: what all shows together; None takes `prompt`.
            name: of the new layer; None takes the prompt.
            box: the part of the canvas that the layer is made for, see `foreground_on`.
            options: `count`, `seed`, … of `pellucid.pipelines.options.StackOptions`.

        Returns:
            A new scene, or a list as in `joint`.

        Raises:
            InputError: see `joint`.
        """
        check_options(options, StackOptions, "add_layer")
        prompts: dict[Role, Prompt | None] = {"foreground": prompt, "composite": composite}
        whole = scene.composite()
        below: dict[Role, object] = {"background": whole if box is None else cut(whole, box)}
        found = self._scenes_from("foreground_on", prompts, below, "stretch", options)
        grown: list[Scene] = []
        for each in found if isinstance(found, list) else [found]:
            each = each if box is None else placed(each, whole, box)
            made = each.layers[-1]
            asked = (made.provenance and made.provenance.prompt) or made.name
            top = replace(made, name=name or asked[:MAX_NAME])
            grown.append(replace(scene, layers=(*scene.layers, top), references=each.references))
        return grown if isinstance(found, list) else grown[0]

    def _scenes_from(
        self,
        task: Task,
        prompts: dict[Role, Prompt | None],
        pictures: Mapping[Role, object],
        fit: str,
        options: Mapping[str, Any],
    ) -> Scene | list[Scene]:
        given = _opened(pictures)
        known, canvas = self._fitted(given, fit, options)
        found = self._scenes_of(task, prompts, known, canvas, options)
        if options.get("height") is not None or options.get("width") is not None:
            return found
        if isinstance(found, list):
            return [_at_own_size(scene, given, fit) for scene in found]
        return _at_own_size(found, given, fit)

    def _fitted(
        self, given: Mapping[Role, AnyArray], fit: str, options: Mapping[str, Any]
    ) -> tuple[dict[Role, tuple[AnyArray, Pixels]], tuple[int, int]]:
        """Each picture as a layer and as a condition, on one canvas, and that canvas's size."""
        check_fit(fit)
        first = next(iter(given.values()))
        canvas = self._canvas(options, like=(first.shape[0], first.shape[1]))
        known: dict[Role, tuple[AnyArray, Pixels]] = {}
        for role, rgba in given.items():
            pixels = np.clip(fit_pixels(on_grey(rgba), *canvas, fit), 0, 1)
            known[role] = fit_rgba(rgba, *canvas, fit), pixels
        return known, canvas


def _opened(pictures: Mapping[Role, object]) -> dict[Role, AnyArray]:
    given: dict[Role, AnyArray] = {}
    for role, picture in pictures.items():
        given[role] = rgba_of(picture)
    return given


def _at_own_size(scene: Scene, given: Mapping[Role, AnyArray], fit: str) -> Scene:
    """The scene as large as the first picture given: that one to the byte, what was made enlarged."""
    height, width = next(iter(given.values())).shape[:2]
    originals: dict[str, AnyArray] = {
        role: fit_rgba(rgba, height, width, fit) for role, rgba in given.items()
    }

    def resized(layer: Layer) -> Layer:
        image = originals.get(layer.name)
        return replace(
            layer, image=fit_rgba(layer.image, height, width, "stretch") if image is None else image
        )

    return replace(
        scene,
        layers=tuple(resized(layer) for layer in scene.layers),
        references=tuple(resized(layer) for layer in scene.references),
        height=height,
        width=width,
    )
