"""What servers have shown, judged: has everybody who must show a step shown it, and since when. Pure.

Law: silence is not consent. A server that was not asked, did not answer or shows something else is missing, and stays
so until it answers; who is to be asked at all is the watcher's business. What a server once showed counts although it
fails to answer later: serials and DS records do not go back by themselves.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Sequence

import msgspec

from ddns.dns.names import Name
from ddns.dns.records import Rdata, serial_newer
from zone_signer.keyview import KeyView

WATCHER = "the watcher"  # a witness beside the servers: it has listed them
SHA256 = 2  # RFC 4509 §2.1
SHA384 = 4  # RFC 6605 §2
_DIGESTS: dict[int, Callable[[bytes], bytes]] = {
    SHA256: lambda octets: hashlib.sha256(octets).digest(),
    SHA384: lambda octets: hashlib.sha384(octets).digest(),
}


class Sighting(msgspec.Struct, frozen=True):
    """What one server said last: a row of `sightings`, of a server that is to be asked.

    *kind* is secondary, parent or child; *server* its name and address. *asked* is when it was asked last, *answered*
    when it gave the answer that *serial*, *ds* and *ds_ttl* come from; *ds* None where it was not asked for a DS,
    empty where there is none. *problem* is why the last question has no answer. Times in seconds since 1970.
    """

    kind: str
    server: str
    asked: int
    answered: int | None
    serial: int | None = None
    ds: tuple[Rdata, ...] | None = None
    ds_ttl: int | None = None
    problem: str = ""


class Seen(msgspec.Struct, frozen=True):
    """Whether all servers have shown something: *at* is when the last did, None where some are *missing*."""

    at: int | None
    missing: tuple[str, ...] = ()


def at_serial(sightings: Sequence[Sighting], serial: int, since: int) -> Seen:
    """Tell whether every server shows *serial* or a newer one (RFC 1982 §3.2), asked at *since* or later.

    Where there is none to ask, it counts as seen at *since*.
    """

    def lacks(one: Sighting) -> str:
        if one.serial is not None and (one.serial == serial or serial_newer(one.serial, serial)):
            return ""
        return f"has not shown serial {serial}" + ("" if one.serial is None else f" (last {one.serial})")

    return _judge(sightings, since, lacks) if sightings else Seen(since)


def ds_shown(sightings: Sequence[Sighting], origin: Name, key: KeyView, since: int) -> Seen:
    """Tell whether every server of the parent, asked at *since* or later, has a DS of *key*."""

    def lacks(one: Sighting) -> str:
        return "" if any(is_ds_of(origin, key, rdata) for rdata in one.ds or ()) else f"shows no DS {key.tag}"

    return _judge(sightings, since, lacks) if sightings else Seen(None, ("nobody has asked the parent yet",))


def ds_gone(sightings: Sequence[Sighting], origin: Name, key: KeyView, since: int) -> Seen:
    """Tell whether every server of the parent, asked at *since* or later, has no DS of *key*."""

    def lacks(one: Sighting) -> str:
        if one.ds is None:
            return "has not said what DS it has"
        return f"shows the DS {key.tag} still" if any(is_ds_of(origin, key, rdata) for rdata in one.ds) else ""

    return _judge(sightings, since, lacks) if sightings else Seen(None, ("nobody has asked the parent yet",))


def ds_shown_by(sightings: Iterable[Sighting], origin: Name, key: KeyView) -> tuple[str, ...]:
    """Return the servers of the parent whose last answer has a DS of *key*."""
    return tuple(one.server for one in sightings if any(is_ds_of(origin, key, rdata) for rdata in one.ds or ()))


def ds_denied(sightings: Iterable[Sighting], origin: Name, key: KeyView) -> tuple[str, ...]:
    """Return the servers of the parent whose last answer has no DS of *key*."""
    return tuple(
        one.server
        for one in sightings
        if one.ds is not None and not any(is_ds_of(origin, key, rdata) for rdata in one.ds)
    )


def strangers(sightings: Iterable[Sighting], origin: Name, keys: Sequence[KeyView]) -> tuple[Rdata, ...]:
    """Return each DS that a server of the parent shows and that belongs to none of *keys*."""
    shown = {rdata for one in sightings for rdata in one.ds or ()}
    return tuple(sorted(rdata for rdata in shown if not any(is_ds_of(origin, key, rdata) for key in keys)))


def ahead(sightings: Iterable[Sighting], serial: int) -> tuple[str, ...]:
    """Return the servers that show a serial newer than *serial*, our newest.

    That is so after a database was restored: they show what we do not know, so that their word proves nothing.
    """
    return tuple(one.server for one in sightings if one.serial is not None and serial_newer(one.serial, serial))


def ds_ttl(sightings: Iterable[Sighting], default: int) -> int:
    """Return the greatest TTL that a server of the parent gave a DS, in seconds; *default* where none did."""
    return max((one.ds_ttl for one in sightings if one.ds_ttl is not None), default=default)


def is_ds_of(origin: Name, key: KeyView, rdata: Rdata) -> bool:
    """Tell whether *rdata* is a DS of *key* with a digest of type 2 or 4 (RFC 4034 §5.1.4).

    Keys are compared, not octets: which digest a parent prefers is its own affair.
    """
    if len(rdata) < 4:
        return False
    tag, algorithm, kind = struct.unpack_from("!HBB", rdata)
    digest = _DIGESTS.get(kind)
    if (tag, algorithm) != (key.tag, key.algorithm) or digest is None:
        return False
    return rdata[4:] == digest(origin + key.rdata)


def _judge(sightings: Sequence[Sighting], since: int, lacks: Callable[[Sighting], str]) -> Seen:
    missing: list[str] = []
    latest = since
    for one in sightings:
        if one.answered is None or one.answered < since:
            why = one.problem or "has not answered"
            missing.append(f"{one.server} {why}")
        elif why := lacks(one):
            missing.append(f"{one.server} {why}")
        else:
            latest = max(latest, one.answered)
    return Seen(None, tuple(missing)) if missing else Seen(latest)
