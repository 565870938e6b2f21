"""Journal, editions and answered requests, against a real Postgres."""

from __future__ import annotations

import time

import psycopg
import pytest
from rows import a, n, signed

from ddns.store import editions, journal, requests, zones
from ddns.store.journal import Entry
from ddns.store.requests import Stored
from ddns.zone.changes import ChangeSet, RRsetChange
from ddns.zone.edition import Edition

CHANGE = ChangeSet((RRsetChange(n("x.a."), 1, None, a("x.a.", 1)),))


async def test_the_journal_tells_who_changed_what_and_when(conn, admin):
    first = Entry(7, 1, "sig0:x.a.", 3, b"digest", CHANGE)
    second = Entry(7, 2, "service", None, None, ChangeSet())

    await journal.append(conn, [first, second, Entry(8, 1, "service", None, b"d", CHANGE)])

    found = await journal.since(admin, 7, 0, 10)
    assert [(one.seq, one.principal, one.credential, one.digest, one.change) for one in found] == [
        (1, "sig0:x.a.", 3, b"digest", CHANGE),
        (2, "service", None, None, ChangeSet()),
    ]
    assert abs(found[0].at - time.time()) < 60
    assert [one.seq for one in await journal.since(admin, 7, 1, 10)] == [2]


async def test_a_place_in_the_journal_is_taken_once(conn):
    await journal.append(conn, [Entry(7, 1, "service", None, None, CHANGE)])

    with pytest.raises(psycopg.errors.UniqueViolation, match="journal_entry_twice"):
        await journal.append(conn, [Entry(7, 1, "service", None, None, CHANGE)])


@pytest.mark.parametrize("statement", ["UPDATE journal SET principal = 'x'", "DELETE FROM journal", "TRUNCATE journal"])
async def test_not_even_the_owner_rewrites_the_journal(owner, statement):
    await journal.append(owner, [Entry(7, 1, "service", None, None, CHANGE)])

    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        await owner.execute(statement)


async def test_the_journal_outlives_its_zone(conn, admin):
    zone = await zones.insert(conn, n("a."), "none", 13)
    await journal.append(conn, [Entry(zone, 1, "service", None, None, CHANGE)])
    await editions.append(conn, [Edition(zone, 1, 1, 1, (), (signed(a("x.a.", 1)),))])

    await zones.remove(admin, zone)

    assert len(await journal.since(admin, zone, 0, 10)) == 1
    assert await editions.since(conn, zone, 0, 10) == []


async def test_editions_come_back_in_order_and_in_slices(conn):
    wanted = [Edition(7, number, number, number + 1, (), (signed(a("x.a.", number)),)) for number in (1, 2, 3)]

    await editions.append(conn, [wanted[1], wanted[0], Edition(8, 1, 1, 1, (), ()), wanted[2]])

    assert await editions.since(conn, 7, 0, 10) == wanted
    assert await editions.since(conn, 7, 1, 1) == wanted[1:2]
    assert await editions.since(conn, 7, 3, 10) == []


async def test_only_the_last_editions_of_each_zone_are_kept(conn, connected):
    one, other = await zones.insert_all(conn, [(n("a."), "none", 13, None), (n("b."), "none", 13, None)])
    await editions.append(conn, [Edition(one, number, 1, 1, (), ()) for number in (1, 2, 3)])
    await editions.append(conn, [Edition(other, 1, 1, 1, (), ())])
    await zones.advance(conn, [(one, 3, 3, 1), (other, 1, 1, 1)])

    assert await editions.prune(await connected("zone_signer"), 2) == 1

    assert [edition.number for edition in await editions.since(conn, one, 0, 10)] == [2, 3]
    assert [edition.number for edition in await editions.since(conn, other, 0, 10)] == [1]


async def test_the_first_answer_to_a_request_stays_until_it_has_surely_expired(conn):
    """The database's clock decides, with room for a worker whose clock is behind."""
    refused = Stored(5, 18, "No: ü.")
    now = int(time.time())
    kept, gone = now - requests.SKEW + 60, now - requests.SKEW - 60
    await requests.remember(conn, [(b"one", Stored(0, 0, "", b"\0\0\0\x1e"), gone), (b"two", refused, kept)])
    await requests.remember(conn, [(b"one", Stored(5, 0, "other"), kept)])

    assert await requests.known(conn, [(b"one", gone), (b"two", kept), (b"three", kept)]) == {
        b"one": Stored(0, 0, "", b"\0\0\0\x1e"),
        b"two": refused,
    }
    assert await requests.prune(conn) == 1
    assert await requests.known(conn, [(b"one", gone), (b"two", kept)]) == {
        b"one": None,
        b"two": refused,
    }
    assert await requests.known(conn, []) == {}
