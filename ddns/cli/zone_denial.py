"""`ddns zone denial`: another way for a signed zone to say what it does not have."""

from __future__ import annotations

from pathlib import Path

import click

from ddns.cli.shell import database_options, json_option, principal, print_json, run, settle, shown, wait_option
from ddns.database import Database
from ddns.operator import denial, words
from ddns.store.pool import Connection


@click.command("denial")
@click.argument("name")
@click.argument("way", type=click.Choice(denial.WAYS))
@wait_option
@json_option
@database_options
def command(name: str, way: str, wait: float, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Have the signed zone NAME prove in another WAY what it does not have; its records stay as they are."""
    origin = words.read_name(name, "zone name")

    async def work(conn: Connection, database: Database) -> tuple[bool, bool]:
        zone, changed = await denial.change(conn, origin, way, principal())
        return changed, await settle(conn, database, [zone], wait)

    changed, published = run(dsn, state, work)
    if as_json:
        print_json({"zone": shown(origin), "denial": way, "changed": changed, "published": published})
        return
    click.echo(f"{shown(origin)} {'has' if changed else 'had'} {way} denial {'from now on' if changed else 'already'}.")
