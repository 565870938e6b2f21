"""SIG(0) (RFC 2931) against messages of nsupdate and hand-made ones; every check at its border."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import dns.dnssec
import dns.rdata
import pytest
from craft import add, message, rr
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from ddns.auth import envelope, keyfile, keys, sig0
from ddns.auth.keys import BadKey
from ddns.auth.principal import Credential
from ddns.auth.sig0 import Policy, Sig0Record
from ddns.dns import names
from ddns.dns.codes import BADSIG, Ede, Rcode
from ddns.dns.refusal import Refusal

NOW = 1_800_000_000
NAME = names.from_text("smith.example.")
CLIENTS = json.loads((Path(__file__).parents[1] / "vectors" / "update_clients.json").read_text())
PLAIN = message(add("cam", 300, "A", "192.0.2.1"))
P256 = ec.derive_private_key(1234567, ec.SECP256R1())
P384 = ec.derive_private_key(7654321, ec.SECP384R1())
ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
RSA = rsa.generate_private_key(65537, 2048)
BY_ALGORITHM = {13: P256, 14: P384, 15: ED25519}


def credential(key: keys.PrivateKey = P256, name: bytes = NAME, flags: int = 512) -> Credential:
    rdata = keys.key_rdata(key, flags)
    return Credential(1, name, "sig0", str(rdata[3]), keys.key_tag(rdata), rdata)


def rsa_credential(key: rsa.RSAPrivateKey = RSA) -> Credential:
    public = key.public_key().public_numbers()
    rdata = b"\2\0\3\x08\3\1\0\1" + public.n.to_bytes((public.n.bit_length() + 7) // 8, "big")
    return Credential(1, NAME, "sig0", "8", keys.key_tag(rdata), rdata)


def signed(key: keys.PrivateKey = P256, *, at: int = NOW, plain: bytes = PLAIN, window: int = 300) -> bytes:
    return sig0.sign_request(plain, key, NAME, at, window=window)


def with_sig(data: bytes, *, owner: bytes = b"\0", rdclass: int = 255, ttl: int = 0, plain: bytes = PLAIN) -> bytes:
    """Return *plain* with a SIG record of any content behind it."""
    count = int.from_bytes(plain[10:12], "big") + 1
    tail = owner + struct.pack("!HHIH", 24, rdclass, ttl, len(data)) + data
    return plain[:10] + count.to_bytes(2, "big") + plain[12:] + tail


def data_of(octets: bytes) -> bytes:
    """Return the RDATA of the last record of a message that `sign_request` made."""
    return octets[len(PLAIN) + 11 :]


def by_hand(key: ec.EllipticCurvePrivateKey, head: bytes, signer: bytes, as_signed: bytes | None = None) -> bytes:
    """Sign without the code under test; *signer* is how the record spells it, *as_signed* how it was signed."""
    r, s = decode_dss_signature(key.sign(head + (as_signed or signer) + PLAIN, ec.ECDSA(hashes.SHA256())))
    return with_sig(head + signer + r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def head_of(key: keys.PrivateKey = P256, *, at: int = NOW, width: int = 600) -> bytes:
    rdata = keys.key_rdata(key)
    since = at - width // 2
    serials = (since + width) & 0xFFFFFFFF, since & 0xFFFFFFFF
    return struct.pack("!HBBIIIH", 0, rdata[3], 0, 0, *serials, keys.key_tag(rdata))


def record_of(octets: bytes) -> Sig0Record:
    record = sig0.cut(octets)
    assert isinstance(record, Sig0Record), record
    return record


def good(octets: bytes, key: Credential, now: int = NOW) -> bool:
    record = record_of(octets)
    found = sig0.candidates(record, [key])
    return bool(found) and sig0.in_time(record, now) is None and sig0.verify(record, found) is key


@pytest.mark.parametrize("client", [name for name in CLIENTS if " sig0 " in name])
def test_what_nsupdate_signs_is_good(client):
    """Keys as dnssec-keygen makes them, and one whose name it spelled and signed in mixed case."""
    sent = CLIENTS[client]
    name, rdata = keyfile.read_public(sent["key"])
    algorithm, tag = keys.check(rdata)
    enrolled = Credential(1, name, "sig0", str(algorithm), tag, rdata)

    assert good(bytes.fromhex(sent["wire"]), enrolled, sent["at"])


@pytest.mark.parametrize("algorithm", sorted(BY_ALGORITHM))
def test_what_we_sign_is_good(algorithm):
    """The client's side, for each algorithm that it signs with."""
    key = BY_ALGORITHM[algorithm]

    assert good(signed(key), credential(key))
    assert record_of(signed(key)).message == PLAIN
    assert record_of(signed(key)).algorithm == algorithm


def test_what_we_sign_another_implementation_of_the_rfc_finds_good():
    """Verified step by step as RFC 2931 §3.1 says, without the code under test."""
    octets = signed()
    at = len(PLAIN)
    owner, fixed, data = octets[at : at + 1], struct.unpack_from("!HHIH", octets, at + 1), octets[at + 11 :]
    parsed = dns.rdata.from_wire(1, 24, data, 0, len(data))

    assert owner == b"\0"
    assert fixed == (24, 255, 0, len(data))
    assert (parsed.type_covered, parsed.labels, parsed.original_ttl) == (0, 0, 0)
    assert (parsed.inception, parsed.expiration) == (NOW - 300, NOW + 300)
    assert parsed.signer.to_text() == "smith.example."
    r, s = (int.from_bytes(parsed.signature[part : part + 32], "big") for part in (0, 32))
    P256.public_key().verify(
        keys.encode_dss_signature(r, s), data[: -len(parsed.signature)] + PLAIN, ec.ECDSA(hashes.SHA256())
    )


def test_a_hand_made_signature_is_good():
    """A P-256 signature that other code made."""
    assert good(by_hand(P256, head_of(), NAME), credential())


def test_rsa_signatures_are_good():
    """Algorithm 8 is verified, not signed with."""
    enrolled = rsa_credential()
    head = struct.pack("!HBBIIIH", 0, 8, 0, 0, NOW + 300, NOW - 300, enrolled.tag) + NAME

    octets = with_sig(head + RSA.sign(head + PLAIN, padding.PKCS1v15(), hashes.SHA256()))

    assert good(octets, enrolled)
    assert not good(octets[:-1] + bytes((octets[-1] ^ 1,)), enrolled)


def test_owner_class_and_ttl_mean_nothing():
    """RFC 2931 §3: any owner and TTL, class ANY or, of old clients, IN; they are not signed."""
    data = data_of(signed())

    for octets in (with_sig(data, owner=NAME), with_sig(data, owner=b"\xc0\x0c", ttl=77), with_sig(data, rdclass=1)):
        assert good(octets, credential())
        assert sig0.digest(record_of(octets)) == sig0.digest(record_of(signed()))


def test_a_compressed_signer_is_read():
    """Signed is the uncompressed name (RFC 2931 §3.1)."""
    octets = by_hand(P256, head_of(), b"\xc0\x0c", as_signed=NAME)

    assert good(octets, credential())


def test_a_signer_in_mixed_case_may_be_signed_either_way():
    """As the RFC says, in lower case, or as BIND does, as it is spelled."""
    spelled = b"\x05Smith\x07EXAMPLE\x00"

    assert good(by_hand(P256, head_of(), spelled), credential())
    assert good(by_hand(P256, head_of(), spelled, as_signed=NAME), credential())
    assert not good(by_hand(P256, head_of(), NAME, as_signed=spelled), credential())


def test_one_changed_octet_of_the_message_is_refused():
    """The header's ID too is signed (RFC 2931 §3.1)."""
    octets = signed()
    for at in (0, 1, 2, 3, 12, 40, len(PLAIN) - 1):
        changed = octets[:at] + bytes((octets[at] ^ 1,)) + octets[at + 1 :]
        record = envelope.open_signed(changed)
        assert isinstance(record, Refusal) or isinstance(sig0.verify(record, [credential()]), Refusal)


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_no_changed_octet_is_good_and_nothing_raises(at, change):
    """Anywhere in the message, except where the SIG's owner, class and TTL stand or only case differs."""
    octets = bytearray(signed())
    at %= len(octets)
    octets[at] ^= change
    record = envelope.open_signed(bytes(octets))
    if not isinstance(record, Sig0Record):
        assert isinstance(record, Refusal)
        return
    if sig0.digest(record) != sig0.digest(record_of(signed())) or at >= len(octets) - 64:
        tried = sig0.candidates(record, [credential()])
        assert isinstance(sig0.verify(record, tried), Refusal)


def test_the_digest_does_not_depend_on_the_signature():
    """ECDSA signatures can be made into others that are good too; the request is the same."""
    octets = signed()
    r, s = (int.from_bytes(octets[-64:][part : part + 32], "big") for part in (0, 32))
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    malleable = octets[:-32] + (order - s).to_bytes(32, "big")

    assert r
    assert malleable != octets
    assert good(malleable, credential())
    assert sig0.digest(record_of(malleable)) == sig0.digest(record_of(octets))


def test_the_digest_names_key_time_and_content():
    """Another key, second or message is another request."""
    variants = [signed(), signed(ED25519), signed(at=NOW + 1), signed(plain=b"\0\1" + PLAIN[2:])]

    assert len({sig0.digest(record_of(octets)) for octets in variants}) == len(variants)


@pytest.mark.parametrize(
    ("now", "code"),
    [
        (NOW - 301, "sig0-time-wrong"),
        (NOW - 300, None),
        (NOW, None),
        (NOW + 300, None),
        (NOW + 301, "sig0-time-wrong"),
    ],
)
def test_the_window_is_inclusive(now, code):
    """Inception and expiration are both good seconds (RFC 2931 §3.3)."""
    refusal = sig0.in_time(record_of(signed()), now)

    assert (refusal.code if refusal else None) == code
    if refusal:
        assert (refusal.rcode, refusal.error, refusal.ede) == (Rcode.NOTAUTH, Rcode.BADTIME, Ede.PROHIBITED)


def test_times_wrap_like_serials():
    """Seconds are compared in the arithmetic of RFC 1982: 2106 is not the end."""
    end = 2**32
    record = record_of(signed(at=end))

    assert record.expiration < record.inception
    assert sig0.in_time(record, end - 300) is None
    assert sig0.in_time(record, end + 300) is None
    assert sig0.in_time(record, end + 301) is not None
    assert record.expires(end) == end + 300


@pytest.mark.parametrize(("width", "code"), [(3900, None), (3902, "sig0-window-wide")])
def test_the_window_has_a_greatest_width(width, code):
    """A signature that is good for longer would have to be remembered for longer."""
    record = record_of(by_hand(P256, head_of(width=width), NAME))

    refusal = sig0.in_time(record, NOW)

    assert (refusal.code if refusal else None) == code
    assert sig0.in_time(record, NOW, Policy(width=width)) is None
    assert sig0.in_time(record, NOW, Policy(width=width - 1)) is not None


def test_candidates_agree_in_signer_tag_and_algorithm():
    """Nothing else is tried, and two at most."""
    record = record_of(signed())
    mine = credential()
    others = [
        credential(name=names.from_text("jones.example.")),
        credential(ED25519),
        credential(flags=0),
        Credential(9, NAME, "tsig", "hmac-sha256"),
    ]

    assert sig0.candidates(record, others) == ()
    assert sig0.candidates(record, [*others, mine]) == (mine,)
    assert len(sig0.candidates(record, [mine] * 5)) == 2


def test_the_second_of_two_keys_with_one_tag_may_be_the_one():
    """Tags collide; both keys are tried."""
    mine = credential()
    twin = Credential(2, NAME, "sig0", "13", mine.tag, credential(ec.derive_private_key(99, ec.SECP256R1())).public)
    record = record_of(signed())

    assert sig0.verify(record, [twin, mine]) is mine
    assert isinstance(sig0.verify(record, [twin, twin, mine]), Refusal)


def test_flags_are_part_of_the_tag():
    """A KEY enrolled with flags 0 is signed for with flags 0."""
    octets = sig0.sign_request(PLAIN, P256, NAME, NOW, flags=0)

    assert good(octets, credential(flags=0))
    assert not good(octets, credential())


def test_refusals():
    """NOTAUTH with the numbers that TSIG has for it, and the key's name in one sentence."""
    record = record_of(signed())
    unknown, wrong = sig0.unknown_key(record), sig0.verify(record, [credential(ED25519)])
    late = sig0.in_time(record, NOW + 999)

    for refusal, error in ((unknown, Rcode.BADKEY), (wrong, BADSIG), (late, Rcode.BADTIME)):
        assert isinstance(refusal, Refusal)
        assert (refusal.rcode, refusal.error, refusal.ede) == (Rcode.NOTAUTH, error, Ede.PROHIBITED)
        assert "smith.example." in refusal.text
        assert refusal.text.endswith(".")


def badly_placed() -> list[tuple[str, bytes]]:
    data = data_of(signed())
    own = b"\0" + struct.pack("!HHIH", 24, 255, 0, len(data)) + data
    return [
        ("not last", message(additional=[own, rr("cam", "A", 1, 0, bytes(4))])),
        ("twice", message(additional=[own, own])),
        ("in the update section", message(own)),
        ("in the prerequisites", message(needs=[own])),
        ("class CH", with_sig(data, rdclass=3)),
        ("labels", with_sig(data[:3] + b"\1" + data[4:])),
        ("original TTL", with_sig(data[:7] + b"\1" + data[8:])),
        ("no signature", with_sig(data[: 18 + len(NAME)])),
        ("no signer", with_sig(data[:18])),
        ("cut in its fields", with_sig(data[:17])),
        ("signer cut", with_sig(data[: 18 + 4])),
        ("signer points forward", with_sig(data[:18] + b"\xc3\xff" + bytes(64))),
    ]


@pytest.mark.parametrize(("how", "octets"), badly_placed())
def test_malformed_and_misplaced_records_are_formerr(how, octets):
    """RFC 2931 §3: one, the last of the additional section, with its fixed fields 0."""
    refusal = envelope.open_signed(octets)

    assert isinstance(refusal, Refusal), how
    assert refusal.rcode == Rcode.FORMERR


def test_a_sig_that_covers_a_type_is_data():
    """The SIG of RFC 2535 may be written and deleted; it signs no message."""
    old = rr("cam", "SIG", 1, 60, b"\0\1" + data_of(signed())[2:])

    assert envelope.open_signed(message(old)) == envelope.UNSIGNED
    assert envelope.open_signed(message(rr("cam", "SIG", 255))) == envelope.UNSIGNED
    assert isinstance(envelope.open_signed(sig0.sign_request(message(old), P256, NAME, NOW)), Sig0Record)


def test_truncation_at_every_byte_is_formerr():
    """No prefix of a signed message passes for anything."""
    octets = signed()

    for size in range(len(octets)):
        refusal = envelope.open_signed(octets[:size])
        assert isinstance(refusal, Refusal)
        assert refusal.rcode == Rcode.FORMERR


@pytest.mark.parametrize("size", [0, 1, 63, 65, 96])
def test_signatures_of_another_length_are_wrong(size):
    """A P-256 signature has 64 octets, an Ed25519 one too."""
    for key in (P256, ED25519):
        record = record_of(with_sig(data_of(signed(key))[:-64] + bytes(size))) if size else None
        if record is not None:
            assert isinstance(sig0.verify(record, [credential(key)]), Refusal)


# Keys that may be enrolled (RFC 3445, and what the registry decides).


def key_rdata(*, flags: int = 512, protocol: int = 3, algorithm: int = 13, octets: bytes | None = None) -> bytes:
    if octets is None:
        octets = keys.key_rdata(P256)[4:]
    return struct.pack("!HBB", flags, protocol, algorithm) + octets


@pytest.mark.parametrize("flags", [0, 512])
@pytest.mark.parametrize("algorithm", sorted(BY_ALGORITHM))
def test_keys_of_hosts_may_be_enrolled(algorithm, flags):
    """Flags 0 as of RFC 3445, 512 as dnssec-keygen writes."""
    rdata = keys.key_rdata(BY_ALGORITHM[algorithm], flags)

    assert keys.check(rdata) == (algorithm, keys.key_tag(rdata))


def rsa_rdata(bits: int, exponent: bytes = b"\1\0\1") -> bytes:
    modulus = ((1 << bits) - 1).to_bytes((bits + 7) // 8, "big")
    return key_rdata(algorithm=8, octets=bytes((len(exponent),)) + exponent + modulus)


@pytest.mark.parametrize(
    "rdata",
    [
        b"",
        key_rdata(octets=b""),
        key_rdata(flags=256),
        key_rdata(flags=257),
        key_rdata(flags=0xC000),
        key_rdata(flags=0xC200),
        key_rdata(flags=0x8000),
        key_rdata(protocol=1),
        key_rdata(protocol=255),
        key_rdata(octets=bytes(64)),  # no point of the curve
        key_rdata(octets=keys.key_rdata(P256)[4:] + b"\0"),
        key_rdata(octets=keys.key_rdata(P256)[4:-1]),
        key_rdata(algorithm=14),
        key_rdata(algorithm=15),
        *(key_rdata(algorithm=number) for number in (0, 1, 3, 5, 6, 7, 10, 12, 16, 253)),
        rsa_rdata(2047),
        rsa_rdata(4097),
        rsa_rdata(2048, b"\1\0\0\0\1\1"),
        rsa_rdata(2048, b"\2"),
        key_rdata(algorithm=8, octets=b"\0"),
    ],
)
def test_other_keys_may_not(rdata):
    """Zone keys, NOKEY, other protocols, weak or unknown algorithms, octets that are no key."""
    with pytest.raises(BadKey):
        keys.check(rdata)


@pytest.mark.parametrize("bits", [2048, 4096])
def test_rsa_keys_have_2048_to_4096_bits(bits):
    """The limits themselves are good."""
    assert keys.check(rsa_rdata(bits))[0] == 8


def test_a_key_that_has_become_unusable_verifies_nothing():
    """A credential whose octets are no key is a wrong signature, not an exception."""
    broken = Credential(1, NAME, "sig0", "13", credential().tag, key_rdata(octets=bytes(64)))

    assert isinstance(sig0.verify(record_of(signed()), [broken]), Refusal)


def test_a_curve_that_the_dns_does_not_know_cannot_sign():
    """The client hears which one to use."""
    with pytest.raises(BadKey, match="P-256"):
        keys.key_rdata(ec.generate_private_key(ec.SECP521R1()))


@given(st.binary(min_size=5, max_size=120))
def test_key_tags_are_those_of_dnspython(octets):
    """RFC 4034 appendix B."""
    rdata = b"\2\0\3\x0d" + octets

    assert keys.key_tag(rdata) == dns.dnssec.key_id(dns.rdata.from_wire(1, 48, rdata, 0, len(rdata)))


REPLY = b"\x12\x34\xa8\0" + bytes(8)


def test_a_signed_reply_is_good_for_its_request_and_for_no_other():
    """RFC 2931 §3.1: the whole request, its own signature included, is signed along."""
    request, other = signed(), signed(at=NOW + 1)
    public = keys.key_rdata(ED25519)
    octets = sig0.sign_reply(REPLY, request, ED25519, NAME, NOW)

    assert sig0.verify_reply(octets, request, public, NAME, NOW) is None
    assert sig0.verify_reply(octets, other, public, NAME, NOW).code == "reply-signature-wrong"


def test_a_signed_reply_is_checked_as_rfc_2931_says_by_another_implementation():
    """Data, whole request, reply without its SIG(0)."""
    request = signed()
    octets = sig0.sign_reply(REPLY, request, ED25519, NAME, NOW)
    data = octets[len(REPLY) + 11 :]

    signature = data[-64:]
    ED25519.public_key().verify(signature, data[:-64] + request + REPLY)


@pytest.mark.parametrize(
    ("octets", "now", "code"),
    [
        (REPLY, NOW, "reply-unsigned"),
        (sig0.sign_reply(REPLY, signed(), P256, NAME, NOW), NOW, "reply-unsigned"),
        (sig0.sign_reply(REPLY, signed(), ED25519, names.from_text("other.example."), NOW), NOW, "reply-unsigned"),
        (sig0.sign_reply(REPLY, signed(ED25519), ED25519, NAME, NOW), NOW + 301, "sig0-time-wrong"),
        (sig0.sign_reply(REPLY, signed(), ED25519, NAME, NOW)[:-1] + b"?", NOW, "reply-signature-wrong"),
    ],
    ids=["unsigned", "another key", "another signer", "too late", "a changed octet"],
)
def test_a_reply_that_the_server_did_not_sign_now_is_refused(octets, now, code):
    """P-256 signatures are random, so the request is signed with Ed25519 where it must be the same."""
    assert sig0.verify_reply(octets, signed(ED25519), keys.key_rdata(ED25519), NAME, now).code == code
