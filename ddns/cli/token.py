"""`ddns token`: add, list, revoke the tokens of the HTTPS API."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from pathlib import Path

import click

from ddns.cli.shell import (
    database_options,
    json_option,
    print_json,
    print_table,
    run,
    tenant_option,
    when,
)
from ddns.database import Database
from ddns.operator import tenants as tenant_words
from ddns.operator import tokens as work
from ddns.operator.acting import acting_for
from ddns.store import tokens
from ddns.store.pool import Connection
from ddns.web.rights import WHAT

_DAY = 86_400


@click.group()
def command() -> None:
    """Say who may use the HTTPS API, for what and until when."""


@command.command(epilog=f"Rights: {', '.join(WHAT)}. docs/reference/api.md says what each allows.")
@click.option("--rights", required=True, metavar="RIGHT,…", help="What it may do, narrowly; see below.")
@click.option(
    "--days", type=click.IntRange(1, work.MOST_DAYS), default=work.DAYS, show_default=True, help="How long it holds."
)
@click.option("--network", "networks", multiple=True, metavar="CIDR", help="From where alone; may be repeated.")
@click.option("--note", default="", help="What it is for, for the list.")
@tenant_option
@json_option
@database_options
def add(
    rights: str,
    days: int,
    networks: Sequence[str],
    note: str,
    tenant: str,
    as_json: bool,
    dsn: str | None,
    state: Path | None,
) -> None:
    """Make a token. It is shown once, and kept nowhere."""
    wanted = [one.strip() for one in rights.split(",") if one.strip()]

    async def run_it(conn: Connection, _database: Database) -> work.Fresh:
        async with acting_for(conn, tenant) as whose:
            return await work.add(
                conn, whose.id, wanted, int(time.time()), secrets.token_bytes, seconds=days * _DAY, networks=networks,
                note=note,
            )  # fmt: skip

    fresh = run(dsn, state, run_it)
    text = fresh.text.reveal().decode()
    if as_json:
        print_json({"token": text, "id": fresh.token.id, "expires_at": fresh.token.expires_at})
        return
    click.echo(text)
    click.echo(f"\nThis is the token {fresh.token.id}, shown only now. It holds until {when(fresh.token.expires_at)}.")


@command.command("list")
@tenant_option
@json_option
@database_options
def show_all(tenant: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """List the tokens, with where and when each was used last."""

    async def run_it(conn: Connection, _database: Database) -> list[tokens.Token]:
        whose = await tenant_words.the_tenant(conn, tenant)
        return await tokens.listing(conn, whose.id)

    found = run(dsn, state, run_it)
    if as_json:
        print_json(
            [
                {
                    "id": one.id, "rights": list(one.rights), "networks": list(one.networks), "note": one.note,
                    "created_at": one.created_at, "expires_at": one.expires_at, "revoked_at": one.revoked_at,
                    "used_at": one.used_at, "used_from": one.used_from,
                }
                for one in found
            ]
        )  # fmt: skip
        return
    print_table(
        ("TOKEN", "RIGHTS", "NETWORKS", "UNTIL", "LAST USED", "NOTE"),
        [
            (
                one.id, ",".join(one.rights), ",".join(one.networks) or "any",
                "revoked" if one.revoked_at is not None else when(one.expires_at),
                "never" if one.used_at is None else f"{when(one.used_at)} from {one.used_from}", one.note,
            )
            for one in found
        ],
        "There are no tokens; `ddns token add --rights …` makes one.",
    )  # fmt: skip


@command.command()
@click.argument("ident", metavar="TOKEN")
@tenant_option
@database_options
def revoke(ident: str, tenant: str, dsn: str | None, state: Path | None) -> None:
    """Revoke a token: the next request with it is refused."""

    async def run_it(conn: Connection, _database: Database) -> None:
        async with conn.transaction():
            whose = await tenant_words.the_tenant(conn, tenant)
            await work.revoke(conn, whose.id, ident, int(time.time()))

    run(dsn, state, run_it)
    click.echo(f"The token {ident} is revoked.")
