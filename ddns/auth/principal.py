"""Who may do what: credentials, the grants they carry, and the principal a verified message speaks for."""

from __future__ import annotations

import hmac

import msgspec

from ddns.dns import names
from ddns.dns.names import Name


class Secret:
    """A shared secret that no log, error or `repr` shows."""

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def reveal(self) -> bytes:
        """Return the secret's octets; keep them out of anything that lasts."""
        return self._octets

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._octets, other._octets)

    def __hash__(self) -> int:
        return id(self)


class Grant(msgspec.Struct, frozen=True):
    """One thing that a credential may write: names at or below *subtree* in zone *zone* (its id), *types* or all."""

    zone: int
    subtree: Name
    types: frozenset[int] | None = None

    def covers(self, zone: int, name: Name, rdtype: int) -> bool:
        """Tell whether this grant lets one write *rdtype* at *name*; *rdtype* ANY needs all types."""
        if zone != self.zone or not names.is_subdomain(name, self.subtree):
            return False
        return self.types is None or rdtype in self.types


class Credential(msgspec.Struct, frozen=True):
    """A key that may sign updates.

    *kind* is `tsig` (then *algorithm* is a name such as `hmac-sha256` and *secret* is set) or `sig0`
    (then *algorithm* is the number as text, *public* the KEY's RDATA and *tag* its key tag).
    *home* is the id of the home's zone that it speaks for as its owner, *invitation* the id of the
    invitation that it spends; else None. *zones* are those of its *grants*, whatever is passed.
    """

    id: int
    name: Name
    kind: str
    algorithm: str
    tag: int = 0
    public: bytes = b""
    secret: Secret | None = None
    home: int | None = None
    invitation: int | None = None
    grants: tuple[Grant, ...] = ()
    zones: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        # An operator's key may have a grant for each of thousands of zones: the coarse question is asked of a set.
        msgspec.structs.force_setattr(self, "zones", frozenset(grant.zone for grant in self.grants))


class Principal(msgspec.Struct, frozen=True):
    """Who a verified message speaks for."""

    credential: Credential

    @property
    def label(self) -> str:
        """Return how journals and people name it, such as `sig0:smith.homes.example.`."""
        return f"{self.credential.kind}:{names.to_text(self.credential.name)}"
