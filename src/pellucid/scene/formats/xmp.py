"""Notes as XMP, the metadata that PSD and TIFF carry and other programs keep.

Source: XMP specification part 1 (ISO 16684-1), serialization as RDF/XML.
"""

import re
from xml.etree import ElementTree

from defusedxml.ElementTree import fromstring

from pellucid.files.metadata import GenerationMetadata
from pellucid.scene.formats.layer_metadata import LayerMetadata

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
DUBLIN_CORE = "http://purl.org/dc/elements/1.1/"
BASIC = "http://ns.adobe.com/xap/1.0/"
META = "adobe:ns:meta/"
OURS = "urn:pellucid:1.0/"
FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
PREFIXES = {"x": META, "rdf": RDF, "dc": DUBLIN_CORE, "xmp": BASIC, "pellucid": OURS}
LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"

# The identifier is the same in every XMP packet; programs look for it in files that they do not know.
BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
END = '<?xpacket end="w"?>'
MAX_BYTES = 1 << 24


def build_xmp(metadata: LayerMetadata, provenance: GenerationMetadata | None) -> bytes:
    """Builds an XMP packet with the metadata, and with prompt and program where others look for them."""
    for prefix, namespace in PREFIXES.items():
        ElementTree.register_namespace(prefix, namespace)
    root = ElementTree.Element(f"{{{META}}}xmpmeta")
    body = ElementTree.SubElement(ElementTree.SubElement(root, f"{{{RDF}}}RDF"), f"{{{RDF}}}Description")
    body.set(f"{{{RDF}}}about", "")
    words = (provenance or GenerationMetadata()).readable()
    body.set(f"{{{BASIC}}}CreatorTool", xml_text(words["Software"]))
    text = metadata.to_json()
    if text:
        body.set(f"{{{OURS}}}notes", text)
    if "Description" in words:
        alternatives = ElementTree.SubElement(
            ElementTree.SubElement(body, f"{{{DUBLIN_CORE}}}description"), f"{{{RDF}}}Alt"
        )
        # a description may be in several languages, of which one has to be the default
        item = ElementTree.SubElement(alternatives, f"{{{RDF}}}li", {LANGUAGE: "x-default"})
        item.text = xml_text(words["Description"])
    return f"{BEGIN}{ElementTree.tostring(root, encoding='unicode')}{END}".encode()


def parse_xmp(packet: object) -> LayerMetadata:
    """Parses the metadata of an XMP packet; returns an empty one for any other content."""
    if not isinstance(packet, bytes) or len(packet) > MAX_BYTES:
        return LayerMetadata()
    try:
        # defusedxml, since entities may name other files or unpack to gigabytes
        root = fromstring(packet.strip(b"\0 \r\n\t"))
    except (SyntaxError, ValueError, LookupError):  # not XML, entities, or an unknown encoding
        return LayerMetadata()
    name = f"{{{OURS}}}notes"
    for element in root.iter():
        text = element.text if element.tag == name else element.get(name)
        if text:
            return LayerMetadata.from_json(text)
    return LayerMetadata()


def xml_text(text: str) -> str:
    """Replaces what XML cannot hold, control characters, by U+FFFD.

    Source: XML 1.0, section 2.2.
    """
    return FORBIDDEN.sub("\ufffd", text)
