"""A Postgres of our own: made, started and stopped with us, reached through a unix socket alone.

Law: whoever holds the lock in the state folder owns the database; postgres is its direct child and ends
with it, even at SIGKILL (the kernel sends the child a fast shutdown). That signal comes when the thread
that started postgres ends: start it from the main thread. What was committed survives all of this.
"""

from __future__ import annotations

import ctypes
import fcntl
import functools
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from ddns.postgres_binaries import DatabaseProblem, Runner, choose_runner, find, run_as

__all__ = [
    "FAST",
    "OWNER",
    "SAFE",
    "DatabaseInUse",
    "DatabaseProblem",
    "LocalPostgres",
    "running",
    "sized",
    "socket_dsn",
]

OWNER = "ddns_owner"  # the cluster's first user: migrates, owns the tables
DATABASE = "ddns"
SOCKET = ".s.PGSQL.5432"
LONGEST_SOCKET_PATH = 107  # octets, unix(7): sun_path less the final zero
LARGEST_LOG = 4 * 1024 * 1024  # octets, then it is put aside at the next start

# Durable, small, silent about data: statements, parameters and the values in a constraint's detail stay out of the log.
SAFE: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "min_wal_size": "256MB",
    "max_wal_size": "4096MB",
    "checkpoint_timeout": "15min",
    "autovacuum_naptime": "15s",
    "jit": "off",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_checkpoints": "off",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
}
# For tests that may lose everything.
FAST: Mapping[str, str] = {
    **SAFE,
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "shared_buffers": "64MB",
}

_POLL = 0.01  # seconds between two looks at a starting postgres
_SHUTDOWN = 20.0  # seconds for a fast shutdown before an immediate one
_PR_SET_PDEATHSIG = 1  # prctl(2)
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class DatabaseInUse(DatabaseProblem):
    """An embedded Postgres that another process owns."""


def sized(memory_mib: int, log_mib: int) -> Mapping[str, str]:
    """Return the settings of a server that keeps *memory_mib* MiB of pages and gathers *log_mib* MiB of log."""
    return {**SAFE, "shared_buffers": f"{memory_mib}MB", "max_wal_size": f"{log_mib}MB"}


def running(state: Path) -> Path | None:
    """Return the folder of the socket on which the Postgres of *state* answers now, or None."""
    try:
        lines = (state.absolute() / "pg" / "pgdata" / "postmaster.pid").read_text().splitlines()
        folder = Path(lines[4])
        ready = lines[7].strip() == "ready"
    except (OSError, IndexError):
        return None
    if not ready:
        return None
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(folder / SOCKET))
        except OSError:
            return None
    return folder


def socket_dsn(folder: Path, user: str, database: str = DATABASE) -> str:
    """Return the DSN of *user* on the server whose socket is in *folder*."""
    return make_conninfo(host=str(folder), user=user, dbname=database)


class LocalPostgres:
    """The embedded Postgres of one state folder: its data, socket, lock and log are in `STATE/pg`."""

    def __init__(self, state: Path, settings: Mapping[str, str] = SAFE) -> None:
        self.state = state.absolute()
        self.root = self.state / "pg"
        self.data = self.root / "pgdata"
        self._settings = settings
        self._runner: Runner | None = None
        self._socket: Path | None = None
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Return the process id of the postgres that this object started."""
        return self._process.pid if self._process else None

    def dsn(self, user: str = "ddns_admin", database: str = DATABASE) -> str:
        """Return the DSN of *user*; the socket's folder is closed to others, so there is no password."""
        return socket_dsn(self.socket_folder, user, database)

    @property
    def socket_folder(self) -> Path:
        """Return the folder of the socket."""
        if self._socket is None:
            raise RuntimeError("postgres has not been started")
        return self._socket

    def alive(self) -> bool:
        """Tell whether the postgres that this object started still runs."""
        return self._process is not None and self._process.poll() is None

    def start(self, wait: float = 10.0, timeout: float = 120.0) -> LocalPostgres:
        """Make the database where there is none, start it, and return when it answers.

        *wait* is how many seconds another owner of the same folder has to go away, *timeout* how many
        the start may take, recovery after a crash included. Raises `DatabaseProblem`.
        """
        with self._our_folder():
            self._make_folders()
            self._take_lock(wait)
        try:
            self._launch(timeout)
        except BaseException:
            self.stop()
            raise
        return self

    def restart(self, timeout: float = 120.0) -> None:
        """Start postgres again after it has ended by itself. Raises `DatabaseProblem`."""
        if self._lock is None:
            raise RuntimeError("postgres has not been started")
        if not self.alive():
            self._launch(timeout)

    def stop(self) -> None:
        """Stop postgres: sessions are ended, nothing committed is lost."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)  # fast shutdown
            try:
                process.wait(_SHUTDOWN)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGQUIT)  # immediate: the next start recovers
                try:
                    process.wait(_SHUTDOWN)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def open_users(self) -> int:
        """Open the file on which the database's users hold a shared lock; the caller closes the descriptor."""
        with self._our_folder():
            self._make_folders()
            return os.open(self.root / "users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    # -- the folders

    @contextmanager
    def _our_folder(self) -> Iterator[None]:
        try:
            yield
        except PermissionError as error:
            raise DatabaseProblem(
                f"{error.filename or self.state} is closed to the user {os.geteuid()}: "
                "start as the user who owns it, or choose another folder with --state or DDNS_STATE"
            ) from None

    def _make_folders(self) -> None:
        # Root's Postgres runs as another user, who must pass through; what is inside closes itself.
        mode = 0o711 if os.geteuid() == 0 else 0o700
        for folder in (self.state, self.root):
            if not folder.exists():
                folder.mkdir(mode=mode, parents=True, exist_ok=True)
        self._runner = choose_runner(self.data)
        if self._runner is None:
            if self.data.exists() and self.data.stat().st_uid != os.geteuid():
                owner = self.data.stat().st_uid
                raise DatabaseProblem(
                    f"the database in {self.root} belongs to the user {owner}: start as that user or root"
                )
        else:
            if not self.root.stat().st_mode & 0o001:
                self.root.chmod(self.root.stat().st_mode | 0o011)
            self._check_way(self._runner)

    def _check_way(self, runner: Runner) -> None:
        """Refuse a folder that *runner* cannot reach, rather than open its parents to the world."""
        try:
            if run_as(runner, ["/bin/sh", "-c", 'cd -- "$0"', self.root]).returncode == 0:
                return
        except PermissionError:
            raise DatabaseProblem(
                f"Postgres refuses to run as root, and here root may not become the user {runner.name}: "
                "start as a plain user"
            ) from None
        for folder in (*reversed(self.root.parents), self.root):
            if run_as(runner, ["/bin/sh", "-c", 'cd -- "$0"', folder]).returncode != 0:
                raise DatabaseProblem(
                    f"the user {runner.name}, who runs Postgres for root, may not enter {folder}: "
                    "choose another folder with --state or DDNS_STATE (such as /var/lib/nameplate), "
                    f"or chmod o+x {folder}"
                )

    def _socket_folder(self) -> Path:
        """Return a folder for the socket, short enough for its address (unix(7)), closed to others."""
        for parent in (self.root, *_runtime_folders()):
            name = (
                "run" if parent == self.root else "nameplate-" + hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
            )
            folder = parent / name
            if len(os.fsencode(folder / SOCKET)) > LONGEST_SOCKET_PATH:
                continue
            try:
                folder.mkdir(mode=0o700, exist_ok=True)
                self._give(folder)
                found = folder.lstat()
            except OSError:
                if parent == self.root:
                    raise
                continue
            owner = self._runner.uid if self._runner else os.geteuid()
            if found.st_uid == owner and not found.st_mode & 0o077 and not folder.is_symlink():
                return folder
        raise DatabaseProblem(
            f"the path {self.root} is too long for a socket in it: choose a state folder of at most "
            f"{LONGEST_SOCKET_PATH - len('/pg/run/' + SOCKET)} octets with --state or DDNS_STATE"
        )

    def _give(self, folder: Path) -> None:
        if self._runner is not None and folder.lstat().st_uid != self._runner.uid:
            os.chown(folder, self._runner.uid, self._runner.gid, follow_symlinks=False)

    # -- the lock

    def _take_lock(self, wait: float) -> None:
        if self._lock is not None:
            raise RuntimeError("postgres has been started already")
        descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        end = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() < end:
                    time.sleep(0.05)
                    continue
                holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
                os.close(descriptor)
                raise DatabaseInUse(
                    f"the database in {self.root} is in use by process {holder}: "
                    "stop that one first, or choose another folder with --state"
                ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        self._lock = descriptor

    # -- postgres

    def _launch(self, timeout: float) -> None:
        end = time.monotonic() + timeout
        programs = find(self.root, self._runner, self._major())
        self._socket = self._socket_folder()
        self._initialise(programs)
        while True:
            self._wait_for_predecessor(end)
            reason = self._try(programs, end)
            if reason is None:
                break
            # A killed postmaster's children may outlive it for a moment; they hold its shared memory.
            if "shared memory block" not in reason and "postmaster.pid" not in reason:
                raise DatabaseProblem(
                    f"Postgres did not start: {reason or 'it said nothing'} (see {self.root}/postgres.log)"
                )
            if time.monotonic() > end:
                raise DatabaseProblem(
                    f"Postgres did not start in {timeout:.0f} s: {reason} (see {self.root}/postgres.log)"
                )
            time.sleep(0.2)
        self._make_database()

    def _major(self) -> int | None:
        """Return which Postgres made the data, if there are any."""
        try:
            return int(self._read(self.data / "PG_VERSION"))
        except FileNotFoundError:
            return None
        except ValueError:
            raise DatabaseProblem(f"{self.data}/PG_VERSION is damaged: restore {self.data} from a backup") from None

    @staticmethod
    def _read(path: Path) -> str:
        return path.read_text(encoding="utf-8", errors="replace")

    def _initialise(self, programs: Path) -> None:
        """Make the cluster in a folder of another name, so that a torn attempt is never taken for one."""
        fresh = self.root / "pgdata.new"
        shutil.rmtree(fresh, ignore_errors=True)
        if self.data.exists():
            return
        fresh.mkdir(mode=0o700)
        self._give(fresh)
        command: list[str | Path] = [
            programs / "initdb",
            "-D",
            fresh,
            "-U",
            OWNER,
            "--auth-local=trust",
            "--auth-host=reject",
        ]
        command += ["--encoding=UTF8", "--no-locale", "--wal-segsize=4", "--no-instructions"]
        if self._settings.get("fsync") == "off":
            command.append("--no-sync")
        done = run_as(self._runner, command, env=_ENVIRONMENT, preexec_fn=_die_with(os.getpid(), signal.SIGKILL))
        if done.returncode != 0:
            said = " ".join((done.stderr or done.stdout).split())
            raise DatabaseProblem(f"Postgres could not make a database in {self.root}: {said[-400:]}")
        fresh.rename(self.data)

    def _wait_for_predecessor(self, end: float) -> None:
        """Wait until the postgres of an owner that was killed has shut down."""
        while time.monotonic() < end:
            try:
                pid = int(self._read(self.data / "postmaster.pid").split("\n", 1)[0])
                here = Path(f"/proc/{pid}/cwd").readlink() == self.data.resolve()
            except (OSError, ValueError):
                return
            if not here:
                return
            time.sleep(0.05)

    def _try(self, programs: Path, end: float) -> str | None:
        """Start postgres once. Returns None when it answers, or what it said when it ended."""
        path = self.root / "postgres.log"
        if path.exists() and path.stat().st_size > LARGEST_LOG:
            path.replace(self.root / "postgres.log.1")
        command: list[str | Path] = [programs / "postgres", "-D", self.data, "-k", str(self._socket)]
        for setting, value in self._settings.items():
            command += ["-c", f"{setting}={value}"]
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        begin = os.lseek(log, 0, os.SEEK_END)
        try:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                cwd="/",
                env=_ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=self._runner.uid if self._runner else None,
                group=self._runner.gid if self._runner else None,
                extra_groups=[] if self._runner else None,
                # A group of its own: ^C at the terminal must not reach postgres before us.
                process_group=0,
                preexec_fn=_die_with(os.getpid(), signal.SIGINT),  # noqa: PLW1509 - a prctl, nothing that takes a lock
            )
        finally:
            os.close(log)
        while self._process.poll() is None:
            if self._answers(self._process.pid):
                return None
            if time.monotonic() > end:
                self._process.send_signal(signal.SIGQUIT)
                self._process.wait()
                return "it was still starting"
            time.sleep(_POLL)
        with path.open("rb") as said:
            said.seek(begin)
            return " ".join(said.read().decode("utf-8", "replace").split())[-600:]

    def _answers(self, pid: int) -> bool:
        try:
            lines = self._read(self.data / "postmaster.pid").splitlines()
            return int(lines[0]) == pid and lines[7].strip() == "ready"
        except (OSError, IndexError, ValueError):
            return False

    def _make_database(self) -> None:
        with psycopg.connect(self.dsn(OWNER, "postgres"), autocommit=True) as conn:
            if conn.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone() is None:
                conn.execute(f"CREATE DATABASE {DATABASE}")


def _runtime_folders() -> list[Path]:
    """Return the short folders where a socket may be if the state folder's path is long."""
    own = os.environ.get("XDG_RUNTIME_DIR")
    folders = [Path("/run")] if os.geteuid() == 0 else [Path(own)] if own else []
    return [*folders, Path("/tmp")]  # noqa: S108 - a folder of ours in it, with its owner and mode checked


def _die_with(parent: int, death: signal.Signals) -> functools.partial[None]:
    """Return what a child does before exec, so that it gets the signal *death* when *parent* is no more."""
    # Looked up before the fork: a child of a process with threads must not load libraries.
    return functools.partial(_ask_for_signal, ctypes.CDLL(None, use_errno=True).prctl, parent, death)


def _ask_for_signal(prctl: ctypes._NamedFuncPointer, parent: int, death: int) -> None:
    prctl(_PR_SET_PDEATHSIG, death)
    if os.getppid() != parent:  # it ended before the prctl
        os._exit(1)
