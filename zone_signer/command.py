"""What the commands of `zone-signer` share: their options, their way to the database and the vaults, how they fail.

Law: what people look at and ask for needs no private key, so that it is done as `ddns_admin`; only a DSN that names the
signer's own user works as that one.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from textwrap import indent
from typing import Any, TypeVar

import click
import psycopg
from psycopg.conninfo import conninfo_to_dict

from ddns.database import open_database
from ddns.dns import names
from ddns.dns.names import BadName, Name
from ddns.store.pool import connect
from zone_signer import resealing, settings
from zone_signer.settings import Where
from zone_signer.store import Conn
from zone_signer.vaults import Vaults
from zone_signer.worker import ROLE

PEOPLE = "ddns_admin"
LONGEST_USER = 64  # letters of a name that events keep

Result = TypeVar("Result")
Command = Callable[..., Any]

_FILE = click.Path(path_type=Path)


class Failure(click.ClickException):
    """What could not be done, in one sentence."""


def _options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for option in options:
            command = option(command)
        return command

    return add


database_options = _options(
    click.option("--state", type=_FILE, help="The folder of the embedded database and keys."),
    click.option("--dsn", help="Use this Postgres (15 or newer) and not an embedded one."),
)
master_option = click.option("--master-key", type=_FILE, help="The file with the key that seals signing keys.")
token_options = _options(
    click.option("--pkcs11-pin", type=_FILE, help="The file with the token's PIN, its owner's alone (mode 0600)."),
    click.option("--pkcs11-token", default="", help="The label of the PKCS#11 token that holds keys."),
    click.option("--pkcs11", type=_FILE, help="The library of a PKCS#11 token, such as that of an HSM."),
)
key_options = _options(token_options, master_option)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def where_of(
    state: Path,
    master_key: Path | None,
    pkcs11: Path | None = None,
    pkcs11_token: str = "",
    pkcs11_pin: Path | None = None,
) -> Where:
    """Return where keys are, by options and the folder *state*."""
    if bool(pkcs11) != bool(pkcs11_token):
        raise click.UsageError("--pkcs11 and --pkcs11-token belong together")
    pin = settings.pin_path(pkcs11_pin)
    return Where(
        settings.master_key_path(master_key, state).absolute(), pkcs11, pkcs11_token, pin.absolute() if pin else None
    )


async def open_vaults(conn: Conn, where: Where) -> Vaults:
    """Open the vaults at *where* for the database at *conn*. Raises `VaultError`."""
    return settings.open_vaults(where, await resealing.any_sealed(conn))


async def with_connection(
    dsn: str, work: Callable[[Conn], Awaitable[Result]], patience: float = 0.0, role: str = ROLE
) -> Result:
    """Connect as *role*, waiting up to *patience* seconds for a database that is away, and do *work*."""
    end = time.monotonic() + patience
    while True:
        try:
            conn = await connect(dsn, role)
            break
        except psycopg.OperationalError:
            if time.monotonic() >= end:
                raise
            await asyncio.sleep(0.2)
    async with conn:
        return await work(conn)


def for_people(dsn: str | None, state: Path | None, work: Callable[[Conn], Awaitable[Result]]) -> Result:
    """Do *work* with a connection that opens no key, and return what it returns."""
    with open_database(dsn, state) as database:
        found = database.dsn_for(PEOPLE)
        user = conninfo_to_dict(found).get("user") or os.environ.get("PGUSER")
        return asyncio.run(with_connection(found, work, role=ROLE if user == ROLE else PEOPLE))


def principal() -> str:
    """Return how events name whoever runs this command."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    said = "".join(letter for letter in user.encode("utf-8", "replace").decode() if letter.isprintable())
    return f"operator:{said[:LONGEST_USER] or os.getuid()}"


def read_name(text: str) -> Name:
    """Return the name that somebody wrote. Raises `Failure`."""
    try:
        return names.from_text(text)
    except BadName as error:
        raise Failure(str(error)) from None


def confirm(question: str, command: str, *, yes: bool) -> None:
    """Have a person say yes to *question*, unless they have; nobody to ask: say what to say, in *command*.

    Raises `Failure` and `click.Abort`.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise Failure(f"{question}; if so, say: {command} --yes")
    click.confirm(f"{question}. Go on?", abort=True, err=True)


def when(at: int) -> str:
    """Return a time, in seconds since 1970, as people read it; all are UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")


def stamp(at: int | None) -> str | None:
    """Return a time, in seconds since 1970, as programs read it (RFC 3339)."""
    return None if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return aligned lines, of which the first, *head*, is bold on a terminal."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    out = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return [click.style(out[0], bold=True), *out[1:]]


class JsonList:
    """A JSON list that is printed while it is read, however long it is."""

    def __init__(self) -> None:
        self._between = "["

    def add(self, row: Any) -> None:
        """Print one more."""
        click.echo(f"{self._between}\n{indent(json.dumps(row, indent=2), '  ')}", nl=False)
        self._between = ","

    def end(self) -> None:
        """Print what comes behind the last."""
        click.echo("[]" if self._between == "[" else "\n]")
