"""The connections of one worker, over TCP, TLS, HTTPS and QUIC alike: who may have one, and for how long.

Law: everything about a connection has a bound, and a client that is over one loses its own connection,
nobody else's. Connections in all and per client, the time to finish a handshake or a message, the time
that a client may leave answers unread, the time without a message, and the octets that are kept for
all of them together (RFC 7766 §6.1, §6.2.3; RFC 9210 §4.4).
"""

from __future__ import annotations

import functools
import ipaddress
import itertools
from collections import Counter
from collections.abc import Callable
from math import inf
from typing import Any, Protocol

import msgspec
from twisted.logger import Logger

from ddns.auth.budget import Buckets

log = Logger(namespace="ddns.connections")

SWEEP = 1.0  # seconds between two looks at what is overdue
CLOSING = 2.0  # seconds in which a client may answer an orderly close, before it is cut off
CROWDED = 0.5  # of the connections: above it idle ones are closed sooner
LEAST_IDLE = 0.1  # of the idle time: what is left of it when all connections are taken
LOOK = 64  # connections that are looked at to find one which may go
IPV6_CLIENT = 7  # octets of an IPv6 address that make one client: a /56, as in `ddns.auth.budget`
BURST = 5  # seconds' worth of handshakes that one client may begin at once
CLIENTS_COUNTED = 16_384  # clients whose handshakes are counted at a time
SAY_EVERY = 60.0  # seconds between two lines in the log about a worker that is full


class ConnectionLimits(msgspec.Struct, frozen=True):
    """Bounds for all connections of one worker; times in seconds, *held* in octets.

    *message* is the time for one message from its first octet to its last, *unread* how long a client may
    leave answers unread, *handshake* the time until TLS or QUIC is set up. One client may begin *handshakes*
    of them a second, and `BURST` times as many at once. *held* bounds unfinished messages and unread answers of
    all connections together.
    """

    clients: int = 500
    per_client: int = 50
    in_flight: int = 100
    idle: float = 10.0
    message: float = 10.0
    unread: float = 10.0
    handshake: float = 5.0
    handshakes: float = 20.0
    held: int = 64 * 1024 * 1024


class Connection(Protocol):
    """What the registry asks of a connection."""

    in_flight: int

    def close(self) -> None:
        """Close in an orderly way; the client may take its time over it."""

    def abort(self) -> None:
        """Close at once, whatever is unsent."""


class Seat:
    """One connection's place among the others. Its owner says what happens, and leaves it once."""

    __slots__ = ("_all", "client", "connection", "due", "held", "stalled", "used")

    def __init__(self, connections: Connections, connection: Connection, client: bytes, now: float) -> None:
        self._all = connections
        self.connection = connection
        self.client = client
        self.used = now
        self.due = inf  # when what has begun (a handshake, a message, a close) must have ended
        self.stalled = inf  # when answers must have been read
        self.held = 0

    def touch(self, now: float | None = None) -> None:
        """Note a whole message. Nothing less counts as activity, so that dribbling octets do not."""
        self._all.touched(self, self._all.now() if now is None else now)

    def begin(self, seconds: float) -> None:
        """Expect the end of what has begun within *seconds*; what is expected already is not put off."""
        if self.due == inf:
            self.due = self._all.now() + seconds
            self._all.watch(self)

    def done(self) -> None:
        """Note that what had begun has ended."""
        self.due = inf

    def unread(self, since_now: bool) -> None:
        """Note that the client does not read what it is sent, or that it does again."""
        self.stalled = inf
        if since_now:
            self.stalled = self._all.now() + self._all.limits.unread
            self._all.watch(self)

    def hold(self, octets: int) -> None:
        """Say how many octets are kept for this connection."""
        if octets != self.held:
            self._all.holds(self, octets)

    def leave(self) -> None:
        """Give the seat back; a second time does nothing."""
        self._all.left(self)


class Connections:
    """All connections of one worker."""

    def __init__(
        self, limits: ConnectionLimits, clock: Any, advertise: Callable[[int], None] = lambda _tenths: None
    ) -> None:
        """Begin without any; *advertise* is told every `SWEEP` how long one may be idle (`keepalive`)."""
        self.limits = limits
        self._advertise = advertise
        self._clock = clock  # the reactor, or any other IReactorTime
        self._seats: dict[Seat, None] = {}  # in the order of use
        self._by_client: Counter[bytes] = Counter()
        self._watched: dict[Seat, None] = {}  # those of which something is expected in time
        self._holders: dict[Seat, None] = {}  # in the order in which they began to hold
        self._held = 0
        self._handshakes = Buckets(limits.handshakes * BURST, limits.handshakes, CLIENTS_COUNTED)
        self._sweep: Any = None
        self._said = -inf

    def __len__(self) -> int:
        return len(self._seats)

    @property
    def held(self) -> int:
        """Return how many octets are kept for all connections."""
        return self._held

    def now(self) -> float:
        """Return the seconds of the reactor's clock."""
        seconds: float = self._clock.seconds()
        return seconds

    def later(self, seconds: float, work: Callable[[], None]) -> None:
        """Call *work* in *seconds* of the reactor's clock."""
        self._clock.callLater(seconds, work)

    def admit(self, host: str, connection: Connection) -> Seat | None:
        """Return a seat for *connection* from the address *host*, or None: it must be closed.

        Where all are taken, the connection that has been idle for longest makes room (RFC 9210 §4.4); where
        none is idle, the new one goes.
        """
        client = client_of(host)
        if self._by_client[client] >= self.limits.per_client:
            return None
        if len(self._seats) >= self.limits.clients and not self._make_room():
            return None
        seat = Seat(self, connection, client, self.now())
        self._seats[seat] = None
        self._by_client[client] += 1
        if self._sweep is None:
            self._sweep = self._clock.callLater(SWEEP, self._look)
        return seat

    def handshake(self, host: str) -> bool:
        """Pay for one handshake of the client at *host*, which costs the CPU far more than a question does."""
        return self._handshakes.take(client_of(host), self.now())

    def idle_time(self) -> float:
        """Return for how many seconds a connection may be idle now: less and less above `CROWDED` (RFC 7766 §6.2.3)."""
        crowd = max(0.0, len(self._seats) / self.limits.clients - CROWDED) / (1 - CROWDED)
        return self.limits.idle * (1 - (1 - LEAST_IDLE) * min(1.0, crowd))

    def keepalive(self) -> int:
        """Return the idle time in the units of edns-tcp-keepalive, 100 ms (RFC 7828 §3.1)."""
        return min(round(self.idle_time() * 10), 0xFFFF)

    def close(self) -> None:
        """Close all connections: the worker ends."""
        for seat in list(self._seats):
            self._cut(seat)

    # -- what seats say

    def touched(self, seat: Seat, now: float) -> None:
        """Put *seat* last in the order of use."""
        seats = self._seats
        if seat in seats:
            seat.used = now
            del seats[seat]
            seats[seat] = None

    def watch(self, seat: Seat) -> None:
        """Look whether *seat* does in time what is expected of it."""
        if seat in self._seats:
            self._watched.setdefault(seat)

    def holds(self, seat: Seat, octets: int) -> None:
        """Count what is kept; where it is too much, whoever has held some for longest goes."""
        if seat not in self._seats:
            return
        self._held += octets - seat.held
        seat.held = octets
        if octets:
            self._holders.setdefault(seat)
        else:
            self._holders.pop(seat, None)
        while self._held > self.limits.held and self._holders:
            self._cut(next(iter(self._holders)))

    def left(self, seat: Seat) -> None:
        """Forget *seat*."""
        if seat not in self._seats:
            return
        del self._seats[seat]
        self._watched.pop(seat, None)
        self._holders.pop(seat, None)
        self._held -= seat.held
        seat.held = 0
        self._by_client[seat.client] -= 1
        if not self._by_client[seat.client]:
            del self._by_client[seat.client]
        if not self._seats and self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    # -- what is overdue

    def _make_room(self) -> bool:
        now = self.now()
        if now - self._said >= SAY_EVERY:
            self._said = now
            log.warn(
                "connections.full clients={clients}: the longest idle make room; [tcp] clients allows more",
                clients=self.limits.clients,
            )
        for seat in itertools.islice(self._seats, LOOK):
            if not seat.connection.in_flight or seat.stalled != inf:
                self._cut(seat)
                return True
        return False

    def _cut(self, seat: Seat) -> None:
        # The seat is free at once: several connections may arrive before the reactor says that this one is gone.
        seat.leave()
        seat.connection.abort()

    def _look(self) -> None:
        """Cut off who is overdue and close who is idle. A connection that waits for our answer is not idle.

        Only those are looked at of which something is expected, and the longest unused: thousands that rest cost
        nothing.
        """
        self._sweep = None
        now, idle = self.now(), self.idle_time()
        self._advertise(self.keepalive())
        resting = list(itertools.takewhile(lambda seat: now - seat.used >= idle, self._seats))
        for seat in [*self._watched, *resting]:
            try:
                self._judge(seat, now, idle)
            except Exception:  # noqa: BLE001 - a bug in one connection must not make the others immortal
                seat.leave()
                log.failure("connection.failed")
        if self._seats:
            self._sweep = self._clock.callLater(SWEEP, self._look)

    def _judge(self, seat: Seat, now: float, idle: float) -> None:
        if seat.due == seat.stalled == inf:
            self._watched.pop(seat, None)
        if seat not in self._seats:
            return
        if now >= seat.due or now >= seat.stalled:
            self._cut(seat)
        elif not seat.connection.in_flight and seat.due == inf and now - seat.used >= idle:
            seat.begin(CLOSING)
            seat.connection.close()


@functools.lru_cache(maxsize=4096)
def client_of(host: str) -> bytes:
    """Return what one client is: an IPv4 address, or an IPv6 /56; a scope (`%eth0`) does not matter."""
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return address.packed[:IPV6_CLIENT] if mapped is None else mapped.packed
    return address.packed
