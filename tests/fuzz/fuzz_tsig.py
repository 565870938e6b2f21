"""TSIG: cut, verified and made; what we sign must be what a second, independent signer writes, octet for octet."""

import base64

import messages

from ddns.auth import trailer, tsig
from ddns.auth.principal import Credential, Secret
from ddns.dns import names
from ddns.dns.refusal import Refusal

BOUND = 4_000  # calls: the walk over a message's records
NOW = 1_700_000_000
SECRET = b"0123456789abcdef0123456789abcdef"
CREDENTIAL = Credential(1, names.from_text("key."), "tsig", "hmac-sha256", secret=Secret(SECRET))
CODES = {"message-malformed", "signature-misplaced", "tsig-malformed"}


def seeds():
    plain = messages.update([messages.question("example.")], (), [messages.record("a.example.", 1, 1, 60, b"\1\2\3\4")])
    secret = base64.b64encode(SECRET).decode()
    good = messages.tsig_signed(plain, "key.", secret, at=NOW)
    return [
        plain,
        good,
        messages.tsig_signed(plain, "key.", secret, at=NOW - 1000),
        messages.tsig_signed(plain, "other.", secret, at=NOW),
        messages.tsig_signed(good, "key.", secret, at=NOW),
        messages.tsig_signed(messages.transfer("example."), "key.", secret, at=NOW, algorithm="hmac-sha512"),
    ]


def work(octets):
    record = tsig.cut(octets)
    verdict = None
    if isinstance(record, tsig.TsigRecord):
        verdict = tsig.verify(record, tsig.candidate(record, [CREDENTIAL]), NOW)
    signed = again = None
    if len(octets) >= 12 and trailer.find(octets) is None and octets[10:12] != b"\xff\xff":
        signed, _ = tsig.sign_request(octets, CREDENTIAL, NOW)
        again = tsig.cut(signed)
    return record, verdict, signed, again


def judge(octets, outcome):
    record, verdict, signed, again = outcome
    if isinstance(record, Refusal):
        assert record.code in CODES
    elif record is not None:
        assert len(record.message) < len(octets)
        assert tsig.digest(record)
        if verdict is None:
            secret = base64.b64encode(SECRET).decode()
            remade = messages.tsig_signed(record.message, "key.", secret, at=record.time, fudge=record.fudge)
            theirs = tsig.cut(remade)
            # What is accepted is what an independent signer makes of the same message; error and other data are rare.
            assert record.error or record.other or record.mac == theirs.mac
    if signed is not None:
        assert signed == messages.tsig_signed(octets, "key.", base64.b64encode(SECRET).decode(), at=NOW)
        assert again.message == octets
        assert tsig.verify(again, CREDENTIAL, NOW) is None
        assert tsig.verify(again, CREDENTIAL, NOW + tsig.FUDGE + 1) is not None
