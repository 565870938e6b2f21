"""One parent for the database, the signer and the workers: start them, say when they die, start them again.

It is plain Python without a reactor, so that nothing which a child does can hang it. Children get a
parent-death signal: a supervisor that is killed leaves nobody behind. Sockets are opened here once and
inherited, so a worker that dies loses no question that has arrived.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import resource
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Protocol

from ddns.dns.codes import MAX_MESSAGE
from ddns.net.steering import keep_apart

PR_SET_PDEATHSIG = 1
FIRST_DELAY, LONGEST_DELAY = 0.05, 5.0  # seconds before a child that died is started again
STEADY = 10.0  # seconds of life after which a child counts as healthy again
STOP_TIMEOUT = 15.0  # seconds for a clean end before SIGKILL
UDP_BUFFER = 4 * 1024 * 1024  # octets of receive buffer to ask for; the kernel may give less

Say = Callable[[str], None]
Address = tuple[str, int]

_SOCKETS = {
    "dns": (socket.SOCK_DGRAM, socket.SOCK_STREAM),
    "tls": (socket.SOCK_STREAM,),
    "https": (socket.SOCK_STREAM,),
    "quic": (socket.SOCK_DGRAM,),
    "web": (socket.SOCK_STREAM,),
    "devices": (socket.SOCK_STREAM,),
}


class AddressTaken(Exception):
    """An address cannot be listened on; the message says which, why, and what to do."""


def _with_parent(parent: int) -> None:
    """Run in the child before it becomes the program: die with the parent, leave its terminal's signals."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)
    os.setpgid(0, 0)


class Child:
    """One process that is kept running: *command* with *config* on its stdin and *environment* added to ours.

    It is `ready` once it says so on its stdout, or at once where it does not *announce* that.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        config: bytes = b"",
        environment: Mapping[str, str] | None = None,
        fds: Sequence[int] = (),
        announces: bool = True,
    ) -> None:
        self.name = name
        self._command = list(command)
        self._config = config
        self._environment = {**os.environ, **(environment or {})}
        self._fds = tuple(fds)
        self._announces = announces
        self.process: subprocess.Popen[bytes] | None = None
        self.ready = False
        self.start_at = 0.0
        self._started = 0.0
        self._delay = FIRST_DELAY

    def start(self, now: float) -> None:
        """Start the process. It says `ready` on its stdout, a pipe; its stderr is ours."""
        self._started = now
        self.ready = not self._announces
        self.process = subprocess.Popen(  # noqa: S603 - our own programs
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment,
            pass_fds=self._fds,
            preexec_fn=functools.partial(_with_parent, os.getpid()),  # noqa: PLW1509 - no threads here
        )
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(self._config)
            self.process.stdin.close()

    def died(self, now: float) -> str:
        """Note that the process has ended, plan its next start, and return how it ended in words."""
        assert self.process is not None
        code = self.process.returncode
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._delay = FIRST_DELAY if now - self._started > STEADY else min(self._delay * 2, LONGEST_DELAY)
        self.start_at = now + self._delay
        self.process = None
        self.ready = False
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"


class Database(Protocol):
    """What the supervisor asks of an embedded Postgres."""

    def alive(self) -> bool:
        """Tell whether it runs."""

    def restart(self) -> None:
        """Start it again; raises where that does not work."""


class Supervisor:
    """Keep *children* and, where *database* is given, an embedded Postgres running until told to stop."""

    def __init__(self, children: Sequence[Child], say: Say, database: Database | None = None) -> None:
        self._children = list(children)
        self._say = say
        self._database = database
        self._database_at = 0.0
        self._stopping = False
        self._selector = selectors.DefaultSelector()

    def run(self, when_ready: Callable[[], None]) -> int:
        """Start everything, call *when_ready* once, and come back with an exit status after SIGTERM or SIGINT."""
        wake, waker = socket.socketpair()
        for end in (wake, waker):
            end.setblocking(False)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        self._selector.register(wake, selectors.EVENT_READ)
        announced = False
        try:
            while not self._stopping:
                now = time.monotonic()
                self._look(now)
                self._start_due(now)
                if not announced and all(child.ready for child in self._children):
                    announced = True
                    when_ready()
                self._wait(wake, now)
        finally:
            self._end_children()
            signal.set_wakeup_fd(-1)
            wake.close()
            waker.close()
        return 0

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _start_due(self, now: float) -> None:
        for child in self._children:
            if child.process is None and now >= child.start_at:
                child.start(now)
                assert child.process is not None
                assert child.process.stdout is not None
                os.set_blocking(child.process.stdout.fileno(), False)
                self._selector.register(child.process.stdout, selectors.EVENT_READ, child)

    def _look(self, now: float) -> None:
        """Find out who has died."""
        for child in self._children:
            if child.process is not None and child.process.poll() is not None:
                with contextlib.suppress(KeyError, ValueError):
                    self._selector.unregister(child.process.stdout)  # type: ignore[arg-type]
                pid = child.process.pid
                how = child.died(now)
                self._say(f"{child.name} (pid {pid}) {how}; it is started again")
        if self._database is not None and now >= self._database_at and not self._database.alive():
            self._say("the embedded database has ended; it is started again")
            try:
                self._database.restart()
            except Exception as error:  # noqa: BLE001 - whatever it is, we try again
                self._say(f"the embedded database does not start: {error}; trying again in {LONGEST_DELAY:.0f} s")
                self._database_at = now + LONGEST_DELAY

    def _wait(self, wake: socket.socket, now: float) -> None:
        due = [child.start_at - now for child in self._children if child.process is None]
        for key, _events in self._selector.select(max(0.0, min([*due, 1.0]))):
            if key.fileobj is wake:
                with contextlib.suppress(BlockingIOError):
                    wake.recv(4096)
                continue
            try:
                said = os.read(key.fd, 4096)
            except BlockingIOError:
                continue
            if b"ready" in said:
                key.data.ready = True
            elif not said:
                self._selector.unregister(key.fileobj)

    def _end_children(self) -> None:
        """End workers first, so that they finish what they took, then the signer that they need for it."""
        running = [child.process for child in self._children if child.process is not None]
        deadline = time.monotonic() + STOP_TIMEOUT
        for process in reversed(running):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def has_ipv6() -> bool:
    """Tell whether this machine can listen on an IPv6 address at all."""
    try:
        _bound("::1", 0, socket.SOCK_DGRAM, shared=False).close()
    except (AddressTaken, OSError):
        return False
    return True


def raise_file_limit() -> int:
    """Let this process and its children open as many files as they may, and return how many that is."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def open_sockets(listen: Mapping[str, Sequence[Address]], workers: int) -> list[list[tuple[str, socket.socket]]]:
    """Open the sockets of each of *workers*: one list of (kind, socket) a worker. Raises `AddressTaken`.

    *listen* says which addresses serve `dns` (UDP and TCP), `tls`, `https` and `quic`, or the desk's `web` and
    `devices`. QUIC is served by the first worker alone: its connections may move to other ports, and only one process
    knows them (RFC 9000 §9).
    """
    out: list[list[tuple[str, socket.socket]]] = [[] for _ in range(workers)]
    for name, addresses in listen.items():
        for host, port in addresses:
            for kind in _SOCKETS[name]:
                _probe(host, port, kind, name)
                for mine in out if name != "quic" else out[:1]:
                    mine.append((name, _bound(host, port, kind, name, shared=True)))
                if name == "dns" and kind == socket.SOCK_DGRAM:
                    for mine in out:  # one more each, for updates
                        mine.append((name, _bound(host, port, kind, shared=True)))
                    keep_apart(out[0][-1][1], workers)
    return out


def _bound(host: str, port: int, kind: socket.SocketKind, name: str = "dns", *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, kind)
    try:
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        elif shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        if kind == socket.SOCK_STREAM and shared:
            sock.listen(512)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if isinstance(error, PermissionError):
            cure = "use a port above 1023, run as root, or give the program CAP_NET_BIND_SERVICE"
        else:
            cure = f"stop who listens there or choose another with --{'listen' if name == 'dns' else name}"
        raise AddressTaken(f"Cannot listen on {where} ({error.strerror}): {cure}.") from None
    return sock


def _probe(host: str, port: int, kind: socket.SocketKind, name: str) -> None:
    """Refuse an address that somebody else listens on: shared sockets would take half of their questions."""
    _bound(host, port, kind, name, shared=False).close()


assert UDP_BUFFER > MAX_MESSAGE
