"""The short way of a batch: it gives what the careful way gives, or nothing, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, contextmanager

import craft
import msgspec
import psycopg
import pytest
import signing
from committing import ALL, FOLLOWER, NOBODY, SOME, House, read
from databases import fresh_database
from waiting import TEMPLATE

from ddns.auth.principal import Grant
from ddns.dns import names
from ddns.dns.codes import Rcode
from ddns.net.batches import UNDER_WAY
from ddns.net.repeats import ALONG
from ddns.store import credentials, followers, grants, homes, published, zones
from ddns.store import signing as signing_rows

OWNERS = ("@", "a", "b.a", "c.b.a", "*.w", "cut", "ns.cut", "alias", "gone", "new", "x.secret")
RECORDS = (
    ("A", "192.0.2.1"), ("A", "192.0.2.9"), ("A", "198.51.100.1"), ("A", "203.0.113.5"), ("AAAA", "2001:db8::9"),
    ("TXT", "two"), ("CNAME", "a"), ("NS", "ns.cut"), ("MX", "10 a"), ("DNAME", "elsewhere.example."),
    ("SOA", craft.SOA.format(serial=4_000_000)), ("RRSIG", "A 13 2 300 20300101000000 20200101000000 1 @ AAAA"),
)  # fmt: skip


ADDRESS = struct.pack("!HHIH4s", 1, craft.IN, 60, 4, bytes(4))


@pytest.fixture
def house(dsn_for, tmp_path):
    return House(dsn_for, tmp_path / "house")


@asynccontextmanager
async def two_houses(postgres, folder, denial: str) -> AsyncIterator[tuple[House, House]]:
    """Yield a house whose worker takes the short way, and one whose worker does not, alike to the last row."""

    def dsns(name):
        return lambda role: postgres.dsn("ddns_owner" if role == "owner" else role, name)

    database = contextmanager(fresh_database)
    with database(postgres, TEMPLATE) as one, database(postgres, TEMPLATE) as other:
        async with (
            House(dsns(one), folder / "short", denial=denial) as short,
            House(dsns(other), folder / "careful", short=False, denial=denial) as careful,
        ):
            yield short, careful


class CountedReading:
    """What is asked over the connection that reads what memory does not have; *fail* is raised once, if it is set."""

    def __init__(self, house: House) -> None:
        self.asked: list[bytes] = []
        self.fail: Exception | None = None
        self._line = house.worker.updates._reading
        self._ask = self._line.ask
        self._line.ask = self.ask

    async def ask(self, statement, parameters):
        self.asked.append(statement.name)
        fail, self.fail = self.fail, None
        if fail is not None:
            raise fail
        return await self._ask(statement, parameters)


def random_update(chance: random.Random, house: House, ident: int) -> bytes:
    """Return an update that does what clients do, and what they should not."""

    def operation() -> bytes:
        owner = chance.choice(OWNERS)
        rdtype, text = chance.choice(RECORDS)
        which = chance.random()
        if which < 0.5:
            return craft.add(owner, chance.choice((60, 300)), rdtype, text)
        if which < 0.7:
            return craft.delete_record(owner, rdtype, text)
        if which < 0.98:
            return craft.delete(owner, chance.choice(("ANY", rdtype)))
        return craft.rr("outside.example.", "A", craft.IN, 60, bytes(4))

    def need() -> bytes:
        owner, (rdtype, text) = chance.choice(OWNERS), chance.choice(RECORDS)
        return chance.choice(
            (craft.exists(owner), craft.absent(owner, rdtype), craft.exists(owner, rdtype),
             craft.equals(owner, rdtype, text), craft.absent(owner))
        )  # fmt: skip

    key = chance.choices((ALL, SOME, NOBODY), (8, 2, 1))[0]
    needs = [need()] if chance.random() < 0.2 else []
    return house.signed(*(operation() for _ in range(chance.randint(1, 4))), key=key, needs=needs, ident=ident)


@pytest.mark.parametrize(("denial", "seed"), [("nsec3", 1), ("nsec", 2), ("compact", 3)])
async def test_both_ways_give_the_same_answers_and_the_same_rows(postgres, tmp_path, denial, seed):
    """Answer for answer, to the octet, and row for row; and what is published validates."""
    chance = random.Random(seed)
    async with two_houses(postgres, tmp_path, denial) as (short, careful):
        ident = 0
        sent: list[bytes] = []
        for _ in range(40):
            batch = []
            for _ in range(chance.choice((1, 1, 2, 5))):
                ident += 1
                batch.append(random_update(chance, short, ident))
            if sent and chance.random() < 0.15:
                batch.append(chance.choice(sent))
            if chance.random() < 0.1:
                batch.append(batch[0])
            if chance.random() < 0.2:
                short.worker.table.evict(short.zone)
            sent += batch

            assert await short.worker.send(*batch) == await careful.worker.send(*batch)
            assert await short.rows() == await careful.rows()

        assert short.line.ran > 25
        assert await short.validate() > 4


async def test_an_update_is_one_statement_and_needs_no_other_connection(house):
    """So is a batch; and one row each is written of what there is one of for each update."""
    async with house:
        await house.send(house.signed(craft.add("new", 300, "A", "192.0.2.1")))
        lent, ran, asked = house.worker.pool.lent, house.line.ran, house.signer.asked
        before = await house.rows()

        await house.send(
            *(house.signed(craft.add(f"n{number}", 300, "A", "192.0.2.1"), ident=number) for number in range(32))
        )

        after = await house.rows()
        assert (house.worker.pool.lent - lent, house.line.ran - ran, house.signer.asked - asked) == (0, 1, 1)
        grown = {what: len(after[what]) - len(before[what]) for what in after}
        assert grown == {
            "zones": 0, "signing": 0, "records": 32, "shown": 64, "journal": 32, "editions": 1, "requests": 32,
            "leases": 0,
        }  # fmt: skip


async def test_signer_and_database_are_heard_without_a_turn_of_the_loop(house):
    async with house:
        await house.send(house.signed(craft.add("new", 300, "A", "192.0.2.1")))

        prompt = asyncio.get_running_loop()._wait.prompt

        assert {house.line._descriptor, house.running.client._line._descriptor} <= prompt.keys()


async def test_the_answers_of_one_commit_are_given_together(house):
    """So that they leave in one system call; an update alone is answered without."""
    async with house:
        await house.send(
            *(house.signed(craft.add(f"n{number}", 300, "A", "192.0.2.1"), ident=number) for number in range(5))
        )
        await house.send(house.signed(craft.delete("n0")))

        assert house.worker.gave_together == [5]


async def test_the_journal_and_the_heads_count_on_from_where_the_zone_stands(house):
    async with house:
        for number in range(0, 30, 10):
            await house.send(
                *(house.signed(craft.add("new", 60 + one, "A", f"192.0.2.{one}"), ident=one)
                  for one in range(number, number + 2))
            )  # fmt: skip

        assert [entry[1] for entry in (await house.rows())["journal"]] == list(range(1, (await house.row()).head + 1))


async def revoke(house: House) -> None:
    await credentials.revoke(house.admin, ALL)


async def take_the_grant(house: House) -> None:
    await house.admin.execute("DELETE FROM grants WHERE credential IS NOT NULL")


async def narrow_the_grant(house: House) -> None:
    await house.admin.execute("UPDATE grants SET types = '{16}' WHERE credential IS NOT NULL AND rule = 'zone'")


async def deny_everybody(house: House) -> None:
    await grants.insert(house.admin, None, Grant(house.zone, craft.ORIGIN, frozenset({1}), "zone", denied="no"))


async def suspend(house: House) -> None:
    await homes.insert(house.admin, house.zone)
    await house.admin.execute("UPDATE homes SET state = 'suspended', reason = 'a test'")


async def remove_the_zone(house: House) -> None:
    await house.admin.execute("DELETE FROM zones")


CHANGES = {
    revoke: Rcode.REFUSED,
    take_the_grant: Rcode.REFUSED,
    narrow_the_grant: Rcode.REFUSED,
    deny_everybody: Rcode.REFUSED,
    suspend: Rcode.REFUSED,
    remove_the_zone: Rcode.NOTAUTH,
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda one: one.__name__)
async def test_what_changes_while_the_signer_works_is_seen_by_the_commit(house, change):
    """The update was judged good, and is refused all the same; nothing of it is there."""
    async with house:
        await house.send(house.signed(craft.add("first", 300, "A", "192.0.2.1")))
        ran = house.line.ran
        house.signer.meanwhile = lambda: change(house)

        (reply,) = await house.send(house.signed(craft.add("new", 300, "A", "192.0.2.1"), ident=2))

        assert reply.rcode() == CHANGES[change]
        assert house.line.ran == ran + 1
        rows = await house.rows()
        assert not [row for row in rows["records"] + rows["shown"] if b"new" in row[1]]
        assert len(rows["journal"]) == 2


async def test_a_lease_that_begins_meanwhile_is_respected(house):
    """What the update adds anew is permanent, as the careful way knows."""
    async with house:
        await house.send(house.signed(craft.add("new", 300, "A", "192.0.2.1")))

        async def lease() -> None:
            cursor = await house.admin.execute(
                """INSERT INTO leases (zone, owner, type, digest, rdata, seconds, ends_at)
                   SELECT zone, owner, type, sha256(rdatas[1]), rdatas[1], 60, now() FROM rrsets
                   WHERE position('new'::bytea IN owner) > 0 AND type = 1"""
            )
            assert cursor.rowcount == 1

        house.signer.meanwhile = lease
        await house.send(house.signed(craft.add("new", 60, "A", "192.0.2.1"), ident=2))

        assert (await house.rows())["leases"] == []


async def test_records_that_wait_for_the_signer_are_not_overlooked(house):
    async with house:
        await house.send(house.signed(craft.add("first", 300, "A", "192.0.2.1")))
        house.signer.meanwhile = lambda: signing_rows.mark_pending(house.admin, {house.zone: 0})

        (reply,) = await house.send(house.signed(craft.add("new", 300, "A", "192.0.2.1"), ident=2))

        assert reply.rcode() == Rcode.NOERROR
        assert (await house.row()).signed_pending
        assert (await house.row()).edition == 2


async def test_of_two_workers_that_judge_at_once_one_is_first_and_the_other_adds_to_it(house):
    async with house:
        other = await house.another()
        await house.send(house.signed(craft.add("first", 300, "A", "192.0.2.1")))
        for number in range(6):
            address, words = craft.add("new", 300, "A", f"192.0.2.{number}"), craft.add("new", 300, "TXT", f"t{number}")
            one = house.signed(address, craft.delete("new", "TXT"), ident=number)
            two = house.signed(craft.delete("new", "A"), words, ident=100 + number)
            before = (await house.row()).edition

            replies = await asyncio.gather(house.worker.send(one), other.send(two))

            assert {read(reply).rcode() for (reply,) in replies} == {Rcode.NOERROR}
            assert (await house.row()).edition == before + 2
            for worker in (house.worker, other):
                await worker.subscriber.catch_up([house.zone])

        rows = await house.rows()
        assert [row[2] for row in rows["records"] if b"\0new\0" in row[1]] in ([1], [16])
        assert await house.validate() > 10


async def test_a_request_that_another_server_is_answering_is_done_once(house):
    async with house:
        other = await house.another()
        await house.send(house.signed(craft.add("first", 300, "A", "192.0.2.1")))
        message = house.signed(craft.add("new", 300, "A", "192.0.2.1"), ident=2)

        replies = await asyncio.gather(house.worker.send(message), other.send(message))

        assert {read(reply).rcode() for (reply,) in replies} == {Rcode.NOERROR}
        assert len((await house.rows())["journal"]) == 3


async def test_an_answer_that_was_remembered_meanwhile_is_given_again(house):
    async with house:
        await house.send(house.signed(craft.add("first", 300, "A", "192.0.2.1")))
        message = house.signed(craft.add("new", 300, "A", "192.0.2.1"), ident=2)
        await house.send(message)
        digest = next(entry[4] for entry in (await house.rows())["journal"] if entry[1] == 3)
        again = house.signed(craft.add("newer", 300, "A", "192.0.2.1"), ident=3)

        (first,) = await house.send(message)
        (second,) = await house.send(again)

        assert (first.rcode(), second.rcode()) == (Rcode.NOERROR, Rcode.NOERROR)
        assert [entry[4] for entry in (await house.rows())["journal"]].count(digest) == 1


async def test_without_an_answer_of_the_signer_the_change_is_kept_and_waits(house):
    async with house:
        await house.send(house.signed(craft.add("first", 300, "A", "192.0.2.1")))
        await house.running.service.close()

        (reply,) = await house.send(house.signed(craft.add("new", 300, "A", "192.0.2.1"), ident=2))

        assert reply.rcode() == Rcode.NOERROR
        assert (await house.row()).signed_pending


async def test_a_connection_that_has_ended_is_made_anew(house):
    async with house:
        await house.send(house.signed(craft.add("first", 300, "A", "192.0.2.1")))
        await house.admin.execute(
            """SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity
               WHERE query LIKE 'SELECT commit_updates%' AND datname = current_database()"""
        )
        await asyncio.sleep(0.05)  # a turn of the loop, which sees the end

        (reply,) = await house.send(house.signed(craft.add("new", 300, "A", "192.0.2.1"), ident=2))

        assert reply.rcode() == Rcode.NOERROR


async def test_who_hears_nothing_of_its_commit_sends_it_again_and_it_is_done_once(house):
    """The connection breaks in the commit: SERVFAIL, whatever became of it, and the same message finds out."""
    async with house:
        await house.send(house.signed(craft.add("first", 300, "A", "192.0.2.1")))
        message = house.signed(craft.add("new", 300, "A", "192.0.2.1"), ident=2)
        async with house.admin.transaction():
            await house.admin.execute("SELECT FROM zones FOR UPDATE")
            sending = asyncio.ensure_future(house.send(message))
            killed = 0
            while not killed:
                await asyncio.sleep(0.01)
                cursor = await house.admin.execute(
                    """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                       WHERE wait_event_type = 'Lock' AND datname = current_database()"""
                )
                (killed,) = await cursor.fetchone()
            (first,) = await sending
        (second,) = await house.send(message)

        assert (first.rcode(), second.rcode()) == (Rcode.SERVFAIL, Rcode.NOERROR)
        assert len((await house.rows())["journal"]) == 3


async def test_what_batches_under_way_together_did_unheard_is_looked_up_for_each_and_nobody_looks_on_after_the_end(
    house,
):
    """Each commits, and the answer to it is lost: SERVFAIL, and this worker finds out about both zones."""
    async with house:
        other = names.from_text("other.example.")
        await signing.add(house.admin, names.to_text(other), "@ 60 A 192.0.2.1")
        await house.running.worker.sweep(house.admin)
        cursor = await house.admin.execute("SELECT id FROM credentials WHERE name = %s", [names.order_key(ALL)])
        (key,) = await cursor.fetchone()
        (zone,) = await (
            await house.admin.execute("SELECT id FROM zones WHERE origin = %s", [names.order_key(other)])
        ).fetchone()
        await grants.insert(house.admin, key, Grant(zone, other, rule="zone"))
        house.worker.keyring.forget(None)
        await house.worker.load(zone)
        await house.send(house.signed(craft.add("first", 300, "A", "192.0.2.1")))
        batches = house.worker.updates._batches
        batches._bounds = msgspec.structs.replace(batches._bounds, at_once=1)
        run, both = house.line.run, asyncio.Barrier(2)

        async def run_unheard(statement, parameters):
            await run(statement, parameters)
            if not await both.wait():
                await house.admin.execute("LOCK TABLE zones IN ACCESS EXCLUSIVE MODE")  # until both have been counted
            await both.wait()
            raise psycopg.OperationalError("the connection is gone")

        house.line.run = run_unheard
        async with house.admin.transaction():
            replies = await house.send(
                house.signed(craft.add("second", 300, "A", "192.0.2.1"), ident=2),
                house.signed_for(other, ADDRESS, 3),
            )
            looking = len(batches._looking)
            await house.worker.updates.close()

        assert [reply.rcode() for reply in replies] == [Rcode.SERVFAIL, Rcode.SERVFAIL]
        assert looking == 2
        assert not [one for one in asyncio.all_tasks() if "_catch_up" in repr(one)]


async def test_only_other_followers_are_notified(house, connected):
    """Nobody is where nobody else listens."""
    async with house:
        listening = await connected("ddns_server")
        await listening.execute("LISTEN ddns_zones")

        async def heard() -> list[str]:
            """Return what was notified before now: what is heard comes in its order."""
            await house.admin.execute("NOTIFY ddns_zones, 'now'")
            found: list[str] = []
            while found[-1:] != ["now"]:
                found += [one.payload async for one in listening.notifies(timeout=20, stop_after=1)]
            return found[:-1]

        await house.send(house.signed(craft.add("first", 300, "A", "192.0.2.1")))
        nobody = await heard()
        await followers.enter(listening, FOLLOWER)
        await house.send(house.signed(craft.add("second", 300, "A", "192.0.2.1"), ident=2))
        own = await heard()
        await followers.enter(listening, FOLLOWER + 1)
        await house.send(house.signed(craft.add("third", 300, "A", "192.0.2.1"), ident=3))
        other = await heard()

        assert (nobody, own, other) == ([], [], [f"{house.zone}:4"])


async def test_followers_whose_connection_has_ended_are_struck_off(connected):
    old, new = await connected("ddns_server"), await connected("ddns_server")
    await followers.enter(old, 1)
    await followers.enter(new, 2)
    owner = await connected("owner")
    await owner.execute("SELECT pg_terminate_backend(%s, 20000)", [old.info.backend_pid])

    await followers.enter(new, 2)

    assert await (await owner.execute("SELECT worker FROM followers")).fetchall() == [(2,)]


async def test_a_request_too_old_for_the_database_is_refused(house):
    async with house:
        await house.send(house.signed(craft.add("first", 300, "A", "192.0.2.1")))
        house.worker.now -= 100_000_000  # some years

        (reply,) = await house.send(house.signed(craft.add("new", 300, "A", "192.0.2.1"), ident=2))

        assert reply.rcode() == Rcode.REFUSED
        assert len((await house.rows())["journal"]) == 2


async def test_a_request_that_comes_again_costs_a_look_up(house):
    """While it waits, and after it was answered: the same answer, nothing asked of signer and database."""
    async with house:
        await house.send(house.signed(craft.add("first", 300, "A", "192.0.2.1")))
        message = house.signed(craft.add("new", 300, "A", "192.0.2.1"), ident=2)
        refused = house.signed(craft.add("secret", 300, "A", "192.0.2.1"), ident=3)

        together = await house.worker.send(message, message, refused, message, refused)
        ran, asked, lent = house.line.ran, house.signer.asked, house.worker.pool.lent
        later = await house.worker.send(refused, message)

        assert [read(reply).rcode() for reply in together] == [0, 0, 5, 0, 5]
        assert [read(reply).rcode() for reply in later] == [5, 0]
        assert (house.line.ran, house.signer.asked, house.worker.pool.lent) == (ran, asked, lent)
        assert len((await house.rows())["journal"]) == 3


async def test_no_more_copies_wait_along_than_there_is_room_for(house):
    """The others go the long way, and hear the same."""
    async with house:
        message = house.signed(craft.add("new", 300, "A", "192.0.2.1"), ident=2)

        replies = await house.send(*[message] * (ALONG + 5))

        assert {reply.rcode() for reply in replies} == {Rcode.NOERROR}
        assert len((await house.rows())["journal"]) == 2


async def with_zones(house: House, count: int) -> tuple[list[int], list[bytes]]:
    """Return the ids and names of *count* more signed zones, in which the key `ALL` may write."""
    origins = [names.from_text(f"h{number}.example.") for number in range(count)]
    ids = [await signing.add(house.admin, names.to_text(origin), "@ 60 A 192.0.2.1") for origin in origins]
    await house.running.worker.sweep(house.admin)
    cursor = await house.admin.execute("SELECT id FROM credentials WHERE name = %s", [names.order_key(ALL)])
    (key,) = await cursor.fetchone()
    for zone, origin in zip(ids, origins, strict=True):
        await grants.insert(house.admin, key, Grant(zone, origin, rule="zone"))
    return ids, origins


async def test_a_batch_of_many_homes_is_one_statement(house):
    """Known in memory or not: of each one edition, one entry, one step of the serial; one that is suspended refuses."""
    async with house:
        ids, origins = await with_zones(house, 5)
        await homes.insert(house.admin, ids[4])
        await house.admin.execute("UPDATE homes SET state = 'suspended', reason = 'a test'")
        await house.worker.subscriber.resync()
        house.worker.keyring.forget(None)
        for zone in ids[:2]:
            await house.worker.load(zone)
        await house.send(house.signed(craft.add("first", 300, "A", "192.0.2.1")))
        ran, lent = house.line.ran, house.worker.pool.lent
        reading = CountedReading(house)

        replies = await house.send(
            *(house.signed_for(origin, ADDRESS, number)
              for number, origin in enumerate(origins))
        )  # fmt: skip

        assert [reply.rcode() for reply in replies] == [0, 0, 0, 0, Rcode.REFUSED]
        assert (house.line.ran, house.worker.pool.lent, reading.asked) == (ran + 1, lent, [b"look"])
        rows = await zones.get(house.admin, ids)
        assert [(rows[zone].head, rows[zone].edition, rows[zone].serial) for zone in ids] == [(2, 2, 2)] * 4 + [
            (1, 1, 1)
        ]
        for zone, origin in list(zip(ids, origins, strict=True))[:4]:
            assert signing.validate(origin, await published.read_zone(house.admin, zone), signing.NOW) > 3


async def test_a_home_whose_tlsa_records_change_does_not_take_its_batch_along(house):
    """Only the careful way knows what caches hold of these; the others are one statement as ever."""
    async with house:
        ids, origins = await with_zones(house, 3)
        await house.worker.subscriber.resync()
        house.worker.keyring.forget(None)
        for zone in ids:
            await house.worker.load(zone)
        await house.send(*(house.signed_for(origin, ADDRESS, number) for number, origin in enumerate(origins)))
        ran, lent = house.line.ran, house.worker.pool.lent
        pin = struct.pack("!HHIH", 52, craft.IN, 60, 35) + bytes((3, 1, 1)) + bytes(32)
        other = ADDRESS[:-4] + bytes((192, 0, 2, 9))

        replies = await house.send(
            *(house.signed_for(origin, operation, 10 + number)
              for number, (origin, operation) in enumerate(zip(origins, (other, pin, other), strict=True)))
        )  # fmt: skip

        assert [reply.rcode() for reply in replies] == [0, 0, 0]
        assert (house.line.ran, house.worker.pool.lent) == (ran + 1, lent + 1)
        rows = await zones.get(house.admin, ids)
        assert [(rows[zone].head, rows[zone].edition, rows[zone].serial) for zone in ids] == [(3, 3, 3)] * 3


async def test_what_cannot_be_read_goes_the_careful_way(house):
    """The connection for it has ended, and the next update has it made anew."""
    async with house:
        reading = CountedReading(house)
        reading.fail = psycopg.OperationalError("the server closed the connection unexpectedly")
        house.worker.table.evict(house.zone)
        lent, ran = house.worker.pool.lent, house.line.ran

        (first,) = await house.send(house.signed(craft.add("new", 300, "A", "192.0.2.1")))
        careful = house.worker.pool.lent - lent, house.line.ran - ran
        (second,) = await house.send(house.signed(craft.add("newer", 300, "A", "192.0.2.1"), ident=2))

        assert (first.rcode(), second.rcode()) == (Rcode.NOERROR, Rcode.NOERROR)
        assert careful[0] > 0
        assert careful[1] == 0
        assert house.line.ran == ran + 1
        assert len((await house.rows())["journal"]) == 3


async def test_while_many_wait_batches_of_other_zones_are_under_way_together(house):
    """And those of one zone one after the other, so that each is judged by the latest."""
    async with house:
        ids, origins = await with_zones(house, 12)
        await house.worker.subscriber.resync()
        house.worker.keyring.forget(None)
        batches = house.worker.updates._batches
        batches._bounds = msgspec.structs.replace(batches._bounds, at_once=3)
        sign, working, most = house.signer.sign, 0, 0

        async def counted(jobs):
            nonlocal working, most
            working += 1
            most = max(most, working)
            assert len({job.zone for job in jobs}) == len(jobs)
            try:
                return await sign(jobs)
            finally:
                working -= 1

        house.signer.sign = counted
        replies = await house.send(
            *(house.signed_for(origin, ADDRESS[:-4] + bytes((198, 51, 100, turn)), 100 * turn + number)
              for turn in (1, 2) for number, origin in enumerate(origins))
        )  # fmt: skip

        assert {reply.rcode() for reply in replies} == {Rcode.NOERROR}
        assert 1 < most <= UNDER_WAY
        rows = await zones.get(house.admin, ids)
        assert {rows[zone].head for zone in ids} == {3}
        for zone, origin in zip(ids, origins, strict=True):
            assert signing.validate(origin, await published.read_zone(house.admin, zone), signing.NOW) > 3
