"""`zone-signer plan`: what will happen to zones and their keys, when and why, and what holds it up."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ddns.dns import names
from ddns.dns.names import Name
from zone_signer import keybook, leases, overview, renewal, store
from zone_signer.command import (
    Failure,
    JsonList,
    database_options,
    for_people,
    json_option,
    read_name,
    stamp,
    when,
)
from zone_signer.forecast import MOST, Planned
from zone_signer.keyview import KeyView
from zone_signer.leases import Lease
from zone_signer.outlook import Outlook, outlook
from zone_signer.overview import snapshot
from zone_signer.phase import Record
from zone_signer.policies import Policies
from zone_signer.policy import DAY
from zone_signer.records_of_keys import UNSIGNED, KeyRecords
from zone_signer.store import Conn
from zone_signer.wording import told

AHEAD = "400d"
ZONES = 100  # that are shown where none is named
AT_ONCE = 20  # zones that are read together
_UNITS = {"m": 60, "h": 3600, "d": DAY}
_LATEST = 253_402_300_799  # the last second of the year 9999
_ABOUT = "about "
_RECORDS = {Record.DNSKEY: "DNSKEY", Record.ZRRSIG: "signatures", Record.DS: "DS"}


@click.command()
@click.argument("zone", required=False)
@click.option(
    "--until", default=AHEAD, show_default=True, metavar="DATE|400d", help="How far to look ahead: a day (UTC), or 12h."
)
@click.option("--records", is_flag=True, help="Show which RRsets would be signed, published and dropped now, too.")
@json_option
@database_options
def plan(zone: str | None, until: str, records: bool, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Show what will happen to the keys and signatures of ZONE, when and why, and what it waits for.

    Without ZONE: of all zones but homes at rest. Times are UTC; those behind "about" hang on a parent or a person.
    """
    origin = None if zone is None else read_name(zone)
    now = int(time.time())
    end = read_until(until, now)

    async def work(conn: Conn) -> None:
        known = Policies()
        async with snapshot(conn):
            known.learn(await keybook.policies(conn))
            zones, all_of_them = await _zones(conn, origin, now)
            listed = JsonList()
            for at in range(0, len(zones), AT_ONCE):
                some = zones[at : at + AT_ONCE]
                books = await keybook.glance(conn, some, known, now)
                paces = await overview.paces(conn, some)
                for one in some:
                    if one.id not in books:
                        continue
                    ahead = outlook(books[one.id], paces[one.id], now, end)
                    made = await _records(conn, ahead, now) if records else None
                    if as_json:
                        listed.add(_as_json(ahead, made))
                    else:
                        _print(ahead, made, now)
            if as_json:
                listed.end()
            elif origin is None:
                await _others(conn, len(zones), all_of_them, now, end)

    for_people(dsn, state, work)


def read_until(text: str, now: int) -> int:
    """Return the end of a plan that somebody wrote as a time from *now* on or as a day. Raises `Failure`."""
    told = re.fullmatch(r"([0-9]{1,9})([mhd])", text.strip())
    if told:
        return min(now + int(told[1]) * _UNITS[told[2]], _LATEST)
    try:
        day = datetime.fromisoformat(text.strip())
        at = int((day if day.tzinfo else day.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise Failure(f"'{text}' is no time: say a day like 2030-01-31, or 90m, 12h, 400d from now") from None
    if at <= now:
        raise Failure(f"{text} is over; say a time to come")
    return at


async def _zones(conn: Conn, origin: Name | None, now: int) -> tuple[Sequence[Lease], int]:
    if origin is None:
        return await overview.busy(conn, now, ZONES)
    found = await leases.find(conn, origin)
    if found is None:
        raise Failure(f"there is no zone {names.to_text(origin)} here; `ddns zone list` shows those that are")
    return [found], 1


async def _records(conn: Conn, ahead: Outlook, now: int) -> list[str]:
    """Return what a signer would sign, publish and drop now, a line for each RRset."""
    book = ahead.book
    if book.zone.denial == "none":
        return []
    stored = (await store.stored(conn, [book.zone.id])).get(book.zone.id, {})
    published = (await store.published(conn, [book.zone.id]))[book.zone.id]
    keyset = book.keyset(book.zone.keyset, book.keys)
    keys = KeyRecords.of(keyset, book.keys) if book.keys else UNSIGNED
    made = renewal.plan_whole(book.zone, stored, keys, published, book.policy.signatures, now)
    return [] if not made.lines() else [f"edition {book.zone.edition} serial {book.zone.serial}", *made.lines()]


def _print(ahead: Outlook, records: Sequence[str] | None, now: int) -> None:
    for line in lines(ahead, now):
        click.echo(line)
    for line in records or ():
        click.echo(f"  {line}")


def lines(ahead: Outlook, now: int) -> Iterator[str]:
    """Yield what lies ahead of a zone for people."""
    book = ahead.book
    yield f"{click.style(ahead.name, bold=True)}  {'; '.join(_standing(ahead))}"
    if book.problem:
        yield f"  {click.style('cannot be signed:', fg='red')} {book.problem}"
    for order in book.orders:
        yield f"  {order.by} has asked for {order.kind} at {when(order.at)}; no signer has done it yet"
    for wait in ahead.waits:
        end = "" if wait.until is None else f", until {when(wait.until)}"
        head = click.style("stuck:", fg="red") if wait.stuck else "waits:"
        yield f"  {head} {_RECORDS[wait.record]} of key {wait.tag}{end}: {wait.what}"
        if wait.who != "nobody":
            yield f"         who must act: {wait.who}"
    width = max((len(_when(one, now)) for one in ahead.planned), default=0)
    for one in told(ahead.planned, book.keys, parent_here=book.registry is not None):
        yield f"  {_when(one.planned, now).ljust(width)}  {one.line}"
    if len(ahead.planned) >= MOST:
        yield f"  and so on; these are the first {MOST}"
    if not (ahead.planned or ahead.waits or book.orders or book.problem):
        yield "  nothing is to be done in that time"
    if ahead.later is not None:
        yield f"  later: a key reaches its lifetime, and its successor is made at {when(ahead.later)}"


def _when(one: Planned, now: int) -> str:
    at = "now" if one.at <= now else when(one.at)
    return at if one.sure else _ABOUT + at


def _standing(ahead: Outlook) -> Iterator[str]:
    book = ahead.book
    if book.zone.denial == "none":
        yield "published without signatures"
    else:
        yield f"signed with {book.zone.denial}" if book.zone.edition else "not signed yet"
        if book.wish == "insecure":
            yield "on its way to lose its signatures"
    goal = book.goal
    yield f"policy {book.policy.name}: {' and '.join(goal.roles)} of algorithm {goal.algorithm}"
    if book.away:
        yield book.away
    elif not book.active:
        yield "suspended, so that its keys rest"


async def _others(conn: Conn, shown: int, all_of_them: int, now: int, until: int) -> None:
    """Say what is not shown one by one."""
    if all_of_them > shown:
        click.echo(f"And {all_of_them - shown} zones more; name one to see it.")
    count, first = await overview.resting_homes(conn, now, until)
    if first is not None:
        homes = "1 home at rest" if count == 1 else f"{count} homes at rest"
        click.echo(f"Of {homes} keys reach their lifetime until {when(until)}, the first at {when(first)}.")
    if not (shown or count):
        click.echo("No zone is signed here.")


def _as_json(ahead: Outlook, records: Sequence[str] | None) -> dict[str, Any]:
    book = ahead.book
    return {
        "zone": ahead.name,
        "policy": book.policy.name,
        "scheme": book.policy.scheme,
        "algorithm": book.goal.algorithm,
        "denial": book.zone.denial,
        "wish": book.wish,
        "serial": book.zone.serial,
        "suspended": not book.active and not book.away,
        "away": book.away or None,
        "problem": book.problem or None,
        "keys": [_key(key) for key in book.keys if key.removed is None],
        "orders": [
            {
                "kind": one.kind,
                "role": one.role,
                "key": one.tag,
                "server": one.server,
                "by": one.by,
                "at": stamp(one.at),
            }
            for one in book.orders
        ],
        "waits": [
            {
                "key": wait.tag,
                "record": wait.record,
                "what": wait.what,
                "who": None if wait.who == "nobody" else wait.who,
                "until": stamp(wait.until),
                "stuck": wait.stuck,
            }
            for wait in ahead.waits
        ],
        "planned": [
            {
                "at": stamp(one.planned.at),
                "action": one.planned.action,
                "event": one.planned.event or None,
                "key": one.tag,
                "new": one.key if one.key and one.tag is None else None,
                "replaces": one.replaces,
                "role": one.planned.role,
                "algorithm": one.planned.algorithm or None,
                "record": one.planned.record,
                "line": one.line,
                "why": one.planned.why,
                "sure": one.planned.sure,
            }
            for one in told(ahead.planned, book.keys, parent_here=book.registry is not None)
        ],
        "later": stamp(ahead.later),
        **({} if records is None else {"records": list(records)}),
    }


def _key(key: KeyView) -> dict[str, Any]:
    return {
        "id": key.id,
        "tag": key.tag,
        "algorithm": key.algorithm,
        "role": key.role,
        "state": key.label(),
        "stays": key.stays,
    }
