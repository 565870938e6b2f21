"""`zone-signer master show|add|rotate|retire`: the keys that seal signing keys, and how one takes another's place.

Law: no step makes a signing key that some signer cannot open. A new master key is held by all signers before it seals,
and an old one is removed when no signing key is under it and no signer seals with it.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from ddns.database import open_database
from zone_signer import heartbeat, masters, resealing, settings
from zone_signer.command import Failure, database_options, master_option, with_connection
from zone_signer.heartbeat import Signer
from zone_signer.store import Conn
from zone_signer.vault import MASTER, VaultError
from zone_signer.vaults import Vaults
from zone_signer.worker import ROLE

UNDER_WAY = 600  # seconds after a rotation during which jobs may still bring keys under the master key of before

Result = TypeVar("Result")


@click.group()
def master() -> None:
    """Show and change the master keys, which seal signing keys in the database."""


def _with_both(
    dsn: str | None, state: Path | None, master_key: Path | None, work: Callable[[Conn, Path], Awaitable[Result]]
) -> Result:
    """Do *work* with a connection to the database and the path of the master key."""
    with open_database(dsn, state) as database:
        path = settings.master_key_path(master_key, database.state).absolute()
        return asyncio.run(with_connection(database.dsn_for(ROLE), lambda conn: work(conn, path)))


@master.command()
@database_options
@master_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def show(dsn: str | None, state: Path | None, master_key: Path | None, as_json: bool) -> None:
    """List the master keys that are here or in use, how many signing keys each seals, and which signers hold them."""
    rows = _with_both(dsn, state, master_key, _rows)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        signers = ", ".join(row["signers"]) or "no running signer"
        click.echo(f"{row['id']} {row['here']}; seals {row['keys']} signing keys; held by {signers}")


async def _rows(conn: Conn, path: Path) -> list[dict[str, Any]]:
    here = [vault.master for vault in masters.Files(path).load()]
    waiting = masters.waiting(path)
    counts = await resealing.counts(conn)
    living = [signer for signer in await heartbeat.signers(conn) if signer.living]
    known = dict.fromkeys([*here, *counts, *(one for signer in living for one in signer.masters)])
    return [
        {
            "id": one.hex(),
            "here": _state(one, here, waiting),
            "keys": counts.get(one, 0),
            "signers": [signer.name for signer in living if one in signer.masters],
        }
        for one in known
    ]


def _state(one: bytes, here: Sequence[bytes], waiting: Sequence[bytes]) -> str:
    if one not in here:
        return "is not here"
    if one == here[0]:
        return "seals and opens"
    return "waits to seal" if one in waiting else "opens"


@master.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@database_options
@master_option
def add(file: Path, dsn: str | None, state: Path | None, master_key: Path | None) -> None:
    """Put the master key in FILE beside the one that seals; - makes a new one. It opens, and waits to seal."""
    octets = None if str(file) == "-" else _octets(file)
    with open_database(dsn, state) as database:
        path = settings.master_key_path(master_key, database.state).absolute()
    added = masters.add(path, octets)
    click.echo(f"{added.master.hex()} is in {masters.file_of(path, added.master)}.")
    click.echo(
        "Keep a copy of it, put it beside the master key of every other signer too,"
        " and then say `zone-signer master rotate`."
    )


def _octets(file: Path) -> bytes:
    try:
        with file.open("rb") as reading:
            if os.fstat(reading.fileno()).st_mode & 0o077:
                raise Failure(f"{file} is open to others; make it yours alone with chmod 600")
            return reading.read(MASTER + 1)
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}") from None


@master.command()
@click.argument("ident", metavar="[ID]", required=False, default="")
@database_options
@master_option
def rotate(ident: str, dsn: str | None, state: Path | None, master_key: Path | None) -> None:
    """Have the master key that was added seal from now on, and seal all signing keys under it.

    Say it again after an interruption: it goes on where it was.
    """
    moved, failed, left = _with_both(dsn, state, master_key, lambda conn, path: _rotate(conn, path, ident))
    click.echo(f"{moved} signing keys were sealed anew.")
    for sentence in failed:
        click.echo(f"zone-signer: {sentence}", err=True)
    if left:
        ids = ", ".join(one.hex() for one in left)
        raise Failure(f"{sum(left.values())} signing keys are still under {ids}; say zone-signer master rotate again")


async def _rotate(conn: Conn, path: Path, ident: str) -> tuple[int, Sequence[str], Mapping[bytes, int]]:
    files = masters.Files(path)
    first, *others = [vault.master for vault in files.load()]
    new = _chosen(ident, first, masters.waiting(path))
    if new not in (first, *others):
        raise Failure(f"there is no master key {new.hex()} here; zone-signer master show lists those that are")
    lacking = [signer.name for signer in await heartbeat.signers(conn) if signer.living and new not in signer.masters]
    if lacking:
        raise Failure(
            f"{' and '.join(lacking)} does not hold the master key {new.hex()}: put its file beside the master key"
            " there; a signer looks for new files every minute, one with systemd's credentials when it is started"
        )
    masters.put_first(path, new)
    done = await resealing.reseal_all(conn, Vaults(files.load()))
    left = {one: count for one, count in (await resealing.counts(conn)).items() if one != new}
    return done.moved, done.failed, left


def _chosen(ident: str, first: bytes, waiting: Sequence[bytes]) -> bytes:
    """Return the id of the master key that is to seal: the one named, or that waits, or seals already."""
    if ident:
        return _id(ident)
    if len(waiting) > 1:
        raise Failure(f"{' and '.join(one.hex() for one in waiting)} wait; name one: zone-signer master rotate ID")
    return waiting[0] if waiting else first


@master.command()
@click.argument("ident", metavar="ID")
@database_options
@master_option
def retire(ident: str, dsn: str | None, state: Path | None, master_key: Path | None) -> None:
    """Overwrite and remove the file of the master key ID, which seals no signing key any more."""
    old = _id(ident)
    _with_both(dsn, state, master_key, lambda conn, path: _retire(conn, path, old, time.time()))
    click.echo(f"{old.hex()} is gone from here; do the same at every other signer, and with its copies.")


async def _retire(conn: Conn, path: Path, old: bytes, now: float) -> None:
    first = masters.Files(path).load()[0].master
    if old == first:
        raise Failure(f"{old.hex()} is the master key that seals; add another and rotate first")
    ready = masters.sealing_since(path) + UNDER_WAY
    if now < ready:
        at = datetime.fromtimestamp(ready, UTC)
        raise Failure(
            f"{first.hex()} seals since less than {UNDER_WAY // 60} minutes, and keys under {old.hex()} may still be on"
            f" their way into the database; say it again after {at:%H:%M:%S} UTC"
        )
    sealing = [signer.name for signer in await heartbeat.signers(conn) if _seals(signer, old)]
    if sealing:
        raise Failure(f"{' and '.join(sealing)} still seals with {old.hex()}; say zone-signer master rotate there")
    left = (await resealing.counts(conn)).get(old, 0)
    if left:
        raise Failure(f"{left} signing keys are under {old.hex()}; say zone-signer master rotate first")
    masters.remove(path, old)


def _seals(signer: Signer, master_id: bytes) -> bool:
    return signer.living and signer.masters[:1] == (master_id,)


def _id(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != masters.ID:
        raise VaultError(f"{text} is not the id of a master key, which has 16 hexadecimal digits")
    return found
