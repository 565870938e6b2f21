"""The waiting room of updates: who is served first, who takes turns with whom, who is sent away, what is bounded."""

from __future__ import annotations

import pytest

from ddns.answer.cookies import Cookies
from ddns.dns import wire as wires
from ddns.dns.asker import Asker, Transport
from ddns.dns.codes import EdnsOption, Rcode
from ddns.net import admission as room
from ddns.net.admission import Admission, AdmissionLimits, come_by_tcp, truncated
from ddns.net.fair import FairQueue

UPDATE = b"\7\7\x28\0" + bytes(8)
COOKIES = Cookies(b"s" * 32)
START = 1_900_000_000.0


class Room:
    """An `Admission` on a clock of its own, whose every update takes *each* seconds."""

    def __init__(self, each: float = 0.0, **limits: object) -> None:
        self.now = START
        self.idle = 0.0
        self.ready = True
        self.each = each
        self.good = False
        self.room = True
        self.sent = 0
        self.answered: list = []
        self.served: list[tuple[str, bytes]] = []
        self.calls: list[float] = []
        self.replies: list[bytes] = []
        self.admission = Admission(
            self.serve,
            AdmissionLimits(**limits),
            COOKIES,
            lambda: self.now,
            self.later,
            self.busy,
            lambda: self.ready,
            lambda: self.room,
        )
        self.pending: list = []

    def busy(self) -> float:
        return self.now - self.idle

    def serve(self, wire: bytes, asker: Asker, reply) -> None:
        self.now += self.each
        self.served.append((asker.source, wire))
        self.answered.append(reply)
        if self.good:
            self.admission.heard(asker.source, True)

    def later(self, delay: float, work) -> None:
        self.calls.append(delay)
        self.pending.append(work)

    def datagram(self, host: str, wire: bytes = b"") -> bool:
        self.sent += 1
        wire = wire or UPDATE[:4] + self.sent.to_bytes(4, "big") + UPDATE[8:]
        asker = self.admission.has_room(wire, host)
        if asker is not None:
            self.admission.put(wire, asker, self.replies.append)
        return asker is not None

    def stream(self, host: str) -> None:
        self.sent += 1
        wire = UPDATE[:4] + self.sent.to_bytes(4, "big") + UPDATE[8:]
        self.admission.take(wire, Asker(Transport.TCP, host), self.replies.append)

    def turn(self) -> list[str]:
        before = len(self.served)
        self.admission.run()
        return [host for host, _ in self.served[before:]]


def with_cookie(host: str) -> bytes:
    shown = COOKIES.renew(b"c" * 8, host, int(START))
    return UPDATE[:-1] + b"\1" + wires.opt(1232, do=False, options=((EdnsOption.COOKIE, shown),))


def test_in_quiet_times_everybody_is_served_at_once():
    """A stranger too."""
    waiting = Room(each=0.0001)
    waiting.datagram("192.0.2.1")
    waiting.stream("192.0.2.2")

    assert sorted(waiting.turn()) == ["192.0.2.1", "192.0.2.2"]
    assert len(waiting.admission) == 0
    assert waiting.turn() == []


def test_who_has_proved_itself_comes_first():
    """Streams, good cookies and addresses that have shown a good signature, then strangers."""
    waiting = Room()
    waiting.admission.heard("192.0.2.3", True)
    for host in ("198.51.100.1", "192.0.2.3"):
        waiting.datagram(host)
    waiting.datagram("192.0.2.4", with_cookie("192.0.2.4"))
    waiting.datagram("198.51.100.2", with_cookie("192.0.2.4"))
    waiting.stream("192.0.2.5")

    order = waiting.turn()

    assert set(order[:3]) == {"192.0.2.3", "192.0.2.4", "192.0.2.5"}
    assert order[3:] == ["198.51.100.1", "198.51.100.2"]


def test_senders_take_turns():
    """One who sent many waits for himself."""
    waiting = Room()
    for _ in range(3):
        waiting.stream("192.0.2.1")
    waiting.stream("192.0.2.2")

    assert waiting.turn() == ["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.1"]


def test_a_turn_has_an_end_and_the_rest_is_served_later():
    """So that questions are answered between two turns."""
    waiting = Room(each=room.TURN / 10)
    for _ in range(30):
        waiting.stream("192.0.2.1")

    assert 10 <= len(waiting.turn()) <= 12
    assert waiting.calls
    while waiting.pending:
        waiting.pending.pop()()
    assert len(waiting.served) == 30


def test_nobody_is_judged_while_too_much_waits_for_its_commit():
    """Not even who has proved itself: it would be refused, and others would wait for nothing."""
    waiting = Room()
    waiting.stream("192.0.2.1")
    waiting.datagram("198.51.100.1")
    waiting.ready = False

    waiting.pending.pop()()
    assert waiting.served == []
    assert waiting.calls[-1] == room.PAUSE

    waiting.ready = True
    waiting.pending.pop()()
    assert [host for host, _ in waiting.served] == ["192.0.2.1", "198.51.100.1"]


def test_strangers_have_a_share_of_the_time():
    """However many they are; and they have it however busy others keep the worker."""
    waiting = Room(each=0.0001, share=0.2, waiting=100_000, per_source=100_000)
    for _ in range(50_000):
        waiting.datagram("198.51.100.1")
    for _ in range(1000):
        waiting.now += 0.001
        waiting.turn()

    elapsed = waiting.now - START
    spent = len(waiting.served) * 0.0001
    assert 0.15 * elapsed <= spent <= 0.2 * (elapsed + room.SAVED) + 0.01

    waiting.each = room.TURN
    waiting.served.clear()
    for _ in range(100):
        waiting.stream("192.0.2.1")
        waiting.now += 0.001
        waiting.turn()
    assert any(host == "198.51.100.1" for host, _ in waiting.served)


@pytest.mark.parametrize(("used", "least", "most"), [(0.0, 0.85, 1.0), (0.5, 0.4, 0.6), (0.95, 0.15, 0.25)])
def test_strangers_get_the_time_that_nobody_else_uses(used, least, most):
    """After a power cut all are strangers, and the worker has hardly anything else to do."""
    waiting = Room(each=0.0001, share=0.2, waiting=100_000, per_source=100_000)
    for _ in range(90_000):
        waiting.datagram("198.51.100.1")
    for _ in range(4000):
        waiting.now += used * 0.0005
        before = len(waiting.served)
        waiting.turn()
        rest = 0.0005 * (1 - used) - (len(waiting.served) - before) * waiting.each
        waiting.now += max(0.0, rest)
        waiting.idle += max(0.0, rest)

    assert least <= len(waiting.served) * 0.0001 / (waiting.now - START) <= most


def test_good_signatures_of_strangers_are_not_taken_from_their_share():
    """After a power cut all are strangers, and a worker that is busy with them would otherwise send most away."""
    waiting = Room(each=0.0001, share=0.2, waiting=100_000, per_source=100_000)
    waiting.good = True
    for number in range(50_000):
        waiting.datagram(f"198.51.{number >> 8}.{number & 255}")

    assert len(waiting.turn()) >= room.TURN / waiting.each
    for _ in range(100):
        assert len(waiting.turn()) >= room.TURN / waiting.each


def test_while_most_of_what_strangers_send_is_good_nobody_has_to_prove_its_address():
    """At first, and as soon as half of it is not, who finds no room is told to come by TCP."""
    waiting = Room(each=0.001, waiting=100_000, share=1.0)

    def judged(number: int, *, good: bool) -> bool:
        waiting.good = good
        for _ in range(number):
            waiting.sent += 1
            waiting.datagram(f"198.51.{waiting.sent >> 8 & 255}.{waiting.sent & 255}")
            waiting.now += 1
            waiting.turn()
        return waiting.admission.is_trusting

    assert not waiting.admission.is_trusting
    assert not judged(5, good=False)
    assert judged(6, good=True)
    assert judged(2000, good=True)
    assert not judged(600, good=False)
    assert judged(600, good=True)


def test_who_had_to_wait_for_its_key_goes_on_in_its_turn():
    """Before others of its class that have not begun, and no more of them in a turn than have time."""
    waiting = Room(each=room.TURN / 10)
    waiting.admission.heard("192.0.2.1", True)
    for host in ("198.51.100.1", "192.0.2.1"):
        waiting.datagram(host, UPDATE)
    for host in ("198.51.100.2", "192.0.2.2"):
        asker = Asker(Transport.TCP if host == "192.0.2.2" else Transport.UDP, host)
        waiting.admission.go_on(asker, lambda asker=asker: waiting.serve(UPDATE, asker, waiting.replies.append))

    assert waiting.turn() == ["192.0.2.2", "192.0.2.1", "198.51.100.2", "198.51.100.1"]

    proved = Asker(Transport.TCP, "192.0.2.2")
    for _ in range(30):
        waiting.admission.go_on(proved, lambda: waiting.serve(UPDATE, proved, waiting.replies.append))
    assert 10 <= len(waiting.turn()) <= 12
    while waiting.pending:
        waiting.pending.pop()()
    assert len(waiting.admission) == 0


def test_no_stranger_is_served_while_too_many_keys_are_being_looked_up():
    """It would be refused; who is known is served, and goes on."""
    waiting = Room()
    waiting.room = False
    waiting.datagram("198.51.100.1")
    waiting.stream("192.0.2.1")

    waiting.pending.pop()()
    assert [host for host, _ in waiting.served] == ["192.0.2.1"]
    assert waiting.calls[-1] > 0

    waiting.room = True
    assert waiting.turn() == ["198.51.100.1"]


def test_a_datagram_that_comes_again_does_not_wait_twice():
    """Its answer goes to where it came from last; another update of the same sender waits behind it."""
    waiting = Room()
    asker = Asker(Transport.UDP, "198.51.100.1")
    earlier, later = [], []
    waiting.admission.put(UPDATE, asker, earlier.append)
    waiting.admission.put(UPDATE, asker, later.append)
    waiting.admission.put(UPDATE + b"else", asker, earlier.append)

    waiting.turn()

    assert waiting.served == [("198.51.100.1", UPDATE), ("198.51.100.1", UPDATE + b"else")]
    for reply in waiting.answered:
        reply(b"answer")
    assert (earlier, later) == ([b"answer"], [b"answer"])


def test_what_is_under_way_does_not_begin_again():
    """Who sends the same again waits along: a datagram is answered once, each stream once, others not with it."""
    waiting = Room()
    here, there = Asker(Transport.UDP, "198.51.100.1"), Asker(Transport.UDP, "198.51.100.2")
    first, again, other, stream = [], [], [], []
    waiting.admission.put(UPDATE, here, first.append)
    waiting.turn()
    waiting.admission.put(UPDATE, here, again.append)
    waiting.admission.take(UPDATE, Asker(Transport.TCP, "198.51.100.1"), stream.append)
    waiting.admission.put(UPDATE, there, other.append)
    waiting.turn()

    assert [host for host, _ in waiting.served] == ["198.51.100.1", "198.51.100.2"]
    waiting.answered[0](b"answer")
    assert (first, again, stream, other) == ([], [b"answer"], [b"answer"], [])

    waiting.admission.put(UPDATE, here, first.append)  # it was answered, and lost on the way
    waiting.turn()
    assert len(waiting.served) == 3


def test_copies_that_wait_along_are_bounded():
    """A stream too many is told, a datagram too many is lost."""
    waiting = Room()
    waiting.admission.put(UPDATE, Asker(Transport.UDP, "198.51.100.1"), waiting.replies.append)
    waiting.turn()
    for _ in range(room.ALONG):
        waiting.admission.take(UPDATE, Asker(Transport.TCP, "198.51.100.1"), waiting.replies.append)
    assert waiting.replies == []

    waiting.admission.take(UPDATE, Asker(Transport.TCP, "198.51.100.1"), waiting.replies.append)

    (refused,) = waiting.replies
    assert refused[3] & 15 == Rcode.SERVFAIL
    waiting.answered[0](b"answer")
    assert waiting.replies[1:] == [b"answer"] * (room.ALONG + 1)


def test_while_strangers_are_trusted_who_came_last_is_served_first():
    """And where there is no room for all, who has waited longest is lost; a sender with too many makes no room."""
    waiting = Room(each=0.001, waiting=3, per_source=2)
    waiting.good = True
    for number in range(10):
        waiting.datagram(f"192.0.2.{number}")
        waiting.turn()
    assert waiting.admission.is_trusting
    waiting.ready = False
    for host in ("198.51.100.1", "198.51.100.2", "198.51.100.2", "198.51.100.3"):
        assert waiting.datagram(host)
    assert not waiting.datagram("198.51.100.2")

    waiting.ready = True
    order = []
    while len(waiting.admission):
        order += waiting.turn()

    assert order == ["198.51.100.3", "198.51.100.2", "198.51.100.2"]


def test_a_stranger_who_sends_again_counts_as_who_came_last():
    """While strangers are trusted; else it would wait for ever behind those who come."""
    waiting = Room(each=0.001)
    waiting.good = True
    for number in range(10):
        waiting.datagram(f"192.0.2.{number}")
        waiting.turn()
    waiting.ready = False
    waiting.datagram("198.51.100.1", UPDATE)
    waiting.datagram("198.51.100.2")
    waiting.datagram("198.51.100.1", UPDATE)
    waiting.ready = True

    assert waiting.turn() == ["198.51.100.1", "198.51.100.2"]


@pytest.mark.parametrize("again", ["198.51.100.2", "198.51.100.3"], ids=["waits", "is under way"])
def test_a_stranger_who_sends_again_costs_nobody_his_place(again):
    """Where there is no room for more, while strangers are trusted: what waits or is under way needs none."""
    waiting = Room(each=0.001, waiting=2)
    waiting.datagram("198.51.100.3", UPDATE)
    assert waiting.turn() == ["198.51.100.3"]
    waiting.good = True
    for number in range(10):
        waiting.datagram(f"192.0.2.{number}")
        waiting.turn()
    assert waiting.admission.is_trusting
    waiting.ready = False
    waiting.datagram("198.51.100.1")
    waiting.datagram("198.51.100.2", UPDATE)

    waiting.datagram(again, UPDATE)

    waiting.ready = True
    assert waiting.turn() == ["198.51.100.2", "198.51.100.1"]


def test_whoever_reads_sees_to_those_who_wait_once():
    """Where a later turn has been arranged nothing is done now: one turn of the loop has one of updates."""
    waiting = Room(each=room.TURN)
    for _ in range(3):
        waiting.stream("192.0.2.1")
    waiting.pending.clear()

    waiting.admission.attend()

    assert waiting.served == []
    waiting.turn()
    assert len(waiting.served) == 1


@pytest.mark.parametrize("known", [False, True])
def test_above_its_bound_a_sender_is_sent_away_and_others_are_not(known):
    """At n there is room, at n + 1 there is none."""
    waiting = Room(per_source=5)
    if known:
        waiting.admission.heard("192.0.2.1", True)

    assert [waiting.datagram("192.0.2.1") for _ in range(6)] == [True] * 5 + [False]
    assert waiting.datagram("192.0.2.2")
    assert waiting.datagram("192.0.2.1", with_cookie("192.0.2.1"))


def test_the_classes_are_bounded_apart():
    """Strangers who fill theirs leave room for those who are known, and these for those who have proved it."""
    waiting = Room(waiting=16, per_source=16)
    for number in range(10):
        waiting.admission.heard(f"192.0.2.{number}", True)
    for number in range(40):
        waiting.datagram(f"198.51.100.{number}")
    assert len(waiting.admission) == 16
    for number in range(40):
        waiting.datagram(f"192.0.2.{number % 10}")
    assert len(waiting.admission) == 32
    for _ in range(40):
        waiting.stream("192.0.2.1")

    assert len(waiting.admission) == 32 + 16
    assert [reply[3] & 15 for reply in waiting.replies] == [2] * 24  # SERVFAIL


def test_an_address_is_known_for_a_time():
    """And a bounded number of them; the one that was heard least recently is forgotten."""
    waiting = Room(known=2, known_for=10.0)
    for host in ("192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.3"):
        waiting.admission.heard(host, True)
    for host in ("198.51.100.1", "192.0.2.1", "192.0.2.2", "192.0.2.3"):
        waiting.datagram(host)
    assert waiting.turn() == ["192.0.2.1", "192.0.2.3", "198.51.100.1", "192.0.2.2"]

    waiting.now += 10
    for host in ("198.51.100.1", "192.0.2.1"):
        waiting.datagram(host)
    assert waiting.turn() == ["198.51.100.1", "192.0.2.1"]


def test_too_many_wrong_signatures_make_an_address_a_strangers():
    """Until the next good one; a few do not."""
    waiting = Room(doubts=3)
    waiting.admission.heard("192.0.2.1", True)

    def order() -> list[str]:
        waiting.datagram("198.51.100.1")
        waiting.datagram("192.0.2.1")
        return waiting.turn()

    for _ in range(3):
        waiting.admission.heard("192.0.2.1", False)
    assert order() == ["192.0.2.1", "198.51.100.1"]
    waiting.admission.heard("192.0.2.1", False)
    assert order() == ["198.51.100.1", "192.0.2.1"]
    waiting.admission.heard("192.0.2.1", True)
    assert order() == ["192.0.2.1", "198.51.100.1"]


def test_a_clock_that_is_set_gives_strangers_nothing():
    """And takes nothing either."""
    waiting = Room(each=0.001, share=0.2, waiting=1000, per_source=1000)
    for _ in range(500):
        waiting.datagram("198.51.100.1")
    for _ in range(200):
        waiting.turn()
    served = len(waiting.served)
    waiting.now -= 3600
    waiting.turn()
    assert len(waiting.served) <= served + 1

    waiting.now += 1
    assert waiting.turn()


def test_to_come_by_tcp_is_short_and_no_success():
    """Twelve octets: the id, QR, UPDATE, TC, REFUSED, and no counts."""
    assert come_by_tcp(UPDATE + bytes(300)) == b"\7\7\xaa\5" + bytes(8)
    assert truncated(b"\7\7\xa8\5" + bytes(8)) == b"\7\7\xaa\5" + bytes(8)


def test_a_queue_is_fair_and_bounded():
    """In all and for each owner; the order of one owner's items stays."""
    queue: FairQueue[int] = FairQueue(4, 2)
    queue.add("a", 1)
    queue.add("a", 2)
    assert (queue.is_full("a"), queue.is_full("b")) == (True, False)
    queue.add("b", 3)
    queue.add("c", 4)
    assert queue.is_full("d")

    assert queue.take_many(3) == [1, 3, 4]
    assert queue.take_many(3) == [2]
    assert len(queue) == 0
    with pytest.raises(KeyError):
        queue.take()


def test_a_queue_serves_who_came_last_where_it_is_asked_to():
    """The oldest of an owner's items; who is renewed counts as who came last, and room is made at others' cost."""
    queue: FairQueue[int] = FairQueue(4, 2)
    for owner, item in (("a", 1), ("a", 2), ("b", 3), ("c", 4)):
        queue.add(owner, item)
    assert (queue.has_most("a"), queue.has_most("d")) == (True, False)
    queue.make_room()  # 1 is lost
    queue.make_room()
    queue.add("d", 5)
    queue.renew("b")

    assert [queue.take(last=True) for _ in range(4)] == [3, 5, 2, 4]
    assert len(queue) == 0
    with pytest.raises(KeyError):
        queue.take(last=True)
