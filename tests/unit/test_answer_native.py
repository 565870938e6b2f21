"""The native twin says what the pure twin says, octet for octet, whatever comes; and it holds nothing of its own."""

import gc
import socket
import sys
import time
import weakref

import pytest
from arriving import arrived
from asking import UDP, query
from published import image
from twins import answerer

from ddns.answer.answer import Answer
from ddns.answer.compile import Draft
from ddns.answer.responder import Responder
from ddns.answer.rrl import Rrl, RrlLimits
from ddns.answer.table import Table
from ddns.dns.codes import FLAG_AA, UDP_MAX_PAYLOAD

ZONE = """$TTL 300
@ SOA ns1 admin 1 7200 3600 1209600 60
@ NS ns1
ns1 A 192.0.2.1
www A 192.0.2.10
www AAAA 2001:db8::1
"""
OCTETS = (0x00, 0x01, 0x02, 0x08, 0x10, 0x20, 0x29, 0x3F, 0x40, 0x41, 0x5A, 0x5B, 0x7F, 0x80, 0xC0, 0xFF)
FORMS = ({"edns": False}, {"do": False}, {"do": True}, {"do": True, "payload": 512}, {"do": True, "payload": 4096})


@pytest.fixture
def table():
    table = Table()
    table.install(image(ZONE, "example."))
    responder = Responder(table)
    for form in FORMS:
        for name in ("www.example.", "example."):
            responder.respond(query(name, **form), UDP)
    return table


@pytest.fixture
def native(table):
    return answerer("native", table, Rrl(RrlLimits()))


def same(table, native, message):
    """Tell what both twins know."""
    known = table.lookup(message)
    assert native.lookup(message) == known, message.hex()
    return known


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["www.example.", "WwW.eXaMpLe.", "example."])
@pytest.mark.parametrize("flags", [0, 0x0100, 0x0020, 0x0010, 0x0130])
def test_what_is_remembered_is_told_in_the_asker_s_spelling(table, native, name, form, flags):
    known = same(table, native, query(name, flags=flags, **form))

    assert known is not None


@pytest.mark.parametrize("form", FORMS)
def test_a_question_that_is_cut_anywhere_is_python_s(table, native, form):
    message = query("www.example.", **form)

    for end in range(len(message)):
        assert same(table, native, message[:end]) is None
    assert same(table, native, message + b"\0") is None


@pytest.mark.parametrize("form", FORMS)
def test_a_question_with_any_octet_changed_is_as_good_to_both(table, native, form):
    message = query("www.example.", **form)

    for at in range(len(message)):
        for octet in OCTETS:
            same(table, native, message[:at] + bytes((octet,)) + message[at + 1 :])


@pytest.mark.parametrize("size", [253, 254, 255, 256, 257, 300])
def test_a_name_may_be_as_long_as_names_are(table, native, size):
    """255 octets (RFC 1035 §2.3.4); a longer one is remembered by nobody."""
    name = b"".join(bytes((min(63, left - 1),)) + b"a" * min(63, left - 1) for left in _labels(size - 1)) + b"\0"
    assert len(name) == size
    question = name + b"\0\1\0\1"
    table.remember(question, Answer(FLAG_AA, 1, 0, 0, b"answer"), Draft(), edns=False, do=False)
    message = b"\1\2\0\0\0\1\0\0\0\0\0\0" + question

    assert (native.lookup(message) is not None) == (size <= 255)
    if size <= 255:
        assert same(table, native, message).endswith(b"answer")


def _labels(octets):
    """Yield how many octets are left before each label."""
    while octets > 0:
        yield octets
        octets -= min(64, octets)


@pytest.mark.parametrize("less", [0, 1])
def test_an_answer_may_be_as_long_as_a_datagram(table, native, less):
    """And one that would not fit beside what the asker can take is Python's."""
    message = query("big.example.", do=True)
    room = UDP_MAX_PAYLOAD - len(message) - less
    table.remember(message[12:-11], Answer(FLAG_AA, 1, 0, 0, b"x" * room), Draft(), edns=True, do=True)

    assert len(same(table, native, message)) == UDP_MAX_PAYLOAD - less
    assert same(table, native, query("big.example.", do=True, payload=UDP_MAX_PAYLOAD - 1)) is None


def test_what_stands_in_the_table_in_another_shape_is_python_s(table, native):
    """It reads only what it has looked at; there is no trust in what Python left there."""
    message = query("www.example.", do=True)
    question = message[12:-11]
    counts, body = table._signed[question]
    for entry in (None, (), (counts,), (counts, None), (counts[:5], body), (bytearray(counts), body), [counts, body]):
        table._signed[question] = entry
        assert native.lookup(message) is None
    table._signed[question] = counts, body + bytes(UDP_MAX_PAYLOAD)
    assert native.lookup(message) is None
    for form in (None, (), (table._signed, b"", 0), (None, table._opt_do, 0), (table._signed, table._opt_do, -1)):
        table._tails[message[-11:]] = form
        assert native.lookup(message) is None


@pytest.mark.parametrize("message", [None, "text", bytearray(12), 7])
def test_only_octets_are_looked_up(native, message):
    with pytest.raises(TypeError):
        native.lookup(message)


def test_it_wants_a_table():
    native = type(answerer("native", Table(), Rrl(RrlLimits())))
    with pytest.raises(AttributeError):
        native(object(), Rrl(RrlLimits()))
    with pytest.raises(AttributeError):
        native(Table(), object())


def test_what_changes_in_the_table_shows_at_once(table, native):
    message = query("www.example.", do=True)
    assert same(table, native, message) is not None

    table.forget(1)

    assert same(table, native, message) is None


def test_it_keeps_no_answer_alive(table, native):
    """As many references afterwards as before: nothing is leaked, nothing released twice."""
    message = query("www.example.", do=True)
    held = [table._signed[message[12:-11]], table._tails, table._tails[message[-11:]], table._opt_do, *table._signed]
    held += [None, message]
    before = [sys.getrefcount(one) for one in held]
    for _ in range(1000):
        native.lookup(message)
        native.lookup(message[:-1])
        native.lookup(query("other.example."))

    assert all(abs(now - then) < 100 for now, then in zip(map(sys.getrefcount, held), before, strict=True))


def test_it_goes_with_its_table():
    """It takes part in the collection of cycles: a table that points to it, and all that it holds, can go."""

    class Marked(Table):
        __slots__ = ("__weakref__", "twin")

    table = Marked()
    table.twin = answerer("native", table, Rrl(RrlLimits()))
    seen = []
    weakref.finalize(table, seen.append, "gone")
    del table
    gc.collect()

    assert seen == ["gone"]


def test_no_drain_begins_within_a_drain(table):
    """What a drain calls may not use its buffers."""
    failures = []

    class Reentering(Rrl):
        def judge(self, request, answer, host, now):
            try:
                native.drain(server.fileno(), False, 64, now)
            except RuntimeError as error:
                failures.append(error)
            return answer

    rrl = Reentering(RrlLimits(answers=1, errors=1, every=1, exempt=()))
    native = answerer("native", table, rrl)
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        server.bind(("127.0.0.1", 0))
        for _ in range(3):
            client.sendto(query("www.example."), server.getsockname())
        arrived()
        rrl.turn(time.time())
        seen, aside = native.drain(server.fileno(), False, 64, time.time())

    assert (seen, aside) == (3, [])
    assert len(failures) == 2


@pytest.mark.parametrize("answers", [0, 1, 5, 100, 200, 40_000, 90_000])
def test_a_batch_finds_each_answer_in_a_dict_of_any_size(answers):
    """What is asked of the memory ahead changes nothing; the index of a dict has items of one, two or four octets."""
    table, rrl = Table(), Rrl(RrlLimits())
    native = answerer("native", table, rrl)
    asked = [b"\6%06d\7example\0\0\1\0\1" % number for number in range(answers)]
    step = 1 + answers // 40
    messages = [b"\1\2\0\0\0\1\0\0\0\0\0\0" + question for question in asked[::step]]
    table._bare.update({question: (b"\0\1\0\0\0\0", question) for question in asked})
    for number in range(0, answers, 3):
        if number % step:
            del table._bare[asked[number]]
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        server.bind(("127.0.0.1", 0))
        client.bind(("127.0.0.1", 0))
        for message in [*messages, query("missing.example.", edns=False)]:
            client.sendto(message, server.getsockname())
        arrived()
        seen, aside = native.drain(server.fileno(), False, 64, time.time())

        assert (seen, len(aside)) == (len(messages) + 1, 1)
        assert [client.recv(100) for _ in messages] == [table.lookup(message) for message in messages]
