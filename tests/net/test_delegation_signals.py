"""The first DS of a child, as its servers' own zones prove it (RFC 9615), by a validator that is believed."""

from __future__ import annotations

import asyncio

import dns.flags
import dns.message
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rrset
import pytest
import said

from ddns.delegate.scanning import Scanner, Way
from ddns.delegate.signals import name_of, signals
from ddns.dns.names import from_text, to_text
from ddns.watch.ask import Server
from ddns.zone.cds import Signal
from ddns.zone.child import Asked, Child, Fault

HOME, NS = said.HOME, from_text("ns1.provider.example.")
WHERE = "_dsboot.smith.homes.test._signal.ns1.provider.example."
DS, KEY = said.ds("a"), said.dnskey("a")


class Validator(asyncio.DatagramProtocol):
    """A resolver that knows the signals of *records* (type: text), proved where *flags* has AD."""

    def __init__(self, records, flags=dns.flags.AD, rcode=dns.rcode.NOERROR):
        self.records, self.flags, self.rcode, self.asked = records, flags, rcode, []

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        query = dns.message.from_wire(data)
        question = query.question[0]
        rdtype = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((question.name.to_text(), rdtype, bool(query.flags & dns.flags.RD)))
        answer = dns.message.make_response(query)
        answer.flags |= self.flags
        answer.set_rcode(self.rcode)
        if rdtype in self.records:
            answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", rdtype, *self.records[rdtype]))
        self.transport.sendto(answer.to_wire(), addr)

    async def __aenter__(self):
        loop = asyncio.get_running_loop()
        self.listening, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        return Server("127.0.0.1", self.listening.get_extra_info("sockname")[1])

    async def __aexit__(self, *_):
        self.listening.close()


def text(rdtype, rdata):
    return dns.rdata.from_wire("IN", rdtype, rdata, 0, len(rdata)).to_text()


BOTH = {"CDS": [text("CDS", DS)], "CDNSKEY": [text("CDNSKEY", KEY)]}


def test_a_signal_stands_below_the_name_of_the_server():
    assert to_text(name_of(HOME, NS)) == WHERE
    assert name_of(from_text("a" * 60 + ".homes.test."), from_text(".".join(["b" * 60] * 4)[:242])) is None


async def test_what_the_validator_proves_is_a_signal():
    validator = Validator(BOTH)
    async with validator as server:
        found = await signals(HOME, [NS, from_text("ns1.smith.homes.test.")], server, 5)

    assert found == {NS: Signal((DS,), (KEY,))}
    assert validator.asked == [(WHERE, "CDS", True), (WHERE, "CDNSKEY", True)]


@pytest.mark.parametrize(
    ("records", "flags", "rcode"),
    [
        (BOTH, 0, dns.rcode.NOERROR),
        (BOTH, dns.flags.AD, dns.rcode.SERVFAIL),
        ({"CDS": BOTH["CDS"]}, dns.flags.AD, dns.rcode.NOERROR),
        ({}, dns.flags.AD, dns.rcode.NXDOMAIN),
    ],
    ids=["not proved", "bogus", "half", "none"],
)
async def test_what_it_does_not_prove_is_none(records, flags, rcode):
    async with Validator(records, flags, rcode) as server:
        assert await signals(HOME, [NS], server, 5) == {}


def speaking(*keys):
    """Return what the one server of a child without a DS says: CDS and CDNSKEY of *keys*."""
    shown = said.cds(*(said.ds(key) for key in keys), keys=tuple(said.dnskey(key) for key in keys))
    return (said.server(NS, **shown),)


async def scanned(found, *, signalled=True):
    async def ask(_origin, _servers):
        return found

    async def nobody(_name):
        return ()

    scanner = Scanner(nobody, lambda: said.NOW, signals=ask if signalled else None)
    return await scanner.scan(HOME, said.REGISTRY, Child((NS,)), said=speaking("a"))


async def test_a_child_without_a_ds_gets_the_one_that_its_servers_zones_signal():
    result = await scanned({NS: Signal((DS,), (KEY,))})

    assert result.way is Way.CDS
    assert isinstance(result.wish, Asked)
    assert result.wish.child.ds == (DS,)


async def test_without_a_signal_or_with_another_one_it_gets_none():
    without = await scanned({})
    other = await scanned({NS: Signal((said.ds("b"),), (said.dnskey("b"),))})
    nobody = await scanned({NS: Signal((DS,), (KEY,))}, signalled=False)

    assert isinstance(without.wish, Fault)
    assert without.wish.rule == "no-signal"
    assert isinstance(other.wish, Fault)
    assert other.wish.rule == "differs"
    assert (nobody.way, nobody.wish) == (None, None)
