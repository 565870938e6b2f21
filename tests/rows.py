"""Short spellings of values for the tests of the store."""

from __future__ import annotations

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.records import RRset, SignedRRset


def n(text: str) -> bytes:
    return names.from_text(text)


def a(name: str, *last: int, ttl: int = 60) -> RRset:
    return RRset.of(n(name), Type.A, ttl, [bytes((192, 0, 2, octet)) for octet in last])


def txt(name: str, *strings: bytes, ttl: int = 60) -> RRset:
    return RRset.of(n(name), Type.TXT, ttl, [bytes((len(string),)) + string for string in strings])


def signed(rrset: RRset, *sigs: bytes) -> SignedRRset:
    return SignedRRset(rrset.name, rrset.type, rrset.ttl, rrset.rdatas, sigs or (b"signature",))
