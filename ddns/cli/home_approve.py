"""`ddns home approve`: trust the key that a gateway announced, in place of its owner."""

from __future__ import annotations

import time
from pathlib import Path

import click

from ddns.cli.home_hold import SIGNER_WAIT, home_called
from ddns.cli.shell import database_options, json_option, principal, print_json, run, settle, shown, wait_option
from ddns.database import Database
from ddns.homes.carrying import Outcome
from ddns.operator import approving
from ddns.signing.client import SignerClient
from ddns.store.pool import Connection


@click.command("approve")
@click.argument("label")
@click.option("--zone", metavar="NAME", help="The registry's zone, where there are several.")
@click.option("--tag", type=click.IntRange(0, 65_535), required=True, help="The key's tag, as `home show` lists it.")
@click.option("--reason", required=True, metavar="TEXT", help="Why, in one line that the home's owner reads.")
@wait_option
@json_option
@database_options
def command(
    label: str,
    zone: str | None,
    tag: int,
    reason: str,
    wait: float,
    as_json: bool,
    dsn: str | None,
    state: Path | None,
) -> None:
    """Trust the key that the gateway of the home LABEL announced, and no other key of it any more.

    For a home whose owner cannot do it, or that has none: compare the tag with the gateway's first.
    """

    async def work(conn: Connection, database: Database) -> tuple[bytes, Outcome]:
        name = await home_called(conn, label, zone)
        signer = SignerClient(database.state / "run" / "signer.sock", SIGNER_WAIT)
        try:
            done = await approving.approve(conn, signer, name, tag, reason, principal(), int(time.time()))
        finally:
            await signer.close()
        await settle(conn, database, done.pending, wait)
        return name, done

    name, done = run(dsn, state, work)
    if as_json:
        print_json({"home": shown(name), "state": str(done.home), "tag": tag})
    else:
        click.echo(f"{shown(name)} has the key with the tag {tag} now, and no other.")
