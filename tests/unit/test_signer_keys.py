"""Keys, their tags and DS records, and signatures, against the vectors of RFC 6605 and RFC 8080."""

from __future__ import annotations

import base64
import struct

import dns.dnssec
import dns.name
import dns.rdata
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ddns.dns.names import from_text
from zone_signer import keys, rrsig
from zone_signer.rrsig import Signatory
from zone_signer.vault import SigningKey

P256 = "GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA=="
ED25519 = "l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4="
ED25519_PRIVATE = "ODIyNjAzODQ2MjgwODAxMjI2NDUxOTAyMDQxNDIyNjI="
ED25519_MX = "oL9krJun7xfBOIWcGHi7mag5/hdZrKWw15jPGrHpjQeRAvTdszaPD+QLs3fx8A4M3e23mRZ9VrbpMngwcrqNAg=="


@pytest.mark.parametrize(
    ("owner", "algorithm", "public", "tag", "digest"),
    [
        ("example.net.", 13, P256, 55648, "b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17"),
        ("example.com.", 15, ED25519, 3613, "3aa5ab37efce57f737fc1627013fee07bdf241bd10f3b1964ab55c78e79a304b"),
    ],
)
def test_tags_and_ds_are_those_of_rfc_6605_section_6_1_and_rfc_8080_section_6_1(owner, algorithm, public, tag, digest):
    rdata = keys.dnskey(257, algorithm, base64.b64decode(public))

    assert keys.tag(rdata) == tag
    assert keys.ds(from_text(owner), rdata) == struct.pack("!HBB", tag, algorithm, 2) + bytes.fromhex(digest)


def test_a_tag_over_an_odd_number_of_octets_is_that_of_dnspython():
    rdata = keys.dnskey(257, 13, bytes(range(65)))
    parsed = dns.rdata.from_wire("IN", "DNSKEY", rdata, 0, len(rdata))

    assert keys.tag(rdata) == dns.dnssec.key_id(parsed)


def test_the_ed25519_signature_is_that_of_rfc_8080_section_6_1():
    private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(ED25519_PRIVATE))
    assert base64.b64encode(private.public_key().public_bytes_raw()).decode() == ED25519
    key = SigningKey(private.sign, keys.dnskey(257, 15, base64.b64decode(ED25519)))
    origin = from_text("example.com.")
    exchange = struct.pack("!H", 10) + from_text("mail.example.com.")

    rdata = Signatory(origin, key).sign(origin, 15, 3600, (exchange,), 1438207200, 1440021600)

    parsed = dns.rdata.from_wire("IN", "RRSIG", rdata, 0, len(rdata))
    signature = base64.b64encode(parsed.signature).decode()
    assert (parsed.key_tag, parsed.labels, parsed.signer) == (3613, 2, dns.name.from_text("example.com."))
    assert signature == ED25519_MX


@pytest.mark.parametrize("now", [1_800_000_000, 2**32 - 5, 2**32 + 5, 2**33])
def test_times_are_read_around_now_also_behind_2106(now):
    """RFC 4034 §3.1.5: 32 bits that wrap."""
    rdata = struct.pack("!HBBIIIH", 1, 13, 2, 60, (now + 1000) & 0xFFFFFFFF, (now - 3600) & 0xFFFFFFFF, 7)

    made = rrsig.read(rdata, now)

    assert (made.mark, made.inception, made.expiration) == ((13, 7), now - 3600, now + 1000)
