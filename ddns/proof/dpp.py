"""The text of a box's QR code, in the form of Wi-Fi Easy Connect (DPP §5.2.1) with what smarkaklink adds to it.

`DPP:` and then fields, each a letter, a colon, its value and a semicolon, and a last semicolon. The key (K) is the one
that has to be there: the public half of the key that is printed on the box and never is its certificate's. The letters
may come in any order (draft-richardson-anima-smarkaklink, "Quick Response Code"); those that are not known are kept.
The one that ends a text may be missing, as it is in the codes that the draft's authors print.
"""

from __future__ import annotations

import base64
import binascii
import re

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from ddns.proof.bad import BadProof

MOST = 1024  # characters; a QR code of version 25 with correction M holds no more
MOST_VALUE = 512  # characters of one field
MOST_FIELDS = 26

_SCHEME = "DPP:"
_FIELD = re.compile(r"([A-Z]):([\x20-\x3a\x3c-\x7e]*)")  # no semicolon, nothing outside of printable ASCII
_MAC = re.compile(r"[0-9A-Fa-f]{12}")
_LINK_LOCAL = re.compile(r"[0-9A-Fa-f]{16}")
_HEAD = "CMIVHKLDSE"  # the order in which fields are written: what DPP knows first


class DppUri(msgspec.Struct, frozen=True):
    """What a box's QR code says; a text that is empty was not there.

    *key* is a SubjectPublicKeyInfo in DER, on P-256. *mac* has 12 hexadecimal digits, *interface* the 16 of the second
    half of a link-local address. *maker* is the host, with a port if need be, of the maker's service (MASA). *others*
    are the fields of other letters, as pairs.
    """

    key: bytes
    mac: str = ""
    interface: str = ""
    maker: str = ""
    network: str = ""
    usage: str = ""  # the address of a usage description (MUD, RFC 8520)
    channels: str = ""
    information: str = ""
    version: str = ""
    host: str = ""
    others: tuple[tuple[str, str], ...] = ()

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Return the key that the box has to have."""
        key = load_der_public_key(self.key)
        assert isinstance(key, ec.EllipticCurvePublicKey)  # `read` and `write` take no other
        return key


_LETTERS = {
    "C": "channels", "M": "mac", "I": "information", "V": "version", "H": "host", "L": "interface", "D": "usage",
    "S": "maker", "E": "network",
}  # fmt: skip


def read(text: str) -> DppUri:
    """Read what was scanned. Raises `BadProof` with the code `qr-malformed`."""
    text = text.strip()
    if len(text) > MOST:
        raise _bad(f"it has more than {MOST} characters")
    if not text.startswith(_SCHEME):
        raise _bad("it does not begin with DPP:")
    if not text.endswith(";"):
        raise _bad("its end is missing")
    body = text[len(_SCHEME) : -2 if text.endswith(";;") else -1]
    fields: dict[str, str] = {}
    others: list[tuple[str, str]] = []
    parts = body.split(";")
    if len(parts) > MOST_FIELDS:
        raise _bad(f"it has more than {MOST_FIELDS} fields")
    for part in parts:
        found = _FIELD.fullmatch(part)
        if found is None:
            raise _bad("one of its fields is no letter, colon and printable text")
        letter, value = found.groups()
        if len(value) > MOST_VALUE:
            raise _bad(f"its field {letter} has more than {MOST_VALUE} characters")
        if letter in fields:
            raise _bad(f"its field {letter} is there twice")
        fields[letter] = value
        if letter != "K" and letter not in _LETTERS:
            others.append((letter, value))
    if "K" not in fields:
        raise _bad("it holds no key")
    known = {_LETTERS[letter]: value for letter, value in fields.items() if letter in _LETTERS}
    try:
        key = base64.b64decode(fields["K"], validate=True)
    except (binascii.Error, ValueError):
        raise _bad("its key is no base64") from None
    return _checked(DppUri(_compressed(key), others=tuple(others), **known))


def write(said: DppUri) -> str:
    """Return the text to print. Raises `BadProof` for what no reader would take."""
    said = _checked(msgspec.structs.replace(said, key=_compressed(said.key)))
    values = {letter: str(getattr(said, field)) for letter, field in _LETTERS.items()}
    values["K"] = base64.b64encode(said.key).decode()
    pairs = [(letter, values[letter]) for letter in _HEAD if values[letter]]
    return _SCHEME + "".join(f"{letter}:{value};" for letter, value in (*pairs, *said.others)) + ";"


def key_of(public: ec.EllipticCurvePublicKey) -> bytes:
    """Return *public* as a QR code holds it: a SubjectPublicKeyInfo with a compressed point (RFC 5480 §2.2)."""
    point = public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    return _SPKI_HEAD + point


# SEQUENCE { SEQUENCE { id-ecPublicKey, prime256v1 }, BIT STRING } of the 33 octets of a compressed point.
_SPKI_HEAD = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")


def _compressed(octets: bytes) -> bytes:
    """Return the key of *octets* with its point compressed. Raises `BadProof`."""
    try:
        key = load_der_public_key(octets)
    except (ValueError, UnsupportedAlgorithm):
        raise _bad("its key cannot be read") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _bad("its key is not on the curve P-256")
    return key_of(key)


def _checked(said: DppUri) -> DppUri:
    """Return *said* if each field has its form. Raises `BadProof`."""
    if said.mac and _MAC.fullmatch(said.mac) is None:
        raise _bad("its field M is not 12 hexadecimal digits")
    if said.interface and _LINK_LOCAL.fullmatch(said.interface) is None:
        raise _bad("its field L is not 16 hexadecimal digits")
    for letter, value in (*((letter, getattr(said, field)) for letter, field in _LETTERS.items()), *said.others):
        if _FIELD.fullmatch(f"{letter}:{value}") is None or len(value) > MOST_VALUE:
            raise _bad(f"its field {letter[:1]} is no short printable text without a semicolon")
    letters = [letter for letter, _ in said.others]
    if len(set(letters)) != len(letters) or "K" in letters or not _LETTERS.keys().isdisjoint(letters):
        raise _bad("one of its fields is there twice")
    return said


def _bad(why: str) -> BadProof:
    return BadProof("qr-malformed", f"This is no code of a box: {why}; scan the code on the box again.")
