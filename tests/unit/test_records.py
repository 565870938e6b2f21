"""RDATA against dnspython for every type that it knows; serial arithmetic at its borders."""

from __future__ import annotations

import struct

import dns.exception
import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddns.dns import records
from ddns.dns.codes import Type
from ddns.dns.records import BadRdata, RRset

B64 = "9JhxJ/5fFrUDtC7zUX2f4Fk7E3bGHrs0mRZ4HCYQ7lK6mVEXv+c9pDzKT8Y5aXeb3VQZnB0dLk1WUgSoMqRj2A=="
HEX = "d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971"
EXAMPLES = {
    "A": "192.0.2.1",
    "AAAA": "2001:db8::1",
    "NS": "NS1.Example.",
    "CNAME": "WWW.Example.",
    "PTR": "Host.Example.",
    "DNAME": "Other.Example.",
    "MX": "10 Mail.Example.",
    "SOA": "NS1.Example. Admin.Example. 1 2 3 4 5",
    "TXT": '"One" "two"',
    "SPF": '"v=spf1"',
    "HINFO": '"CPU" "OS"',
    "RP": "Admin.Example. Text.Example.",
    "AFSDB": "1 Host.Example.",
    "RT": "1 Host.Example.",
    "PX": "10 A.Example. B.Example.",
    "KX": "1 Host.Example.",
    "SRV": "0 5 443 Host.Example.",
    "NAPTR": '100 10 "u" "E2U+sip" "!^.*$!sip:a@example!" Host.Example.',
    "WKS": "192.0.2.1 6 25 80",
    "X25": '"311061700956"',
    "ISDN": '"150862028003217" "004"',
    "NSAP": "0x47000580005a0000000001e133ffffff00016100",
    "GPOS": "-32.6882 116.8652 10.0",
    "LOC": "60 9 0.000 N 24 39 0.000 E 10.00m 20m 2000m 20m",
    "APL": "1:192.168.32.0/21",
    "CERT": f"1 12345 13 {B64}",
    "DS": f"12345 13 2 {HEX}",
    "CDS": f"12345 13 2 {HEX}",
    "DLV": f"12345 13 2 {HEX}",
    "SSHFP": f"4 2 {HEX}",
    "IPSECKEY": f"10 1 2 192.0.2.38 {B64}",
    "DNSKEY": f"257 3 13 {B64}",
    "CDNSKEY": f"257 3 13 {B64}",
    "KEY": f"512 3 13 {B64}",
    "DHCID": B64,
    "NSEC": "Host.Example. A MX RRSIG NSEC TYPE1234",
    "NSEC3": "1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr A RRSIG",
    "NSEC3PARAM": "1 0 0 -",
    "RRSIG": f"A 13 3 86400 20300101000000 20200101000000 1 Smith.Example. {B64}",
    "TLSA": f"3 1 1 {HEX}",
    "SMIMEA": f"3 1 1 {HEX}",
    "HIP": f"2 200100107B1A74DF365639CC39F1D578 {B64} Rvs.Example.",
    "CSYNC": "66 3 A NS AAAA",
    "ZONEMD": f"2018031500 1 1 {HEX}{HEX[:32]}",
    "OPENPGPKEY": B64,
    "SVCB": '1 Svc.Example. alpn="h2,h3" port="8443"',
    "HTTPS": "1 . alpn=h2",
    "NID": "10 0014:4fff:ff20:ee64",
    "L32": "10 10.1.2.0",
    "L64": "10 2001:0DB8:1140:1000",
    "LP": "10 L64.Example.",
    "EUI48": "00-00-5e-00-53-2a",
    "EUI64": "00-00-5e-ef-10-00-00-2a",
    "URI": '10 1 "https://example/"',
    "CAA": '0 issue "ca.example"',
    "AVC": '"app-name:WOLFGANG"',
    "AMTRELAY": "10 0 1 203.0.113.15",
    "DSYNC": "CDS NOTIFY 5359 Scanner.Example.",
    "WALLET": '"USD" "123"',
    "TYPE65280": r"\# 3 abcdef",
}


def parsed(rdtype: str) -> dns.rdata.Rdata:
    return dns.rdata.from_text("IN", rdtype, EXAMPLES[rdtype], relativize=False)


def number(rdtype: str) -> int:
    return int(dns.rdatatype.from_text(rdtype))


@pytest.mark.parametrize("rdtype", EXAMPLES)
def test_every_type_has_dnspythons_canonical_form(rdtype):
    """RFC 4034 §6.2: names of the listed types in lower case, everything else as it came."""
    data = parsed(rdtype).to_wire()

    canonical = records.canonical(number(rdtype), data)

    assert canonical == parsed(rdtype).to_digestable()
    assert records.canonical(number(rdtype), canonical) == canonical


@pytest.mark.parametrize("rdtype", EXAMPLES)
def test_types_are_read_out_of_a_message(rdtype):
    """At any offset, with other octets around."""
    data = parsed(rdtype).to_wire()

    assert records.read_rdata(number(rdtype), b"\xff" * 7 + data + b"\xff" * 7, 7, len(data)) == records.canonical(
        number(rdtype), data
    )


@pytest.mark.parametrize("rdtype", EXAMPLES)
def test_truncation_at_every_byte_is_judged_like_dnspython_does(rdtype):
    """A prefix is RDATA of the type, or it raises `BadRdata` and nothing else."""
    data = parsed(rdtype).to_wire()
    for size in range(len(data)):
        try:
            dns.rdata.from_wire(1, number(rdtype), data[:size], 0, size)
        except dns.exception.DNSException:
            theirs = False
        else:
            # dnspython takes a signature without octets; BIND does not, and no text can hold it.
            theirs = rdtype != "RRSIG" or size > len(data) - len(parsed(rdtype).signature)
        try:
            records.canonical(number(rdtype), data[:size])
        except BadRdata:
            mine = False
        else:
            mine = True
        assert mine is theirs, size


@pytest.mark.parametrize("rdtype", [name for name in EXAMPLES if not name.startswith("TYPE")])
def test_octets_behind_the_data_are_noticed(rdtype):
    """Where the type has an end of its own, RDLENGTH must be it."""
    data = parsed(rdtype).to_wire() + b"\xff"
    try:
        dns.rdata.from_wire(1, number(rdtype), data, 0, len(data))
    except dns.exception.DNSException:
        with pytest.raises(BadRdata):
            records.canonical(number(rdtype), data)
    else:
        assert records.canonical(number(rdtype), data)


@given(st.sampled_from([number(rdtype) for rdtype in EXAMPLES]), st.binary(max_size=60))
def test_noise_raises_bad_rdata_only(rdtype, octets):
    """Whatever a message holds, the reader says yes or why not."""
    try:
        canonical = records.canonical(rdtype, octets)
    except BadRdata:
        return
    assert records.canonical(rdtype, canonical) == canonical


COMPRESSED = b"\x07EXAMPLE\x00"


@pytest.mark.parametrize(
    ("rdtype", "head"),
    [(Type.NS, b""), (Type.CNAME, b""), (Type.PTR, b""), (Type.MX, b"\0\x0a"), (Type.SRV, bytes(6)), (Type.DNAME, b"")],
)
def test_compressed_names_are_undone(rdtype, head):
    """Pointers lead out of the RDATA into the message."""
    wire = COMPRESSED + head + b"\x03Cam\xc0\x00"
    at = len(COMPRESSED)

    assert records.read_rdata(rdtype, wire, at, len(wire) - at) == head + b"\x03cam\x07example\x00"


def test_a_name_may_not_run_over_the_rdata():
    """Its own octets end where RDLENGTH says, though the message goes on."""
    with pytest.raises(BadRdata):
        records.read_rdata(Type.NS, b"\x03cam\x00", 0, 4)
    with pytest.raises(BadRdata):
        records.read_rdata(Type.MX, b"\0\x0a\xc0\x00", 0, 3)


def test_types_that_are_never_compressed_are_not_followed():
    """An HTTPS target with a pointer is malformed, not resolved."""
    with pytest.raises(BadRdata):
        records.read_rdata(Type.HTTPS, COMPRESSED + b"\0\1\xc0\x00", len(COMPRESSED), 4)


def test_unknown_types_are_opaque():
    """RFC 3597 §3."""
    assert records.read_rdata(65280, b"\xc0\x00\xffX", 0, 4) == b"\xc0\x00\xffX"


NAMES_IN = {
    "NS": ("target",),
    "SOA": ("mname", "rname"),
    "MX": ("exchange",),
    "SRV": ("target",),
    "NAPTR": ("replacement",),
    "RP": ("mbox", "txt"),
    "RRSIG": ("signer",),
}


@pytest.mark.parametrize("rdtype", [*NAMES_IN, "A", "TXT"])
def test_names_inside_rdata_are_found(rdtype):
    """Where they start and end, for compression and for additional data."""
    data = records.canonical(number(rdtype), parsed(rdtype).to_wire())

    found = [dns.name.from_wire(data[start:end], 0)[0] for start, end in records.names_in(number(rdtype), data)]

    assert found == [getattr(parsed(rdtype), slot).canonicalize() for slot in NAMES_IN.get(rdtype, ())]


def test_rrsets_are_sorted_and_without_duplicates():
    """So that equality is RFC equality."""
    one = RRset.of(b"\0", 1, 60, [b"\2\0\0\0", b"\1\0\0\0", b"\2\0\0\0"])

    assert one.rdatas == (b"\1\0\0\0", b"\2\0\0\0")
    assert one == RRset.of(b"\0", 1, 60, reversed(one.rdatas))


SOA = parsed("SOA").to_digestable()


def test_soa_fields():
    """Serial and MINIMUM are read and the serial is replaced in place."""
    assert records.soa_serial(SOA) == 1
    assert records.soa_minimum(SOA) == 5
    changed = dns.rdata.from_wire(1, 6, records.soa_with_serial(SOA, 0xFFFFFFFF), 0, len(SOA))
    assert (changed.serial, changed.refresh) == (0xFFFFFFFF, 2)


@pytest.mark.parametrize(
    ("one", "other", "newer"),
    [
        (1, 0, True),
        (0, 1, False),
        (0, 0, False),
        (0, 0xFFFFFFFF, True),
        (0xFFFFFFFF, 0, False),
        (0x7FFFFFFF, 0, True),
        (0x80000000, 0, False),  # undefined in RFC 1982 §3.2: not newer either way
        (0, 0x80000000, False),
        (0x80000001, 0, False),
    ],
)
def test_serials_compare_by_rfc_1982(one, other, newer):
    """Half of the numbers are newer than any."""
    assert records.serial_newer(one, other) is newer


@given(st.integers(min_value=0, max_value=0xFFFFFFFF))
def test_the_next_serial_is_newer_and_never_0(serial):
    """From any serial, the wrap included."""
    following = records.serial_next(serial)

    assert records.serial_newer(following, serial)
    assert 0 < following <= 0xFFFFFFFF
    assert following - serial in (1, 1 - 0xFFFFFFFF)


def test_a_packed_record_is_read_by_dnspython():
    """Owner, type, class IN, TTL, RDLENGTH, RDATA."""
    octets = struct.pack("!6H", 1, 0x8000, 0, 1, 0, 0) + records.pack_rr(b"\x03cam\0", 1, 60, bytes((192, 0, 2, 1)))

    assert dns.message.from_wire(octets).answer[0].to_text() == "cam. 60 IN A 192.0.2.1"
