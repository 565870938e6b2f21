"""`zone-signer token list|remove`: the private keys in a PKCS#11 token, and those that no zone needs any more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ddns.database import open_database
from zone_signer import orphans
from zone_signer.command import Failure, database_options, token_options, where_of, with_connection
from zone_signer.settings import open_token
from zone_signer.store import Conn
from zone_signer.worker import ROLE

if TYPE_CHECKING:
    from zone_signer.hsm import Hsm

Result = TypeVar("Result")


@click.group()
def token() -> None:
    """Look at the signing keys in a PKCS#11 token."""


def _with_both(
    dsn: str | None, state: Path | None, work: Callable[[Conn, Hsm], Awaitable[Result]], where: dict[str, Any]
) -> Result:
    """Do *work* with a connection to the database and the token."""
    with open_database(dsn, state) as database:
        hsm = open_token(where_of(database.state, None, **where))
        if hsm is None:
            raise click.UsageError("say which token with --pkcs11 and --pkcs11-token")
        try:
            return asyncio.run(with_connection(database.dsn_for(ROLE), lambda conn: work(conn, hsm)))
        finally:
            hsm.close()


@token.command("list")
@database_options
@token_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def list_keys(dsn: str | None, state: Path | None, as_json: bool, **where: Any) -> None:
    """List the private keys that zone-signer has made in the token, and which of them no zone needs."""
    found = _with_both(dsn, state, orphans.places, where)
    rows = [{"id": one.kept.id, "label": one.kept.label, "state": one.state} for one in found]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(f"{row['id']} {row['label']} {row['state'] or 'no zone needs it'}")
    if not rows:
        click.echo("There are no signing keys in the token.")


@token.command()
@click.argument("ident", metavar="ID")
@database_options
@token_options
def remove(ident: str, dsn: str | None, state: Path | None, **where: Any) -> None:
    """Destroy the key ID in the token, which no zone needs; `list` shows those."""

    async def work(conn: Conn, hsm: Hsm) -> None:
        found = {one.kept.id: one for one in await orphans.places(conn, hsm)}
        if ident not in found:
            raise Failure(f"there is no key {ident} in the token; zone-signer token list shows those that are")
        if found[ident].state is not None:
            raise Failure(f"the key {ident} is {found[ident].state}: its zone needs it")
        await asyncio.to_thread(hsm.remove, ident)

    _with_both(dsn, state, work, where)
    click.echo(f"{ident} is destroyed.")
