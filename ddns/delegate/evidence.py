"""What is kept of what servers said: enough for people to see why it was decided so, and bounded."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from ddns.dns.records import SignedRRset
from ddns.zone.child import ServerSaid

MOST_SERVERS = 26  # servers, at one address each, of which is kept what they said
MOST_RECORDS = 16  # of one RRset


def slim(said: Iterable[ServerSaid]) -> tuple[ServerSaid, ...]:
    """Return *said* without signatures and addresses, and not more of it than `MOST_SERVERS` and `MOST_RECORDS`."""
    return tuple(
        replace(
            one, soa=None, hosts=(), ns=_bare(one.ns), dnskey=_bare(one.dnskey), cds=_bare(one.cds),
            cdnskey=None, csync=_bare(one.csync),
        )
        for one in list(said)[:MOST_SERVERS]
    )  # fmt: skip


def _bare(rrset: SignedRRset | None) -> SignedRRset | None:
    return None if rrset is None else replace(rrset, rdatas=rrset.rdatas[:MOST_RECORDS], sigs=())
