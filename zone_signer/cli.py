"""The command line of the signer; all but `run` and `once` is in the modules `cli_…`. What fails is one sentence."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

import click
import psycopg

from ddns.database import DatabaseProblem, open_database
from ddns.program import program
from ddns.store.pool import Pool
from ddns.zone.hand import Bounds
from zone_signer import heartbeat, settings, store, vigil
from zone_signer.cli_check import check
from zone_signer.cli_clock import clock as clock_commands
from zone_signer.cli_keys import show_keys
from zone_signer.cli_master import master
from zone_signer.cli_order import COMMANDS
from zone_signer.cli_plan import plan
from zone_signer.cli_token import token
from zone_signer.clockkeeper import Clockkeeper, ClockRefused
from zone_signer.command import (
    PEOPLE,
    Failure,
    database_options,
    key_options,
    open_vaults,
    where_of,
    with_connection,
)
from zone_signer.helpers import Helpers
from zone_signer.keyring import CAPACITY, KeyRing
from zone_signer.leaving_options import bounds_of, leaving_options
from zone_signer.lookup import Lookup
from zone_signer.publishing import MOST_EDITIONS
from zone_signer.service import Service, SocketProblem
from zone_signer.settings import Where
from zone_signer.signer import REFUSALS, Signer
from zone_signer.vault import VaultError
from zone_signer.vaults import Vaults
from zone_signer.worker import ROLE, Worker

PATIENCE = 30.0  # seconds that `run` waits for a database that is starting
POOL = 4  # connections for jobs that must look something up
GARBAGE = 50_000  # objects between two collections: neither a batch nor a zone leaves any in cycles
SWITCH = 0.0005  # seconds until a thread that signs a big zone lets the socket be answered


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def cli() -> None:
    """Sign zones: the only program that opens a private zone key."""


@cli.command()
@database_options
@key_options
@click.option("--socket", "path", type=click.Path(path_type=Path), help="Listen for servers on this unix socket.")
@click.option("--socket-group", default="", help="Let this group connect too.")
@click.option(
    "--editions",
    type=click.IntRange(100),
    default=MOST_EDITIONS,
    show_default=True,
    help="Versions of each zone whose changes are kept, for IXFR.",
)
@click.option(
    "--keys",
    type=click.IntRange(1),
    default=CAPACITY,
    show_default=True,
    help="Zones whose opened keys are remembered, some 3.5 KiB each.",
)
@click.option(
    "--helpers",
    type=click.IntRange(1, 256),
    default=os.cpu_count() or 1,
    show_default="one for each processor",
    help="Processes, at most, that sign in bulk what nobody waits for; they exist while there is such work.",
)
@leaving_options
def run(
    dsn: str | None,
    state: Path | None,
    path: Path | None,
    socket_group: str,
    editions: int,
    keys: int,
    helpers: int,
    safety: float,
    dark_after: float,
    back_after: float,
    look: float,
    **where: Any,
) -> None:
    """Answer servers and keep every zone signed, until SIGTERM or Ctrl-C."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="zone-signer: %(message)s")
    with open_database(dsn, state) as database:
        here = settings.socket_path(path, database.state)
        found = where_of(database.state, **where)
        bounds = bounds_of(safety, dark_after, back_after, look)
        asyncio.run(_serve(database.dsn_for(ROLE), here, socket_group, found, editions, keys, helpers, bounds))


async def _serve(
    dsn: str, path: Path, group: str, where: Where, editions: int, most_keys: int, most_helpers: int, bounds: Bounds
) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    sys.setswitchinterval(SWITCH)
    clock = Clockkeeper()

    async def prepare(conn: store.Conn) -> Vaults:
        await clock.look(conn)
        return await open_vaults(conn, where)

    vaults = await with_connection(dsn, prepare, PATIENCE)
    ring = KeyRing(vaults, most_keys)
    pool = Pool(dsn, ROLE, POOL)
    await pool.open()
    helpers = Helpers(program("zone_signer.helper", *where.words()), {**os.environ, "DDNS_DSN": dsn}, most_helpers)
    lookup = Lookup(dsn, ROLE)
    service = Service(path, Signer(ring, pool, clock, lookup), group, helpers)
    await service.start()
    working = asyncio.create_task(Worker(dsn, ring, clock, editions, bounds).run())
    beating = asyncio.create_task(heartbeat.beat(pool, heartbeat.name_of(path), vaults, clock))
    watching = asyncio.create_task(vigil.watch(pool, clock))
    stopped = asyncio.create_task(stopping.wait())
    gc.freeze()  # what is there stays there, and need not be looked through again
    gc.set_threshold(GARBAGE)
    print("ready", flush=True)  # noqa: T201 - what the supervisor waits for
    _notify("READY=1")
    try:
        await asyncio.wait((working, stopped), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()  # a bug: raise it, and be started again
    finally:
        _notify("STOPPING=1")
        for task in (working, stopped, beating, watching):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await service.close()
        lookup.close()
        await pool.close()


@cli.command()
@database_options
@key_options
def once(dsn: str | None, state: Path | None, **where: Any) -> None:
    """Sign what is behind or due, say what was done, and end."""
    with open_database(dsn, state) as database:
        found = where_of(database.state, **where)

        async def work(conn: store.Conn) -> Any:
            clock = Clockkeeper()
            await clock.look(conn)
            ring = KeyRing(await open_vaults(conn, found))
            return await Worker(database.dsn_for(ROLE), ring, clock).sweep(conn)

        done = asyncio.run(with_connection(database.dsn_for(ROLE), work))
    click.echo(f"{done.published} editions published, {done.delegated} delegations secured.")
    for zone, reason in done.failed:
        click.echo(f"zone-signer: {zone} was not signed: {reason}", err=True)
    if done.failed:
        raise Failure(f"{len(done.failed)} of the zones could not be signed")


def _notify(state: str) -> None:
    """Tell systemd *state*, where it asked to be told (sd_notify(3))."""
    where = os.environ.get("NOTIFY_SOCKET")
    if not where:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock, contextlib.suppress(OSError):
        sock.connect("\0" + where[1:] if where.startswith("@") else where)
        sock.send(state.encode())


for command in (plan, show_keys, *COMMANDS, check, clock_commands, master, token):
    cli.add_command(command)


def main() -> NoReturn:
    """Run the command line and end the process with its exit status."""
    sys.exit(_run())


def _run() -> int:
    try:
        ended = cli.main(prog_name="zone-signer", standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except click.ClickException as error:
        return _say(error.format_message(), error.exit_code)
    except click.Abort:
        return _say("Stopped", 130)
    except BrokenPipeError:
        _write_no_more()
        return 1
    except (DatabaseProblem, SocketProblem, VaultError, ClockRefused, *REFUSALS) as error:
        return _say(str(error), 1)
    except psycopg.OperationalError as error:
        return _say(f"cannot reach the database: {error}", 1)
    except psycopg.errors.InsufficientPrivilege as error:
        return _say(f"the database refuses: {error}; run as a user who may become {PEOPLE}, or {ROLE} to sign", 1)
    except OSError as error:
        _write_no_more()  # the disk under our output may be full
        return _say(": ".join(str(one) for one in (error.filename, error.strerror or error) if one), 1)
    return ended if isinstance(ended, int) else 0  # what `click.exceptions.Exit` says


def _write_no_more() -> None:
    """Keep the interpreter from writing what is left of our output, and from complaining that it cannot, at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(sentence: str, status: int) -> int:
    text = " ".join(sentence.split())
    click.echo(f"zone-signer: {text if text.endswith(('.', '!', '?')) else text + '.'}", err=True)
    return status


if __name__ == "__main__":
    main()
