"""What people ask of the signer: `zone-signer roll|insecure|secure|cancel|ds-seen|ds-gone|step|resign ZONE`.

Law: a command writes an order and changes nothing itself; the signer carries it out, step by step. What cannot be done
is one sentence, and what cannot be undone by another order is asked twice.
"""

from __future__ import annotations

import time
from pathlib import Path

import click
import psycopg

from ddns.dns import names
from ddns.dns.names import Name
from zone_signer import keybook, leases, orders, overview
from zone_signer.alarms import SILENT
from zone_signer.choosing import WITNESS
from zone_signer.command import (
    Failure,
    confirm,
    database_options,
    for_people,
    principal,
    read_name,
    when,
)
from zone_signer.orders import Given, Outcome, Refused, Wanted
from zone_signer.outlook import end
from zone_signer.overview import snapshot
from zone_signer.phase import Role
from zone_signer.policies import Policies
from zone_signer.store import Conn

WAIT = 10.0  # seconds for a running signer to carry out what is asked
TAG = click.IntRange(0, 65535)

_WHAT = {
    "roll": "the keys of {zone} roll",
    "emergency": "the keys of {zone} roll as fast as caches allow",
    "insecure": "{zone} is on its way to lose its signatures",
    "secure": "{zone} is signed and stays so",
    "cancel": "the roll of {zone} is called back",
    "ds-seen": "that its parent shows the DS counts for {zone}",
    "ds-gone": "that its parent no longer shows the DS counts for {zone}",
    "without": "{zone} goes on without that server's word",
    "resign": "{zone} is signed anew",
}

_zone = click.argument("zone")
_yes = click.option("--yes", is_flag=True, help="Do not ask.")
_wait = click.option(
    "--wait",
    type=click.FloatRange(0, 3600),
    default=WAIT,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a signer to carry it out; 0: do not wait.",
)


@click.command()
@_zone
@click.option("--role", type=click.Choice([one.value for one in Role]), help="Only the key with this task.")
@click.option("--tag", type=TAG, help="Only the key with this tag.")
@click.option("--emergency", is_flag=True, help="The key is known to others, or may be: replace it at once.")
@_yes
@_wait
@database_options
def roll(
    zone: str,
    role: str | None,
    tag: int | None,
    emergency: bool,
    yes: bool,
    wait: float,
    dsn: str | None,
    state: Path | None,
) -> None:
    """Replace the keys of ZONE, or one of them, by new ones."""
    wanted = Wanted("emergency" if emergency else "roll", None if role is None else Role(role), tag)
    if emergency:
        which = f"key {tag}" if tag is not None else f"the {role}" if role else "every key"
        again = "".join(f" --{word} {value}" for word, value in (("role", role), ("tag", tag)) if value is not None)
        question = f"this takes {which} of {_shown(zone)} for known to others, and that cannot be called back"
        confirm(question, f"zone-signer roll {_shown(zone)}{again} --emergency", yes=yes)
    _ask(dsn, state, zone, wanted, wait)


@click.command()
@_zone
@_yes
@_wait
@database_options
def insecure(zone: str, yes: bool, wait: float, dsn: str | None, state: Path | None) -> None:
    """Take the DS of ZONE away, and its signatures when no cache holds one any more."""
    name = _shown(zone)
    homes = for_people(dsn, state, lambda conn: _homes(conn, read_name(zone)))
    question = f"without signatures nobody can tell whether answers of {name} are true"
    if homes:
        question += f", nor those of its {homes} {'home' if homes == 1 else 'homes'}"
    confirm(question, f"zone-signer insecure {name}", yes=yes)
    _ask(dsn, state, zone, Wanted("insecure"), wait)


async def _homes(conn: Conn, origin: Name) -> int:
    found = await leases.find(conn, origin)
    return 0 if found is None else await overview.homes_of(conn, found.id)


@click.command()
@_zone
@click.option("--denial", type=click.Choice(["nsec3", "nsec"]), help="How absence is proved (nsec3).")
@_wait
@database_options
def secure(zone: str, denial: str | None, wait: float, dsn: str | None, state: Path | None) -> None:
    """Sign ZONE, which is published without signatures or is on its way there; a DS comes when it may."""
    _ask(dsn, state, zone, Wanted("secure", denial=denial), wait)


@click.command()
@_zone
@_wait
@database_options
def cancel(zone: str, wait: float, dsn: str | None, state: Path | None) -> None:
    """Call a roll of ZONE back while the old keys still have all that they had, or orders that no signer has done."""
    _ask(dsn, state, zone, Wanted("cancel"), wait)


@click.command("ds-seen")
@_zone
@click.argument("tag", type=TAG)
@_wait
@database_options
def ds_seen(zone: str, tag: int, wait: float, dsn: str | None, state: Path | None) -> None:
    """Say that every server of the parent of ZONE shows the DS of key TAG, where nobody else asks them."""
    _ask(dsn, state, zone, Wanted("ds-seen", tag=tag), wait)


@click.command("ds-gone")
@_zone
@click.argument("tag", type=TAG)
@_wait
@database_options
def ds_gone(zone: str, tag: int, wait: float, dsn: str | None, state: Path | None) -> None:
    """Say that no server of the parent of ZONE shows the DS of key TAG any more, where nobody else asks them."""
    _ask(dsn, state, zone, Wanted("ds-gone", tag=tag), wait)


@click.command()
@_zone
@click.option("--without", "server", required=True, metavar="SERVER", help="Its name or address, as plan shows it.")
@_yes
@_wait
@database_options
def step(zone: str, server: str, yes: bool, wait: float, dsn: str | None, state: Path | None) -> None:
    """Have what the keys of ZONE wait for now go on without one server's word."""
    question = f"resolvers that ask {server} may find {_shown(zone)} bogus until it follows"
    confirm(question, f"zone-signer step {_shown(zone)} --without '{server}'", yes=yes)
    _ask(dsn, state, zone, Wanted("without", server=server), wait)


@click.command()
@_zone
@_yes
@_wait
@database_options
def resign(zone: str, yes: bool, wait: float, dsn: str | None, state: Path | None) -> None:
    """Make all signatures of ZONE anew, as after a clock that was wrong."""
    question = f"this makes every signature of {_shown(zone)} anew, and secondaries take all of them"
    confirm(question, f"zone-signer resign {_shown(zone)}", yes=yes)
    _ask(dsn, state, zone, Wanted("resign"), wait)


COMMANDS: tuple[click.Command, ...] = (roll, insecure, secure, cancel, ds_seen, ds_gone, step, resign)


def _shown(zone: str) -> str:
    return names.to_text(read_name(zone))


def _ask(dsn: str | None, state: Path | None, zone: str, wanted: Wanted, wait: float) -> None:
    """Write the order down, wait for what becomes of it, and say that."""
    origin = read_name(zone)

    async def work(conn: Conn) -> tuple[Given, Outcome | None, list[str]]:
        given = await orders.give(conn, origin, wanted, principal(), int(time.time()))
        if given.number is None:
            return given, None, []
        found = await orders.outcome(conn, given, wait)
        if found is None and wanted.kind not in WITNESS and not await overview.signer_runs(conn, SILENT):
            return given, None, ["no signer is running; it is done when one is: zone-signer run"]
        return given, found, await _following(conn, origin, wanted) if found is not None and found.done else []

    try:
        given, found, more = for_people(dsn, state, work)
    except Refused as error:
        raise Failure(str(error)) from None
    except psycopg.errors.LockNotAvailable:
        raise Failure(f"{names.to_text(origin)} is just being changed by somebody else; say it again") from None
    _tell(names.to_text(origin), wanted, given, found, more)


def _tell(name: str, wanted: Wanted, given: Given, found: Outcome | None, more: list[str]) -> None:
    if given.number is None:
        for one in given.taken_back:
            click.echo(f"Taken back: {one.kind} of {name}, which {one.by} asked for at {when(one.at)} UTC.")
        return
    if found is not None and not found.done:
        raise Failure(f"{name}: {found.sentence}")
    said = _WHAT[wanted.kind].format(zone=name)
    if found is not None:
        click.echo(f"Done: {said}.")
    elif wanted.kind in WITNESS:
        click.echo(f"Noted: {said}, as soon as a signer looks at it.")
    else:
        click.echo(f"Noted, and not done yet; then {said}.")
    for line in more:
        click.echo(f"{line[0].upper()}{line[1:]}.")


async def _following(conn: Conn, origin: Name, wanted: Wanted) -> list[str]:
    """Say when what was begun ends, as far as that is known."""
    now = int(time.time())
    async with snapshot(conn):
        found = await leases.find(conn, origin)
        if found is None or wanted.kind == "resign":
            return []
        known = Policies()
        known.learn(await keybook.policies(conn))
        books = await keybook.glance(conn, [found], known, now)
        pace = (await overview.paces(conn, [found]))[found.id]
    book = books.get(found.id)
    last = end(book, pace, now) if book is not None else None
    if last is None:
        return ["nothing moves any more"]
    about = "" if last.sure else "about "
    return [
        f"its keys rest from {about}{when(last.at)} UTC on; zone-signer plan {names.to_text(origin)} shows each step"
    ]
