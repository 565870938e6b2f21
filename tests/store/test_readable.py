"""A zone as an operator reads it in psql, held against dnspython's spelling."""

from __future__ import annotations

import dns.rdata
import dns.rdataclass
import dns.rdatatype
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rows import a, n, signed, txt
from waiting import TEMPLATE

from ddns.dns import names, records
from ddns.dns.codes import Type
from ddns.dns.records import RRset, SignedRRset
from ddns.postgres import OWNER
from ddns.store import published, rrsets, zones

SPELT = [
    ("A", "192.0.2.255"),
    ("AAAA", "2001:db8::1"),
    ("AAAA", "::"),
    ("AAAA", "::ffff:192.0.2.1"),
    ("AAAA", "1:0:0:2::3"),
    ("NS", "ns.example."),
    ("CNAME", "."),
    ("PTR", r"a\.b.\000\200\".example."),
    ("DNAME", "other.example."),
    ("SOA", "ns.example. host\\.master.example. 4294967295 1 2 3 4294967295"),
    ("MX", "65535 mail.example."),
    ("TXT", r'"plain" "" "quote \" backslash \\ bell \007 high \255"'),
    ("SRV", "1 2 443 host.example."),
    ("TLSA", "3 1 1 " + "0a" * 32),
    ("SMIMEA", "3 1 1 " + "ff" * 32),
    ("SSHFP", "4 2 " + "0a" * 32),
    ("DS", "65535 13 2 " + "ab" * 32),
    ("CDS", "0 0 0 00"),
    ("KEY", "512 3 13 " + "q" * 85 + "g=="),
    ("DNSKEY", "257 3 13 " + "q" * 85 + "g=="),
    ("CDNSKEY", "257 3 15 " + "q" * 42 + "o="),
    ("CAA", '128 issue "ca.example; account=\\"x\\""'),
    ("RRSIG", "A 13 3 60 20380119031407 20260101000000 12345 example. " + "q" * 85 + "g=="),
    ("NSEC", "host.example. A MX RRSIG NSEC TYPE1234"),
    ("NSEC", ". CAA"),
    ("NSEC3", "1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr MX DNSKEY NS"),
    ("NSEC3", "1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr"),
    ("NSEC3PARAM", "1 0 0 -"),
    ("NSEC3PARAM", "1 0 12 aabbccdd"),
    ("TYPE65534", "\\# 3 0a0b0c"),
    ("TYPE65534", "\\# 0"),
    ("IPSECKEY", "10 0 2 . " + "q" * 40),
    ("IPSECKEY", "10 1 2 192.0.2.1 " + "q" * 40),
    ("IPSECKEY", "10 2 2 2001:db8::1 " + "q" * 40),
    ("IPSECKEY", "10 3 2 gate.example. " + "q" * 40),
    ("OPENPGPKEY", "q" * 400),
    ("CSYNC", "4294967295 3 A NS AAAA"),
    ("SVCB", "1 ."),
    ("SVCB", '2 host.example. mandatory="alpn,port" alpn="dot,h2" port="853" ipv4hint="192.0.2.1,192.0.2.2"'),
    ("HTTPS", '1 . alpn="h2,h3" no-default-alpn ipv6hint="2001:db8::1,2001:db8::2"'),
    ("HTTPS", '1 . ech="AARhYmNk" key65333="a b"'),
]


async def spelling(owner, rdtype, rdata):
    return (await (await owner.execute("SELECT dns_rdata(%s, %s)", (rdtype, rdata))).fetchone())[0]


@pytest.mark.parametrize(("mnemonic", "text"), SPELT)
async def test_records_are_spelt_as_master_files_spell_them(owner, mnemonic, text):
    """What we spell, dnspython reads as the very same RDATA; where its own spelling is canonical it is ours too."""
    rdtype = dns.rdatatype.from_text(mnemonic)
    rdata = dns.rdata.from_text(dns.rdataclass.IN, rdtype, text)

    spelt = await spelling(owner, rdtype, rdata.to_wire())

    assert dns.rdata.from_text(dns.rdataclass.IN, rdtype, spelt).to_wire() == rdata.to_wire()
    if not mnemonic.startswith("NSEC"):
        assert spelt.lower() == text.lower()
    cursor = await owner.execute("SELECT dns_type(%s)", (int(rdtype),))
    assert await cursor.fetchone() == (mnemonic,)


@pytest.mark.parametrize("rdtype", [1, 6, 16, 28, 33, 43, 45, 46, 47, 50, 52, 62, 64, 65, 66, 257])
async def test_rdata_that_does_not_parse_is_shown_all_the_same(owner, rdtype):
    assert await spelling(owner, rdtype, b"\x3f") == "\\# 1 3f"


async def test_where_a_parent_wants_to_be_told_is_spelt_as_its_standard_has_it(owner):
    """RFC 9859: type, scheme, port and target."""
    rdata = b"\x00\x3b\x01\x00\x35" + n("scanner.example.")

    assert await spelling(owner, 66, rdata) == "CDS NOTIFY 53 scanner.example."
    assert await spelling(owner, 66, rdata[:2] + b"\x80" + rdata[3:]) == "CDS 128 53 scanner.example."


async def test_every_type_that_dnspython_knows_has_its_mnemonic(owner):
    for rdtype in dns.rdatatype.RdataType:
        if rdtype in {0, Type.OPT} or 128 <= rdtype <= 255 or not 0 < rdtype < 65536:
            continue
        (spelt,) = await (await owner.execute("SELECT dns_type(%s)", (int(rdtype),))).fetchone()
        assert dns.rdatatype.from_text(spelt) == rdtype
        assert spelt == dns.rdatatype.to_text(rdtype)


LABELS = st.lists(st.binary(min_size=1, max_size=63), max_size=4)


@given(LABELS)
@settings(deadline=None, max_examples=60)
def test_names_are_spelt_as_the_program_spells_them(postgres_of_the_module, labels):
    name = b"".join(bytes((len(label),)) + label.lower() for label in labels) + b"\0"

    row = postgres_of_the_module.execute(
        "SELECT dns_name(%s), (dns_wire_name(%s, 0)).name", (names.order_key(name), name)
    ).fetchone()

    assert row == (names.to_text(name), names.to_text(name))


@pytest.fixture(scope="module")
def postgres_of_the_module(postgres):
    with psycopg.connect(postgres.dsn(OWNER, "postgres"), autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE readable TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
        with psycopg.connect(postgres.dsn(OWNER, "readable"), autocommit=True) as readable:
            yield readable
        conn.execute("DROP DATABASE readable WITH (FORCE)")


async def test_the_index_over_names_is_analysed_and_built_anew_without_a_search_path(owner):
    """As Postgres itself does it, and a restore of a dump."""
    await zones.insert(owner, n("\\001\\000odd.example."), "none", 13)

    await owner.execute("ANALYZE zones")
    await owner.execute("REINDEX INDEX zones_by_readable_name")
    await owner.execute("SET search_path = ''")

    cursor = await owner.execute("SELECT count(*) FROM public.records WHERE zone = 'x.'")
    assert await cursor.fetchone() == (0,)
    cursor = await owner.execute("SELECT public.dns_rdata(16, '\\x0161'), public.dns_name(origin) FROM public.zones")
    assert await cursor.fetchone() == ('"a"', "\\001\\000odd.example.")


async def test_an_operator_reads_a_zone_and_what_of_it_is_published(admin):
    zone = await zones.insert(admin, n("smith.example."), "nsec3", 13)
    soa = dns.rdata.from_text("IN", "SOA", "ns.example. host.example. 1 2 3 4 5").to_wire()
    apex = RRset(n("smith.example."), Type.SOA, 60, (soa,))
    await rrsets.fill(admin, zone, [apex, a("cam.smith.example.", 1, 2), txt("cam.smith.example.", b"hi")])
    await published.fill(
        admin,
        zone,
        [
            SignedRRset(apex.name, Type.SOA, 60, (records.soa_with_serial(soa, 7),)),
            signed(a("cam.smith.example.", 1), dns.rdata.from_text("IN", "RRSIG", SPELT[22][1]).to_wire()),
        ],
    )

    written = await (
        await admin.execute("SELECT owner, ttl, type, rdata, published FROM records WHERE zone = 'smith.example.'")
    ).fetchall()
    shown = await (await admin.execute("SELECT owner, ttl, type, rdata FROM published_records")).fetchall()

    assert written == [
        ("smith.example.", 60, "SOA", "ns.example. host.example. 1 2 3 4 5", True),
        ("cam.smith.example.", 60, "A", "192.0.2.1", True),
        ("cam.smith.example.", 60, "A", "192.0.2.2", False),
        ("cam.smith.example.", 60, "TXT", '"hi"', False),
    ]
    assert shown == [
        ("smith.example.", 60, "SOA", "ns.example. host.example. 7 2 3 4 5"),
        ("cam.smith.example.", 60, "A", "192.0.2.1"),
        ("cam.smith.example.", 60, "RRSIG", SPELT[22][1]),
    ]
