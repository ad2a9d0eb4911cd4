"""Signed photos are judged by the C2PA library's own reader; certificates are made here, by an authority of the tests' own."""

from __future__ import annotations

import ast
import datetime
import http.server
import io
import json
import pickle
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from stylswap import signing
from stylswap.errors import PhotoError, UsageError
from stylswap.photo import encode_photo, from_array, read_photo
from stylswap.provenance import DIGITAL_SOURCE_TYPE, Mark, read_mark
from stylswap.signing import MARK_ASSERTION, Signer
from tests.photo.conftest import picture, saved

WITHOUT = pytest.mark.skipif(not signing.is_available(), reason="c2pa-python, of the extra stylswap[provenance], is not installed")
MARK = Mark("stylswap 0.1.0", "Žofie <synthetic>", "0123456789abcdef" * 4, label="AI-modified")
DAY = datetime.timedelta(days=1)
OFFLINE = {"verify": {"remote_manifest_fetch": False}, "core": {"allowed_network_hosts": []}}


class Authority:
    """Issues certificates."""

    def __init__(self) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec

        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._certificate("Authority", self.key.public_key(), ca=True)

    def issue(self, key: Any, *, start: float = -1, days: float = 30, email: bool = True) -> bytes:
        """A chain in PEM: a certificate for signing, valid from `start` days from now on, then the authority's own."""
        from cryptography.hazmat.primitives.serialization import Encoding

        leaf = self._certificate("Signer", key.public_key(), start=start, days=days, email=email)
        return b"".join(one.public_bytes(Encoding.PEM) for one in (leaf, self.certificate))

    def _certificate(self, name: str, key: Any, *, ca: bool = False, start: float = -1, days: float = 30, email: bool = False) -> Any:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

        names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in (name, "Authority")]
        begin = datetime.datetime.now(datetime.UTC) + start * DAY
        usages = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only")
        usage = x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, **dict.fromkeys(usages, False))
        builder = (
            x509.CertificateBuilder(names[1], names[0], key, x509.random_serial_number(), begin, begin + days * DAY)
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        if email:
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        return builder.sign(self.key, hashes.SHA256())


def _key(kind: str = "P-256") -> Any:
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

    curves = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1, "secp256k1": ec.SECP256K1}
    if kind in curves:
        return ec.generate_private_key(curves[kind]())
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return dsa.generate_private_key(1024) if kind == "DSA" else rsa.generate_private_key(65537, int(kind.removeprefix("RSA-")))


def _pem(key: Any, *, password: bytes | None = None, old: bool = False) -> bytes:
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

    form = PrivateFormat.TraditionalOpenSSL if old else PrivateFormat.PKCS8
    return bytes(key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(password) if password else NoEncryption()))


def _files(folder: Path, cert: bytes, key: bytes) -> tuple[Path, Path]:
    (folder / "cert.pem").write_bytes(cert)
    (folder / "key.pem").write_bytes(key)
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def signer(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Signer:
    key = _key()
    return Signer.from_files(*_files(tmp_path_factory.mktemp("keys"), authority.issue(key), _pem(key)))


def _read(content: bytes, settings: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the library's reader says of a file, in detail."""
    import c2pa

    with c2pa.Context.from_dict(OFFLINE | (settings or {})) as context, c2pa.Reader(io.BytesIO(content), context=context) as reader:
        found: dict[str, Any] = json.loads(reader.detailed_json())
        return found


def _active(content: bytes) -> dict[str, Any]:
    """The active manifest's claim, assertions and signature."""
    found = _read(content)
    manifest: dict[str, Any] = found["manifests"][found["active_manifest"]]
    return manifest


def _codes(content: bytes, kind: str = "failure") -> list[str]:
    return [one["code"] for one in _read(content)["validation_results"]["activeManifest"][kind]]


def _marked(kind: str, samples: np.ndarray, **settings: Any) -> bytes:
    """The bytes of a photo of some format, with the mark inside."""
    if kind == "HEIF":
        file = io.BytesIO()
        pytest.importorskip("pillow_heif").from_pillow(Image.fromarray(samples)).save(file, quality=90)
        content = file.getvalue()
    elif samples.dtype == np.uint16:
        import imagecodecs

        content = imagecodecs.png_encode(samples) if kind == "PNG" else bytes(imagecodecs.tiff_encode(samples))
    else:
        content = saved(samples, kind, **settings)
    return encode_photo(_opened(content), mark=MARK)


def _opened(content: bytes) -> Any:
    from stylswap.photo.header import file_format
    from stylswap.photo.read import _DECODERS

    return _DECODERS[file_format(content[:16]) or ""](content)


@pytest.fixture(scope="module")
def jpeg() -> bytes:
    return _marked("JPEG", picture())


# ---- what a signed photo says -------------------------------------------------------------------------------------------------------


FORMATS = {
    "jpeg": ("JPEG", picture(), {"quality": 90}),
    "grey jpeg": ("JPEG", picture(1), {"progressive": True}),
    "png": ("PNG", picture(4), {}),
    "png 16": ("PNG", picture(3, 16), {}),
    "tiff": ("TIFF", picture(3), {"compression": "tiff_lzw"}),
    "tiff grey": ("TIFF", picture(1), {}),
    "webp": ("WEBP", picture(4), {"lossless": True}),
    "webp lossy": ("WEBP", picture(3), {}),
    "heic": ("HEIF", picture(3), {}),
}


@WITHOUT
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_that_is_written_can_be_signed(name: str, signer: Signer, tmp_path: Path) -> None:
    kind, samples, settings = FORMATS[name]
    content = _marked(kind, samples, **settings)
    signed = signer.sign(content, MARK, title="beach.jpg")
    assert _read(signed)["validation_state"] == "Valid"
    assert _codes(signed) == ["signingCredential.untrusted"]
    before, after = _opened(content), _opened(signed)
    np.testing.assert_array_equal(after.samples, before.samples)
    assert (after.metadata, after.coding, after.orientation) == (before.metadata, before.coding, before.orientation)
    packets = [re.findall(rb"<\?xpacket begin.*?<\?xpacket end[^>]*>", one, re.DOTALL) for one in (content, signed)]
    assert packets[0] == packets[1] and len(packets[0]) == 1
    (tmp_path / "signed").write_bytes(signed)
    assert read_mark(tmp_path / "signed") == MARK
    assert read_photo(tmp_path / "signed").file_format == kind


@WITHOUT
def test_what_the_manifest_says(signer: Signer, jpeg: bytes) -> None:
    manifest = _active(signer.sign(jpeg, MARK, title="beach.jpg"))
    claim, said = manifest["claim"], manifest["assertion_store"]
    assert claim["dc:title"] == "beach.jpg"
    assert (claim["claim_generator_info"]["name"], claim["claim_generator_info"]["version"]) == ("stylswap", "0.1.0")
    assert said[MARK_ASSERTION] == {"identity_name": MARK.identity_name, "identity_sha256": MARK.identity_sha256, "label": MARK.label}
    action = said["c2pa.actions.v2"]["actions"]
    assert [one["action"] for one in action] == ["c2pa.created"]
    assert action[0]["digitalSourceType"] == DIGITAL_SOURCE_TYPE
    assert action[0]["softwareAgent"] == {"name": "stylswap", "version": "0.1.0"}
    created = {one["url"].rpartition("/")[2] for one in claim["created_assertions"]}
    assert {MARK_ASSERTION, "c2pa.actions.v2"} <= created, "said by the signer, not gathered from others"
    assert not [name for name in said if "thumbnail" in name]


@WITHOUT
def test_no_title_no_label(signer: Signer, jpeg: bytes) -> None:
    manifest = _active(signer.sign(jpeg, Mark("stylswap 0.1.0", "ada", "0" * 64)))
    assert "dc:title" not in manifest["claim"]
    assert set(manifest["assertion_store"][MARK_ASSERTION]) == {"identity_name", "identity_sha256"}


@WITHOUT
def test_whoever_trusts_the_authority_trusts_the_photo(signer: Signer, authority: Authority, jpeg: bytes) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    def trusting(one: Authority) -> dict[str, Any]:
        return {"trust": {"user_anchors": one.certificate.public_bytes(Encoding.PEM).decode()}}

    signed = signer.sign(jpeg, MARK)
    assert _read(signed, trusting(authority))["validation_state"] == "Trusted"
    assert _read(signed, trusting(Authority()))["validation_state"] == "Valid"


@WITHOUT
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_changed_byte_is_noticed(kind: str, signer: Signer) -> None:
    content = _marked(kind, picture())
    signed = signer.sign(content, MARK)
    middle = len(content) // 2
    places = signed.find(content[middle : middle + 12]), signed.find(MARK.software.encode(), signed.find(b"<x:xmpmeta"))
    for at in places:  # in the picture, in the XMP's mark
        assert at > 0
        changed = signed[:at] + bytes([signed[at] ^ 1]) + signed[at + 1 :]
        assert _read(changed)["validation_state"] == "Invalid"
        assert "assertion.dataHash.mismatch" in _codes(changed)


@WITHOUT
def test_a_changed_manifest_is_noticed(signer: Signer, jpeg: bytes) -> None:
    signed = signer.sign(jpeg, MARK)
    at = signed.find(MARK.identity_sha256.encode())  # the manifest lies before the XMP
    changed = signed[:at] + b"f" + signed[at + 1 :]
    assert _read(changed)["validation_state"] == "Invalid"
    assert "assertion.hashedURI.mismatch" in _codes(changed)


@WITHOUT
def test_signing_twice_keeps_one_active_manifest(signer: Signer, jpeg: bytes) -> None:
    twice = signer.sign(signer.sign(jpeg, MARK), MARK, title="again")
    assert _read(twice)["validation_state"] == "Valid"
    assert _active(twice)["claim"]["dc:title"] == "again"


# ---- the photo before ---------------------------------------------------------------------------------------------------------------


def _camera(signer: Signer, parent: bytes | None = None, *, remote: str = "", kind: str = "JPEG") -> bytes:
    """A photo with credentials as cameras and editors make them: with thumbnails, EXIF and things that only they know."""
    import c2pa

    first = {"action": "c2pa.created", "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"}
    second = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["p"]}}
    said = [
        {"label": "c2pa.actions.v2", "data": {"actions": [second if parent else first]}},
        {"label": "stds.exif", "kind": "Json", "data": {"@context": {"exif": "http://ns.adobe.com/exif/1.0/"}, "exif:Make": "Maker"}},
        {"label": "com.example.preview", "data": {"pixels": "a preview"}},
        {"label": "com.example.preview", "data": {"pixels": "another preview"}},
    ]
    facts = c2pa.C2paSignerInfo(signer.algorithm, signer.certificates.encode(), signer.key.encode(), None)
    about = {"claim_generator_info": [{"name": "camera", "version": "1"}], "title": "before.jpg", "assertions": said}
    made = io.BytesIO()
    with c2pa.Context.from_dict(OFFLINE) as context, c2pa.Signer.from_info(facts) as hand, c2pa.Builder(about, context=context) as builder:
        if parent:
            builder.add_ingredient({"title": "p", "relationship": "parentOf", "label": "p"}, "image/jpeg", io.BytesIO(parent))
        if remote:
            builder.set_no_embed()
            builder.set_remote_url(remote)
        builder.sign(hand, f"image/{kind.lower()}", io.BytesIO(saved(picture(seed=5), kind)), made)
    return made.getvalue()


def _thumbnail(content: bytes) -> bytes:
    import c2pa

    with c2pa.Reader(io.BytesIO(content)) as reader:
        made = io.BytesIO()
        reader.resource_to_stream(reader.get_active_manifest()["thumbnail"]["identifier"], made)
    return made.getvalue()


@WITHOUT
def test_the_parents_credentials_stay_and_the_face_before_does_not(signer: Signer, jpeg: bytes) -> None:
    before = _camera(signer)
    middle = _thumbnail(before)[-900:-500]
    assert middle in before and b"a preview" in before
    signed = signer.sign(jpeg, MARK, parent=before)
    found = _read(signed)
    assert found["validation_state"] == "Valid" and _codes(signed) == ["signingCredential.untrusted"]
    assert middle not in signed and b"preview" not in re.sub(rb"com\.example\.preview", b"", signed)
    assert len(found["manifests"]) == 2
    kept = found["manifests"][_read(before)["active_manifest"]]["assertion_store"]
    assert kept["stds.exif"]["exif:Make"] == "Maker"
    assert kept["c2pa.actions.v2"]["actions"][0]["action"] == "c2pa.created"
    actions = _active(signed)["assertion_store"]["c2pa.actions.v2"]["actions"]
    assert [one["action"] for one in actions] == ["c2pa.opened", *["c2pa.redacted"] * 3, "c2pa.edited"]
    assert {one["reason"] for one in actions[1:-1]} == {"c2pa.PII.present"}
    assert actions[-1]["digitalSourceType"] == DIGITAL_SOURCE_TYPE
    assert _opened_parents(signed) == ["image/jpeg"]
    assert _active(signed)["assertion_store"]["c2pa.ingredient.v3"]["relationship"] == "parentOf"


@WITHOUT
def test_the_parents_own_parents_too(signer: Signer) -> None:
    oldest = _camera(signer)
    before = _camera(signer, oldest)
    signed = signer.sign(_marked("PNG", picture()), MARK, parent=before)
    assert _read(signed)["validation_state"] == "Valid" and len(_read(signed)["manifests"]) == 3
    stores = [set(manifest["assertion_store"]) for manifest in _read(signed)["manifests"].values()]
    assert [name for store in stores for name in store if "thumbnail" in name or "preview" in name] == []
    assert _thumbnail(oldest)[-900:-500] in before and _thumbnail(oldest)[-900:-500] not in signed


@WITHOUT
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF"])
def test_a_parent_without_credentials(kind: str, signer: Signer, jpeg: bytes) -> None:
    signed = signer.sign(jpeg, MARK, parent=saved(picture(seed=5), kind))
    assert _read(signed)["validation_state"] == "Valid" and len(_read(signed)["manifests"]) == 1
    said = _active(signed)["assertion_store"]
    assert [one["action"] for one in said["c2pa.actions.v2"]["actions"]] == ["c2pa.opened", "c2pa.edited"]
    assert [one["dc:format"] for name, one in said.items() if name.startswith("c2pa.ingredient")] == [f"image/{kind.lower()}"]


def _opened_parents(content: bytes) -> list[str]:
    """Formats of the photos before, as the action that opened them tells."""
    said = _active(content)["assertion_store"]
    opened = said["c2pa.actions.v2"]["actions"][0]
    assert opened["action"] == "c2pa.opened"
    return [said[one["url"].rpartition("/")[2]]["dc:format"] for one in opened["parameters"]["ingredients"]]


@WITHOUT
def test_credentials_that_cannot_be_read_stay_behind(signer: Signer, jpeg: bytes) -> None:
    before = _camera(signer)
    at = before.find(b"c2pa.claim")
    signed = signer.sign(jpeg, MARK, parent=before[:at] + bytes(200) + before[at + 200 :])
    assert _read(signed)["validation_state"] == "Valid" and len(_read(signed)["manifests"]) == 1
    assert _opened_parents(signed) == ["image/jpeg"]


@WITHOUT
def test_credentials_that_cannot_go_along_stay_behind(signer: Signer, jpeg: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing, "_KEPT", ("nothing",))  # so that actions would be redacted, which the standard forbids
    signed = signer.sign(jpeg, MARK, parent=_camera(signer))
    assert _read(signed)["validation_state"] == "Valid" and len(_read(signed)["manifests"]) == 1
    assert _opened_parents(signed) == ["image/jpeg"]


@WITHOUT
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_credentials_on_a_server_stay_there(kind: str, signer: Signer) -> None:
    before = _camera(signer, remote="http://127.0.0.1:9/manifest.c2pa", kind=kind)
    content = encode_photo(_opened(before), mark=MARK)
    packet = re.findall(rb"<x:xmpmeta.*?</x:xmpmeta>", content, re.DOTALL)
    signed = signer.sign(content, MARK, parent=before)
    assert _read(signed)["validation_state"] == "Valid" and len(_read(signed)["manifests"]) == 1
    assert _opened_parents(signed) == [f"image/{kind.lower()}"]
    assert re.findall(rb"<x:xmpmeta.*?</x:xmpmeta>", signed, re.DOTALL) == packet


@WITHOUT
def test_that_the_parent_was_tampered_with_is_told(signer: Signer, jpeg: bytes) -> None:
    before = bytearray(_camera(signer))
    before[-100] ^= 1
    assert _read(bytes(before))["validation_state"] == "Invalid"
    signed = signer.sign(jpeg, MARK, parent=bytes(before))
    assert _read(signed)["validation_state"] == "Valid"
    said = _active(signed)["assertion_store"]["c2pa.ingredient.v3"]["validationResults"]["activeManifest"]["failure"]
    assert "assertion.dataHash.mismatch" in [one["code"] for one in said]


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """An address on this machine, and what was asked of it."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/manifest.c2pa", asked
        running.shutdown()
        thread.join()


@WITHOUT
def test_nothing_is_fetched_and_no_time_stamp_is_asked_for(signer: Signer, jpeg: bytes, server: tuple[str, list[str]]) -> None:
    import c2pa

    address, asked = server
    before = _camera(signer, remote=address)
    signed = signer.sign(jpeg, MARK, parent=before)
    assert asked == []
    assert "time" not in _active(signed)["signature"]
    with pytest.raises(c2pa.C2paError, match="404"):
        c2pa.Reader(io.BytesIO(before))
    assert asked == ["/manifest.c2pa"], "the library would have fetched it"


# ---- what cannot be signed ----------------------------------------------------------------------------------------------------------


@WITHOUT
@pytest.mark.parametrize(("content", "found"), [(saved(picture(), "GIF"), "GIF"), (saved(picture(), "BMP"), "BMP"), (b"hello", "b'hello'")])
def test_other_formats_are_refused(content: bytes, found: str, signer: Signer) -> None:
    with pytest.raises(PhotoError, match=f"{found}.* cannot be signed; JPEG, PNG, TIFF, WEBP, HEIF can"):
        signer.sign(content, MARK)


@WITHOUT
def test_a_parent_that_is_no_photo_is_refused(signer: Signer, jpeg: bytes) -> None:
    with pytest.raises(PhotoError, match="cannot be the parent"):
        signer.sign(jpeg, MARK, parent=b"hello")


@WITHOUT
def test_a_damaged_file_is_refused(signer: Signer, jpeg: bytes) -> None:
    with pytest.raises(PhotoError, match="the photo cannot be signed: "):
        signer.sign(jpeg[:30], MARK)


@WITHOUT
def test_a_certificate_that_expires_on_the_way(authority: Authority, jpeg: bytes) -> None:
    key = _key()
    late = Signer(authority.issue(key, start=-3, days=2).decode(), "es256", _pem(key).decode())
    with pytest.raises(PhotoError, match="not valid at time of signing"):
        late.sign(jpeg, MARK)


# ---- certificates and keys ----------------------------------------------------------------------------------------------------------


@WITHOUT
@pytest.mark.parametrize(
    ("kind", "algorithm"), [("P-256", "es256"), ("P-384", "es384"), ("P-521", "es512"), ("RSA-2048", "ps256"), ("Ed25519", "ed25519")]
)
def test_the_algorithm_follows_from_the_key(kind: str, algorithm: str, authority: Authority, jpeg: bytes, tmp_path: Path) -> None:
    key = _key(kind)
    signer = Signer.from_files(*_files(tmp_path, authority.issue(key), _pem(key)))
    assert signer.algorithm == algorithm
    signed = signer.sign(jpeg, MARK)
    assert _active(signed)["signature"]["alg"] == algorithm
    assert "claimSignature.validated" in _codes(signed, "success")


@WITHOUT
def test_keys_as_openssl_writes_them(authority: Authority, tmp_path: Path) -> None:
    for kind in ("P-256", "RSA-2048"):
        key = _key(kind)
        old = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\r\n" + _pem(key, old=True)
        Signer.from_files(*_files(tmp_path, b"subject=Signer\n" + authority.issue(key), old))
    both = authority.issue(key) + _pem(key)
    Signer.from_files(*_files(tmp_path, both, both))


@WITHOUT
def test_a_signer_travels_and_keeps_its_secret(signer: Signer, jpeg: bytes) -> None:
    assert "PRIVATE" not in repr(signer)
    assert _read(pickle.loads(pickle.dumps(signer)).sign(jpeg, MARK))["validation_state"] == "Valid"


@WITHOUT
def test_threads_may_share_a_signer(signer: Signer, jpeg: bytes) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        signed = list(pool.map(lambda number: signer.sign(jpeg, MARK, title=str(number)), range(12)))
    assert [_active(one)["claim"]["dc:title"] for one in signed] == [str(number) for number in range(12)]


def _wrong(name: str, authority: Authority) -> tuple[bytes, bytes]:
    """Contents of the two files."""
    key = _key({"rsa": "RSA-1024", "curve": "secp256k1", "dsa": "DSA"}.get(name, "P-256"))
    cert, pem = authority.issue(key), _pem(key)
    chain = cert.split(b"-----END CERTIFICATE-----\n")
    others = {
        "not a certificate": (b"hello", pem),
        "damaged certificate": (b"-----BEGIN CERTIFICATE-----\nhello\n-----END CERTIFICATE-----\n", pem),
        "expired": (authority.issue(key, start=-9, days=8), pem),
        "not yet": (authority.issue(key, start=2), pem),
        "for something else": (authority.issue(key, email=False), pem),
        "order": (chain[1] + b"-----END CERTIFICATE-----\n" + chain[0] + b"-----END CERTIFICATE-----\n", pem),
        "another's": (authority.issue(_key()), pem),
        "not a key": (cert, cert),
        "damaged key": (cert, pem[:60] + b"????" + pem[64:]),
        "encrypted": (cert, _pem(key, password=b"secret")),
        "encrypted, old": (cert, _pem(key, password=b"secret", old=True)),
    }
    return others.get(name, (cert, pem))


@WITHOUT
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("not a certificate", r"cert\.pem is no certificate in PEM .*openssl x509"),
        ("damaged certificate", r"cert\.pem holds a damaged certificate"),
        ("expired", r"cert\.pem expired on \d{4}-\d\d-\d\d; get a new certificate"),
        ("not yet", r"cert\.pem is valid from \d{4}-\d\d-\d\d .*clock"),
        ("for something else", r"cert\.pem cannot be used: .*emailProtection"),
        ("order", r"cert\.pem must begin with the certificate that .*key\.pem belongs to; it is number 2"),
        ("another's", r"the key in .*key\.pem does not belong to the certificate in .*cert\.pem"),
        ("not a key", r"key\.pem is no private key in PEM .*openssl pkey"),
        ("damaged key", r"key\.pem holds a damaged or unknown key"),
        ("encrypted", r"key\.pem is encrypted; .*openssl pkey"),
        ("encrypted, old", r"key\.pem is encrypted; .*openssl pkey"),
        ("rsa", r"key\.pem holds a kind of key .*RSA, 1024 bits.*from 2048 bits"),
        ("curve", r"key\.pem holds a kind of key .*curve secp256k1"),
        ("dsa", r"key\.pem holds a kind of key .*DSA, 1024 bits"),
    ],
)
def test_wrong_files_are_refused_before_anything_is_done(name: str, message: str, authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        Signer.from_files(*_files(tmp_path, *_wrong(name, authority)))


@WITHOUT
def test_both_files_are_complained_about_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no file .*a\.pem; there is no file .*b\.pem"):
        Signer.from_files(tmp_path / "a.pem", tmp_path / "b.pem")
    (tmp_path / "a.pem").mkdir()
    with pytest.raises(UsageError, match=r"a\.pem cannot be read: .*; there is no file .*b\.pem"):
        Signer.from_files(tmp_path / "a.pem", tmp_path / "b.pem")


# ---- without the extra --------------------------------------------------------------------------------------------------------------


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(UsageError, match=r"pip install 'stylswap\[provenance\]'"):
        Signer.from_files(tmp_path / "a.pem", tmp_path / "b.pem")
    with pytest.raises(UsageError, match=r"pip install 'stylswap\[provenance\]'"):
        Signer("", "es256", "").sign(encode_photo(from_array(picture()), mark=MARK), MARK)


def test_the_extra_is_imported_only_when_it_is_used() -> None:
    body = ast.parse(Path(signing.__file__).read_text(encoding="utf-8")).body
    imported = {name.name for node in body if isinstance(node, ast.Import) for name in node.names}
    imported |= {node.module or "" for node in body if isinstance(node, ast.ImportFrom)}
    assert "json" in imported
    assert not [name for name in imported if name.startswith(("c2pa", "cryptography"))]
