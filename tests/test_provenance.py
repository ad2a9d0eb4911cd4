"""The mark is merged into what is there, and nothing hostile gets through."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from stylswap.errors import PhotoError
from stylswap.provenance import DIGITAL_SOURCE_TYPE, Mark, clean_xmp, read_mark, without_bulk, xmp_with_mark

MARK = Mark("stylswap 0.1.0", "Žofie <& 'synthetic'>", "0123456789abcdef" * 4, label="generated")
NAMES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "stylswap": "urn:stylswap:mark:1.0/",
}
EXISTING = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 6"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="uuid:1" xmlns:q="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:lr="http://ns.adobe.com/lightroom/1.0/" q:Rating="4" lr:privateRTKInfo="kept">
<dc:creator><rdf:Seq><rdf:li>Zoë</rdf:li></rdf:Seq></dc:creator>
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">Beach &amp; sea</rdf:li></rdf:Alt></dc:title>
</rdf:Description>
<rdf:Description rdf:about="uuid:1" xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
 e:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture" e:Event="kept too"/>
</rdf:RDF></x:xmpmeta>   <?xpacket end="w"?>\0""".encode()


def _properties(packet: bytes) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for description in ET.fromstring(packet).findall(".//rdf:Description", NAMES):
        for name, value in description.attrib.items():
            found.setdefault(name, []).append(value)
        for child in description:
            found.setdefault(child.tag, []).append("".join(child.itertext()).strip())
    return found


def _name(prefixed: str) -> str:
    prefix, _, local = prefixed.partition(":")
    return f"{{{NAMES[prefix]}}}{local}"


@pytest.mark.parametrize("existing", [None, EXISTING])
def test_the_mark_is_there_once(existing: bytes | None, tmp_path: Path) -> None:
    packet = xmp_with_mark(existing, MARK)
    found = _properties(packet)
    assert found[_name("Iptc4xmpExt:DigitalSourceType")] == [DIGITAL_SOURCE_TYPE]
    assert found[_name("stylswap:Software")] == found[_name("xmp:CreatorTool")] == ["stylswap 0.1.0"]
    assert found[_name("stylswap:IdentityName")] == [MARK.identity_name]
    assert found[_name("stylswap:IdentitySha256")] == [MARK.identity_sha256]
    assert packet.startswith(b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>')
    assert packet.endswith(b'<?xpacket end="w"?>')
    for prefix in (b"<Iptc4xmpExt:DigitalSourceType>", b"<rdf:RDF", b"<x:xmpmeta"):
        assert prefix in packet, "poor readers look for the usual prefixes"
    (tmp_path / "file").write_bytes(b"before" + packet + b"behind")
    assert read_mark(tmp_path / "file") == MARK


def test_other_properties_stay() -> None:
    found = _properties(xmp_with_mark(EXISTING, MARK))
    assert found[_name("dc:creator")] == ["Zoë"] and found[_name("dc:title")] == ["Beach & sea"]
    assert found[_name("xmp:Rating")] == ["4"] and found[_name("Iptc4xmpExt:Event")] == ["kept too"]
    assert found["{http://ns.adobe.com/lightroom/1.0/}privateRTKInfo"] == ["kept"]
    assert found[_name("rdf:about")] == ["uuid:1"] * 3
    packet = xmp_with_mark(EXISTING, MARK)
    assert b'xml:lang="x-default"' in packet and b"lr:privateRTKInfo" in packet


def test_the_first_tool_stays_and_the_last_swap_counts(tmp_path: Path) -> None:
    camera = EXISTING.replace(b'q:Rating="4"', b'q:CreatorTool="Camera 1.0"')
    first = xmp_with_mark(camera, MARK)
    second = xmp_with_mark(first, Mark("stylswap 0.2.0", "Other", "f" * 64))
    assert _properties(second)[_name("xmp:CreatorTool")] == ["Camera 1.0"]
    assert _properties(second)[_name("stylswap:IdentitySha256")] == ["f" * 64]
    assert _name("stylswap:Label") not in _properties(second)
    (tmp_path / "file").write_bytes(second)
    assert read_mark(tmp_path / "file") == Mark("stylswap 0.2.0", "Other", "f" * 64)
    assert xmp_with_mark(second, MARK) == xmp_with_mark(xmp_with_mark(second, MARK), MARK)


BOMB = (
    b'<!DOCTYPE x [<!ENTITY a "'
    + b"ha" * 50
    + b'">'
    + b"".join(b'<!ENTITY a%d "%s">' % (i, (b"&a%d;" % (i - 1) if i > 1 else b"&a;") * 10) for i in range(1, 10))
    + b"]>"
)
BROKEN = {
    "cut": EXISTING[:400],
    "no XML": b"no XML at all",
    "empty": b"",
    "other XML": b"<html><body/></html>",
    "entities": EXISTING.replace(b"<x:xmpmeta", BOMB + b"<x:xmpmeta", 1).replace(b"kept too", b"&a9;"),
    "entities in UTF-16": (BOMB + EXISTING[EXISTING.index(b"<x:xmpmeta") :].rstrip(b"\0")).decode().encode("utf-16"),
    "external": b'<!DOCTYPE x SYSTEM "file:///etc/passwd">' + EXISTING[EXISTING.index(b"<x:xmpmeta") :],
    "deep": b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    + b"<rdf:a>" * 20_000
    + b"</rdf:a>" * 20_000
    + b"</rdf:RDF></x:xmpmeta>",
    "unknown encoding": b'<?xml version="1.0" encoding="nonsense"?>' + EXISTING[EXISTING.index(b"<x:xmpmeta") :],
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_and_hostile_packets_are_replaced(name: str, tmp_path: Path) -> None:
    start = time.perf_counter()
    packet = xmp_with_mark(BROKEN[name], MARK)
    assert time.perf_counter() - start < 1
    assert packet == xmp_with_mark(None, MARK)
    assert clean_xmp(BROKEN[name]) is None
    (tmp_path / "file").write_bytes(BROKEN[name].replace(b"urn:nothing", b"urn:stylswap:mark:1.0/"))
    assert read_mark(tmp_path / "file") is None


def test_a_packet_in_utf_16_is_kept() -> None:
    packet = EXISTING[EXISTING.index(b"<x:xmpmeta") :].rstrip(b"\0").decode().encode("utf-16")
    assert _properties(xmp_with_mark(packet, MARK))[_name("dc:creator")] == ["Zoë"]


def test_clean_drops_other_renderings_only() -> None:
    assert clean_xmp(EXISTING) == EXISTING and clean_xmp(None) is None
    dirty = EXISTING.replace(
        b"<dc:creator>",
        b'<q:Thumbnails><rdf:Alt><rdf:li>/9j/</rdf:li></rdf:Alt></q:Thumbnails><g:Data xmlns:g="http://ns.google.com/photos/1.0/image/">'
        b"/9j/</g:Data><dc:creator>",
    ).replace(b'q:Rating="4"', b'q:Rating="4" n:HasExtendedXMP="ABC" xmlns:n="http://ns.adobe.com/xmp/note/"')
    assert dirty.count(b"/9j/") == 2
    cleaned = clean_xmp(dirty)
    assert cleaned is not None and b"/9j/" not in cleaned and b"HasExtendedXMP" not in cleaned
    assert _properties(cleaned) == _properties(EXISTING.rstrip(b"\0"))


def test_text_that_xml_cannot_hold_is_replaced(tmp_path: Path) -> None:
    packet = xmp_with_mark(None, Mark("s\0", "a\x1b\ud800b\uffff", "0" * 64))
    (tmp_path / "file").write_bytes(packet)
    assert read_mark(tmp_path / "file") == Mark("s\ufffd", "a\ufffd\ufffdb\ufffd", "0" * 64)


def test_prefixes_that_collide_stay_apart() -> None:
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<r:Description r:about="" xmlns:xmp="urn:not-xmp/" xmp:A="1"/>'
        b'<r:Description r:about="" xmlns="urn:b/" xmlns:xmp="urn:c/" xmp:A="2">'
        b"<A>3</A></r:Description></r:RDF></x:xmpmeta>"
    )
    found = _properties(xmp_with_mark(packet, MARK))
    assert (found["{urn:not-xmp/}A"], found["{urn:c/}A"], found["{urn:b/}A"]) == (["1"], ["2"], ["3"])
    assert found[_name("xmp:CreatorTool")] == [MARK.software]


def test_reading_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match="cannot be read"):
        read_mark(tmp_path / "missing")
    (tmp_path / "text").write_bytes(b"urn:stylswap:mark:1.0/ but no packet")
    assert read_mark(tmp_path / "text") is None
    half = xmp_with_mark(None, MARK).replace(b"compositeWithTrainedAlgorithmicMedia", b"digitalCapture")
    (tmp_path / "half").write_bytes(half)
    assert read_mark(tmp_path / "half") is None


def test_packets_of_the_first_toolkits_are_kept() -> None:
    packet = EXISTING.replace(b"xmpmeta", b"xapmeta")
    assert packet != EXISTING
    assert _properties(xmp_with_mark(packet, MARK))[_name("dc:creator")] == ["Zoë"]
    assert xmp_with_mark(packet, MARK) == xmp_with_mark(EXISTING, MARK)


def test_bulk_is_what_programs_write_for_themselves() -> None:
    bulky = EXISTING.replace(
        b"<dc:creator>", b'<m:History xmlns:m="http://ns.adobe.com/xap/1.0/mm/">edits</m:History><dc:creator>'
    ).replace(b'q:Rating="4"', b'q:Rating="4" r:Tint="5" xmlns:r="http://ns.adobe.com/camera-raw-settings/1.0/"')
    assert bulky.count(b"edits") == bulky.count(b"Tint") == 1
    left = without_bulk(bulky)
    assert b"edits" not in left and b"Tint" not in left
    assert _properties(left)[_name("dc:creator")] == ["Zoë"] and b"Rating" in left
    assert without_bulk(b"no packet") == b"no packet"
