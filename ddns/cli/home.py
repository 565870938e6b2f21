"""`ddns home`: invite, add, import, list, show, suspend, release."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from ddns.cli import (
    Failure,
    home_abuse,
    home_adopt,
    home_approve,
    home_export,
    home_hold,
    home_import,
    home_inviting,
    home_search,
    home_show,
)
from ddns.cli.shell import (
    database_options,
    json_option,
    principal,
    print_json,
    print_table,
    run,
    settle,
    shown,
    tenant_option,
    wait_option,
    when,
)
from ddns.database import Database
from ddns.operator import files, homes, services, words
from ddns.operator.tenants import the_tenant
from ddns.signing.client import SignerClient
from ddns.store.pool import Connection
from ddns.store.tenancy import kept

SIGNER_WAIT = 5.0  # seconds for the signer's socket; without it the change waits for the signer's own loop
_DAY = 86400

_ZONE = click.option("--zone", metavar="NAME", help="The registry's zone, where there are several.")


@click.group()
def command() -> None:
    """Invite homes and look after them."""


command.add_command(home_adopt.command)
command.add_command(home_approve.command)
command.add_command(home_export.command)
command.add_command(home_import.command)
command.add_command(home_inviting.command)
command.add_command(home_search.command)
command.add_command(home_show.command)
for _verb in (
    home_hold.hold,
    home_hold.suspend,
    home_hold.release,
    home_hold.history,
    home_abuse.complain,
    home_abuse.signals,
):
    command.add_command(_verb)


@command.command()
@click.argument("label")
@_ZONE
@click.option(
    "--sig0", metavar="FILE.key", type=click.Path(path_type=Path), help="The home's public key, to begin with."
)
@tenant_option
@wait_option
@json_option
@database_options
def add(
    label: str,
    zone: str | None,
    sig0: Path | None,
    tenant: str,
    wait: float,
    as_json: bool,
    dsn: str | None,
    state: Path | None,
) -> None:
    """Make the home LABEL at once, without an invitation: its zone, and its delegation in the registry's zone."""
    held = None if sig0 is None else files.public_key(sig0)

    async def work(conn: Connection, database: Database) -> tuple[homes.Made, bool]:
        await kept(conn, (await the_tenant(conn, tenant)).id)
        registry, home = await homes.find_registry(conn, label, zone)
        if held is not None and held[0] != home:
            raise Failure(
                f"{sig0} holds the key of {shown(held[0])}, but a home's key is named like the home; "
                f"make one with dnssec-keygen -T KEY -n HOST -a ECDSAP256SHA256 {shown(home)}"
            )
        signer = SignerClient(database.state / "run" / "signer.sock", SIGNER_WAIT)
        try:
            made = await homes.add(conn, signer, registry, home, held[1] if held else None, principal())
        finally:
            await signer.close()
        return made, await settle(conn, database, made.pending, wait)

    made, signed = run(dsn, state, work)
    if as_json:
        print_json({"home": shown(made.name), "state": "added", "published": signed})
        return
    click.echo(f"{shown(made.name)} is a home now{'' if signed else ', not published yet'}.")
    if held is None:
        click.echo(
            f"It has no key yet: ddns home invite is the usual way, or ddns key add {shown(made.name)} --sig0 FILE"
        )


@command.command("list")
@json_option
@database_options
def list_(as_json: bool, dsn: str | None, state: Path | None) -> None:
    """List the homes and the invitations that are not spent."""

    async def work(conn: Connection, _database: Database) -> Any:
        return await homes.listing(conn)

    found, invited = run(dsn, state, work)
    now = int(time.time())
    rows = [(shown(one.origin), one.state, one.created_at) for one in found]
    rows += [
        (shown(one.label), "invited" if one.expires_at > now else "invitation expired", one.created_at)
        for one in invited
    ]
    if as_json:
        print_json([{"home": name, "state": word, "since": since} for name, word, since in rows])
        return
    print_table(
        ("HOME", "STATE", "SINCE"),
        [(name, word, when(since)) for name, word, since in rows],
        "There are no homes yet; invite one with `ddns home invite LABEL`.",
    )


async def _home(conn: Connection, label: str, zone: str | None) -> bytes:
    """Return the full name of a home that a person named by its label or in full."""
    if zone is None and "." in label.rstrip("."):
        return words.read_name(label, "home")
    return (await homes.find_registry(conn, label, zone))[1]


@command.command("services")
@click.argument("label")
@_ZONE
@click.option("--from", "sources", metavar="PREFIX", multiple=True, help="A network from which hosts may come.")
@click.option("--off", is_flag=True, help="Let nobody register any more; what is registered ends with its lease.")
@json_option
@database_options
def services_(
    label: str,
    zone: str | None,
    sources: tuple[str, ...],
    off: bool,
    as_json: bool,
    dsn: str | None,
    state: Path | None,
) -> None:
    """Let hosts register themselves and their services in the home LABEL (RFC 9665), first come first served."""
    if bool(sources) == off:
        raise click.UsageError("say with --from PREFIX from where hosts may come, or --off")
    wanted = services.read_networks(sources)

    async def work(conn: Connection, _database: Database) -> tuple[bytes, bool]:
        name = await _home(conn, label, zone)
        return name, await services.allow(conn, name, wanted)

    name, changed = run(dsn, state, work)
    if as_json:
        print_json({"home": shown(name), "from": list(wanted), "changed": changed})
        return
    already = "" if changed else " already"
    if wanted:
        click.echo(f"Hosts in {', '.join(wanted)} may register in {shown(name)}{already}.")
    else:
        click.echo(f"Nobody may register in {shown(name)}{already}.")
