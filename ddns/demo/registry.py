"""The registry of the demo: `ddns serve` as a child process on an embedded database, and commands beside it."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import dns.exception
import dns.message
import dns.query

from ddns.demo.screen import Broken
from ddns.program import program

PORTS = (5300, 5301, 5302, 5303)  # tried first, because they are easy to type
OTHER_PORTS = range(10_000, 32_768)  # below those that the kernel gives to clients, who may come before the service
START_TIMEOUT = 180.0  # seconds; a first start makes the database, on a machine that may have other things to do
STOP_TIMEOUT = 30.0
COMMAND_TIMEOUT = 180.0
_LONGEST_BASE = 40  # octets of a folder in whose subfolders unix sockets still have short enough addresses


class Registry:
    """The service, its folder and its address; a context manager that leaves nothing behind but a log of failure.

    Its port is *easy* to type, or else one that is not even tried by others of its kind at the same moment.
    """

    def __init__(self, *, easy: bool = True) -> None:
        self.folder = _make_folder()
        self.state = self.folder / "registry"
        self.log = self.folder / "registry.log"
        self.addresses = ["127.0.0.1", *(["::1"] if _has_ipv6() else [])]
        self.port = free_port(self.addresses, PORTS if easy else ())
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # a second Ctrl-C, or a closed terminal, must not leave half of it
        self.stop()
        if kind is not None and not issubclass(kind, KeyboardInterrupt):
            self._keep_log("".join(traceback.format_exception(kind, error, trace)))
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def kept_log(self) -> Path:
        """Return where the log stays after a failure."""
        return self.folder.with_name(f"{self.folder.name}.log")

    def start(self, *options: str) -> None:
        """Start the service, with more *options* if need be, and wait until it answers. Raises `Broken`."""
        words = list(options)
        for address in self.addresses:
            words += ["--listen", f"[{address}]:{self.port}" if ":" in address else f"{address}:{self.port}"]
        command = program("ddns.cli", "serve", "--state", str(self.state), *words)
        self._process = self._leashed(command)
        self._wait()

    def _leashed(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Start a program that goes on, and ends with us."""
        with self.log.open("ab") as log:
            # Its own session, so that Ctrl-C reaches us alone and we end it in order; the leash, so that it
            # ends even if we are killed.
            return subprocess.Popen(  # noqa: S603 - our own program
                [*program("ddns.demo.leash"), str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment(),
                start_new_session=True,
            )

    def _wait(self) -> None:
        assert self._process is not None
        end = time.monotonic() + START_TIMEOUT
        question = dns.message.make_query(".", "SOA")
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise Broken(f"The registry did not start: {self._last_words()}")
            with contextlib.suppress(OSError, dns.exception.DNSException):
                for address in self.addresses:
                    dns.query.udp(question, address, timeout=0.3, port=self.port)
                return
            time.sleep(0.05)
        raise Broken(f"The registry did not answer within {START_TIMEOUT:.0f} s.")

    def check(self) -> None:
        """See that the service still runs. Raises `Broken`."""
        if self._process is not None and self._process.poll() is not None:
            raise Broken(f"The registry has ended: {self._last_words()}")

    def ddns(self, *words: str) -> str:
        """Run a command of ours on the registry's database and return what it printed. Raises `Broken`."""
        done = self.run(*words)
        if done.returncode:
            said = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
            raise Broken(f"`ddns {' '.join(words)}` failed: {said[0].removeprefix('ddns: ')}")
        return done.stdout

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of ours to its end, whatever that is. Raises `Broken` where it does not come."""
        command, started = program("ddns.cli", *words), time.monotonic()
        try:
            done = subprocess.run(  # noqa: S603 - our own program
                command,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=COMMAND_TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Broken(f"`ddns {' '.join(words)}` did not end within {COMMAND_TIMEOUT:.0f} s.") from None
        with self.log.open("a") as log:
            log.write(
                f"$ ddns {' '.join(words[:2])}: {done.returncode}, {time.monotonic() - started:.1f} s\n{done.stderr}"
            )
        return done

    def stop(self) -> None:
        """End the service and wait until it has gone."""
        if self._process is not None:
            end_process(self._process)

    def environment(self) -> dict[str, str]:
        """Return the environment of our commands: this folder's database, whatever the user has set."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DDNS_", "PG"))}
        return kept | {"DDNS_STATE": str(self.state), "PYTHONUNBUFFERED": "1"}

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1].removeprefix("ddns: ") if lines else "it said nothing."

    def _keep_log(self, why: str) -> None:
        with contextlib.suppress(OSError), self.kept_log.open("x") as kept:
            for log in (self.log, self.state / "pg" / "postgres.log"):
                if log.exists():
                    kept.write(f"-- {log.name}\n{log.read_text(errors='replace')}\n")
            kept.write(f"-- the demo\n{why}")


def end_process(process: subprocess.Popen[bytes]) -> None:
    """End *process*, if it has not ended, and wait until it has gone."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _make_folder() -> Path:
    """Make the demo's folder where a unix socket's address is short enough (107 octets, unix(7))."""
    for base in (tempfile.gettempdir(), "/tmp", "/var/tmp"):  # noqa: S108 - a fresh folder is made in it
        if len(os.fsencode(base)) > _LONGEST_BASE or not os.access(base, os.W_OK | os.X_OK):
            continue
        for _ in range(100):
            folder = Path(base) / f"ddns-demo-{secrets.token_hex(2)}"
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
                if os.geteuid() == 0:
                    folder.chmod(0o711)  # Postgres refuses to be root; its own account must get through
                return folder
    raise Broken("There is no temporary folder with a short path to work in; set TMPDIR to one.")


def _has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind(("::1", 0))
        return True
    return False


def free_port(addresses: Sequence[str], first: Sequence[int] = ()) -> int:
    """Return a port that nobody uses, UDP and TCP, on all *addresses*, one of *first* if it can. Raises `Broken`."""
    for port in (*first, *(secrets.choice(OTHER_PORTS) for _ in range(50))):
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for address in addresses:
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    sock = stack.enter_context(
                        socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
                    )
                    if kind == socket.SOCK_STREAM:
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    sock.bind((address, port))
            return port
    raise Broken("There is no free port on the loopback addresses.")
