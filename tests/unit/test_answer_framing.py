"""The messages of a stream: both twins answer the same ones, in their order, however they are cut."""

from __future__ import annotations

import errno
import os
import socket

import pytest
from asking import query
from hypothesis import given
from hypothesis import strategies as st
from streaming import ANSWER, KNOWN, MESSAGE, TABLE, framed
from twins import TWINS, answerer

from ddns.answer.framing import ROOM
from ddns.answer.rrl import Rrl, RrlLimits
from ddns.net.exchange import READ, exchange_of

UNKNOWN = query("none.elsewhere.")
PIECES = st.sampled_from((framed(KNOWN), framed(KNOWN[:-1]), framed(MESSAGE), framed(b""), framed(bytes(11)), KNOWN))


@pytest.fixture(params=TWINS)
def twin(request):
    return answerer(request.param, TABLE, Rrl(RrlLimits()))


def test_answers_stop_before_what_is_not_known(twin):
    octets = framed(KNOWN) * 2 + framed(UNKNOWN) + framed(KNOWN)

    assert twin.frames(octets, 0) == (framed(ANSWER) * 2, len(framed(KNOWN)) * 2)
    assert twin.frames(octets, len(framed(KNOWN)) * 2) == (b"", len(framed(KNOWN)) * 2)
    assert twin.frames(octets, len(octets) - len(framed(KNOWN))) == (framed(ANSWER), len(octets))


def test_what_is_not_whole_is_left(twin):
    """At whatever octet it ends."""
    whole = framed(KNOWN)

    for end in range(len(whole)):
        assert twin.frames(whole + whole[:end], 0) == (framed(ANSWER), len(whole))


def test_answers_that_are_made_at_once_have_a_bound(twin):
    """And the rest comes when they have gone out."""
    many = 2 * ROOM // len(framed(ANSWER))
    octets, at, got = framed(KNOWN) * many, 0, b""

    while at < len(octets):
        answers, at = twin.frames(octets, at)
        assert 0 < len(answers) <= ROOM + 65_537
        got += answers

    assert got == framed(ANSWER) * many


@given(st.lists(PIECES, max_size=6).map(b"".join), st.integers(0, 40), st.integers(0, 400))
def test_both_twins_answer_the_same(octets, at, end):
    """Wherever one begins, and whatever stands there."""
    pure, native = (answerer(one, TABLE, Rrl(RrlLimits())) for one in TWINS)
    octets = octets[:end]
    at = min(at, len(octets))

    assert native.frames(octets, at) == pure.frames(octets, at)


@pytest.mark.parametrize("at", [-1, 3])
def test_an_offset_beyond_the_octets_is_a_mistake_of_ours(at):
    with pytest.raises(ValueError, match="offset"):
        answerer("native", TABLE, Rrl(RrlLimits())).frames(b"\0\0", at)


@pytest.fixture
def pair():
    """Return our end of a connection, non-blocking, and the client's."""
    ours, client = socket.socketpair()
    with ours, client:
        ours.setblocking(False)
        client.settimeout(5)
        yield ours, client


def test_an_exchange_reads_answers_and_sends(twin, pair):
    ours, client = pair
    client.send(framed(KNOWN) * 3)

    assert exchange_of(twin)(ours.fileno()) == 3 * len(framed(KNOWN))
    assert client.recv(READ) == framed(ANSWER) * 3


def test_an_exchange_returns_what_it_does_not_know(twin, pair):
    """And what it knows has been sent."""
    ours, client = pair
    octets = framed(KNOWN) + framed(UNKNOWN) + framed(KNOWN)
    client.send(octets)

    assert exchange_of(twin)(ours.fileno()) == (octets, len(framed(KNOWN)), b"")
    assert client.recv(READ) == framed(ANSWER)


def test_an_exchange_returns_what_the_socket_does_not_take(twin, pair):
    ours, client = pair
    with_room = 0
    while True:
        try:
            with_room += os.write(ours.fileno(), bytes(1000))
        except BlockingIOError:
            break
    client.send(framed(KNOWN))

    octets, at, unsent = exchange_of(twin)(ours.fileno())

    assert (octets, at, unsent) == (framed(KNOWN), len(framed(KNOWN)), framed(ANSWER))


def test_an_exchange_reads_no_more_than_its_share(twin, pair):
    ours, client = pair
    client.send(framed(UNKNOWN) * 1000)

    octets, at, _unsent = exchange_of(twin)(ours.fileno())

    assert (len(octets), at) == (READ, 0)


def test_an_exchange_says_when_there_is_nothing_and_when_there_will_be_nothing(twin, pair):
    ours, client = pair

    with pytest.raises(BlockingIOError):
        exchange_of(twin)(ours.fileno())
    client.shutdown(socket.SHUT_WR)

    assert exchange_of(twin)(ours.fileno()) == 0


def test_an_exchange_with_a_client_that_is_gone_is_an_error_of_the_system(twin, pair):
    """A signal would end the worker."""
    ours, client = pair
    client.send(framed(KNOWN))
    client.close()

    with pytest.raises(OSError, match="Broken pipe") as error:
        exchange_of(twin)(ours.fileno())

    assert error.value.errno == errno.EPIPE
