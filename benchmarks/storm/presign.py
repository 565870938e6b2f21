"""The homes' messages, made and signed before the storm begins: what signing costs is not taken from the server.

A home's message is what `ddns gateway publish` sends. One home in a hundred has a clock that says 1970, one a key that
is not its home's: half of these do not name the enrolled key, half name it and are signed by another.
"""

from __future__ import annotations

import random

import homes

from ddns.auth import sig0
from ddns.dns import names
from ddns.gateway import update
from ddns.gateway.state import Device

GOOD, CLOCK, KEY = range(3)
ODD = 100  # of so many homes one has a wrong clock and one a wrong key
PIECE = 500  # messages that are made together
STEP = 2_654_435_761  # a prime: homes come in an order that has nothing to do with their names
STRANGER = 1 << 40  # added to a home's number, the number of a key that is nobody's
WRONG_DAY = 86_400  # what a clock says that knows nothing: the second of January 1970

Message = tuple[float, int, int, bytes]  # seconds after the start, the home, its kind, the octets
# Homes there are, how many come, the first of a piece, its size, homes a second, generation, start (since 1970).
Task = tuple[int, int, int, int, float, int, int]


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


def home(at: int, count: int) -> int:
    """Return which of the homes 1 to *count* comes as number *at*: none twice, neighbours far apart."""
    return at * STEP % count + 1


def make(task: Task) -> list[Message]:
    """Return some of the messages, signed for the moments at which they are due."""
    count, take, first, size, rate, generation, start = task
    dice = random.Random(generation << 32 | first)
    out = []
    for at in range(first, min(first + size, take)):
        when, number = (at + dice.random()) / rate, home(at, count)
        out.append((when, number, kind_of(number), first_message(number, generation, dice, start + int(when))))
    return out


def tasks(count: int, take: int, rate: float, generation: int, start: int) -> list[Task]:
    """Return what `make` makes all messages of, in their order."""
    return [(count, take, first, PIECE, rate, generation, start) for first in range(0, take, PIECE)]
