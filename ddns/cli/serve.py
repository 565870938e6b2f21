"""`ddns serve`: the whole service in one command, or the network's part of it beside a database of your own."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from ddns import settings
from ddns.cli import Failure
from ddns.program import program
from ddns.supervisor import AddressTaken, Child, Supervisor, has_ipv6, open_sockets


@click.command("serve")
@click.option("--config", "config", type=click.Path(path_type=Path), help="Read the settings from this TOML file.")
@click.option("--listen", multiple=True, metavar="ADDR:PORT", help="Listen here, UDP and TCP; may be repeated.")
@click.option("--workers", type=click.IntRange(1, 64), help="How many processes answer.")
@click.option("--no-signer", is_flag=True, help="Do not start the signer; one runs elsewhere.")
@click.option("--dsn", help="Use this Postgres (15 or newer) and not an embedded one.")
@click.option("--state", type=click.Path(path_type=Path), help="Keep the embedded database and keys in this folder.")
def command(
    config: Path | None,
    listen: Sequence[str],
    workers: int | None,
    no_signer: bool,
    dsn: str | None,
    state: Path | None,
) -> int:
    """Answer for the zones and accept their updates until SIGTERM or Ctrl-C.

    Migrates the database if needed, then starts the workers and the signer, and starts again whoever dies.
    """
    chosen = settings.load(config)
    try:
        addresses = [settings.address(text) for text in (listen or chosen.serve.listen)]
        if not listen and config is None and not has_ipv6():
            addresses = [one for one in addresses if ":" not in one[0]]  # the default names both families
    except ValueError as error:
        raise Failure(str(error), 2) from None
    from ddns.database import open_database  # noqa: PLC0415
    from ddns.service import Service  # noqa: PLC0415 - the database's libraries load only here

    count = workers or chosen.serve.workers
    try:
        sockets = open_sockets(addresses, count)
    except AddressTaken as error:
        raise Failure(str(error)) from None
    dsn = dsn or os.environ.get("DDNS_DSN") or chosen.database.dsn or None
    folder = state or (None if os.environ.get("DDNS_STATE") else _path(chosen.database.state))
    with open_database(dsn, folder, serve=True) as database:
        service = Service(chosen, database)
        children = []
        if not no_signer:
            children.append(
                Child(
                    "the signer",
                    program("zone_signer.cli", *service.signer_command()),
                    environment={"DDNS_DSN": service.dsn("zone_signer")},
                    announces=False,
                )
            )
        for number, mine in enumerate(sockets, 1):
            fds = [one.fileno() for one in mine]
            told = msgspec.json.encode(service.worker_config(fds))
            children.append(Child(f"worker {number}", program("ddns.worker"), config=told, fds=fds))
        where = ", ".join(settings.address_text(one) for one in addresses)
        supervisor = Supervisor(children, _say, database.postgres)
        return supervisor.run(lambda: _ready(where))


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _say(sentence: str) -> None:
    click.echo(f"ddns: {sentence}", err=True)


def _ready(where: str) -> None:
    click.echo(f"Serving on {where} (UDP and TCP). Stop with Ctrl-C.")
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
