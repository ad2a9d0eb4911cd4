"""What every output says of itself.

A swapped photo carries, as XMP, the IPTC statement that it is a composite made with a trained model, the software, and the name and
hash of the identity file. The mark is merged into the photo's own XMP: every other property stays.

XMP comes from strangers, so a packet with a DOCTYPE (the door of entity bombs) or one that cannot be parsed is replaced, never
expanded. Nothing here knows about file formats: `read_mark` finds the packet by scanning the bytes, which is what XMP packets are
made for, and therefore checks independently what `stylswap.photo` wrote.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stylswap.errors import PhotoError

DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC's word for "a real photo with parts made by a trained model"."""

_META, _RDF, _XMP = "adobe:ns:meta/", "http://www.w3.org/1999/02/22-rdf-syntax-ns#", "http://ns.adobe.com/xap/1.0/"
_IPTC_EXT, _OURS = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/", "urn:stylswap:mark:1.0/"
_NOTE, _TIFF = "http://ns.adobe.com/xmp/note/", "http://ns.adobe.com/tiff/1.0/"
_XML = "http://www.w3.org/XML/1998/namespace"
_PREFIXES = {_META: "x", _RDF: "rdf", _XMP: "xmp", _IPTC_EXT: "Iptc4xmpExt", _OURS: "stylswap", _XML: "xml"}

# Properties that hold, or point to, another rendering of the photo: it would still show the face that was there before.
_OTHER_RENDERINGS = {f"{{{_XMP}}}Thumbnails", f"{{{_NOTE}}}HasExtendedXMP"}
_OTHER_RENDERINGS_OF = (
    "{http://ns.google.com/photos/1.0/image/}",
    "{http://ns.google.com/photos/1.0/depthmap/}",
    "{http://ns.google.com/photos/1.0/camera/}",
    "{http://ns.google.com/photos/1.0/container/}",
    "{http://ns.adobe.com/hdr-gain-map/1.0/}",
)
# What programs write for themselves, and may be long.
_BULK = {
    *(f"{{http://ns.adobe.com/xap/1.0/mm/}}{name}" for name in ("History", "Ingredients", "Pantry", "Manifest", "Versions")),
    *(f"{{http://ns.adobe.com/photoshop/1.0/}}{name}" for name in ("DocumentAncestors", "History", "TextLayers")),
}
_BULK_OF = ("{http://ns.adobe.com/camera-raw-settings/1.0/}",)
_MAX_PACKET_BYTES = 16 * 2**20
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Mark:
    """What an output says of itself.

    Attributes:
        software: Name and version of the program, for instance "stylswap 0.1.0".
        identity_name: Name on the card of the identity file.
        identity_sha256: Hash of the identity file, 64 hexadecimal digits.
        label: Free text of the user, "" for none.
    """

    software: str
    identity_name: str
    identity_sha256: str
    label: str = ""


def xmp_with_mark(existing: bytes | None, mark: Mark) -> bytes:
    """The photo's XMP packet with the mark in it.

    `xmp:CreatorTool` names, by its definition, the first tool that made the picture: it is set only where there is none;
    `stylswap:Software` is always set. A mark that is already there is replaced: the file speaks of its last swap.

    Args:
        existing: The photo's packet, or None. One that cannot be parsed, or that has a DOCTYPE, is replaced.
        mark: What to say.

    Returns:
        A whole packet in UTF-8, with its <?xpacket?> wrapper and without padding.
    """
    root, prefixes = _parsed(existing) or _empty()
    rdf = _rdf(root)
    values = {
        f"{{{_IPTC_EXT}}}DigitalSourceType": DIGITAL_SOURCE_TYPE,
        f"{{{_OURS}}}Software": mark.software,
        f"{{{_OURS}}}IdentityName": mark.identity_name,
        f"{{{_OURS}}}IdentitySha256": mark.identity_sha256,
        f"{{{_OURS}}}Label": mark.label,
    }
    _drop(rdf, lambda name: name in values)
    if not _has(rdf, f"{{{_XMP}}}CreatorTool"):
        values[f"{{{_XMP}}}CreatorTool"] = mark.software
    about = next((found.get(f"{{{_RDF}}}about", "") for found in rdf.iter(f"{{{_RDF}}}Description")), "")
    description = ET.SubElement(rdf, f"{{{_RDF}}}Description", {f"{{{_RDF}}}about": about})
    for name, value in values.items():
        if value:
            ET.SubElement(description, name).text = _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", value)
    return _packet(root, prefixes)


def clean_xmp(existing: bytes | None, *, upright: bool = False) -> bytes | None:
    """The photo's XMP packet without properties that hold another rendering of the photo.

    Args:
        existing: The photo's packet, or None.
        upright: Also drop `tiff:Orientation`, for a photo whose samples have been turned upright.

    Returns:
        The same bytes when there was nothing to drop, None when there was no packet or none that can be parsed.
    """
    parsed = _parsed(existing)
    if parsed is None:
        return None
    root, prefixes = parsed

    def unwanted(name: str) -> bool:
        return name in _OTHER_RENDERINGS or name.startswith(_OTHER_RENDERINGS_OF) or (upright and name == f"{{{_TIFF}}}Orientation")

    return _packet(root, prefixes) if _drop(_rdf(root), unwanted) else existing


def without_bulk(packet: bytes) -> bytes:
    """An XMP packet without what programs write for themselves: the history of edits, former documents, settings of a raw converter.

    Args:
        packet: One that can be parsed; any other comes back as it is.
    """
    parsed = _parsed(packet)
    if parsed is None:
        return packet
    root, prefixes = parsed
    _drop(_rdf(root), lambda name: name in _BULK or name.startswith(_BULK_OF))
    return _packet(root, prefixes)


def read_mark(path: Path) -> Mark | None:
    """The mark that a file carries, whatever its format.

    Args:
        path: A picture.

    Returns:
        Its mark, or None when it has none. A file counts as marked only if it also carries the IPTC statement.

    Raises:
        PhotoError: If the file cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PhotoError(f"{path} cannot be read: {error.strerror or error}") from error
    for packet in re.findall(rb"<x:xmpmeta\b.*?</x:xmpmeta>", data, re.DOTALL):
        parsed = _parsed(packet) if _OURS.encode() in packet else None
        if parsed is None:
            continue
        values = {element.tag: element.text or "" for element in parsed[0].iter()}
        values |= {name: value for element in parsed[0].iter() for name, value in element.attrib.items()}
        fields = [values.get(f"{{{_OURS}}}{name}", "") for name in ("Software", "IdentityName", "IdentitySha256", "Label")]
        if fields[0] and values.get(f"{{{_IPTC_EXT}}}DigitalSourceType") == DIGITAL_SOURCE_TYPE:
            return Mark(*fields)
    return None


class _PacketBuilder(ET.TreeBuilder):
    """Builds the tree, remembers the prefixes that the packet used, and refuses a DOCTYPE."""

    def __init__(self) -> None:
        super().__init__()
        self.prefixes: dict[str, str] = {}

    def start_ns(self, prefix: str, uri: str) -> None:
        self.prefixes.setdefault(uri, prefix)

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError(f"XMP with a DOCTYPE {name!r} ({pubid}, {system}) is refused")


def _parsed(packet: bytes | None) -> tuple[ET.Element, dict[str, str]] | None:
    """Root and prefixes (namespace -> prefix) of a packet; None when there is nothing usable in it."""
    if packet is None or len(packet) > _MAX_PACKET_BYTES:
        return None
    if not packet.startswith((b"\xff\xfe", b"\xfe\xff")):  # in UTF-16 a zero at the end is half a letter
        packet = packet.strip(b"\0 \t\r\n")
    builder = _PacketBuilder()
    parser = ET.XMLParser(target=builder)
    try:
        parser.feed(packet)
        root = parser.close()
        ET.tostring(root)  # recursive: a packet that is nested too deeply must fail here, not when it is written
    except (ET.ParseError, ValueError, LookupError, RecursionError):
        return None
    if root.tag == f"{{{_META}}}xapmeta":  # as it was called until 2004
        root.tag = f"{{{_META}}}xmpmeta"
    if root.tag == f"{{{_RDF}}}RDF":
        meta = ET.Element(f"{{{_META}}}xmpmeta")
        meta.append(root)
        root = meta
    if root.tag != f"{{{_META}}}xmpmeta" or root.find(f"{{{_RDF}}}RDF") is None:
        return None
    return root, builder.prefixes


def _empty() -> tuple[ET.Element, dict[str, str]]:
    root = ET.Element(f"{{{_META}}}xmpmeta")
    ET.SubElement(root, f"{{{_RDF}}}RDF")
    return root, {}


def _rdf(root: ET.Element) -> ET.Element:
    found = root.find(f"{{{_RDF}}}RDF")
    assert found is not None, "_parsed and _empty see to it"
    return found


def _drop(rdf: ET.Element, unwanted: Callable[[str], bool]) -> bool:
    """Remove properties, written as elements or as attributes, from every description; tells whether there were any."""
    dropped = False
    for description in rdf.findall(f"{{{_RDF}}}Description"):
        for child in [child for child in description if unwanted(child.tag)]:
            description.remove(child)
            dropped = True
        for name in [name for name in description.attrib if unwanted(name)]:
            del description.attrib[name]
            dropped = True
        if not len(description) and set(description.attrib) <= {f"{{{_RDF}}}about"}:
            rdf.remove(description)
    return dropped


def _has(rdf: ET.Element, name: str) -> bool:
    return any(name in found.attrib or found.find(name) is not None for found in rdf.findall(f"{{{_RDF}}}Description"))


def _packet(root: ET.Element, prefixes: dict[str, str]) -> bytes:
    """Serialise with the packet's own prefixes.

    `ElementTree.register_namespace` would do it too, but it is one table for the whole process; names with their prefix already
    written out are passed through as they are.
    """
    used: dict[str, str] = {}

    def short(name: str) -> str:
        if not name.startswith("{"):
            return name
        uri, _, local = name[1:].partition("}")
        if uri not in used:
            wanted = _PREFIXES.get(uri) or prefixes.get(uri) or "ns"
            taken = set(used.values()) | (set(_PREFIXES.values()) if uri not in _PREFIXES else set())
            used[uri] = wanted if wanted not in taken else next(f"ns{i}" for i in range(len(taken) + 1) if f"ns{i}" not in taken)
        return f"{used[uri]}:{local}"

    for element in root.iter():
        element.tag = short(element.tag)
        element.attrib = {short(name): value for name, value in element.attrib.items()}
    root.attrib |= {f"xmlns:{prefix}": uri for uri, prefix in used.items() if uri != _XML}
    text = ET.tostring(root, encoding="unicode")
    return f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n{text}\n<?xpacket end="w"?>'.encode()
