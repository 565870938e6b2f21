"""Updates that change data alone are told to the signer in few words, and its answer is made whole again."""

from __future__ import annotations

import msgspec
import pytest

from ddns.dns.codes import Type
from ddns.dns.names import from_text
from ddns.dns.records import RRset, SignedRRset
from ddns.zone.jobs import Batch, Node, PlainSigned, SignJob
from ddns.zone.plain import complete, plain

ORIGIN = from_text("a.test.")
WWW = from_text("www.a.test.")
NAMES = from_text("ns.a.test.") + from_text("host.a.test.")
OLD = RRset(WWW, Type.A, 60, (b"\1\2\3\4",))
NEW = RRset(WWW, Type.A, 60, (b"\1\2\3\5",))
KEY = RRset(WWW, Type.KEY, 60, (bytes(68),))


def soa(serial, ttl=300, minimum=60):
    return RRset(ORIGIN, Type.SOA, ttl, (NAMES + serial.to_bytes(4, "big") + bytes(12) + minimum.to_bytes(4, "big"),))


APEX = Node(ORIGIN, (soa(1),), (soa(2),))
JOB = SignJob(7, ORIGIN, "nsec3", 13, (Node(WWW, (OLD, KEY), (NEW, KEY)), APEX), (), keyset=3)


def test_only_what_is_to_be_signed_is_told():
    job = plain(JOB)

    assert job is not None
    assert (job.zone, job.origin, job.rrsets, job.keyset) == (7, ORIGIN, (NEW, soa(2)), 3)
    assert 2 * len(msgspec.msgpack.encode(Batch(1, (job,)))) < len(msgspec.msgpack.encode(Batch(1, (JOB,))))


@pytest.mark.parametrize(
    "changes",
    [
        {"whole": True},
        {"denial": "none"},
        {"nodes": (JOB.nodes[0],)},
        {"nodes": (Node(WWW, (OLD,), (NEW, KEY)), APEX)},
        {"nodes": (Node(WWW, (OLD, KEY), (NEW,)), APEX)},
        {"nodes": (Node(WWW, (), (NEW,)), APEX)},
        {"nodes": (Node(WWW, (KEY, OLD), (NEW, RRset(WWW, Type.TXT, 60, (b"\1x",)))), APEX)},
        {"nodes": (JOB.nodes[0], Node(ORIGIN, (soa(1),), (soa(2, ttl=30),)))},
        {"nodes": (JOB.nodes[0], Node(ORIGIN, (soa(1),), (soa(2, minimum=30),)))},
        {"above": ((from_text("b.a.test."), (int(Type.NS),)),)},
        {"above": ((from_text("b.a.test."), (int(Type.DNAME),)),)},
    ],
)
def test_where_more_than_data_may_change_everything_is_told(changes):
    assert plain(msgspec.structs.replace(JOB, **changes)) is None


def test_the_answer_is_made_whole():
    job = plain(JOB)

    done = complete(job, PlainSigned(7, ((b"one",), (b"two",)), 99))

    assert done.added == (
        SignedRRset(WWW, Type.A, 60, NEW.rdatas, (b"one",)),
        SignedRRset(ORIGIN, Type.SOA, 300, soa(2).rdatas, (b"two",)),
    )
    assert (done.zone, done.gone, done.old, done.resign_at, done.error) == (7, (), (), 99, "")


def test_how_many_keys_sign_is_the_signers_to_say():
    """Each RRset may have as many signatures as the signer gives: two of them while an algorithm comes or goes."""
    done = complete(plain(JOB), PlainSigned(7, ((b"one", b"uno"), (b"two",)), 99))

    assert [one.sigs for one in done.added] == [(b"one", b"uno"), (b"two",)]


@pytest.mark.parametrize("sigs", [(), ((b"one",),), ((b"one",), (b"two",), (b"three",))])
def test_an_answer_to_something_else_is_none(sigs):
    done = complete(plain(JOB), PlainSigned(7, sigs, 99))

    assert done.added == ()
    assert done.error == "the signer answered something else than it was asked"


def test_what_the_signer_cannot_do_it_says():
    assert complete(plain(JOB), PlainSigned(7, error="so it is")).error == "so it is"
