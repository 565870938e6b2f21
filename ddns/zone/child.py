"""What a registry publishes of a child that has servers of its own, and what those servers say. Values.

Law: nothing here is believed. A `Child` is wanted or published, a `ServerSaid` is one server's word; `acceptance`,
`cds` and `csync` judge them.
"""

from __future__ import annotations

import ipaddress
from typing import Protocol

import msgspec

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset, SignedRRset

GLUE_TYPES = frozenset({Type.A, Type.AAAA})
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052 §2.1
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Child(msgspec.Struct, frozen=True):
    """A delegation: the names of its servers, the addresses of those below it, and its DS."""

    servers: tuple[Name, ...] = ()
    glue: tuple[RRset, ...] = ()
    ds: tuple[Rdata, ...] = ()


class ServerSaid(msgspec.Struct, frozen=True):
    """What *server* said at *address* about the apex of a child; a record that it says it has not is None.

    *authoritative*: it answers for the zone itself. *hosts* are the A and AAAA records of the servers below the child.
    *asked* is when it was asked, in seconds since 1970. *problem* is why it said nothing that counts, a phrase.
    """

    server: Name
    address: str
    asked: int = 0
    authoritative: bool = False
    serial: int | None = None
    soa: SignedRRset | None = None
    ns: SignedRRset | None = None
    dnskey: SignedRRset | None = None
    cds: SignedRRset | None = None
    cdnskey: SignedRRset | None = None
    csync: SignedRRset | None = None
    hosts: tuple[SignedRRset, ...] = ()
    problem: str = ""

    @property
    def who(self) -> str:
        """Return the server's name and address for people."""
        return f"{names.to_text(self.server)} {self.address}"

    @property
    def servers(self) -> frozenset[Name]:
        """Return the names of the servers that it shows."""
        return frozenset(() if self.ns is None else self.ns.rdatas)

    @property
    def keys(self) -> frozenset[Rdata]:
        """Return the keys that it shows."""
        return frozenset(() if self.dnskey is None else self.dnskey.rdatas)


class Fault(msgspec.Struct, frozen=True):
    """Why a delegation is not changed: a stable word, and one sentence for its owner."""

    rule: str
    sentence: str


class Asked(msgspec.Struct, frozen=True):
    """What a child asks its registry to publish, and the stamp by which an older wish is known.

    For CDS that is the oldest inception of their signatures, for CSYNC its serial.
    """

    child: Child
    stamp: int


class Verify(Protocol):
    """Whoever knows how to check a signature."""

    def __call__(self, rrset: SignedRRset, sig: Rdata, key: Rdata, origin: Name, now: int) -> bool:
        """Tell whether *sig* is *origin*'s signature by *key* over *rrset*, valid at *now* (RFC 4035 §5.3)."""
        ...


def glue_addresses(child: Child) -> dict[Name, tuple[str, ...]]:
    """Return the addresses of the child's servers for which there is glue."""
    out: dict[Name, tuple[str, ...]] = {}
    for rrset in child.glue:
        out[rrset.name] = out.get(rrset.name, ()) + tuple(str(ipaddress.ip_address(one)) for one in rrset.rdatas)
    return out


def is_public(address: str) -> bool:
    """Tell whether anybody may be reached at *address*, not only whoever is near us.

    An address of IPv6 that stands for one of IPv4 is judged by that one too.
    """
    parsed: _Address = ipaddress.ip_address(address)
    inner: _Address | None = None
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour
        if parsed in _NAT64:
            inner = ipaddress.IPv4Address(parsed.packed[12:])
        elif parsed.teredo is not None:
            inner = parsed.teredo[1]
    if inner is not None and not (inner.is_global and not inner.is_multicast):
        return False
    return (parsed.is_global or inner is not None) and not parsed.is_multicast


def same(rrset: SignedRRset | None, other: SignedRRset | None) -> bool:
    """Tell whether two answers have the same records; signatures and TTLs may differ."""
    return (() if rrset is None else rrset.rdatas) == (() if other is None else other.rdatas)
