"""The homes' messages, made and signed some seconds before they are sent, in a process of their own.

A home's message is what `ddns gateway publish` sends. One home in a hundred has a clock that says 1970, one a key that
is not its home's: half of these do not name the enrolled key, half name it and are signed by another.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from multiprocessing.queues import Queue

import homes

from ddns.auth import sig0
from ddns.dns import names
from ddns.gateway import update
from ddns.gateway.state import Device

GOOD, CLOCK, KEY = range(3)
ODD = 100  # of so many homes one has a wrong clock and one a wrong key
PIECE = 50  # messages that go through the queue together
AHEAD = 5.0  # seconds of messages that wait to be sent
STEP = 2_654_435_761  # a prime: homes come in an order that has nothing to do with their names
STRANGER = 1 << 40  # added to a home's number, the number of a key that is nobody's
WRONG_DAY = 86_400  # what a clock says that knows nothing: the second of January 1970

Message = tuple[float, int, int, bytes]  # seconds after the start, the home, its kind, the octets


def kind_of(number: int) -> int:
    """Return what is wrong with home *number*: mostly nothing."""
    return {7: CLOCK, 8: KEY}.get(number % ODD, GOOD)


def wire(number: int, generation: int, ident: int, nonce: bytes) -> bytes:
    """Return the update, still to be signed, that gives the home its addresses of *generation*."""
    zone = names.from_text(f"{homes.label(number)}.{homes.ORIGIN}")
    device = Device((homes.ipv4(number, generation), homes.ipv6(number, generation)), ttl=homes.TTL)
    return update.publish(zone, zone, device, None, ident=ident, nonce=nonce)


def signed(number: int, message: bytes, now: int) -> bytes:
    """Return *message* signed with the home's own key at *now*, in seconds since 1970."""
    name = names.from_text(f"{homes.label(number)}.{homes.ORIGIN}")
    return sig0.sign_request(message, homes.private_key(number), name, now)


def first_message(number: int, generation: int, dice: random.Random, now: int) -> bytes:
    """Return what the home sends first, right or wrong."""
    message = wire(number, generation, dice.getrandbits(16), dice.randbytes(update.NONCE_SIZE))
    kind = kind_of(number)
    if kind == CLOCK:
        return signed(number, message, WRONG_DAY)
    if kind == GOOD:
        return signed(number, message, now)
    if number // ODD & 1:
        octets = signed(number, message, now)
        return octets[:-1] + bytes((octets[-1] ^ 1,))
    name = names.from_text(f"{homes.label(number)}.{homes.ORIGIN}")
    return sig0.sign_request(message, homes.private_key(number + STRANGER), name, now)


def order(count: int, take: int) -> Iterator[int]:
    """Yield *take* of the homes 1 to *count*, none twice, neighbours far apart."""
    for at in range(take):
        yield at * STEP % count + 1


def arrivals(count: int, take: int, rate: float, dice: random.Random) -> Iterator[tuple[float, int]]:
    """Yield when each home comes back, in seconds: by chance, but *rate* in every second."""
    for at, number in enumerate(order(count, take)):
        yield (at + dice.random()) / rate, number


def run(
    out: Queue[list[Message]], count: int, take: int, rate: float, generation: int, start: int, cpus: set[int]
) -> None:
    """Put all messages into *out*, signed for the moment at which they are due; *start* in seconds since 1970.

    The queue's bound keeps this process `AHEAD` of the clock and no more. An empty piece is the end.
    """
    os.sched_setaffinity(0, cpus)
    os.nice(5)  # it has time; who measures has none
    dice = random.Random(generation)
    piece: list[Message] = []
    for when, number in arrivals(count, take, rate, dice):
        piece.append((when, number, kind_of(number), first_message(number, generation, dice, start + int(when))))
        if len(piece) == PIECE:
            out.put(piece)
            piece = []
    if piece:
        out.put(piece)
    out.put([])
