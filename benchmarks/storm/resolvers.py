"""Resolvers that ask at a steady rate, whatever the answers (an open loop), in a process of their own.

Homes are asked for as names are in the world: the k-th most wanted one 1/k as often as the first; one question in
twenty is for a name that does not exist. DO is set; half of the resolvers send DNS cookies as BIND does. All questions
are made before the first is asked, no two of the draw are the same but by chance.
"""

from __future__ import annotations

import math
import mmap
import os
import random
import select
import socket
import time
from array import array
from collections import Counter
from multiprocessing.connection import Connection

import homes
from latency import Latencies
from make_homes import by_rank, zipf
from storm.datagrams import LARGEST, SLOTS, Datagrams, address_of

from ddns.dns import names, wire

RESOLVERS = 32  # each with an address of its own
IDENTS = 1 << 16
SIZE = 1232  # octets that they take
WAIT = 2.0  # seconds after the last question in which answers still count
TURN = 256  # questions sent before answers are looked at again
LOOK = 0.05  # seconds between two looks whether somebody asks for figures
TICK = 0.001  # seconds for which the process sleeps where nothing is due
NEVER = 5.0  # seconds that count for a question without an answer
MISSING = 0.05  # of the questions
COOKIE = b"\0\x0a\0\x18"  # RFC 7873 §4: option and length of a cookie with the server's half
COOKIED = 39  # octets of an OPT record with both halves
TAIL = 64  # octets kept for one resolver's
TYPES = ((b"", 1), (b"", 28), (b"\3cam", 28), (b"\4_443\4_tcp\3cam", 52))
STRIDE = 80  # octets kept for one question; the last says how long it is


def questions(count: int, number: int, dice: random.Random) -> mmap.mmap:
    """Return *number* questions about *count* homes, up to their OPT records, at `STRIDE` each."""
    out = mmap.mmap(-1, max(number * STRIDE, 1))
    tail = names.from_text(homes.ORIGIN)
    for at in range(number):
        sub, rdtype = TYPES[dice.getrandbits(2)]
        label = b"h%06d" % by_rank(zipf(dice, count), count)
        if dice.random() < MISSING:
            label += b"-%x" % dice.getrandbits(40)
        ident = at // RESOLVERS % IDENTS
        octets = b"%c%c\0\0\0\1\0\0\0\0\0\1%b%c%b%b\0%c\0\1" % (
            ident >> 8, ident & 255, sub, len(label), label, tail, rdtype,
        )  # fmt: skip
        place = at * STRIDE
        out[place : place + len(octets)] = octets
        out[place + STRIDE - 1] = len(octets)
    return out


class Resolvers:
    """All resolvers; `ask` sends what is due, `hear` reads what has come."""

    def __init__(self, server: tuple[str, int], count: int, number: int, seed: int) -> None:
        dice = random.Random(seed)
        self.planned = number
        self._questions = questions(count, number, dice)
        self._base = address_of(self._questions)
        self._sent_at = array("d", bytes(8 * RESOLVERS * IDENTS))
        self._datagrams = Datagrams(server)
        self._tails = bytearray(RESOLVERS * TAIL)
        self._edns = [b""] * RESOLVERS
        for slot in range(SLOTS):
            self._datagrams.source(slot, socket.inet_aton(f"127.8.{slot % RESOLVERS}.53"))
        for at in range(RESOLVERS):
            options = ((10, dice.randbytes(8)),) if at % 2 else ()
            self._have(at, wire.opt(SIZE, do=True, options=options))
        self._poll = select.poll()
        self._poll.register(self._datagrams.fileno(), select.POLLIN)
        self.waits = Latencies()
        self.since = Latencies()  # since somebody asked last
        self.asked = self.unsent = self.failed = 0

    def _have(self, at: int, edns: bytes) -> None:
        """Have resolver *at* send *edns* from now on."""
        self._edns[at] = edns
        place = at * TAIL
        self._tails[place : place + len(edns)] = edns
        base = address_of(self._tails)
        for slot in range(at, SLOTS, RESOLVERS):
            self._datagrams.tail(slot, base + place, len(edns))

    def ask(self, due: int) -> None:
        """Send questions until *due* have been asked, `TURN` at most."""
        first = self.asked
        slot = first % SLOTS
        last = min(due, first + TURN, first + SLOTS - slot)
        put, lengths, base, sent_at = self._datagrams.put, self._questions, self._base, self._sent_at
        # As it is with slots, a question's number says who asks, and with which ID.
        place = first % (RESOLVERS * IDENTS)
        now = time.perf_counter()
        for number in range(first, last):
            put(slot, base + number * STRIDE, lengths[number * STRIDE + STRIDE - 1])
            sent_at[place] = now
            slot += 1
            place += 1
        sent = self._datagrams.send(first % SLOTS, last - first)
        self.unsent += last - first - sent
        self.asked = last

    def hear(self, patience: float) -> None:
        """Read answers, waiting *patience* seconds for the first."""
        if patience and not self._poll.poll(1000 * patience):
            return
        datagrams, sent_at = self._datagrams, self._sent_at
        count = datagrams.receive()
        if not count:
            return
        now = time.perf_counter()
        column, since = datagrams.column, Counter[float]()
        for slot, (high, low, flags, rcode, at) in enumerate(
            zip(column(0, count), column(1, count), column(2, count), column(3, count), datagrams.hosts(2, count),
                strict=True)
        ):  # fmt: skip
            place = (high << 8 | low) * RESOLVERS + at
            sent = sent_at[place] if at < RESOLVERS else 0.0
            if not sent:
                continue  # nobody waits for it any more
            sent_at[place] = 0.0
            since[sent] += 1
            if rcode & 15 not in (0, 3) or flags & 2:
                self.failed += 1
            if at % 2 and len(self._edns[at]) < COOKIED:
                self._learn(at, datagrams.answer(slot)[0])
        for sent, number in since.items():
            self.waits.add(now - sent, number)
            self.since.add(now - sent, number)

    def _learn(self, at: int, octets: bytes) -> None:
        """Keep the cookie that the server made for this resolver (RFC 7873 §5.3)."""
        mine = self._edns[at][15:23]
        found = octets.find(COOKIE + mine)
        if found > 0:
            self._have(at, wire.opt(SIZE, do=True, options=((10, octets[found + 4 : found + 28]),)))

    def run(self, pipe: Connection, rate: float, start: float) -> dict[str, object]:
        """Ask all from *start* (of the monotonic clock) on and return the figures; who asks on *pipe* gets some."""
        cpu, seconds, told = time.process_time(), self.planned / rate, 0.0
        while (now := time.monotonic() - start) < seconds + WAIT:
            due = int(rate * min(max(now, 0.0), seconds) + 0.5)
            if self.asked < due:
                self.ask(due)
            self.hear(0 if self.asked < due else TICK)
            if now > told + LOOK:
                told = now
                if pipe.poll():
                    pipe.recv()
                    pipe.send((self.asked, self.since))
                    self.since = Latencies()
            if now > seconds and self.waits.number >= self.asked - self.unsent:
                break
        answered = self.waits.number
        self.waits.add(NEVER, self.asked - answered)
        return {
            "asked": self.asked, "planned": self.planned, "answered": answered, "unsent": self.unsent,
            "lost": self.asked - answered, "failed": self.failed, "waits": self.waits,
            "cpu_s": time.process_time() - cpu,
        }  # fmt: skip

    def close(self) -> None:
        self._datagrams.close()


def run(
    pipe: Connection, server: tuple[str, int], count: int, rate: float, times: tuple[float, ...], cpus: set[int]
) -> None:
    """Make the questions of all *times*, each so many seconds, and say so; ask them, each from when *pipe* says."""
    os.sched_setaffinity(0, cpus)
    made = [Resolvers(server, count, math.ceil(rate * seconds), seed) for seed, seconds in enumerate(times)]
    pipe.send(None)
    for resolvers in made:
        start = pipe.recv()
        done = resolvers.run(pipe, rate, start)
        resolvers.close()
        pipe.send(None)
        pipe.send(done)


assert SLOTS % RESOLVERS == 0
assert IDENTS * RESOLVERS % SLOTS == 0
assert SIZE <= LARGEST
