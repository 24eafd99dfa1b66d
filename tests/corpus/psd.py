"""PSD and PSB, byte by byte. Source: Adobe, "Photoshop File Formats Specification", November 2019."""

import struct
import zlib

import numpy as np

from corpus.model import HEIGHT, WIDTH, Document, Mask, Node

KEYS = {
    "pass_through": b"pass", "normal": b"norm", "darken": b"dark", "multiply": b"mul ", "color_burn": b"idiv",
    "linear_burn": b"lbrn", "darker_color": b"dkCl", "lighten": b"lite", "screen": b"scrn",
    "color_dodge": b"div ",
    "linear_dodge": b"lddg", "lighter_color": b"lgCl", "overlay": b"over", "soft_light": b"sLit",
    "hard_light": b"hLit", "vivid_light": b"vLit", "linear_light": b"lLit", "pin_light": b"pLit",
    "hard_mix": b"hMix", "difference": b"diff", "exclusion": b"smud", "subtract": b"fsub", "divide": b"fdiv",
    "hue": b"hue ", "saturation": b"sat ", "color": b"colr", "luminosity": b"lum ", "dissolve": b"diss",
}  # fmt: skip
LONG_BLOCKS = {
    b"LMsk",
    b"Lr16",
    b"Lr32",
    b"Layr",
    b"Mt16",
    b"Mt32",
    b"Mtrn",
    b"Alph",
    b"FMsk",
    b"lnk2",
    b"FEid",
}
"""Blocks whose length has 8 bytes in a PSB."""


def psd_bytes(document: Document) -> bytes:
    """Returns the whole file."""
    channels = (1 if document.grey else 3) + 1
    mode = 1 if document.grey else 3
    version = 2 if document.large else 1
    head = struct.pack(">4sH6xHIIHH", b"8BPS", version, channels, HEIGHT, WIDTH, document.bits, mode)
    real = document.merged is not None
    resources = _resource(1057, struct.pack(">IB", 1, real) + 2 * struct.pack(">I", 0) + struct.pack(">I", 1))
    sections = struct.pack(">I", 0) + struct.pack(">I", len(resources)) + resources
    return head + sections + _layers_and_masks(document) + _merged(document, channels)


def flat_bytes(
    samples: np.ndarray,
    *,
    compression: int = 1,
    large: bool = False,
    merged: bool = False,
    named: bool = True,
) -> bytes:
    """Returns a document without layers.

    Args:
        samples: uint8 or uint16 (h, w, channels): grey or RGB, and one channel more or none.
        compression: 0 to 3.
        large: a PSB.
        merged: the last channel is the transparency of the whole, not a selection that somebody kept.
        named: say that it is a selection.
    """
    height, width, channels = samples.shape
    frame = Document(nodes=[], large=large, compression=compression)
    mode, bits = (1 if channels < 3 else 3), samples.dtype.itemsize * 8
    head = struct.pack(">4sH6xHIIHH", b"8BPS", 2 if large else 1, channels, height, width, bits, mode)
    # identifiers of the channels beyond colour: 0 is transparency, those of selections count from 1
    kept = b"" if merged or not named or channels in (1, 3) else _resource(1053, struct.pack(">I", 1))
    blocks = _length(frame, 0) + struct.pack(">I", 0) + _block(frame, b"Mtrn", b"") if merged else b""
    planes = np.concatenate([samples[..., number] for number in range(channels)])
    resources = struct.pack(">II", 0, len(kept)) + kept
    return head + resources + _length(frame, len(blocks)) + blocks + _packed(frame, planes)


def _resource(number: int, data: bytes) -> bytes:
    return struct.pack(">4sHHI", b"8BIM", number, 0, len(data)) + data + bytes(len(data) % 2)


def _length(document: Document, number: int) -> bytes:
    return struct.pack(">Q" if document.large else ">I", number)


def _layers_and_masks(document: Document) -> bytes:
    info = _layer_info(document)
    info += bytes(-len(info) % 4)
    masks = struct.pack(">I", 0)
    if document.bits == 16 and "short section" not in document.options:
        # Photoshop leaves the old section empty, and puts deep layers into a block of their own
        body = _length(document, 0) + masks + _block(document, b"Lr16", info)
    else:
        body = _length(document, len(info)) + info + masks
    body += b"".join(_block(document, key, data) for key, data in document.blocks.items())
    return _length(document, len(body)) + body


def _block(document: Document, key: bytes, data: bytes) -> bytes:
    wide = document.large and key in LONG_BLOCKS
    padded = data + bytes(-len(data) % 4)
    return b"8BIM" + key + struct.pack(">Q" if wide else ">I", len(padded)) + padded


def _layer_info(document: Document) -> bytes:
    records: list[bytes] = []
    data: list[bytes] = []
    for record, pixels in _flat(document, document.nodes):
        records.append(record)
        data.append(pixels)
    count = -len(records) if "positive count" not in document.options else len(records)
    return struct.pack(">h", count) + b"".join(records) + b"".join(data)


def _flat(document: Document, nodes: list[Node]) -> list[tuple[bytes, bytes]]:
    """Records of nodes, bottom first; a group is a divider, what is in it, and its own record."""
    found: list[tuple[bytes, bytes]] = []
    for node in nodes:
        if node.children is not None:
            end = Node(name="</Layer group>", image=np.zeros((0, 0, 4), np.uint16))
            found.append(_record(document, end, _divider(document, 3, "normal")))
            found += _flat(document, node.children)
            kind = 2 if "closed folders" in document.options else 1
            found.append(_record(document, node, _divider(document, kind, node.mode)))
        else:
            found.append(_record(document, node, b""))
    return found


def _divider(document: Document, kind: int, mode: str) -> bytes:
    if kind == 3 or "short dividers" in document.options:
        return _block(document, b"lsct", struct.pack(">I", kind))
    return _block(document, b"lsct", struct.pack(">I", kind) + b"8BIM" + KEYS[mode])


def _record(document: Document, node: Node, divider: bytes) -> tuple[bytes, bytes]:
    empty = np.zeros((0, 0, 4), np.uint16)
    samples = document.samples(node) if node.image is not None else empty
    height, width = samples.shape[:2]
    planes: list[tuple[int, np.ndarray]] = [(-1, samples[..., 3])]
    planes += [(0, samples[..., 0])] if document.grey else [(n, samples[..., n]) for n in range(3)]
    if "no alpha" in document.options and height and (samples[..., 3] == samples[..., 3].max()).all():
        planes = planes[1:]
    if node.mask is not None:
        planes.append((-2, _deep(node.mask.levels, document.bits)))
    if "channels in another order" in document.options:
        planes = planes[::-1]
    packed = [(number, _packed(document, plane)) for number, plane in planes]
    top, left = (node.top, node.left) if height else (0, 0)
    record = struct.pack(">4iH", top, left, top + height, left + width, len(packed))
    for number, content in packed:
        record += struct.pack(">h", number) + _length(document, len(content))
    flags = (0 if node.visible else 2) | 8 | (16 if node.children is not None or divider else 0)
    record += struct.pack(">4s4sBBBx", b"8BIM", KEYS[node.mode], node.opacity, int(node.clipped), flags)
    extra = _mask_data(document, node.mask) + _ranges(document) + _pascal(node.name)
    extra += divider + _blocks(document, node)
    return record + struct.pack(">I", len(extra)) + extra, b"".join(content for _, content in packed)


def _deep(levels: np.ndarray, bits: int) -> np.ndarray:
    return levels if bits == 8 else levels.astype(np.uint16) * 257


def _mask_data(document: Document, mask: Mask | None) -> bytes:
    if mask is None:
        return struct.pack(">I", 0)
    height, width = mask.levels.shape
    place = struct.pack(">4i", mask.top, mask.left, mask.top + height, mask.left + width)
    relative = (
        1 if "unlinked masks" in document.options else 0
    )  # moves apart from its layer; no other meaning
    told = "mask parameters" in document.options or mask.density != 255 or mask.feather != 0
    flags = (2 if mask.disabled else 0) | relative | (16 if told else 0)
    data = place + struct.pack(">BB", mask.outside, flags)
    data += struct.pack(">BBd", 3, mask.density, mask.feather) if told else b""
    data += bytes(-len(data) % 4)
    return struct.pack(">I", len(data)) + data


def _ranges(document: Document) -> bytes:
    if "no blending ranges" in document.options:
        return struct.pack(">I", 0)
    start = 10 if "some levels" in document.options else 0
    data = struct.pack(">4B", start, start, 255, 255) + struct.pack(">4B", 0, 0, 255, 255)
    data += struct.pack(">4B", 0, 0, 255, 255) * 2 * ((1 if document.grey else 3) + 1)
    return struct.pack(">I", len(data)) + data


def _pascal(name: str) -> bytes:
    text = name.encode("mac-roman", "replace")[:255]
    data = bytes([len(text)]) + text
    return data + bytes(-len(data) % 4)


def _blocks(document: Document, node: Node) -> bytes:
    blocks = b"".join(_block(document, key, data) for key, data in node.blocks.items())
    if "no unicode names" not in document.options:
        text = node.name.encode("utf-16-be")
        blocks += _block(document, b"luni", struct.pack(">I", len(text) // 2) + text)
    if node.fill != 255:
        blocks += _block(document, b"iOpa", struct.pack(">Bxxx", node.fill))
    if "blocks that show nothing" in document.options:
        for key, data in (
            (b"lyid", b"\0\0\0\7"),
            (b"clbl", b"\1\0\0\0"),
            (b"infx", bytes(4)),
            (b"knko", bytes(4)),
        ):
            blocks += _block(document, key, data)
        for key, data in ((b"lspf", bytes(4)), (b"lclr", bytes(8)), (b"fxrp", bytes(16)), (b"lnsr", b"layr")):
            blocks += _block(document, key, data)
    return blocks


def _packed(document: Document, plane: np.ndarray) -> bytes:
    kind = document.compression
    big = np.ascontiguousarray(plane.astype(plane.dtype.newbyteorder(">")))
    rows = [row.tobytes() for row in big]
    if kind == 0 or plane.size == 0:
        return struct.pack(">H", 0) + b"".join(rows)
    if kind == 1:
        runs = [_pack_bits(row) for row in rows]
        sizes = b"".join(struct.pack(">I" if document.large else ">H", len(run)) for run in runs)
        return struct.pack(">H", 1) + sizes + b"".join(runs)
    if kind == 3:
        change = plane.copy()
        change[:, 1:] = plane[:, 1:] - plane[:, :-1]  # wraps
        rows = [row.tobytes() for row in change.astype(plane.dtype.newbyteorder(">"))]
    return struct.pack(">H", kind) + zlib.compress(b"".join(rows))


def _pack_bits(row: bytes) -> bytes:
    """Apple's PackBits: runs of one byte where three or more are the same, and the rest as it is."""
    packed, place = b"", 0
    while place < len(row):
        run = place
        while run < len(row) and row[run] == row[place] and run - place < 128:
            run += 1
        if run - place > 2:
            packed += struct.pack("bB", 1 - (run - place), row[place])
            place = run
            continue
        end = place
        while end < len(row) and end - place < 128 and row[end : end + 3] != row[end : end + 1] * 3:
            end += 1
        packed += bytes([end - place - 1]) + row[place:end]
        place = end
    return packed


def _merged(document: Document, channels: int) -> bytes:
    """The flattened image, or one that is wrong on purpose, so that a reader that takes it is found out."""
    if document.merged is None:
        plane = np.full((HEIGHT * channels, WIDTH), 99, np.uint8 if document.bits == 8 else np.uint16)
        return _packed(document, plane)
    alpha = document.merged[..., 3:] / 255
    on_white = np.rint(document.merged[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    planes = np.dstack([on_white, document.merged[..., 3]])
    return _packed(document, np.concatenate([planes[..., number] for number in range(4)]))
