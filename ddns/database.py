"""How every command finds its database: a DSN, or the embedded Postgres of a state folder.

`--dsn`, else `DDNS_DSN`, else the Postgres of `--state`, `DDNS_STATE` or the default folder: the one that
is running there, or one that is started for the time of the command.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ddns import schema
from ddns.postgres import OWNER, SAFE, DatabaseInUse, DatabaseProblem, LocalPostgres, running, socket_dsn

__all__ = ["OWNER_ROLE", "Database", "DatabaseProblem", "default_state", "find_state", "open_database", "secrets_key"]

OWNER_ROLE = "owner"  # whoever migrates: the embedded database's first user, or the DSN's
SECRETS_KEY = "secrets.key"  # seals TSIG secrets in the database
KEY_OCTETS = 32
PATIENCE = 15.0  # seconds until another process has let go of the embedded database
STARTING = 5.0  # seconds that a server may take from its first answer to its schema
POLL = 0.05  # seconds


class Database(msgspec.Struct, frozen=True):
    """A database that has this program's schema.

    *dsn_for* returns the DSN for a role: `ddns_server`, `zone_signer`, `ddns_admin`, or `owner`; hand it
    to `store.pool.connect` with the role's name. *state* holds the keys that are not in the database.
    *postgres* is the embedded Postgres where we started it: *owned*.
    """

    dsn_for: Callable[[str], str]
    state: Path
    embedded: bool
    owned: bool
    postgres: LocalPostgres | None = None


def default_state() -> Path:
    """Return the state folder of one who names none; root's is where another user may reach the database in it."""
    base = os.environ.get("XDG_STATE_HOME")
    if base:
        return Path(base) / "nameplate"
    if os.geteuid() == 0:
        return Path("/var/lib/nameplate")
    return Path.home() / ".local" / "state" / "nameplate"


def find_state(state: Path | None) -> Path:
    """Return *state*, else the folder in `DDNS_STATE`, else the default one."""
    named = state or os.environ.get("DDNS_STATE")
    return Path(named).absolute() if named else default_state().absolute()


@contextmanager
def open_database(
    dsn: str | None, state: Path | None, *, serve: bool = False, settings: Mapping[str, str] = SAFE
) -> Iterator[Database]:
    """Open the database for the time of a command; *serve*: bring the schema of a DSN up to date, own the embedded one.

    A command uses the embedded Postgres that runs, or starts it; a server waits for commands to end, starts it with
    *settings*, and is refused where another server runs. Raises `DatabaseProblem`.
    """
    folder = find_state(state)
    dsn = dsn or os.environ.get("DDNS_DSN") or None
    if dsn is not None:
        (schema.upgrade if serve else schema.check)(dsn)
        yield Database(lambda _role: dsn, folder, embedded=False, owned=False)
        return
    if serve:
        served = LocalPostgres(folder, settings).start(PATIENCE)
        try:
            yield _owned(served)
        finally:
            served.stop()
        return
    with _user_of(folder) as (found, postgres):
        if postgres is not None:
            yield _owned(postgres)
            return
        _check(_dsn_for(found)(OWNER_ROLE))
        yield Database(_dsn_for(found), folder, embedded=True, owned=False)


def _owned(postgres: LocalPostgres) -> Database:
    schema.upgrade(postgres.dsn(OWNER))
    return Database(_dsn_for(postgres.socket_folder), postgres.state, embedded=True, owned=True, postgres=postgres)


def _check(dsn: str) -> None:
    """Check the schema of a database that another process owns, who may be about to make it."""
    end = time.monotonic() + STARTING
    while True:
        try:
            schema.check(dsn)
        except DatabaseProblem:
            if time.monotonic() > end:
                raise
            time.sleep(POLL)
        else:
            return


def _dsn_for(folder: Path) -> Callable[[str], str]:
    return lambda role: socket_dsn(folder, OWNER if role == OWNER_ROLE else role)


@contextmanager
def _user_of(state: Path) -> Iterator[tuple[Path, LocalPostgres | None]]:
    """Yield the socket's folder of the running Postgres of *state*, and that Postgres where we had to start it.

    Who uses it holds a shared lock. Who starts it does so under the exclusive one, and stops it under that
    again: when the commands that came meanwhile have ended.
    """
    postgres = LocalPostgres(state)
    descriptor = postgres.open_users()
    try:
        found = _use_or_start(postgres, descriptor)
        if found is not None:
            yield found, None
            return
        try:
            yield postgres.socket_folder, postgres
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            postgres.stop()
    finally:
        os.close(descriptor)


def _use_or_start(postgres: LocalPostgres, descriptor: int) -> Path | None:
    """Return the socket's folder where it runs, else start it, both with the lock of *descriptor* shared in the end."""
    end = time.monotonic() + PATIENCE
    while True:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        found = running(postgres.state)
        if found is not None:
            return found
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            if running(postgres.state) is None:
                postgres.start(0)
                schema.upgrade(postgres.dsn(OWNER))
                fcntl.flock(descriptor, fcntl.LOCK_SH)
                return None
        except DatabaseInUse:
            # A server is about to start or to stop it.
            if time.monotonic() > end:
                raise
            time.sleep(POLL)
        except BaseException:
            postgres.stop()
            raise


def secrets_key(state: Path) -> bytes:
    """Return the 32 octets of `secrets.key` in *state*, made where it is missing.

    Whoever loses that file loses the TSIG secrets in the database. Raises `DatabaseProblem`.
    """
    path = state / SECRETS_KEY
    for _ in range(2):
        try:
            found = path.stat()
            key = path.read_bytes()
        except FileNotFoundError:
            _make_key(path)
            continue
        except PermissionError:
            raise DatabaseProblem(f"{path} is closed to this user: start as the user who owns it") from None
        if found.st_mode & 0o077:
            raise DatabaseProblem(f"{path} is open to other users: chmod 600 {path}")
        if len(key) != KEY_OCTETS:
            raise DatabaseProblem(f"{path} holds {len(key)} octets, not {KEY_OCTETS}: restore it from a backup")
        return key
    raise DatabaseProblem(f"{path} vanished while it was read")


def _make_key(path: Path) -> None:
    """Write a new key and let it appear complete or not at all; whoever is first wins."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DatabaseProblem(f"{path} cannot be written: {error.strerror}") from None
    try:
        os.write(descriptor, secrets.token_bytes(KEY_OCTETS))
        os.fsync(descriptor)
        try:
            os.link(fresh, path)
        except FileExistsError:
            return
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(folder)
        os.close(folder)
    finally:
        os.close(descriptor)
        fresh.unlink()
