"""EDNS options as dig and kdig ask for them and show them, and as dnspython reads them, against the real service."""

import re
import subprocess

import dns.edns
import dns.message
import dns.query
import dns.rcode
import pytest
from registry import change, full
from tools import need

COOKIE = 10


def dig(registry, *words):
    """Return what dig prints of one question; it must get an answer."""
    where = [need("dig"), "@127.0.0.1", "-p", str(registry.port), "+tries=1", "+time=20", "+norecurse"]
    done = subprocess.run([*where, *words], check=True, capture_output=True, text=True)
    assert ";; Warning" not in done.stdout, done.stdout
    return done.stdout


def kdig(registry, *words, port=0):
    where = [need("kdig"), "@127.0.0.1", "-p", str(port or registry.port), "+time=20", "+norecurse"]
    return subprocess.run([*where, *words], check=True, capture_output=True, text=True).stdout


def cookie_of(message):
    """Return the COOKIE option's data in a message that dnspython has read."""
    return b"".join(option.to_wire() for option in message.options if option.otype == COOKIE)


def ask(registry, name, rdtype, octets, **how):
    message = dns.message.make_query(name, rdtype, use_edns=0, options=[dns.edns.GenericOption(COOKIE, octets)])
    return dns.query.udp(message, "127.0.0.1", port=registry.port, timeout=20, **how)


def test_dig_gets_a_cookie_and_finds_it_good_the_next_time(registry):
    first = dig(registry, "+cookie=0123456789abcdef", "www.plain.example", "A")
    given = re.search("COOKIE: ([0-9a-f]{48}) \\(good\\)", first)
    assert given, first

    second = dig(registry, f"+cookie={given[1]}", "www.plain.example", "A")

    assert f"COOKIE: {given[1]} (good)" in second
    assert "status: NOERROR" in second


def test_dig_as_it_is_gets_a_cookie_with_every_kind_of_answer(registry):
    for words, status in (
        (["www.hash.example", "A", "+dnssec"], "NOERROR"),
        (["nowhere.hash.example", "A", "+dnssec"], "NXDOMAIN"),
        (["elsewhere.test", "A"], "REFUSED"),
        (["hash.example", "DNSKEY", "+tcp"], "NOERROR"),
    ):
        printed = dig(registry, *words)
        assert f"status: {status}" in printed
        assert "(good)" in printed


def test_kdig_gets_a_cookie_with_a_question_and_without_one(registry):
    assert "COOKIE" in kdig(registry, "+cookie=0123456789abcdef", "www.plain.example", "A")

    wire = dns.message.make_query(".", "A", use_edns=0, options=[dns.edns.GenericOption(COOKIE, b"8 octets")]).to_wire()
    alone = registry.exchange(wire[:4] + b"\0\0" + wire[6:12] + wire[17:])

    message = dns.message.from_wire(alone)
    assert message.rcode() == dns.rcode.NOERROR
    assert cookie_of(message)[:8] == b"8 octets"


def test_a_cookie_of_the_wrong_length_is_a_format_error(registry):
    assert ask(registry, "www.plain.example", "A", b"short").rcode() == dns.rcode.FORMERR


def test_an_update_is_answered_with_a_cookie(registry):
    """And one with a malformed cookie changes nothing (RFC 7873 §5.2.2)."""
    zone = "plain.example."
    owner = full("cookie", zone)

    for octets, code in ((b"8 octets", dns.rcode.NOERROR), (b"short", dns.rcode.FORMERR)):
        message = change(zone)
        message.use_edns(0, options=[dns.edns.GenericOption(COOKIE, octets)])
        message.add(owner, 60, "A", f"192.0.2.{len(octets)}")
        answer = dns.query.udp(message, "127.0.0.1", port=registry.port, timeout=20)
        assert answer.rcode() == code
        assert cookie_of(answer)[:8] == (b"8 octets" if code == dns.rcode.NOERROR else b"")

    assert registry.values(owner, "A") == ["192.0.2.8"]
    removal = change(zone)
    removal.delete(owner)
    registry.send(removal)


def test_dig_and_kdig_are_told_the_name_of_the_server(registry):
    assert '("ns1.hash")' in dig(registry, "+nsid", "plain.example", "SOA")
    assert "ns1.hash" in kdig(registry, "+nsid", "plain.example", "SOA")
    assert "NSID" not in dig(registry, "plain.example", "SOA")


@pytest.mark.parametrize(
    ("name", "text"),
    [("id.server", "one of two"), ("hostname.bind", "one of two"), ("version.bind", "none of yours")],
)
def test_dig_asks_in_class_chaos_who_the_server_is(registry, name, text):
    assert dig(registry, "+short", "CH", "TXT", name) == f'"{text}"\n'
    assert "status: REFUSED" in dig(registry, "CH", "TXT", "authors.bind")


def test_dig_is_told_when_the_zone_expires(registry):
    assert "EXPIRE: 1209600" in dig(registry, "+expire", "plain.example", "SOA")
    assert "EXPIRE" not in dig(registry, "+expire", "www.plain.example", "A")


def test_dig_is_told_the_idle_time_over_tcp_only(registry):
    assert re.search("TCP.KEEPALIVE: 10.0 secs", dig(registry, "+tcp", "+keepalive", "plain.example", "SOA"))
    assert "KEEPALIVE" not in dig(registry, "+keepalive", "plain.example", "SOA")


def test_nobody_is_padded_in_the_clear(registry):
    for words in ((), ("+tcp",)):
        answered = kdig(registry, "+padding=100", *words, "www.plain.example", "A")
        assert "status: NOERROR" in answered
        assert "PADDING" not in answered


def test_kdig_is_padded_over_tls_where_it_asks_for_it(registry):
    """RFC 8467 §4.1: 468 octets, whatever the answer is."""
    for name in ("www.plain.example", "nowhere.hash.example", "elsewhere.test"):
        padded = kdig(registry, "+tls", "+padding", name, "A", port=registry.tls)
        assert ";; PADDING: " in padded
        assert ";; Received 468 B" in padded
    assert "PADDING" not in kdig(registry, "+tls", "+nopadding", "www.plain.example", "A", port=registry.tls)


def test_resolvers_are_told_where_to_report(registry):
    message = dns.message.make_query("www.plain.example", "A", use_edns=0)

    answer = registry.send(message)

    told = [option for option in answer.options if option.otype == 18]
    assert [option.to_wire() for option in told] == [b"\x07reports\x05agent\x04test\0"]


def test_flags_and_versions_and_sizes_that_nobody_knows(registry):
    assert "flags:; udp: 1232" in dig(registry, "+ednsflags=0x7fff", "plain.example", "SOA")
    assert "status: BADVERS" in dig(registry, "+edns=7", "+noednsnegotiation", "plain.example", "SOA")
    assert "status: NOERROR" in dig(registry, "+ednsopt=65001:cafe", "plain.example", "SOA")
    assert "status: NOERROR" in dig(registry, "+bufsize=0", "plain.example", "SOA")
    assert "flags: qr aa tc;" in dig(registry, "+bufsize=512", "+ignore", "+dnssec", "nowhere.hash.example", "A")
    assert "status: NOTIMP" in dig(registry, "+opcode=15", "plain.example", "SOA")
