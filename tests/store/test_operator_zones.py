"""What an operator does with zones, against a real Postgres: one transaction, one edition, nothing twice."""

from __future__ import annotations

import base64
import io

import psycopg
import pytest
from rows import n

from ddns.dns.codes import Type
from ddns.dns.records import SignedRRset, soa_serial, soa_with_serial
from ddns.dns.zonefile import read_zone, write_zone
from ddns.operator import check, zones
from ddns.operator.fault import CannotDo
from ddns.store import editions, journal, published, rrsets, signing
from ddns.store import zones as stored
from ddns.store.notify import read_zones
from ddns.zone.ds import ds_rdata
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

    assert await zones.ds(admin, ORIGIN) == (zone.id, (ds_rdata(ORIGIN, key),))
    assert ds_rdata(n("example.net."), key) == bytes.fromhex(
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


KEY = SealedKey("7d444840-9dc0-11d1-b245-5ffdce74fad2", 13, 257, 55648, b"\1\1\3\x0d" + bytes(64), b"x")


async def signed_zone(admin, owner, *, parent=False, changes="ds = 'rumoured'"):
    """Add the zone as the signer leaves it: published, with one key, whose row is as *changes* say; returns its id."""
    registry = await stored.insert(admin, n("test."), "nsec3", 13) if parent else None
    await zones.bring_in(admin, text(), WHO, "nsec3")
    zone = await stored.find(admin, ORIGIN)
    await owner.execute("UPDATE zones SET parent = %s WHERE id = %s", [registry, zone.id])
    await signing.insert_keys(admin, [(zone.id, KEY)])
    await owner.execute(f"UPDATE signing_keys SET {changes}".encode())
    await stored.advance(admin, [(zone.id, 1, 1, 5)])
    await signing.set_state(admin, [(zone.id, 1, 0)])
    return zone.id


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ("ds = 'omnipresent'", "has a DS at its parent, so without signatures nobody would find it"),
        ("ds = 'rumoured'", "has a DS at its parent, so without signatures nobody would find it"),
        ("ds = 'unretentive'", "has a DS at its parent, so without signatures nobody would find it"),
        ("ds = 'hidden'", "is signed, and its parent may be about to say so"),
        ("ds = 'hidden', dnskey = 'hidden', zrrsig = 'unretentive'", "is signed, and its parent may be about to say"),
    ],
)
@pytest.mark.parametrize("parent", [True, False])
async def test_a_zone_that_is_believed_signed_is_not_left_without_signatures(admin, owner, changes, sentence, parent):
    """Its validators would find nothing any more; the command names the way that is safe, and changes nothing."""
    zone = await signed_zone(admin, owner, parent=parent, changes=changes)
    before = (await stored.get(admin, [zone]))[zone]

    with pytest.raises(CannotDo, match=sentence) as refused:
        await zones.bring_in(admin, text("www A 192.0.2.1\n"), WHO, "none")

    assert "zone-signer insecure exam.test." in str(refused.value)
    assert (await stored.get(admin, [zone]))[zone] == before


async def test_a_zone_on_its_way_to_be_insecure_is_left_to_the_signer(admin, owner):
    zone = await signed_zone(admin, owner, changes="ds = 'unretentive'")
    await owner.execute("UPDATE signing SET wish = 'insecure'")

    with pytest.raises(CannotDo, match=r"on its way .*zone-signer plan exam\.test\."):
        await zones.bring_in(admin, text(), WHO, "none")
    await zones.bring_in(admin, text("www A 192.0.2.1\n"), WHO)

    assert (await stored.get(admin, [zone]))[zone].denial == "nsec3"


async def test_a_zone_that_has_become_insecure_takes_a_file_as_it_is(admin, owner):
    """As the signer leaves it when no cache holds a DS any more."""
    zone = await signed_zone(
        admin, owner,
        changes="state = 'removed', sealed = NULL, ds = 'hidden', dnskey = 'hidden', zrrsig = 'hidden'",
    )  # fmt: skip
    await owner.execute("UPDATE zones SET denial = 'none'")

    await zones.bring_in(admin, text("www A 192.0.2.1\n"), WHO, "none")

    assert (await stored.get(admin, [zone]))[zone].edition == 2


async def test_how_absence_is_proved_is_not_changed_while_keys_move(admin, owner):
    zone = await signed_zone(admin, owner)
    await owner.execute(
        "INSERT INTO key_motions (key, record, zone, since, place, ttl) VALUES (%s, 'ds', %s, now(), 0, 60)",
        [KEY.id, zone],
    )

    with pytest.raises(CannotDo, match="just being changed"):
        await zones.bring_in(admin, text(), WHO, "nsec")
    await owner.execute("DELETE FROM key_motions")
    await zones.bring_in(admin, text(), WHO, "nsec")

    assert (await stored.get(admin, [zone]))[zone].denial == "nsec"


async def test_another_algorithm_has_the_signer_look_at_the_keys(admin, owner):
    zone = await signed_zone(admin, owner)
    steps = "SELECT extract(epoch FROM step_at)::bigint FROM signing WHERE zone = %s"

    await zones.bring_in(admin, text(), WHO, "nsec")
    same = await (await owner.execute(steps, [zone])).fetchone()
    await zones.bring_in(admin, text(), WHO, None, 15)
    other = await (await owner.execute(steps, [zone])).fetchone()

    assert (same, other) == ((None,), (0,))
    assert (await stored.get(admin, [zone]))[zone].algorithm == 15


async def test_while_keys_roll_the_parents_ds_are_several(admin, owner):
    zone = await signed_zone(admin, owner)
    young = SealedKey("7d444840-9dc0-11d1-b245-5ffdce74fad3", 13, 257, 1, b"\1\1\3\x0d" + bytes(63) + b"\1", b"x")
    await signing.insert_keys(admin, [(zone, young)])

    both = await zones.ds(admin, ORIGIN)
    await owner.execute("UPDATE signing_keys SET ds = 'hidden' WHERE tag = 1")
    one = await zones.ds(admin, ORIGIN)

    assert set(both[1]) == {ds_rdata(ORIGIN, KEY.public), ds_rdata(ORIGIN, young.public)}
    assert one[1] == (ds_rdata(ORIGIN, KEY.public),)


async def test_a_home_that_is_meant_to_have_no_ds_is_well_without(admin, owner):
    zone = await signed_zone(admin, owner, parent=True)
    parent = (await stored.get(admin, [zone]))[zone].parent
    await published.publish(admin, [(parent, SignedRRset(ORIGIN, Type.NS, 300, (n("ns1.exam.test."),)))], [])

    missing = await check.check(admin, ORIGIN, NOW)
    await owner.execute("UPDATE signing_keys SET ds = 'hidden'")
    meant = await check.check(admin, ORIGIN, NOW)

    assert "holds no DS for it" in missing.problems[0]
    assert meant.problems == ()
