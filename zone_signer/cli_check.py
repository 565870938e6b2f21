"""`zone-signer check`: everything that is wrong with zones and signers, a sentence each."""

from __future__ import annotations

import time
from pathlib import Path

import click

from ddns.dns import names
from zone_signer import health
from zone_signer.command import Failure, JsonList, database_options, for_people, json_option, read_name, stamp
from zone_signer.health import Report
from zone_signer.overview import snapshot
from zone_signer.store import Conn


@click.command()
@click.argument("zone", required=False)
@json_option
@database_options
def check(zone: str | None, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Say what is wrong with ZONE, or with all zones and signers; exit with 1 if anything is."""
    origin = None if zone is None else read_name(zone)

    async def work(conn: Conn) -> Report | None:
        async with snapshot(conn):
            return await health.report(conn, int(time.time()), origin)

    found = for_people(dsn, state, work)
    if found is None:
        name = "" if origin is None else names.to_text(origin)
        raise Failure(f"there is no zone {name} here; `ddns zone list` shows those that are")
    if as_json:
        listed = JsonList()
        for one in found.alarms:
            listed.add({"code": one.code, "zone": one.zone, "sentence": one.sentence, "since": stamp(one.since)})
        listed.end()
    else:
        for one in found.alarms:
            click.echo(f"{click.style(one.code, fg='red')}: {one.sentence}.")
        if found.more:
            click.echo(f"There are more; of each kind {health.MOST} zones were looked at.")
        if not found.alarms:
            click.echo("All is well." if origin is None else f"{names.to_text(origin)} is well.")
    if found.alarms:
        raise click.exceptions.Exit(1)
