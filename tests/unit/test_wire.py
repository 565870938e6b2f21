"""Messages as octets against dnspython: headers, questions, records, OPT, and the compressing writer."""

from __future__ import annotations

import struct

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddns.dns import names, records, wire
from ddns.dns.codes import CLASS_IN, HEADER_SIZE, Rcode, Type
from ddns.dns.wire import BadMessage, Edns, Header, Writer

RECORDS = [
    "smith.example. 300 IN SOA ns1.smith.example. admin.smith.example. 1 2 3 4 5",
    "smith.example. 300 IN NS ns1.smith.example.",
    "smith.example. 300 IN MX 10 mail.smith.example.",
    "cam.smith.example. 60 IN A 192.0.2.1",
    "cam.smith.example. 60 IN SRV 0 0 443 cam.smith.example.",
    '*.smith.example. 60 IN TXT "hello"',
    "a.b.c.smith.example. 60 IN CNAME www.other.test.",
]


def rrset(line: str) -> dns.rrset.RRset:
    owner, ttl, rdclass, rdtype, text = line.split(maxsplit=4)
    return dns.rrset.from_text(owner, int(ttl), rdclass, rdtype, text)


def answer() -> dns.message.Message:
    message = dns.message.make_response(dns.message.make_query("Cam.smith.example.", "ANY", use_edns=True))
    for line in RECORDS:
        message.answer.append(rrset(line))
    return message


ANSWER = answer().to_wire()


def walked(octets: bytes) -> list[wire.Record]:
    header = wire.header(octets)
    at = HEADER_SIZE
    for _ in range(header.qdcount):
        at = wire.question(octets, at).end
    return list(wire.walk(octets, at, header.ancount + header.nscount + header.arcount))


def test_the_header_is_read():
    """All six words, opcode and QR."""
    octets = struct.pack("!6H", 7, 0x8000 | 5 << 11 | 3, 1, 2, 3, 4)

    header = wire.header(octets)

    assert header == Header(7, 0xA803, 1, 2, 3, 4)
    assert header.opcode == 5
    assert header.is_response


@pytest.mark.parametrize("size", range(HEADER_SIZE))
def test_a_header_has_12_octets(size):
    """Anything shorter is no message."""
    with pytest.raises(BadMessage):
        wire.header(bytes(size))


def test_the_question_is_read():
    """Name in lower case, and `end` so that the asker's spelling can be echoed."""
    question = wire.question(ANSWER)

    assert question.name == names.from_text("cam.smith.example.")
    assert (question.type, question.rdclass) == (255, 1)
    assert ANSWER[HEADER_SIZE : question.end].startswith(b"\x03Cam")


def test_records_are_walked_as_dnspython_reads_them():
    """Owner, type, class, TTL and RDATA of every record, compression undone."""
    found = walked(ANSWER)

    assert found[-1].type == Type.OPT
    assert found[-1].end == len(ANSWER)
    for record, line in zip(found, RECORDS, strict=False):
        expected = rrset(line)
        assert record.name == expected.name.canonicalize().to_wire()
        assert (record.type, record.rdclass, record.ttl) == (expected.rdtype, CLASS_IN, expected.ttl)
        data = records.read_rdata(record.type, ANSWER, record.rdata, record.rdlength)
        assert data == expected[0].to_digestable()


def test_truncation_at_every_byte_is_noticed():
    """No prefix of a message is walked to its end."""
    for size in range(len(ANSWER)):
        with pytest.raises(BadMessage):
            walked(ANSWER[:size])


@given(st.binary(min_size=12, max_size=120))
def test_noise_raises_bad_message_only(octets):
    """Whatever comes, the walk ends or says that it is malformed."""
    try:
        found = walked(octets)
    except BadMessage:
        return
    assert all(record.end <= len(octets) for record in found)


@given(st.integers(min_value=12), st.integers(min_value=1, max_value=255))
def test_a_changed_octet_is_read_like_dnspython_reads_it(at, change):
    """Where the independent parser accepts a damaged message, the walk does too and finds as many records."""
    octets = bytearray(ANSWER)
    octets[12 + at % (len(octets) - 12)] ^= change
    damaged = bytes(octets)
    try:
        parsed = dns.message.from_wire(damaged, one_rr_per_rrset=True, ignore_trailing=True)
    except Exception:  # noqa: BLE001 - it raises many things; ours are what is tested
        parsed = None
    try:
        found = walked(damaged)
    except BadMessage:
        assert parsed is None
        return
    if parsed is not None:
        assert len(found) == sum(map(len, (*parsed.answer, *parsed.additional))) + (parsed.opt is not None)


@given(
    st.integers(min_value=0, max_value=65535),
    st.booleans(),
    st.lists(st.tuples(st.integers(min_value=65001, max_value=65534), st.binary(max_size=20)), max_size=4),
)
def test_opt_records_are_read_and_written(payload, do, options):
    """As dnspython reads them; a size below 512 means 512 (RFC 6891 §6.2.3)."""
    octets = struct.pack("!6H", 0, 0, 0, 0, 0, 1) + wire.opt(payload, do=do, options=tuple(options))

    found = wire.edns(octets, walked(octets)[0])

    parsed = dns.message.from_wire(octets)
    assert found == Edns(max(payload, 512), 0, do, tuple(options))
    assert (parsed.payload, parsed.edns, bool(parsed.ednsflags & dns.flags.DO)) == (payload, 0, do)
    assert [(int(one.otype), one.to_wire()) for one in parsed.options] == options


def test_the_version_and_the_extended_rcode_stand_in_the_ttl():
    """RFC 6891 §6.1.3."""
    bad = wire.error_reply(
        struct.pack("!6H", 9, 0, 0, 0, 0, 0), Rcode.BADVERS, client=Edns(1232, 1, do=True), payload=1232
    )

    parsed = dns.message.from_wire(bad)

    assert parsed.rcode() == dns.rcode.BADVERS
    assert parsed.edns == 0
    assert parsed.ednsflags & dns.flags.DO


@pytest.mark.parametrize("data", [b"\0", b"\0\x0a\0", b"\0\x0a\0\x01", b"\0\x0a\0\x04abc"])
def test_broken_options_are_noticed(data):
    """An option cut short, or longer than its record."""
    octets = struct.pack("!6H", 0, 0, 0, 0, 0, 1) + b"\0" + struct.pack("!HHIH", 41, 1232, 0, len(data)) + data

    with pytest.raises(BadMessage):
        wire.edns(octets, walked(octets)[0])


def test_extended_errors_are_read_by_dnspython():
    """RFC 8914: the code and the text."""
    query = dns.message.make_query("cam.smith.example.", "A", use_edns=True).to_wire()
    end = wire.question(query).end

    reply = wire.error_reply(
        query, Rcode.REFUSED, client=Edns(1232, 0, do=False), options=(wire.ede(18, "Not you."),), end=end
    )

    parsed = dns.message.from_wire(reply)
    assert parsed.rcode() == dns.rcode.REFUSED
    assert parsed.flags & dns.flags.QR
    assert parsed.question[0].name == dns.name.from_text("cam.smith.example.")
    assert [(one.code, one.text) for one in parsed.options] == [(18, "Not you.")]


def test_an_asker_without_edns_gets_none():
    """No OPT is sent to who sent none (RFC 6891 §7)."""
    query = dns.message.make_query("cam.smith.example.", "A", use_edns=False).to_wire()

    reply = wire.error_reply(query, Rcode.REFUSED, options=(wire.ede(18, "Not you."),))

    assert reply == query[:2] + b"\x81\x05" + bytes(8)


@pytest.mark.parametrize(
    ("flags", "expected"), [(0x0100, 0x8105), (0x2800, 0xA805), (0x0120, 0x8105), (0x7FFF, 0xF905)]
)
def test_reply_flags_keep_opcode_and_rd(flags, expected):
    """QR is set, all else is ours."""
    assert wire.reply_flags(flags, Rcode.REFUSED) == expected


def write(lines: list[str], limit: int = 65535, qname: str = "cam.smith.example.") -> tuple[bytes, int]:
    """Write *lines* as an answer; return it and how many fitted."""
    query = dns.message.make_query(qname, "A", use_edns=False).to_wire()
    writer = Writer(query, names.from_text(qname), limit)
    fitted = 0
    for line in lines:
        one = rrset(line)
        data = tuple(records.canonical(int(one.rdtype), rdata.to_digestable()) for rdata in one)
        fitted += writer.add(one.name.canonicalize().to_wire(), int(one.rdtype), one.ttl, data)
    writer.buffer[2:4] = b"\x80\0"
    writer.buffer[6:8] = struct.pack("!H", fitted)
    return bytes(writer.buffer), fitted


def test_what_is_written_dnspython_reads():
    """Every record comes back, and names are compressed."""
    octets, fitted = write(RECORDS)

    parsed = dns.message.from_wire(octets, one_rr_per_rrset=True)

    assert fitted == len(RECORDS)
    assert [one.to_text() for one in parsed.answer] == [rrset(line).to_text() for line in RECORDS]
    plain = sum(len(records.pack_rr(*_parts(line))) for line in RECORDS)
    assert len(octets) - HEADER_SIZE < plain


def _parts(line: str) -> tuple[bytes, int, int, bytes]:
    one = rrset(line)
    return one.name.to_wire(), int(one.rdtype), one.ttl, one[0].to_wire()


def test_srv_targets_are_not_compressed():
    """Only the types of RFC 1035 may be (RFC 3597 §4)."""
    octets, _ = write([RECORDS[4]])

    assert octets.endswith(names.from_text("cam.smith.example."))


def test_an_rrset_fits_whole_or_not_at_all():
    """At every limit, what is there parses, and what did not fit left nothing behind."""
    whole, _ = write(RECORDS)
    start, _ = write([])

    for limit in range(len(start), len(whole) + 1):
        octets, fitted = write(RECORDS, limit)
        parsed = dns.message.from_wire(octets, one_rr_per_rrset=True)
        assert len(octets) <= limit
        assert len(parsed.answer) == fitted
    assert write(RECORDS, len(whole))[1] == len(RECORDS)
    assert write(RECORDS, len(whole) - 1)[1] == len(RECORDS) - 1


def test_a_name_that_did_not_fit_is_no_target_for_pointers():
    """After a refused RRset, later ones do not point into what was taken back."""
    start, _ = write([])

    octets, fitted = write([RECORDS[6], "www.other.test. 60 IN A 192.0.2.9"], len(start) + 33)

    assert fitted == 1
    assert dns.message.from_wire(octets).answer[0].name == dns.name.from_text("www.other.test.")


def test_pointers_reach_16383_octets():
    """A name that starts further out is never pointed at (RFC 1035 §4.1.4)."""
    filler = [f'n{at:05}.smith.example. 60 IN TXT "{"x" * 200}"' for at in range(90)]
    lines = [*filler, "far.away.test. 60 IN A 192.0.2.1", "far.away.test. 60 IN A 192.0.2.2"]

    octets, fitted = write(lines)

    assert fitted == len(lines)
    assert len(octets) > 0x4000
    parsed = dns.message.from_wire(octets, one_rr_per_rrset=True)
    assert [one.name.to_text() for one in parsed.answer[-2:]] == ["far.away.test."] * 2
