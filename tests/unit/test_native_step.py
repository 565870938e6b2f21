"""What a batch does to a zone is the same, whichever twin finds it out: steps, editions, and what they touch."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import need_native

from ddns.answer import image as images
from ddns.answer.image import ZoneImage
from ddns.answer.served import Served, _replaced, _serve, replaced
from ddns.answer.table import Table
from ddns.dns import names, twin
from ddns.dns.names import Name
from ddns.dns.records import RRset, SignedRRset, soa_serial
from ddns.signing.publish import changes_of, next_serial
from ddns.store.zones import Zone
from ddns.zone import plain
from ddns.zone.changes import ChangeSet, RRsetChange
from ddns.zone.edition import Edition
from ddns.zone.jobs import Node, SignJob
from ddns.zone.view import View

ORIGIN = names.from_text("a.test.")
OWNERS = [ORIGIN, *map(names.from_text, ("www.a.test.", "b.a.test.", "x.b.a.test."))]
APEX = 6
TYPES = (1, 2, 16, 28, 39)
NAMES = names.from_text("ns.a.test.") + names.from_text("host.a.test.")
ZONE = Zone(7, ORIGIN, "nsec3", 13, None, 0, 4, 9, home=False, suspended=False)


def soa(serial: int, ttl: int = 300, minimum: int = 60) -> RRset:
    return RRset(ORIGIN, APEX, ttl, (NAMES + serial.to_bytes(4, "big") + bytes(12) + minimum.to_bytes(4, "big"),))


def rrset(name: Name, rdtype: int, value: int, ttl: int = 60) -> RRset:
    return RRset(name, rdtype, ttl, (bytes([value]) * 4,))


SERIALS = st.sampled_from([0, 1, 8, 9, 10, 2**31, 2**31 + 8, 2**31 + 9, 2**31 + 10, 2**32 - 1])
SOAS = st.builds(soa, SERIALS, st.sampled_from([300, 300, 301]), st.sampled_from([60, 60, 61]))
# Of each name and type what is there before, and what some updates leave one after another; None: nothing.
VALUES = st.lists(st.sampled_from([None, 1, 2, 3]), min_size=1, max_size=3)
ZONES = st.fixed_dictionaries({(name, rdtype): VALUES for name in OWNERS for rdtype in TYPES})
FEW = st.dictionaries(st.sampled_from([(name, rdtype) for name in OWNERS for rdtype in TYPES]), VALUES, max_size=5)


def history(places, soas):
    """Return the RRsets before, and the changes of each update."""
    before = {name: (soas[0],) if name == ORIGIN else () for name in OWNERS}
    for (name, rdtype), values in places.items():
        if values[0] is not None:
            before[name] = (*before[name], rrset(name, rdtype, values[0]))
    steps = []
    for turn in range(2):
        changes = []
        for (name, rdtype), values in places.items():
            one, other = values[min(turn, len(values) - 1)], values[min(turn + 1, len(values) - 1)]
            if one != other:
                was, now = (None if value is None else rrset(name, rdtype, value) for value in (one, other))
                changes.append(RRsetChange(name, rdtype, was, now))
        one, other = soas[min(turn, len(soas) - 1)], soas[min(turn + 1, len(soas) - 1)]
        if one != other:
            changes.append(RRsetChange(ORIGIN, APEX, one, other))
        steps.append(ChangeSet(tuple(changes)))
    return before, steps


def moved(before, steps, move):
    view = View(before)
    for changes in steps:
        move(view, changes)
    return view


@settings(deadline=None)
@given(st.one_of(ZONES, FEW), st.lists(SOAS, min_size=1, max_size=3), SERIALS)
def test_a_view_moves_on_and_a_step_is_made_of_it_alike(places, soas, serial):
    """And the step asks the signer for what the whole job, told in few words, asks for."""
    before, steps = history(places, soas)
    view, pure = moved(before, steps, View.apply), moved(before, steps, View._apply)
    assert (view._now, view._changed) == (pure._now, pure._changed)
    assert list(view._changed) == list(pure._changed)
    changes = view.changes()

    found = plain.step(changes.changes, view._first, view._now, ORIGIN, serial)

    assert found == plain._step(changes.changes, view._first, view._now, ORIGIN, serial)
    nodes = [Node(name, view.was(name), view.get(name)) for name in OWNERS[1:] if view.was(name) != view.get(name)]
    fresh = next_serial(msgspec.structs.replace(ZONE, serial=serial), soas_at(view))
    numbered = [soa_like(one, fresh) if one.type == APEX else one for one in view.get(ORIGIN)]
    nodes.append(Node(ORIGIN, view.was(ORIGIN), tuple(numbered)))
    above = tuple((name, tuple(one.type for one in view.was(name))) for name in OWNERS[1:] if above_one(name, changes))
    job = plain.plain(SignJob(7, ORIGIN, "nsec3", 13, tuple(nodes), above))
    assert (found is None) == (job is None)
    if found is not None and job is not None:
        assert found[0] == fresh == soa_serial(found[1][-1].rdatas[0])
        assert set(found[1]) == set(job.rrsets)
        assert len(found[1]) == len(job.rrsets)
        assert {*changes_of(nodes).changes} >= {one for one in changes.changes if one.type != APEX}


def soas_at(view: View) -> RRset:
    return next(one for one in view.get(ORIGIN) if one.type == APEX)


def soa_like(one: RRset, serial: int) -> RRset:
    data = one.rdatas[0]
    return RRset(ORIGIN, APEX, one.ttl, (data[:-20] + serial.to_bytes(4, "big") + data[-16:],))


def above_one(name: Name, changes: ChangeSet) -> bool:
    return any(one.name != name and one.name.endswith(name) for one in changes.changes)


def test_they_run_where_they_were_built():
    need_native()
    changes = (RRsetChange(OWNERS[1], 1, rrset(OWNERS[1], 1, 1), rrset(OWNERS[1], 1, 2)),)
    before = {ORIGIN: (soa(9),), OWNERS[1]: (changes[0].before,)}
    now = dict(before)

    assert twin.move_on(now, {}, changes, RRsetChange) is True
    assert now[OWNERS[1]] == (changes[0].after,)
    assert twin.plain_step(changes, before, now, ORIGIN, 9, frozenset(), frozenset(), RRset) == (
        10,
        (changes[0].after, soa(10)),
    )
    node = (_serve(1, 60, (b"abcd",), (b"sig",)),)
    there = SignedRRset(OWNERS[1], 1, 60, (b"abcd",), (b"sig",))
    come = SignedRRset(OWNERS[1], 1, 60, (b"efgh",), (b"other",))
    assert twin.replaced(SignedRRset, {OWNERS[1]: node}, (come, there)) == (there, there)
    nodes = {OWNERS[1]: node}
    assert twin.replace(Served, nodes, (there,), (come,), frozenset()) == (2, ((OWNERS[1], 1),))
    assert nodes == {OWNERS[1]: (_serve(1, 60, (b"efgh",), (b"other",)),)}
    assert twin.signed_rrsets(SignedRRset, (changes[0].after,), ((b"sig",),)) == (
        SignedRRset(OWNERS[1], 1, 60, changes[0].after.rdatas, (b"sig",)),
    )
    question = OWNERS[1] + b"\0\1\0\1"
    for dicts in (({question: 1}, {}, {}, {}), ({}, {question: 1}, {}, {}), ({}, {}, {question: 1}, {}),
                  ({}, {}, {}, {OWNERS[1]: 1})):  # fmt: skip
        assert twin.asked(((OWNERS[1], 1), (OWNERS[1], 28)), *dicts)[:1] == [(OWNERS[1], question)]
    assert twin.asked(((OWNERS[1], 28),), {question: 1}, {}, {}, {}) == []


CHANGE = RRsetChange(OWNERS[1], 1, rrset(OWNERS[1], 1, 1), rrset(OWNERS[1], 1, 2))


@pytest.mark.parametrize(
    ("changes", "now"),
    [([CHANGE], {OWNERS[1]: ()}), ((CHANGE,), {}), ((CHANGE,), {OWNERS[1]: []}),
     ((CHANGE, RRsetChange("text", 1, None, None)), {OWNERS[1]: ()}),
     ((CHANGE, RRsetChange(OWNERS[2], 1, None, None)), {OWNERS[1]: ()})],
)  # fmt: skip
def test_a_view_that_cannot_move_on_natively_is_not_touched(changes, now):
    need_native()
    before, changed = dict(now), {}

    assert twin.move_on(now, changed, changes, RRsetChange) is None
    assert (now, changed) == (before, {})


@pytest.mark.parametrize(
    "odd",
    [
        {"origin": b"\1"},
        {"origin": OWNERS[1]},
        {"serial": -1},
        {"serial": 2**32},
        {"serial": 2**64},
        {"changes": [CHANGE]},
        {"changes": (RRsetChange(b"\5abc" + ORIGIN[:3], 1, CHANGE.before, CHANGE.after),)},
        {"changes": (RRsetChange(b"\77abc" + ORIGIN, 1, CHANGE.before, CHANGE.after),)},
        {"changes": (RRsetChange(b"\0" + ORIGIN, 1, CHANGE.before, CHANGE.after),)},
        {"changes": (RRsetChange(names.from_text("else.where."), 1, CHANGE.before, CHANGE.after),)},
        {"changes": (RRsetChange(b"", 1, CHANGE.before, CHANGE.after),)},
        {"now": {ORIGIN: ()}},
        {"now": {ORIGIN: (RRset(ORIGIN, APEX, 300, (b"\0\0" + bytes(19),)),)}},
        {"now": {ORIGIN: (RRset(ORIGIN, APEX, 300, ()),)}},
        {"before": {}},
    ],
)
def test_a_step_of_odd_values_is_left_to_python(odd):
    need_native()
    names_there = [
        OWNERS[1],
        b"\5abc" + ORIGIN[:3],
        b"\77abc" + ORIGIN,
        b"\0" + ORIGIN,
        names.from_text("else.where."),
        b"",
    ]
    before = {ORIGIN: (soa(9),), **dict.fromkeys(names_there, ())}
    args = {"changes": (CHANGE,), "before": before, "now": {ORIGIN: (soa(9),)}, "origin": ORIGIN, "serial": 9, **odd}

    assert twin.plain_step(*args.values(), frozenset(), frozenset(), RRset) is None


PLACES = st.tuples(st.sampled_from(OWNERS), st.sampled_from((*TYPES, 47, 50, 51)))
RRSETS = st.builds(
    lambda place, value, sigs: SignedRRset(*place, 60, (bytes([value]) * (1 + value),), (b"sig",) * sigs),
    PLACES,
    st.integers(0, 9),
    st.integers(0, 2),
)


def contents(image: ZoneImage):
    return image.nodes, image.octets, image.bends, image.ready, image.hashing, image.nsec and image.nsec._keys


@settings(deadline=None)
@given(st.lists(RRSETS, max_size=9), st.lists(RRSETS, max_size=4), st.booleans())
def test_an_edition_is_put_into_a_zone_alike(first, added, whole):
    """Whether it replaces what is there, or something comes, leaves or depends on more than its place."""
    start = {(one.name, one.type): one for one in first}
    start[ORIGIN, APEX] = SignedRRset(*msgspec.structs.astuple(soa(9)), (b"sig",))
    if whole:
        added = [SignedRRset(one.name, one.type, 61, one.rdatas, (b"new",)) for one in (*start.values(),)][:3]
    added = [one for one in {(one.name, one.type): one for one in added}.values() if one.type != 50]
    image, pure, table = (ZoneImage(1, ORIGIN, 1, start.values()) for _ in range(3))
    came = tuple(added)
    gone = replaced(image.nodes, came)
    assert gone == _replaced(image.nodes, came)
    step = Edition(1, 2, 9, 10, gone, came)

    found = image.patch(step)

    touched, bent = pure._patch(step)
    assert (set(found.touched), found.bent) == (set(touched), bent)
    assert contents(image) == contents(pure)
    assert image.edition == 2
    held = Table()
    held.install(table)
    question = OWNERS[1] + b"\0\1\0\1"
    held._signed[question] = (b"", b"")
    held._by_zone[1] = {question}
    assert held.patch(step)
    assert (question in held._signed) == ((OWNERS[1], 1) not in found.touched and not bent)


def test_what_is_remembered_of_an_edition_goes_with_it():
    image = ZoneImage(1, ORIGIN, 1, [SignedRRset(*msgspec.structs.astuple(soa(9)))])
    mark = image.remembered.mark
    for number in (2, 3):
        there = (SignedRRset(*msgspec.structs.astuple(soa(9))),)
        image.patch(Edition(1, number, 9, 9, there, there))
    assert image.remembered.mark is not mark


GONE = SignedRRset(ORIGIN, 1, 60, ())
COME = SignedRRset(ORIGIN, 1, 60, (b"a",))
THERE = {ORIGIN: (_serve(1, 60, (b"b",), ()),)}


@pytest.mark.parametrize(
    ("removed", "added", "nodes"),
    [
        ((), (COME,), THERE),
        ((GONE,), (COME,), {}),
        ((GONE,), (COME,), {ORIGIN: ()}),
        ((GONE,), (COME,), {ORIGIN: [0]}),
        ((GONE,), (COME,), {ORIGIN: 2 * THERE[ORIGIN]}),
        ((SignedRRset(ORIGIN, 28, 60, ()),), (COME,), THERE),
        ((SignedRRset(b"\0", 1, 60, ()),), (COME,), THERE),
        ((GONE,), (SignedRRset(ORIGIN, 1, 60, ()),), THERE),
        (
            (SignedRRset(ORIGIN, 2, 60, ()),),
            (SignedRRset(ORIGIN, 2, 60, (b"",)),),
            {ORIGIN: (_serve(2, 60, (b"",), ()),)},
        ),
        ([], [], {}),
    ],
)
def test_an_edition_that_replaces_something_else_is_left_to_python(removed, added, nodes):
    need_native()
    before = dict(nodes)

    assert twin.replace(Served, nodes, removed, added, images._SPECIAL) is None
    assert nodes == before


@pytest.mark.parametrize(
    "places", [[], ((ORIGIN,),), ((ORIGIN, -1),), ((ORIGIN, 65536),), (("text", 1),), ((ORIGIN, "A"),)]
)
def test_places_that_are_none_are_left_to_python(places):
    need_native()

    assert twin.asked(places, {}, {}, {}, {}) is None


@pytest.mark.parametrize("sigs", [(), ((b"one",), (b"two",)), [(b"one",)]])
def test_signatures_of_something_else_are_left_to_python(sigs):
    need_native()

    assert twin.signed_rrsets(SignedRRset, (soa(9),), sigs) is None
