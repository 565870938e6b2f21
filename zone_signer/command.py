"""What the commands of `zone-signer` share: their options, their way to the database and the vaults, how they fail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import psycopg

from ddns.store.pool import connect
from zone_signer import resealing, settings
from zone_signer.settings import Where
from zone_signer.store import Conn
from zone_signer.vaults import Vaults
from zone_signer.worker import ROLE

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


async def with_connection(dsn: str, work: Callable[[Conn], Awaitable[Result]], patience: float = 0.0) -> Result:
    """Connect, waiting up to *patience* seconds for a database that is away, and do *work*."""
    end = time.monotonic() + patience
    while True:
        try:
            conn = await connect(dsn, ROLE)
            break
        except psycopg.OperationalError:
            if time.monotonic() >= end:
                raise
            await asyncio.sleep(0.2)
    async with conn:
        return await work(conn)
