"""The layered document; importing it tells `Scene`, which knows no format, how files are written and read."""

from pellucid.scene.formats.registry import read_document, write_document
from pellucid.scene.scene import Formats, register_formats

register_formats(Formats(write=write_document, read=read_document))
