"""`ddns transfer`: allow, notify, list, remove."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ddns.cli.shell import count, database_options, json_option, print_json, print_table, run, shown, when
from ddns.database import Database
from ddns.dns.codes import Rcode
from ddns.dns.names import Name
from ddns.operator import transfers, words
from ddns.operator.transfers import Listing
from ddns.settings import address_text
from ddns.store.pool import Connection
from ddns.store.transfers import Network, Notified, Right

_HOMES = click.option("--homes", is_flag=True, help="For the homes that ZONE delegates, not for ZONE itself.")


@click.group()
def command() -> None:
    """Say which secondaries may have which zone, and see how far they are."""


def _key_option(words_of_help: str) -> Callable[[Any], Any]:
    return click.option("--key", metavar="NAME", help=words_of_help)


def _key(text: str | None) -> Name | None:
    return None if text is None else words.read_name(text, "key name")


def _prefix(text: str | None) -> Network | None:
    return None if text is None else transfers.read_prefix(text)


def _of(origin: Name, homes: bool) -> str:
    return f"the homes of {shown(origin)}" if homes else shown(origin)


@command.command()
@click.argument("zone")
@_key_option("Whoever signs with this shared secret (TSIG).")
@click.option("--address", metavar="PREFIX", help="Whoever asks from this address or prefix.")
@_HOMES
@json_option
@database_options
def allow(
    zone: str, key: str | None, address: str | None, homes: bool, as_json: bool, dsn: str | None, state: Path | None
) -> None:
    """Let a secondary transfer ZONE, known by its key or by its address; without a rule nobody may."""
    if (key is None) is (address is None):
        raise click.UsageError("Give either --key or --address; each is a rule of its own.")
    origin, name, prefix = words.read_name(zone, "zone name"), _key(key), _prefix(address)

    async def work(conn: Connection, _database: Database) -> bool:
        return await transfers.allow(conn, origin, homes=homes, key=name, prefix=prefix)

    new = run(dsn, state, work)
    who = f"whoever signs with {shown(name)}" if name is not None else f"whoever asks from {prefix}"
    if as_json:
        print_json(
            {
                "zone": shown(origin), "homes": homes, "new": new, "key": None if name is None else shown(name),
                "address": None if prefix is None else str(prefix),
            }
        )  # fmt: skip
    else:
        click.echo(f"{_of(origin, homes)} may{'' if new else ' already'} be transferred by {who}.")


@command.command()
@click.argument("zone")
@click.argument("where", metavar="ADDR:PORT")
@_key_option("Sign what it is sent with this shared secret (TSIG).")
@_HOMES
@json_option
@database_options
def notify(
    zone: str, where: str, key: str | None, homes: bool, as_json: bool, dsn: str | None, state: Path | None
) -> None:
    """Tell the secondary at ADDR:PORT of every change of ZONE; that alone does not let it have the zone."""
    origin, place = words.read_name(zone, "zone name"), transfers.read_place(where, _key(key))

    async def work(conn: Connection, _database: Database) -> bool:
        return await transfers.notify(conn, origin, place, homes=homes)

    new = run(dsn, state, work)
    if as_json:
        print_json(
            {
                "zone": shown(origin), "homes": homes, "notify": place.text, "new": new,
                "key": None if place.key is None else shown(place.key),
            }
        )  # fmt: skip
    else:
        click.echo(
            f"{place.text} is{'' if new else ' already'} told when {_of(origin, homes)} change{'' if homes else 's'}."
        )


@command.command("list")
@click.argument("zone", required=False)
@json_option
@database_options
def list_(zone: str | None, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """List who may transfer what, who is told, and what each has: all, or that of ZONE and its homes."""
    origin = None if zone is None else words.read_name(zone, "zone name")

    async def work(conn: Connection, _database: Database) -> Listing:
        return await transfers.listing(conn, origin)

    found = run(dsn, state, work)
    if as_json:
        print_json(_json(found))
        return
    rules = [(shown(one.origin), "homes" if one.homes else "zone", f"may have it: {_who(one)}") for one in found.rights]
    rules += [
        (
            shown(one.origin),
            "homes" if one.homes else "zone",
            f"is told: {address_text((one.address, one.port))}{f', signed with {shown(one.key)}' if one.key else ''}",
        )
        for one in found.targets
    ]
    print_table(
        ("ZONE", "WHAT", "RULE"),
        sorted(rules),
        "There are no rules yet: nobody may transfer anything. Add one with `ddns transfer allow ZONE`.",
    )
    targets = {one.id: address_text((one.address, one.port)) for one in found.targets}
    states = [
        (shown(apex), str(serial), targets[one.target], str(one.serial), f"told, {_outcome(one)}", when(one.at))
        for one in found.notified
        for apex, serial in (found.origins[one.zone],)
    ]
    states += [
        (shown(apex), str(serial), one.source, str(one.serial), one.kind, when(one.at))
        for one in found.transferred
        for apex, serial in (found.origins[one.zone],)
    ]
    if states:
        click.echo()
        print_table(("ZONE", "SERIAL", "SECONDARY", "HAS", "BY", "AT"), sorted(states), "")


def _answer(rcode: int) -> str:
    return Rcode(rcode).name if rcode in set(Rcode) else f"RCODE{rcode}"


def _who(right: Right) -> str:
    return f"key {shown(right.key)}" if right.key is not None else str(right.address)


def _outcome(one: Notified) -> str:
    if one.rcode is None:
        return f"no answer to {count(one.tries, 'try', 'tries')}"
    return "answered" if one.rcode == 0 else f"answered {_answer(one.rcode)}"


def _json(found: Listing) -> dict[str, Any]:
    """Return what there is, for programs."""
    targets = {one.id: one for one in found.targets}
    return {
        "allowed": [
            {
                "zone": shown(one.origin), "homes": one.homes, "key": None if one.key is None else shown(one.key),
                "address": None if one.address is None else str(one.address),
            }
            for one in found.rights
        ],
        "notify": [
            {
                "zone": shown(one.origin), "homes": one.homes, "to": address_text((one.address, one.port)),
                "key": None if one.key is None else shown(one.key),
            }
            for one in found.targets
        ],
        "notified": [
            {
                "zone": shown(found.origins[one.zone][0]), "zone_serial": found.origins[one.zone][1],
                "to": address_text((targets[one.target].address, targets[one.target].port)), "serial": one.serial,
                "answer": None if one.rcode is None else _answer(one.rcode), "tries": one.tries, "at": one.at,
            }
            for one in found.notified
        ],
        "transferred": [
            {
                "zone": shown(found.origins[one.zone][0]), "zone_serial": found.origins[one.zone][1],
                "by": one.source, "key": None if one.key is None else shown(one.key), "kind": one.kind,
                "serial": one.serial, "at": one.at,
            }
            for one in found.transferred
        ],
    }  # fmt: skip


@command.command()
@click.argument("zone")
@_key_option("Only the rule for this key.")
@click.option("--address", metavar="PREFIX", help="Only the rule for this address or prefix.")
@click.option("--notify", "where", metavar="ADDR:PORT", help="Only that this secondary is told of changes.")
@_HOMES
@json_option
@database_options
def remove(
    zone: str,
    key: str | None,
    address: str | None,
    where: str | None,
    homes: bool,
    as_json: bool,
    dsn: str | None,
    state: Path | None,
) -> None:
    """Take back rules on ZONE: those given, or all of them."""
    origin, name, prefix = words.read_name(zone, "zone name"), _key(key), _prefix(address)
    place = None if where is None else transfers.read_place(where)

    async def work(conn: Connection, _database: Database) -> int:
        return await transfers.remove(conn, origin, homes=homes, key=name, prefix=prefix, place=place)

    number = run(dsn, state, work)
    if as_json:
        print_json({"zone": shown(origin), "homes": homes, "removed": number})
    else:
        click.echo(f"On {_of(origin, homes)} {count(number, 'rule')} taken back.")
