"""A scene as OpenRaster 0.0.6: `mimetype`, `stack.xml`, a PNG a layer, the flattened image and a thumbnail.

Opacity is exact, places may lie outside the canvas. `pellucid.json` beside them holds provenance. Filters,
texts and modes that are not known here are refused, since they would look different.

| what | how |
|---|---|
| blend modes | by the names of the specification; others by Krita's (`krita:linear_burn`) |
| a group | `isolation="isolate"`, or "auto" if it passes through; no word means that too, as in Krita |
| clipped layers | by `svg:src-atop`, with their base in a stack; only normal ones have such a form |
| masks | a layer's is multiplied into its alpha; a group's is a layer with `svg:dst-in` on top in it |

A stack with a mode or an opacity below 1 is isolated, whatever its `isolation` says.

Source: OpenRaster specification, openraster.org; places of nested stacks add up, as in MyPaint.
"""

from collections.abc import Mapping
from types import MappingProxyType

from pellucid.rgba.blend_modes import BlendMode

MIME = "image/openraster"
VERSION = "0.0.6"
STACK, METADATA_FILE = "stack.xml", "pellucid.json"
MERGED, THUMBNAIL = "mergedimage.png", "Thumbnails/thumbnail.png"
THUMBNAIL_SIDE = 256
MAX_XML_BYTES = 1 << 24
FARTHEST = 1 << 31
"""Pixels from the canvas at which no layer lies."""
NORMAL = "svg:src-over"
OPERATIONS: Mapping[BlendMode, str] = MappingProxyType(
    {
        "normal": NORMAL,
        "multiply": "svg:multiply",
        "screen": "svg:screen",
        "overlay": "svg:overlay",
        "darken": "svg:darken",
        "lighten": "svg:lighten",
        "color_dodge": "svg:color-dodge",
        "color_burn": "svg:color-burn",
        "hard_light": "svg:hard-light",
        "soft_light": "svg:soft-light",
        "difference": "svg:difference",
        "color": "svg:color",
        "luminosity": "svg:luminosity",
        "hue": "svg:hue",
        "saturation": "svg:saturation",
        "plus": "svg:plus",
        "destination_in": "svg:dst-in",
        "destination_out": "svg:dst-out",
        "source_atop": "svg:src-atop",
        "destination_atop": "svg:dst-atop",
        "exclusion": "krita:exclusion",
        "linear_burn": "krita:linear_burn",
        "linear_dodge": "krita:linear_dodge",
        "linear_light": "krita:linear light",
        "vivid_light": "krita:vivid_light",
        "pin_light": "krita:pin_light",
        "hard_mix": "krita:hard_mix_photoshop",
        "subtract": "krita:subtract",
        "divide": "krita:divide",
        "darker_color": "krita:darker color",
        "lighter_color": "krita:lighter color",
    }
)
"""Blend mode to its `composite-op`."""
ISOLATED, PASSES = "isolate", "auto"
PLAIN = {"opacity": "1.0", "visibility": "visible", "composite-op": NORMAL}
"""Of a node that is shown as it is."""
MASK = {"name": "mask", "composite-op": OPERATIONS["destination_in"], "opacity": "1.0"}
"""Of a layer on top in a stack that stands for the mask of a group."""
MODES: Mapping[str, BlendMode] = MappingProxyType(
    {**{name: mode for mode, name in OPERATIONS.items()}, "svg:exclusion": "exclusion"}
)
