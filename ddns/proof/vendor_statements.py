"""What vendors say about themselves: which keys vouch for which of their boxes, and that these shall vouch no more.

Such a statement is the payload of a JWS with one signature by the vendor's bond key, which shows itself (`jwk`). It
speaks of boxes that nobody owns yet and of no home: a name in `sub` is refused. Whether it counts, an operator says.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding

from ddns.proof import b64, cms, jws, statements, strict_json
from ddns.proof.bad import BadProof
from ddns.proof.jwk import PrivateKey, PublicJwk
from ddns.proof.jws import Signed
from ddns.proof.statements import Moment, Octets, Statement

DAYS = 90  # that a statement may be good for: it is carried by mail
LONGEST = DAYS * 86_400
MOST_CERTIFICATES = 16  # of each kind
MOST_MODELS = 64

_Printed = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
_Certificates = Annotated[tuple[Octets, ...], msgspec.Meta(max_length=MOST_CERTIFICATES)]  # DER, base64url


class Authorize(Statement, frozen=True, kw_only=True, tag="vendor.authorize"):
    """Have the word of *masa_keys* count for boxes of *vendor* whose certificates *anchors* issued.

    *masa_url* is where vouchers are asked for, *masa_anchors* issue that server's certificate. *models* empty: all.
    *until* is when it ends, whatever the registry says; None: not by itself.
    """

    LONGEST: ClassVar[int] = LONGEST

    vendor: _Printed
    anchors: _Certificates
    masa_keys: _Certificates = ()
    masa_url: Annotated[str, msgspec.Meta(max_length=500)] = ""
    masa_anchors: _Certificates = ()
    models: Annotated[tuple[_Printed, ...], msgspec.Meta(max_length=MOST_MODELS)] = ()
    until: Moment | None = None


class Withdraw(Statement, frozen=True, kw_only=True, tag="vendor.withdraw"):
    """Have the word of the key that signs this count no more for boxes that are not enrolled yet."""

    LONGEST: ClassVar[int] = LONGEST

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=400)]


AnyVendorStatement = Authorize | Withdraw

_DECODER: msgspec.json.Decoder[AnyVendorStatement] = msgspec.json.Decoder(AnyVendorStatement)


class Said(msgspec.Struct, frozen=True):
    """A statement whose one signature, by *key*, was verified, and which holds now."""

    statement: AnyVendorStatement
    key: PublicJwk
    signed: Signed


def read(octets: bytes, now: int) -> Said:
    """Return what a vendor has signed, *now* in seconds since 1970. Raises `BadProof`."""
    signed = jws.read(octets)
    if len(signed.signatures) != 1:
        raise BadProof("statement-signature-wrong", "A vendor's statement has one signature, by its bond key.")
    key = statements.shown(signed, 0)
    if not jws.verify(signed, 0, key):
        raise BadProof("statement-signature-wrong", "The statement is not signed by the key that it shows.")
    found = strict_json.typed(_DECODER, signed.payload)
    statements.timely(found, now)
    statements.registry_of(found)
    if found.sub:
        raise BadProof("vendor-has-no-say", "A vendor speaks of boxes that nobody owns yet, and of no home.")
    if found.nonce:
        raise BadProof("field-wrong", "A vendor's statement answers no nonce; leave it out.")
    return Said(found, key, signed)


def sign(statement: AnyVendorStatement, key: PrivateKey) -> bytes:
    """Return *statement* signed by the vendor's bond key."""
    return jws.sign(msgspec.json.encode(statement), [jws.shown(key, statements.TYP)])


def packed(certificates: tuple[bytes, ...]) -> tuple[str, ...]:
    """Return *certificates* (DER) as they stand in a statement."""
    return tuple(map(b64.encode, certificates))


def unpacked(held: tuple[str, ...]) -> tuple[bytes, ...]:
    """Return the certificates that stand in a statement, in DER. Raises `BadProof`."""
    return tuple(cms.certificate(b64.decode(one)).public_bytes(Encoding.DER) for one in held)
