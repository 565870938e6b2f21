"""`ddns tenant`: add, list, show, suspend, release, allow, quota."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from ddns.cli.shell import count, database_options, json_option, print_facts, print_json, print_table, run, shown, when
from ddns.database import Database
from ddns.operator import tenants, words
from ddns.operator.policy_words import read_settings
from ddns.store.pool import Connection
from ddns.store.tenants import SUSPENDED, Tenant


@click.group()
def command() -> None:
    """Say who runs homes here, in which zones, and how many."""


@command.command()
@click.argument("name")
@click.option("--host", metavar="NAME", default="", help="The server name by which its people and boxes come.")
@json_option
@database_options
def add(name: str, host: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Make the tenant NAME, such as an Internet provider or a reseller. Say with `allow` where it may have homes."""

    async def work(conn: Connection, _database: Database) -> Tenant:
        return await tenants.add(conn, name, host)

    made = run(dsn, state, work)
    if as_json:
        print_json(_json(made))
        return
    click.echo(f"{made.name} is a tenant now. Say where it may have homes: ddns tenant allow {made.name} ZONE")


@command.command("list")
@json_option
@database_options
def list_(as_json: bool, dsn: str | None, state: Path | None) -> None:
    """List the tenants; `registry` is the registry itself."""

    async def work(conn: Connection, _database: Database) -> list[Tenant]:
        return await tenants.listing(conn)

    found = run(dsn, state, work)
    if as_json:
        print_json([_json(one) for one in found])
        return
    print_table(
        ("TENANT", "STATE", "HOST", "HOMES", "INVITATIONS", "A DAY", "SINCE"),
        [
            (
                one.name,
                one.state,
                one.host,
                _bound(one.homes_most),
                _bound(one.invitations_most),
                _bound(one.enrolments_a_day),
                when(one.created_at),
            )
            for one in found
        ],
        "There are no tenants.",
    )


def _bound(most: int) -> str:
    return str(most) if most else "no bound"


def _told(threshold: int, what: str) -> str:
    return f"{count(threshold, what)} a week" if threshold else f"no number of {what}s"


def _json(one: Tenant) -> dict[str, Any]:
    return {
        "tenant": one.name, "state": one.state, "host": one.host or None, "homes_most": one.homes_most,
        "invitations_most": one.invitations_most, "enrolments_a_day": one.enrolments_a_day,
        "refusals_a_week": one.refusals_a_week, "complaints_a_week": one.complaints_a_week, "since": one.created_at,
    }  # fmt: skip


@command.command()
@click.argument("name")
@json_option
@database_options
def show(name: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Show the tenant NAME: where it may have homes, and how many there are."""

    async def work(conn: Connection, _database: Database) -> tenants.Shown:
        return await tenants.show(conn, name, int(time.time()))

    found = run(dsn, state, work)
    one, there = found.tenant, found.counts
    if as_json:
        print_json(
            _json(one)
            | {
                "homes": there.homes, "invitations": there.invitations, "enrolments": there.enrolments,
                "zones": {shown(zone): number for zone, number in found.zones},
            }
        )  # fmt: skip
        return
    state_text = "suspended, it gets no new homes" if one.state == SUSPENDED else one.state
    print_facts(
        [
            ("Tenant", one.name),
            ("State", state_text),
            ("Host", one.host),
            ("Homes", f"{there.homes}, {_bound(one.homes_most)}"),
            ("Invitations", f"{there.invitations} open, {_bound(one.invitations_most)}"),
            ("In the last day", f"{count(there.enrolments, 'new home')}, {_bound(one.enrolments_a_day)}"),
            ("Told of homes", f"{_told(one.refusals_a_week, 'refusal')}, {_told(one.complaints_a_week, 'complaint')}"),
            *[("Zone", f"{shown(zone)}, {count(number, 'home')}") for zone, number in found.zones],
            ("Since", when(one.created_at)),
        ]
    )


@command.command()
@click.argument("name")
@json_option
@database_options
def suspend(name: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Give the tenant NAME no new homes and invitations until it is released; the homes that it has go on."""
    _set_suspended(name, True, as_json, dsn, state)


@command.command()
@click.argument("name")
@json_option
@database_options
def release(name: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Let the suspended tenant NAME have new homes again."""
    _set_suspended(name, False, as_json, dsn, state)


def _set_suspended(name: str, suspended: bool, as_json: bool, dsn: str | None, state: Path | None) -> None:
    async def work(conn: Connection, _database: Database) -> bool:
        return await tenants.set_suspended(conn, name, suspended=suspended)

    changed = run(dsn, state, work)
    word = "suspended" if suspended else "active"
    if as_json:
        print_json({"tenant": name, "state": word, "changed": changed})
    else:
        click.echo(f"{name} is {word}{'' if changed else ' already'}.")


@command.command()
@click.argument("name")
@click.argument("zone")
@click.option("--not", "no_more", is_flag=True, help="Let it have no more new ones there; those that it has stay.")
@json_option
@database_options
def allow(name: str, zone: str, no_more: bool, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Let the tenant NAME have homes in the registry's ZONE, its own or one that it shares with others."""
    origin = words.read_name(zone, "zone")

    async def work(conn: Connection, _database: Database) -> bool:
        return await tenants.allow(conn, name, origin, allowed=not no_more)

    changed = run(dsn, state, work)
    if as_json:
        print_json({"tenant": name, "zone": shown(origin), "allowed": not no_more, "changed": changed})
        return
    may = "may have no new homes in" if no_more else "may have homes in"
    click.echo(f"{name} {may} {shown(origin)}{'' if changed else ' already'}.")


@command.command()
@click.argument("name")
@click.argument("bounds", metavar="KEY=VALUE...", nargs=-1, required=True)
@json_option
@database_options
def quota(name: str, bounds: tuple[str, ...], as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Bound what the tenant NAME may have: homes=N, invitations=N, enrolments-a-day=N; 0: no bound. Also host=NAME.

    refusals-a-week=N and complaints-a-week=N bound nothing: operators are told of a home with so many; 0: they are not.
    """
    wanted = {key.replace("_", "-"): value for key, value in read_settings(bounds).items()}
    host = wanted.pop("host", None)
    numbers = {key: _number(key, value) for key, value in wanted.items()}

    async def work(conn: Connection, _database: Database) -> Tenant:
        return await tenants.set_bounds(conn, name, numbers, host)

    changed = run(dsn, state, work)
    if as_json:
        print_json(_json(changed))
        return
    click.echo(
        f"{name}: homes {_bound(changed.homes_most)}, open invitations {_bound(changed.invitations_most)}, "
        f"new homes a day {_bound(changed.enrolments_a_day)}; told of homes with "
        f"{_told(changed.refusals_a_week, 'refusal')}, {_told(changed.complaints_a_week, 'complaint')}."
    )


def _number(key: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 10:
        raise click.UsageError(f"{key}={text}: write a number, 0 for no bound")
    return int(text)
