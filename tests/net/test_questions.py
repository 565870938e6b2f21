"""Questions signed with TSIG: believed or refused as RFC 8945 says, and answered with the same key."""

from __future__ import annotations

import dns.message
import pytest

from ddns.auth import tsig
from ddns.auth.principal import Credential, Secret
from ddns.dns import names
from ddns.dns import wire as wires
from ddns.dns.asker import Asker, Transport
from ddns.dns.codes import Rcode
from ddns.net.questions import SignedQuestions

NOW = 1_795_000_000
NAME = names.from_text("k.example.")
KEY = Credential(1, NAME, "tsig", "hmac-sha256", secret=Secret(b"s" * 32))
QUESTION = dns.message.make_query("home.example.", "SOA", use_edns=False).to_wire()


UDP = Asker(Transport.UDP, "192.0.2.1")
TCP = Asker(Transport.TCP, "192.0.2.1")


class Ring:
    """Know one key, at once."""

    def find(self, name, found):
        found((KEY,) if name == NAME else ())
        return True


def ask(wire, *, now=NOW, tcp=False, size=0):
    """Return what a signed question gets: None where it is not taken."""
    replies = []

    def answer(message, reply, _tcp):
        reply(wires.error_reply(message, Rcode.NOERROR, end=wires.question(message).end) + bytes(size))

    taken = SignedQuestions(Ring(), answer, tsig.STRICT, lambda: now).take(wire, TCP if tcp else UDP, replies.append)
    assert taken == bool(replies)
    return replies[0] if replies else None


def signed(wire=QUESTION, key=KEY, now=NOW):
    return tsig.sign_request(wire, key, now)


def test_a_question_without_tsig_is_not_taken():
    """Neither a plain one nor one that only has the octets of a TSIG's head somewhere."""
    assert ask(QUESTION) is None
    assert ask(dns.message.make_query(r"\\000\\250\\000\\255.example.".replace("\\\\", "\\"), "A").to_wire()) is None


def test_the_answer_is_signed_with_the_key_of_the_question():
    """As a client checks it, the request's MAC included."""
    wire, mac = signed()

    reply = ask(wire)

    assert tsig.verify_reply(reply, mac, KEY, NOW) is None
    assert dns.message.from_wire(reply, keyring=False).rcode() == Rcode.NOERROR


def test_the_header_id_of_the_question_comes_back():
    """Also where a forwarder changed it (RFC 8945 §5.3: the original ID is in the TSIG)."""
    wire, _ = signed()

    assert ask(b"\x12\x34" + wire[2:])[:2] == b"\x12\x34"


@pytest.mark.parametrize(
    ("key", "now", "error"),
    [
        (Credential(1, names.from_text("x.example."), "tsig", "hmac-sha256", secret=KEY.secret), NOW, 17),
        (Credential(1, NAME, "tsig", "hmac-sha256", secret=Secret(b"x" * 32)), NOW, 16),
        (KEY, NOW - 1000, 18),
    ],
)
def test_a_bad_signature_is_notauth_and_gets_no_answer(key, now, error):
    """BADKEY, BADSIG, BADTIME in the TSIG (RFC 8945 §5.2)."""
    reply = dns.message.from_wire(ask(signed(key=key, now=now)[0]), keyring=lambda *_: False)

    assert (reply.rcode(), reply.tsig_error) == (Rcode.NOTAUTH, error)


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (lambda edns: signed(edns, key=Credential(1, names.from_text("x."), "tsig", "hmac-sha256", secret=KEY.secret)),
         "tsig-key-unknown"),
        (lambda edns: signed(edns, key=Credential(1, NAME, "tsig", "hmac-sha256", secret=Secret(b"x" * 32))),
         "tsig-signature-wrong"),
        (lambda edns: signed(edns, now=NOW - 9000), "tsig-time-wrong"),
    ],
    ids=["unknown", "wrong", "late"],
)  # fmt: skip
def test_who_sends_an_opt_hears_why_a_signed_question_is_refused(wire, code):
    reply = ask(wire(dns.message.make_query("home.example.", "SOA", use_edns=0).to_wire())[0])

    (error,) = dns.message.from_wire(reply, keyring=lambda *_: False, ignore_trailing=True).options
    assert error.text.endswith(f"[{code}]")
    assert dns.message.from_wire(ask(wire(QUESTION)[0]), keyring=lambda *_: False, ignore_trailing=True).edns == -1


def test_an_answer_that_the_tsig_makes_too_long_is_truncated():
    """TC, no records, and signed all the same; over TCP it is whole."""
    wire, mac = signed()

    short, whole = ask(wire, size=480), ask(wire, size=480, tcp=True)

    assert short[2] & 2
    assert len(short) <= 512
    assert tsig.verify_reply(short, mac, KEY, NOW) is None
    assert not whole[2] & 2
    assert len(whole) > 512
