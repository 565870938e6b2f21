"""What the operator's verbs share: where the database is, waiting for the signer, tables and JSON."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import psycopg

from ddns.cli import Failure
from ddns.database import Database, open_database
from ddns.dns import names
from ddns.program import program
from ddns.signing.client import SignerClient
from ddns.store import signing, zones
from ddns.store.pool import Connection, connect

ROLE = "ddns_admin"
SIGNER_WAIT = 5.0  # seconds for the signer to answer
WAIT = 30.0  # seconds for a running signer to publish what a command changed
GRACE = 2.0  # seconds in which the signer of a service that has just started may connect
MANY = 1000  # zones; more are not signed by a command, but by the service that answers for them
_PAUSE = 0.05  # seconds between two looks

_Result = TypeVar("_Result")
_Command = Callable[..., Any]


def database_options(command: _Command) -> _Command:
    """Add --dsn and --state, by which every command finds its database."""
    for option in (
        click.option("--state", type=click.Path(path_type=Path), help="The folder of the embedded database and keys."),
        click.option("--dsn", help="Use this Postgres (15 or newer) and not an embedded one."),
    ):
        command = option(command)
    return command


def json_option(command: _Command) -> _Command:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(command)


def tenant_option(command: _Command) -> _Command:
    """Add --tenant, the name of the one whose homes, tokens and rules are meant."""
    return click.option(
        "--tenant", default="registry", show_default=True, metavar="NAME", help="Do this for that tenant."
    )(command)


def wait_option(command: _Command) -> _Command:
    """Add --wait."""
    return click.option(
        "--wait",
        type=click.FloatRange(0, 3600),
        default=WAIT,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait until what changed is signed; 0: do not wait.",
    )(command)


def principal() -> str:
    """Return how the journal names whoever runs this command."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"operator:{user}"


def run(dsn: str | None, state: Path | None, work: Callable[[Connection, Database], Awaitable[_Result]]) -> _Result:
    """Open the database, do *work* on a connection of the role `ddns_admin`, and return what it returns."""
    with open_database(dsn, state) as database:
        try:
            return asyncio.run(_connected(database, work))
        except psycopg.errors.InsufficientPrivilege as error:
            raise Failure(f"The database refuses: {_first(error)}; run as a user who may become {ROLE}") from None
        except psycopg.OperationalError as error:
            raise Failure(f"The database cannot be reached: {_first(error)}; is it running?") from None


def _first(error: psycopg.Error) -> str:
    return (error.diag.message_primary or str(error)).strip().splitlines()[0].rstrip(".")


async def _connected(database: Database, work: Callable[[Connection, Database], Awaitable[_Result]]) -> _Result:
    conn = await connect(database.dsn_for(ROLE), ROLE)
    async with conn:
        return await work(conn, database)


@asynccontextmanager
async def signer_of(database: Database) -> AsyncIterator[SignerClient]:
    """Give the signer beside *database*, which may be away, for one piece of work."""
    signer = SignerClient(database.state / "run" / "signer.sock", SIGNER_WAIT)
    try:
        yield signer
    finally:
        await signer.close()


async def settle(conn: Connection, database: Database, changed: Iterable[int], wait: float) -> bool:
    """See that the zones *changed* (ids) are published; tell whether they are, else say on stderr what is to be done.

    A signer that runs is waited for. On an embedded database without one it is run once, unless it had too much to do.
    """
    ids = list(changed)
    if not ids or wait <= 0 or not await _waiting(conn, ids):
        return True
    if await _signer(conn, database, wait):
        end = time.monotonic() + wait
        while await _waiting(conn, ids):
            if time.monotonic() > end:
                say("It is stored; the signer has not finished yet, and publishes it when it has.")
                return False
            await asyncio.sleep(_PAUSE)
        return True
    if database.embedded and len(ids) <= MANY:
        _sign_once(database)
        return True
    if database.embedded:
        say(f"It is stored; `ddns serve` signs and publishes these {len(ids)} zones when it is started.")
        return False
    say("It is stored; no signer is connected, so it is published when `zone-signer run` is started.")
    return False


async def _waiting(conn: Connection, ids: Sequence[int]) -> bool:
    return any(zone.signed_pending for zone in (await zones.get(conn, ids)).values())


async def _signer(conn: Connection, database: Database, wait: float) -> bool:
    """Tell whether a signer is connected, or is about to be because its service has just started."""
    end = time.monotonic() + (min(GRACE, wait) if database.embedded and not database.owned else 0)
    while not await signing.signer_connected(conn):
        if time.monotonic() >= end:
            return False
        await asyncio.sleep(_PAUSE)
    return True


def _sign_once(database: Database) -> None:
    """Run the signer once on the embedded database. Raises `Failure`: what was changed is stored all the same."""
    command = program("zone_signer.cli", "once", "--state", str(database.state))
    kept = {name: value for name, value in os.environ.items() if name != "DDNS_DSN"}
    done = subprocess.run(  # noqa: S603 - our own program
        command, env=kept, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1].removeprefix("zone-signer: ")
        raise Failure(f"It is stored, but not signed: {said}")


def say(sentence: str) -> None:
    """Tell people *sentence* on stderr, where it does not get in the way of a pipe."""
    click.echo(f"ddns: {sentence}", err=True)


def print_json(value: Any) -> None:
    """Print *value* for programs."""
    click.echo(json.dumps(value, indent=2))


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]], nothing: str) -> None:
    """Print aligned columns under *head*, or the sentence *nothing*."""
    lines = [list(row) for row in rows]
    if not lines:
        click.echo(nothing)
        return
    widths = [max(len(line[at]) for line in [list(head), *lines]) for at in range(len(head))]
    for number, line in enumerate([list(head), *lines]):
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        click.echo(click.style(text, bold=True) if number == 0 else text)


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print facts one a line, their names aligned; those without a value are left out."""
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        if value:
            click.echo(f"{click.style(name.ljust(width), bold=True)}  {value}")


def when(seconds: int | None) -> str:
    """Return a time, in seconds since 1970, as people read it."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def count(number: int, one: str, many: str = "") -> str:
    """Return *number* with the right form of a word."""
    return f"{number} {one if number == 1 else many or one + 's'}"


shown = names.to_text
