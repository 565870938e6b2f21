"""The prerequisites of RFC 2136 §2.4 and §3.2: each row of the table, met and unmet, and each malformation."""

from __future__ import annotations

import pytest
from craft import ANY, IN, NONE, absent, add, equals, exists, message, rdata, rr, show, work, zone

from ddns.dns.codes import Rcode
from ddns.dns.refusal import Refusal

ZONE = zone(
    "cam 300 A 192.0.2.1",
    "cam 300 A 192.0.2.2",
    "cam 60 TXT one",
    "a.deep 300 A 192.0.2.3",
    "* 300 TXT wild",
)
CHANGE = add("new", 60, "A", "192.0.2.9")


def outcome(*needs: bytes, operation: bytes = CHANGE) -> Rcode:
    after = work(ZONE, message(operation, needs=needs))
    if isinstance(after, Refusal):
        assert after.text.endswith(".")
        return after.rcode
    assert show(after) - show(ZONE) == {"new 60 A 192.0.2.9"}
    return Rcode.NOERROR


@pytest.mark.parametrize(
    ("needs", "rcode"),
    [
        ([exists("cam")], Rcode.NOERROR),
        ([exists("CAM")], Rcode.NOERROR),
        ([exists("nobody")], Rcode.NXDOMAIN),
        ([exists("deep")], Rcode.NXDOMAIN),  # an empty non-terminal owns no record
        ([exists("*")], Rcode.NOERROR),  # a literal owner (RFC 2136 §7.18)
        ([exists("matched.by.wildcard")], Rcode.NXDOMAIN),
        ([absent("nobody")], Rcode.NOERROR),
        ([absent("deep")], Rcode.NOERROR),
        ([absent("cam")], Rcode.YXDOMAIN),
        ([absent("@")], Rcode.YXDOMAIN),
        ([exists("cam", "A")], Rcode.NOERROR),
        ([exists("cam", "AAAA")], Rcode.NXRRSET),
        ([exists("nobody", "A")], Rcode.NXRRSET),
        ([absent("cam", "AAAA")], Rcode.NOERROR),
        ([absent("cam", "A")], Rcode.YXRRSET),
        ([absent("nobody", "TYPE65280")], Rcode.NOERROR),
    ],
)
def test_value_independent(needs, rcode):
    """Names and RRsets in use and not in use, with the RCODE of each row."""
    assert outcome(*needs) == rcode


@pytest.mark.parametrize(
    ("needs", "rcode"),
    [
        ([equals("cam", "A", "192.0.2.1"), equals("cam", "A", "192.0.2.2")], Rcode.NOERROR),
        ([equals("cam", "A", "192.0.2.2"), equals("cam", "A", "192.0.2.1")], Rcode.NOERROR),
        ([equals("cam", "A", "192.0.2.2")] * 2 + [equals("cam", "A", "192.0.2.1")], Rcode.NOERROR),
        ([equals("cam", "A", "192.0.2.1")], Rcode.NXRRSET),  # only a part of the RRset
        ([equals("cam", "A", f"192.0.2.{host}") for host in (1, 2, 3)], Rcode.NXRRSET),
        ([equals("cam", "AAAA", "2001:db8::1")], Rcode.NXRRSET),
        ([equals("nobody", "A", "192.0.2.1")], Rcode.NXRRSET),
        ([equals("cam", "TXT", "one")], Rcode.NOERROR),  # whose TTL is 60 there: TTLs are ignored
        ([equals("cam", "TXT", "ONE")], Rcode.NXRRSET),  # text is no name
        ([equals("@", "NS", "NS.Example.")], Rcode.NOERROR),  # names compare without case
    ],
)
def test_value_dependent(needs, rcode):
    """Records are collected into whole RRsets and compared as sets, in any order (RFC 2136 §3.2.3)."""
    assert outcome(*needs) == rcode


@pytest.mark.parametrize(
    ("need", "rcode"),
    [
        (rr("cam", "A", ANY, 1), Rcode.FORMERR),
        (rr("cam", "A", NONE, 1), Rcode.FORMERR),
        (rr("cam", "A", IN, 1, bytes(4)), Rcode.FORMERR),
        (rr("cam", "A", ANY, 0, bytes(4)), Rcode.FORMERR),
        (rr("cam", "ANY", ANY, 0, bytes(1)), Rcode.FORMERR),
        (rr("cam", "A", NONE, 0, bytes(4)), Rcode.FORMERR),
        (rr("cam", "ANY", NONE, 0, bytes(4)), Rcode.FORMERR),
        (rr("cam", "A", IN, 0, bytes(3)), Rcode.FORMERR),
        (rr("cam", "MX", IN, 0, b"\0\0\xff"), Rcode.FORMERR),
        (rr("cam", "A", 3, 0, bytes(4)), Rcode.FORMERR),
        (rr("cam", "A", 0), Rcode.FORMERR),
        (rr("other.", "A", ANY), Rcode.NOTZONE),
        (rr("example.", "ANY", NONE), Rcode.NOTZONE),
        (rr("notsmith.example.", "ANY", NONE), Rcode.NOTZONE),
        (rr("other.", "A", ANY, 1), Rcode.FORMERR),  # the TTL is looked at before the name
        (rr("other.", "A", 3), Rcode.NOTZONE),  # the name before the class
    ],
)
def test_malformed(need, rcode):
    """TTL, name, class, RDLENGTH and RDATA are checked, in this order (RFC 2136 §3.2.4)."""
    assert outcome(need) == rcode


@pytest.mark.parametrize("rdtype", [0, 128, 200, 249, 251, 252, 253, 254])
def test_a_type_that_is_never_data_is_never_there(rdtype):
    """RFC 2136 §3.2.5 has no test of the type: asked whether it is there, the answer is no."""
    assert outcome(rr("cam", rdtype, ANY)) == Rcode.NXRRSET
    assert outcome(rr("cam", rdtype, NONE)) == Rcode.NOERROR
    assert outcome(rr("cam", "ANY", IN, 0, bytes(4))) == Rcode.NXRRSET


def test_the_first_unmet_or_malformed_one_answers():
    """Prerequisites are judged in message order, except that whole RRsets are compared at the end."""
    bad = rr("cam", "A", ANY, 1)

    assert outcome(exists("nobody"), bad) == Rcode.NXDOMAIN
    assert outcome(bad, exists("nobody")) == Rcode.FORMERR
    assert outcome(equals("cam", "A", "192.0.2.9"), bad) == Rcode.FORMERR
    assert outcome(equals("cam", "A", "192.0.2.9"), exists("nobody")) == Rcode.NXDOMAIN


def test_they_are_judged_before_the_update_section():
    """An unmet prerequisite answers, though an operation is malformed (RFC 2136 §3.2 before §3.4)."""
    assert outcome(exists("nobody"), operation=rr("cam", "AXFR", IN)) == Rcode.NXDOMAIN
    assert outcome(exists("cam"), operation=rr("cam", "AXFR", IN)) == Rcode.FORMERR


def test_the_soa_can_be_demanded():
    """A client may make its update depend on the serial that it saw."""
    seen = rr("@", "SOA", IN, 0, rdata("SOA", "ns.example. admin.example. 10 3600 900 1209600 300"))
    other = rr("@", "SOA", IN, 0, rdata("SOA", "ns.example. admin.example. 9 3600 900 1209600 300"))

    assert outcome(seen) == Rcode.NOERROR
    assert outcome(other) == Rcode.NXRRSET
