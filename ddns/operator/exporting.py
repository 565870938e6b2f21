"""Everything of one home, for its owner to take along: its zone, its signatures, its keys, and what happened to it.

The zone file is what other name servers, and another registry's `ddns zone import`, read as the same zone. There is no
secret in an export: private keys were never here, and shared secrets are not shown twice.
"""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import msgspec

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.text import rdata_to_text
from ddns.dns.zonefile import ZoneWriter
from ddns.operator import zones
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.store import home_exports, homes, owners

MOST_EVENTS = 10_000  # events, and keys; a home has a few in a year
MOST_TEXT = 64 * 1024 * 1024  # characters of one zone file
FORMAT = 1  # of the JSON, should it ever change


class Export(msgspec.Struct, frozen=True):
    """A home: *zone* as it was written, *signed* as it is published (empty: it is not yet), *about* as JSON."""

    name: Name
    zone: str
    signed: str
    about: dict[str, Any]


async def export(conn: Conn, home: Name) -> Export:
    """Return everything of *home*. Needs a transaction that sees one moment. Raises `CannotDo`."""
    zone = await zones.the_zone(conn, home)
    standing = await homes.standing(conn, zone.id)
    if standing is None:
        raise CannotDo(f"{names.to_text(home)} is no home; `ddns zone export` writes other zones.")
    happened = await home_exports.events(conn, zone.id, 0, MOST_EVENTS)
    said = await home_exports.statements(conn, [one.statement for one in happened if one.statement is not None])
    held = await home_exports.keys(conn, zone.id, MOST_EVENTS)
    people = [] if standing.owner is None else await owners.keys(conn, standing.owner, live=False)
    about = {
        "format": FORMAT,
        "home": names.to_text(home),
        "state": standing.state,
        "reason": standing.reason,
        "serial": zone.serial,
        "owner": None if standing.owner is None else str(standing.owner),
        "owner_keys": [
            {
                "role": one.role, "key": json.loads(one.jwk), "note": one.note, "since": _time(one.since),
                "revoked_at": _time(one.revoked_at),
            }
            for one in people
        ],
        "keys": [_key(one) for one in held],
        "events": [
            {
                "at": _time(one.at), "event": one.event, "who": one.who, "before": one.before, "after": one.after,
                "why": one.why, "statement": None if one.statement is None else one.statement.hex(),
            }
            for one in happened
        ],
        "statements": [
            {
                "digest": one.digest.hex(), "act": one.act, "at": _time(one.at),
                "signed": b64encode(one.octets).decode(),
            }
            for one in said
        ],
    }  # fmt: skip
    return Export(home, await _text(conn, home, signed=False), await _signed(conn, home, zone.edition), about)


async def _signed(conn: Conn, home: Name, edition: int) -> str:
    return await _text(conn, home, signed=True) if edition else ""


async def _text(conn: Conn, home: Name, *, signed: bool) -> str:
    """Return the zone as a master file. Raises `CannotDo`."""
    writer = ZoneWriter(home)
    lines: list[str] = []
    size = 0
    async for rrset in zones.export(conn, home, signed=signed):
        fresh = writer.add(rrset)
        size += sum(map(len, fresh))
        if size > MOST_TEXT:
            raise CannotDo(f"{names.to_text(home)} is too big to be exported at once; use `ddns zone export`.")
        lines += fresh
    return "".join((*lines, *writer.end()))


def _key(one: home_exports.Key) -> dict[str, Any]:
    shown = {
        "name": names.to_text(one.name), "kind": one.kind, "algorithm": one.algorithm, "tag": one.tag,
        "record": None, "assurance": one.assurance, "since": _time(one.created_at),
        "expires_at": _time(one.expires_at), "revoked_at": _time(one.revoked_at),
    }  # fmt: skip
    if one.kind == "sig0" and one.public is not None:
        shown["record"] = rdata_to_text(Type.KEY, one.public)
    return shown


def _time(at: int | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
