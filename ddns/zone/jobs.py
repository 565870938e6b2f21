"""What a server and the signer say to each other over the unix socket: the shapes, and how they are framed. Sans-IO.

A frame is four octets of length (big endian), then one msgpack object: a `Batch` one way, a `Signed`
the other. The server holds the heads of the zones of a batch locked, so nobody else changes them.
"""

from __future__ import annotations

import struct

import msgspec

from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset, SignedRRset

MAX_FRAME = 64 * 1024 * 1024  # octets; a frame above this ends the connection


class Node(msgspec.Struct, frozen=True, array_like=True):
    """All unsigned records of one owner name, before and after the change."""

    name: Name
    before: tuple[RRset, ...]
    after: tuple[RRset, ...]


class SignJob(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """Sign what changed in one zone.

    *nodes* holds every name whose records changed, completely, and always the apex, whose SOA already
    has the new serial. *above* holds the names between those and the apex (the apex left out), each with the
    types of its records before the change (nothing for an empty non-terminal). *whole* says
    that *nodes* is the entire zone and that nothing of it is published or stored yet. *keyset* is the number of the
    zone's keys in its row: with others it must not be signed.
    """

    zone: int
    origin: Name
    denial: str
    algorithm: int
    nodes: tuple[Node, ...]
    above: tuple[tuple[Name, tuple[int, ...]], ...]
    whole: bool = False
    keyset: int = 0


class PlainJob(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Sign *rrsets* of one zone, the SOA with its new serial among them, whose data is all that changed (`plain`).

    *keyset* as in `SignJob`.
    """

    zone: int
    origin: Name
    rrsets: tuple[RRset, ...]
    keyset: int = 0


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """A name whose answer is to be signed: it does not exist, or what stands at a *wildcard* answers for it."""

    name: Name
    wildcard: SignedRRset | None = None


class ProofJob(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Sign what compact denial says of names that are not in a zone (RFC 9824 §3), of its edition *edition*.

    The records are made on both sides alike (`ddns.zone.compact`), with the TTL *ttl* where a name does not exist. Such
    jobs share no batch with others.
    """

    zone: int
    origin: Name
    edition: int
    ttl: int
    asked: tuple[Asked, ...]


Job = SignJob | PlainJob


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """Jobs of different zones, answered together and in the same order.

    *bulk*: nobody waits for them; what others ask meanwhile goes first.
    """

    id: int
    jobs: tuple[Job | ProofJob, ...]
    bulk: bool = False


class SealedKey(msgspec.Struct, frozen=True, array_like=True):
    """A zone's signing key: the public half, and the private half as only the signer can open it.

    *role* is csk, ksk or zsk; *vault* where the private half is; *born* when it was made, in seconds since 1970 by the
    signer's clock, 0 where nobody said.
    """

    id: str  # a UUID
    algorithm: int
    flags: int
    tag: int
    public: Rdata  # the DNSKEY's RDATA
    sealed: bytes = b""
    role: str = "csk"
    vault: str = "sealed"
    born: int = 0

    def __repr__(self) -> str:
        return f"SealedKey(id={self.id!r}, tag={self.tag})"


class SignedJob(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """What the zone's next edition holds.

    *added* is published in place of what stood at each name and type; *gone* are names and types that
    are published no more; *old* are the published RRsets that the signer read and replaces or drops (denial records;
    the asker knows the rest). *keys* were made for this job and belong into its commit; *ds* is the
    DS RDATA for the parent where keys were made. *resign_at* (seconds since 1970) is when the earliest new
    signature falls due. *error* says in one sentence why the job was not done; then all else is empty.
    """

    zone: int
    added: tuple[SignedRRset, ...] = ()
    gone: tuple[tuple[Name, int], ...] = ()
    old: tuple[SignedRRset, ...] = ()
    keys: tuple[SealedKey, ...] = ()
    ds: tuple[Rdata, ...] = ()
    resign_at: int = 0
    error: str = ""


class PlainSigned(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """The answer to a `PlainJob`: the *sigs* of each of its RRsets, in their order; the rest as in `SignedJob`."""

    zone: int
    sigs: tuple[tuple[Rdata, ...], ...] = ()
    resign_at: int = 0
    error: str = ""


class Proven(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """The answer to a `ProofJob`: the *sigs* for each name that was asked, in their order; none: refused.

    They may be given out until *until*, in seconds since 1970. *error* as in `SignedJob`.
    """

    zone: int
    sigs: tuple[tuple[Rdata, ...], ...] = ()
    until: int = 0
    error: str = ""


Done = SignedJob | PlainSigned


class Signed(msgspec.Struct, frozen=True, array_like=True):
    """The answer to the batch of the same *id*."""

    id: int
    jobs: tuple[Done | Proven, ...]


_LENGTH = struct.Struct("!I")
_HEAD = _LENGTH.size


class FrameTooLong(ValueError):
    """A frame above `MAX_FRAME`; the message says how long."""


def framed(body: bytes) -> bytes:
    """Return *body* as a frame."""
    return _LENGTH.pack(len(body)) + body


def whole_frame(octets: memoryview, size: int) -> bool:
    """Tell whether the first *size* of *octets* are exactly one frame."""
    return size >= _HEAD and _LENGTH.unpack_from(octets)[0] == size - _HEAD


class Frames:
    """Take octets as they arrive and give back whole frames."""

    __slots__ = ("_held", "wanted")

    def __init__(self) -> None:
        self._held = bytearray()
        self.wanted = 0
        """Octets of the frame that has begun to arrive, its length included; 0: none has."""

    def feed(self, octets: bytes) -> list[bytes]:
        """Return the bodies of the frames that end with *octets*, in order. Raises `FrameTooLong`.

        Never more than one incomplete frame is held.
        """
        if not self._held and len(octets) >= _HEAD and len(octets) == _HEAD + _LENGTH.unpack_from(octets)[0] <= _LARGE:
            return [octets[_HEAD:]]  # exactly one: the way that nearly all come
        held = self._held
        held += octets
        out: list[bytes] = []
        at = 0
        self.wanted = 0
        while len(held) - at >= _HEAD:
            (size,) = _LENGTH.unpack_from(held, at)
            if size > MAX_FRAME:
                raise FrameTooLong(f"a frame of {size} octets is too long")
            end = at + _HEAD + size
            if end > len(held):
                self.wanted = _HEAD + size
                break
            out.append(bytes(memoryview(held)[at + _HEAD : end]))
            at = end
        if at:
            del held[:at]
        if held and not self.wanted:
            self.wanted = _HEAD
        return out


_LARGE = _HEAD + MAX_FRAME
