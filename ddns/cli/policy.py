"""`ddns policy`: show, set, reserve, and the groups kind and idn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ddns.auth.principal import ASSURANCES
from ddns.cli import Failure
from ddns.cli.shell import (
    database_options,
    json_option,
    print_facts,
    print_json,
    print_table,
    run,
    shown,
    tenant_option,
)
from ddns.database import Database
from ddns.homes.tables import TABLES, Table
from ddns.operator import home_policy, home_policy_words, words
from ddns.operator.home_policy import Kind, Shown
from ddns.operator.policy_words import read_settings
from ddns.operator.tenants import the_tenant
from ddns.store.home_policies import FIELDS
from ddns.store.pool import Connection
from ddns.store.tenancy import entered

_MOST_OCTETS = 64 * 1024  # of a table of letters

_Result = TypeVar("_Result")


@click.group()
def command() -> None:
    """Say what homes may be called, how they enrol, and what they may write."""


@command.group()
def kind() -> None:
    """Say which names in homes take only keys of which assurance."""


@command.group()
def idn() -> None:
    """Say which letters beyond ASCII labels may have: each lies in one table."""


def _run(
    dsn: str | None, state: Path | None, tenant: str, work: Callable[[Connection, int], Awaitable[_Result]]
) -> _Result:
    """Do *work* in one transaction of *tenant*."""

    async def inside(conn: Connection, _database: Database) -> _Result:
        number = (await the_tenant(conn, tenant)).id
        async with conn.transaction():
            await entered(conn, number)
            return await work(conn, number)

    return run(dsn, state, inside)


@command.command()
@click.argument("zone")
@tenant_option
@json_option
@database_options
def show(zone: str, tenant: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Show what homes in the registry's ZONE are asked for."""
    origin = words.read_name(zone, "zone")

    async def work(conn: Connection, number: int) -> Shown:
        return await home_policy.show(conn, number, origin)

    found = _run(dsn, state, tenant, work)
    if as_json:
        policy = {key: getattr(found.policy, key) for key in FIELDS}
        print_json(
            {"zone": shown(origin), "tenant": tenant}
            | {key: list(value) if isinstance(value, tuple) else value for key, value in policy.items()}
            | {
                "types": list(found.types), "addresses": list(found.addresses),
                "kinds": [_kind(one) for one in found.kinds],
            }
        )  # fmt: skip
        return
    print_facts(
        [
            ("zone", shown(origin)),
            ("tenant", tenant),
            *[(key, home_policy_words.shown(found.policy, key)) for key in FIELDS],
            ("types", ",".join(found.types) or "default"),
            ("addresses", ",".join(found.addresses) or "default"),
            *[("kind", f"{one.name}: {','.join(one.labels)} from {one.least} on") for one in found.kinds],
        ]
    )


@command.command("set")
@click.argument("zone")
@click.argument("settings", metavar="KEY=VALUE...", nargs=-1, required=True)
@tenant_option
@json_option
@database_options
def set_(zone: str, settings: tuple[str, ...], tenant: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Change what homes in the registry's ZONE are asked for: `least=qr`, `idn=latin,greek`, `types=MX,A(4)`.

    types are the record types that homes may not write, with a number those that they may have no more of at a name.
    addresses are networks whose addresses they may not publish; `private` stands for those that others cannot reach.
    A value `default` is that of a new policy.
    """
    origin, wanted = words.read_name(zone, "zone"), read_settings(settings)

    async def work(conn: Connection, number: int) -> bool:
        return await home_policy.change(conn, number, origin, wanted)

    _say(_run(dsn, state, tenant, work), origin, tenant, as_json)


def _say(changed: bool, origin: bytes, tenant: str, as_json: bool) -> None:
    if as_json:
        print_json({"zone": shown(origin), "tenant": tenant, "changed": changed})
    else:
        click.echo(f"The policy of {shown(origin)} is {'changed' if changed else 'so already'}.")


@command.command()
@click.argument("zone")
@click.argument("labels", metavar="LABEL...", nargs=-1, required=True)
@click.option("--free", is_flag=True, help="Give them free again.")
@tenant_option
@json_option
@database_options
def reserve(
    zone: str, labels: tuple[str, ...], free: bool, tenant: str, as_json: bool, dsn: str | None, state: Path | None
) -> None:
    """Keep labels back in the registry's ZONE; an asterisk stands for any characters: `bank*`."""
    origin = words.read_name(zone, "zone")

    async def work(conn: Connection, number: int) -> bool:
        return await home_policy.reserve(conn, number, origin, labels, free=free)

    _say(_run(dsn, state, tenant, work), origin, tenant, as_json)


# -- kinds of devices


def _kind(one: Kind) -> dict[str, Any]:
    return {"kind": one.name, "labels": list(one.labels), "least": one.least}


@kind.command("add")
@click.argument("name")
@click.argument("zone")
@click.option("--labels", required=True, metavar="LABEL,...", help="Its names in each home: lock,lock-*")
@click.option("--least", required=True, metavar="LEVEL", help=f"{', '.join(ASSURANCES)}, from the least on.")
@tenant_option
@json_option
@database_options
def add_kind(
    name: str,
    zone: str,
    labels: str,
    least: str,
    tenant: str,
    as_json: bool,
    dsn: str | None,
    state: Path | None,
) -> None:
    """Have names of the kind NAME, in every home of the registry's ZONE, take only keys of that assurance or more."""
    origin = words.read_name(zone, "zone")
    wanted = Kind(name, home_policy_words.read_list("labels", labels), least)

    async def work(conn: Connection, number: int) -> bool:
        return await home_policy.put_kind(conn, number, origin, wanted)

    changed = _run(dsn, state, tenant, work)
    if as_json:
        print_json(_kind(wanted) | {"zone": shown(origin), "tenant": tenant, "changed": changed})
        return
    already = "" if changed else " already"
    click.echo(f"In homes of {shown(origin)} {','.join(wanted.labels)} takes{already} keys from {least} on.")


@kind.command("list")
@click.argument("zone")
@tenant_option
@json_option
@database_options
def list_kinds(zone: str, tenant: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """List the kinds of devices in homes of the registry's ZONE."""
    origin = words.read_name(zone, "zone")

    async def work(conn: Connection, number: int) -> Shown:
        return await home_policy.show(conn, number, origin)

    found = _run(dsn, state, tenant, work).kinds
    if as_json:
        print_json([_kind(one) for one in found])
        return
    print_table(
        ("KIND", "LABELS", "FROM"),
        [(one.name, ",".join(one.labels), one.least) for one in found],
        "There are no kinds of devices; add one with `ddns policy kind add`.",
    )


@kind.command("remove")
@click.argument("name")
@click.argument("zone")
@tenant_option
@json_option
@database_options
def remove_kind(name: str, zone: str, tenant: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Forget the kind NAME: its names are written as any others."""
    origin = words.read_name(zone, "zone")

    async def work(conn: Connection, number: int) -> None:
        await home_policy.remove_kind(conn, number, origin, name)

    _run(dsn, state, tenant, work)
    if as_json:
        print_json({"kind": name, "zone": shown(origin), "tenant": tenant, "removed": True})
    else:
        click.echo(f"{name} is no kind of device in homes of {shown(origin)} any more.")


# -- letters


@idn.command("add")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
@tenant_option
@json_option
@database_options
def add_idn(name: str, file: Path, tenant: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Make the table NAME of the letters in FILE: U+00E0..U+00F6, U+00DF or a letter itself, one a line."""
    spans = home_policy.read_spans(_lines(file))

    async def work(conn: Connection, number: int) -> None:
        await home_policy.put_letters(conn, number, name, spans)

    _run(dsn, state, tenant, work)
    letters = sum(last - first + 1 for first, last in spans)
    if as_json:
        print_json({"table": name, "tenant": tenant, "letters": letters})
    else:
        click.echo(f"The table {name} has {letters} letters; let labels have them with ddns policy set ZONE idn={name}")


def _lines(file: Path) -> list[str]:
    with file.open("rb") as stream:
        octets = stream.read(_MOST_OCTETS + 1)
    try:
        if len(octets) <= _MOST_OCTETS:
            return octets.decode().splitlines()
    except UnicodeDecodeError:
        pass
    raise Failure(f"{file} is no table of letters in UTF-8 of at most {_MOST_OCTETS} octets; check the path")


@idn.command("list")
@tenant_option
@json_option
@database_options
def list_idn(tenant: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """List the tables of letters."""

    async def work(conn: Connection, number: int) -> dict[str, Table]:
        return await home_policy.letters(conn, number)

    found = _run(dsn, state, tenant, work)
    if as_json:
        print_json([{"table": name, "spans": [_span(one) for one in table.spans]} for name, table in found.items()])
        return
    print_table(
        ("TABLE", "LETTERS", "FROM"),
        [
            (name, str(sum(last - first + 1 for first, last in table.spans)), "us" if name in TABLES else tenant)
            for name, table in found.items()
        ],
        "There are no tables.",
    )


def _span(span: tuple[int, int]) -> str:
    return "..".join(f"U+{point:04X}" for point in dict.fromkeys(span))


@idn.command("remove")
@click.argument("name")
@tenant_option
@json_option
@database_options
def remove_idn(name: str, tenant: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Remove the table NAME, which no policy may take letters from then."""

    async def work(conn: Connection, number: int) -> None:
        await home_policy.remove_letters(conn, number, name)

    _run(dsn, state, tenant, work)
    if as_json:
        print_json({"table": name, "tenant": tenant, "removed": True})
    else:
        click.echo(f"The table {name} is removed.")
