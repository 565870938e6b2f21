"""The UPDATE messages that a gateway sends (RFC 2136), as wire octets still to be signed.

Owner names are written as their own labels and a pointer to the zone section's name, so that an
address, a TLSA record and a P-256 SIG(0) fit into 512 octets. Every message carries an OPT record: it
asks for extended errors (RFC 8914), and its client cookie (RFC 7873 §4.1) makes two equal wishes in
one second two different messages.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable, Sequence

from ddns.dns import names, wire
from ddns.dns.codes import CLASS_IN, HEADER_SIZE, UDP_MAX_PAYLOAD, Class, Opcode, Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata
from ddns.gateway.state import Device, Pin
from ddns.zone import dane_option
from ddns.zone.dane_option import Verb, Wish
from ddns.zone.request import UPDATE_LEASE

KEY_TTL = 3600  # seconds
COOKIE = 10  # RFC 7873 §4, the EDNS option's code
NONCE_SIZE = 8  # octets of a client cookie
Options = tuple[tuple[int, bytes], ...]
_ZONE_POINTER = (0xC000 | HEADER_SIZE).to_bytes(2, "big")


def enrol(zone: Name, home: Name, key: bytes, *, ident: int, nonce: bytes) -> bytes:
    """Return the message that puts the KEY record *key* at *home*, below *zone*."""
    return _message(zone, [_add(zone, home, Type.KEY, KEY_TTL, key)], ident, nonce)


def probe(zone: Name, *, ident: int, nonce: bytes) -> bytes:
    """Return the message that changes nothing in *zone*: whoever may send it is known there."""
    return _message(zone, [], ident, nonce)


def publish(
    zone: Name, name: Name, wanted: Device | None, published: Device | None, *, ident: int, nonce: bytes
) -> bytes:
    """Return the message that leaves *name* in *zone* with the records of *wanted* and none of *published*'s.

    It replaces A, AAAA and the TLSA RRset of every port on either list, all in one transaction, and asks for the
    lease where there is to be one (RFC 9664), and to be guarded where that is wanted.
    """
    ports = sorted({pin.port for device in (wanted, published) if device for pin in device.pins})
    rows = [_clear(zone, name, Type.A), _clear(zone, name, Type.AAAA)]
    rows += [_clear(zone, tlsa_name(name, port), Type.TLSA) for port in ports]
    if wanted is not None:
        rows += [_add(zone, *address(name, text, wanted.ttl)) for text in wanted.addresses]
        rows += [_add(zone, *tlsa(name, pin, wanted.ttl)) for pin in wanted.pins]
    options = lease_option(0 if wanted is None else wanted.lease)
    if wanted is not None and wanted.guarded:
        options += (dane_option.pack(Wish(Verb.MANAGED)),)
    return _message(zone, rows, ident, nonce, options)


def records(
    zone: Name,
    added: Iterable[tuple[Name, int, int, bytes]],
    removed: Iterable[tuple[Name, int, bytes]],
    *,
    ident: int,
    nonce: bytes,
    cleared: Iterable[tuple[Name, int]] = (),
    options: Options = (),
) -> bytes:
    """Return the message that adds some records to *zone*, as (owner, type, TTL, RDATA), and takes others away.

    Of the RRsets *cleared* nothing stays but what is added; what is not named at all stays.
    """
    rows = [_clear(zone, name, rdtype) for name, rdtype in cleared]
    rows += [_remove(zone, name, rdtype, rdata) for name, rdtype, rdata in removed]
    rows += [_add(zone, name, rdtype, ttl, rdata) for name, rdtype, ttl, rdata in added]
    return _message(zone, rows, ident, nonce, options)


def about(zone: Name, owners: Iterable[Name], wish: Wish, *, ident: int, nonce: bytes) -> bytes:
    """Return the message that changes no record, and wishes something for the TLSA records that stand at *owners*."""
    needs = [_clear(zone, owner, Type.TLSA) for owner in owners]  # as a prerequisite it says: exists (RFC 2136 §2.4.1)
    return _message(zone, [], ident, nonce, (dane_option.pack(wish),), needs)


def tlsa_name(name: Name, port: int) -> Name:
    """Return where the TLSA records of a TCP *port* of *name* stand (RFC 6698 §3). Raises `BadName`.

    At port 0 they are those by which it proves itself as a client: behind its own label there is `_device` then, the
    second format of draft-ietf-dance-client-auth.
    """
    if port:
        return names.prepend(f"_{port}".encode(), names.prepend(b"_tcp", name))
    return names.prepend(names.labels(name)[0], names.prepend(b"_device", names.parent(name)))


def tlsa(name: Name, pin: Pin, ttl: int) -> tuple[Name, int, int, Rdata]:
    """Return the TLSA record of *pin*, as (owner, type, TTL, RDATA): a key, by its SHA-256 (RFC 7218 §2)."""
    return tlsa_name(name, pin.port), Type.TLSA, ttl, bytes((pin.usage, 1, 1)) + bytes.fromhex(pin.digest)


def address(name: Name, text: str, ttl: int) -> tuple[Name, int, int, Rdata]:
    """Return the record of an IPv4 or IPv6 address, as (owner, type, TTL, RDATA)."""
    parsed = ipaddress.ip_address(text)
    return name, Type.A if parsed.version == 4 else Type.AAAA, ttl, parsed.packed


def lease_option(seconds: int) -> Options:
    """Return the option that asks for a lease of *seconds* (RFC 9664 §4); 0: none."""
    return ((UPDATE_LEASE, seconds.to_bytes(4, "big")),) if seconds else ()


def _message(
    zone: Name, rows: list[bytes], ident: int, nonce: bytes, options: Options = (), needs: Sequence[bytes] = ()
) -> bytes:
    head = struct.pack("!6H", ident, Opcode.UPDATE << 11, 1, len(needs), len(rows), 1)
    section = zone + struct.pack("!HH", Type.SOA, CLASS_IN)
    edns = wire.opt(UDP_MAX_PAYLOAD, do=False, options=((COOKIE, nonce), *options))
    return head + section + b"".join((*needs, *rows)) + edns


def _owner(zone: Name, name: Name) -> bytes:
    return name[: len(name) - len(zone)] + _ZONE_POINTER


def _add(zone: Name, name: Name, rdtype: int, ttl: int, rdata: bytes) -> bytes:
    """RFC 2136 §2.5.1: add to an RRset."""
    return _owner(zone, name) + struct.pack("!HHIH", rdtype, CLASS_IN, ttl, len(rdata)) + rdata


def _remove(zone: Name, name: Name, rdtype: int, rdata: bytes) -> bytes:
    """RFC 2136 §2.5.4: delete one record."""
    return _owner(zone, name) + struct.pack("!HHIH", rdtype, Class.NONE, 0, len(rdata)) + rdata


def _clear(zone: Name, name: Name, rdtype: int) -> bytes:
    """RFC 2136 §2.5.2: delete an RRset."""
    return _owner(zone, name) + struct.pack("!HHIH", rdtype, Class.ANY, 0, 0)
