"""`ddns delegation`: list, show, check, leave, return, continuity."""

from __future__ import annotations

import time
from pathlib import Path

import click

from ddns import settings
from ddns.cli import Failure
from ddns.cli.shell import (
    database_options,
    json_option,
    principal,
    print_facts,
    print_json,
    print_table,
    run,
    shown,
    when,
)
from ddns.database import Database
from ddns.delegate.limits import from_settings
from ddns.delegate.scanning import Checked, Scanner
from ddns.delegate.visits import scanner
from ddns.dns import ds as signer
from ddns.dns.codes import Type
from ddns.dns.text import rdata_to_text
from ddns.operator import delegation, homes, words
from ddns.operator.delegation import Seen
from ddns.store.delegation_checks import Check
from ddns.store.delegations import Delegation
from ddns.store.pool import Connection
from ddns.zone.child import Child, ServerSaid
from ddns.zone.hand import Continuity, State, Wish

KEY_TTL = 3600  # seconds, of DNSKEY records as they are shown

_CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="The service's settings, of which [watch] and [delegation] say how servers are asked.",
)
_CONTINUITY = click.Choice([str(one) for one in Continuity])


@click.group()
def command() -> None:
    """Let homes leave for servers of their own, look at them, and have them return."""


@command.command("list")
@json_option
@database_options
def list_(as_json: bool, dsn: str | None, state: Path | None) -> None:
    """List the homes that have servers of their own, or are on their way."""

    async def work(conn: Connection, _database: Database) -> list[Delegation]:
        return await delegation.listing(conn)

    found = run(dsn, state, work)
    if as_json:
        print_json([_row(one) for one in found])
        return
    print_table(
        ("HOME", "STANDS", "SINCE", "WISH", "WAITS FOR"),
        [(shown(one.origin), str(one.state), when(one.since or one.changed), str(one.wish), _waits(one))
         for one in found],
        "All homes are served here.",
    )  # fmt: skip


@command.command()
@click.argument("home")
@click.option("--checks", type=click.IntRange(0, 1000), default=delegation.SHOWN, show_default=True, help="Looks.")
@json_option
@database_options
def show(home: str, checks: int, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Show where HOME stands, what it waits for, who must act, and what its servers said when it mattered."""

    async def work(conn: Connection, _database: Database) -> Seen:
        return await delegation.show(conn, await delegation.find(conn, await _name(conn, home)), checks)

    _print_seen(run(dsn, state, work), as_json)


@command.command()
@click.argument("home")
@click.option("--ns", "servers", metavar="HOST", multiple=True, help="A server to try, instead of those it has.")
@click.option("--glue", metavar="HOST=ADDRESS", multiple=True, help="Where a server below the home is.")
@click.option("--ds", "ds_texts", metavar="'TAG ALG 2 HEX'", multiple=True, help="A DS that its parent is to publish.")
@_CONFIG
@json_option
@database_options
def check(
    home: str,
    servers: tuple[str, ...],
    glue: tuple[str, ...],
    ds_texts: tuple[str, ...],
    config: Path | None,
    as_json: bool,
    dsn: str | None,
    state: Path | None,
) -> int:
    """Ask the servers of HOME whether they are as they ought to be; change nothing. End with 1 where they are not."""
    child = delegation.read_servers(servers, glue) if servers else None
    ds = delegation.read_ds(ds_texts)
    asking = _scanner(config)

    async def work(conn: Connection, _database: Database) -> tuple[bytes, Checked]:
        found = await delegation.find(conn, await _name(conn, home))
        wanted = Child(child.servers, child.glue, ds) if child is not None else found.found and found.found.their
        if not wanted or not wanted.servers:
            raise Failure(f"{shown(found.origin)} has no servers of its own; say with --ns and --glue which to ask")
        return found.origin, await delegation.check(asking, found, wanted, insecure=not wanted.ds)

    origin, checked = run(dsn, state, work)
    return _print_checked(origin, checked, as_json, "Its servers are as they ought to be.")


@command.command()
@click.argument("home")
@click.option("--ns", "servers", metavar="HOST", multiple=True, required=True, help="A server of its own.")
@click.option("--glue", metavar="HOST=ADDRESS", multiple=True, help="Where a server below the home is.")
@click.option("--ds", "ds_texts", metavar="'TAG ALG 2 HEX'", multiple=True, help="The DS of a key that signs it there.")
@click.option(
    "--ds-from-servers",
    is_flag=True,
    help="Take the DS of the keys that its servers show: believe them, and the way to them, this once.",
)
@click.option("--insecure", is_flag=True, help="It is not signed there, and is to have no DS.")
@click.option("--continuity", type=_CONTINUITY, help="What is to happen while its servers are gone. [copy]")
@_CONFIG
@json_option
@database_options
def leave(
    home: str,
    servers: tuple[str, ...],
    glue: tuple[str, ...],
    ds_texts: tuple[str, ...],
    ds_from_servers: bool,
    insecure: bool,
    continuity: str | None,
    config: Path | None,
    as_json: bool,
    dsn: str | None,
    state: Path | None,
) -> int:
    """Have HOME leave for servers of its own, or change these where it has left. They are asked first.

    The service does it step by step while it runs, each when caches and servers have seen the one before.
    """
    if bool(ds_texts) + ds_from_servers + insecure != 1:
        raise click.UsageError("say how it is signed there: --ds for each key, --ds-from-servers, or --insecure")
    child = delegation.read_servers(servers, glue)
    ds = delegation.read_ds(ds_texts)
    asking = _scanner(config)
    chosen = None if continuity is None else Continuity(continuity)

    async def work(conn: Connection, _database: Database) -> tuple[bytes, Checked]:
        found = await delegation.find(conn, await _name(conn, home))
        named = ds
        if ds_from_servers:
            named = await delegation.ds_of(asking, found, child, await delegation.own_keys(conn, found))
        wanted = Child(child.servers, child.glue, named)
        return found.origin, await delegation.leave(
            conn, asking, found, wanted, chosen, principal(), int(time.time()), insecure=insecure
        )

    origin, checked = run(dsn, state, work)
    said = f"It leaves. `ddns delegation show {shown(origin)}` says where it stands, and what to do next."
    return _print_checked(origin, checked, as_json, said)


@command.command("return")
@click.argument("home")
@json_option
@database_options
def return_(home: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Have HOME return, from wherever it stands on its way. Its servers must help, or be silent for long enough."""

    async def work(conn: Connection, _database: Database) -> tuple[bytes, bool]:
        found = await delegation.find(conn, await _name(conn, home))
        return found.origin, await delegation.come_home(conn, found, principal(), int(time.time()))

    origin, changed = run(dsn, state, work)
    if as_json:
        print_json({"home": shown(origin), "wish": "host", "changed": changed})
    elif changed:
        click.echo(f"{shown(origin)} returns. `ddns delegation show {shown(origin)}` says what to do next.")
    else:
        click.echo(f"{shown(origin)} is served here, or returns already.")


@command.command()
@click.argument("home")
@click.argument("how", type=_CONTINUITY)
@json_option
@database_options
def continuity(home: str, how: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Say HOW the registry stands in while the servers of HOME are gone: copy, standby or none."""

    async def work(conn: Connection, _database: Database) -> bytes:
        found = await delegation.find(conn, await _name(conn, home))
        async with conn.transaction():
            await delegation.set_continuity(conn, found, Continuity(how), int(time.time()))
        return found.origin

    origin = run(dsn, state, work)
    if as_json:
        print_json({"home": shown(origin), "continuity": how})
    else:
        click.echo(f"{shown(origin)}: {_CONTINUITIES[Continuity(how)]}")


_CONTINUITIES = {
    Continuity.COPY: "while its servers are gone, the last copy of what they signed is served here.",
    Continuity.STANDBY: "while its servers are gone, it is served and signed here; they must always show our keys too.",
    Continuity.NONE: "while its servers are gone, it is gone.",
}


async def _name(conn: Connection, text: str) -> bytes:
    """Return the full name of a home that a person named by its label or in full."""
    if "." in text.rstrip("."):
        return words.read_name(text, "home")
    return (await homes.find_registry(conn, text, None))[1]


def _scanner(config: Path | None) -> Scanner:
    return scanner(from_settings(settings.load(config)), time.time)


def _waits(one: Delegation) -> str:
    if one.waits and one.until is not None:
        return f"{one.waits}, until {when(one.until)}"
    return one.waits


def _row(one: Delegation) -> dict[str, object]:
    """Return where a home stands, for programs; the names are stable."""
    return {
        "home": shown(one.origin),
        "state": str(one.state),
        "since": one.since or None,
        "wish": str(one.wish),
        "continuity": str(one.continuity),
        "servers": [shown(server) for server in one.their.servers],
        "ds": [rdata_to_text(Type.DS, ds) for ds in one.their.ds],
        "waits": one.waits,
        "until": one.until,
        "tell": one.tell,
    }


def _print_seen(seen: Seen, as_json: bool) -> None:
    home, found = seen.home, seen.home.found
    keys = [f"{shown(home.origin)} {KEY_TTL} IN DNSKEY {rdata_to_text(Type.DNSKEY, key)}" for key in seen.keys]
    if as_json:
        stands: dict[str, object] = {
            "home": shown(home.origin), "state": "hosted", "since": None, "wish": "host", "continuity": None,
            "servers": [], "ds": [], "waits": "", "until": None, "tell": "",
        }  # fmt: skip
        if found is not None:
            stands = _row(found)
        print_json(stands | {"who": seen.who, "keys": keys, "checks": [_check_row(one) for one in seen.checks]})
        return
    if found is None:
        print_facts([("Home", shown(home.origin)), ("Stands", "hosted: it never wished to leave")])
        return
    copy = found.taken
    print_facts(
        [
            ("Home", shown(home.origin)),
            ("Stands", f"{found.state}, since {when(found.since)}" if found.since else str(found.state)),
            ("Wish", _WISHES[found.wish]),
            *[("Server", _server_text(found.their, server)) for server in found.their.servers],
            *[("DS", rdata_to_text(Type.DS, one)) for one in found.their.ds],
            ("Continuity", str(found.continuity)),
            ("Copy", "" if copy is None else f"serial {copy.copy.serial}, taken {when(copy.at)}"),
            ("Waits for", _waits(found)),
            ("To do", found.tell),
            ("Who", seen.who),
            *([("Our key", key) for key in keys] if found.state is not State.HOSTED or found.wish is Wish.AWAY else []),
        ]
    )
    for one in seen.checks:
        click.echo(f"\n{when(one.at)}  {one.by}: {one.sentence or 'as it ought to be.'}")
        for said in one.said:
            click.echo(f"  {said.who}: {delegation.said_in_words(said, home.origin)}")


_WISHES = {Wish.AWAY: "to have servers of its own", Wish.HOST: "to be served here"}


def _server_text(child: Child, server: bytes) -> str:
    addresses = [rdata_to_text(one.type, rdata) for one in child.glue if one.name == server for rdata in one.rdatas]
    return " ".join((shown(server), *addresses))


def _check_row(one: Check) -> dict[str, object]:
    return {
        "at": one.at,
        "by": one.by,
        "rule": one.rule,
        "sentence": one.sentence,
        "said": [_said_row(said) for said in one.said],
    }


def _said_row(one: ServerSaid) -> dict[str, object]:
    return {
        "server": shown(one.server),
        "address": one.address,
        "asked": one.asked,
        "serial": one.serial,
        "servers": sorted(shown(server) for server in one.servers),
        "keys": [signer.tag(key) for key in sorted(one.keys)],
        "problem": one.problem,
    }


def _print_checked(origin: bytes, checked: Checked, as_json: bool, good: str) -> int:
    fault = checked.fault
    if as_json:
        print_json(
            {
                "home": shown(origin),
                "accepted": fault is None,
                "rule": None if fault is None else fault.rule,
                "sentence": "" if fault is None else fault.sentence,
                "said": [_said_row(one) for one in checked.said],
            }
        )
        return int(fault is not None)
    for one in checked.said:
        click.echo(f"{one.who}: {delegation.said_in_words(one, origin)}")
    if fault is not None:
        raise Failure(fault.sentence)
    click.echo(good)
    return 0
