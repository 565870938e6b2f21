"""What else must know that a home is on its way: the key machine, people's commands, and whoever serves it."""

from __future__ import annotations

import asyncio

import delegating
import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import msgspec
import pytest
from delegating import DAY, HOME
from handing import Hall
from lives import Life
from signing import NOW, bare, keys_of, ought, read, vault
from waiting import wait_for

from ddns.answer.responder import Responder
from ddns.answer.table import Table
from ddns.answer.window import Window
from ddns.dns import ds as ds_records
from ddns.dns import names
from ddns.dns.asker import Asker, Transport
from ddns.dns.codes import Type
from ddns.dns.records import RRset
from ddns.net.subscriber import Subscriber
from ddns.operator import check, zones
from ddns.operator import homes as operator_homes
from ddns.operator.fault import CannotDo
from ddns.signing.client import SignerClient
from ddns.store import delegations, leases, published
from ddns.store import zones as rows
from ddns.store.delegations import Taken
from ddns.store.pool import Pool
from ddns.zone.child import Child
from ddns.zone.hand import Continuity, Copy, Hand, Serves, State, Theirs
from zone_signer import health, renewal, rrsig
from zone_signer.keypolicy import KeyPolicy
from zone_signer.keyring import KeyRing
from zone_signer.leases import Lease


@pytest.fixture
def life(admin, conn, connected, dsn_for):
    return Life(admin, wait_for(connected("zone_signer")), conn, dsn_for, signers=2)


@pytest.fixture
def hall(life):
    return wait_for(Hall(life).begin())


async def events(life, zone, record):
    found = await life.admin.execute(
        "SELECT before, after, why FROM key_events WHERE zone = %s AND record = %s ORDER BY id", (zone, record)
    )
    return await found.fetchall()


@pytest.mark.parametrize("state", [State.LEAVING_KEYS, State.AWAY])
async def test_keys_rest_and_what_is_asked_of_them_is_refused_with_a_sentence(life, hall, state):
    await life.admin.execute("UPDATE signing_policies SET csk_lifetime = 86400 WHERE name = 'home'")
    await hall.leave()
    await hall.until(state)
    before = await events(life, hall.zone, "key")

    await life.admin.execute(
        "INSERT INTO signing_orders (zone, kind, principal, at) VALUES (%s, 'roll', 'a person', to_timestamp(%s))",
        (hall.zone, hall.now),
    )
    await life.admin.execute("UPDATE delegations SET wish = 'away'")
    await hall.live(60)

    ((order, after, why),) = await events(life, hall.zone, "order")
    assert (order, after) == ("roll", "refused")
    assert "ddns delegation" in why
    assert await events(life, hall.zone, "key") == before, "nor does a lifetime that is over make a key"


async def test_a_home_sets_out_when_its_keys_rest(life, hall):
    first = await hall.show()
    await life.admin.execute(
        "INSERT INTO signing_orders (zone, kind, principal, at) VALUES (%s, 'roll', 'a person', to_timestamp(%s))",
        (hall.zone, hall.now),
    )
    await hall.leave()
    await hall._see()
    await hall._sweep()
    await hall._see()
    await hall._sweep()

    row = await hall.row()
    assert (row.state, row.waits) == (State.HOSTED, "a key of it is just being replaced; it leaves when that is over")
    assert (await hall.show()).ds == first.ds


async def test_people_who_ask_are_told_where_the_home_is(life, hall):
    await hall.leave()
    await hall.until(State.LEAVING_DS)

    found = await check.check(life.admin, HOME, hall.now)
    assert (found.delegation, found.problems) == ("leaving-ds", ())
    with pytest.raises(CannotDo, match="ddns delegation show"):
        await zones.ds(life.admin, HOME)


@pytest.mark.parametrize("state", [State.LEAVING_KEYS, State.LEAVING_SERVERS, State.AWAY])
async def test_what_changes_meanwhile_is_signed_with_the_keys_of_both_in_its_dnskey_rrset(life, hall, state):
    await hall.leave()
    await hall.until(state)
    before = await hall.show()
    assert before.foreign

    await life.admin.execute(
        "UPDATE rrsets SET ttl = 299 WHERE zone = %s AND owner = %s",
        (hall.zone, names.order_key(names.prepend(b"www", HOME))),
    )
    await life.admin.execute("UPDATE signing SET pending = true WHERE zone = %s", (hall.zone,))
    await hall.live(60)

    there = {(one.name, one.type): one for one in await published.read_zone(life.admin, hall.zone)}
    assert there[names.prepend(b"www", HOME), Type.A].ttl == 299
    assert await hall.show() == before


class Dark:
    """A home whose servers are gone, and whose last copy is real."""

    def __init__(self, hall: Hall, *lines: str) -> None:
        lease = Lease(0, HOME, "nsec3", 13, None, 1, 0, 0, 0, pending=True, resign_at=None)
        content = read("smith.homes.test.", "www 60 A 192.0.2.99", "deep.er 60 TXT there", *lines, serial=7)
        made = renewal.first_whole(lease, content, KeyRing(vault()), KeyPolicy(), NOW)
        self.zone = made.added
        self.dnskey = next(one for one in self.zone if one.type == Type.DNSKEY)
        self.ds = tuple(ds_records.of(HOME, one) for one in self.dnskey.rdatas)
        ends = min(rrsig.read(sig, NOW).expiration for one in self.zone for sig in one.sigs)
        self.copy = Copy(made.to_serial, frozenset(self.dnskey.rdatas), ends)
        self.hall = hall

    async def begin(self):
        life, hall = self.hall.life, self.hall
        child = Child((names.from_text("ns.smith.example."),), (), self.ds)
        hand = Hand(
            State.AWAY, since=hall.now - DAY, their=child, their_ttl=300, ds=self.ds, serial=1, home_serial=1,
            seen_at=hall.now - DAY, led=True, dark_at=hall.now - DAY, their_serial=self.copy.serial,
        )  # fmt: skip
        await delegations.leave(life.admin, hall.zone, child, Continuity.COPY, hall.now)
        gone = Theirs(hall.now, None, frozenset(), frozenset(), 0, None, whole=False, silent=True)
        await life.server.execute("UPDATE delegations SET theirs = %s, wanted = NULL", (msgspec.msgpack.encode(gone),))
        await life.conn.execute(
            "UPDATE delegations SET state = 'away', hand = %s, since = to_timestamp(%s)",
            (msgspec.msgpack.encode(hand), hand.since),
        )
        taken = Taken(self.copy, 300, hall.now)
        assert await delegations.take_copy(life.server, hall.zone, taken, self.zone, hall.now)
        await hall._sweep()
        return self


async def test_a_copy_is_served_as_it_is_and_nobody_signs_it(life, hall, dsn_for):
    dark = await Dark(hall).begin()
    assert (await hall.row()).state is State.DARK
    assert (await hall.show()).serves is Serves.COPY
    there = await published.read_zone(life.admin, hall.zone)
    assert {(one.name, one.type): one for one in there} == {(one.name, one.type): one for one in dark.zone}

    pool, table = Pool(dsn_for("ddns_server"), "ddns_server", 2), Table()
    subscriber = Subscriber(table, pool, 0)
    try:
        await subscriber.resync()
        answer = await asked(subscriber, table, "www.smith.homes.test.", "A")
        assert answer.flags & dns.flags.AA
        assert [str(one) for one in answer.answer[0]] == ["192.0.2.99"]
        validated(answer, dark, answer.answer)
        nothing = await asked(subscriber, table, "nobody.smith.homes.test.", "A")
        assert nothing.rcode() == dns.rcode.NXDOMAIN
        assert {one.rdtype for one in nothing.authority} >= {dns.rdatatype.NSEC3, dns.rdatatype.SOA}
        validated(nothing, dark, nothing.authority)
    finally:
        await subscriber.close()
        await pool.close()

    # Whatever falls due, and whatever is stored meanwhile, the copy is left as it is.
    await life.admin.execute(
        "UPDATE signing SET pending = true, resign_at = to_timestamp(0) WHERE zone = %s", (hall.zone,)
    )
    before = (await rows.get(life.admin, [hall.zone]))[hall.zone]
    await hall._sweep()
    after = (await rows.get(life.admin, [hall.zone]))[hall.zone]
    assert (after.edition, after.serial) == (before.edition, dark.copy.serial)


async def test_a_held_home_is_referred_to_its_own_servers_with_its_ds(life, hall, dsn_for):
    await hall.leave()
    await hall.until(State.LEAVING_SERVERS)
    before = (await rows.get(life.admin, [hall.zone]))[hall.zone]
    await hall.until(State.LEAVING_DRAIN)
    after = (await rows.get(life.admin, [hall.zone]))[hall.zone]
    assert (before.held, after.held) == (False, True)
    assert after.keyset > before.keyset, "an update that was judged before is judged again"
    await hall.until(State.AWAY)
    pool, table = Pool(dsn_for("ddns_server"), "ddns_server", 2), Table()
    subscriber = Subscriber(table, pool, 0)
    try:
        await subscriber.resync()
        answer = await asked(subscriber, table, "www.smith.homes.test.", "A")
    finally:
        await subscriber.close()
        await pool.close()

    assert not answer.flags & dns.flags.AA
    assert answer.answer == []
    found = {one.rdtype: one for one in answer.authority}
    assert [str(one) for one in found[dns.rdatatype.NS]] == ["ns.smith.example."]
    assert tuple(one.to_wire() for one in found[dns.rdatatype.DS]) == hall.their.ds


async def asked(subscriber, table, name, rdtype):
    """Return what a question gets once its zones are in memory."""
    for zone in list(table.zone_ids()):
        done = asyncio.get_running_loop().create_future()
        subscriber.need(zone, done.set_result)
        await done
    question = dns.message.make_query(name, rdtype, want_dnssec=True)
    wire = Responder(table).respond(question.to_wire(), Asker(Transport.TCP, "192.0.2.1"))
    return dns.message.from_wire(wire)


def validated(answer, dark, section):
    """Check every signature by their key."""
    apex = dns.name.from_wire(HOME, 0)[0]
    kind = dns.rdataclass.IN, dns.rdatatype.DNSKEY
    keys = [dns.rdata.from_wire(*kind, one, 0, len(one)) for one in dark.dnskey.rdatas]
    for one in section:
        if one.rdtype != dns.rdatatype.RRSIG:
            sigs = answer.get_rrset(section, one.name, dns.rdataclass.IN, dns.rdatatype.RRSIG, one.rdtype)
            dns.dnssec.validate(one, sigs, {apex: dns.rdataset.from_rdata_list(60, keys)}, now=NOW)


@pytest.fixture
def inside(monkeypatch):
    """Have the home's own servers be below it, so that they need glue."""
    server = names.from_text("ns.smith.homes.test.")
    monkeypatch.setattr(delegating, "THEIRS", (server,))
    return (
        RRset(server, Type.A, 60, (bytes((192, 0, 2, 7)),)),
        RRset(server, Type.AAAA, 60, (bytes.fromhex("20010db8" + "00" * 11 + "07"),)),
    )


async def glue_of(life, hall):
    found = await published.read_zone(life.admin, hall.registry)
    return {(one.type, one.rdatas, one.sigs) for one in found if one.type in (Type.A, Type.AAAA)}


async def test_servers_below_the_home_have_glue_as_long_as_it_is_theirs(life, inside):
    hall = await Hall(life).begin()
    first = await hall.show()
    await hall.leave(glue=inside)

    await hall.until(State.LEAVING_DS)
    assert await glue_of(life, hall) == set()
    await hall.until(State.LEAVING_SERVERS)
    assert await glue_of(life, hall) == {(one.type, one.rdatas, ()) for one in inside}
    # Whoever asks the hosted copy for their address must not hear that there is none.
    there = {(one.name, one.type): one for one in await published.read_zone(life.admin, hall.zone)}
    assert [there[one.name, one.type].rdatas for one in inside] == [one.rdatas for one in inside]
    await hall.until(State.AWAY)
    assert await glue_of(life, hall) == {(one.type, one.rdatas, ()) for one in inside}

    await hall.come_back()
    await hall.until(State.RETURNING_SERVERS)
    assert await glue_of(life, hall) == set()
    await hall.until(State.HOSTED)
    assert await hall.show() == first


async def test_a_home_that_is_removed_leaves_no_address_of_its_servers_behind(life, inside, tmp_path):
    hall = await Hall(life).begin()
    await hall.leave(glue=inside)
    await hall.until(State.AWAY)
    signer = SignerClient(tmp_path / "no-signer.sock", 0.2)

    await operator_homes.remove(life.admin, signer, HOME, "operator:test")
    await life.workers[0].sweep(life.conn)

    assert await glue_of(life, hall) == set()
    registry = (await rows.get(life.admin, [hall.registry]))[hall.registry]
    keys = await keys_of(life.conn, hall.registry)
    assert await bare(life.conn, hall.registry) == await ought(life.conn, registry, keys)


async def test_leases_do_not_end_while_nobody_can_renew_them_and_begin_anew_at_home(life, hall, owner):
    await hall.leave()
    await hall.until(State.AWAY)
    www, rdata = names.order_key(names.prepend(b"www", HOME)), bytes((192, 0, 2, 1))
    await owner.execute(
        "INSERT INTO leases (zone, owner, type, digest, rdata, seconds, ends_at) "
        "VALUES (%s, %s, 1, sha256(%s), %s, 3600, now() - interval '1 minute')",
        (hall.zone, www, rdata, rdata),
    )
    assert await leases.lock_due(life.server, 10) == []

    await hall.come_back()
    await hall.until(State.RETURNING_DS)
    assert await leases.lock_due(life.server, 10) == []
    await hall.until(State.RETURNING_SERVERS)
    assert await leases.lock_due(life.server, 10) == []
    (lease,) = await leases.listing(life.server, hall.zone)
    assert lease.seconds == 3600


async def test_who_asks_whether_all_is_well_hears_of_a_home_whose_copy_ends_soon(life, hall):
    await Dark(hall).begin()
    row = await hall.row()
    assert row.until is not None

    for now, ends in ((row.until - DAY - 1, False), (row.until - DAY, True)):
        found = await health.report(life.conn, now)
        assert ("copy-ends" in {one.code for one in found.alarms}) == ends


async def test_a_large_copy_is_not_taken_for_a_zone_whose_chain_our_signer_made(life, hall, dsn_for):
    """Of a zone that is looked at through a window, what is missing in its chain must not be taken to be proved."""
    many = [f"d{number:04} 60 A 192.0.2.9" for number in range(600)]
    await Dark(hall, *many).begin()
    pool, table = Pool(dsn_for("ddns_server"), "ddns_server", 2), Table(memory=400_000)
    subscriber = Subscriber(table, pool, 0)
    try:
        await subscriber.resync()
        done = asyncio.get_running_loop().create_future()
        subscriber.need(hall.zone, done.set_result)
        await done
        image = table.image(hall.zone)
        assert isinstance(image, Window)
        assert not image._complete
    finally:
        await subscriber.close()
        await pool.close()
