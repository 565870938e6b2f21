"""Damaged master files: refused in one sentence, or read as dnspython reads them; never anything else."""

from __future__ import annotations

import io

import dns.exception
import dns.zone
from hypothesis import given, settings
from hypothesis import strategies as st

from ddns.dns import names, records
from ddns.dns.masterfile import BadMasterFile
from ddns.dns.zonefile import read_zone, write_zone

ORIGIN = names.from_text("exam.test.")
TEXT = """$TTL 1h
@ IN SOA ns1 hostmaster (
  1 ; serial
  2h 1h 2w 5m )
 NS ns1
ns1 A 192.0.2.1
  AAAA 2001:db8::1
$ORIGIN sub
www 60 IN CNAME host.exam.test.
txt IN 60 TXT "a;b" c\\032d "\\"" ( e
  f )
*.x MX 10 mail
t TYPE65280 \\# 3 abcdef
$TTL 30
_443._tcp TLSA 3 1 1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
"""
WORDS = ['"', "(", ")", "\\", "\n", "\r\n", " ", "\t", ";", "@", ".", "A", "TXT", "1h", "IN", "$TTL", "$ORIGIN",
         "\\000",
         "\\255", "*", "CNAME", "0", "\\#", "CLASS1", "::1", "www", "MX"]  # fmt: skip

positions = st.integers(0, len(TEXT))
mutations = st.lists(
    st.tuples(positions, positions, st.sampled_from(WORDS) | st.text(max_size=3) | st.just("")), min_size=1, max_size=4
)


def damaged(changes):
    text = TEXT
    for at, more, word in changes:
        text = text[:at] + word + text[min(len(text), at + more % 7) :]
    return text


def read(octets):
    """Return the zone and no words, or no zone and why."""
    try:
        return read_zone(io.BytesIO(octets), "x", ORIGIN), ""
    except BadMasterFile as error:
        return None, str(error)


def written(zone):
    return "".join(write_zone(ORIGIN, zone.published())).encode()


def theirs(text):
    out = {}
    zone = dns.zone.from_text(text, origin="exam.test.", relativize=False, check_origin=False)
    for name, rdataset in zone.iterate_rdatasets():
        rdatas = {records.canonical(int(rdataset.rdtype), one.to_wire()) for one in rdataset}
        out[name.canonicalize().to_wire(), int(rdataset.rdtype)] = (rdataset.ttl, tuple(sorted(rdatas)))
    return out


@settings(max_examples=400, deadline=None)
@given(mutations)
def test_a_damaged_file_is_refused_or_read_as_dnspython_reads_it(changes):
    text = damaged(changes)

    zone, refused = read(text.encode("utf-8", "surrogatepass"))

    if zone is None:
        assert refused.startswith("x")
        assert "\n" not in refused
        return
    try:
        expected = theirs(text)
    except (dns.exception.DNSException, ValueError, UnicodeError, IndexError):
        return
    assert {(one.name, one.type): (one.ttl, one.rdatas) for one in zone.rrsets} == expected
    assert read(written(zone))[0].rrsets == zone.rrsets


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_octets_are_refused_or_read(octets):
    zone, refused = read(b"$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS a.other.\n" + octets)

    assert "\n" not in refused
    if zone is not None:
        assert read(written(zone))[0].rrsets == zone.rrsets
