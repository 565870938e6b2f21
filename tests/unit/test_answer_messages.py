"""What is answered to messages that are no plain question: header, question section, EDNS, meta-types."""

import struct

import dns.edns
import dns.message
import dns.rcode
import dns.rdataclass
import pytest
from asking import UDP, Asker, ede, header, query, rcode, section, tc
from published import image

from ddns.answer.compile import NeedZone
from ddns.dns import wire
from ddns.dns.codes import META_TYPES, Ede, Rcode, Type

ZONE = """$TTL 300
@ SOA ns1 admin 7 7200 3600 1209600 60
@ NS ns1
ns1 A 192.0.2.1
www A 192.0.2.10
big TXT {filler}
huge TXT {filler2}
""".replace("{filler2}", " ".join(['"' + "h" * 255 + '"'] * 255)).replace(
    "{filler}", " ".join(['"' + "b" * 200 + '"'] * 4)
)
ZONE += "".join(f'vast TXT "{number:04}" "{"v" * 250}"\n' for number in range(300))


@pytest.fixture(scope="module")
def ask():
    return Asker(image(ZONE, "example."))


def opt(*, owner=b"\0", payload=1232, version=0, flags=0, rdata=b"", extended=0):
    return owner + struct.pack("!HHBBHH", 41, payload, extended, version, flags, len(rdata)) + rdata


def with_additional(message, *records):
    """Return *message*, which has no OPT, with more additional records."""
    return message[:10] + struct.pack("!H", len(records)) + message[12:] + b"".join(records)


def plain(name="www.example.", rdtype="A", flags=0):
    return query(name, rdtype, edns=False, flags=flags)


def code(answer):
    return rcode(dns.message.from_wire(answer, ignore_trailing=False))


@pytest.mark.parametrize("size", range(12))
def test_less_than_a_header_is_met_with_silence(ask, size):
    assert ask.wire(plain()[:size]) is None


def test_an_answer_is_never_answered(ask):
    message = bytearray(plain())
    message[2] |= 0x80

    assert ask.wire(bytes(message)) is None
    assert ask.responder.unavailable(bytes(message), UDP, "Later.") is None


@pytest.mark.parametrize("opcode", [1, 2, 3, 4, 5, 6, 15])
def test_other_opcodes_are_not_implemented(ask, opcode):
    """NOTIFY too: nothing here is a secondary. UPDATE is taken by the caller before it comes here."""
    message = bytearray(plain())
    message[2] |= opcode << 3

    ident, flags, *counts = header(ask.wire(bytes(message)))

    assert ident == 0x1234
    assert (flags >> 11 & 15, flags & 15) == (opcode, 4)
    assert counts == [0, 0, 0, 0]


@pytest.mark.parametrize("count", [0, 2, 3, 65535])
def test_there_is_exactly_one_question(ask, count):
    """RFC 9619 §4."""
    message = plain()

    assert code(ask.wire(message[:4] + struct.pack("!H", count) + message[6:])) == "FORMERR"


@pytest.mark.parametrize(
    "question",
    [
        b"",
        b"\x03www",
        b"\x03www\x07example",
        b"\x03www\x07example\0",
        b"\x03www\x07example\0\0\1\0",
        b"\x40" + b"a" * 64 + b"\0\0\1\0\1",  # a reserved label type
        b"\x80\0\0\1\0\1",
        b"\xc0\x0c\0\1\0\1",  # to itself
        b"\xc0\x00\0\1\0\1",  # into the header
        b"\x03www\xc0\x0c\0\1\0\1",
        (b"\x3f" + b"a" * 63) * 4 + b"\0\0\1\0\1",  # 257 octets
        (b"\x3f" + b"a" * 63) * 3 + b"\x3e" + b"a" * 62 + b"\0\0\1\0\1",  # 256 octets
    ],
)
def test_a_malformed_question_is_a_format_error(ask, question):
    answer = ask.wire(plain()[:12] + question)

    assert code(answer) == "FORMERR"
    assert header(answer)[2:] == (0, 0, 0, 0)


def test_every_truncation_of_a_question_is_a_format_error_or_silence(ask):
    message = query("www.example.", "A", do=True, options=[dns.edns.GenericOption(10, b"12345678")])

    for size in range(len(message)):
        answer = ask.wire(message[:size])
        assert answer is None if size < 12 else code(answer) == "FORMERR", size


def test_octets_behind_the_last_record_are_a_format_error(ask):
    assert code(ask.wire(plain() + b"\0")) == "FORMERR"
    assert code(ask.wire(query("www.example.") + b"\0")) == "FORMERR"


def test_a_question_with_answers_is_a_format_error(ask):
    record = b"\0" + struct.pack("!HHIH", 1, 1, 0, 4) + bytes(4)
    message = plain()

    assert code(ask.wire(message[:6] + b"\0\1" + message[8:] + record)) == "FORMERR"


def test_too_many_records_are_refused_before_they_are_read(ask):
    record = b"\0" + struct.pack("!HHIH", 1, 1, 0, 4) + bytes(4)

    assert code(ask.wire(with_additional(plain(), *[record] * 16))) == "NOERROR"
    assert code(ask.wire(with_additional(plain(), *[record] * 17))) == "FORMERR"


def test_the_question_is_echoed_as_it_was_spelled(ask):
    """0x20: the octets, not the name."""
    message = plain("wWw.eXAmpLE.")

    answer = ask.wire(message)

    assert answer[12 : len(message)] == message[12:]


@pytest.mark.parametrize("rd", [0, 0x0100])
@pytest.mark.parametrize("noise", [0, 0x0020, 0x0010, 0x0030, 0x0040, 0x0080, 0x0400, 0x0200, 0x000F])
def test_only_id_opcode_and_rd_come_back(ask, rd, noise):
    """RA never; AD and CD are clear in an authoritative answer (RFC 4035 §3.1.6)."""
    _, flags, *_ = header(ask.wire(plain(flags=rd | noise)))

    assert flags == 0x8400 | rd


@pytest.mark.parametrize("rdclass", [0, 2, 3, 4, 254, 255, 65535])
def test_other_classes_are_refused(ask, rdclass):
    message = query("www.example.")
    message = message[:27] + struct.pack("!H", rdclass) + message[29:]

    answer = dns.message.from_wire(ask.wire(message))

    assert rcode(answer) == "REFUSED"
    assert ede(answer)[0] == Ede.NOT_SUPPORTED


@pytest.mark.parametrize("rdtype", sorted(META_TYPES - {255}))
def test_types_that_are_never_data(ask, rdtype):
    answer = dns.message.from_wire(ask.wire(query("www.example.", rdtype)))
    transfers = {251, 252}
    unsupported = {249, 253, 254}

    assert rcode(answer) == ("NOTIMP" if rdtype in transfers | unsupported else "FORMERR")
    assert ede(answer)[0] == (Ede.NOT_SUPPORTED if rdtype in transfers | unsupported else Ede.INVALID_QUERY_TYPE)
    assert ede(answer)[1].endswith("]")


def test_ixfr_with_its_soa_is_not_implemented_rather_than_malformed(ask):
    message = dns.message.make_query("example.", "IXFR")
    message.authority.append(dns.rrset.from_text("example.", 0, "IN", "SOA", "ns1.example. a.example. 1 2 3 4 5"))

    assert code(ask.wire(message.to_wire(), tcp=True)) == "NOTIMP"


# ---- EDNS (RFC 6891) -----------------------------------------------------------------------------


def test_an_opt_comes_back_only_to_those_who_sent_one(ask):
    assert ask("www.example.", edns=False).edns == -1
    assert ask("www.example.").edns == 0
    assert ask("nowhere.elsewhere.", edns=False).edns == -1
    assert ask("nowhere.elsewhere.").edns == 0


@pytest.mark.parametrize("name", ["www.example.", "nowhere.example.", "elsewhere."])
def test_do_is_echoed_and_other_flags_are_not(ask, name):
    for flags, expected in ((0x8000, 0x8000), (0, 0), (0x4000, 0), (0xFFFF, 0x8000)):
        answer = ask.wire(with_additional(plain(name), opt(flags=flags)))
        assert dns.message.from_wire(answer).ednsflags & 0xFFFF == expected


def test_an_unknown_version_is_badvers_with_ours(ask):
    answer = dns.message.from_wire(ask.wire(with_additional(plain(), opt(version=1))))

    assert rcode(answer) == "BADVERS"
    assert (answer.edns, answer.answer) == (0, [])


@pytest.mark.parametrize(
    "records",
    [
        (opt(), opt()),
        (opt(owner=b"\1a\0"),),
        (opt(rdata=b"\0"),),
        (opt(rdata=b"\0\x0a\0\x08short"),),
        (opt()[:-1],),
    ],
)
def test_a_malformed_opt_is_a_format_error(ask, records):
    assert code(ask.wire(with_additional(plain(), *records))) == "FORMERR"


def test_an_opt_outside_the_additional_section_is_a_format_error(ask):
    message = plain()

    assert code(ask.wire(message[:8] + b"\0\1" + message[10:] + opt())) == "FORMERR"


def test_unknown_options_are_ignored(ask):
    message = ask(
        "www.example.", options=[dns.edns.GenericOption(65001, b"what"), dns.edns.GenericOption(10, b"12345678")]
    )

    assert rcode(message) == "NOERROR"
    assert message.options == ()


def test_an_opt_is_found_among_other_additional_records(ask):
    record = b"\0" + struct.pack("!HHIH", 1, 1, 0, 4) + bytes(4)

    for records in ((record, opt(flags=0x8000)), (opt(flags=0x8000), record)):
        answer = dns.message.from_wire(ask.wire(with_additional(plain(), *records)))
        assert answer.ednsflags == 0x8000


def test_a_sig0_on_a_question_is_ignored(ask):
    sig = b"\0" + struct.pack("!HHIH", 24, 255, 0, 19) + bytes(19)

    assert code(ask.wire(with_additional(plain(), opt(), sig))) == "NOERROR"


def test_a_tsig_on_a_question_is_refused_with_the_reason(ask):
    tsig = b"\1k\0" + struct.pack("!HHIH", 250, 255, 0, 4) + bytes(4)

    answer = dns.message.from_wire(
        ask.wire(with_additional(plain(), opt(), tsig)), keyring=False, ignore_trailing=False
    )

    assert rcode(answer) == "REFUSED"
    assert ede(answer) == (
        Ede.NOT_SUPPORTED,
        "The TSIG of this question cannot be checked here; ask without a key. [question-signed]",
    )
    assert code(ask.wire(with_additional(plain(), tsig, opt()))) == "FORMERR"  # RFC 8945 §5.1: it is the last one


@pytest.mark.parametrize("size", [0, 1, 100, 511, 512])
def test_a_payload_below_512_means_512(ask, size):
    """RFC 6891 §6.2.3."""
    assert tc(ask("big.example.", "TXT", payload=size))
    assert not tc(ask("www.example.", payload=size))


def test_sizes_are_kept_to_the_octet(ask):
    """An answer is sent whole where it fits exactly, and truncated, empty, with one octet less."""
    whole = ask.wire(query("big.example.", "TXT", payload=4096))

    assert ask.wire(query("big.example.", "TXT", payload=len(whole))) == whole
    truncated = dns.message.from_wire(ask.wire(query("big.example.", "TXT", payload=len(whole) - 1)))
    assert tc(truncated)
    assert truncated.answer == truncated.authority == []
    assert tc(ask("big.example.", "TXT", edns=False))


def test_no_datagram_is_longer_than_1232_octets_whatever_is_asked_for(ask):
    assert tc(ask("huge.example.", "TXT", payload=65535))
    assert not tc(ask("huge.example.", "TXT", payload=65535, tcp=True))


def test_an_answer_that_no_message_can_hold_is_a_server_failure(ask):
    message = ask("vast.example.", "TXT", tcp=True)

    assert rcode(message) == "SERVFAIL"
    assert ede(message) == (Ede.OTHER, "The answer is longer than a message can be. [answer-too-long]")


def test_refusals_explain_themselves_only_in_edns(ask):
    assert ede(ask("elsewhere.")) == (
        Ede.NOT_AUTHORITATIVE,
        "No zone that is served here holds this name. [name-elsewhere]",
    )
    assert len(ask.wire(query("elsewhere.", edns=False))) == len(query("elsewhere.", edns=False))


def test_a_zone_that_cannot_be_read_just_now_is_a_server_failure_that_says_so(ask):
    answer = dns.message.from_wire(ask.responder.unavailable(query("www.example."), UDP, "The database is away."))

    assert rcode(answer) == "SERVFAIL"
    assert ede(answer) == (Ede.NOT_READY, "The database is away. [zone-unreadable]")
    assert ask.responder.unavailable(b"short", UDP, "x") is None
    assert header(ask.responder.unavailable(plain()[:14], UDP, "x"))[1] & 15 == Rcode.SERVFAIL


def test_the_zone_that_is_missing_is_named_by_its_number():
    asker = Asker()
    asker.table.known(b"\x07example\0", 42)

    assert asker.wire(query("x.example.")) == NeedZone(42)


def test_rrsig_questions_get_the_signatures_of_one_rrset():
    """As little as for ANY; where nothing is signed there is nothing."""
    asker = Asker(image(ZONE, "example."))

    message = asker("www.example.", Type.RRSIG)

    assert (rcode(message), message.answer) == ("NOERROR", [])
    assert section(message.authority)[0].startswith("example. SOA")


def test_our_opt_is_what_wire_writes(ask):
    answer = ask.wire(query("www.example.", do=True))

    assert answer.endswith(wire.opt(1232, do=True))
