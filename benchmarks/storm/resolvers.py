"""Resolvers that ask at a steady rate, whatever the answers (an open loop), in a process of their own.

Homes are asked for as names are in the world: the k-th most wanted one 1/k as often as the first; one question in
twenty is for a name that does not exist. DO is set; half of the resolvers send DNS cookies as BIND does.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import socket
import time
from array import array
from multiprocessing.connection import Connection

import homes
from latency import Latencies
from make_homes import by_rank, zipf

from ddns.dns import names, wire

SOCKETS = 32  # resolvers, each with an address of its own
IDENTS = 1 << 16
SIZE = 1232  # octets that they take
WAIT = 2.0  # seconds after the last question in which answers still count
TURN = 200  # questions sent before answers are looked at again
MISSING = 0.05  # of the questions
READ = 64  # answers read from one socket before the next
COOKIE = b"\0\x0a\0\x18"  # RFC 7873 §4: option and length of a cookie with the server's half
TYPES = ((b"", 1), (b"", 28), (b"\3cam", 28), (b"\4_443\4_tcp\3cam", 52))


class Resolvers:
    """All resolvers; `ask` sends what is due, `hear` reads what has come."""

    def __init__(self, server: tuple[str, int], count: int, rate: float, seed: int) -> None:
        self._count, self._rate = count, rate
        self._dice = random.Random(seed)
        self._sent_at = array("d", bytes(8 * SOCKETS * IDENTS))
        self._tail = names.from_text(homes.ORIGIN)
        self._epoll = select.epoll()
        self._socks: list[socket.socket] = []
        self._edns: list[bytes] = []
        self._by_fd: dict[int, int] = {}
        for at in range(SOCKETS):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind((f"127.8.{at}.53", 0))
            sock.connect(server)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            self._epoll.register(sock, select.EPOLLIN)
            self._by_fd[sock.fileno()] = at
            self._socks.append(sock)
            options = ((10, self._dice.randbytes(8)),) if at % 2 else ()
            self._edns.append(wire.opt(SIZE, do=True, options=options))
        self.waits = Latencies()
        self.since = Latencies()  # since somebody asked last
        self.asked = self.unsent = self.failed = self.strange = 0

    def ask(self, due: int) -> None:
        """Send questions until *due* have been asked, `TURN` at most."""
        dice, count, tail = self._dice, self._count, self._tail
        for number in range(self.asked, min(due, self.asked + TURN)):
            sub, rdtype = TYPES[dice.getrandbits(2)]
            label = b"h%06d" % by_rank(zipf(dice, count), count)
            if dice.random() < MISSING:
                label += b"-%x" % dice.getrandbits(40)
            at = number % SOCKETS
            ident = number // SOCKETS % IDENTS
            question = b"%b\0\0\0\1\0\0\0\0\0\1%b%c%b%b\0%c\0\1%b" % (
                ident.to_bytes(2, "big"), sub, len(label), label, tail, rdtype, self._edns[at],
            )  # fmt: skip
            self._sent_at[ident * SOCKETS + at] = time.perf_counter()
            try:
                self._socks[at].send(question)
            except OSError:
                self.unsent += 1
            self.asked = number + 1

    def hear(self, patience: float) -> None:
        """Read answers, at least once, waiting *patience* seconds for one."""
        for fd, _ in self._epoll.poll(patience):
            at = self._by_fd[fd]
            recv = self._socks[at].recv
            with contextlib.suppress(OSError):
                for _ in range(READ):
                    octets = recv(4096)
                    slot = int.from_bytes(octets[:2], "big") * SOCKETS + at
                    sent = self._sent_at[slot]
                    if not sent:
                        self.strange += 1
                        continue
                    self._sent_at[slot] = 0.0
                    self.waits.add(took := time.perf_counter() - sent)
                    self.since.add(took)
                    if octets[3] & 15 not in (0, 3) or octets[2] & 2:
                        self.failed += 1
                    if at % 2 and len(self._edns[at]) < 39:
                        self._learn(at, octets)

    def _learn(self, at: int, octets: bytes) -> None:
        """Keep the cookie that the server made for this resolver (RFC 7873 §5.3)."""
        mine = self._edns[at][15:23]
        found = octets.find(COOKIE + mine)
        if found > 0:
            self._edns[at] = wire.opt(SIZE, do=True, options=((10, octets[found + 4 : found + 28]),))

    def close(self) -> None:
        for sock in self._socks:
            sock.close()
        self._epoll.close()


def run(
    pipe: Connection, server: tuple[str, int], count: int, rate: float, seconds: float, start: float, cpus: set[int]
) -> None:
    """Ask for *seconds* from *start* (of the monotonic clock); for whatever comes on *pipe*, send figures."""
    os.sched_setaffinity(0, cpus)
    resolvers = Resolvers(server, count, rate, 1)
    try:
        while (now := time.monotonic() - start) < seconds + WAIT:
            due = int(rate * min(max(now, 0.0), seconds))
            resolvers.ask(due)
            resolvers.hear(0 if resolvers.asked < due else 0.001)
            if pipe.poll():
                pipe.recv()
                pipe.send((resolvers.asked, resolvers.since))
                resolvers.since = Latencies()
            if now > seconds and resolvers.waits.number >= resolvers.asked - resolvers.unsent:
                break
        pipe.send(None)
        pipe.send(
            {
                "asked": resolvers.asked, "planned": int(rate * seconds), "answered": resolvers.waits.number,
                "lost": resolvers.asked - resolvers.waits.number, "failed": resolvers.failed, "waits": resolvers.waits,
                "cpu_s": time.process_time(),
            }
        )  # fmt: skip
    finally:
        resolvers.close()
