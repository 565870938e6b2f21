"""`ddns home invite`: an invitation for one home, or for each of a list, as text, CSV, QR codes and sheets."""

from __future__ import annotations

import csv
import os
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import click
import msgspec

from ddns.auth.sealing import Sealer
from ddns.cli import DONE, FAILED, Failure
from ddns.cli import paper as papers
from ddns.cli.shell import count, database_options, json_option, print_json, run, say, shown, tenant_option, when
from ddns.database import Database, secrets_key
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.refusal import Refusal
from ddns.gateway.invitation import PORT, Invitation
from ddns.homes import naming
from ddns.operator import homes, inviting, words
from ddns.operator.fault import CannotDo
from ddns.operator.inviting import Invited, Refused
from ddns.operator.paper import sheet
from ddns.operator.tenants import the_tenant
from ddns.settings import address
from ddns.store import rrsets
from ddns.store.pool import Connection
from ddns.store.tenancy import kept
from ddns.store.zones import Zone

_DAY = 86400
_SHOWN = 50  # refused lines that are printed


class Reach(msgspec.Struct, frozen=True):
    """Where gateways find the registry: *server* as host and port, its ports for TLS, and where it takes statements."""

    server: tuple[str, int] | None
    tls: int
    web: tuple[str, int] | None

    async def within(self, conn: Connection, registry: Zone) -> Reach:
        """Return the same with a server: the first name server of the registry's zone, where none is said."""
        return msgspec.structs.replace(self, server=self.server or (await _first_server(conn, registry), PORT))

    def line(self, key: Name, secret: bytes, home: Name, registry: Name) -> str:
        """Return an invitation as the text that a gateway takes; there must be a server."""
        host, port = self.server or ("", PORT)
        web = None if self.web is None else (self.web[0] or host, self.web[1])
        return Invitation(key, secret, home, host, port, registry=registry, tls=self.tls, web=web).to_text()


@click.command("invite")
@click.argument("label", default="")
@click.option("--zone", metavar="NAME", help="The registry's zone, where there are several.")
@click.option("--file", "labels", type=click.Path(path_type=Path), help="Invite each home of this CSV file instead.")
@click.option("--csv", "csv_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the lines as CSV.")
@click.option("--server", metavar="HOST[:PORT]", help="Where the gateway finds the registry. [its first name server]")
@click.option("--tls", type=click.IntRange(1, 65535), help="The port at which it is to be spoken to over TLS, as 853.")
@click.option("--web", metavar="[NAME:]PORT", help="Where it takes statements by HTTPS; owners' phones need that.")
@click.option(
    "--days", type=click.IntRange(1, 365), default=homes.INVITATION_DAYS, show_default=True, help="How long it holds."
)
@click.option("--again", is_flag=True, help="Withdraw the invitation that there is.")
@papers.paper_options
@tenant_option
@json_option
@database_options
def command(
    label: str,
    zone: str | None,
    labels: Path | None,
    csv_file: Path | None,
    server: str | None,
    tls: int | None,
    web: str | None,
    days: int,
    again: bool,
    as_qr: bool,
    svg_file: Path | None,
    pdf_file: Path | None,
    tenant: str,
    as_json: bool,
    dsn: str | None,
    state: Path | None,
) -> int:
    """Make a one-time invitation for the home LABEL. Its gateway spends it with `ddns gateway enrol`.

    Without LABEL the registry makes the name. With --file each label of a CSV file is invited, once, however often.
    """
    reach = Reach(None if server is None else _server(server), tls or 0, None if web is None else _web(web))
    now = int(time.time())
    if labels is not None:
        if label or again or as_qr:
            raise click.UsageError("--file says which homes; leave LABEL, --again and --qr out")
        lines = _read(labels)
        return _many(
            lines, zone, reach, now + days * _DAY, now, svg_file, pdf_file, csv_file, tenant, as_json, dsn, state
        )
    if csv_file is not None:
        raise click.UsageError("--csv is for --file")

    async def work(conn: Connection, database: Database) -> tuple[homes.Invited, str]:
        sealer = Sealer(secrets_key(database.state))
        number = (await the_tenant(conn, tenant)).id
        await kept(conn, number)
        registry, home = await _home(conn, number, label, zone, now)
        if again:
            await homes.withdraw(conn, home)
        invited = await homes.invite(conn, sealer, registry, home, now + days * _DAY, now)
        there = await reach.within(conn, registry)
        return invited, there.line(invited.key, invited.secret.reveal(), home, registry.origin)

    with papers.sheets(svg_file, pdf_file, 1) as write:
        invited, line = run(dsn, state, work)
        write([sheet.invitation(shown(invited.home), line, when(invited.expires_at))])
    link = "" if reach.web is None else Invitation.from_text(line).to_link()
    if as_json:
        said = {"home": shown(invited.home), "invitation": line, "expires_at": invited.expires_at}
        print_json(said | {"link": link} if link else said)
        return DONE
    click.echo(f"{shown(invited.home)} is invited by this line, a secret until it is spent. It is shown only now:\n")
    click.echo(line)
    if link:
        click.echo(f"\nThe same as a link: {link}")
    if as_qr:
        papers.show(line)
    click.echo(f"\nIt holds until {when(invited.expires_at)}. At the home: ddns gateway enrol -")
    return DONE


async def _home(conn: Connection, tenant: int, label: str, zone: str | None, now: int) -> tuple[Zone, Name]:
    """Return the registry's zone, and the home *label* in it, or one that the registry names."""
    registry, home = await homes.find_registry(conn, label or "any", zone)
    if label:
        return registry, home
    made = await naming.allocated(conn, tenant, registry, now, secrets.randbelow)
    if isinstance(made, Refusal):
        raise CannotDo(made.text)
    return registry, names.prepend(made.wire, registry.origin)


def _read(file: Path) -> list[tuple[int, str]]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        return inviting.read(stream)


def _many(
    lines: Sequence[tuple[int, str]],
    zone: str | None,
    reach: Reach,
    expires_at: int,
    now: int,
    svg_file: Path | None,
    pdf_file: Path | None,
    csv_file: Path | None,
    tenant: str,
    as_json: bool,
    dsn: str | None,
    state: Path | None,
) -> int:
    """Invite the homes of *lines*; return 1 where some cannot be."""
    invited: list[Invited] = []
    refused: list[Refused] = []

    async def work(conn: Connection, database: Database) -> tuple[Zone, Reach]:
        sealer = Sealer(secrets_key(database.state))
        await kept(conn, (await the_tenant(conn, tenant)).id)
        registry, _ = await homes.find_registry(conn, "any", zone)
        there = await reach.within(conn, registry)

        def tell(some: Sequence[Invited], others: Sequence[Refused]) -> None:
            invited.extend(some)
            refused.extend(others)

        await inviting.invite(conn, sealer, registry, lines, expires_at, now, tell)
        return registry, there

    with papers.sheets(svg_file, pdf_file, len(lines)) as write, _Table(csv_file) as table:
        registry, there = run(dsn, state, work)
        made = [(one, there.line(one.key, one.secret.reveal(), one.home, registry.origin)) for one in invited]
        write([sheet.invitation(shown(one.home), line, when(one.expires_at)) for one, line in made])
        if table is not None:
            rows = csv.writer(table, lineterminator="\n")
            rows.writerow(("home", "invitation", "expires_at"))
            rows.writerows((shown(one.home), line, one.expires_at) for one, line in made)
    failed = [one for one in refused if not one.there]
    new = sum(one.new for one in invited)
    if as_json:
        print_json(
            {
                "invited": [
                    {"home": shown(one.home), "invitation": line, "expires_at": one.expires_at, "new": one.new}
                    for one, line in made
                ],
                "refused": [{"line": one.line, "label": one.label, "reason": one.reason} for one in refused],
            }
        )  # fmt: skip
    else:
        if csv_file is None and svg_file is None and pdf_file is None:
            for one, line in made:
                click.echo(f"{shown(one.home)} {line}")
        for bad in refused[:_SHOWN]:
            say(f"line {bad.line}, {bad.label}: {bad.reason}.")
        if len(refused) > _SHOWN:
            say(f"{len(refused) - _SHOWN} more lines like these are not shown; --json has them.")
        say(f"{count(new, 'home')} invited, {len(invited) - new} invited before, {len(refused)} not.")
    return FAILED if failed else DONE


class _Table:
    """A file for secrets that others cannot read, taken away again where it is not finished; None: no file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: TextIO | None = None

    def __enter__(self) -> TextIO | None:
        if self._path is not None:
            try:
                handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                raise Failure(f"{self._path} is there already; name another file") from None
            self._file = os.fdopen(handle, "w", encoding="utf-8", newline="")
        return self._file

    def __exit__(self, kind: object, *_rest: object) -> None:
        if self._file is not None and self._path is not None:
            self._file.close()
            if kind is not None:
                self._path.unlink(missing_ok=True)


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
