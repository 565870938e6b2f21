"""When signatures begin, end and are made anew, and the TTLs of what the signer makes. Values, no clock."""

from __future__ import annotations

import zlib

import msgspec

from ddns.dns.names import Name
from ddns.dns.records import RRset, soa_minimum

HOUR = 3600
DAY = 86400


class Policy(msgspec.Struct, frozen=True):
    """How long signatures live; all in seconds.

    A signature is due *refresh* before it ends, so that the signer may be away for three days and nobody
    notices. Signatures made together end up to *jitter* apart, so that they do not fall due together.
    """

    backdate: int = HOUR  # inception lies so far back, for validators whose clock is slow
    validity: int = 14 * DAY
    jitter: int = 2 * DAY
    refresh: int = 7 * DAY // 2  # a quarter of the validity
    slice: int = 6 * HOUR  # a big zone's signatures are made anew in slices this wide
    small: int = 1000  # RRsets; a zone up to this size is made anew in one go
    dnskey_ttl: int = HOUR
    nsec3param_ttl: int = 0  # nobody but the signer and its secondaries reads it

    def window(self, name: Name, rdtype: int, now: int, *, spread: bool) -> tuple[int, int]:
        """Return inception and expiration of a signature made *now*.

        With *spread* it ends earlier by up to the jitter, the same for the same RRset and hour. Without,
        it ends after everything that was signed before, so that the zone's next refresh stays where it is.
        """
        early = 0
        if spread and self.jitter:
            early = zlib.crc32(name + rdtype.to_bytes(2, "big"), now // HOUR) % self.jitter
        return now - self.backdate, now + self.validity - early

    def due(self, expiration: int) -> int:
        """Return when a signature that ends at *expiration* is to be made anew."""
        return expiration - self.refresh

    def horizon(self, now: int, size: int) -> int:
        """Return until when a signature must not be due to be kept by a refresh *now* of a zone of *size* RRsets."""
        return now + (self.jitter if size <= self.small else self.slice)


def negative_ttl(soa: RRset) -> int:
    """Return the TTL of NSEC and NSEC3 records: the lesser of the SOA's TTL and its MINIMUM (RFC 9077 §3)."""
    return min(soa.ttl, soa_minimum(soa.rdatas[0]))
