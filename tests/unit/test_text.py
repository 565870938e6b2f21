"""RDATA in presentation form: the fast rules agree with dnspython, and what is written reads back."""

from __future__ import annotations

import io
import re

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddns.dns import names, records
from ddns.dns.codes import Type
from ddns.dns.records import BadRdata
from ddns.dns.spelling import (
    BadSpelling,
    Quoted,
    escape,
    name_from_text,
    time_from_text,
    type_for_file,
    type_from_text,
    type_to_text,
    unescape,
)
from ddns.dns.text import rdata_from_text, rdata_to_text
from ddns.dns.tokens import entries

P256 = "oJMRESz5E4gYzS/q6XDrvU1qMPYIjCWzJaOau8XNEZeqCYKD5ar0IRd8KqXXFJkqmVfRvMGPmM1x8fGAa2XhSA=="
ORIGIN = names.from_text("exam.test.")
BASE = dns.name.from_text("exam.test.")

SPELLINGS = [
    ("A", "192.0.2.1"),
    ("AAAA", "2001:DB8::1"),
    ("AAAA", "::ffff:192.0.2.1"),
    ("NS", "NS1"),
    ("NS", "@"),
    ("CNAME", r"odd\.label\032x.Example."),
    ("PTR", "host.example."),
    ("DNAME", "."),
    ("MX", "10 mail"),
    ("SRV", "0 5 443 Host.Example."),
    ("SOA", "ns1 host\\.master 2024010101 1h 15m 2w 300"),
    ("TXT", r'"a b" plain "q\"uote\\ \200;("'),
    ("TXT", '""'),
    ("SPF", '"v=spf1 -all"'),
    ("KEY", f"512 3 13 {P256}"),
    ("DNSKEY", "257 3 13 oJMRESz5E4gYzS/q6XDrvU1qMPYIjCWz JaOau8XNEZeqCYKD5ar0IRd8KqXXFJkqmVfRvMGPmM1x8fGAa2XhSA=="),
    (
        "DNSKEY",
        f"257 3 ECDSAP256SHA256 {P256}",
    ),
    ("CDS", "0 0 0 00"),
    ("DS", "60485 5 1 2BB183AF5F22588179A53B0A 98631FAD1A292118"),
    ("DS", "60485 RSASHA1 1 2BB183AF5F22588179A53B0A98631FAD1A292118"),
    ("TLSA", "3 1 1 " + "ab" * 32),
    ("SMIMEA", "3 1 1 " + "ab" * 32),
    ("RRSIG", "A 13 3 300 20260101000000 1767139200 4711 Exam.Test. c2lnbmF0dXJl"),
    ("NSEC", "host.exam.test. A RRSIG NSEC TYPE1234"),
    ("NSEC", "Host.Exam.Test. A NSEC"),
    ("NSEC3", "1 0 0 - 0p9mhaveqvm6t7vbl5lop2u3t2rp3tom A RRSIG"),
    ("NSEC3", "1 1 12 aabbccdd 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR MX DNSKEY NS SOA NSEC3PARAM RRSIG"),
    ("NSEC3PARAM", "1 0 0 -"),
    ("CAA", '0 issue "letsencrypt.org"'),
    ("SSHFP", "4 2 " + "cd" * 32),
    ("LOC", "42 21 54 N 71 06 18 W -24m 30m"),
    ("NAPTR", '100 50 "s" "z3950+I2L+I2C" "" _z3950._tcp.Gatech.edu.'),
    ("HTTPS", '1 . alpn="h2,h3" ipv4hint=192.0.2.1'),
    ("SVCB", "0 Svc4.Example."),
    ("URI", '10 1 "ftp://ftp1.example.com/public"'),
    ("HINFO", '"Generic PC clone" "NetBSD-1.4"'),
    ("RP", "Louie.exam.test. lam1.people"),
    ("IPSECKEY", "10 1 2 192.0.2.38 AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ=="),
    ("OPENPGPKEY", "AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ=="),
    ("CSYNC", "66 3 A NS AAAA"),
    ("EUI48", "00-00-5e-00-53-2a"),
    ("CERT", "PKIX 1 RSASHA256 AQNRU3mG7TVTO2Bk"),
    ("A", r"\# 4 C0000201"),
    ("TYPE65280", r"\# 3 01 0203"),
    ("TYPE65280", r"\# 0"),
    ("NS", r"\# 5 03 666f6f 00"),
]


def words(text: str) -> list[bytes]:
    ((_, _, found),) = list(entries(io.BytesIO(b"x " + text.encode() + b"\n")))
    return found[1:]


def by_dnspython(mnemonic: str, text: str) -> bytes:
    rdtype = dns.rdatatype.from_text(mnemonic)
    parsed = dns.rdata.from_text(dns.rdataclass.IN, rdtype, text, origin=BASE, relativize=False)
    return records.canonical(int(rdtype), parsed.to_wire())


@pytest.mark.parametrize(("mnemonic", "text"), SPELLINGS)
def test_the_same_octets_as_dnspython_reads(mnemonic, text):
    rdtype = type_from_text(mnemonic.encode())

    assert rdata_from_text(rdtype, words(text), ORIGIN) == by_dnspython(mnemonic, text)


@pytest.mark.parametrize(("mnemonic", "text"), SPELLINGS)
def test_what_is_written_reads_back(mnemonic, text):
    rdtype = type_from_text(mnemonic.encode())
    rdata = rdata_from_text(rdtype, words(text), ORIGIN)

    written = rdata_to_text(rdtype, rdata)

    assert rdata_from_text(rdtype, words(written), names.ROOT) == rdata
    assert by_dnspython(mnemonic, written) == rdata


@pytest.mark.parametrize(
    ("mnemonic", "text", "says"),
    [
        ("A", "192.0.2", "write it like 192.0.2.1"),
        ("A", "192.0.2.1 192.0.2.2", "write it like 192.0.2.1"),
        ("A", "192.0.2.01", "write it like 192.0.2.1"),
        ("AAAA", "fe80::1%eth0", "write it like 2001:db8::1"),
        ("MX", "70000 mail", "write it like 10 mail.example."),
        ("MX", "mail", "write it like 10 mail.example."),
        ("NS", "a..b", "empty label"),
        ("NS", "x" * 64, "longer than 63"),
        ("NS", "m\u00fcller", "xn--"),
        ("TXT", "x" * 256, "split it"),
        ("TXT", r"\300", "above 255"),
        ("TXT", r"\30", "three digits"),
        ("SOA", "ns1 hostmaster 1 2 3 4", "write it like"),
        ("SOA", "ns1 hostmaster 1 2 3 4 9w9", "is no time"),
        ("KEY", "512 3 13 not!base64", "write it like 512 3 13"),
        ("TLSA", "3 1 1 xyz", "hexadecimal"),
        ("TLSA", "3 1 1 abcd", "64 hexadecimal digits"),
        ("DS", "1 13 2 abcd", "64 hexadecimal digits"),
        ("TYPE65280", "hello", "\\# length"),
        ("TYPE65280", r"\# 2 ab", "promises 2 octets and has 1"),
        ("A", r"\# 3 abcdef", "4 octets"),
        ("A", r"\# x", "length in octets"),
        ("CAA", "0", "document that defines CAA"),
    ],
)
def test_malformed_data_is_refused_with_the_cure(mnemonic, text, says):
    with pytest.raises(BadRdata, match=re.escape(says)):
        rdata_from_text(type_from_text(mnemonic.encode()), words(text), ORIGIN)


def test_young_types_are_written_so_that_older_servers_read_them():
    wallet = type_from_text(b"WALLET")

    assert type_for_file(wallet) == "TYPE262"
    assert rdata_to_text(wallet, b"\x01a") == "\\# 2 0161"


def test_types_have_names_and_numbers():
    assert type_from_text(b"aaaa") == Type.AAAA
    assert type_from_text(b"type28") == Type.AAAA
    assert type_from_text(b"TYPE65536") is None
    assert type_from_text(b"TYPE012") is None
    assert type_from_text(b"NSAP-PTR") == 23
    assert type_to_text(28) == "AAAA"
    assert type_to_text(65280) == "TYPE65280"


@pytest.mark.parametrize(
    ("rdtype", "text"),
    [
        ("SOA", "a. b. 1 4294967295 4294967295 4294967295 4294967295"),
        ("RRSIG", "A 13 3 4294967295 20300101000000 20200101000000 1 exam.test. AAAA"),
    ],
)
def test_times_in_data_have_all_32_bits(rdtype, text):
    """Only TTLs end at 2147483647 (RFC 2181 §8): what an update may write, a file may hold."""
    number = dns.rdatatype.from_text(rdtype)
    rdata = dns.rdata.from_text("IN", rdtype, text).to_wire()

    words = [word.encode() for word in rdata_to_text(number, rdata).split()]
    assert rdata_from_text(number, words, names.ROOT) == rdata


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("2147483647", 2147483647), ("1h30m", 5400), ("1W2D", 777600), ("10s", 10)]
)
def test_times_are_seconds_or_units(text, seconds):
    assert time_from_text(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "1h30", "-1", "1.5h", "2147483648", "99999999999999", "1y", "\u0661"])
def test_other_times_are_refused(text):
    with pytest.raises(BadSpelling):
        time_from_text(text)


@given(st.binary(max_size=255))
def test_any_octets_survive_as_a_character_string(octets):
    text = escape(octets)

    assert unescape(Quoted(text[1:-1].encode())) == octets


@given(st.lists(st.binary(min_size=1, max_size=63), max_size=3))
def test_any_name_survives_in_presentation_form(labels):
    name = b"".join(bytes((len(label),)) + label.lower() for label in labels) + b"\0"

    assert name_from_text(names.to_text(name).encode(), ORIGIN) == name


@given(st.integers(1, 127) | st.integers(256, 300), st.binary(max_size=40))
def test_any_rdata_that_a_message_may_hold_survives_in_presentation_form(rdtype, octets):
    try:
        rdata = records.canonical(rdtype, octets)
    except BadRdata:
        return

    written = rdata_to_text(rdtype, rdata)

    assert rdata_from_text(rdtype, words(written), names.ROOT) == rdata


def test_young_types_are_spelled_so_that_any_server_reads_them():
    """RFC 3597 §5: also where a signature covers one and where a denial lists it, as their records are in a file."""
    covered = "TYPE66 13 2 3600 20301231000000 20301201000000 1 homes.test. AAAA"
    listed = "homes.test. RRSIG NSEC TYPE66"

    for rdtype, text in ((46, covered), (47, listed)):
        assert rdata_to_text(rdtype, rdata_from_text(rdtype, words(text), names.ROOT)) == text.replace(
            "20301231000000 20301201000000", "1924905600 1922313600"
        )
