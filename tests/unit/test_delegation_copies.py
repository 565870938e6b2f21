"""A copy of a home's zone is kept only where it is whole, and proved by its DS."""

from __future__ import annotations

import dns.dnssec
import dns.name
import dns.rdatatype
import dns.zone
import pytest
import said

from ddns.delegate import copying
from ddns.dns import records
from ddns.dns.codes import Type
from ddns.dns.names import from_text
from ddns.zone.child import Fault

TEXT = """\
$ORIGIN smith.homes.test.
$TTL 300
@ SOA ns1 hostmaster 7 60 60 600 60
@ NS ns1
ns1 A 192.0.2.7
www A 192.0.2.80
deep.er TXT "leaf"
cut NS ns.cut
ns.cut A 192.0.2.9
"""


@pytest.fixture(scope="module")
def zone():
    """Return the records of a zone with NSEC, signed by dnspython, as a transfer gives them."""
    private, public = said.pair("a", 13)
    made = dns.zone.from_text(TEXT, relativize=False)
    dns.dnssec.sign_zone(made, keys=[(private, public)], inception=said.NOW - 3600, expiration=said.NOW + 86400)
    found = {}
    for name, node in made.nodes.items():
        for rdataset in node:
            place = name.canonicalize().to_wire(), int(rdataset.rdtype)
            rdatas = {records.canonical(place[1], one.to_wire()) for one in rdataset}
            ttl, there = found.get(place, (rdataset.ttl, set()))
            found[place] = ttl, there | rdatas
    return found


def proved(found, *, ds=None, now=said.NOW):
    try:
        return copying._proved(said.HOME, (ds or said.ds("a"),), found, now)
    except copying._Unfit as reason:
        return str(reason)


def test_a_whole_zone_is_kept_with_its_serial_its_keys_and_its_end(zone):
    taken, rrsets = proved(zone)

    assert (taken.copy.serial, taken.copy.keys, taken.copy.expires) == (7, {said.dnskey("a")}, said.NOW + 86400)
    assert (taken.ttl, taken.at) == (300, said.NOW)
    assert {(one.name, one.type) for one in rrsets} == {place for place in zone if place[1] != Type.RRSIG}


WWW, NS1 = from_text("www.smith.homes.test."), from_text("ns1.smith.homes.test.")


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("a name is missing", "less than its chain"),
        ("a type is missing", "less than its chain"),
        ("a link is missing", "less than its chain"),
        ("an address is another", "valid signature"),
        ("a signature is missing", "valid signature"),
        ("there are no keys", "not signed"),
        ("the DS is of another key", "shows no key of algorithm 13 that a DS names"),
        ("its time is over", "valid signature"),
    ],
)
def test_what_is_missing_or_false_is_found(zone, what, reason):
    found = dict(zone)
    given = {}
    if what == "a name is missing":
        found = {place: one for place, one in zone.items() if place[0] != WWW}
    elif what == "a type is missing":
        del found[NS1, int(Type.A)]
    elif what == "a link is missing":
        del found[WWW, int(Type.NSEC)]
    elif what == "an address is another":
        found[WWW, int(Type.A)] = 300, {bytes((10, 0, 0, 1))}
    elif what == "a signature is missing":
        del found[WWW, int(Type.RRSIG)]
    elif what == "there are no keys":
        del found[said.HOME, int(Type.DNSKEY)]
    elif what == "the DS is of another key":
        given = {"ds": said.ds("b")}
    else:
        given = {"now": said.NOW + 86401}

    assert reason in proved(found, **given)


def test_a_server_that_is_not_there_is_a_sentence():
    assert isinstance(copying.take(said.HOME, (said.ds("a"),), "127.0.0.1", 9, None, 10**6, said.NOW), Fault)
