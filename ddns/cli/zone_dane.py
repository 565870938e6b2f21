"""`ddns zone dane`: what a zone demands of its TLSA records, and which of them are on their way."""

from __future__ import annotations

from pathlib import Path

import click

from ddns.cli.shell import database_options, json_option, print_json, print_table, run, shown, when
from ddns.database import Database
from ddns.dns.codes import Type
from ddns.dns.text import rdata_to_text
from ddns.operator import dane, words
from ddns.operator.dane import Rolling
from ddns.store.pool import Connection
from ddns.zone.dane import USAGES, Rule, safe_at


@click.command("dane")
@click.argument("name")
@click.option("--strict/--plain", "strict", default=None, help="Guard every update, or those alone that ask for it.")
@click.option("--usage", "usages", type=click.IntRange(0, 3), multiple=True, help="Take this usage, and no other.")
@click.option("--default", "default", is_flag=True, help="Demand what [dane] in the settings says.")
@json_option
@database_options
def command(
    name: str,
    strict: bool | None,
    usages: tuple[int, ...],
    default: bool,
    as_json: bool,
    dsn: str | None,
    state: Path | None,
) -> None:
    """Show what the zone NAME demands of its TLSA records and which are on their way, or change what it demands."""
    if default and (usages or strict is not None):
        raise click.UsageError("--default takes back what the zone demands; give no other option with it")
    origin = words.read_name(name, "zone name")

    async def work(conn: Connection, _database: Database) -> tuple[Rule | None, list[Rolling]]:
        async with conn.transaction():
            rule, _ = await dane.show(conn, origin)
            if default:
                await dane.demand(conn, origin, None)
            elif usages or strict is not None:
                before = rule or Rule()
                kept = frozenset(usages) or before.usages
                await dane.demand(conn, origin, Rule(before.strict if strict is None else strict, kept))
            return await dane.show(conn, origin)

    rule, rolling = run(dsn, state, work)
    if as_json:
        demands = None if rule is None else {"strict": rule.strict, "usages": sorted(rule.usages, reverse=True)}
        print_json({"zone": shown(origin), "demands": demands, "rolling": [_row(one) for one in rolling]})
        return
    click.echo(f"{shown(origin)}  {_words(rule)}")
    print_table(
        ("owner", "record", "phase", "since", "safe from", "waits for"),
        [[str(value or "") for value in _row(one).values()] for one in rolling],
        "No TLSA record of it is on its way: clients know all that stand there.",
    )


def _words(rule: Rule | None) -> str:
    if rule is None:
        return "demands what [dane] in the settings says."
    usages = " and ".join(f"{one} ({USAGES[one]})" for one in sorted(rule.usages, reverse=True))
    return f"{'guards every update' if rule.strict else 'guards updates that ask for it'}, takes usage {usages}."


def _row(one: Rolling) -> dict[str, object]:
    """Return what is told of one record; the names are stable."""
    safe = safe_at(one.pin)
    return {
        "owner": shown(one.owner),
        "record": rdata_to_text(Type.TLSA, one.pin.rdata) if one.pin.rdata else "what caches hold of before",
        "phase": str(one.pin.phase),
        "since": when(one.pin.since),
        "safe_from": None if safe is None else when(safe),
        "waits": "; ".join(one.waits),
    }
