"""The EDNS option by which an update asks to be guarded, and its answer tells where each TLSA record stands.

In a request: one octet, what is wished, and behind it the data of records (RFC 6698 §2.1.4), each after two octets of
length. In an answer: MessagePack, an array of services, each an owner and its records. `ddns.zone.dane` says what the
words mean. There is no standard for this; who does not know the option leaves it alone (RFC 6891 §6.1.2).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum

import msgspec

from ddns.dns.names import Name

OPTION = 65310  # RFC 6891 §9 leaves 65001 to 65534 to local use
MOST_TOLD = 32  # services in one answer; it must fit beside a signature


class Verb(IntEnum):
    """What an update wishes."""

    MANAGED = 1  # do it, unless a client could be misled by it
    STATE = 2  # only say where the records stand
    DEPLOYED = 3  # only the keys whose data follows are used from now on
    REVOKE = 4  # as MANAGED, and the records whose data follows may go at once: their keys are not to be trusted


class BadOption(ValueError):
    """An option that says nothing that is known."""


class Wish(msgspec.Struct, frozen=True):
    """What an update asks for beside its operations; *data* is that of records, for DEPLOYED and REVOKE."""

    verb: Verb
    data: frozenset[bytes] = frozenset()

    @property
    def is_change(self) -> bool:
        """Tell whether operations belong to it."""
        return self.verb in (Verb.MANAGED, Verb.REVOKE)


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One record: the first octets of its data, its phase, and when it is safe in seconds since 1970; None: unknown."""

    data: bytes
    phase: str
    safe_at: int | None


class Service(msgspec.Struct, frozen=True, array_like=True):
    """The TLSA records at *owner*; none where nothing stands there."""

    owner: Name
    records: tuple[Record, ...]


def pack(wish: Wish) -> tuple[int, bytes]:
    """Return the option in a request, its code and its octets."""
    return OPTION, pack_wish(wish)


def pack_wish(wish: Wish) -> bytes:
    """Return the option's octets in a request."""
    return bytes((wish.verb,)) + b"".join(len(one).to_bytes(2, "big") + one for one in sorted(wish.data))


def read_wish(octets: bytes) -> Wish:
    """Read the option of a request. Raises `BadOption`."""
    try:
        verb = Verb(octets[0])
    except (IndexError, ValueError):
        raise BadOption("its TLSA option asks for nothing that is known here") from None
    data = []
    at = 1
    while at < len(octets):
        end = at + 2 + int.from_bytes(octets[at : at + 2], "big")
        if at + 2 > len(octets) or end > len(octets):
            raise BadOption("the data in its TLSA option runs over its end")
        data.append(octets[at + 2 : end])
        at = end
    if bool(data) != (verb in (Verb.DEPLOYED, Verb.REVOKE)):
        raise BadOption("its TLSA option names records where it should not, or none where it should")
    return Wish(verb, frozenset(data))


def pack_services(services: Iterable[Service]) -> bytes:
    """Return the option's octets in an answer."""
    return _ENCODER.encode(list(services)[:MOST_TOLD])


def read_services(octets: bytes) -> Sequence[Service]:
    """Read the option of an answer. Raises `BadOption`."""
    try:
        return _DECODER.decode(octets)
    except msgspec.DecodeError as error:
        raise BadOption(f"the registry's TLSA option cannot be read: {error}") from None


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(tuple[Service, ...])
