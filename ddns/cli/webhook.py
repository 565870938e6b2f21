"""`ddns webhook`: add, list, test and remove the addresses that are told of what happens to homes."""

from __future__ import annotations

import asyncio
import secrets
import time
from pathlib import Path
from uuid import UUID

import click

from ddns.auth.sealing import Sealer
from ddns.cli import Failure
from ddns.cli.shell import (
    database_options,
    json_option,
    print_json,
    print_table,
    run,
    tenant_option,
)
from ddns.database import Database, secrets_key
from ddns.operator import webhooks as work
from ddns.operator.acting import acting_for
from ddns.operator.tenants import the_tenant
from ddns.store import webhooks
from ddns.store.pool import Connection

_PAUSE = 0.1  # seconds between two looks at what came of a test


@click.group()
def command() -> None:
    """Have programs told of what happens to homes, by signed HTTPS requests."""


@command.command()
@click.argument("url")
@click.option("--events", default="", metavar="KIND,…", help="Of what alone, as home.enrolled,key.pending. [all]")
@tenant_option
@json_option
@database_options
def add(url: str, events: str, tenant: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Have what happens from now on sent to URL. The secret that its signatures are made with is shown once."""
    wanted = [one.strip() for one in events.split(",") if one.strip()]

    async def run_it(conn: Connection, database: Database) -> work.Made:
        sealer = Sealer(secrets_key(database.state))
        async with acting_for(conn, tenant) as whose:
            return await work.add(conn, sealer, whose.id, url, wanted, secrets.token_bytes)

    made = run(dsn, state, run_it)
    secret = made.secret.reveal().decode()
    if as_json:
        print_json({"id": str(made.id), "url": url, "secret": secret})
        return
    click.echo(secret)
    click.echo(f"\nThis is the secret of the webhook {made.id}, shown only now: give it to the receiver.")
    click.echo(f"Try it: ddns webhook test {made.id}")


@command.command("list")
@tenant_option
@json_option
@database_options
def list_(tenant: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """List the webhooks, with what waits for each and what was wrong the last time."""

    async def run_it(conn: Connection, _database: Database) -> list[webhooks.Webhook]:
        return await work.listing(conn, (await the_tenant(conn, tenant)).id)

    found = run(dsn, state, run_it)
    if as_json:
        print_json(
            [
                {
                    "id": str(one.id), "url": one.url, "events": list(one.events), "state": one.state,
                    "waiting": one.waiting, "problem": one.problem,
                }
                for one in found
            ]
        )  # fmt: skip
        return
    print_table(
        ("ID", "ADDRESS", "KINDS", "STATE", "WAITING", "PROBLEM"),
        [(str(one.id), one.url, ",".join(one.events), one.state, str(one.waiting), one.problem) for one in found],
        "There are no webhooks; add one with `ddns webhook add https://…`.",
    )


@command.command()
@click.argument("ident", metavar="ID", type=click.UUID)
@click.option(
    "--wait", type=click.FloatRange(0, 600), default=30.0, show_default=True, metavar="SECONDS",
    help="How long to wait for what comes of it.",
)  # fmt: skip
@tenant_option
@json_option
@database_options
def test(ident: UUID, wait: float, tenant: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Have the desk send a notice to the webhook ID, and say what came of it. One that was stopped goes on again."""

    async def run_it(conn: Connection, _database: Database) -> tuple[bool, str]:
        async with acting_for(conn, tenant) as whose:
            notice = await work.test(conn, whose.id, ident, int(time.time()))
        end = time.monotonic() + wait
        while True:
            arrived, problem = await webhooks.outcome(conn, notice, ident) or (False, "the webhook was removed")
            if arrived or problem or time.monotonic() >= end:
                return arrived, problem
            await asyncio.sleep(_PAUSE)

    arrived, problem = run(dsn, state, run_it)
    if not arrived:
        raise Failure(
            f"It did not arrive: {problem}."
            if problem
            else f"Nothing was sent within {wait:g} seconds; is the web's desk running (`[web]` in the settings)?"
        )
    if as_json:
        print_json({"id": str(ident), "delivered": True})
    else:
        click.echo("It arrived.")


@command.command()
@click.argument("ident", metavar="ID", type=click.UUID)
@tenant_option
@json_option
@database_options
def remove(ident: UUID, tenant: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Remove the webhook ID, and what has not been delivered to it."""

    async def run_it(conn: Connection, _database: Database) -> None:
        async with acting_for(conn, tenant) as whose:
            await work.remove(conn, whose.id, ident)

    run(dsn, state, run_it)
    if as_json:
        print_json({"id": str(ident), "removed": True})
    else:
        click.echo(f"The webhook {ident} is removed.")
