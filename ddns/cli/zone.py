"""`ddns zone`: add, list, show, remove, import, export, ds, check, denial."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ddns.cli import Failure, zone_dane, zone_denial
from ddns.cli.shell import (
    count,
    database_options,
    json_option,
    principal,
    print_facts,
    print_json,
    print_table,
    run,
    say,
    settle,
    shown,
    wait_option,
    when,
)
from ddns.database import Database
from ddns.dns.codes import Type
from ddns.dns.spelling import type_to_text
from ddns.dns.text import rdata_to_text
from ddns.dns.zonefile import ZoneWriter
from ddns.operator import check as checks
from ddns.operator import words, zones
from ddns.operator.files import zone_text
from ddns.store import leases
from ddns.store import zones as stored
from ddns.store.pool import Connection
from ddns.zone import compact

WRITE_AT_ONCE = 1000  # lines of an export
SIGNER_WAIT = 5.0  # seconds for the signer's socket; without it the change waits for the signer's own loop

_DENIAL = click.option("--denial", metavar="|".join(words.DENIALS), help="How absence is proved; none: unsigned.")
_ALGORITHM = click.option(
    "--algorithm", type=click.Choice([*map(str, words.ALGORITHMS)]), help=f"Sign with {words.ALGORITHMS_TOLD}. [13]"
)


@click.group()
def command() -> None:
    """Add, import, show, export, check and remove zones."""


command.add_command(zone_dane.command)
command.add_command(zone_denial.command)


def _state(zone: stored.Zone) -> str:
    if zone.denial == "none":
        return "served as it is"
    if zone.signed_pending:
        return "pending: waits for the signer"
    return "signed" if zone.edition else "empty"


@command.command()
@click.argument("name")
@click.option("--ns", "servers", multiple=True, metavar="HOST", help="Its name server; may be repeated. [ns1.NAME]")
@click.option("--address", "addresses", multiple=True, metavar="IP", help="Where servers in the zone are. [loopback]")
@click.option("--mail", metavar="NAME", help="The mailbox in the SOA, written as a name. [hostmaster.NAME]")
@_DENIAL
@_ALGORITHM
@wait_option
@json_option
@database_options
def add(
    name: str,
    servers: Sequence[str],
    addresses: Sequence[str],
    mail: str | None,
    denial: str | None,
    algorithm: str | None,
    wait: float,
    as_json: bool,
    dsn: str | None,
    state: Path | None,
) -> None:
    """Make the zone NAME with a SOA and its name servers, and sign it."""
    origin = words.read_name(name, "zone name")
    mode = words.read_denial(denial or words.DEFAULT_DENIAL)
    hosts = [words.read_name(host, "name server") for host in servers] or [words.read_name("ns1." + name.lstrip("."))]
    mailbox = words.read_name(mail or "hostmaster." + name.lstrip("."), "mailbox")
    text = zones.new_text(origin, hosts, mailbox, addresses or ("127.0.0.1", "::1"))
    number = int(algorithm or words.DEFAULT_ALGORITHM)

    async def work(conn: Connection, database: Database) -> tuple[bool, list[str]]:
        zone = await zones.add(conn, text, mode, number, principal())
        signed = await settle(conn, database, [zone] if mode != "none" else [], wait)
        return signed, await _ds_lines(conn, origin) if mode != "none" else []

    signed, ds = run(dsn, state, work)
    if as_json:
        print_json({"zone": shown(origin), "state": "added", "signed": signed and mode != "none", "ds": ds})
        return
    how = "served unsigned" if mode == "none" else f"signed ({mode})" if signed else "not signed yet"
    click.echo(f"Added {shown(origin)}, {how}.")
    if not addresses and any(one.type in (Type.A, Type.AAAA) for one in text.rrsets):
        click.echo(f"{shown(hosts[0])} is at 127.0.0.1 and ::1 until you say otherwise (--address).")
    _tell_ds(ds)


def _tell_ds(ds: Sequence[str]) -> None:
    if ds:
        click.echo("For the parent's zone:")
        for line in ds:
            click.echo(f"  {line}")


async def _ds_lines(conn: Connection, origin: bytes) -> list[str]:
    _zone, found = await zones.ds(conn, origin)
    return [f"{shown(origin)} IN DS {rdata_to_text(Type.DS, rdata)}" for rdata in found]


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--origin", required=True, metavar="NAME", help="The zone's name.")
@_DENIAL
@_ALGORITHM
@wait_option
@json_option
@database_options
def import_(
    file: Path,
    origin: str,
    denial: str | None,
    algorithm: str | None,
    wait: float,
    as_json: bool,
    dsn: str | None,
    state: Path | None,
) -> None:
    """Bring a zone to what the master file FILE says; an existing one is replaced in one edition.

    With --denial none the zone is served as the file has it, signatures of another signer included.
    """
    name = words.read_name(origin, "origin")
    mode = None if denial is None else words.read_denial(denial)
    number = None if algorithm is None else int(algorithm)

    async def work(conn: Connection, database: Database) -> tuple[zones.Written, Any, bool]:
        known = await stored.find(conn, name)
        kept = mode or (known.denial if known else words.DEFAULT_DENIAL)
        text = zone_text(file, name, signed=kept != "none")
        done = await zones.bring_in(conn, text, principal(), kept, number)
        return done, text, await settle(conn, database, [done.zone] if kept != "none" else [], wait)

    done, text, signed = run(dsn, state, work)
    notes = list(text.warnings)
    if text.dropped:
        notes.append(
            f"{count(text.dropped, 'DNSSEC record')} of an earlier signing {'was' if text.dropped == 1 else 'were'} "
            "left out; the zone is signed here."
        )
    for note in notes:
        say(note)
    if as_json:
        print_json(
            {
                "zone": shown(name), "state": done.state, "rrsets": done.records, "published": signed,
                "dropped": text.dropped, "warnings": list(text.warnings),
            }
        )  # fmt: skip
        return
    what = {"added": "Added", "replaced": "Replaced", "unchanged": "Nothing to change in"}[done.state]
    click.echo(f"{what} {shown(name)}: {count(done.records, 'RRset')} from {file}.")


@command.command("list")
@json_option
@database_options
def list_(as_json: bool, dsn: str | None, state: Path | None) -> None:
    """List the zones."""

    async def work(conn: Connection, _database: Database) -> list[stored.Zone]:
        return await stored.listing(conn)

    found = run(dsn, state, work)
    if as_json:
        print_json([_facts(zone) for zone in found])
        return
    print_table(
        ("ZONE", "SERIAL", "DENIAL", "STATE", "HOME"),
        [
            (
                shown(zone.origin),
                str(zone.serial) if zone.edition else "-",
                zone.denial,
                _state(zone),
                ("suspended" if zone.suspended else "yes") if zone.home else "",
            )
            for zone in found
        ],
        "There are no zones yet; add one with `ddns zone add NAME`.",
    )


def _facts(zone: stored.Zone) -> dict[str, Any]:
    return {
        "zone": shown(zone.origin), "denial": zone.denial, "algorithm": zone.algorithm, "serial": zone.serial,
        "edition": zone.edition, "head": zone.head, "pending": zone.signed_pending, "home": zone.home,
        "suspended": zone.suspended,
    }  # fmt: skip


@command.command()
@click.argument("name")
@json_option
@database_options
def show(name: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Show how the zone NAME is signed and how far it has come."""
    report = _checked(name, dsn, state)
    if as_json:
        print_json(_report(report))
    else:
        _print_report(report)


@command.command("leases")
@click.argument("name")
@json_option
@database_options
def leases_(name: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """List the records of the zone NAME that end unless they are renewed (RFC 9664), the next one first."""
    origin = words.read_name(name, "zone name")

    async def work(conn: Connection, _database: Database) -> list[leases.Listed]:
        return await leases.listing(conn, (await zones.the_zone(conn, origin)).id)

    found = run(dsn, state, work)
    rows = [(shown(one.name), type_to_text(one.type), rdata_to_text(one.type, one.rdata)) for one in found]
    if as_json:
        print_json(
            [
                {
                    "name": owner, "type": kind, "data": data, "lease": one.seconds, "ends_at": one.ends_at,
                    "host": None if one.host is None else shown(one.host),
                }
                for (owner, kind, data), one in zip(rows, found, strict=True)
            ]
        )  # fmt: skip
        return
    print_table(
        ("NAME", "TYPE", "DATA", "LEASE", "ENDS"),
        [(*row, str(one.seconds), when(one.ends_at)) for row, one in zip(rows, found, strict=True)],
        f"Nothing in {shown(origin)} has a lease: its records stay until they are deleted.",
    )


@command.command()
@click.argument("name")
@json_option
@database_options
def check(name: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Check that the zone NAME is signed, up to date and delegated; end with 1 where it is not."""
    report = _checked(name, dsn, state)
    if as_json:
        print_json(_report(report))
    else:
        _print_report(report)
        if not report.problems:
            click.echo("All is well.")
    if report.problems:
        raise Failure("; ".join(f"{shown(report.zone.origin)}: {problem}" for problem in report.problems))


def _checked(name: str, dsn: str | None, state: Path | None) -> checks.Report:
    origin = words.read_name(name, "zone name")

    async def work(conn: Connection, _database: Database) -> checks.Report:
        async with conn.transaction():
            return await checks.check(conn, origin, int(time.time()))

    return run(dsn, state, work)


def _report(report: checks.Report) -> dict[str, Any]:
    return _facts(report.zone) | {
        "rrsets": report.rrsets,
        "signed": report.signed,
        "first_expiry": report.first_expiry,
        "keys": list(report.keys),
        "ds": [rdata_to_text(Type.DS, rdata) for rdata in report.ds],
        "delegation": report.delegation,
        "problems": list(report.problems),
    }


def _print_report(report: checks.Report) -> None:
    zone = report.zone
    home = "" if not zone.home else "suspended, its updates are refused" if zone.suspended else "active"
    print_facts(
        [
            ("Zone", shown(zone.origin)),
            ("State", _state(zone)),
            ("Serial", str(zone.serial) if zone.edition else ""),
            ("Edition", str(zone.edition) if zone.edition else ""),
            ("Changes", str(zone.head)),
            ("Denial", zone.denial),
            ("Algorithm", str(zone.algorithm) if zone.denial != "none" else ""),
            ("Keys", ", ".join(str(tag) for tag in report.keys)),
            ("RRsets", f"{report.rrsets}, {report.signed} of them signed" if zone.edition else ""),
            ("First expiry", when(report.first_expiry)),
            ("Home", home),
            ("Delegation", report.delegation),
            *[("DS", rdata_to_text(Type.DS, rdata)) for rdata in report.ds],
        ]
    )


@command.command()
@click.argument("name")
@wait_option
@json_option
@database_options
def remove(name: str, wait: float, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Remove the zone NAME with its records and keys; of a home also its delegation. The journal stays."""
    origin = words.read_name(name, "zone name")

    async def work(conn: Connection, database: Database) -> None:
        zone = await zones.the_zone(conn, origin)
        if zone.parent is None:
            await zones.remove(conn, origin)
            return
        from ddns.operator import homes  # noqa: PLC0415 - Twisted loads only where a home is made or removed
        from ddns.signing.client import SignerClient  # noqa: PLC0415

        signer = SignerClient(database.state / "run" / "signer.sock", SIGNER_WAIT)
        try:
            pending = await homes.remove(conn, signer, origin, principal())
        finally:
            await signer.close()
        await settle(conn, database, pending, wait)

    run(dsn, state, work)
    if as_json:
        print_json({"zone": shown(origin), "state": "removed"})
    else:
        click.echo(f"{shown(origin)} is removed.")


@command.command()
@click.argument("name")
@click.option("--signed", is_flag=True, help="As it is published: with RRSIG, NSEC3 and all.")
@database_options
def export(name: str, signed: bool, dsn: str | None, state: Path | None) -> None:
    """Write the zone NAME to stdout as a master file that any name server reads."""
    origin = words.read_name(name, "zone name")

    async def work(conn: Connection, _database: Database) -> None:
        if signed and (await zones.the_zone(conn, origin)).denial == compact.DENIAL:
            say(
                f"{shown(origin)} has compact denial: what it does not hold is signed when somebody asks, so no other "
                "server can answer from this file."
            )
        async with conn.transaction():
            await conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            writer = ZoneWriter(origin)
            lines: list[str] = []
            async for rrset in zones.export(conn, origin, signed=signed):
                lines += writer.add(rrset)
                if len(lines) > WRITE_AT_ONCE:
                    sys.stdout.write("".join(lines))
                    lines.clear()
            sys.stdout.write("".join(lines + writer.end()))

    run(dsn, state, work)


@command.command()
@click.argument("name")
@json_option
@database_options
def ds(name: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Print the DS records that the parent of the zone NAME must publish."""
    origin = words.read_name(name, "zone name")

    async def work(conn: Connection, _database: Database) -> tuple[bytes, ...]:
        return (await zones.ds(conn, origin))[1]

    found = run(dsn, state, work)
    if not found:
        raise Failure(f"{shown(origin)} has no keys yet; start `ddns serve` or `zone-signer run`, then ask again")
    if as_json:
        print_json([{"zone": shown(origin), "ds": rdata_to_text(Type.DS, rdata)} for rdata in found])
        return
    for rdata in found:
        click.echo(f"{shown(origin)} IN DS {rdata_to_text(Type.DS, rdata)}")
