"""TSIG (RFC 8945) against dnspython and against messages of real clients; every check at its border."""

from __future__ import annotations

import base64
import json
import struct
import time
from pathlib import Path

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.tsig
import dns.tsigkeyring
import dns.update
import pytest
from craft import add, message, rr
from hypothesis import given
from hypothesis import strategies as st

from ddns.auth import envelope, tsig
from ddns.auth.principal import Credential, Secret
from ddns.auth.tsig import Policy, TsigRecord
from ddns.dns import names, wire
from ddns.dns.codes import BADSIG, Ede, Rcode
from ddns.dns.refusal import Refusal

NOW = 1_800_000_000
SECRET = bytes(range(32))
NAME = names.from_text("k.example.")
ALGORITHMS = sorted(tsig.ALGORITHMS)
CLIENTS = json.loads((Path(__file__).parents[1] / "vectors" / "update_clients.json").read_text())
PLAIN = message(add("cam", 300, "A", "192.0.2.1"))


def credential(algorithm: str = "hmac-sha256", secret: bytes = SECRET) -> Credential:
    return Credential(1, NAME, "tsig", algorithm, secret=Secret(secret))


def signed(algorithm: str = "hmac-sha256", *, at: int = NOW, fudge: int = 300, plain: bytes = PLAIN) -> bytes:
    return tsig.sign_request(plain, credential(algorithm), at, fudge)[0]


def record_of(octets: bytes) -> TsigRecord:
    record = tsig.cut(octets)
    assert isinstance(record, TsigRecord), record
    return record


def verdict(octets: bytes, now: int = NOW, key: Credential | None = None, policy: Policy = tsig.STRICT) -> int:
    """Return the TSIG error, 0 where the signature is good."""
    refusal = tsig.verify(record_of(octets), key or credential(), now, policy)
    if refusal is None:
        return 0
    assert refusal.rcode == Rcode.NOTAUTH
    assert refusal.ede == Ede.PROHIBITED
    return refusal.error


def keyring(algorithm: str = "hmac-sha256") -> dict[dns.name.Name, dns.tsig.Key]:
    return {dns.name.from_text("k.example."): dns.tsig.Key("k.example.", SECRET, algorithm)}


def with_tsig(data: bytes, *, owner: bytes = NAME, rdclass: int = 255, ttl: int = 0, plain: bytes = PLAIN) -> bytes:
    """Return *plain* with a TSIG record of any content behind it."""
    count = int.from_bytes(plain[10:12], "big") + 1
    tail = owner + struct.pack("!HHIH", 250, rdclass, ttl, len(data)) + data
    return plain[:10] + count.to_bytes(2, "big") + plain[12:] + tail


def data_of(octets: bytes) -> bytes:
    """Return the RDATA of the last record of a message that `sign_request` made."""
    return octets[len(PLAIN) + len(NAME) + 10 :]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_dnspython_signs_is_good(algorithm):
    """Each hash, over a message with compressed names."""
    made = dns.update.UpdateMessage("smith.example.")
    made.replace("cam", 300, "A", "192.0.2.1")
    plain = made.to_wire()
    made.use_tsig(keyring(algorithm), "k.example.", algorithm=algorithm)

    record = record_of(made.to_wire())

    assert tsig.verify(record, credential(algorithm), record.time, Policy(sha1=True)) is None
    assert record.message == plain


@pytest.mark.parametrize("client", [name for name in CLIENTS if " tsig " in name])
def test_what_real_clients_sign_is_good(client):
    """Messages of nsupdate and knsupdate; MD5 is refused like an unknown key (RFC 8945 §6)."""
    sent = CLIENTS[client]
    algorithm = client.split()[-1]

    error = verdict(bytes.fromhex(sent["wire"]), sent["at"], credential(algorithm), Policy(sha1=True))

    assert error == (Rcode.BADKEY if algorithm == "hmac-md5" else 0)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_we_sign_dnspython_finds_good(algorithm):
    """The client's side, judged by an independent verifier."""
    made = dns.update.UpdateMessage("smith.example.")
    made.delete("cam")
    octets, mac = tsig.sign_request(made.to_wire(), credential(algorithm), int(time.time()))

    parsed = dns.message.from_wire(octets, keyring=keyring(algorithm))

    assert parsed.had_tsig
    assert parsed.mac == mac


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_replies_are_signed_for_their_request(algorithm):
    """dnspython checks a reply with the request's MAC, and so does `verify_reply`."""
    now = int(time.time())
    request, mac = tsig.sign_request(PLAIN, credential(algorithm), now)

    reply = tsig.sign_reply(wire.error_reply(request, Rcode.NOERROR), record_of(request), credential(algorithm), now)

    assert dns.message.from_wire(reply, keyring=keyring(algorithm), request_mac=mac).rcode() == dns.rcode.NOERROR
    assert tsig.verify_reply(reply, mac, credential(algorithm), now) is None
    with pytest.raises(dns.tsig.BadSignature):
        dns.message.from_wire(reply, keyring=keyring(algorithm), request_mac=bytes(len(mac)))
    assert tsig.verify_reply(reply, bytes(len(mac)), credential(algorithm), now).code == "reply-signature-wrong"


def test_an_unsigned_message_has_none():
    """No TSIG is no fault of the message; of an update it is."""
    assert tsig.cut(PLAIN) is None
    assert envelope.open_signed(PLAIN) == envelope.UNSIGNED
    assert (envelope.UNSIGNED.rcode, envelope.UNSIGNED.ede) == (Rcode.REFUSED, Ede.PROHIBITED)


def test_what_is_signed_is_the_message_before():
    """The record's message is the request without TSIG, octet for octet."""
    assert record_of(signed()).message == PLAIN


def test_a_forwarder_may_change_the_id():
    """The MAC is over the original ID (RFC 8945 §5.1), and so is the digest."""
    octets = signed()
    forwarded = b"\xab\xcd" + octets[2:]

    assert verdict(forwarded) == 0
    assert record_of(forwarded).message == PLAIN
    assert tsig.digest(record_of(forwarded)) == tsig.digest(record_of(octets))


def test_the_digest_names_key_and_content():
    """Another key's name, time or content is another request."""
    other = Credential(2, names.from_text("l.example."), "tsig", "hmac-sha256", secret=Secret(SECRET))
    variants = [
        signed(),
        signed(at=NOW + 1),
        signed(plain=message(add("cam", 300, "A", "192.0.2.2"))),
        tsig.sign_request(PLAIN, other, NOW)[0],
    ]

    assert len({tsig.digest(record_of(octets)) for octets in variants}) == len(variants)


def test_key_and_algorithm_names_have_no_case():
    """Names are signed in canonical form (RFC 8945 §4.3.3)."""
    octets = signed()
    spelled = octets.replace(NAME, b"\x01K\x07ExAmple\x00").replace(b"\x0bhmac-sha256", b"\x0bHMAC-Sha256")

    assert spelled != octets
    assert verdict(spelled) == 0
    assert tsig.digest(record_of(spelled)) == tsig.digest(record_of(octets))


def test_a_compressed_key_name_is_read():
    """The owner of a TSIG may be compressed like any other."""
    inside = Credential(1, names.from_text("k.smith.example."), "tsig", "hmac-sha256", secret=Secret(SECRET))
    octets, _ = tsig.sign_request(PLAIN, inside, NOW)

    compressed = octets.replace(inside.name, b"\x01k\xc0\x0c")

    assert len(compressed) < len(octets)
    assert verdict(compressed, key=inside) == 0


@pytest.mark.parametrize(
    "key",
    [
        None,
        credential("hmac-sha512"),
        Credential(1, NAME, "sig0", "13"),
    ],
)
def test_an_unknown_key_is_badkey(key):
    """No such key, or one with another algorithm (RFC 8945 §5.2.1); the refusal is the same for both."""
    refusal = tsig.verify(record_of(signed()), key, NOW)

    assert refusal == tsig.verify(record_of(signed()), None, NOW)
    assert (refusal.rcode, refusal.error, refusal.ede) == (Rcode.NOTAUTH, Rcode.BADKEY, Ede.PROHIBITED)


def test_candidates_have_name_kind_and_algorithm():
    """Of all credentials of a name, the one that the record speaks of."""
    mine = credential()
    others = [credential("hmac-sha512"), Credential(2, NAME, "sig0", "13", 7)]

    assert tsig.candidate(record_of(signed()), [*others, mine]) is mine
    assert tsig.candidate(record_of(signed()), others) is None


def test_sha1_only_where_it_is_allowed():
    """RFC 8945 §6: it is there for old clients, by the operator's choice."""
    octets = signed("hmac-sha1")

    assert verdict(octets, key=credential("hmac-sha1")) == Rcode.BADKEY
    assert verdict(octets, key=credential("hmac-sha1"), policy=Policy(sha1=True)) == 0


def test_a_wrong_secret_is_badsig():
    """RFC 8945 §5.2.2."""
    assert verdict(signed(), key=credential(secret=b"x" * 32)) == BADSIG


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_one_changed_octet_is_never_good(at, change):
    """Wherever an octet is changed, the message is refused, except in the ID, which is not signed."""
    octets = bytearray(signed())
    at = 2 + at % (len(octets) - 2)
    octets[at] ^= change
    record = envelope.open_signed(bytes(octets))
    if isinstance(record, TsigRecord):
        changed_case = tsig.digest(record) == tsig.digest(record_of(signed()))
        assert changed_case or tsig.verify(record, credential(), NOW) is not None
    else:
        assert isinstance(record, Refusal)


@pytest.mark.parametrize(("now", "error"), [(NOW - 301, 18), (NOW - 300, 0), (NOW, 0), (NOW + 300, 0), (NOW + 301, 18)])
def test_time_may_be_off_by_the_fudge(now, error):
    """RFC 8945 §5.2.3, both ways."""
    assert verdict(signed(), now) == error


def test_a_time_above_32_bits_is_read():
    """Time signed has 48 bits."""
    late = 2**40 + 5

    assert verdict(signed(at=late), late) == 0
    assert record_of(signed(at=late)).expires == late + 300


def test_the_mac_is_checked_before_the_time():
    """Both wrong is BADSIG (RFC 8945 §5.2)."""
    assert verdict(signed(), NOW + 9999, credential(secret=b"x")) == BADSIG


def shortened(octets: bytes, size: int) -> bytes:
    data = data_of(octets)
    at = len(names.from_text("hmac-sha256.")) + 8
    whole = int.from_bytes(data[at : at + 2], "big")
    mac = (data[at + 2 : at + 2 + whole] + bytes(64))[:size]
    return with_tsig(data[:at] + size.to_bytes(2, "big") + mac + data[at + 2 + whole :])


@pytest.mark.parametrize("size", [0, 9, 10, 15, 33, 64])
def test_macs_of_impossible_lengths_are_malformed(size):
    """Shorter than half the hash or than 10 octets, or longer than the hash: FORMERR (RFC 8945 §5.2.2.1)."""
    refusal = tsig.verify(record_of(shortened(signed(), size)), credential(), NOW)

    assert refusal is not None
    assert (refusal.rcode, refusal.error) == (Rcode.FORMERR, 0)


def test_truncated_macs_need_a_policy():
    """A good but truncated MAC is BADTRUNC unless the operator allows it (RFC 8945 §5.2.4)."""
    octets = shortened(signed(), 16)

    assert verdict(octets) == Rcode.BADTRUNC
    assert verdict(octets, policy=Policy(shortest_mac=17)) == Rcode.BADTRUNC
    assert verdict(octets, policy=Policy(shortest_mac=16)) == 0
    assert verdict(octets, NOW + 301) == Rcode.BADTIME
    assert verdict(octets, key=credential(secret=b"x")) == BADSIG


def badly_placed() -> list[tuple[str, bytes]]:
    data = data_of(signed())
    own = NAME + struct.pack("!HHIH", 250, 255, 0, len(data)) + data
    return [
        ("not last", message(additional=[own, rr("cam", "A", 1, 0, bytes(4))])),
        ("twice", message(additional=[own, own])),
        ("in the update section", message(own)),
        ("in the prerequisites", message(needs=[own])),
        ("class IN", with_tsig(data, rdclass=1)),
        ("TTL 1", with_tsig(data, ttl=1)),
        ("behind a SIG(0)", message(additional=[rr(".", "SIG", 255, 0, bytes(40)), own])),
        ("before a SIG(0)", message(additional=[own, rr(".", "SIG", 255, 0, bytes(40))])),
        ("empty", with_tsig(b"")),
        ("octets behind it", with_tsig(data + b"\0")),
        ("other data too long", with_tsig(data[:-2] + b"\0\1")),
        ("MAC too long for the record", with_tsig(data[:21] + b"\xff\xff" + data[23:])),
        ("broken algorithm name", with_tsig(b"\xc0\xff" + data)),
        ("broken key name", with_tsig(data, owner=b"\xff\xff")),
    ]


@pytest.mark.parametrize(("how", "octets"), badly_placed())
def test_malformed_and_misplaced_records_are_formerr(how, octets):
    """RFC 8945 §5.1 and §4.2: last, once, class ANY, TTL 0, and lengths that match."""
    refusal = tsig.cut(octets)

    assert isinstance(refusal, Refusal), how
    assert refusal.rcode == Rcode.FORMERR


def test_truncation_at_every_byte_is_formerr():
    """No prefix of a signed message passes for anything."""
    octets = signed()

    for size in range(len(octets)):
        refusal = envelope.open_signed(octets[:size])
        assert isinstance(refusal, Refusal)
        assert refusal.rcode == Rcode.FORMERR


@given(st.binary(max_size=200))
def test_noise_is_refused(octets):
    """Whatever comes, nothing is raised."""
    assert isinstance(envelope.open_signed(octets), Refusal)


# What the answers to refused messages carry (RFC 8945 §5.2, §5.3).


def answer(octets: bytes, key: Credential | None, now: int) -> tuple[dns.message.Message, bytes]:
    record = record_of(octets)
    refusal = tsig.verify(record, key, now)
    assert refusal is not None
    reply = tsig.reply(wire.error_reply(octets, refusal.rcode), record, key, now, refusal)
    return dns.message.from_wire(reply, keyring=lambda _message, _name: False), reply


def test_unknown_keys_are_answered_unsigned():
    """NOTAUTH with BADKEY and an empty MAC."""
    reply, octets = answer(signed(), None, NOW)

    assert reply.rcode() == dns.rcode.NOTAUTH
    assert reply.tsig[0].error == Rcode.BADKEY
    assert reply.tsig[0].mac == b""
    assert tsig.verify_reply(octets, b"", credential(), NOW).error == Rcode.BADKEY


def test_wrong_signatures_are_answered_unsigned():
    """NOTAUTH with BADSIG and an empty MAC."""
    reply, octets = answer(signed(), credential(secret=b"x"), NOW)

    assert reply.rcode() == dns.rcode.NOTAUTH
    assert reply.tsig[0].error == BADSIG
    assert reply.tsig[0].mac == b""
    assert tsig.verify_reply(octets, b"", credential(), NOW).error == BADSIG


def test_wrong_times_are_answered_signed_with_our_time():
    """BADTIME: the client's own time signed, ours in Other Data, so that the client can check and learn."""
    octets, mac = tsig.sign_request(PLAIN, credential(), NOW)

    reply, answered = answer(octets, credential(), NOW + 5000)

    assert reply.rcode() == dns.rcode.NOTAUTH
    assert reply.tsig[0].error == Rcode.BADTIME
    assert reply.tsig[0].time_signed == NOW
    assert reply.tsig[0].other == (NOW + 5000).to_bytes(6, "big")
    with pytest.raises(dns.tsig.PeerBadTime):
        dns.message.from_wire(answered, keyring=keyring(), request_mac=mac)
    refusal = tsig.verify_reply(answered, mac, credential(), NOW)
    assert refusal.error == Rcode.BADTIME
    assert str(NOW + 5000) in refusal.text


def test_truncated_macs_are_answered_signed():
    """BADTRUNC."""
    octets = shortened(signed(), 16)

    reply, answered = answer(octets, credential(), NOW)

    assert reply.tsig[0].error == Rcode.BADTRUNC
    assert len(reply.tsig[0].mac) == 32
    assert tsig.verify_reply(answered, record_of(octets).mac, credential(), NOW).error == Rcode.BADTRUNC


def test_accepted_requests_are_answered_signed():
    """`reply` without a refusal is `sign_reply`."""
    record = record_of(signed())
    plain = wire.error_reply(signed(), Rcode.NOERROR)

    assert tsig.reply(plain, record, credential(), NOW) == tsig.sign_reply(plain, record, credential(), NOW)


def test_replies_must_be_signed_by_the_right_key_in_time():
    """What a client refuses: no TSIG, another key, a time that is off, a malformed TSIG."""
    request, mac = tsig.sign_request(PLAIN, credential(), NOW)
    plain = wire.error_reply(request, Rcode.NOERROR)
    record = record_of(request)
    other = Credential(2, names.from_text("l.example."), "tsig", "hmac-sha256", secret=Secret(SECRET))
    late = tsig.sign_reply(plain, record, credential(), NOW + 301)

    assert tsig.verify_reply(plain, mac, credential(), NOW).code == "reply-unsigned"
    assert tsig.verify_reply(tsig.sign_reply(plain, record, other, NOW), mac, credential(), NOW).error == Rcode.BADKEY
    assert tsig.verify_reply(late, mac, credential(), NOW).code == "reply-time-wrong"
    assert tsig.verify_reply(late + b"\0", mac, credential(), NOW).rcode == Rcode.FORMERR


def test_refusals_name_the_key_and_the_cure():
    """One sentence for people, without the secret."""
    for refusal in (
        tsig.verify(record_of(signed()), None, NOW),
        tsig.verify(record_of(signed()), credential(secret=b"x"), NOW),
        tsig.verify(record_of(signed()), credential(), NOW + 999),
        tsig.verify(record_of(shortened(signed(), 16)), credential(), NOW),
    ):
        assert refusal is not None
        assert "k.example." in refusal.text
        assert refusal.text.endswith(".")
        assert base64.b64encode(SECRET).decode() not in refusal.text
