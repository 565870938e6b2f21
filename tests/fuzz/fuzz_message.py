"""Questions: octets into the responder over hostile zones, signed and not, and the hot path beside it."""

import struct
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import hostile
from published import image

from ddns.answer.cookies import Cookies
from ddns.answer.options import About, Options
from ddns.answer.responder import Responder
from ddns.answer.table import Table
from ddns.dns import names
from ddns.dns.asker import Asker, Transport
from ddns.dns.codes import META_TYPES

BOUND = 12_000  # calls for one message: an alias that goes on for 16 hops, and proofs for each
PAYLOAD = 1232  # octets, our greatest datagram
SIGNED = Path(__file__).parents[1] / "vectors" / "signed.zone"
ASKERS = [Asker(transport, "192.0.2.7") for transport in (Transport.UDP, Transport.UDP, Transport.TCP, Transport.TLS)]
ZONES = {
    "plain.test.": hostile.PLAIN,
    "other.test.": hostile.OTHER,
    "child.plain.test.": hostile.CHILD_ZONE,
    "signed.test.": SIGNED.read_text(),
}
OPTIONS = Options(About(nsid=b"one", identity="one", report=names.from_text("agent.example.")), Cookies(b"s" * 16))
TABLE = Table(1000, OPTIONS.report)
for number, (origin, text) in enumerate(ZONES.items(), start=1):
    TABLE.install(image(text, origin, number))
RESPONDER = Responder(TABLE, OPTIONS)


def seeds():
    names_asked = [
        "www.plain.test.", "nothing.plain.test.", "x.wild.plain.test.", "c1.plain.test.", "www.cut.plain.test.",
        "a.d.plain.test.", "loop1.plain.test.", "www.child.plain.test.", "nothing.signed.test.", "x.wild.signed.test.",
        "c.ent.signed.test.", "elsewhere.invalid.", ".", "to-wild.signed.test.", "www.signed.test.",
    ]  # fmt: skip
    out = []
    for index, name in enumerate(names_asked):
        for rdtype, edns, do in (("A", -1, False), ("ANY", 0, True), ("DS", 0, False), ("TXT", 0, True)):
            message = dns.message.make_query(name, rdtype)
            message.id = index << 8
            options = [dns.edns.GenericOption(10, b"8 octets"), dns.edns.GenericOption(3, b"")] if do else []
            message.use_edns(edns, dns.flags.DO if do else 0, 1232, options=options)
            out.append(message.to_wire())
    tsig = dns.message.make_query("www.plain.test.", "A")
    tsig.use_tsig(dns.tsig.Key("k.", b"secret"))
    out.append(tsig.to_wire())
    out.append(dns.message.make_query("id.server.", "TXT", "CH").to_wire())
    out.append(dns.message.make_query("www.plain.test.", 128).to_wire())
    return out


def work(octets):
    asker = ASKERS[octets[0] % len(ASKERS)] if octets else ASKERS[0]
    before = TABLE.lookup(octets)
    answer = RESPONDER.respond(octets, asker)
    after = TABLE.lookup(octets)
    return asker, before, answer, after


def judge(octets, outcome):
    asker, before, answer, after = outcome
    if answer is None:
        assert len(octets) < 12 or octets[2] & 0x80
        assert before is None
        assert after is None
        return
    assert isinstance(answer, bytes)
    if not asker.transport.stream:
        assert before in (None, answer)
        assert after in (None, answer)
        assert len(answer) <= PAYLOAD
    assert answer[:2] == octets[:2]
    assert answer[2] & 0xF8 == 0x80 | octets[2] & 0x78  # QR, the same opcode
    assert not answer[3] & 0xF0  # RA, Z, AD, CD
    reply = dns.message.from_wire(answer)
    asked = parsed(octets)
    if asked is None:
        return
    size = max(asked.payload, 512) if asked.edns >= 0 else 512
    assert asker.transport.stream or len(answer) <= size
    end = 12 + len(asked.question[0].name.to_wire()) + 4
    if struct.unpack_from("!H", answer, 4)[0]:
        assert answer[12:end] == octets[12:end]
    assert reply.edns == (0 if asked.edns >= 0 else -1)
    if plain(octets, asked):
        assert reply.rcode() not in (dns.rcode.FORMERR, dns.rcode.NOTIMP), reply
    assert (reply.rcode() == dns.rcode.BADVERS) <= (asked.edns > 0)


def parsed(octets):
    """Return the question as dnspython reads it, or None where it reads none, or ours must not."""
    try:
        message = dns.message.from_wire(octets, keyring=False)
    except (dns.exception.DNSException, ValueError, struct.error):
        return None
    if message.opcode() != dns.opcode.QUERY or len(message.question) != 1 or octets[4:6] != b"\0\1":
        return None
    at = 12
    while octets[at]:
        if octets[at] > 63:
            return None  # dnspython follows a pointer into the header
        at += 1 + octets[at]
    return message


def plain(octets, asked):
    """Tell whether this is a question that every server must understand."""
    question = asked.question[0]
    odd = {10, 11}  # COOKIE and TCP-KEEPALIVE have forms of their own
    return (
        octets[6:10] == b"\0\0\0\0"
        and octets[10:12] == (b"\0\1" if asked.edns >= 0 else b"\0\0")
        and asked.edns <= 0
        and question.rdclass == 1
        and (question.rdtype not in META_TYPES or question.rdtype == 255)
        and not any(option.otype in odd for option in asked.options)
    )
