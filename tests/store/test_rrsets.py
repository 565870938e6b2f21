"""Records as clients wrote them, against a real Postgres."""

from __future__ import annotations

import random

import psycopg
import pytest
from rows import a, n, txt

from ddns.dns import names
from ddns.dns.records import RRset
from ddns.store import copying, rrsets, zones
from ddns.zone.changes import ChangeSet, RRsetChange


async def two_zones(conn):
    return await zones.insert_all(conn, [(n("a."), "none", 13, None), (n("b."), "none", 13, None)])


def put(rrset):
    return RRsetChange(rrset.name, rrset.type, None, rrset)


def drop(rrset):
    return RRsetChange(rrset.name, rrset.type, rrset, None)


async def test_names_of_several_zones_are_read_at_once(conn):
    one, other = await two_zones(conn)
    await rrsets.fill_all(
        conn, [(one, a("x.a.", 1, 2)), (one, txt("x.a.", b"hello", b"")), (one, a("y.a.", 3)), (other, a("x.b.", 4))]
    )

    found = await rrsets.read_names(
        conn, [(one, n("x.a.")), (other, n("x.b.")), (other, n("y.b.")), (one, n("x.a.")), (other, n("x.a."))]
    )

    assert found == {
        (one, n("x.a.")): (a("x.a.", 1, 2), txt("x.a.", b"hello", b"")),
        (other, n("x.b.")): (a("x.b.", 4),),
    }
    assert await rrsets.read_names(conn, []) == {}


async def test_a_batch_changes_several_zones_at_once(conn):
    one, other = await two_zones(conn)
    await rrsets.fill_all(conn, [(one, a("x.a.", 1)), (one, a("y.a.", 2)), (other, a("x.b.", 3))])

    await rrsets.apply(
        conn,
        [
            (one, ChangeSet((put(a("x.a.", 9, ttl=5)), drop(a("y.a.", 2)), put(txt("z.a.", b"new"))))),
            (other, ChangeSet((drop(a("x.b.", 3)), drop(a("none.b.", 1))))),
        ],
    )

    assert await rrsets.read_zone(conn, one) == [a("x.a.", 9, ttl=5), txt("z.a.", b"new")]
    assert await rrsets.read_zone(conn, other) == []


async def test_of_several_changes_of_one_rrset_the_last_one_holds(conn):
    one, _ = await two_zones(conn)

    await rrsets.apply(
        conn,
        [
            (one, ChangeSet((put(a("x.a.", 1)), put(a("y.a.", 1))))),
            (one, ChangeSet((put(a("x.a.", 2)), drop(a("y.a.", 1))))),
        ],
    )

    assert await rrsets.read_zone(conn, one) == [a("x.a.", 2)]


async def test_any_octets_come_back_as_they_went_in(conn):
    """RDATA and labels of every octet, empty RDATA, long and many records."""
    one, _ = await two_zones(conn)
    rng = random.Random(1)
    label = bytes(range(63))
    wanted = [
        RRset.of(names.prepend(label, n("a.")), 65534, 0, [b"", bytes(range(256)), b'"\\{},', b"NULL"]),
        RRset.of(names.prepend(bytes(range(193, 256)), n("a.")), 1, 2**31 - 1, [rng.randbytes(4) for _ in range(300)]),
        RRset.of(n("a."), 16, 1, [rng.randbytes(65535)]),
    ]
    wanted.sort(key=lambda rrset: names.order_key(rrset.name))

    await rrsets.apply(conn, [(one, ChangeSet(tuple(put(rrset) for rrset in wanted)))])
    written = await rrsets.read_zone(conn, one)
    await rrsets.clear(conn, one)
    await rrsets.fill(conn, one, wanted)

    assert written == wanted
    assert await rrsets.read_zone(conn, one) == wanted


async def test_a_zone_is_read_in_canonical_order(conn):
    """RFC 4034 §6.1's own example."""
    example = ["example.", "a.example.", "yljkjljk.a.example.", "Z.a.example.", "zABC.a.EXAMPLE.", "z.example.",
               "\\001.z.example.", "*.z.example.", "\\200.z.example."]  # fmt: skip
    one, _ = await two_zones(conn)
    wanted = [a(name, 1) for name in example]
    await rrsets.fill(conn, one, random.Random(2).sample(wanted, len(wanted)))

    async with conn.transaction():
        streamed = [rrset async for rrset in rrsets.stream(conn, one)]

    assert await rrsets.read_zone(conn, one) == wanted
    assert streamed == wanted


async def test_large_changes_are_written_in_parts(conn, monkeypatch):
    monkeypatch.setattr(rrsets, "STATEMENT_ROWS", 7)
    monkeypatch.setattr(copying, "AT_ONCE", 7)
    monkeypatch.setattr(rrsets, "STREAM_ROWS", 7)
    one, _ = await two_zones(conn)
    wanted = [a(f"{number:03}.a.", 1) for number in range(50)]

    assert await rrsets.fill(conn, one, wanted) == 50
    async with conn.transaction():
        assert [rrset async for rrset in rrsets.stream(conn, one)] == wanted
    await rrsets.apply(conn, [(one, ChangeSet(tuple(drop(rrset) for rrset in wanted[:-1])))])
    assert await rrsets.read_zone(conn, one) == wanted[-1:]
    await rrsets.apply(conn, [(one, ChangeSet(tuple(put(rrset) for rrset in wanted)))])
    assert await rrsets.read_zone(conn, one) == wanted


async def test_descendants_are_those_strictly_below_in_the_same_zone(conn):
    one, other = await two_zones(conn)
    await rrsets.fill(conn, one, [a("x.y.a.", 1), a("leaf.a.", 1), a("leafy.a.", 1)])
    await rrsets.fill(conn, other, [a("x.leaf.a.", 1)])
    asked = [(one, n(name)) for name in ("a.", "y.a.", "x.y.a.", "leaf.a.", "lea.a.")] + [(other, n("."))]

    assert await rrsets.has_descendants(conn, asked) == {(one, n("a.")), (one, n("y.a.")), (other, n("."))}
    assert await rrsets.has_descendants(conn, []) == set()


@pytest.mark.parametrize(
    ("rrset", "constraint"),
    [
        (RRset(n("a."), 1, 60, ()), "rrset_without_records"),
        (RRset(n("a."), 0, 60, (b"x",)), "rrset_with_impossible_type"),
        (RRset(n("a."), 65536, 60, (b"x",)), "rrset_with_impossible_type"),
        (RRset(n("a."), 1, -1, (b"x",)), "rrset_with_negative_ttl"),
    ],
)
async def test_what_cannot_be_is_not_stored(conn, rrset, constraint):
    one, _ = await two_zones(conn)

    with pytest.raises(psycopg.errors.CheckViolation, match=constraint):
        await rrsets.apply(conn, [(one, ChangeSet((put(rrset),)))])


async def test_everything_of_a_batch_works_in_one_pipeline(conn):
    one, _ = await two_zones(conn)

    async with conn.pipeline(), conn.transaction():
        await zones.lock(conn, [one])
        assert await rrsets.read_names(conn, [(one, n("x.a."))]) == {}
        await rrsets.apply(conn, [(one, ChangeSet((put(a("x.a.", 1)),)))])
        assert await rrsets.read_names(conn, [(one, n("x.a."))]) == {(one, n("x.a.")): (a("x.a.", 1),)}
        assert await rrsets.has_descendants(conn, [(one, n("a."))]) == {(one, n("a."))}

    assert await rrsets.read_zone(conn, one) == [a("x.a.", 1)]
