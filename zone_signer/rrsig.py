"""Signatures as records: put one together with a key, and read when and by which key one was made. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Protocol

import msgspec

from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset
from zone_signer import canon

_HEAD = struct.Struct("!HBBIII")  # RFC 4034 §3.1: covered, algorithm, labels, original TTL, expiration, inception
_READ = struct.Struct("!HBBIIIH")
LEAST = _READ.size  # octets of an RRSIG that can be read
_WRAP = 0xFFFFFFFF
_HALF = 0x80000000


class Key(Protocol):
    """What signs: `vault.SigningKey`, which is the only thing here that knows a private key."""

    @property
    def algorithm(self) -> int:
        """Return the algorithm's number."""

    @property
    def tag(self) -> int:
        """Return the key tag of its DNSKEY."""

    def sign(self, octets: bytes) -> bytes:
        """Return the signature over *octets* as it stands in an RRSIG."""


class Signatory:
    """One key that signs in one zone; what every signature of the two has in common is prepared once."""

    __slots__ = ("_algorithm", "_sign", "_tail", "tag")

    def __init__(self, origin: Name, key: Key) -> None:
        self.tag = key.tag
        self._algorithm = key.algorithm
        self._sign = key.sign
        self._tail = struct.pack("!H", key.tag) + origin

    @property
    def mark(self) -> tuple[int, int]:
        """Return algorithm and key tag: what tells whose signature one is."""
        return self._algorithm, self.tag

    def sign(
        self, name: Name, rdtype: int, ttl: int, rdatas: tuple[Rdata, ...], inception: int, expiration: int
    ) -> Rdata:
        """Return the RRSIG RDATA over one RRset (RFC 4034 §3.1); times in seconds since 1970, wrapping in 2106."""
        labels = canon.labels(name)
        head = _HEAD.pack(rdtype, self._algorithm, labels, ttl, expiration & _WRAP, inception & _WRAP) + self._tail
        return head + self._sign(head + canon.wire(name, rdtype, ttl, rdatas))

    def sign_each(self, rrsets: Iterable[RRset], inception: int, expiration: int) -> list[Rdata]:
        """Return the RRSIG RDATA over each of *rrsets*; what those of one name share is made once."""
        pack, sign, wire, tail, algorithm = _HEAD.pack, self._sign, canon.wire, self._tail, self._algorithm
        inception, expiration = inception & _WRAP, expiration & _WRAP
        owner, labels = b"", 0
        made = []
        for one in rrsets:
            name, rdtype, ttl = one.name, one.type, one.ttl
            if name != owner:
                owner, labels = name, canon.labels(name)
            head = pack(rdtype, algorithm, labels, ttl, expiration, inception) + tail
            made.append(head + sign(head + wire(name, rdtype, ttl, one.rdatas)))
        return made


class Made(msgspec.Struct, frozen=True, gc=False):
    """When and by which key a signature was made; times in seconds since 1970."""

    mark: tuple[int, int]
    inception: int
    expiration: int


def read(rdata: Rdata, now: int) -> Made:
    """Read an RRSIG's times, which are taken to lie within 68 years of *now* (RFC 4034 §3.1.5)."""
    _, algorithm, _, _, expiration, inception, tag = _READ.unpack_from(rdata)
    return Made((algorithm, tag), _near(inception, now), _near(expiration, now))


def _near(stored: int, now: int) -> int:
    return now + ((stored - now + _HALF) & _WRAP) - _HALF
