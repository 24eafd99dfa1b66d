"""Which endings are images, and which keep layers. Imports nothing, so that a command's options can ask."""

LAYERED = (".psd", ".ora", ".zip")
"""Keep every layer, hidden ones too."""
TIFF_ENDINGS = (".tif", ".tiff")
"""Keep what is seen, a page a layer."""
IN_LAYERS = (*LAYERED, *TIFF_ENDINGS)
"""May hold more than one image over another, in whichever way."""
READABLE = frozenset(
    (
        *IN_LAYERS,
        *(".png", ".apng", ".webp", ".avif", ".jpg", ".jpeg", ".gif", ".bmp", ".ico", ".tga", ".psb"),
    )
)
"""What is taken out of a folder as an image; a file that is named is read whatever its ending."""
