"""The prescan of RFC 2136 §3.4.1: the whole update section is looked at before anything is touched."""

from __future__ import annotations

import pytest
from craft import ANY, IN, NONE, add, delete, message, rr, show, work, zone

from ddns.dns.codes import MAX_TTL, META_TYPES, Rcode
from ddns.dns.refusal import Refusal

ZONE = zone("cam 300 A 192.0.2.1")
META = sorted(META_TYPES - {255})


def refused(*operations: bytes) -> Rcode:
    refusal = work(ZONE, message(*operations))
    assert isinstance(refusal, Refusal), refusal
    assert refusal.text.endswith(".")
    return refusal.rcode


@pytest.mark.parametrize(
    ("operation", "rcode"),
    [
        (rr("other.", "A", IN, 60, bytes(4)), Rcode.NOTZONE),
        (rr("example.", "A", ANY), Rcode.NOTZONE),
        (rr("notsmith.example.", "A", NONE, 0, bytes(4)), Rcode.NOTZONE),
        (rr("other.", "AXFR", 3, 60, bytes(4)), Rcode.NOTZONE),  # the name is looked at first
        (rr("cam", "ANY", IN, 60), Rcode.FORMERR),
        (rr("cam", "ANY", NONE), Rcode.FORMERR),
        (rr("cam", "A", ANY, 1), Rcode.FORMERR),
        (rr("cam", "ANY", ANY, 1), Rcode.FORMERR),
        (rr("cam", "A", ANY, 0, bytes(4)), Rcode.FORMERR),
        (rr("cam", "ANY", ANY, 0, bytes(1)), Rcode.FORMERR),
        (rr("cam", "A", NONE, 1, bytes(4)), Rcode.FORMERR),
        (rr("cam", "A", 0, 60, bytes(4)), Rcode.FORMERR),
        (rr("cam", "A", 3, 60, bytes(4)), Rcode.FORMERR),
        (rr("cam", "A", IN, 60, bytes(3)), Rcode.FORMERR),
        (rr("cam", "A", IN, 60, bytes(5)), Rcode.FORMERR),
        (rr("cam", "A", IN, 60), Rcode.FORMERR),
        (rr("cam", "A", NONE, 0, bytes(3)), Rcode.FORMERR),
        (rr("cam", "AAAA", IN, 60, bytes(4)), Rcode.FORMERR),
        (rr("cam", "CNAME", IN, 60, b"\x03cam"), Rcode.FORMERR),
        (rr("cam", "CNAME", IN, 60, b"\0\0"), Rcode.FORMERR),
        (rr("cam", "TXT", IN, 60, b"\x05four"), Rcode.FORMERR),
        (rr("cam", "TXT", IN, 60), Rcode.FORMERR),
        (rr("cam", "CAA", IN, 60, b"\0"), Rcode.FORMERR),
    ],
)
def test_one_malformed_operation_refuses_all(operation, rcode):
    """Nothing is done where one record is outside the zone or malformed, wherever it stands."""
    fine = add("new", 60, "A", "192.0.2.9")

    assert refused(operation, fine) == rcode
    assert refused(fine, operation) == rcode


@pytest.mark.parametrize("rdclass", [IN, ANY, NONE])
@pytest.mark.parametrize("rdtype", META)
def test_types_that_are_never_data_are_malformed(rdtype, rdclass):
    """OPT, TSIG, AXFR, MAILB and all other meta types are FORMERR in every class."""
    assert refused(rr("cam", rdtype, rdclass)) == Rcode.FORMERR


def test_the_first_fault_answers():
    """Faults answer in message order."""
    outside, malformed = rr("other.", "A", ANY), rr("cam", "A", ANY, 1)

    assert refused(outside, malformed) == Rcode.NOTZONE
    assert refused(malformed, outside) == Rcode.FORMERR


@pytest.mark.parametrize(("ttl", "kept"), [(0, 0), (MAX_TTL, MAX_TTL), (MAX_TTL + 1, 0), (0xFFFFFFFF, 0)])
def test_a_ttl_above_the_greatest_is_zero(ttl, kept):
    """A TTL with its top bit set is treated as 0 (RFC 2181 §8)."""
    after = work(ZONE, message(rr("new", "A", IN, ttl, bytes(4))))

    assert not isinstance(after, Refusal)
    assert show(after) - show(ZONE) == {f"new {kept} A 0.0.0.0"}


def test_deleting_with_malformed_data_touches_nothing():
    """A deletion that stands before the malformed record is not done."""
    assert refused(delete("cam", "A"), rr("cam", "A", IN, 60, bytes(3))) == Rcode.FORMERR
