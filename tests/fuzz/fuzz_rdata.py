"""RDATA: from messages of any type, as dnspython reads it; canonical for good; to text and back."""

import dns.exception
import dns.rdata
import dns.rdatatype

from ddns.dns import names, records
from ddns.dns.records import BadRdata
from ddns.dns.text import rdata_from_text, rdata_to_text
from ddns.dns.tokens import entries

BOUND = 60_000  # calls: dnspython's parsers, a call for each small field
OWN = {1, 28, *records._LAYOUTS}  # what ours reads itself; all else dnspython reads for it
EMPTY = {24, 46}  # dnspython takes a signature without octets, which no text can hold
SAMPLES = {
    "A": "192.0.2.1",
    "AAAA": "2001:db8::1",
    "NS": "ns.example.",
    "SOA": "a.example. b.example. 1 2 3 4 5",
    "MX": "10 mail.example.",
    "TXT": '"one" "two"',
    "SRV": "1 2 3 a.example.",
    "NAPTR": '1 2 "u" "s" "" a.example.',
    "CAA": '0 issue "ca.test"',
    "TLSA": "3 1 1 " + "00" * 32,
    "SVCB": "1 a.example. alpn=h2 port=8443",
    "HTTPS": "1 . ipv4hint=192.0.2.1 ech=AAAA",
    "LOC": "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m",
    "DS": "12345 13 2 " + "00" * 32,
    "KEY": "512 3 13 " + "A" * 88,
    "NSEC": "a.example. A NS TYPE65280",
    "NSEC3": "1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr A",
    "NSEC3PARAM": "1 0 0 ab",
    "CSYNC": "5 3 A NS",
    "RRSIG": "A 13 3 300 20300101000000 20200101000000 12345 example. AAAA",
    "IPSECKEY": "10 1 2 192.0.2.38 AAAA",
    "APL": "1:192.0.2.0/24 !2:2001:db8::/32",
    "HIP": "2 200100107B1A74DF365639CC39F1D578 AwEA a.example.",
    "URI": '10 1 "https://x/"',
    "SSHFP": "4 2 " + "00" * 32,
    "RP": "a.example. b.example.",
    "WKS": "192.0.2.1 6 25 80",
    "CERT": "1 2 3 AAAA",
    "HINFO": '"a" "b"',
    "ZONEMD": "1 1 1 " + "00" * 48,
    "OPENPGPKEY": "AAAA",
    "DNAME": "a.example.",
    "GPOS": "1 2 3",
    "ISDN": '"1" "2"',
    "X25": '"1"',
    "NSAP": "0x0011",
    "L32": "10 1.2.3.4",
    "EUI48": "00-00-5e-00-53-2a",
    "AMTRELAY": "10 0 1 192.0.2.1",
    "DHCID": "AAAA",
    "SMIMEA": "3 1 1 " + "00" * 32,
    "CDS": "0 0 0 00",
    "TYPE65280": "\\# 1 00",
    "NXT": "\\# 12 0161076578616d706c650040",
    "SIG": "\\# 19 " + "00" * 19,
    "PX": "1 a.example. b.example.",
    "WALLET": '"a" "b"',
    "DSYNC": "CDS 1 53 a.example.",
    "RESINFO": '"a"',
}


def seeds():
    out = []
    for rdtype, text in SAMPLES.items():
        try:
            number = dns.rdatatype.from_text(rdtype)
            data = dns.rdata.from_text("IN", number, text).to_wire()
        except (dns.exception.DNSException, ValueError):
            continue  # a type that this dnspython does not know yet
        out.append(int(number).to_bytes(2, "big") + data)
    return out


def work(octets):
    """Read two octets as the type, the rest as the RDATA."""
    rdtype, data = int.from_bytes(octets[:2], "big"), octets[2:]
    try:
        rdata = records.read_rdata(rdtype, data, 0, len(data))
    except BadRdata as error:
        return error, "", None
    text = rdata_to_text(rdtype, rdata)
    ((_, _, words),) = entries(_Lines(text))
    return rdata, text, rdata_from_text(rdtype, words, names.ROOT)


class _Lines:
    """One line of a master file, as a stream."""

    def __init__(self, text):
        self._lines = [text.encode()]

    def readline(self, _size=-1):
        return self._lines.pop() if self._lines else b""


def judge(octets, outcome):
    rdata, text, again = outcome
    rdtype, data = int.from_bytes(octets[:2], "big"), octets[2:]
    theirs = by_dnspython(rdtype, data)
    if isinstance(rdata, BadRdata):
        assert str(rdata)
        assert theirs is None or rdtype not in OWN or rdtype in EMPTY, theirs
        return
    assert records.canonical(rdtype, rdata) == rdata
    assert "\n" not in text
    assert again == rdata, text
    if theirs is not None and rdtype in OWN:
        assert rdata == theirs


def by_dnspython(rdtype, data):
    """Return canonical RDATA, None where dnspython refuses it or does not know the type."""
    try:
        rdata = dns.rdata.from_wire(1, rdtype, data, 0, len(data))
        return None if isinstance(rdata, dns.rdata.GenericRdata) else rdata.to_digestable()
    except (dns.exception.DNSException, ValueError, IndexError, KeyError):
        return None
