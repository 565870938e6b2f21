"""The journal of refusals in a real Postgres: what is written, by whom, how much of it, and for how long."""

from __future__ import annotations

import asyncio
import struct
import time

import craft
import psycopg
import pytest
from waiting import wait_for

from ddns.auth import tsig
from ddns.auth.principal import Credential, Grant, Secret
from ddns.dns import names, wire
from ddns.dns.asker import Asker, Transport
from ddns.dns.codes import Ede, Rcode, Type
from ddns.net.answers import Answer
from ddns.net.refusals import GATHER, KEY_BURST, WAITING, JournalBounds, RefusalJournal, kept, network
from ddns.store import refusals
from ddns.store.pool import Pool
from ddns.store.refusals import Refused
from ddns.zone.update import parse

KEY = Credential(
    7, names.from_text("k.example."), "tsig", "hmac-sha256", secret=Secret(b"s" * 32),
    grants=(Grant(1, craft.ORIGIN, frozenset({int(Type.A)})), Grant(2, craft.ORIGIN)),
)  # fmt: skip
ASKER = Asker(Transport.UDP, "192.0.2.77")
REFUSED = Answer(Rcode.REFUSED, Ede.PROHIBITED, "No, because.", "name-not-granted")


def refused(**changes) -> Refused:
    return Refused(**{
        "at": 1_790_000_000.25, "code": "name-not-granted", "rcode": 5, "text": "No.", "transport": "udp",
        "source": "192.0.2.0/24", **changes,
    })  # fmt: skip


@pytest.fixture
def pool(dsn_for):
    made = Pool(dsn_for("ddns_server"), "ddns_server", 2)
    wait_for(made.open())
    yield made
    wait_for(made.close())


@pytest.fixture
def journal(pool):
    """A journal whose clock stands still, begun and ended with the test."""
    made = []

    def begin(**bounds):
        one = RefusalJournal(pool, lambda _name: 1, JournalBounds(**bounds), lambda: 1_790_000_000.0)
        one.start()
        made.append(one)
        return one

    yield begin
    for one in made:
        wait_for(one.close())


def signed(*operations: bytes, additional=()):
    message = craft.message(*operations, additional=additional)
    record = tsig.cut(tsig.sign_request(message, KEY, 1_790_000_000)[0])
    return record, parse(record.message)


async def test_a_row_comes_back_as_it_was_written(conn, admin):
    whole = refused(
        zone="smith.example.", key='odd\\".example.', kind="sig0", algorithm="13", tag=0, verified=True, credential=9,
        held=("rule 1: zone", 'a "quoted\\ one,', "", "ä"), asked=("add x. A",), size=99, message=bytes(range(64)),
        digest=b"d" * 32, untold=3,
    )  # fmt: skip
    bare = refused(source="2001:db8:0:ff00::/56", text='It is "so" \\ {1,2}.')

    await refusals.append(conn, [whole, bare])

    assert [one.refused for one in await refusals.latest(admin, 10)] == [bare, whole]
    assert await refusals.get(admin, 1) == refusals.Listed(1, whole)
    assert await refusals.get(admin, 3) is None


async def test_more_rows_than_one_statement_takes_are_written_in_order(conn, admin):
    await refusals.append(conn, [refused(text=str(n)) for n in range(refusals.AT_ONCE + 1)])

    assert [one.refused.text for one in await refusals.latest(admin, 2)] == [str(refusals.AT_ONCE), "499"]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [4, 3, 2, 1]),
        ({"limit": 1}, [4]),
        ({"zone": "example."}, [4, 2, 1]),
        ({"zone": "smith.example."}, [2]),
        ({"key": "k."}, [3, 1]),
        ({"code": "update-unsigned"}, [4]),
        ({"since": 1_790_000_002}, [4, 3]),
        ({"zone": "example.", "since": 1_790_000_001}, [4, 2]),
    ],
)
async def test_the_latest_are_found_by_zone_key_code_and_time(conn, admin, wanted, found):
    await refusals.append(
        conn,
        [
            refused(at=1_790_000_000, zone="example.", key="k."),
            refused(at=1_790_000_001, zone="smith.example.", key="other."),
            refused(at=1_790_000_002, zone="notexample.", key="k."),
            refused(at=1_790_000_003, zone="example.", code="update-unsigned"),
        ],
    )

    assert [one.id for one in await refusals.latest(admin, **{"limit": 10, **wanted})] == found


async def test_the_ring_keeps_the_newest_and_forgets_the_old(conn, admin):
    await refusals.append(conn, [refused(at=1_000), *(refused(at=2_000) for _ in range(5))])

    assert await refusals.prune(conn, 100, 1_500) == 1
    assert await refusals.prune(conn, 3, 0) == 2
    assert [one.id for one in await refusals.latest(admin, 10)] == [6, 5, 4]
    assert await refusals.oldest(admin) == 4


@pytest.mark.parametrize("size", [100_000, 100_001])
async def test_a_ring_of_many_rows_is_pruned_by_its_numbers(owner, conn, size):
    await owner.execute(
        """
        INSERT INTO refusals (at, code, rcode, text, transport, source, verified, held, asked, size, untold)
        SELECT now(), 'x', 5, '', 'udp', '192.0.2.0/24', false, '{}', '{}', 0, 0 FROM generate_series(1, %s)
        """,
        (size,),
    )

    assert await refusals.prune(conn, 100_000, 0) == size - 100_000


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("ddns_server", "SELECT text FROM refusals"),
        ("ddns_server", "SELECT message FROM refusals"),
        ("ddns_server", "UPDATE refusals SET text = ''"),
        ("ddns_server", "TRUNCATE refusals"),
        ("ddns_admin", "DELETE FROM refusals"),
        ("ddns_admin", "UPDATE refusals SET text = ''"),
        ("zone_signer", "SELECT id FROM refusals"),
        ("zone_signer", "DELETE FROM refusals"),
    ],
)
async def test_a_role_does_no_more_with_the_journal_than_its_work(connected, role, statement):
    conn = await connected(role)

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await conn.execute(statement)


async def listed(admin, number):
    """Return the latest rows as soon as there are *number* of them."""
    async with asyncio.timeout(20):
        while len(found := await refusals.latest(admin, 1000)) < number:  # noqa: ASYNC110 - Postgres tells nobody
            await asyncio.sleep(0.02)
    return [one.refused for one in found]


async def test_who_signed_is_written_whole_and_without_secrets(journal, admin):
    cookie = wire.opt(1232, do=False, options=((10, b"cookie-8"), (2, bytes(8))))
    record, update = signed(craft.add("cam", 60, "A", "192.0.2.9"), craft.delete("b"), additional=[cookie])

    journal().record(REFUSED, ASKER, record, update, KEY, verified=True)

    (row,) = await listed(admin, 1)
    assert (row.code, row.rcode, row.text, row.transport) == ("name-not-granted", 5, "No, because.", "udp")
    assert (row.source, row.zone, row.key, row.kind) == ("192.0.2.0/24", "smith.example.", "k.example.", "tsig")
    assert (row.verified, row.credential, row.algorithm) == (True, 7, "hmac-sha256")
    assert row.asked == ("add cam.smith.example. A", "delete b.smith.example. of all types")
    assert row.held == ("subdomain smith.example. A",)
    assert row.digest == tsig.digest(record)
    assert b"cookie-8" not in row.message
    assert record.mac not in row.message
    assert parse(row.message).operations == update.operations


async def test_a_stranger_is_written_without_the_message(journal, admin):
    record, update = signed(craft.add("cam", 60, "A", "192.0.2.9"))

    journal().record(Answer(9, 18, "Who?", "tsig-key-unknown"), ASKER, record, update)

    (row,) = await listed(admin, 1)
    assert (row.key, row.zone, row.verified, row.credential) == ("k.example.", "smith.example.", False, None)
    assert (row.message, row.digest, row.asked, row.held, row.size) == (None, None, (), (), 0)


async def test_a_refusal_before_the_update_was_read_is_read_for_the_journal(journal, admin):
    record, _ = signed(craft.add("cam", 60, "A", "192.0.2.9"))

    journal().record(Answer(9, 18, "Late.", "tsig-time-wrong"), ASKER, record, None, KEY)

    (row,) = await listed(admin, 1)
    assert (row.zone, row.asked, row.verified) == ("smith.example.", ("add cam.smith.example. A",), False)


@pytest.mark.parametrize(
    "answer",
    [Answer(0), Answer(5, 18, "Again."), Answer(2, 14, "Away.", "database-away")],
    ids=["done", "said before", "outage"],
)
async def test_what_is_no_decision_is_not_noted(journal, admin, answer):
    record, update = signed(craft.add("cam", 60, "A", "192.0.2.9"))
    running = journal()

    running.record(answer, ASKER, record, update, KEY, verified=True)
    running.record(REFUSED, ASKER, record, update, KEY, verified=True)

    assert [row.code for row in await listed(admin, 1)] == ["name-not-granted"]


async def test_one_key_cannot_push_the_others_out(journal, admin):
    """The purse of a key is small, what it does not pay for is counted, and its neighbour has one of its own."""
    record, update = signed(craft.add("cam", 60, "A", "192.0.2.9"))
    running = journal()

    for _ in range(KEY_BURST + 30):
        running.record(REFUSED, ASKER, record, update, KEY, verified=True)
    other = Credential(8, KEY.name, "tsig", "hmac-sha256", secret=KEY.secret)
    running.record(REFUSED, ASKER, record, update, other, verified=True)

    rows = await listed(admin, KEY_BURST + 1)
    assert len(rows) == KEY_BURST + 1
    assert (rows[0].credential, rows[0].untold) == (8, 30)


async def test_strangers_are_sampled(journal, admin):
    running = journal(strangers=0.5)

    for _ in range(1000):
        running.record(Answer(5, 18, "Sign.", "update-unsigned"), ASKER)
    record, update = signed(craft.add("cam", 60, "A", "192.0.2.9"))
    running.record(REFUSED, ASKER, record, update, KEY, verified=True)

    rows = await listed(admin, 6)
    assert [row.code for row in rows].count("update-unsigned") == 5
    assert rows[0].untold == 995


async def test_what_does_not_fit_into_the_queue_is_counted(pool, admin):
    running = RefusalJournal(pool, lambda _name: 1, JournalBounds(strangers=1000), time.time)

    for _ in range(WAITING + 1):
        running.record(Answer(5, 18, "Sign.", "update-unsigned"), ASKER)
    running.start()
    await listed(admin, WAITING)
    running.record(Answer(5, 18, "Sign.", "update-unsigned"), ASKER)
    await running.close()

    rows = await listed(admin, WAITING + 1)
    assert len(rows) == WAITING + 1
    assert rows[0].untold == 1


async def test_a_journal_of_no_rows_writes_none(journal, admin):
    record, update = signed(craft.add("cam", 60, "A", "192.0.2.9"))
    running = journal(keep=0)

    running.record(REFUSED, ASKER, record, update, KEY, verified=True)
    await running.close()

    assert await refusals.latest(admin, 10) == []


async def test_an_outage_loses_rows_and_nothing_else(postgres, database, dsn_for, admin):
    """What could not be written is counted; the journal goes on when the database is back."""
    away = Pool("host=/nowhere", "ddns_server", 1)
    record, update = signed(craft.add("cam", 60, "A", "192.0.2.9"))
    running = RefusalJournal(away, lambda _name: 1, JournalBounds(), time.time)
    running.start()

    running.record(REFUSED, ASKER, record, update, KEY, verified=True)
    await asyncio.sleep(GATHER)
    await running.close()

    assert await refusals.latest(admin, 10) == []
    assert running._untold == 1


async def test_a_message_is_kept_up_to_its_bound_and_not_beyond():
    message = craft.message(craft.add("cam", 60, "A", "192.0.2.9"))

    assert kept(message, len(message)) == message
    assert kept(message, len(message) - 1) is None


async def test_of_a_message_everything_but_its_options_is_kept():
    opt = wire.opt(4096, do=True, options=((10, b"12345678"), (12, bytes(100)), (2, struct.pack("!I", 3600))))
    message = craft.message(craft.delete("a"), needs=[craft.exists("b")], additional=[opt])

    found = parse(kept(message, 4096))

    assert found.edns.options == ((2, struct.pack("!I", 3600)),)
    assert (found.operations, found.prerequisites) == (parse(message).operations, parse(message).prerequisites)


async def test_no_message_at_any_length_raises():
    message = craft.message(craft.add("cam", 60, "A", "192.0.2.9"), additional=[wire.opt(4096, do=True)])

    for size in range(len(message)):
        assert kept(message[:size], 4096) is None


@pytest.mark.parametrize(
    ("source", "net"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2345::1", "2001:db8:1:2300::/56"),
        ("fe80::1%eth0", "fe80::/56"),
    ],
)
async def test_a_source_is_kept_as_its_network(source, net):
    assert network(source) == net
