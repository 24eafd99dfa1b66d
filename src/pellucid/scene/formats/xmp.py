"""Notes as XMP, the metadata that PSD and TIFF carry and other programs keep.

Source: XMP specification part 1 (ISO 16684-1), serialization as RDF/XML.
"""

import re
from xml.etree import ElementTree

from defusedxml.ElementTree import fromstring

from pellucid.files.metadata import Provenance
from pellucid.scene.formats.layer_metadata import Notes

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
DUBLIN_CORE = "http://purl.org/dc/elements/1.1/"
BASIC = "http://ns.adobe.com/xap/1.0/"
META = "adobe:ns:meta/"
OURS = "urn:pellucid:1.0/"
FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
PREFIXES = {"x": META, "rdf": RDF, "dc": DUBLIN_CORE, "xmp": BASIC, "pellucid": OURS}
LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"

BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
END = '<?xpacket end="w"?>'
MAX_BYTES = 1 << 24


def xmp_of(notes: Notes, provenance: Provenance | None) -> bytes:
    """An XMP packet with the notes, and with prompt and program where other programs look for them."""
    for prefix, namespace in PREFIXES.items():
        ElementTree.register_namespace(prefix, namespace)
    root = ElementTree.Element(f"{{{META}}}xmpmeta")
    body = ElementTree.SubElement(ElementTree.SubElement(root, f"{{{RDF}}}RDF"), f"{{{RDF}}}Description")
    body.set(f"{{{RDF}}}about", "")
    words = (provenance or Provenance()).readable()
    body.set(f"{{{BASIC}}}CreatorTool", xml_text(words["Software"]))
    text = notes.to_json()
    if text:
        body.set(f"{{{OURS}}}notes", text)
    if "Description" in words:
        alternatives = ElementTree.SubElement(
            ElementTree.SubElement(body, f"{{{DUBLIN_CORE}}}description"), f"{{{RDF}}}Alt"
        )
        item = ElementTree.SubElement(alternatives, f"{{{RDF}}}li", {LANGUAGE: "x-default"})
        item.text = xml_text(words["Description"])
    return f"{BEGIN}{ElementTree.tostring(root, encoding='unicode')}{END}".encode()


def notes_in(packet: object) -> Notes:
    """The notes of an XMP packet; empty if there are none, or it is no packet."""
    if not isinstance(packet, bytes) or len(packet) > MAX_BYTES:
        return Notes()
    try:
        root = fromstring(packet.strip(b"\0 \r\n\t"))
    except (SyntaxError, ValueError, LookupError):  # not XML, entities, or an unknown encoding
        return Notes()
    name = f"{{{OURS}}}notes"
    for element in root.iter():
        text = element.text if element.tag == name else element.get(name)
        if text:
            return Notes.from_json(text)
    return Notes()


def xml_text(text: str) -> str:
    """Replaces what XML cannot hold, control characters, by U+FFFD.

    Source: XML 1.0, section 2.2.
    """
    return FORBIDDEN.sub("\ufffd", text)
