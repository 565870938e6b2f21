"""`ddns vendor`: bond a vendor, so that its boxes enrol by its vouchers; list, show and withdraw bonds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ddns.cli import vendor_statement
from ddns.cli.shell import (
    database_options,
    json_option,
    principal,
    print_json,
    print_table,
    run,
    tenant_option,
    when,
)
from ddns.cli.vendor_statement import certificate_shown, read, told
from ddns.database import Database
from ddns.operator import tenants as tenant_words
from ddns.operator import vendor_statements
from ddns.operator import vendors as work
from ddns.operator.acting import acting_for
from ddns.store import bonds
from ddns.store.bonds import Bond
from ddns.store.pool import Connection

_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def command() -> None:
    """Say which makers of boxes may vouch for which of them. It gives them no say over a home that there is."""


command.add_command(vendor_statement.command, "statement")


@command.command()
@click.argument("vendor", metavar="VENDOR|FILE")
@click.option("--anchors", type=_file, metavar="PEM", help="What issues its boxes' certificates.")
@click.option("--masa-keys", type=_file, metavar="PEM", help="What signs its vouchers.")
@click.option("--masa", "masa_url", default="", metavar="URL", help="Where vouchers are asked for.")
@click.option("--masa-anchors", type=_file, metavar="PEM", help="What issues the certificate of that server.")
@click.option("--models", default="", metavar="NAME,…", help="The common names in its boxes' certificates. [all]")
@click.option("--assurance", type=click.Choice(work.GIVEN), help="What its word gives.  [default: voucher]")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), metavar="YYYY-MM-DD", help="The day on which it ends.")
@click.option("--widen", is_flag=True, help="Accept more in FILE than was accepted of this vendor before.")
@tenant_option
@json_option
@database_options
def bond(
    vendor: str, anchors: Path | None, masa_keys: Path | None, masa_url: str, masa_anchors: Path | None, models: str,
    assurance: str | None, until: datetime | None, widen: bool, tenant: str, as_json: bool, dsn: str | None,
    state: Path | None,
) -> None:  # fmt: skip
    """Bond VENDOR, or accept the statement in FILE that a vendor has signed (`ddns vendor statement make`).

    The registry's own bonds hold for all tenants, a tenant's for that tenant alone. Of a statement, no more than
    --assurance, --models and --until is accepted.
    """
    given = tuple(one.strip() for one in models.split(",") if one.strip())
    end = None if until is None else int(until.replace(tzinfo=UTC).timestamp())
    signed = None
    if anchors is None:
        if masa_keys or masa_url or masa_anchors:
            raise click.UsageError("the keys of a signed statement are in it; give --anchors for a bond by hand")
        signed = read(Path(vendor))
    elif widen:
        raise click.UsageError("--widen is for a signed statement; leave it out")
    files = [b"" if one is None else one.read_bytes() for one in (anchors, masa_keys, masa_anchors)]

    async def run_it(conn: Connection, _database: Database) -> Bond:
        now = int(time.time())
        async with acting_for(conn, tenant) as whose:
            if signed is not None:
                terms = vendor_statements.Terms(assurance, given, end, widen)
                return await vendor_statements.accept(conn, whose.id, signed, terms, principal(), now)
            return await work.bond(
                conn, work.scope(whose.id), vendor, files[0], principal(), now, models=given, masa_keys=files[1],
                masa_url=masa_url, masa_anchors=files[2], assurance=assurance or work.BY_VOUCHER, until=end,
            )  # fmt: skip

    with told():
        made = run(dsn, state, run_it)
    if as_json:
        print_json(_as_json(made))
        return
    click.echo(
        f"The bond {made.id} with {made.vendor} is withdrawn, as its vendor says. No home changes by that."
        if made.withdrawn_at is not None
        else f"The bond {made.id} with {made.vendor} holds. `ddns vendor show {made.id}` says what it covers."
    )


@command.command("list")
@tenant_option
@json_option
@database_options
def show_all(tenant: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """List the bonds."""

    async def run_it(conn: Connection, _database: Database) -> list[Bond]:
        whose = await tenant_words.the_tenant(conn, tenant)
        return await bonds.listing(conn, whose.id)

    found = run(dsn, state, run_it)
    if as_json:
        print_json([_as_json(one) for one in found])
        return
    now = int(time.time())
    print_table(
        ("BOND", "VENDOR", "MODELS", "GIVES", "MASA", "STATE"),
        [
            (str(one.id), one.vendor, ", ".join(one.models) or "all", one.assurance, one.masa_url or "none",
             _state(one, now))
            for one in found
        ],
        "There are no bonds; `ddns vendor bond VENDOR --anchors PEM` makes one.",
    )  # fmt: skip


@command.command()
@click.argument("ident", metavar="BOND", type=click.IntRange(1))
@tenant_option
@json_option
@database_options
def show(ident: int, tenant: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Show a bond, with the certificates that it names."""

    async def run_it(conn: Connection, _database: Database) -> Bond:
        whose = await tenant_words.the_tenant(conn, tenant)
        return await work.the_bond(conn, work.scope(whose.id), ident)

    found = run(dsn, state, run_it)
    if as_json:
        print_json(_as_json(found))
        return
    click.echo(
        f"The bond {found.id} with {found.vendor}: {_state(found, int(time.time()))}, since {when(found.since)}."
    )
    click.echo(f"It gives {found.assurance} to {', '.join(found.models) or 'all models'}.")
    if found.vendor_key is not None:
        click.echo(f"The vendor signed for it with the key {vendor_statements.thumbprint(found)}.")
    if found.masa_url:
        click.echo(f"Vouchers are asked for at {found.masa_url}.")
    for what, held in (
        ("Boxes' certificates are issued by", found.anchors), ("Vouchers are signed by", found.masa_keys),
        ("The MASA's own certificate is issued by", found.masa_anchors),
    ):  # fmt: skip
        for octets in held:
            click.echo(f"{what} {certificate_shown(octets)}")


@command.command()
@click.argument("ident", metavar="BOND", type=click.IntRange(1))
@click.option("--reason", required=True, help="Why, for the history and for whoever asks.")
@tenant_option
@database_options
def withdraw(ident: int, reason: str, tenant: str, dsn: str | None, state: Path | None) -> None:
    """Let a vendor's word count no more. Homes that there are stay as they are."""

    async def run_it(conn: Connection, _database: Database) -> Bond:
        async with acting_for(conn, tenant) as whose:
            return await work.withdraw(conn, work.scope(whose.id), ident, reason, principal(), int(time.time()))

    found = run(dsn, state, run_it)
    click.echo(f"The bond {ident} with {found.vendor} is withdrawn. No home changes by that.")


@command.command()
@click.option("--most", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many, the newest.")
@tenant_option
@json_option
@database_options
def vouchers(most: int, tenant: str, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """List the vouchers that were brought to boxes, and whether their makers' logs know other owners before."""

    async def run_it(conn: Connection, _database: Database) -> list[work.Brought]:
        whose = await tenant_words.the_tenant(conn, tenant)
        return await work.brought(conn, whose.id, most)

    found = run(dsn, state, run_it)
    if as_json:
        print_json([msgspec.structs.asdict(one) | {"idevid": one.idevid.hex()} for one in found])
        return
    print_table(
        ("SERIAL", "BOND", "AT", "DOMAINS", "STATUS"),
        [(one.serial, str(one.bond), when(one.at), _domains(one.domains), one.status or "not told") for one in found],
        "No voucher was brought to a box yet.",
    )


def _domains(count: int | None) -> str:
    if count is None:
        return "its maker keeps no log"
    return f"{count}, it was somebody's before" if count > 1 else str(count)


def _state(one: Bond, now: int) -> str:
    if one.withdrawn_at is not None:
        return f"withdrawn: {one.why}"
    if not one.holds(now):
        return "over"
    return "holds" if one.until is None else f"holds until {when(one.until)}"


def _as_json(one: Bond) -> dict[str, Any]:
    def prints(held: Sequence[bytes]) -> list[str]:
        return [x509.load_der_x509_certificate(octets).fingerprint(hashes.SHA256()).hex() for octets in held]

    return {
        "id": one.id, "vendor": one.vendor, "shared": one.tenant is None, "models": list(one.models),
        "anchors": prints(one.anchors), "masa_keys": prints(one.masa_keys), "masa_url": one.masa_url,
        "masa_anchors": prints(one.masa_anchors), "assurance": one.assurance, "since": one.since, "until": one.until,
        "withdrawn_at": one.withdrawn_at, "why": one.why, "key": vendor_statements.thumbprint(one),
    }  # fmt: skip
