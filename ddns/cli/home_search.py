"""`ddns home search`: a page of homes, by the beginning of their names, state, owner, box or age."""

from __future__ import annotations

import time
from pathlib import Path

import click

from ddns.cli.shell import database_options, json_option, print_json, print_table, run, say, shown, tenant_option, when
from ddns.database import Database
from ddns.operator import search
from ddns.operator.search import STATES, Page
from ddns.operator.tenants import the_tenant
from ddns.operator.words import read_name
from ddns.operator.zones import the_zone
from ddns.store.home_search import MOST, Found, Wanted
from ddns.store.pool import Connection

_DAY = 86400


@click.command("search")
@click.argument("text", default="")
@click.option("--is", "held", metavar="STATE", default="", help=f"{', '.join(STATES)}.")
@click.option("--owner", metavar="ID", default="", help="Homes of this owner.")
@click.option("--device", metavar="SHA256", default="", help="The home of the box with this digest.")
@click.option("--days", type=click.IntRange(1, 3650), help="Homes made in so many days.")
@click.option("--zone", metavar="NAME", help="Homes in this zone of the registry.")
@click.option("--limit", type=click.IntRange(1, MOST), default=100, show_default=True, help="Homes of a page.")
@click.option("--after", default="", metavar="PLACE", help="Where the page before ended.")
@tenant_option
@json_option
@database_options
def command(
    text: str,
    held: str,
    owner: str,
    device: str,
    days: int | None,
    zone: str | None,
    limit: int,
    after: str,
    tenant: str,
    as_json: bool,
    dsn: str | None,
    state: Path | None,
) -> None:
    """List the homes whose labels begin with TEXT, in whatever letters, a page at a time."""
    begins, in_state = search.read_text(text), search.read_state(held)
    who, box = search.read_owner(owner), search.read_digest(device)
    since = None if days is None else int(time.time()) - days * _DAY

    async def work(conn: Connection, _database: Database) -> Page:
        number = (await the_tenant(conn, tenant)).id
        registry = None if zone is None else (await the_zone(conn, read_name(zone, "zone"))).id
        return await search.page(conn, Wanted(number, begins, in_state, who, box, since, registry), after, limit)

    found = run(dsn, state, work)
    if as_json:
        print_json({"homes": [_json(one) for one in found.found], "after": found.after or None})
        return
    print_table(
        ("HOME", "AS READ", "STATE", "SINCE", "OWNER", "WHY"),
        [
            (
                shown(one.name),
                "" if one.shown.isascii() else one.shown,
                one.state,
                when(one.created_at),
                str(one.owner or ""),
                one.reason if one.state != "active" else "",
            )
            for one in found.found
        ],
        "No home is like that.",
    )
    if found.after:
        say(f"There are more: --after {found.after}")


def _json(one: Found) -> dict[str, object]:
    return {
        "home": shown(one.name), "unicode": one.shown, "state": one.state, "reason": one.reason or None,
        "kind": one.kind, "owner": str(one.owner) if one.owner else None,
        "device": str(one.device) if one.device else None, "since": one.created_at,
    }  # fmt: skip
