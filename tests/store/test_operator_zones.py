"""What an operator does with zones, against a real Postgres: one transaction, one edition, nothing twice."""

from __future__ import annotations

import base64
import io

import psycopg
import pytest
from rows import n

from ddns.dns.codes import Type
from ddns.dns.records import soa_serial, soa_with_serial
from ddns.dns.zonefile import read_zone, write_zone
from ddns.operator import check, zones
from ddns.operator.fault import CannotDo
from ddns.store import editions, journal, published, rrsets, signing
from ddns.store import zones as stored
from ddns.store.notify import read_zones
from ddns.zone.jobs import SealedKey

ORIGIN = n("exam.test.")
TEXT = "$TTL 300\n@ SOA ns1 hostmaster {serial} 7200 3600 1209600 300\n@ NS ns1\nns1 A 192.0.2.1\n"
WHO = "operator:test"
NOW = 1_800_000_000


def text(more="", serial=5, origin=ORIGIN, **options):
    return read_zone(io.BytesIO((TEXT.format(serial=serial) + more).encode()), "exam.zone", origin, **options)


async def exported(conn, *, signed):
    async with conn.transaction():
        return [one async for one in zones.export(conn, ORIGIN, signed=signed)]


async def test_a_signed_zone_waits_for_its_signer(admin):
    done = await zones.bring_in(admin, text(), WHO, "nsec3")

    zone = await stored.find(admin, ORIGIN)
    assert done == zones.Written(zone.id, "added", 3)
    assert (zone.head, zone.edition, zone.serial, zone.signed_pending) == (1, 0, 0, True)
    assert await rrsets.read_zone(admin, zone.id) == list(text().rrsets)
    (entry,) = await journal.since(admin, zone.id, 0, 10)
    assert (entry.seq, entry.principal, entry.credential, len(entry.change.changes)) == (1, WHO, None, 3)


async def test_a_zone_that_is_not_signed_is_published_at_once(admin):
    await zones.bring_in(admin, text(), WHO, "none")

    zone = await stored.find(admin, ORIGIN)
    assert (zone.head, zone.edition, zone.serial, zone.signed_pending) == (1, 1, 5, False)
    assert await published.read_zone(admin, zone.id) == list(text().published())
    (edition,) = await editions.since(admin, zone.id, 0, 10)
    assert (edition.number, edition.from_serial, edition.to_serial, edition.removed) == (1, 5, 5, ())
    assert len(edition.added) == 3


async def test_the_signer_and_the_servers_are_told_at_commit(admin, owner):
    await owner.execute("LISTEN ddns_pending")
    await owner.execute("LISTEN ddns_zones")

    await zones.bring_in(admin, text(), WHO, "nsec3")
    await zones.bring_in(admin, text(origin=n("other.test.")), WHO, "none")

    heard = [(one.channel, one.payload) async for one in owner.notifies(timeout=20, stop_after=2)]
    other = await stored.find(admin, n("other.test."))
    assert heard[0] == ("ddns_pending", "")
    assert heard[1][0] == "ddns_zones"
    assert read_zones(heard[1][1]) == [(other.id, 1)]


async def test_bringing_in_the_same_again_changes_nothing(admin):
    await zones.bring_in(admin, text(), WHO, "none")

    again = await zones.bring_in(admin, text(), WHO)

    assert again.state == "unchanged"
    assert (await stored.find(admin, ORIGIN)).head == 1


async def test_a_zone_is_replaced_in_one_edition(admin):
    await zones.bring_in(admin, text("old A 192.0.2.2\nkept A 192.0.2.3\nwww A 192.0.2.4\n"), WHO, "none")

    done = await zones.bring_in(admin, text("kept A 192.0.2.3\nwww A 192.0.2.5\nnew A 192.0.2.6\n"), WHO)

    zone = await stored.find(admin, ORIGIN)
    assert (done.state, zone.head, zone.edition, zone.serial) == ("replaced", 2, 2, 6)
    _first, second = await editions.since(admin, zone.id, 0, 10)
    touched = {n("exam.test."), n("old.exam.test."), n("www.exam.test."), n("new.exam.test.")}
    assert {one.name for one in second.removed} == touched - {n("new.exam.test.")}
    assert {one.name for one in second.added} == touched - {n("old.exam.test.")}
    assert (second.from_serial, second.to_serial) == (5, 6)
    shown = {(one.name, one.type): one.rdatas for one in await published.read_zone(admin, zone.id)}
    assert soa_serial(shown[ORIGIN, Type.SOA][0]) == 6
    assert (n("old.exam.test."), Type.A) not in shown


async def test_a_newer_serial_in_the_file_wins_and_an_older_one_does_not(admin):
    await zones.bring_in(admin, text(), WHO, "none")

    await zones.bring_in(admin, text(serial=900), WHO)
    newer = (await stored.find(admin, ORIGIN)).serial
    await zones.bring_in(admin, text(serial=7), WHO)
    older = (await stored.find(admin, ORIGIN)).serial

    assert (newer, older) == (900, 901)


async def test_a_serial_of_zero_becomes_one(admin):
    await zones.bring_in(admin, text(serial=0), WHO, "none")

    zone = await stored.find(admin, ORIGIN)
    shown = await published.read_zone(admin, zone.id)
    assert zone.serial == 1
    assert soa_serial(next(one for one in shown if one.type == Type.SOA).rdatas[0]) == 1


SIGNATURE = "{owner} RRSIG {covered} 13 2 300 20300101000000 20200101000000 {tag} exam.test. c2ln\n"


async def test_a_zone_signed_elsewhere_is_served_as_it_is(admin):
    sigs = SIGNATURE.format(owner="@", covered="SOA", tag=1) + SIGNATURE.format(owner="ns1", covered="A", tag=1)
    given = text(sigs + "@ NSEC ns1 SOA NS RRSIG NSEC\n", keep_signatures=True)

    await zones.bring_in(admin, given, WHO, "none")

    assert await exported(admin, signed=True) == sorted(
        given.published(), key=lambda one: (one.name != ORIGIN, one.type)
    )
    again = await zones.bring_in(admin, given, WHO)
    assert again.state == "unchanged"


async def test_a_zone_signed_elsewhere_needs_a_newer_serial(admin):
    first = SIGNATURE.format(owner="@", covered="SOA", tag=1)
    await zones.bring_in(admin, text(first, keep_signatures=True), WHO, "none")
    second = SIGNATURE.format(owner="@", covered="SOA", tag=2)

    with pytest.raises(CannotDo, match="raise the serial"):
        await zones.bring_in(admin, text(second, keep_signatures=True), WHO)
    done = await zones.bring_in(admin, text(second, serial=6, keep_signatures=True), WHO)

    assert done.state == "replaced"
    assert (await stored.find(admin, ORIGIN)).serial == 6


async def test_signing_begins_and_ends_with_the_denial_mode(admin):
    await zones.bring_in(admin, text(), WHO, "none")

    await zones.bring_in(admin, text(), WHO, "nsec")
    signed = await stored.find(admin, ORIGIN)
    await zones.bring_in(admin, text(), WHO, "none")
    unsigned = await stored.find(admin, ORIGIN)

    assert (signed.denial, signed.signed_pending, signed.edition) == ("nsec", True, 1)
    assert (unsigned.denial, unsigned.edition, unsigned.serial) == ("none", 2, 6)


async def test_adding_a_zone_that_exists_is_refused(admin):
    made = zones.new_text(ORIGIN, [n("ns1.exam.test.")], n("hostmaster.exam.test."), ["192.0.2.1", "2001:db8::1"])
    await zones.add(admin, made, "nsec3", 13, WHO)

    with pytest.raises(CannotDo, match="exists already"):
        await zones.add(admin, made, "nsec3", 13, WHO)


async def test_what_is_made_for_a_new_zone_is_a_zone(admin):
    made = zones.new_text(ORIGIN, [n("ns1.exam.test."), n("ns.other.")], n("hostmaster.exam.test."), ["192.0.2.1"])

    written = "".join(write_zone(ORIGIN, made.published()))

    assert read_zone(io.BytesIO(written.encode()), "x", ORIGIN).rrsets == made.rrsets
    with pytest.raises(CannotDo, match="is no address"):
        zones.new_text(ORIGIN, [n("ns1.exam.test.")], n("hostmaster.exam.test."), ["localhost"])


async def test_removing_a_zone_takes_its_records_and_leaves_its_journal(admin, owner):
    await zones.bring_in(admin, text(), WHO, "none")
    zone = await stored.find(admin, ORIGIN)
    await owner.execute("LISTEN ddns_zones")

    await zones.remove(admin, ORIGIN)

    assert await stored.find(admin, ORIGIN) is None
    assert await rrsets.read_zone(admin, zone.id) == []
    assert await published.read_zone(admin, zone.id) == []
    assert len(await journal.since(admin, zone.id, 0, 10)) == 1
    (heard,) = [one async for one in owner.notifies(timeout=20, stop_after=1)]
    assert read_zones(heard.payload) == [(zone.id, None)]


@pytest.mark.parametrize("verb", [zones.remove, zones.the_zone, zones.ds])
async def test_a_zone_that_is_not_there_is_named(admin, verb):
    with pytest.raises(CannotDo, match=r"no zone exam\.test\."):
        await verb(admin, ORIGIN)


async def test_an_export_has_the_serial_that_the_world_sees(admin):
    await zones.bring_in(admin, text(), WHO, "none")
    await zones.bring_in(admin, text("www A 192.0.2.2\n"), WHO)

    plain = await exported(admin, signed=False)

    soa = next(one for one in text().rrsets if one.type == Type.SOA)
    assert (soa_with_serial(soa.rdatas[0], 6),) in [one.rdatas for one in plain]
    again = read_zone(io.BytesIO("".join(write_zone(ORIGIN, plain)).encode()), "x", ORIGIN)
    assert again.rrsets == text("www A 192.0.2.2\n", serial=6).rrsets


async def test_a_signed_export_waits_for_the_first_signing(admin):
    await zones.bring_in(admin, text(), WHO, "nsec3")

    with pytest.raises(CannotDo, match="not signed yet"):
        await exported(admin, signed=True)


async def test_the_ds_comes_from_the_public_halves(admin):
    await zones.bring_in(admin, text(), WHO, "nsec3")
    zone = await stored.find(admin, ORIGIN)
    # RFC 6605 §6.1 gives this key of example.net. and its DS.
    key = bytes.fromhex("0101030d") + base64.b64decode(
        "GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA=="
    )
    await signing.insert_keys(
        admin, [(zone.id, SealedKey("7d444840-9dc0-11d1-b245-5ffdce74fad2", 13, 257, 55648, key, b"x"))]
    )

    assert await zones.ds(admin, ORIGIN) == (zone.id, (zones.ds_rdata(ORIGIN, key),))
    assert zones.ds_rdata(n("example.net."), key) == bytes.fromhex(
        "d9600d02b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17"
    )


async def test_a_zone_without_our_keys_has_no_ds(admin):
    await zones.bring_in(admin, text(), WHO, "none")

    with pytest.raises(CannotDo, match="without keys of ours"):
        await zones.ds(admin, ORIGIN)


async def test_a_look_at_a_zone_names_what_is_wrong(admin):
    await zones.bring_in(admin, text(), WHO, "nsec3")

    report = await check.check(admin, ORIGIN, NOW)

    assert report.rrsets == 0
    assert report.problems == (
        "nothing is published yet: the zone waits for the signer; start `ddns serve` or `zone-signer run`",
    )


async def test_a_look_at_a_zone_finds_signatures_that_have_expired(admin):
    sig = SIGNATURE.format(owner="@", covered="SOA", tag=1)
    await zones.bring_in(admin, text(sig, keep_signatures=True), WHO, "none")

    early = await check.check(admin, ORIGIN, NOW)
    late = await check.check(admin, ORIGIN, early.first_expiry)

    assert early.problems == ()
    assert early.first_expiry == 1893456000
    assert "expired" in late.problems[0]


async def test_half_an_import_is_no_import(admin):
    await zones.bring_in(admin, text(), WHO, "none")
    before = await stored.find(admin, ORIGIN)

    async def cut_short():
        async with admin.transaction():
            await zones.bring_in(admin, text("www A 192.0.2.2\n"), WHO)
            await admin.execute("DO $$ BEGIN RAISE EXCEPTION 'power cut'; END $$")

    with pytest.raises(psycopg.errors.RaiseException):
        await cut_short()

    assert await stored.find(admin, ORIGIN) == before
    assert await published.read_zone(admin, before.id) == list(text().published())
