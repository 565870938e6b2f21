"""Evidence without a token: a key that hardware holds signs our nonce and the key that is to be certified, no more.

Many security chips say nothing in words; they have a key, with a certificate of their maker's, that signs what they are
given. What such a signature is worth, the rules of a verifier say, by the name that its type has.
"""

from __future__ import annotations

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from ddns.proof import der, jwk
from ddns.proof.bad import BadProof
from ddns.proof.jwk import PublicJwk

CLAIM = "key-signature"  # in rules: the object identifier of the statement's type
_HASHES: dict[str, hashes.HashAlgorithm] = {"P-256": hashes.SHA256(), "P-384": hashes.SHA384()}


class KeySignature(msgspec.Struct, frozen=True):
    """A *signature* over the *payload*: the characters of a nonce, and a SubjectPublicKeyInfo in DER behind them.

    By ECDSA (P-256 with SHA-256, P-384 with SHA-384) it is in DER, by Ed25519 its 64 octets.
    """

    payload: bytes
    signature: bytes

    def verify(self, key: PublicJwk) -> bool:
        """Tell whether *key* made the signature."""
        public = jwk.public_key(key)
        try:
            if isinstance(public, ec.EllipticCurvePublicKey):
                public.verify(self.signature, self.payload, ec.ECDSA(_HASHES[key.crv]))
            else:
                public.verify(self.signature, self.payload)
        except InvalidSignature:
            return False
        return True


def read(statement: der.Tlv, spki: bytes) -> tuple[str, KeySignature]:
    """Return the nonce and the signature in a *statement*, a SEQUENCE of two OCTET STRINGs, about the key *spki*.

    Raises `BadDer` and `BadProof`.
    """
    parts = statement.children()
    if len(parts) != 2:
        raise der.BadDer("a key's signature has not two parts: the nonce and the signature")
    nonce, signature = (one.expect(der.OCTET_STRING, "a part of a key's signature").body for one in parts)
    try:
        text = nonce.decode("ascii")
    except UnicodeDecodeError:
        raise BadProof("evidence-nonce-wrong", "The evidence does not answer a nonce of this registry.") from None
    return text, KeySignature(nonce + spki, signature)
