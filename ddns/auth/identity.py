"""The server's own SIG(0) key, with which it signs its answers to those who sign with SIG(0) (RFC 2931 §3.1).

It is derived from the service's secret, so that every worker and every server of a registry has the same one
and there is no second file to keep: who restores `secrets.key` restores it.
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric import ec

from ddns.auth import keys, sig0
from ddns.dns.names import Name
from ddns.dns.records import Rdata

_PURPOSE = b"nameplate server sig0 key 1"
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256 (SEC 2 §2.4.2)


class Identity:
    """Who the server is: *name* owns the KEY record that `public` is the RDATA of."""

    __slots__ = ("_key", "name", "public")

    def __init__(self, secret: bytes, name: Name) -> None:
        # 64 octets taken modulo the order: no value is likelier than another by more than 2**-256.
        scalar = int.from_bytes(hmac.digest(secret, _PURPOSE, hashlib.sha512), "big") % (_ORDER - 1) + 1
        self._key = ec.derive_private_key(scalar, ec.SECP256R1())
        self.name = name
        self.public: Rdata = keys.key_rdata(self._key)

    def __repr__(self) -> str:
        return f"Identity(tag={keys.key_tag(self.public)})"

    def sign_reply(self, wire: bytes, request: bytes, now: int) -> bytes:
        """Return the reply *wire* to the signed message *request* with our SIG(0); *now* in seconds since 1970."""
        return sig0.sign_reply(wire, request, self._key, self.name, now)
