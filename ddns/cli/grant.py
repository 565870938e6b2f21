"""`ddns grant`: add, list, remove."""

from __future__ import annotations

from pathlib import Path

import click

from ddns.cli.shell import count, database_options, json_option, print_json, print_table, run, shown
from ddns.database import Database
from ddns.dns.spelling import type_to_text
from ddns.operator import grants, words
from ddns.store.grants import Listed
from ddns.store.pool import Connection

_NAME = click.option("--name", "subtree", metavar="SUBTREE", help="Only this name and those below it.")
_TYPES = click.option("--types", metavar="A,AAAA,...", help="Only these record types.")


@click.group()
def command() -> None:
    """Say which key may write what."""


def _types(text: str | None) -> frozenset[int] | None:
    return None if text is None else words.read_types(text.split(","))


def _type_text(types: frozenset[int] | None) -> str:
    return "all" if types is None else ",".join(type_to_text(rdtype) for rdtype in sorted(types))


@command.command()
@click.argument("key")
@click.argument("zone")
@_NAME
@_TYPES
@json_option
@database_options
def add(
    key: str, zone: str, subtree: str | None, types: str | None, as_json: bool, dsn: str | None, state: Path | None
) -> None:
    """Let KEY write in ZONE: everything, or only below a name, or only some types."""
    name, origin = words.read_name(key, "key name"), words.read_name(zone, "zone name")
    below = None if subtree is None else words.read_name(subtree, "granted name")
    wanted = _types(types)

    async def work(conn: Connection, _database: Database) -> bool:
        return await grants.add(conn, name, origin, below, wanted)

    new = run(dsn, state, work)
    if as_json:
        print_json(
            {
                "key": shown(name), "zone": shown(origin), "name": shown(below or origin), "new": new,
                "types": None if wanted is None else [type_to_text(rdtype) for rdtype in sorted(wanted)],
            }
        )  # fmt: skip
        return
    what = "all types" if wanted is None else _type_text(wanted)
    already = "" if new else " already"
    click.echo(f"{shown(name)} may{already} write at and below {shown(below or origin)} {what}.")


@command.command("list")
@click.argument("zone", required=False)
@json_option
@database_options
def list_(zone: str | None, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """List the grants, all or those on ZONE."""
    origin = None if zone is None else words.read_name(zone, "zone name")

    async def work(conn: Connection, _database: Database) -> list[Listed]:
        return await grants.listing(conn, origin)

    found = run(dsn, state, work)
    if as_json:
        print_json(
            [
                {
                    "key": shown(one.key), "zone": shown(one.origin), "name": shown(one.grant.subtree),
                    "types": None if one.grant.types is None
                    else [type_to_text(rdtype) for rdtype in sorted(one.grant.types)],
                }
                for one in found
            ]
        )  # fmt: skip
        return
    print_table(
        ("KEY", "ZONE", "AT AND BELOW", "TYPES"),
        [(shown(one.key), shown(one.origin), shown(one.grant.subtree), _type_text(one.grant.types)) for one in found],
        "There are no grants yet; add one with `ddns grant add KEY ZONE`.",
    )


@command.command()
@click.argument("key")
@click.argument("zone")
@_NAME
@_TYPES
@json_option
@database_options
def remove(
    key: str, zone: str, subtree: str | None, types: str | None, as_json: bool, dsn: str | None, state: Path | None
) -> None:
    """Take back what KEY may write in ZONE: all of it, or only the grants on a name or of these types."""
    name, origin = words.read_name(key, "key name"), words.read_name(zone, "zone name")
    below = None if subtree is None else words.read_name(subtree, "granted name")
    wanted = _types(types)

    async def work(conn: Connection, _database: Database) -> int:
        return await grants.remove(conn, name, origin, below, wanted)

    number = run(dsn, state, work)
    if as_json:
        print_json({"key": shown(name), "zone": shown(origin), "removed": number})
    else:
        click.echo(f"Took back {count(number, 'grant')} on {shown(origin)} from the key {shown(name)}")
