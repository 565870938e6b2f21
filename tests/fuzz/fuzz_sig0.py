"""SIG(0): cut, judged and made; what we sign is checked with nothing but the formula of RFC 2931 section 3.1."""

import struct

import messages
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ddns.auth import keys, sig0, trailer
from ddns.auth.principal import Credential
from ddns.dns import names
from ddns.dns.refusal import Refusal

BOUND = 4_000  # calls: the walk over a message's records
NOW = 1_700_000_000
KEY = Ed25519PrivateKey.from_private_bytes(b"0123456789abcdef0123456789abcdef")
SIGNER = names.from_text("gw.example.")
PUBLIC = keys.key_rdata(KEY)
CREDENTIAL = Credential(1, SIGNER, "sig0", "15", keys.key_tag(PUBLIC), PUBLIC)
CODES = {"message-malformed", "signature-misplaced", "sig0-malformed"}


def seeds():
    plain = messages.update([messages.question("example.")], (), [messages.record("a.example.", 1, 1, 60, b"\1\2\3\4")])
    covering = messages.record("a.example.", 24, 1, 60, b"\0\1" + bytes(40))
    good = sig0.sign_request(plain, KEY, SIGNER, NOW)
    return [
        plain,
        good,
        sig0.sign_request(plain, KEY, SIGNER, NOW - 10_000),
        sig0.sign_request(good, KEY, SIGNER, NOW),
        messages.update([messages.question("example.")], (), [covering]),
    ]


def work(octets):
    record = sig0.cut(octets)
    verdict = None
    if isinstance(record, sig0.Sig0Record):
        tried = sig0.candidates(record, [CREDENTIAL])
        verdict = sig0.in_time(record, NOW) or sig0.verify(record, tried)
        sig0.unknown_key(record)
    signed = None
    if len(octets) >= 12 and trailer.find(octets) is None and octets[10:12] != b"\xff\xff":
        signed = sig0.sign_request(octets, KEY, SIGNER, NOW)
    return record, verdict, signed


def judge(octets, outcome):
    record, verdict, signed = outcome
    if isinstance(record, Refusal):
        assert record.code in CODES
    elif record is not None:
        assert len(record.message) < len(octets)
        assert verdict is CREDENTIAL or isinstance(verdict, Refusal)
        if verdict is CREDENTIAL:
            KEY.public_key().verify(record.signature, record.head + record.message)
    if signed is not None:
        again = sig0.cut(signed)
        assert again.message == octets
        assert sig0.verify(again, [CREDENTIAL]) is CREDENTIAL
        # RFC 2931 §3.1: the RDATA without the signature, then the message as it was before.
        rdata = signed[len(octets) + 1 + 10 :]
        head, signature = rdata[:-64], rdata[-64:]
        assert head[18:] == SIGNER
        assert struct.unpack_from("!H", head, 16)[0] == keys.key_tag(PUBLIC)
        KEY.public_key().verify(signature, head + octets)
