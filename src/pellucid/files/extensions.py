"""Which endings keep layers. Imports nothing, so that a command's options can ask."""

LAYERED = (".psd", ".ora", ".zip")
"""Keep every layer, hidden ones too."""
TIFF_ENDINGS = (".tif", ".tiff")
"""Keep what is seen, a page a layer."""
