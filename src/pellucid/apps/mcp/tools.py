"""The tools that an agent calls: images are made, saved below one folder, and shown to it.

An agent reads what it is told. So every answer holds the image itself and, as text, the path of the file, its
size and seed; an error is the sentence that people get.
"""

import json
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Image
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from pellucid._version import __version__
from pellucid.apps.commands.names import default_path, numbered, write_result
from pellucid.errors import InputError, PellucidError
from pellucid.files.images import encode_image, read_rgba
from pellucid.rgba.resizing import fit_rgba, fitted_box
from pellucid.scene.cleanup import clean_scene
from pellucid.scene.scene import Scene

INSTRUCTIONS = (
    "Makes images with true transparency. Give prompts that name one object and no background, such as "
    "'a glass bottle of honey'. Files are PNG, WebP or AVIF for one image, PSD or ORA for layers."
)
SHOWN_PX = 768
"""Longest side of an image as the agent sees it; the file has all of it."""
Seed = Annotated[int | None, Field(description="The same seed gives the same image.")]
SavePath = Annotated[
    str | None, Field(description="File to write, below the server's folder. None names it after the prompt.")
]
Count = Annotated[int, Field(ge=1, le=10, description="Images of one prompt.")]
Answer = list[Any]
"""Images and text, as the protocol's package takes them."""


class Tools:
    """The tools over one pipeline, here or on a server, with files below one folder."""

    def __init__(self, folder: Path, load: Callable[[], Any]) -> None:
        """`load` makes the pipeline when the first tool needs it."""
        self.folder, self.load = folder.resolve(), cache(load)

    def generate(
        self,
        prompt: str,
        path: SavePath = None,
        width: int | None = None,
        height: int | None = None,
        seed: Seed = None,
        count: Count = 1,
    ) -> Answer:
        """Make a transparent image of what the prompt names: an object, glass, smoke; no background."""
        scenes = self.load().generate([prompt], count=count, seed=seed, width=width, height=height)
        return self._saved(scenes, path, prompt, "png")

    def layers(
        self,
        background: Annotated[str, Field(description="What lies below: a text, or the path of an image.")],
        foregrounds: Annotated[list[str], Field(description="What each layer above shows, lowest first.")],
        path: SavePath = None,
        seed: Seed = None,
    ) -> Answer:
        """Make a scene of editable layers, a PSD or ORA document: a background and objects on it."""
        if not foregrounds:
            raise InputError("Expected at least one foreground, found none. Say what the layers show.")
        pipe, texts = self.load(), list(foregrounds)
        if self._inside(background).is_file():
            scene: Scene = pipe.foreground_on(read_rgba(self._inside(background)), texts.pop(0), seed=seed)
        else:
            scene = pipe.joint(texts.pop(0), background, seed=seed)
        for text in texts:
            scene = pipe.add_layer(scene, text, seed=seed)
        return self._saved([scene], path, ", ".join(foregrounds), "psd")

    def vary(
        self, image: str, prompt: str, strength: float = 0.6, path: SavePath = None, seed: Seed = None
    ) -> Answer:
        """Repaint an image after a prompt, transparency included; a strength of 0 keeps it, 1 ignores it."""
        rgba = read_rgba(self._inside(image))
        scenes = self.load().vary(rgba, [prompt], strength=strength, seed=seed)
        return self._saved(scenes, path, prompt, "png")

    def inpaint(self, image: str, mask: str, prompt: str, path: SavePath = None, seed: Seed = None) -> Answer:
        """Repaint an image where a mask is white; outside not a byte changes."""
        rgba, share = read_rgba(self._inside(image)), read_rgba(self._inside(mask))
        return self._saved(self.load().inpaint(rgba, share, [prompt], seed=seed), path, prompt, "png")

    def clean(self, image: str, path: SavePath = None) -> Answer:
        """Repair an image's transparency: dirty edges, specks, pinholes, coloured fringes."""
        source = self._inside(image)
        ending = source.suffix.removeprefix(".") if source.suffix in (".psd", ".ora") else "png"
        return self._saved([clean_scene(Scene.open(source))[0]], path, f"{source.stem} clean", ending)

    def show(self, image: str) -> Answer:
        """Look at an image or document, and read how it was made: size, prompt, seed, layers."""
        source = self._inside(image)
        scene = Scene.open(source)
        made = scene.provenance
        rgba = scene.composite()
        facts = {
            "path": self._told(source), "width": scene.width, "height": scene.height,
            "transparent_share": round(float((rgba[..., 3] < 255).mean()), 4),
            "layers": [layer.name for layer in scene.layers],
            "made": json.loads(made.to_json(ascii_only=False)) if made else None,
        }  # fmt: skip
        return [_shown(scene), json.dumps(facts)]

    def _saved(self, scenes: list[Scene], path: str | None, text: str, ending: str) -> Answer:
        """Saves scenes and returns them as the agent sees them, each with its facts."""
        answer: Answer = []
        for index, scene in enumerate(scenes):
            target = self._inside(path or default_path(text, f".{ending}").name)
            target.parent.mkdir(parents=True, exist_ok=True)
            if len(scenes) > 1 and path is not None:
                target = numbered(target, index + 1)
            # a name that was made up never replaces a file
            target = write_result(target, scene.save, named=path is not None)
            made = scene.provenance
            facts = {
                "path": self._told(target), "width": scene.width, "height": scene.height,
                "seed": made and made.seed, "layers": [layer.name for layer in scene.layers],
            }  # fmt: skip
            answer += [_shown(scene), json.dumps(facts)]
        return answer

    def _inside(self, path: str) -> Path:
        """Returns a path below the folder.

        Raises:
            InputError: it leads elsewhere.
        """
        found = (self.folder / path).resolve()
        if not found.is_relative_to(self.folder):
            raise InputError(f"Expected a path below {self.folder}, found {path!r:.200}. Choose one there.")
        return found

    def _told(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def _shown(scene: Scene) -> Image:
    rgba = scene.composite()
    if max(rgba.shape[:2]) > SHOWN_PX:
        _, _, rows, columns = fitted_box(rgba.shape[:2], (SHOWN_PX, SHOWN_PX))
        rgba = fit_rgba(rgba, rows, columns, "stretch")
    return Image(data=encode_image(rgba), format="png")


def make_server(tools: Tools) -> MCPServer[Any]:
    """Makes the protocol's server around the tools; their names, arguments and texts are the methods' own."""
    server: MCPServer[Any] = MCPServer(
        "pellucid", instructions=INSTRUCTIONS, version=__version__, log_level="CRITICAL"
    )
    for method in (tools.generate, tools.layers, tools.vary, tools.inpaint, tools.clean, tools.show):
        server.tool(structured_output=False)(_telling(method))
    return server


def _telling(method: Callable[..., Answer]) -> Callable[..., Answer]:
    """Lets an agent read our errors; of others the protocol's package tells it nothing."""

    @wraps(method)
    def tool(**arguments: object) -> Answer:
        try:
            return method(**arguments)
        except PellucidError as error:
            raise ToolError(str(error)) from None

    return tool
