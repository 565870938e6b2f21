"""`zone-signer clock`: show what a signer makes of this machine's clock, and take it for right."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from ddns.database import open_database
from zone_signer import clockkeeper, heartbeat
from zone_signer.clock import Bounds, Reading, judge
from zone_signer.clockkeeper import Clockkeeper, Mark
from zone_signer.command import Failure, database_options, with_connection
from zone_signer.heartbeat import Signer
from zone_signer.store import Conn
from zone_signer.worker import ROLE


@click.group()
def clock() -> None:
    """Show whether this machine's clock is believed, and take it for right."""


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


@clock.command()
@database_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def show(dsn: str | None, state: Path | None, as_json: bool) -> None:
    """Show what a signer that starts now makes of this machine's clock, and which signers are held."""

    async def work(conn: Conn) -> tuple[Reading, Mark, list[Signer]]:
        return *await Clockkeeper().read(conn), await heartbeat.signers(conn)

    with open_database(dsn, state) as database:
        reading, mark, signers = asyncio.run(with_connection(database.dsn_for(ROLE), work))
    refused = judge(reading, None, mark.high, mark.accepted, Bounds()).refused
    ahead = reading.system - reading.database
    if as_json:
        print_json = {
            "time": int(reading.system), "ahead_of_database": round(ahead, 3), "synchronized": reading.synchronized,
            "signed_by": mark.high or None, "accepted_until": mark.accepted or None, "refused": refused,
            "signers": [{"name": one.name, "living": one.living, "held": one.held} for one in signers],
        }  # fmt: skip
        click.echo(json.dumps(print_json, indent=2))
        return
    kernel = {True: "synchronized", False: "not synchronized", None: "does not say"}[reading.synchronized]
    facts = [
        ("Time", _time(reading.system)),
        ("Database", f"{abs(ahead):.1f} s {'behind' if ahead > 0 else 'ahead'}"),
        ("Kernel", kernel),
        ("Signed by", _time(mark.high) if mark.high else "nothing yet"),
        ("Accepted", f"until {_time(mark.accepted)}" if mark.accepted > reading.system else "no"),
        ("Believed", f"no: {refused}" if refused else "yes"),
        *[("Signer", f"{one.name}: {_says(one)}") for one in signers],
    ]
    for name, value in facts:
        click.echo(f"{name:<9}  {value}")


def _says(one: Signer) -> str:
    silent = "" if one.living else ", not seen for five minutes"
    return (f"signs nothing: {one.held}" if one.held else "signs") + silent


@clock.command()
@database_options
@click.option("--yes", is_flag=True, help="Do not ask.")
def accept(dsn: str | None, state: Path | None, yes: bool) -> None:
    """Say that this machine's clock is right: signers whose clock agrees with it sign again, whatever was before."""
    keeper = Clockkeeper()
    if not yes:
        if not sys.stdin.isatty():
            raise Failure("nobody is there to be asked whether the time is right; look at it, and say --yes")
        click.confirm(f"It is {_time(keeper.shown())}. Is that right?", abort=True)
    with open_database(dsn, state) as database:
        now = int(keeper.shown())
        until = asyncio.run(with_connection(database.dsn_for(ROLE), lambda conn: clockkeeper.accept(conn, now)))
    click.echo(
        f"{_time(now)} is right. Signers whose clocks show that sign again, until {_time(until)} without a doubt."
    )
