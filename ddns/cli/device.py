"""`ddns device`: say which boxes are expected, list them, forget one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from ddns.cli import DONE, FAILED
from ddns.cli.shell import (
    count,
    database_options,
    json_option,
    print_json,
    print_table,
    run,
    say,
    tenant_option,
    when,
)
from ddns.database import Database, secrets_key
from ddns.operator import expected as work
from ddns.operator.expected import Box, Report
from ddns.operator.tenants import the_tenant
from ddns.store import expected
from ddns.store.expected import Expected
from ddns.store.pool import Connection
from ddns.store.tenancy import entered

_SHOWN = 50  # refused lines that are printed


@click.group()
def command() -> None:
    """Say which boxes are expected. It gives them no right; a policy with expected_only takes no others."""


@command.command()
@click.argument("file", metavar="FILE.csv", type=click.File("rb"))
@tenant_option
@json_option
@database_options
def expect(file: Any, tenant: str, as_json: bool, dsn: str | None, state: Path | None) -> int:
    """Expect the boxes in FILE, whose first line names its columns: serial or ueid, vendor, label, owner, note.

    The same file again changes nothing; `-` reads what comes in.
    """
    boxes = work.read(file)

    async def run_it(conn: Connection, database: Database) -> Report:
        async with conn.transaction():
            whose = await the_tenant(conn, tenant)
            await entered(conn, whose.id)
            return await work.expect(conn, whose.id, secrets_key(database.state), boxes, int(time.time()))

    done = run(dsn, state, run_it)
    if as_json:
        refused = [{"line": one.line, "reason": one.reason} for one in done.refused]
        print_json({"added": done.added, "changed": done.changed, "kept": done.kept, "refused": refused})
        return FAILED if done.refused else DONE
    for one in done.refused[:_SHOWN]:
        say(f"line {one.line}: {one.reason}")
    if len(done.refused) > _SHOWN:
        say(f"and {len(done.refused) - _SHOWN} lines more; --json has all")
    click.echo(
        f"{count(done.added, 'box', 'boxes')} added, {done.changed} changed, {done.kept} as they were, "
        f"{len(done.refused)} refused."
    )
    return FAILED if done.refused else DONE


@command.command("list")
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="How many at most.")
@tenant_option
@json_option
@database_options
def list_(limit: int, tenant: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """List the boxes that are expected. By what they are known is not kept; a note may say it."""

    async def run_it(conn: Connection, _database: Database) -> list[Expected]:
        whose = await the_tenant(conn, tenant)
        return await expected.page(conn, whose.id, b"", "", limit)

    found = run(dsn, state, run_it)
    if as_json:
        print_json(
            [
                {
                    "kind": one.kind, "vendor": one.vendor, "label": one.label,
                    "owner": None if one.owner is None else str(one.owner), "note": one.note,
                    "added_at": one.added_at, "came_at": one.came_at,
                }
                for one in found
            ]
        )  # fmt: skip
        return
    print_table(
        ("BY", "VENDOR", "LABEL", "OWNER", "NOTE", "ADDED", "CAME"),
        [
            (one.kind, one.vendor or "any", one.label, "" if one.owner is None else str(one.owner), one.note,
             when(one.added_at), "not yet" if one.came_at is None else when(one.came_at))
            for one in found
        ],
        "No box is expected; `ddns device expect FILE.csv` says which are.",
    )  # fmt: skip


@command.command()
@click.argument("serial")
@click.option("--ueid", is_flag=True, help="It is a UEID (RFC 9711) and no serial number.")
@click.option("--vendor", default="", metavar="NAME", help="Of this maker alone, as its bond calls it.  [all]")
@tenant_option
@database_options
def forget(serial: str, ueid: bool, vendor: str, tenant: str, dsn: str | None, state: Path | None) -> int:
    """Expect the box with the number SERIAL no more. A home that it is already stays."""
    box = Box(ueid=serial, vendor=vendor) if ueid else Box(serial=serial, vendor=vendor)

    async def run_it(conn: Connection, database: Database) -> bool:
        async with conn.transaction():
            whose = await the_tenant(conn, tenant)
            await entered(conn, whose.id)
            return await work.forget(conn, whose.id, secrets_key(database.state), box)

    if not run(dsn, state, run_it):
        say("no such box was expected; nothing is changed")
        return FAILED
    click.echo("It is expected no more.")
    return DONE
