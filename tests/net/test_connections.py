"""The bounds of all connections of a worker: who gets a seat, who loses one, and what is kept for them."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from ddns.net.connections import BURST, CLOSING, ConnectionLimits, Connections, client_of


class Peer:
    """A connection that remembers what was done to it."""

    def __init__(self, in_flight=0):
        self.in_flight = in_flight
        self.seat = None
        self.done = []

    def close(self):
        self.done.append("close")

    def abort(self):
        self.done.append("abort")


class House:
    """A registry on a clock, and peers in it."""

    def __init__(self, **limits):
        self.clock = Clock()
        self.all = Connections(ConnectionLimits(**limits), self.clock)

    def come(self, host="192.0.2.1", in_flight=0):
        peer = Peer(in_flight)
        peer.seat = self.all.admit(host, peer)
        return peer

    def wait(self, seconds):
        for _ in range(seconds):
            self.clock.advance(1)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:0:100::1", "2001:db8:0:1ff::2", True),
        ("2001:db8:0:100::1", "2001:db8:0:200::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::1", True),
    ],
)
def test_a_client_is_an_ipv4_address_or_an_ipv6_56(one, other, same):
    """A home has a /56, and may not have more connections because it has many addresses."""
    assert (client_of(one) == client_of(other)) is same


def test_the_longest_idle_makes_room():
    house = House(clients=2, idle=100)
    first, second = house.come("192.0.2.1"), house.come("192.0.2.2")
    first.seat.touch()

    third = house.come("192.0.2.3")

    assert third.seat is not None
    assert (first.done, second.done) == ([], ["abort"])
    assert len(house.all) == 2


def test_several_that_come_at_once_do_not_all_take_the_same_place():
    """A seat is free when its owner is cut off, not when the reactor says that the connection is gone."""
    house = House(clients=2, idle=100)
    old = [house.come("192.0.2.1"), house.come("192.0.2.2")]

    new = [house.come("192.0.2.3"), house.come("192.0.2.4")]

    assert [one.done for one in old] == [["abort"], ["abort"]]
    assert all(one.seat is not None for one in new)
    assert len(house.all) == 2


def test_where_all_wait_for_answers_the_new_one_goes():
    """Whoever asked first keeps their place; a flood of connections ends nobody's question."""
    house = House(clients=2)
    busy = [house.come("192.0.2.1", in_flight=1), house.come("192.0.2.2", in_flight=1)]

    assert house.come("192.0.2.3").seat is None
    assert [one.done for one in busy] == [[], []]


def test_who_does_not_read_makes_room_though_answers_are_in_flight():
    house = House(clients=1)
    slow = house.come("192.0.2.1", in_flight=1)
    slow.seat.unread(True)

    assert house.come("192.0.2.2").seat is not None
    assert slow.done == ["abort"]


def test_an_idle_connection_is_closed_in_order_and_cut_off_when_it_takes_its_time():
    house = House(idle=10)
    peer = house.come()

    house.wait(10)
    assert peer.done == ["close"]
    house.wait(int(CLOSING))

    assert peer.done == ["close", "abort"]
    assert not len(house.all)


def test_a_message_postpones_the_end():
    house = House(idle=10)
    peer = house.come()

    house.wait(9)
    peer.seat.touch()
    house.wait(9)

    assert peer.done == []


@pytest.mark.parametrize("seconds", [2, 3])
def test_what_has_begun_must_end_in_time(seconds):
    """A message, or a handshake; beginning again does not put the end off."""
    house = House(idle=100)
    peer = house.come()
    peer.seat.begin(3)
    house.wait(2)
    peer.seat.begin(3)

    house.wait(seconds - 2)

    assert peer.done == (["abort"] if seconds == 3 else [])


def test_unread_answers_end_a_connection_though_others_are_in_flight():
    house = House(idle=100, unread=5)
    peer = house.come(in_flight=3)
    peer.seat.unread(True)

    house.wait(4)
    assert peer.done == []
    house.wait(1)

    assert peer.done == ["abort"]


def test_reading_again_is_early_enough():
    house = House(idle=100, unread=5)
    peer = house.come()
    peer.seat.unread(True)
    house.wait(4)
    peer.seat.unread(False)

    house.wait(20)

    assert peer.done == []


@pytest.mark.parametrize(("taken", "expected"), [(1, 10.0), (5, 10.0), (10, 1.0)])
def test_the_idle_time_shrinks_when_more_than_half_are_taken(taken, expected):
    """And what clients are told of it is the same (RFC 7828 §3.1, in units of 100 ms)."""
    house = House(clients=10, idle=10)
    for number in range(taken):
        house.come(f"192.0.2.{number}")

    assert house.all.idle_time() == pytest.approx(expected)
    assert house.all.keepalive() == int(expected * 10)


def test_clients_are_told_the_shorter_time_too():
    """What edns-tcp-keepalive says follows how many connections there are."""
    told = []
    house = House(clients=10, idle=10)
    house.all._advertise = told.append

    for number in range(10):
        house.come(f"192.0.2.{number}", in_flight=1)
        house.clock.advance(1)

    assert told == [100, 100, 100, 100, 100, 82, 64, 46, 28, 10]


def test_what_is_held_for_all_is_bounded_and_the_oldest_holder_goes():
    house = House(held=100)
    first, second, third = (house.come(f"192.0.2.{number}") for number in range(3))
    first.seat.hold(40)
    second.seat.hold(40)
    first.seat.hold(50)

    third.seat.hold(10)
    assert (first.done, house.all.held) == ([], 100)
    third.seat.hold(11)

    assert (first.done, second.done, third.done) == (["abort"], [], [])
    assert house.all.held == 51


def test_who_leaves_holds_nothing():
    house = House(held=100)
    peer = house.come()
    peer.seat.hold(60)

    peer.seat.leave()
    peer.seat.leave()
    peer.seat.hold(60)

    assert house.all.held == 0
    assert not len(house.all)


def test_the_handshakes_of_one_client_are_rationed_and_another_has_its_own():
    house = House(handshakes=2)

    assert [house.all.handshake("192.0.2.1") for _ in range(2 * BURST + 1)] == [True] * 2 * BURST + [False]
    assert house.all.handshake("192.0.2.2")
    house.clock.advance(1)
    assert house.all.handshake("192.0.2.1")


def test_a_connection_that_fails_to_close_does_not_keep_the_others():
    """Its seat goes too, and the bounds go on working."""
    house = House(idle=10)
    broken, other = house.come(), house.come()
    broken.close = lambda: 1 / 0

    house.wait(10)

    assert other.done == ["close"]
    house.wait(int(CLOSING))
    assert not len(house.all)


def test_the_timer_stops_with_the_last_connection():
    """An idle worker does nothing."""
    house = House()
    peer = house.come()
    assert house.clock.getDelayedCalls()

    peer.seat.leave()

    assert not house.clock.getDelayedCalls()
