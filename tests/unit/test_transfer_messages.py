"""The octets of transfers: packing, differences, questions, rights, NOTIFY, signatures over several messages."""

from __future__ import annotations

import ipaddress
import random

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.zone
import pytest

from ddns.auth import tsig
from ddns.auth.principal import Credential, Secret
from ddns.dns import names
from ddns.dns.codes import Rcode, Type
from ddns.dns.records import SignedRRset
from ddns.store.transfers import Right
from ddns.transfers import delta, notice, request
from ddns.transfers.packer import FULL, Packer, TooLong
from ddns.transfers.rights import Rights, allowed
from ddns.zone.edition import Edition

ORIGIN = names.from_text("homes.example.")
KEY = names.from_text("k.example.")
NOW = 1_800_000_000


def asked(name: str = "homes.example.", rdtype: str = "AXFR") -> bytes:
    query = dns.message.make_query(name, rdtype, id=4711)
    query.flags = dns.flags.RD
    return query.to_wire()


def packed(records, *, question: bytes | None = None, opt: bytes = b"", reserved: int = 0) -> list[bytes]:
    wire = question or asked()
    packer = Packer(wire, len(wire), ORIGIN, opt, reserved)
    for name, rdtype, ttl, rdatas in records:
        packer.add(name, rdtype, ttl, rdatas)
    packer.finish()
    return packer.done


def read(messages: list[bytes]) -> list[tuple[bytes, int, int, bytes]]:
    """Return the records of messages as dnspython reads them, in their order."""
    return [
        (rrset.name.to_wire(), int(rrset.rdtype), rrset.ttl, rrset[0].to_wire())
        for one in messages
        for rrset in dns.message.from_wire(one, one_rr_per_rrset=True).answer
    ]


def test_records_come_back_as_they_went_in_whatever_their_sizes():
    """Random names and data, compressed or not, over many messages, read by dnspython."""
    dice = random.Random(5936)
    labels = [b"a", b"home", b"x" * 63, b"\0", b"_443", b"."]
    wanted = []
    for _ in range(4000):
        name = ORIGIN
        for _ in range(dice.randrange(3)):
            name = names.prepend(dice.choice(labels), name)
        target = names.prepend(dice.choice(labels), names.prepend(b"%d" % dice.randrange(300), ORIGIN))
        rdtype, rdata = dice.choice(
            [
                (Type.A, dice.randbytes(4)),
                (Type.NS, target),
                (Type.MX, b"\0\x0a" + target),
                (Type.SOA, target + name + dice.randbytes(20)),
                (Type.SRV, bytes(6) + target),
                (65280, dice.randbytes(dice.randrange(900))),
            ]
        )
        wanted.append((name, int(rdtype), dice.randrange(9000), rdata))

    messages = packed([(name, rdtype, ttl, (rdata,)) for name, rdtype, ttl, rdata in wanted])

    assert read(messages) == wanted
    assert len(messages) > 20
    assert all(len(one) < FULL + 1200 for one in messages)


def test_only_the_first_message_has_the_question_and_the_opt():
    rrset = (names.from_text("a", ORIGIN), int(Type.TXT), 60, tuple(bytes((99,)) + bytes(99) for _ in range(400)))

    first, second, *_ = packed([rrset], opt=b"\0\0\x29\x04\xd0\0\0\0\0\0\0")

    assert first[4:6] == b"\0\1"
    assert first[10:12] == b"\0\1"
    assert second[4:6] == second[10:12] == b"\0\0"
    assert dns.message.from_wire(first).flags == dns.flags.QR | dns.flags.AA | dns.flags.RD


def test_a_record_fits_a_message_with_room_for_its_signature_or_not_at_all():
    """n and n + 1 octets; the owner is counted whole."""
    owner = names.from_text("a", ORIGIN)
    most = 0xFFFF - 100 - 12 - 10 - len(owner)

    messages = packed([(ORIGIN, 1, 60, (bytes(4),)), (owner, 65280, 60, (bytes(most),))], reserved=100)

    assert len(messages) == 2
    assert max(map(len, messages)) <= 0xFFFF - 100
    with pytest.raises(TooLong):
        packed([(ORIGIN, 1, 60, (bytes(4),)), (owner, 65280, 60, (bytes(most + 1),))], reserved=100)


def test_a_zone_asked_for_in_capitals_is_not_spelt_so():
    (octets,) = packed([(ORIGIN, int(Type.A), 60, (bytes(4),))], question=asked("HOMES.example."))

    assert octets.count(b"HOMES") == 1
    assert octets.count(b"homes") == 1


CREDENTIALS = [Credential(1, KEY, "tsig", algorithm, secret=Secret(b"s" * 32)) for algorithm in sorted(tsig.ALGORITHMS)]


@pytest.mark.parametrize("credential", CREDENTIALS, ids=lambda one: one.algorithm)
def test_dnspython_believes_every_message_of_a_signed_stream(credential):
    """The second and later MACs cover the one before and the timers alone (RFC 8945 §5.3.1)."""
    key = dns.tsig.Key("k.example.", b"s" * 32, credential.algorithm)
    query = dns.message.make_query("homes.example.", "AXFR")
    query.use_tsig(key)
    wire = query.to_wire()
    record = tsig.cut(wire)
    stream = tsig.Stream(record, credential)
    bare = packed(
        [(ORIGIN, int(Type.TXT), 60, tuple(b"\1%d" % one for one in range(9)))] * 400, question=record.message
    )

    signed = [stream.sign(octets, record.time) for octets in bare]

    context = None
    for plain, octets in zip(bare, signed, strict=True):
        assert len(octets) == len(plain) + stream.size
        context = dns.message.from_wire(
            octets, keyring=key, request_mac=query.mac, xfr=True, multi=True, tsig_ctx=context
        ).tsig_ctx
    assert len(signed) > 1


def rrset(label: str, ttl: int, *rdatas: bytes, sigs: tuple[bytes, ...] = ()) -> SignedRRset:
    return SignedRRset(names.from_text(label, ORIGIN), Type.TXT, ttl, rdatas, sigs)


def soa(serial: int) -> SignedRRset:
    return SignedRRset(ORIGIN, Type.SOA, 60, (b"\0\0" + serial.to_bytes(4, "big") + bytes(16),), (b"sig%d" % serial,))


def edition(number: int, old: int, new: int, removed=(), added=()) -> Edition:
    return Edition(1, number, old, new, (soa(old), *removed), (soa(new), *added))


def test_a_step_holds_the_records_that_differ_and_no_others():
    made = delta.step(
        edition(2, 1, 2, [rrset("a", 60, b"1", b"2", sigs=(b"x",))], [rrset("a", 60, b"2", b"3", sigs=(b"y",))]),
        ORIGIN,
    )

    def shown(side):
        return [(one.type, one.rdatas) for one in side]

    assert shown(made.removed) == [(Type.RRSIG, (b"sig1",)), (Type.TXT, (b"1",)), (Type.RRSIG, (b"x",))]
    assert shown(made.added) == [(Type.RRSIG, (b"sig2",)), (Type.TXT, (b"3",)), (Type.RRSIG, (b"y",))]
    assert (made.old.rdatas, made.new.rdatas) == (soa(1).rdatas, soa(2).rdatas)


def test_another_ttl_makes_other_records():
    """A TTL is part of a record in IXFR: what changes it is removed and added (RFC 1995 §4)."""
    made = delta.step(
        edition(2, 1, 2, [rrset("a", 60, b"1", sigs=(b"x",))], [rrset("a", 90, b"1", sigs=(b"x",))]), ORIGIN
    )

    assert [(one.ttl, one.rdatas) for one in made.removed[1:]] == [(60, (b"1",)), (60, (b"x",))]
    assert [(one.ttl, one.rdatas) for one in made.added[1:]] == [(90, (b"1",)), (90, (b"x",))]


@pytest.mark.parametrize(
    "broken",
    [
        Edition(1, 2, 1, 2, (), (soa(2),)),
        Edition(1, 2, 1, 2, (soa(1),), ()),
        Edition(1, 2, 1, 2, (soa(9),), (soa(2),)),
        Edition(1, 2, 1, 2, (soa(1),), (soa(9),)),
    ],
)
def test_an_edition_without_its_soas_is_no_step(broken):
    assert delta.step(broken, ORIGIN) is None


def test_editions_lead_from_a_serial_to_the_present_only_without_a_gap():
    chain = [edition(2, 7, 8), edition(3, 8, 9), edition(4, 9, 12)]

    assert delta.follows(chain, 7, 4, 12)
    assert not delta.follows(chain, 8, 4, 12)
    assert not delta.follows(chain, 7, 5, 12)
    assert not delta.follows(chain, 7, 4, 13)
    assert not delta.follows([chain[0], chain[2]], 7, 4, 12)
    assert not delta.follows([chain[0], edition(4, 8, 12)], 7, 4, 12)
    assert not delta.follows([], 7, 4, 12)


def test_a_question_for_differences_says_what_its_asker_has():
    query = dns.message.make_query("homes.example.", "IXFR", use_edns=0)
    text = "ns.homes.example. h.homes.example. 4294967295 1 1 1 1"
    query.authority.append(dns.rrset.from_text("homes.example.", 0, "IN", "SOA", text))

    one, refusal = request.read(query.to_wire())

    assert refusal is None
    assert (one.origin, one.type, one.serial, one.client.payload) == (ORIGIN, Type.IXFR, 4294967295, 1232)


def with_soa(owner: str, rdtype: str = "SOA") -> bytes:
    query = dns.message.make_query("homes.example.", "IXFR", id=4711)
    data = "a. b. 1 1 1 1 1" if rdtype == "SOA" else "192.0.2.1"
    query.authority.append(dns.rrset.from_text(owner, 0, "IN", rdtype, data))
    return query.to_wire()


@pytest.mark.parametrize(
    ("wire", "rcode"),
    [
        (asked(rdtype="IXFR"), Rcode.FORMERR),
        (with_soa("other.example."), Rcode.FORMERR),
        (with_soa("homes.example.", "A"), Rcode.FORMERR),
        (with_soa("homes.example.").replace(b"\x00\xfb\x00\x01", b"\x00\xfc\x00\x01"), Rcode.FORMERR),
        (asked() + b"\0", Rcode.FORMERR),
        (asked()[:6] + b"\0\1" + asked()[8:], Rcode.FORMERR),
        (asked()[:10] + b"\0\x11" + asked()[12:], Rcode.FORMERR),
        (asked()[:11] + b"\2" + asked()[12:] + 2 * b"\0\0\x29\x04\xd0\0\0\0\0\0\0", Rcode.FORMERR),
        (asked()[:11] + b"\1" + asked()[12:] + b"\0\0\x29\x04\xd0\0\1\0\0\0\0", Rcode.BADVERS),
    ],
)
def test_a_question_that_is_not_as_it_should_be_is_refused(wire, rcode):
    _, refusal = request.read(wire)

    assert refusal.rcode == rcode


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        asked()[:20],
        asked(rdtype="A"),
        asked()[:-1] + b"\3",  # class CH
        asked()[:2] + b"\x28" + asked()[3:],  # an update
        asked()[:5] + b"\2" + asked()[6:] + asked()[12:],
        dns.message.make_query("\\000\\252\\000\\001.example.", "A", id=4711).to_wire(),
    ],
)
def test_what_asks_for_no_transfer_is_left_to_others(wire):
    assert not request.is_transfer(wire)


def right(origin: bytes, key: bytes | None = None, address: str | None = None, *, homes: bool = False) -> Right:
    return Right(1, 1, origin, homes, key, None if address is None else ipaddress.ip_network(address))


def test_a_key_or_an_address_opens_and_each_is_a_right_of_its_own():
    rights = [right(ORIGIN, KEY), right(ORIGIN, None, "192.0.2.0/24"), right(ORIGIN, None, "2001:db8::/32")]

    assert allowed(rights, KEY, "198.51.100.1")
    assert allowed(rights, None, "192.0.2.255")
    assert allowed(rights, ORIGIN, "2001:db8::1")
    assert not allowed(rights, ORIGIN, "198.51.100.1")
    assert not allowed(rights, None, "192.0.3.0")
    assert not allowed([], KEY, "192.0.2.1")


def test_rights_are_looked_for_at_the_zone_and_for_homes_above_it():
    rights = Rights()
    rights.replace([right(ORIGIN, KEY, homes=True), right(names.from_text("own.example."), KEY)])

    assert rights.may(names.from_text("smith", ORIGIN), KEY, "192.0.2.1")
    assert rights.may(names.from_text("own.example."), KEY, "192.0.2.1")
    assert not rights.may(ORIGIN, KEY, "192.0.2.1")
    assert not rights.may(names.from_text("below.own.example."), KEY, "192.0.2.1")


def test_dnspython_reads_a_notify():
    message = dns.message.from_wire(notice.message(77, ORIGIN, 60, soa(9).rdatas[0]))

    assert (message.id, message.opcode(), message.flags & 0x87FF) == (77, dns.opcode.NOTIFY, dns.flags.AA)
    assert message.answer[0][0].serial == 9


def test_only_the_answer_to_a_notify_is_one():
    sent = dns.message.from_wire(notice.message(77, ORIGIN, 60, soa(9).rdatas[0]))
    reply = dns.message.make_response(sent)
    reply.set_rcode(5)

    assert notice.answered(reply.to_wire()) == (77, 5, ORIGIN)
    assert notice.answered(reply.to_wire()[:4] + bytes(8)) == (77, 5, None)
    assert notice.answered(reply.to_wire()[:20]) is None
    assert notice.answered(sent.to_wire()) is None
    assert notice.answered(reply.to_wire()[:11]) is None
    assert notice.answered(dns.message.make_response(dns.message.make_query("a.", "A")).to_wire()) is None
