"""`ddns home adopt-code`: a home that nobody owns gets its owner."""

from __future__ import annotations

import time
from pathlib import Path

import click

from ddns.cli.home_hold import home_called
from ddns.cli.shell import database_options, json_option, principal, print_json, run, shown, when
from ddns.database import Database
from ddns.operator import adopting
from ddns.operator.adopting import Code
from ddns.store.pool import Connection


@click.command("adopt-code")
@click.argument("label")
@click.option("--zone", metavar="NAME", help="The registry's zone, where there are several.")
@click.option(
    "--days", type=click.IntRange(1, adopting.MOST_DAYS), default=adopting.DAYS, show_default=True,
    help="How long the code holds.",
)  # fmt: skip
@json_option
@database_options
def command(label: str, zone: str | None, days: int, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Make a code by which somebody becomes the owner of the home LABEL, which has none. It is shown once.

    Another one takes its place. Give it to the person who is to have the home, and to nobody else.
    """

    async def work(conn: Connection, _database: Database) -> Code:
        name = await home_called(conn, label, zone)
        return await adopting.make(conn, name, days, principal(), int(time.time()))

    made = run(dsn, state, work)
    code = made.code.reveal().decode()
    if as_json:
        print_json({"home": shown(made.home), "code": code, "until": made.until})
        return
    click.echo(f"{code} is good until {when(made.until)}, once. Who is to own {shown(made.home)} says")
    click.echo(f"ddns phone say adopt {shown(made.home)} --code {code}")
