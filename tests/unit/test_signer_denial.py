"""Denial records and the octets under signatures, against the vectors of the RFCs."""

from __future__ import annotations

import base64

import dns.dnssec
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest

from ddns.dns.codes import Type
from ddns.dns.names import from_text
from zone_signer import canon, denial, shape

# RFC 5155 appendix A: salt AABBCCDD, 12 extra iterations.
HASHES = {
    "example.": "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom",
    "a.example.": "35mthgpgcu1qg68fab165klnsnk3dpvl",
    "ai.example.": "gjeqe526plbf1g8mklp59enfd789njgi",
    "ns1.example.": "2t7b4g4vsa5smi47k61mv5bv1a22bojr",
    "ns2.example.": "q04jkcevqvmu85r014c7dkba38o0ji5r",
    "w.example.": "k8udemvp1j2f7eg6jebps17vp3n8i58h",
    "*.w.example.": "r53bq7cc2uvmubfu5ocmm6pers9tk9en",
    "x.w.example.": "b4um86eghhds6nea196smvmlo4ors995",
    "y.w.example.": "ji6neoaepv8b5o6k4ev33abha8ht9fgc",
    "x.y.w.example.": "2vptu5timamqttgl4luu9kg21e0aor3s",
    "xx.example.": "t644ebqk9bibcna874givr6joj62mlhv",
}


@pytest.mark.parametrize(("name", "hashed"), HASHES.items())
def test_names_hash_as_in_appendix_a_of_rfc_5155(name, hashed):
    digest = denial.hashed(from_text(name), bytes.fromhex("aabbccdd"), 12)

    assert denial.owner_of(digest, from_text("example.")) == from_text(f"{hashed}.example.")


@pytest.mark.parametrize("name", ["example.", "a.example.", "*.w.example.", "\\000.example."])
def test_our_hash_has_no_salt_and_no_extra_iterations(name):
    expected = dns.dnssec.nsec3_hash(name, "", 0, "SHA1").lower()

    assert denial.chain_owner("nsec3", from_text(name), from_text("example.")) == from_text(f"{expected}.example.")


def test_the_type_bit_maps_are_those_of_rfc_4034_section_4_3():
    bits = denial.bitmap(frozenset({Type.A, Type.MX, Type.RRSIG, Type.NSEC, 1234}))

    assert bits == bytes.fromhex("0006400100000003" + "041b" + "00" * 26 + "20")


def test_nothing_exists_at_an_empty_non_terminal():
    assert denial.bitmap(frozenset()) == b""


@pytest.mark.parametrize("kind", ["nsec", "nsec3"])
def test_a_record_reads_back_as_it_was_made(kind):
    origin = from_text("example.")
    following = denial.chain_owner(kind, from_text("b.example."), origin)
    bits = denial.bitmap(frozenset({Type.A, Type.RRSIG}))

    rdata = denial.rdata_of(kind, following, bits)

    assert denial.read(kind, rdata, origin) == (following, bits)
    rdtype = dns.rdatatype.NSEC if kind == "nsec" else dns.rdatatype.NSEC3
    text = dns.rdata.from_wire(dns.rdataclass.IN, rdtype, rdata, 0, len(rdata)).to_text()
    assert text.endswith(" A RRSIG")
    if kind == "nsec3":
        assert text.startswith("1 0 0 - ")


def test_a_zone_name_of_222_octets_has_room_for_hashes_and_one_of_223_has_not():
    short = from_text(".".join(["l" * 63] * 3 + ["m" * 28]) + ".")
    assert len(short) == 222
    denial.chain_owner("nsec3", short, short)

    long = from_text(".".join(["l" * 63] * 3 + ["m" * 29]) + ".")
    with pytest.raises(denial.NameTooLong, match="sign it with --denial nsec"):
        denial.chain_owner("nsec3", long, long)


APEX = from_text("example.")


@pytest.mark.parametrize(
    ("name", "types", "kind", "expected"),
    [
        ("a.example.", {1}, "nsec3", {1, 46}),
        ("a.example.", {1}, "nsec", {1, 46, 47}),
        ("a.example.", set(), "nsec3", set()),
        ("cut.example.", {2}, "nsec3", {2}),
        ("cut.example.", {1, 2, 16}, "nsec3", {2}),
        ("cut.example.", {2, 43}, "nsec3", {2, 43, 46}),
        ("cut.example.", {2}, "nsec", {2, 46, 47}),
        ("example.", {2, 6}, "nsec3", {2, 6, 46, 48, 51}),
        ("example.", {2, 6}, "nsec", {2, 6, 46, 47, 48}),
    ],
)
def test_bit_maps_tell_what_the_zone_itself_has(name, types, kind, expected):
    """RFC 4035 §2.3 and RFC 5155 §7.1: of a cut only NS and DS, and RRSIG only where something is signed."""
    assert shape.chain_types(from_text(name), types, APEX, kind) == expected


def test_names_below_cuts_and_dnames_are_hidden_and_those_beside_are_not():
    blockers = {from_text("cut.example."), from_text("d.example.")}

    assert shape.hidden(from_text("ns.cut.example."), blockers, APEX)
    assert shape.hidden(from_text("a.b.d.example."), blockers, APEX)
    assert not shape.hidden(from_text("cut.example."), blockers, APEX)
    assert not shape.hidden(from_text("xcut.example."), blockers, APEX)


def test_ns_at_the_apex_is_no_cut_but_a_dname_there_hides_everything():
    assert not shape.blocks(APEX, {Type.NS}, APEX)
    assert shape.blocks(APEX, {Type.DNAME}, APEX)


@pytest.mark.parametrize(("name", "labels"), [(".", 0), ("example.", 1), ("*.example.", 1), ("a.*.example.", 3)])
def test_the_labels_field_does_not_count_a_leading_asterisk(name, labels):
    assert canon.labels(from_text(name)) == labels


def test_hashes_are_base32hex_in_lower_case():
    digest = bytes(range(20))

    assert denial.owner_of(digest, APEX)[1:33] == base64.b32hexencode(digest).lower()
