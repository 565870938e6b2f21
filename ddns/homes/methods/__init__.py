"""Ways to enrol: each shows something about who asks, and all end in the same rows.

A method answers one question, what has been proved, with a `Proved`; it makes no home, it writes nothing, and it knows
no other method. `ddns.homes.making` makes the home of it. Which methods a tenant takes is its policy's.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, Protocol
from uuid import UUID

import msgspec
from psycopg import AsyncConnection

from ddns.dns.refusal import Refusal
from ddns.proof import jwk
from ddns.proof.jwk import PublicJwk
from ddns.proof.jws import Signed
from ddns.proof.statements import Enrol

_NAMING = b"nameplate-naming"


class DeviceIdentity(msgspec.Struct, frozen=True):
    """What a box has proved to be: *kind* `idevid`, `serial`, `qr` or `ueid`, and the digest by which it is known.

    *model* is what its maker calls it, *certificate* the SHA-256 of its certificate where it showed one. *serial* is
    the digest of the serial number in that, by whose bond with *vendor* it is believed.
    """

    kind: str
    digest: bytes
    model: str = ""
    certificate: bytes | None = None
    serial: bytes | None = None
    vendor: str = ""


class Spend(msgspec.Struct, frozen=True):
    """What goes with the home in one transaction: an invitation or a nonce, each used once."""

    invitation: int | None = None
    nonce: bytes | None = None


class Proved(msgspec.Struct, frozen=True):
    """What a method found: the tier, and what binds the home that may be made.

    *zone* is the registry's zone and *label* the home's whole name in wire form where the method decides them;
    *until* (seconds since 1970) is when *evidence* has to be shown anew, None: never. *bond* and *verifier* are ids of
    the rows by whose word it was taken. *seed* is what a name falls from that the registry makes (`seed_of`), so that
    it can be shown before it is accepted; empty: it falls by chance.
    """

    method: str
    assurance: str
    zone: int | None = None
    label: bytes | None = None
    owner: UUID | None = None
    device: DeviceIdentity | None = None
    spend: Spend = Spend()
    evidence: bytes = b""
    until: int | None = None
    bond: int | None = None
    verifier: int | None = None
    seed: bytes = b""


class Wish(msgspec.Struct, frozen=True):
    """An enrolment as it came: *signed* is the whole statement, *said* what its payload says, a `statements` type.

    The signatures of *gateway* (always the first) and of *owner* (the second, where there is one) have been verified.
    """

    signed: Signed
    said: Any
    gateway: PublicJwk
    owner: PublicJwk | None

    @property
    def owned_by(self) -> str:
        """Return the thumbprint of the owner's key, who signed, or is named and has yet to; or nothing."""
        if self.owner is not None:
            return jwk.kid(self.owner)
        return (self.said.owner or "") if isinstance(self.said, Enrol) else ""


class Method(Protocol):
    """A way to enrol. Law: what `cheap` refuses depends on the request and on public rules alone."""

    @property
    def name(self) -> str:
        """Return what policies and statements call it."""

    def cheap(self, wish: Wish, now: int, /) -> Refusal | None:
        """Refuse what can be refused without a look at anything that is kept."""

    async def prove(self, conn: AsyncConnection[Any], wish: Wish, now: int, /) -> Proved | Refusal:
        """Return what has been proved, or the refusal; *now* in seconds since 1970. It reads, and writes nothing."""


def seed_of(secret: bytes, gateway: PublicJwk) -> bytes:
    """Return what the name of a home for the key *gateway* falls from; only who has the registry's *secret* knows."""
    return hmac.digest(hashlib.blake2b(secret, person=_NAMING).digest(), jwk.thumbprint(gateway), "sha256")
