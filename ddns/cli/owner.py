"""`ddns owner`: list, show, keys, recover."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from ddns.cli import Failure
from ddns.cli.shell import (
    count,
    database_options,
    json_option,
    principal,
    print_facts,
    print_json,
    print_table,
    run,
    shown,
    tenant_option,
    when,
)
from ddns.database import Database
from ddns.homes.carrying import Outcome
from ddns.operator import owners as work
from ddns.operator import tenants
from ddns.proof import b64
from ddns.store.owners import Key, Owner
from ddns.store.pool import Connection
from ddns.store.recoveries import Recovery

_PAGE = 500


@click.group()
def command() -> None:
    """See who homes belong to, and help who has lost every key."""


@command.command("list")
@click.option("--after", metavar="ID", default=str(work.FIRST), help="Go on behind this owner.")
@tenant_option
@json_option
@database_options
def list_(after: str, tenant: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """List owners by their ids, at most 500: a person is known by keys, and by no name."""

    async def read(conn: Connection, _database: Database) -> list[Owner]:
        whose = await tenants.the_tenant(conn, tenant)
        return await work.listing(conn, whose.id, work.read_id(after), _PAGE)

    found = run(dsn, state, read)
    if as_json:
        print_json([_owner_json(one) for one in found])
        return
    print_table(
        ("OWNER", "STATE", "HOMES", "KEYS", "SINCE"),
        [(str(one.id), one.state, str(one.homes), str(one.keys), when(one.created_at)) for one in found],
        "There are no owners; a home has one when its owner's key signs beside the gateway's.",
    )


@command.command()
@click.argument("ident", metavar="ID")
@tenant_option
@json_option
@database_options
def show(ident: str, tenant: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Show an owner's homes, live keys, and what is under way with them."""

    async def read(conn: Connection, _database: Database) -> work.Shown:
        whose = await tenants.the_tenant(conn, tenant)
        return await work.show(conn, whose.id, work.read_id(ident))

    found = run(dsn, state, read)
    if as_json:
        print_json(
            _owner_json(found.owner)
            | {
                "names": [shown(one) for one in found.homes],
                "live_keys": [_key_json(one) for one in found.keys],
                "recoveries": [_recovery_json(one) for one in found.recoveries],
            }
        )
        return
    print_facts(
        [
            ("owner", str(found.owner.id)),
            ("state", found.owner.state),
            ("since", when(found.owner.created_at)),
            ("homes", ", ".join(shown(one) for one in found.homes) or "none"),
            *((one.role, f"{b64.encode(one.thumbprint)}  {one.note}".rstrip()) for one in found.keys),
            *(("recovery", _recovery_words(one)) for one in found.recoveries),
        ]
    )


@command.command()
@click.argument("ident", metavar="ID")
@tenant_option
@json_option
@database_options
def keys(ident: str, tenant: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """List every key that an owner has or had, by its thumbprint (RFC 7638)."""

    async def read(conn: Connection, _database: Database) -> list[Key]:
        whose = await tenants.the_tenant(conn, tenant)
        return await work.keys(conn, whose.id, work.read_id(ident))

    found = run(dsn, state, read)
    if as_json:
        print_json([_key_json(one) for one in found])
        return
    print_table(
        ("KEY", "ROLE", "SINCE", "REVOKED", "NOTE"),
        [(b64.encode(one.thumbprint), one.role, when(one.since), when(one.revoked_at), one.note) for one in found],
        "The owner has no keys.",
    )


@command.command()
@click.argument("ident", metavar="ID")
@click.option(
    "--key", "key", type=click.File("rb"), metavar="FILE", help="The owner's new public key, as a JWK: begin with it."
)
@click.option("--confirm", is_flag=True, help="Speak for it as the second operator, after an objection.")
@click.option("--drop", is_flag=True, help="End it, or a dispute: the keys stay as they are.")
@click.option("--reason", required=True, metavar="TEXT", help="Why, in one line that the owner reads.")
@tenant_option
@json_option
@database_options
def recover(
    ident: str, key: Any, confirm: bool, drop: bool, reason: str, tenant: str, as_json: bool, dsn: str | None,
    state: Path | None,
) -> None:  # fmt: skip
    """Give an owner who has lost every key a new one, after a time in which any key may object."""
    if (key is not None) + confirm + drop != 1:
        raise Failure("Say one of --key FILE, --confirm and --drop.", 2)
    octets = b"" if key is None else key.read(work.MOST_KEY + 1)

    async def do(conn: Connection, _database: Database) -> Outcome:
        whose = await tenants.the_tenant(conn, tenant)
        owner, who, now = work.read_id(ident), principal(), int(time.time())
        if confirm:
            return await work.confirm(conn, whose.id, owner, reason, who, now)
        if drop:
            return await work.drop(conn, whose.id, owner, reason, who, now)
        return await work.recover(conn, whose.id, owner, work.read_key(octets), reason, who, now)

    done = run(dsn, state, do)
    if as_json:
        print_json({"event": done.event, "due": done.until})
    elif done.until is not None:
        click.echo(
            f"Begun. Every key of the owner is told; unless one objects, the new key takes the place of all others on "
            f"{when(done.until)}."
        )
    elif confirm:
        click.echo("Confirmed. The new key takes the place of all others when it is due.")
    else:
        click.echo("Ended. The owner's keys stay as they are.")


def _owner_json(one: Owner) -> dict[str, Any]:
    return {
        "owner": str(one.id), "state": one.state, "homes": one.homes, "keys": one.keys, "since": one.created_at,
    }  # fmt: skip


def _key_json(one: Key) -> dict[str, Any]:
    return {
        "key": b64.encode(one.thumbprint), "role": one.role, "note": one.note, "since": one.since,
        "revoked_at": one.revoked_at,
    }  # fmt: skip


def _recovery_json(one: Recovery) -> dict[str, Any]:
    return {
        "key": b64.encode(one.thumbprint), "way": one.way, "state": one.state, "due": one.due_at,
        "operators": [name for name in one.operators if name], "why": one.why or None,
    }  # fmt: skip


def _recovery_words(one: Recovery) -> str:
    by = {"recovery": "by the recovery key", "admin": "by an administrator", "registry": "by the registry"}[one.way]
    operators = [name for name in one.operators if name]
    said = f", {count(len(operators), 'operator')}: {', '.join(operators)}" if operators else ""
    why = f" ({one.why})" if one.why else ""
    return f"{one.state}, {by}{said}{why}, due {when(one.due_at)}, for {b64.encode(one.thumbprint)}"
