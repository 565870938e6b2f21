"""`ddns verifier`: say whose appraisal of hardware counts, by which rules; list, try and withdraw."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from ddns.cli.shell import (
    database_options,
    json_option,
    principal,
    print_json,
    print_table,
    run,
    tenant_option,
)
from ddns.database import Database
from ddns.operator import tenants as tenant_words
from ddns.operator import verifiers as work
from ddns.operator.acting import acting_for
from ddns.operator.vendors import scope
from ddns.store import verifiers
from ddns.store.pool import Connection
from ddns.store.verifiers import Verifier

_DAY = 86_400
_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def command() -> None:
    """Say whose word about a box's hardware counts, and what it has to say."""


@command.command()
@click.argument("name")
@click.option("--rules", type=_file, required=True, metavar="JSON", help="What tokens have to say, and what it gives.")
@click.option("--keys", type=_file, metavar="JWKS", help="The keys that sign its tokens.")
@click.option("--anchors", type=_file, metavar="PEM", help="Or what issues the certificates of those keys.")
@click.option("--days", type=click.IntRange(1, work.MOST_DAYS), default=work.DAYS, show_default=True,
              help="How long a box may rest on what was said of it.")  # fmt: skip
@tenant_option
@database_options
def add(
    name: str, rules: Path, keys: Path | None, anchors: Path | None, days: int, tenant: str, dsn: str | None,
    state: Path | None,
) -> None:  # fmt: skip
    """Have the word of the verifier NAME count. The registry's own count for all tenants."""
    files = [b"" if one is None else one.read_bytes() for one in (rules, keys, anchors)]

    async def run_it(conn: Connection, _database: Database) -> Verifier:
        async with acting_for(conn, tenant) as whose:
            return await work.add(
                conn, scope(whose.id), name, files[0], principal(), int(time.time()),
                keys=files[1], anchors=files[2],
                seconds=days * _DAY,
            )  # fmt: skip

    made = run(dsn, state, run_it)
    click.echo(f"The word of the verifier {made.name} counts. `ddns verifier test {made.name} FILE` tries evidence.")


@command.command("list")
@tenant_option
@json_option
@database_options
def show_all(tenant: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """List the verifiers, with their rules."""

    async def run_it(conn: Connection, _database: Database) -> list[Verifier]:
        whose = await tenant_words.the_tenant(conn, tenant)
        return await verifiers.listing(conn, whose.id)

    found = run(dsn, state, run_it)
    if as_json:
        print_json(
            [
                {
                    "name": one.name, "shared": one.tenant is None, "keys": list(work.thumbprints(one)),
                    "anchors": len(one.anchors), "rules": json.loads(one.rules), "days": one.valid // _DAY,
                    "withdrawn_at": one.withdrawn_at, "why": one.why,
                }
                for one in found
            ]
        )  # fmt: skip
        return
    print_table(
        ("VERIFIER", "KEYS", "ANCHORS", "GIVES", "DAYS", "STATE"),
        [
            (one.name, str(len(one.keys)), str(len(one.anchors)), json.loads(one.rules)["gives"],
             str(one.valid // _DAY), "counts" if one.withdrawn_at is None else f"withdrawn: {one.why}")
            for one in found
        ],
        "There are no verifiers; `ddns verifier add NAME --keys JWKS --rules JSON` makes one.",
    )  # fmt: skip


@command.command()
@click.argument("name")
@click.argument("evidence", type=_file)
@tenant_option
@json_option
@database_options
def test(name: str, evidence: Path, tenant: str, as_json: bool, dsn: str | None, state: Path | None) -> int:
    """Say what the verifier NAME would make of the token in the file EVIDENCE, whatever its nonce, key and times."""
    token = work.read_evidence(evidence.read_bytes())

    async def run_it(conn: Connection, _database: Database) -> Verifier:
        whose = await tenant_words.the_tenant(conn, tenant)
        return await work.the_verifier(conn, scope(whose.id), name)

    tried = work.try_out(token, run(dsn, state, run_it), int(time.time()))
    if as_json:
        print_json(
            {"signed": tried.signed, "gives": tried.assurance, "missed": list(tried.missed), "claims": token.claims}
        )
    else:
        click.echo("The token is signed by this verifier." if tried.signed else "This verifier did not sign the token.")
        for claim in tried.missed:
            click.echo(f"Its rules are not met by the claim {claim}.")
        if tried.assurance:
            click.echo(f"It gives {tried.assurance}.")
    return 0 if tried.assurance else 1


@command.command()
@click.argument("name")
@click.option("--reason", required=True, help="Why, for the history.")
@tenant_option
@database_options
def withdraw(name: str, reason: str, tenant: str, dsn: str | None, state: Path | None) -> None:
    """Let the word of a verifier count no more. What it said before stays good as long as it was given."""

    async def run_it(conn: Connection, _database: Database) -> None:
        async with acting_for(conn, tenant) as whose:
            await work.withdraw(conn, scope(whose.id), name, reason, principal(), int(time.time()))

    run(dsn, state, run_it)
    click.echo(f"The verifier {name} is withdrawn.")
