"""A million gateways that come back: each sends its update as the gateway agent does, until it is done.

Law: the rules are the agent's own (`ddns.gateway.retry`, `ddns.gateway.client`): UDP, again with the same octets, now
and then by TCP, TCP at once where the answer is truncated, a late answer counts, a fresh signature each minute, and
where the clock is wrong the time that the registry proves. Before the power cut all had their answers by UDP. Each home
has an address of its own that the server has never seen; by UDP they share a socket, for TCP each has its own. Nothing
waits for anybody: homes come when they are due, however slow the server is.
"""

from __future__ import annotations

import base64
import contextlib
import heapq
import itertools
import random
import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import homes
from latency import Latencies
from storm import presign
from storm.datagrams import SLOTS, Datagrams, address_of
from storm.presign import CLOCK, GOOD, KEY, Message

from ddns.auth import tsig
from ddns.auth.principal import Credential, Secret
from ddns.dns import names
from ddns.dns.codes import Rcode
from ddns.gateway import reply, retry, update
from ddns.gateway.client import is_temporary
from ddns.gateway.reply import Reply, Request

FIRST_ADDRESS = 127 << 24 | 16 << 16  # below those of the homes
FIRST, ASKING, AGAIN = range(3)  # what a home is about: its update, what time it is, its update with that time
TURN = 64  # homes that come, and tries that are made, before answers are looked at again
TICK = 0.002  # seconds for which what is due by UDP may gather
ROOM = 640  # octets kept for a message that leaves
EVENTS = 256  # answers looked at before the clock is
SAMPLE = 50  # homes whose new addresses are looked up in the end


def address(number: int) -> bytes:
    """Return the four octets of the home's own address on loopback."""
    return (FIRST_ADDRESS + number).to_bytes(4, "big")


class Home:
    """One home on its way."""

    __slots__ = (
        "began", "coming", "going", "kind", "message", "number", "over", "pauses", "request", "signed_at",
        "stage", "stream", "streaming", "turn",
    )  # fmt: skip

    def __init__(self, number: int, kind: int, message: bytes, began: float, pauses: Iterator[float]) -> None:
        self.number, self.kind, self.message, self.began, self.pauses = number, kind, message, began, pauses
        self.signed_at = began
        self.stage = FIRST
        self.turn = 0
        self.over = False
        self.streaming = False  # by TCP from now on
        self.stream: socket.socket | None = None
        self.going = self.coming = b""
        self.request: Request | None = None  # of the question for the time

    @property
    def zone(self) -> bytes:
        return names.from_text(f"{homes.label(self.number)}.{homes.ORIGIN}")


class Gateways:
    """All homes; `run` has them come back and returns when all have finished or the time is up."""

    def __init__(self, server: tuple[str, int], generation: int, most: int) -> None:
        self._server, self._generation, self._most = server, generation, most
        self._epoll = select.epoll()
        self._datagrams = Datagrams(server)
        self._epoll.register(self._datagrams.fileno(), select.EPOLLIN)
        self._leaving = bytearray(SLOTS * ROOM)
        self._base = address_of(self._leaving)
        self._slot = 0  # how many leave next
        for slot in range(SLOTS):
            self._datagrams.tail(slot, 0, 0)
        self._on_the_way: dict[int, Home] = {}
        self._by_fd: dict[int, tuple[Home, socket.socket]] = {}
        self._timers: list[tuple[float, int, Home, int]] = []
        self._order = itertools.count()
        self._dice = random.Random()
        self._clock_key = Credential(
            0, names.from_text(homes.TSIG_NAME), "tsig", "hmac-sha256",
            secret=Secret(base64.b64decode(homes.TSIG_SECRET)),
        )  # fmt: skip
        self.begun: Counter[int] = Counter()
        self.done: Counter[int] = Counter()
        self.refused: Counter[str] = Counter()  # by kind and rcode
        self.again = self.streams = self.later = self.signed_anew = self.unproved_time = self.held_back = 0
        self.most_open = 0
        self.behind = 0.0  # seconds that a home came too late because this program was busy, at most
        self.waits = Latencies()
        self.since = Latencies()
        self.sample: list[int] = []

    @property
    def open(self) -> int:
        """Return how many homes are on their way."""
        return len(self._on_the_way)

    def run(self, messages: Sequence[Message], start: float, seconds: float, tell: Callable[[], None]) -> float:
        """Return the seconds that it took; *start* is of the monotonic clock, *tell* is called once in a while.

        The kernel wakes this program for answers; what is due is looked at each `TICK`, and leaves together.
        """
        came, number = 0, len(messages)
        while (now := time.monotonic()) < start + seconds:
            for _ in range(TURN):
                if came == number or start + messages[came][0] > now:
                    break
                if len(self._by_fd) >= self._most:
                    self.held_back += 1
                    break
                when, home_number, kind, octets = messages[came]
                came += 1
                self.behind = max(self.behind, now - start - when)
                home = Home(home_number, kind, octets, start + when, retry.waits(self._dice.random))
                self._on_the_way[home_number] = home
                self.begun[kind] += 1
                self._send(home, now)
            for _ in range(TURN):
                if not self._timers or self._timers[0][0] > now:
                    break
                _, _, home, turn = heapq.heappop(self._timers)
                if not home.over and home.turn == turn:
                    self.again += 1
                    self._send(home, now)
            self._flush()
            self.most_open = max(self.most_open, len(self._on_the_way))
            if came == number and not self._on_the_way:
                break
            due = min(
                start + messages[came][0] if came < number else now + TICK,
                self._timers[0][0] if self._timers else now + TICK,
            )
            for fd, events in self._epoll.poll(TICK if due > now else 0, EVENTS):
                if fd == self._datagrams.fileno():
                    self._hear()
                else:
                    self._ready(fd, events)
            tell()
        return time.monotonic() - start

    def close(self) -> None:
        """Give up whoever is still on the way."""
        for home, _ in list(self._by_fd.values()):
            self._end(home)
        self._datagrams.close()
        self._epoll.close()

    # -- tries ----------------------------------------------------------------------------------------------

    def _send(self, home: Home, now: float) -> None:
        turn = home.turn
        home.turn += 1
        if now - home.signed_at > retry.SIGN_ANEW and home.kind != KEY and home.stage != ASKING:
            self._sign(home, int(time.time()) if home.kind == GOOD or home.stage == AGAIN else presign.WRONG_DAY)
            self.signed_anew += 1
        heapq.heappush(self._timers, (now + next(home.pauses), next(self._order), home, home.turn))
        with contextlib.suppress(OSError):
            if home.streaming or retry.by_stream(turn, heard=True):
                self._connect(home)
                return
            if self._slot == SLOTS:
                self._flush()
            slot, size = self._slot, len(home.message)
            self._leaving[slot * ROOM : slot * ROOM + size] = home.message
            self._datagrams.put(slot, self._base + slot * ROOM, size)
            self._datagrams.source(slot, address(home.number))
            self._slot = slot + 1

    def _flush(self) -> None:
        """Send what has gathered; what the kernel has no room for is lost, as on the way."""
        if self._slot:
            self._datagrams.send(0, self._slot)
            self._slot = 0

    def _sign(self, home: Home, now: int) -> None:
        message = presign.wire(
            home.number, self._generation, self._dice.getrandbits(16), self._dice.randbytes(update.NONCE_SIZE)
        )
        home.message = presign.signed(home.number, message, now)
        home.signed_at = time.monotonic()

    def _start_over(self, home: Home, stage: int, now: float) -> None:
        """Have the home send `home.message`, which is another one now, as if it were its first."""
        self._drop(home)
        home.stage, home.turn, home.streaming = stage, 0, False
        home.pauses = retry.waits(self._dice.random)
        self._send(home, now)

    def _ask_time(self, home: Home) -> None:
        """Ask as the agent does: signed for 1970 with a key whose signed error says the time (RFC 8945 §5.2.3)."""
        ident, nonce = self._dice.getrandbits(16), self._dice.randbytes(update.NONCE_SIZE)
        home.message, mac = tsig.sign_request(update.probe(home.zone, ident=ident, nonce=nonce), self._clock_key, 0)
        home.request = Request(home.message, home.zone, self._clock_key, mac)
        self._start_over(home, ASKING, time.monotonic())

    # -- sockets --------------------------------------------------------------------------------------------

    def _socket(self, home: Home) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        # The kernel picks the port when it knows both ends.
        sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        sock.bind((socket.inet_ntoa(address(home.number)), 0))
        return sock

    def _watch(self, home: Home, sock: socket.socket, events: int) -> None:
        self._by_fd[sock.fileno()] = (home, sock)
        self._epoll.register(sock, events)

    def _unwatch(self, sock: socket.socket) -> None:
        if self._by_fd.pop(sock.fileno(), None):
            self._epoll.unregister(sock)
        sock.close()

    def _connect(self, home: Home) -> None:
        if home.stream is not None:
            self._unwatch(home.stream)
        self.streams += 1
        home.going, home.coming = len(home.message).to_bytes(2, "big") + home.message, b""
        home.stream = self._socket(home)
        with contextlib.suppress(BlockingIOError):
            home.stream.connect(self._server)
        self._watch(home, home.stream, select.EPOLLOUT)

    def _drop(self, home: Home) -> None:
        if home.stream is not None:
            self._unwatch(home.stream)
        home.stream = None

    def _end(self, home: Home) -> None:
        home.over = True
        self._on_the_way.pop(home.number, None)
        self._drop(home)

    # -- answers --------------------------------------------------------------------------------------------

    def _hear(self) -> None:
        datagrams = self._datagrams
        for slot in range(datagrams.receive()):
            octets, host = datagrams.answer(slot)
            home = self._on_the_way.get(int.from_bytes(host, "big") - FIRST_ADDRESS)
            if home is not None:
                self._read(home, octets, datagram=True)

    def _ready(self, fd: int, events: int) -> None:
        found = self._by_fd.get(fd)
        if found is None:  # closed earlier in this turn
            return
        home, sock = found
        try:
            if events & select.EPOLLOUT:
                sock.send(home.going)
                self._epoll.modify(sock, select.EPOLLIN)
            else:
                octets = sock.recv(4096)
                home.coming += octets
                size = int.from_bytes(home.coming[:2], "big") + 2
                if len(home.coming) >= max(size, 14):
                    self._read(home, home.coming[2:size], datagram=False)
                elif not octets:
                    self._unwatch(sock)
                    home.stream = None
        except BlockingIOError:
            return
        except OSError:
            if sock is home.stream:
                self._unwatch(sock)
                home.stream = None

    def _read(self, home: Home, octets: bytes, *, datagram: bool) -> None:
        if len(octets) < 12 or octets[:2] != home.message[:2] or not octets[2] & 0x80:
            return
        if octets[2] & 2 and datagram:
            if not home.streaming:
                home.streaming = True
                self._connect(home)
            return
        request = home.request or Request(home.message, home.zone)
        answer = reply.read(octets, request, 0)
        if home.stage == ASKING:
            proved = isinstance(answer, Reply) and answer.proved and answer.server_time is not None
            if isinstance(answer, Reply) and not proved and is_temporary(answer):
                self.later += 1
                return
            self.unproved_time += not proved
            home.request = None
            theirs = answer.server_time if isinstance(answer, Reply) and proved else None
            self._sign(home, int(time.time()) if theirs is None else theirs)
            self._start_over(home, AGAIN, time.monotonic())
            return
        if not isinstance(answer, Reply):
            return
        if not answer.rcode:
            self._finish(home)
            return
        if is_temporary(answer):
            self.later += 1
            return
        if home.kind == CLOCK and home.stage == FIRST and answer.error == Rcode.BADTIME:
            self._ask_time(home)
            return
        self.refused[f"{('good', 'clock', 'key')[home.kind]} {answer.code or answer.rcode}"] += 1
        self._end(home)

    def _finish(self, home: Home) -> None:
        took = time.monotonic() - home.began
        self.done[home.kind] += 1
        self.waits.add(took)
        self.since.add(took)
        number = sum(self.done.values())
        if len(self.sample) < SAMPLE:
            self.sample.append(home.number)
        elif self._dice.random() < SAMPLE / number:
            self.sample[self._dice.randrange(SAMPLE)] = home.number
        self._end(home)
