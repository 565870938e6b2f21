"""Transfers out of a real database over a real port, taken by dnspython and by hand."""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import random
import struct
import time

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.versioned
import dns.xfr
import dns.zone
import pytest
from secondary import KEY, KEYS, Primary, ask, until

from ddns.dns import names
from ddns.dns.asker import Asker, Transport
from ddns.dns.codes import Type
from ddns.dns.records import SignedRRset
from ddns.net.connections import ConnectionLimits
from ddns.store import published, transfers, zones

ORIGIN = names.from_text("homes.example.")
APEX = dns.name.from_text("homes.example.")
OTHER = names.from_text("other.")
LOOPBACK = ipaddress.ip_network("127.0.0.1/32")


def txt(label: str, *texts: bytes, sig: bytes = b"") -> SignedRRset:
    sigs = (b"\0\x10" + bytes(16) + ORIGIN + sig,) if sig else ()
    return SignedRRset(
        names.from_text(label, ORIGIN), Type.TXT, 60, tuple(sorted(bytes((len(one),)) + one for one in texts)), sigs
    )


def question(rdtype: str = "AXFR", serial: int | None = None, *, key: str | None = None, **edns) -> dns.message.Message:
    query = dns.message.make_query(APEX, rdtype, **edns)
    query.flags = 0
    if serial is not None:
        text = f"ns.homes.example. h.homes.example. {serial} 3600 900 1209600 300"
        query.authority.append(dns.rrset.from_text(APEX, 0, "IN", "SOA", text))
    if key is not None:
        query.use_tsig(KEYS[key])
    return query


async def answer(primary: Primary, query: dns.message.Message, most: int = 1) -> dns.message.Message:
    (octets,) = (await ask(primary.port, query.to_wire(), most))[:1]
    return dns.message.from_wire(octets, keyring=query.keyring or False, request_mac=query.mac, one_rr_per_rrset=True)


async def stored(primary: Primary, zone: int) -> set[tuple[bytes, int, int, bytes]]:
    """Return what is published, record by record."""
    out = set()
    for one in await published.read_zone(primary.admin, zone):
        out |= {(one.name, one.type, one.ttl, rdata) for rdata in one.rdatas}
        out |= {(one.name, int(Type.RRSIG), one.ttl, sig) for sig in one.sigs}
    return out


def held(zone: dns.zone.Zone) -> set[tuple[bytes, int, int, bytes]]:
    """Return what a secondary has."""
    return {
        (
            name.derelativize(zone.origin).to_wire(),
            int(rdataset.rdtype),
            rdataset.ttl,
            rdata.to_wire(origin=zone.origin),
        )
        for name, rdataset in zone.iterate_rdatasets()
        for rdata in rdataset
    }


async def noted(conn, serial: int) -> transfers.Transferred:
    """Return the one transfer that is remembered, as soon as it is the one of *serial*."""

    async def there() -> transfers.Transferred | None:
        return next((one for one in await transfers.transferred(conn) if one.serial == serial), None)

    return await until(there)


def secondary() -> dns.versioned.Zone:
    return dns.versioned.Zone("homes.example.", relativize=False)


MANY = [txt(f"h{number:04d}", b"x" * 200) for number in range(400)]


async def test_a_whole_zone_arrives_record_for_record(dsn_for, admin):
    """Glue, occluded names, delegations and signatures come as they are published (RFC 5936 §3.5)."""
    async with Primary(dsn_for, admin) as primary:
        cut = names.from_text("cut", ORIGIN)
        below = names.from_text("deep.below.cut", ORIGIN)
        strange = b"\x04\0. \\" + ORIGIN
        zone = await primary.add(
            ORIGIN,
            [
                SignedRRset(cut, Type.NS, 300, (below,)),
                SignedRRset(below, Type.A, 300, (bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2)))),
                SignedRRset(strange, Type.MX, 300, (b"\0\x0a" + cut,)),
                txt("signed", b"one", b"two", sig=b"seal"),
                *MANY,
            ],
        )
        mine = secondary()

        await primary.transfer(mine)

        assert held(mine) == await stored(primary, zone)


async def test_every_message_is_signed_over_the_one_before(dsn_for, admin):
    """dnspython checks the running MAC of RFC 8945 §5.3.1; here none may be without a TSIG."""
    async with Primary(dsn_for, admin) as primary:
        await primary.add(ORIGIN, MANY)
        query = question(key="secondary.")

        octets = await ask(primary.port, query.to_wire(), 6)

        assert len(octets) > 3
        context = None
        for number, one in enumerate(octets):
            message = dns.message.from_wire(
                one, keyring=query.keyring, request_mac=query.mac, xfr=True, multi=True, tsig_ctx=context
            )
            context = message.tsig_ctx
            assert message.had_tsig
            assert message.id == query.id
            assert message.flags & dns.flags.AA
            assert len(message.question) == (number == 0)
            assert len(one) < 0x4000 + 700


async def test_a_message_is_taken_apart_by_its_signature_alone(dsn_for, admin):
    """Two messages in the wrong order do not verify: what is left out or changed places is noticed."""
    async with Primary(dsn_for, admin) as primary:
        await primary.add(ORIGIN, MANY)
        query = question(key="secondary.")
        first, _second, third, *_ = await ask(primary.port, query.to_wire(), 4)
        read = dns.message.from_wire(first, keyring=query.keyring, request_mac=query.mac, xfr=True, multi=True)

        with pytest.raises(dns.tsig.BadSignature):
            dns.message.from_wire(
                third, keyring=query.keyring, request_mac=query.mac, xfr=True, multi=True, tsig_ctx=read.tsig_ctx
            )


@pytest.mark.parametrize("seed", range(6))
async def test_differences_lead_to_the_same_zone_as_the_whole(dsn_for, admin, seed):
    """Over a random history, whoever follows by IXFR from any version has what AXFR gives (RFC 1995 §4)."""
    dice = random.Random(seed)
    async with Primary(dsn_for, admin, ratio=0.0) as primary:
        zone = await primary.add(ORIGIN, MANY[:40], serial=dice.choice((1, 0xFFFFFFF0, 0x7FFFFFFA)))
        now = {one.name: one for one in MANY[:40]}
        behind = []
        for _ in range(30):
            removed, added = [], []
            for label in dice.sample([f"h{number:04d}" for number in range(50)], dice.randrange(0, 5)):
                owner = names.from_text(label, ORIGIN)
                if owner in now:
                    removed.append(now.pop(owner))
                if dice.random() < 0.7:
                    texts = [b"%d" % dice.randrange(9) for _ in range(dice.randrange(1, 4))]
                    one = txt(label, *dict.fromkeys(texts), sig=dice.randbytes(3) if dice.random() < 0.5 else b"")
                    ttl = dice.choice((60, 300))
                    now[owner] = SignedRRset(one.name, one.type, ttl, one.rdatas, one.sigs)
                    added.append(now[owner])
            await primary.publish(zone, tuple(removed), tuple(added))
            if dice.random() < 0.3:
                fresh = secondary()
                await primary.transfer(fresh)
                behind.append(fresh)

        wanted = await stored(primary, zone)
        for one in behind:
            await primary.transfer(one)

            assert held(one) == wanted
        kinds = {one.kind for one in await transfers.transferred(admin)}
        assert kinds <= {"ixfr", "current"}


async def test_only_the_records_that_differ_travel(dsn_for, admin):
    async with Primary(dsn_for, admin, ratio=0.0) as primary:
        zone = await primary.add(ORIGIN, [txt("a", b"one", b"two", sig=b"old"), *MANY])
        await primary.publish(zone, (txt("a", b"one", b"two", sig=b"old"),), (txt("a", b"one", b"three", sig=b"new"),))

        message = await answer(primary, question("IXFR", 1, key="secondary."))

        shown = [
            (rrset.name.labels[0].decode(), dns.rdatatype.to_text(rrset.rdtype), rdata.to_text())
            for rrset in message.answer
            for rdata in rrset
            if rrset.rdtype == dns.rdatatype.TXT
        ]
        assert shown == [("a", "TXT", '"two"'), ("a", "TXT", '"three"')]


@pytest.mark.parametrize("serial", [7, 8, 0x7FFFFFFF])
async def test_who_is_up_to_date_or_ahead_gets_one_soa(dsn_for, admin, serial):
    async with Primary(dsn_for, admin) as primary:
        await primary.add(ORIGIN, MANY, serial=7)

        message = await answer(primary, question("IXFR", serial, key="secondary."))

        assert [(rrset.rdtype, len(rrset)) for rrset in message.answer] == [(dns.rdatatype.SOA, 1)]
        assert message.answer[0][0].serial == 7


async def test_serials_are_compared_around_their_end(dsn_for, admin):
    """4294967295 is older than 3 (RFC 1982 §3.2)."""
    async with Primary(dsn_for, admin, ratio=0.0) as primary:
        zone = await primary.add(ORIGIN, [], serial=0xFFFFFFFF)
        mine = secondary()
        await primary.transfer(mine)
        for number in range(3):
            await primary.publish(zone, (), (txt(f"n{number}", b"x"),))

        await primary.transfer(mine)

        assert held(mine) == await stored(primary, zone)
        assert (await noted(admin, 3)).kind == "ixfr"


async def whole(primary: Primary, serial: int) -> bool:
    """Tell whether an asker with *serial* gets the whole zone: the second record is no SOA (RFC 1995 §4)."""
    message = await answer(primary, question("IXFR", serial, key="secondary."))
    return len(message.answer) > 1 and message.answer[1].rdtype != dns.rdatatype.SOA


async def test_history_is_bounded(dsn_for, admin):
    """So many versions behind is followed in steps, one more is not."""
    async with Primary(dsn_for, admin, history=3, ratio=0.0) as primary:
        zone = await primary.add(ORIGIN, MANY)
        for number in range(4):
            await primary.publish(zone, (), (txt(f"n{number}", b"x"),))

        assert not await whole(primary, 2)
        assert await whole(primary, 1)


async def test_steps_that_are_more_than_the_zone_give_way_to_it(dsn_for, admin):
    async with Primary(dsn_for, admin) as primary:
        zone = await primary.add(ORIGIN, MANY[:20])
        await primary.publish(zone, (), (txt("n", b"x"),))

        assert not await whole(primary, 1)
        for _ in range(30):
            await primary.publish(zone, (txt("n", b"x"),), (txt("n", b"y"),))
            await primary.publish(zone, (txt("n", b"y"),), (txt("n", b"x"),))
        assert await whole(primary, 1)


async def test_steps_of_too_many_octets_give_way_to_the_zone(dsn_for, admin):
    async with Primary(dsn_for, admin, delta=1000, ratio=0.0) as primary:
        zone = await primary.add(ORIGIN, MANY)
        await primary.publish(zone, (), (txt("n", b"x"),))
        assert not await whole(primary, 1)

        await primary.publish(zone, (), tuple(txt(f"m{number}", b"x" * 200) for number in range(5)))

        assert await whole(primary, 1)


async def test_a_gap_in_the_history_is_noticed(dsn_for, admin, owner):
    """Editions that are pruned, or were too big to keep, are not jumped over."""
    async with Primary(dsn_for, admin, ratio=0.0) as primary:
        zone = await primary.add(ORIGIN, MANY)
        for number in range(4):
            await primary.publish(zone, (), (txt(f"n{number}", b"x"),))
        await owner.execute("DELETE FROM editions WHERE number = 3")

        assert await whole(primary, 1)
        assert await whole(primary, 2)
        assert not await whole(primary, 3)
        await owner.execute("DELETE FROM editions WHERE number = 5")
        assert await whole(primary, 3)


async def test_a_version_that_never_was_gets_the_whole_zone(dsn_for, admin):
    async with Primary(dsn_for, admin) as primary:
        await primary.add(ORIGIN, MANY, serial=100)

        assert await whole(primary, 50)


async def test_an_update_in_the_middle_does_not_tear_a_transfer(dsn_for, admin):
    """What began at one serial ends at it, with that version's records, however slowly it is read."""
    slow = ConnectionLimits(idle=0.2, message=0.2, unread=5.0)  # what is under way is not idle
    async with Primary(dsn_for, admin, slow, stall=20.0) as primary:
        rrsets = [txt(f"h{number:05d}", b"x" * 250, b"y" * 250) for number in range(12_000)]
        zone = await primary.add(ORIGIN, rrsets)
        before = len(await stored(primary, zone))
        wire = question(key="secondary.").to_wire()
        reader, writer = await asyncio.open_connection("127.0.0.1", primary.port, limit=4096)
        writer.write(struct.pack("!H", len(wire)) + wire)
        count, serials = 0, []

        for number in itertools.count():
            octets = await reader.readexactly(struct.unpack("!H", await reader.readexactly(2))[0])
            if number % 64 == 0:
                await asyncio.sleep(0.05)
            if number == 1:
                await primary.publish(zone, tuple(rrsets[-3000:]), (txt("news", b"x"), txt("h00001", b"z")))
            count += struct.unpack("!H", octets[6:8])[0]
            if number % 50 == 0 or octets.count(b"\x02ns\xc0\x0c\x01h"):
                message = dns.message.from_wire(octets, keyring=False, xfr=True, multi=True, continue_on_error=True)
                serials += [
                    rdata.serial for rrset in message.answer if rrset.rdtype == dns.rdatatype.SOA for rdata in rrset
                ]
            if count >= before + 1:
                break
        writer.close()

        assert count == before + 1
        assert serials[0] == 1
        last = dns.message.from_wire(octets, keyring=False, xfr=True, multi=True, continue_on_error=True).answer[-1]
        assert (last.rdtype, last[0].serial) == (dns.rdatatype.SOA, 1)


async def test_a_client_that_does_not_read_is_given_up(dsn_for, admin):
    async with Primary(dsn_for, admin, stall=0.2, at_once=1) as primary:
        await primary.add(ORIGIN, [txt(f"h{number:05d}", b"x" * 250, b"y" * 250) for number in range(8_000)])
        wire = question(key="secondary.").to_wire()
        reader, writer = await asyncio.open_connection("127.0.0.1", primary.port, limit=1024)
        writer.write(struct.pack("!H", len(wire)) + wire)
        await reader.readexactly(2)
        refused = await answer(primary, question("IXFR", 1, key="secondary."))
        assert refused.rcode() == dns.rcode.SERVFAIL  # one at a time

        await until(lambda: not primary.transfers._running)

        assert (await answer(primary, question("IXFR", 1, key="secondary."))).rcode() == dns.rcode.NOERROR
        writer.close()


async def test_a_transfer_that_cannot_be_finished_ends_the_connection(dsn_for, admin, owner):
    """A client must not take a part for the whole: nothing looks like an end (RFC 5936 §2.2)."""
    async with Primary(dsn_for, admin) as primary:
        await primary.add(ORIGIN, [txt(f"h{number:05d}", b"x" * 250, b"y" * 250) for number in range(12_000)])
        wire = question(key="secondary.").to_wire()
        reader, writer = await asyncio.open_connection("127.0.0.1", primary.port, limit=1024)
        writer.write(struct.pack("!H", len(wire)) + wire)
        await reader.readexactly(2)

        await owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE state = 'idle in transaction' AND datname = current_database()"
        )
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await reader.readexactly(20_000_000)

        assert (await answer(primary, question(key="secondary."))).rcode() == dns.rcode.NOERROR
        writer.close()


async def test_nobody_may_have_a_zone_without_a_right(dsn_for, admin):
    """A key has to be the one of the rule, its signature good, and an address in the prefix of the rule."""
    async with Primary(dsn_for, admin) as primary:
        zone = await primary.add(ORIGIN, [])
        forged = question()
        forged.use_tsig(dns.tsig.Key("secondary.", b"x" * 32, "hmac-sha256"))

        plain = await answer(primary, question(use_edns=0))
        other = await answer(primary, question(key="other."))
        (wrong,) = await ask(primary.port, forged.to_wire())

        assert plain.rcode() == dns.rcode.REFUSED
        assert plain.options[0].code == dns.edns.EDECode.PROHIBITED
        assert "transfer-not-allowed" in plain.options[0].text
        assert other.rcode() == dns.rcode.REFUSED
        assert other.had_tsig
        assert wrong[3] & 15 == dns.rcode.NOTAUTH
        await primary.allow(zone, None, LOOPBACK)
        assert (await answer(primary, question())).rcode() == dns.rcode.NOERROR
        assert (await answer(primary, question(key="other."))).rcode() == dns.rcode.NOERROR


async def test_a_right_on_homes_is_for_the_homes_alone(dsn_for, admin):
    """Neither the registry's zone nor a zone below it that is no home of it is meant."""
    async with Primary(dsn_for, admin) as primary:
        zone = await primary.add(ORIGIN, [])
        home, stranger = names.from_text("smith", ORIGIN), names.from_text("jones", ORIGIN)
        await primary.add(home, [], parent=zone)
        await primary.add(stranger, [])
        for right in await transfers.rights(admin):
            await transfers.remove_rights(admin, [right.id])
        await primary.allow(zone, OTHER, homes=True)

        async def may(origin: bytes) -> bool:
            query = dns.message.make_query(dns.name.from_wire(origin, 0)[0], "AXFR")
            query.use_tsig(KEYS["other."])
            return (await answer(primary, query)).rcode() == dns.rcode.NOERROR

        assert await may(home)
        assert not await may(ORIGIN)
        assert not await may(stranger)


async def test_a_right_that_was_taken_back_lets_nobody_in_before_it_is_heard(dsn_for, admin):
    async with Primary(dsn_for, admin) as primary:
        await primary.add(ORIGIN, [])
        assert (await answer(primary, question(key="secondary."))).rcode() == dns.rcode.NOERROR

        await transfers.remove_rights(admin, [one.id for one in await transfers.rights(admin)])

        assert (await answer(primary, question(key="secondary."))).rcode() == dns.rcode.REFUSED


async def test_a_zone_that_is_not_here_or_not_published_is_said_so(dsn_for, admin):
    async with Primary(dsn_for, admin) as primary:
        unknown = await answer(primary, question(use_edns=0))
        assert unknown.rcode() == dns.rcode.NOTAUTH
        assert unknown.options[0].code == dns.edns.EDECode.NOT_AUTHORITATIVE

        zone = await zones.insert(admin, ORIGIN, "nsec3", 13)
        primary.zones[ORIGIN] = zone
        await primary.allow(zone, KEY)

        assert (await answer(primary, question(key="secondary."))).rcode() == dns.rcode.SERVFAIL


class Datagram:
    """What a datagram is answered with."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def __call__(self, octets: bytes) -> None:
        self.answer.set_result(octets)


async def test_over_udp_a_zone_is_a_format_error_and_differences_are_one_soa(dsn_for, admin):
    """RFC 5936 §4.2, RFC 1995 §2: who is behind comes back by TCP, and nobody is amplified."""
    async with Primary(dsn_for, admin) as primary:
        await primary.add(ORIGIN, [], serial=9)
        answers = []
        for query in (question(key="secondary."), question("IXFR", 1, key="secondary.")):
            reply = Datagram()
            assert primary.transfers.take(query.to_wire(), Asker(Transport.UDP, "127.0.0.1"), reply)
            answers.append(dns.message.from_wire(await reply.answer, keyring=query.keyring, request_mac=query.mac))

        assert answers[0].rcode() == dns.rcode.FORMERR
        assert [rrset[0].serial for rrset in answers[1].answer] == [9]


async def test_an_asker_who_wants_to_know_hears_when_the_zone_expires(dsn_for, admin):
    """RFC 7314 §3.3.1: at a primary it is the SOA's own EXPIRE; only the first message has an OPT."""
    async with Primary(dsn_for, admin) as primary:
        await primary.add(ORIGIN, MANY)
        expire = dns.edns.GenericOption(9, b"")
        nsid = dns.edns.GenericOption(dns.edns.NSID, b"")
        query = question("AXFR", key="secondary.", use_edns=0, options=[expire, nsid])

        first, second = await ask(primary.port, query.to_wire(), 2)

        read = dns.message.from_wire(first, keyring=query.keyring, request_mac=query.mac, xfr=True, multi=True)
        assert {int(option.otype): option.to_wire() for option in read.options} == {
            9: struct.pack("!I", 1209600),
            3: b"ns1",
        }
        assert struct.unpack("!H", second[10:12]) == (1,)  # its TSIG alone


async def test_names_are_spelt_in_lower_case_however_the_zone_is_asked_for(dsn_for, admin):
    async with Primary(dsn_for, admin) as primary:
        await primary.add(ORIGIN, [txt("a", b"x")])
        query = dns.message.make_query("HoMes.eXample.", "AXFR")
        query.use_tsig(KEYS["secondary."])

        (octets,) = await ask(primary.port, query.to_wire())

        assert octets.count(b"HoMes") == 1
        assert b"\x05homes\x07example" in octets


async def test_questions_cut_anywhere_are_answered_or_left_to_others(dsn_for, admin):
    """No prefix of a question, and no octet changed, makes a transfer of what may not be had."""
    async with Primary(dsn_for, admin) as primary:
        await primary.add(ORIGIN, [])
        wire = question("IXFR", 1, use_edns=0).to_wire()
        replies = []
        for end in range(len(wire)):
            primary.transfers.take(wire[:end], Asker(Transport.TCP, "127.0.0.1"), replies.append)
            changed = wire[:end] + bytes((wire[end] ^ 0xFF,)) + wire[end + 1 :]
            primary.transfers.take(changed, Asker(Transport.TCP, "127.0.0.1"), replies.append)

        assert not primary.transfers._running
        assert {octets[3] & 15 for octets in replies} <= {
            dns.rcode.FORMERR, dns.rcode.REFUSED, dns.rcode.NOTAUTH, dns.rcode.BADVERS & 15,
        }  # fmt: skip


async def test_a_record_that_fits_into_no_message_fails_the_transfer(dsn_for, admin):
    async with Primary(dsn_for, admin) as primary:
        await primary.add(ORIGIN, [SignedRRset(names.from_text("a", ORIGIN), 65280, 60, (bytes(65_520),))])

        message = await answer(primary, question(key="secondary."))

        assert message.rcode() == dns.rcode.SERVFAIL


async def test_what_each_secondary_took_last_is_remembered_and_bounded(dsn_for, admin, conn):
    async with Primary(dsn_for, admin) as primary:
        zone = await primary.add(ORIGIN, [], serial=5)
        await answer(primary, question(key="secondary."))
        taken = await noted(admin, 5)
        assert (taken.source, taken.key, taken.kind) == ("127.0.0.1", KEY, "axfr")
        assert abs(taken.at - time.time()) < 60

        for number in range(transfers.MOST_SOURCES + 3):
            await transfers.note_transferred(conn, zone, f"192.0.2.{number}", None, "current", number)

        kept = await transfers.transferred(admin, zone)
        assert len(kept) == transfers.MOST_SOURCES
        assert kept[-1].serial == transfers.MOST_SOURCES + 2
