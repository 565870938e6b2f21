"""`ddns home`: invite, add, import, list, show, suspend, release."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from ddns.auth.principal import Credential
from ddns.auth.sealing import Sealer
from ddns.cli import Failure, home_export, home_hold, home_import, home_search
from ddns.cli import paper as papers
from ddns.cli.shell import (
    database_options,
    json_option,
    principal,
    print_facts,
    print_json,
    print_table,
    run,
    settle,
    shown,
    wait_option,
    when,
)
from ddns.database import Database, secrets_key
from ddns.dns.codes import Type
from ddns.gateway.invitation import PORT, Invitation
from ddns.operator import files, homes, services, words
from ddns.settings import address
from ddns.signing.client import SignerClient
from ddns.store import rrsets
from ddns.store.pool import Connection
from ddns.store.zones import Zone
from ddns.zone import srp

SIGNER_WAIT = 5.0  # seconds for the signer's socket; without it the change waits for the signer's own loop
_DAY = 86400

_ZONE = click.option("--zone", metavar="NAME", help="The registry's zone, where there are several.")


@click.group()
def command() -> None:
    """Invite homes and look after them."""


command.add_command(home_export.command)
command.add_command(home_import.command)
command.add_command(home_search.command)
for _verb in (home_hold.hold, home_hold.suspend, home_hold.release, home_hold.history):
    command.add_command(_verb)


@command.command()
@click.argument("label", default="")
@_ZONE
@click.option("--server", metavar="HOST[:PORT]", help="Where the gateway finds the registry. [its first name server]")
@click.option("--tls", type=click.IntRange(1, 65535), help="The port at which it is to be spoken to over TLS, as 853.")
@click.option("--web", metavar="[NAME:]PORT", help="Where it takes statements by HTTPS; owners' phones need that.")
@click.option(
    "--days", type=click.IntRange(1, 365), default=homes.INVITATION_DAYS, show_default=True, help="How long it holds."
)
@click.option("--again", is_flag=True, help="Withdraw the invitation that there is.")
@papers.paper_options
@json_option
@database_options
def invite(
    label: str,
    zone: str | None,
    server: str | None,
    tls: int | None,
    web: str | None,
    days: int,
    again: bool,
    as_qr: bool,
    svg_file: Path | None,
    pdf_file: Path | None,
    as_json: bool,
    dsn: str | None,
    state: Path | None,
) -> None:
    """Make a one-time invitation for the home LABEL. Its gateway spends it with `ddns gateway enrol`."""
    where = None if server is None else _server(server)
    desk = None if web is None else _web(web)
    now = int(time.time())

    async def work(conn: Connection, database: Database) -> tuple[homes.Invited, str]:
        sealer = Sealer(secrets_key(database.state))
        registry, home = await homes.find_registry(conn, label, zone)
        if again:
            await homes.withdraw(conn, home)
        invited = await homes.invite(conn, sealer, registry, home, now + days * _DAY, now)
        host, port = where or (await _first_server(conn, registry), PORT)
        secret = invited.secret.reveal()
        line = Invitation(
            invited.key, secret, home, host, port, registry=registry.origin, tls=tls or 0,
            web=None if desk is None else (desk[0] or host, desk[1]),
        )  # fmt: skip
        return invited, line.to_text()

    with papers.sheets(svg_file, pdf_file, 1) as write:
        invited, line = run(dsn, state, work)
        write([papers.slip(shown(invited.home), line, when(invited.expires_at))])
    if as_json:
        print_json({"home": shown(invited.home), "invitation": line, "expires_at": invited.expires_at})
        return
    click.echo(f"{shown(invited.home)} is invited by this line, a secret until it is spent. It is shown only now:\n")
    click.echo(line)
    if as_qr:
        papers.show(line)
    click.echo(f"\nIt holds until {when(invited.expires_at)}. At the home: ddns gateway enrol -")


def _server(text: str) -> tuple[str, int]:
    """Read HOST, HOST:PORT, [ADDRESS]:PORT or an address."""
    try:
        return address(text)
    except ValueError:
        host, mark, port = text.partition(":")
        words.read_name(host, "server")
        if mark and not (port.isascii() and port.isdigit() and 0 < int(port) <= 0xFFFF):
            raise click.UsageError(f"--server {text!r}: write HOST:PORT or [ADDRESS]:PORT") from None
        return host.rstrip("."), int(port) if mark else PORT


def _web(text: str) -> tuple[str, int]:
    """Read PORT or NAME:PORT; the name is empty where it is the server's."""
    name, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and 0 < int(port) <= 0xFFFF):
        raise click.UsageError(f"--web {text!r}: write PORT or NAME:PORT")
    return (shown(words.read_name(name, "server")).rstrip(".") if name else ""), int(port)


async def _first_server(conn: Connection, registry: Zone) -> str:
    """Return the first name server of the registry's zone."""
    found = (await rrsets.read_names(conn, [(registry.id, registry.origin)])).get((registry.id, registry.origin), ())
    servers = next((one.rdatas for one in found if one.type == Type.NS), ())
    if not servers:
        raise Failure(f"{shown(registry.origin)} has no name server; say where the registry is with --server")
    return shown(servers[0]).rstrip(".")


@command.command()
@click.argument("label")
@_ZONE
@click.option(
    "--sig0", metavar="FILE.key", type=click.Path(path_type=Path), help="The home's public key, to begin with."
)
@wait_option
@json_option
@database_options
def add(
    label: str,
    zone: str | None,
    sig0: Path | None,
    wait: float,
    as_json: bool,
    dsn: str | None,
    state: Path | None,
) -> None:
    """Make the home LABEL at once, without an invitation: its zone, and its delegation in the registry's zone."""
    held = None if sig0 is None else files.public_key(sig0)

    async def work(conn: Connection, database: Database) -> tuple[homes.Made, bool]:
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


@command.command()
@click.argument("label")
@_ZONE
@json_option
@database_options
def show(label: str, zone: str | None, as_json: bool, dsn: str | None, state: Path | None) -> None:
    """Show the home LABEL (or its full name): its zone, its state and its keys."""

    async def work(conn: Connection, _database: Database) -> homes.Shown:
        return await homes.show(conn, await _home(conn, label, zone))

    found = run(dsn, state, work)
    held = [one for one in found.keys if one.credential.kind != srp.POLICY]
    sources = [one.credential.public.decode() for one in found.keys if one.credential.kind == srp.POLICY]
    keys = [f"{_key(one.credential)}, {one.credential.assurance}, since {when(one.created_at)}" for one in held]
    if as_json:
        print_json(
            {
                "home": shown(found.home.origin), "state": found.home.state, "since": found.home.created_at,
                "serial": found.zone.serial, "edition": found.zone.edition, "pending": found.zone.signed_pending,
                "keys": [
                    {"kind": key.kind, "algorithm": key.algorithm, "tag": key.tag or None, "assurance": key.assurance}
                    for key in (one.credential for one in held)
                ],
                "services_from": " ".join(sources).split(),
            }
        )  # fmt: skip
        return
    print_facts(
        [
            ("Home", shown(found.home.origin)),
            ("State", "suspended, its updates are refused" if found.zone.suspended else found.home.state),
            ("Since", when(found.home.created_at)),
            ("Serial", str(found.zone.serial)),
            *[("Key", key) for key in keys],
            *[("Services", f"hosts in {', '.join(source.split())} may register") for source in sources],
        ]
    )


def _key(one: Credential) -> str:
    return one.algorithm if one.kind == "tsig" else f"{files.algorithm_name(int(one.algorithm))}, tag {one.tag}"


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
