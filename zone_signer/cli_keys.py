"""`zone-signer keys`: the signing keys of zones, where each of their records is, and the DS that parents need."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator, Collection, Mapping
from pathlib import Path
from typing import Any

import click

from ddns.dns import names
from ddns.dns.names import Name
from zone_signer import keybook, leases, overview
from zone_signer import keys as public
from zone_signer.command import (
    Failure,
    JsonList,
    database_options,
    for_people,
    json_option,
    read_name,
    stamp,
    table,
)
from zone_signer.keybook import Book
from zone_signer.keyview import KeyView
from zone_signer.overview import snapshot
from zone_signer.phase import SHOWN, Phase, Record
from zone_signer.policies import Policies
from zone_signer.store import Conn

AT_ONCE = 200  # zones that are read together
ALGORITHMS = {8: "RSASHA256", 13: "P-256", 14: "P-384", 15: "Ed25519"}
_HEAD = ("ZONE", "TAG", "ROLE", "ALGORITHM", "STATE", "SINCE", "DNSKEY", "SIGNATURES", "DS", "VAULT")


@click.command("keys")
@click.argument("zone", required=False)
@click.option("--removed", is_flag=True, help="Show keys too whose private half is destroyed already.")
@json_option
@database_options
def show_keys(zone: str | None, removed: bool, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """List the signing keys of ZONE, or of all zones, with their phases and the DS records that parents need.

    Times are UTC.
    """
    origin = None if zone is None else read_name(zone)

    async def work(conn: Conn) -> None:
        listed = JsonList()
        count = 0
        async with snapshot(conn):
            async for books, since in _pages(conn, origin):
                rows = [
                    _row(book, key, since.get(key.id, key.born))
                    for book in books
                    for key in sorted(book.keys, key=lambda one: (one.removed is not None, one.role, one.born, one.tag))
                    if removed or key.removed is None
                ]
                if as_json:
                    for row in rows:
                        listed.add(row)
                elif rows:
                    # Homes have their DS in a zone that is here: nobody need carry it anywhere.
                    carried = {names.to_text(one.zone.origin) for one in books if origin or one.registry is None}
                    _print(rows, carried, head=not count)
                count += len(rows)
        if as_json:
            listed.end()
        elif not count:
            nothing = "There are no signing keys." if origin is None else f"{names.to_text(origin)} has no signing key."
            click.echo(nothing)

    for_people(dsn, state, work)


async def _pages(conn: Conn, origin: Name | None) -> AsyncIterator[tuple[list[Book], Mapping[str, int]]]:
    """Yield what is known of zones with keys, some at a time, and since when their keys are as they are."""
    now, known, after = int(time.time()), Policies(), None
    known.learn(await keybook.policies(conn))
    while True:
        if origin is None:
            zones = await overview.with_keys(conn, after, AT_ONCE)
        else:
            found = await leases.find(conn, origin)
            if found is None:
                raise Failure(f"there is no zone {names.to_text(origin)} here; `ddns zone list` shows those that are")
            zones = [found]
        books = await keybook.glance(conn, zones, known, now)
        those = [books[zone.id] for zone in zones if zone.id in books]
        yield those, await overview.touched(conn, [key.id for book in those for key in book.keys])
        if origin is not None or len(zones) < AT_ONCE:
            return
        after = zones[-1].origin


def _row(book: Book, key: KeyView, since: int) -> dict[str, Any]:
    origin = book.zone.origin
    return {
        "zone": names.to_text(origin),
        "tag": key.tag,
        "algorithm": key.algorithm,
        "role": key.role.value,
        "state": "removed" if key.removed is not None else key.label(),
        "since": stamp(since),
        "stays": key.stays,
        "compromised": key.compromised,
        "published": book.zone.edition > 0,
        "phases": {record.value: key.phase(record).value for record in Record},
        "moving": {
            record.value: {"since": stamp(motion.since), "seen": stamp(motion.seen_at)}
            for record, motion in key.motions.items()
        },
        "vault": key.vault,
        "born": stamp(key.born),
        "ds": ds_text(origin, key) if key.is_sep else None,
        "wanted_at_parent": key.ds in SHOWN,
    }


def ds_text(origin: Name, key: KeyView) -> str:
    """Return the data of the DS record of *key*, with a digest of type 2."""
    rdata = public.ds(origin, key.rdata)
    return f"{key.tag} {key.algorithm} {rdata[3]} {base64.b16encode(rdata[4:]).decode()}"


def _print(rows: list[dict[str, Any]], carried: Collection[str], *, head: bool) -> None:
    """Print *rows*, with the DS of those zones whose DS is *carried* to a parent."""
    shown = [
        (
            row["zone"],
            str(row["tag"]),
            row["role"],
            f"{row['algorithm']} ({ALGORITHMS.get(row['algorithm'], '?')})",
            row["state"] + ("" if row["published"] else ", not published yet"),
            row["since"][:16].replace("T", " "),
            *(_phase(row["phases"][record.value]) for record in Record),
            row["vault"],
        )
        for row in rows
    ]
    for line in table(_HEAD, shown)[0 if head else 1 :]:
        click.echo(line)
    for row in rows:
        if row["ds"] and row["wanted_at_parent"] and row["zone"] in carried:
            click.echo(f"{row['zone']} IN DS {row['ds']}")


def _phase(phase: str) -> str:
    return "-" if phase == Phase.NONE else phase
