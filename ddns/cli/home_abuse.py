"""`ddns home`: complain and signals: what is said about homes, and what of their updates rules have refused."""

from __future__ import annotations

import time
from pathlib import Path

import click

from ddns.cli.home_hold import home_called
from ddns.cli.shell import (
    database_options,
    json_option,
    principal,
    print_json,
    print_table,
    run,
    shown,
    tenant_option,
    when,
)
from ddns.database import Database
from ddns.operator import abuse
from ddns.operator.abuse import KINDS, MOST_DAYS
from ddns.operator.tenants import the_tenant
from ddns.store.abuse import Complaint, Signal
from ddns.store.pool import Connection

_ZONE = click.option("--zone", metavar="NAME", help="The registry's zone, where there are several.")


@click.command()
@click.argument("label")
@_ZONE
@click.option("--what", required=True, type=click.Choice(KINDS), help="What it is about.")
@click.option("--evidence", required=True, metavar="TEXT", help="What was seen, or where it can be.")
@json_option
@database_options
def complain(
    label: str, zone: str | None, what: str, evidence: str, as_json: bool, dsn: str | None, state: Path | None
) -> None:
    """Write down a complaint about the home LABEL. Nothing follows from it by itself: look, and hold the home."""

    async def work(conn: Connection, _database: Database) -> tuple[bytes, int]:
        name = await home_called(conn, label, zone)
        return name, await abuse.complain(conn, name, what, evidence, principal(), int(time.time()))

    name, number = run(dsn, state, work)
    if as_json:
        print_json({"home": shown(name), "complaint": number})
    else:
        click.echo(f"Complaint {number} about {shown(name)} is written down.")


@click.command()
@click.argument("label", default="")
@_ZONE
@click.option("--days", type=click.IntRange(1, MOST_DAYS), default=7, show_default=True, help="Of so many days.")
@tenant_option
@json_option
@database_options
def signals(
    label: str,
    zone: str | None,
    days: int,
    tenant: str,
    as_json: bool,
    dsn: str | None,
    state: Path | None,
) -> None:
    """List the homes with signals of abuse, those with the most first; with LABEL, what was said about that home."""
    if label:
        _complaints(label, zone, as_json, dsn, state)
        return

    async def work(conn: Connection, _database: Database) -> list[Signal]:
        return await abuse.signals(conn, (await the_tenant(conn, tenant)).id, days, int(time.time()))

    found = run(dsn, state, work)
    if as_json:
        print_json(
            [
                {
                    "home": shown(one.name), "state": one.state, "complaints": one.complaints, "refused": one.refused,
                    "last_at": one.last_at,
                }
                for one in found
            ]
        )  # fmt: skip
        return
    print_table(
        ("HOME", "STATE", "COMPLAINTS", "REFUSED UPDATES", "LAST"),
        [(shown(one.name), one.state, str(one.complaints), str(one.refused), when(one.last_at)) for one in found],
        f"There are no signals of abuse in the last {days} days.",
    )


def _complaints(label: str, zone: str | None, as_json: bool, dsn: str | None, state: Path | None) -> None:
    async def work(conn: Connection, _database: Database) -> list[Complaint]:
        return await abuse.complaints(conn, await home_called(conn, label, zone))

    found = run(dsn, state, work)
    if as_json:
        print_json(
            [
                {"complaint": one.id, "at": one.at, "what": one.what, "evidence": one.evidence, "who": one.who}
                for one in found
            ]
        )
        return
    print_table(
        ("COMPLAINT", "AT", "ABOUT", "WHO", "EVIDENCE"),
        [(str(one.id), when(one.at), one.what, one.who, " ".join(one.evidence.split())) for one in found],
        "Nobody has complained about it.",
    )
