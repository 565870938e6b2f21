"""What servers answer with, against a real Postgres."""

from __future__ import annotations

import psycopg
import pytest
from rows import a, n, signed, txt

from ddns.dns.records import SignedRRset
from ddns.store import copying, published, zones


async def two_zones(conn):
    return await zones.insert_all(conn, [(n("a."), "none", 13, None), (n("b."), "none", 13, None)])


async def test_a_publication_replaces_and_drops_in_several_zones(conn):
    one, other = await two_zones(conn)
    rows = [(one, a("x.a.", 1)), (one, a("y.a.", 1)), (other, a("b.", 1))]
    await published.fill_all(conn, [(zone, signed(rrset)) for zone, rrset in rows])

    await published.publish(
        conn,
        [(one, signed(a("x.a.", 2, 3), b"one", b"two")), (other, SignedRRset(n("z.b."), 2, 5, (n("ns.b."),)))],
        [(one, n("y.a."), 1), (other, n("b."), 1), (other, n("nothing.b."), 1)],
    )

    assert await published.read_zone(conn, one) == [signed(a("x.a.", 2, 3), b"one", b"two")]
    assert await published.read_zone(conn, other) == [SignedRRset(n("z.b."), 2, 5, (n("ns.b."),), ())]


async def test_what_is_both_dropped_and_published_is_published(conn):
    one, _ = await two_zones(conn)

    await published.publish(conn, [(one, signed(a("x.a.", 1)))], [(one, n("x.a."), 1)])

    assert await published.read_zone(conn, one) == [signed(a("x.a.", 1))]


async def test_names_and_zones_are_read_at_once(conn):
    one, other = await two_zones(conn)
    rows = [(one, signed(a("x.a.", 1))), (one, signed(txt("x.a.", b"t"))), (other, signed(a("x.b.", 1)))]
    await published.fill_all(conn, rows)

    assert await published.read_names(conn, [(one, n("x.a.")), (other, n("y.b."))]) == {
        (one, n("x.a.")): (rows[0][1], rows[1][1])
    }
    assert await published.read_zones(conn, [other, one, other + 1]) == {
        one: [rows[0][1], rows[1][1]],
        other: [rows[2][1]],
    }
    assert await published.read_names(conn, []) == {}


async def test_pages_hold_whole_names_and_together_the_whole_zone(conn):
    one, _ = await two_zones(conn)
    rows = [signed(rrset) for number in range(10) for rrset in (a(f"{number}.a.", 1), txt(f"{number}.a.", b"t"))]
    await published.fill(conn, one, rows)

    pages, after = [], None
    while page := await published.read_page(conn, one, after, 3):
        pages.append(page)
        after = page[-1].name

    assert [len(page) for page in pages] == [4, 4, 4, 4, 4]
    assert [rrset for page in pages for rrset in page] == rows


async def test_a_signature_is_no_row_of_its_own(conn):
    one, _ = await two_zones(conn)

    with pytest.raises(psycopg.errors.CheckViolation, match="published_rrset_with_impossible_type"):
        await published.publish(conn, [(one, SignedRRset(n("a."), 46, 60, (b"sig",)))], [])


async def test_a_large_publication_is_written_in_parts(conn, monkeypatch):
    monkeypatch.setattr(published, "STATEMENT_ROWS", 7)
    monkeypatch.setattr(copying, "AT_ONCE", 7)
    one, other = await two_zones(conn)
    rows = [signed(a(f"{number:03}.a.", 1)) for number in range(40)]

    await published.publish(conn, [(one, row) for row in rows], [])
    await published.fill(conn, other, rows)
    await published.publish(conn, [], [(other, row.name, row.type) for row in rows[1:]])

    assert await published.read_zone(conn, one) == rows
    assert await published.read_zone(conn, other) == rows[:1]
    await published.clear(conn, one)
    assert await published.read_zone(conn, one) == []
