"""Content Credentials (C2PA): a photo signed with the user's own certificate. The extra `stylswap[provenance]`.

Signing is the last step: it takes the bytes that `stylswap.photo.encode_photo` made, with the mark inside, and adds a manifest that
says the same in a way that cannot be changed unnoticed. Picture and XMP stay the same bits. Nothing is sent anywhere and nothing is
fetched: no time stamp, no certificate status, no manifest that only lies on a server.

The credentials of the photo that was swapped in are kept as those of the parent, without what could show the face that was there:
see `_KEPT`.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from stylswap.errors import PhotoError, UsageError
from stylswap.photo.header import file_format
from stylswap.provenance import DIGITAL_SOURCE_TYPE, Mark

if TYPE_CHECKING:
    from cryptography import x509

T = TypeVar("T")

MARK_ASSERTION: Final = "stylswap.mark"
"""Label of the assertion that names the identity file: `identity_name`, `identity_sha256`, and `label` where there is one."""

_MIMES: Final = {"JPEG": "image/jpeg", "PNG": "image/png", "TIFF": "image/tiff", "WEBP": "image/webp", "HEIF": "image/heic"}
_PARENT_MIMES: Final = _MIMES | {"BMP": "image/bmp", "GIF": "image/gif"}

# Assertions of the parent's manifests that stay. All others (thumbnails, embedded files, what we do not know) may hold another
# rendering of the photo, as in stylswap.photo.jpeg, and are redacted, which the standard provides for.
_KEPT: Final = ("c2pa.actions", "c2pa.hash.", "c2pa.ingredient", "c2pa.metadata", "stds.", "cawg.", "stylswap.")
_REDACTION_REASON: Final = "c2pa.PII.present"

_PARENT: Final = {"title": "the photo before", "relationship": "parentOf", "label": "parent"}
_SETTINGS: Final = {
    "builder": {"thumbnail": {"enabled": False}, "created_assertion_labels": ["c2pa.actions", MARK_ASSERTION]},
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    "core": {"allowed_network_hosts": []},
}

_CURVES: Final = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
_LEAST_RSA_BITS: Final = 2048
_PROFILE: Final = (
    "C2PA takes certificates for signing documents: key usage digitalSignature, an extended key usage such as emailProtection, "
    "no authority of its own (CA:FALSE), issued by an authority"
)
_PRIVATE_KEY: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)
# The smallest photo there is, to try certificate and key on: one grey pixel, as PNG.
_PIXEL: Final = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c636800000082008177cd72b60000000049454e44ae426082"
)


class _Parent(NamedTuple):
    """The photo before the swap: its bytes (None to leave its credentials out), and which of its assertions must not stay."""

    content: bytes | None
    mime: str
    redactions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Signer:
    """A certificate and its key. May be used by several threads, and sent to other processes.

    Attributes:
        certificates: PEM, the signer's own certificate first, then those that vouch for it.
        algorithm: "es256", "es384", "es512", "ps256" or "ed25519".
        key: PEM (PKCS #8).
    """

    certificates: str
    algorithm: str
    key: str = field(repr=False)

    @classmethod
    def from_files(cls, cert: Path, key: Path) -> Signer:
        """Read certificate and key, and sign a photo of one pixel with them: what would fail later fails now.

        Args:
            cert: PEM: the signer's certificate, then intermediate ones.
            key: PEM, not encrypted; the algorithm follows from it.

        Raises:
            UsageError: If the extra is not installed, or with all that is wrong with the two files: missing, not PEM, encrypted, of a
                kind that C2PA does not have, not belonging together, expired, or not made for signing.
        """
        _library()
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

        problems: list[str] = []
        chain = _collected(problems, _read_certificates, cert)
        private = _collected(problems, _read_key, key)
        if chain and private:
            spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            owners = [one.public_key().public_bytes(*spki) == private[0].public_key().public_bytes(*spki) for one in chain]
            if not any(owners):
                problems.append(f"the key in {key} does not belong to the certificate in {cert}")
            elif not owners[0]:
                problems.append(f"{cert} must begin with the certificate that {key} belongs to; it is number {owners.index(True) + 1}")
        if problems or not chain or not private:
            raise UsageError(f"photos cannot be signed: {'; '.join(problems)}")
        pem = private[0].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        signer = cls("".join(one.public_bytes(Encoding.PEM).decode() for one in chain), private[1], pem.decode())
        try:
            signer.sign(_PIXEL, Mark("stylswap 0", "nobody", "0" * 64))
        except PhotoError as error:
            raise UsageError(f"{cert} cannot be used: {error}. {_PROFILE}") from error
        return signer

    def sign(self, content: bytes, mark: Mark, *, parent: bytes | None = None, title: str = "") -> bytes:
        """The same file with a signed manifest in it.

        Args:
            content: A whole JPEG, PNG, TIFF, WebP or HEIC, as `stylswap.photo.encode_photo` makes it.
            mark: What the manifest says, as in the XMP.
            parent: The photo's file before the swap; its credentials are kept, but for renderings of it. Ones that cannot be read, or
                that lie on a server only, are left out. None: the manifest says nothing about an earlier photo.
            title: Name of the photo, usually of its file; "" for none.

        Raises:
            PhotoError: If the format cannot carry a manifest, or the result would not verify, for instance because the certificate
                has expired.
            UsageError: If the extra is not installed.
        """
        c2pa = _library()
        mime = _mime(content, _MIMES, "signed")
        try:
            with c2pa.Context.from_dict(_SETTINGS) as context:
                if parent is None:
                    return self._signed(content, mime, _definition(mark, title, None), None, context)
                before = _read_parent(parent, context)
                try:
                    return self._signed(content, mime, _definition(mark, title, before), before, context)
                except c2pa.C2paError:
                    # Credentials that cannot go along (a stranger's can be anything) stay behind.
                    alone = _Parent(None, before.mime)
                    return self._signed(content, mime, _definition(mark, title, alone), alone, context)
        except c2pa.C2paError as error:
            raise PhotoError(f"the photo cannot be signed: {str(error).removeprefix('Signature: ')}") from error

    def _signed(self, content: bytes, mime: str, definition: dict[str, Any], parent: _Parent | None, context: Any) -> bytes:
        c2pa = _library()
        made = BytesIO()
        facts = c2pa.C2paSignerInfo(self.algorithm, self.certificates.encode(), self.key.encode(), None)  # None: no time stamp
        with c2pa.Signer.from_info(facts) as signer, c2pa.Builder(definition, context=context) as builder:
            if parent is not None and parent.content is not None:
                builder.add_ingredient(_PARENT, parent.mime, BytesIO(parent.content))
            builder.sign(signer, mime, BytesIO(content), made)
        return made.getvalue()


def is_available() -> bool:
    """Whether c2pa-python is installed."""
    return importlib.util.find_spec("c2pa") is not None


def _library() -> Any:
    try:
        return importlib.import_module("c2pa")
    except ImportError as error:
        raise UsageError("signing needs an extra library: pip install 'stylswap[provenance]'") from error


def _definition(mark: Mark, title: str, parent: _Parent | None) -> dict[str, Any]:
    """The manifest that is signed, as the library takes it."""
    name, _, version = mark.software.rpartition(" ")
    agent = {"name": name or mark.software, "version": version}
    said = {"description": "A face was replaced by one that a trained model drew.", "softwareAgent": agent}
    said["digitalSourceType"] = DIGITAL_SOURCE_TYPE
    redactions = parent.redactions if parent else ()
    actions: list[dict[str, Any]] = [{"action": "c2pa.created", **said}]
    if parent is not None:
        actions = [{"action": "c2pa.opened", "parameters": {"ingredientIds": ["parent"]}}]
        actions += [{"action": "c2pa.redacted", "reason": _REDACTION_REASON, "parameters": {"redacted": uri}} for uri in redactions]
        actions += [{"action": "c2pa.edited", **said}]
    about = {"identity_name": mark.identity_name, "identity_sha256": mark.identity_sha256, "label": mark.label}
    definition: dict[str, Any] = {
        "claim_generator_info": [agent],
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": actions}},
            {"label": MARK_ASSERTION, "data": {key: value for key, value in about.items() if value}},
        ],
    }
    if parent is not None and parent.content is None:
        definition["ingredients"] = [_PARENT | {"format": parent.mime}]
    return definition | ({"title": title} if title else {}) | ({"redactions": list(redactions)} if redactions else {})


def _read_parent(content: bytes, context: Any) -> _Parent:
    """The parent, with what must be redacted in its manifests and in those of its own ancestors."""
    c2pa = _library()
    mime = _mime(content, _PARENT_MIMES, "the parent of a signed photo")
    try:
        reader = c2pa.Reader.try_create(mime, BytesIO(content), context=context)
        if reader is None:
            return _Parent(content, mime)
        with reader:
            manifests = json.loads(reader.detailed_json())["manifests"]
    except c2pa.C2paError:
        return _Parent(None, mime)
    return _Parent(
        content,
        mime,
        tuple(
            f"self#jumbf=/c2pa/{label}/c2pa.assertions/{assertion}"
            for label, manifest in manifests.items()
            for assertion in manifest["assertion_store"]
            if not assertion.startswith(_KEPT)
        ),
    )


def _mime(content: bytes, mimes: dict[str, str], role: str) -> str:
    name = file_format(content[:16])
    if name not in mimes:
        found = name or f"what begins with {content[:12]!r}"
        raise PhotoError(f"{found} cannot be {role}; {', '.join(mimes)} can")
    return mimes[name]


def _collected(problems: list[str], read: Callable[[Path], T], path: Path) -> T | None:
    """What `read` returns, or None and its complaint among the problems."""
    try:
        return read(path)
    except OSError as error:
        problems.append(f"{path} cannot be read: {error.strerror or error}" if path.exists() else f"there is no file {path}")
    except ValueError as error:
        problems.append(f"{path} {error}")
    return None


def _read_certificates(path: Path) -> list[x509.Certificate]:
    """The chain, after a look at the dates of its first certificate.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it holds no certificate, or one that is not valid today; the message follows the file's name.
    """
    from cryptography import x509

    content = path.read_bytes()
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise ValueError(
            "is no certificate in PEM (-----BEGIN CERTIFICATE-----); if it is DER: openssl x509 -inform der -in FILE -out cert.pem"
        )
    try:
        chain = x509.load_pem_x509_certificates(content)
        start, end = chain[0].not_valid_before_utc, chain[0].not_valid_after_utc
    except ValueError as error:
        raise ValueError(f"holds a damaged certificate: {error}") from error
    now = datetime.now(UTC)
    if now > end:
        raise ValueError(f"expired on {end:%Y-%m-%d}; get a new certificate")
    if now < start:
        raise ValueError(f"is valid from {start:%Y-%m-%d %H:%M} UTC on; if that is past, this machine's clock is wrong")
    return chain


def _read_key(path: Path) -> tuple[Any, str]:
    """The private key and the algorithm that goes with it.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it holds no key that C2PA can sign with; the message follows the file's name.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    found = _PRIVATE_KEY.search(path.read_bytes())
    if found is None:
        raise ValueError(
            "is no private key in PEM (-----BEGIN PRIVATE KEY-----); if it is DER: openssl pkey -inform der -in FILE -out key.pem"
        )
    try:
        key: Any = load_pem_private_key(found[0], None)
    except TypeError as error:  # what cryptography raises where a password is missing
        raise ValueError("is encrypted; take the password off a copy that only you can read: openssl pkey -in FILE -out key.pem") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(f"holds a damaged or unknown key: {error}") from error
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return key, _CURVES[key.curve.name]
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _LEAST_RSA_BITS:
        return key, "ps256"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key, "ed25519"
    what = f"curve {key.curve.name}" if isinstance(key, ec.EllipticCurvePrivateKey) else f"{getattr(key, 'key_size', '?')} bits"
    kind = f"{type(key).__name__.replace('PrivateKey', '')}, {what}"
    raise ValueError(f"holds a kind of key that C2PA does not sign with ({kind}); take P-256, P-384, P-521, Ed25519 or RSA from 2048 bits")
