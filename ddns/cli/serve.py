"""`ddns serve`: the whole service in one command, or the network's part of it beside a database of your own."""

from __future__ import annotations

import importlib.util
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from ddns import settings
from ddns.cli import Failure
from ddns.program import program
from ddns.supervisor import Address, AddressTaken, Child, Supervisor, has_ipv6, open_sockets, raise_file_limit

if TYPE_CHECKING:
    from ddns.net.encrypted import Inherited

ENCRYPTED = ("tls", "https", "quic")
DESK = ("web", "devices")
OWN_FILES = 100  # that a worker opens beside its connections: database, sockets, libraries


@click.command("serve")
@click.option("--config", "config", type=click.Path(path_type=Path), help="Read the settings from this TOML file.")
@click.option("--listen", multiple=True, metavar="ADDR:PORT", help="Listen here, UDP and TCP; may be repeated.")
@click.option("--tls", multiple=True, metavar="ADDR:PORT", help="Serve DNS over TLS here; may be repeated.")
@click.option("--https", multiple=True, metavar="ADDR:PORT", help="Serve DNS over HTTPS here; may be repeated.")
@click.option("--quic", multiple=True, metavar="ADDR:PORT", help="Serve DNS over QUIC here; may be repeated.")
@click.option("--web", multiple=True, metavar="ADDR:PORT", help="Serve enrolment and the API over HTTPS here.")
@click.option("--devices", multiple=True, metavar="ADDR:PORT", help="Serve devices with certificates here.")
@click.option("--only", type=click.Choice(["dns", "web"]), help="Run one part; the other runs elsewhere.")
@click.option("--workers", type=click.IntRange(1, 64), help="How many processes answer.")
@click.option("--no-signer", is_flag=True, help="Do not start the signer; one runs elsewhere.")
@click.option("--dsn", help="Use this Postgres (15 or newer) and not an embedded one.")
@click.option("--state", type=click.Path(path_type=Path), help="Keep the embedded database and keys in this folder.")
def command(
    config: Path | None,
    listen: Sequence[str],
    tls: Sequence[str],
    https: Sequence[str],
    quic: Sequence[str],
    web: Sequence[str],
    devices: Sequence[str],
    only: str | None,
    workers: int | None,
    no_signer: bool,
    dsn: str | None,
    state: Path | None,
) -> int:
    """Answer for the zones and accept their updates until SIGTERM or Ctrl-C.

    Migrates the database if needed, then starts the workers, the signer and, where [web] or --web says where, the
    desk, and starts again whoever dies.
    """
    chosen = settings.load(config)
    try:
        addresses = [settings.address(text) for text in (listen or chosen.serve.listen)]
        if not listen and config is None and not has_ipv6():
            addresses = [one for one in addresses if ":" not in one[0]]  # the default names both families
        kinds = {
            "dns": addresses,
            "tls": [settings.address(one, settings.TLS_PORT) for one in (tls or chosen.tls.listen)],
            "https": [settings.address(one, settings.HTTPS_PORT) for one in (https or chosen.https.listen)],
            "quic": [settings.address(one, settings.TLS_PORT) for one in (quic or chosen.quic.listen)],
            "web": [settings.address(one, settings.HTTPS_PORT) for one in (web or chosen.web.listen)],
            "devices": [settings.address(one, settings.HTTPS_PORT) for one in (devices or chosen.web.devices)],
        }
    except ValueError as error:
        raise Failure(str(error), 2) from None
    _check(kinds, chosen)
    if only == "web" and not any(kinds[kind] for kind in DESK):
        raise Failure("There is no address for the desk; say [web] listen, or --web ADDR:PORT.", 2)
    from ddns.database import open_database  # noqa: PLC0415
    from ddns.net.certificate import BadCertificate  # noqa: PLC0415
    from ddns.postgres import sized  # noqa: PLC0415
    from ddns.service import Service  # noqa: PLC0415 - the database's libraries load only here

    count = workers or chosen.serve.workers
    try:
        sockets = [] if only == "web" else open_sockets({one: kinds[one] for one in kinds if one not in DESK}, count)
        desks = [] if only == "dns" else open_sockets({one: kinds[one] for one in DESK}, 1)[0]
    except AddressTaken as error:
        raise Failure(str(error)) from None
    dsn = dsn or os.environ.get("DDNS_DSN") or chosen.database.dsn or None
    folder = state or (None if os.environ.get("DDNS_STATE") else _path(chosen.database.state))
    sizes = sized(chosen.database.memory_mib, chosen.database.log_mib)
    with open_database(dsn, folder, serve=True, settings=sizes) as database:
        service = Service(chosen, database, kinds)
        children = []
        if not no_signer and only != "web":
            children.append(
                Child(
                    "the signer",
                    program("zone_signer.cli", *service.signer_command()),
                    environment={"DDNS_DSN": service.dsn("zone_signer")},
                    announces=False,
                )
            )
        try:
            for number, mine in enumerate(sockets, 1):
                told = msgspec.json.encode(service.worker_config(_inherited(mine), number))
                children.append(Child(f"worker {number}", program("ddns.worker"), config=told, fds=_numbers(mine)))
            if desks:
                told = msgspec.json.encode(service.desk_config(_inherited(desks)))
                children.append(Child("the desk", program("ddns.desk"), config=told, fds=_numbers(desks)))
        except BadCertificate as error:
            raise Failure(str(error)) from None
        supervisor = Supervisor(children, _say, database.postgres)
        served = {kind: where for kind, where in kinds.items() if only is None or (kind in DESK) == (only == "web")}
        return supervisor.run(lambda: _ready(served))


def _numbers(sockets: Sequence[tuple[str, socket.socket]]) -> list[int]:
    return [one.fileno() for _kind, one in sockets]


def _inherited(sockets: Sequence[tuple[str, socket.socket]]) -> list[Inherited]:
    from ddns.net.encrypted import Inherited  # noqa: PLC0415 - as below

    return [Inherited(one.fileno(), kind) for kind, one in sockets]


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _say(sentence: str) -> None:
    click.echo(f"ddns: {sentence}", err=True)


def _check(kinds: Mapping[str, Sequence[Address]], chosen: settings.Settings) -> None:
    """Refuse what cannot work before anything is started, and say what will be less than was asked for."""
    for kind, module in (("https", "h2"), ("quic", "aioquic")):
        if kinds[kind] and importlib.util.find_spec(module) is None:
            raise Failure(f"DNS over {kind.upper()} needs {module}, which is not here; pip install nameplate[{kind}].")
    for kind in ("tls", "quic"):
        if any(port == settings.DNS_PORT for _host, port in kinds[kind]):
            raise Failure(
                f"DNS over {kind.upper()} may not use port 53, where clients expect DNS in the clear (RFC 7858 §3.1, "
                "RFC 9250 §4.1.1); choose 853."
            )
    if chosen.update.transport == "encrypted" and not any(kinds[kind] for kind in ENCRYPTED):
        raise Failure(
            "[update] transport is encrypted, but nothing here listens encrypted, so no update could ever come; add "
            '[tls] listen = ["ADDR:853"] or --tls ADDR:853.'
        )
    known = False  # to browsers, as far as the certificate itself tells
    if chosen.tls.certificate and any(kinds[kind] for kind in (*ENCRYPTED, *DESK)):
        from ddns.net import certificate  # noqa: PLC0415 - only who needs it pays for it

        try:
            (own, *_) = certificate.load(Path(chosen.tls.certificate), Path(chosen.tls.key)).chain
        except certificate.BadCertificate as error:
            raise Failure(str(error)) from None
        known = own.issuer != own.subject
    if kinds["web"] and chosen.web.page and not known:
        _say(
            "browsers do not know the desk's certificate, so its page /phone frightens people; say [tls] certificate "
            "and key of an authority that browsers know, or [web] page = false"
        )
    files = raise_file_limit()
    if files < chosen.tcp.clients + OWN_FILES:
        _say(
            f"a worker may open {files} files, too few for the {chosen.tcp.clients} connections of [tcp] clients; "
            "raise the limit (LimitNOFILE=, ulimit -n)"
        )


def _ready(kinds: Mapping[str, Sequence[Address]]) -> None:
    said = []
    for kind, words in (
        ("dns", "UDP and TCP"), ("tls", "TLS"), ("https", "HTTPS"), ("quic", "QUIC"), ("web", "API"),
        ("devices", "devices"),
    ):  # fmt: skip
        if kinds.get(kind):
            said.append(f"{', '.join(settings.address_text(one) for one in kinds[kind])} ({words})")
    click.echo(f"Serving on {', '.join(said)}. Stop with Ctrl-C.")
    sys.stdout.flush()
    notify("READY=1")


def notify(state: str) -> None:
    """Tell systemd *state*, where it asked to be told (sd_notify(3))."""
    where = os.environ.get("NOTIFY_SOCKET")
    if not where:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.connect("\0" + where[1:] if where.startswith("@") else where)
        sock.send(state.encode())
