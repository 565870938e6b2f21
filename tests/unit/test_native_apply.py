"""What an update changes is the same, whichever twin finds it out: changes, their order, and refusals."""

from __future__ import annotations

import craft
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twins import need_native

from ddns.dns import twin
from ddns.dns.records import RRset
from ddns.zone import update as updates
from ddns.zone.changes import RRsetChange
from ddns.zone.limits import DEFAULT, Limits
from ddns.zone.request import Operation, Update
from ddns.zone.view import View

WWW, OTHER = craft.name("www"), craft.name("other")
FEW = Limits(records_per_rrset=2, octets_per_rrset=9, types_per_name=2)
PLAIN = [1, 16, 25, 28, 52]
DATA = [b"\0\0\0\1", b"\0\0\0\2", b"\0\0\0\3", b"\0\0\0\2\1"]

types = st.sampled_from([*PLAIN, *PLAIN, 5, 15, 47])
operations = st.lists(
    st.builds(
        Operation,
        st.sampled_from([WWW, WWW, WWW, WWW, WWW, OTHER, craft.ORIGIN]),
        st.one_of(types, st.just(255)),
        st.sampled_from([craft.IN, craft.IN, craft.ANY, craft.NONE]),
        st.sampled_from([0, 60]),
        st.sampled_from(DATA),
    ),
    max_size=8,
)
rrsets = st.builds(
    lambda rdtype, ttl, rdatas: RRset.of(WWW, rdtype, ttl, rdatas),
    types,
    st.sampled_from([0, 60]),
    st.lists(st.sampled_from(DATA), min_size=1, max_size=3),
)
nodes = st.lists(rrsets, max_size=5, unique_by=lambda one: one.type).map(tuple)


def update(asked):
    return Update(1, 0, craft.ORIGIN, 12, (), tuple(asked), (), ())


def natively(asked, before, limits=DEFAULT):
    """Return what the native twin says."""
    numbers = limits.types_per_name, limits.records_per_rrset, limits.octets_per_rrset
    return twin.apply(tuple(asked), before, craft.ORIGIN, RRset, RRsetChange, *numbers)


@given(operations, nodes, st.sampled_from([DEFAULT, FEW]), st.booleans())
def test_an_update_changes_the_same(asked, before, limits, signed):
    view = View({WWW: before, OTHER: before[:1], craft.ORIGIN: ()})

    found = updates.apply(update(asked), view, signed=signed, limits=limits)

    assert found == updates._apply(update(asked), view, signed=signed, limits=limits)


ADD, REMOVE, CLEAR = craft.IN, craft.NONE, craft.ANY


def test_addresses_are_replaced_natively():
    need_native()
    before = (RRset(WWW, 1, 300, (b"\0\0\0\1",)), RRset(WWW, 16, 300, (b"\1a",)))
    asked = [
        Operation(WWW, 1, CLEAR),
        Operation(WWW, 28, CLEAR),
        Operation(WWW, 1, ADD, 60, b"\0\0\0\2"),
        Operation(WWW, 28, ADD, 60, bytes(16)),
        Operation(WWW, 1, ADD, 60, b"\0\0\0\1"),
        Operation(WWW, 16, REMOVE, 0, b"\1a"),
    ]

    assert natively(asked, before) == (
        RRsetChange(WWW, 1, before[0], RRset(WWW, 1, 60, (b"\0\0\0\1", b"\0\0\0\2"))),
        RRsetChange(WWW, 16, before[1], None),
        RRsetChange(WWW, 28, None, RRset(WWW, 28, 60, (bytes(16),))),
    )


@pytest.mark.parametrize(
    "asked",
    [[], [Operation(WWW, 5, ADD, 60, b"\0")], [Operation(WWW, 255, CLEAR)], [Operation(craft.ORIGIN, 1, CLEAR)],
     [Operation(WWW, 1, CLEAR), Operation(OTHER, 1, CLEAR)], [Operation(WWW, 1, 3)],
     [Operation(WWW, 1, ADD, 0, "text")],
     [Operation(WWW, 1, CLEAR)] * 65],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_python(asked):
    need_native()

    assert natively(asked, (RRset(WWW, 1, 300, (b"\0\0\0\1",)),)) is None


@pytest.mark.parametrize(
    "before",
    [(RRset(WWW, 5, 300, (b"\0",)),), (RRset(WWW, 1, 300, (b"\0",)), RRset(WWW, 1, 300, (b"\0",))),
     tuple(RRset(WWW, 1000 + index, 300, (b"\0",)) for index in range(33)), (RRset(WWW, 1, 300, [b"\0"]),),
     (RRset(WWW, 1, 300, ("text",)),)],
)  # fmt: skip
def test_a_name_that_is_not_plain_is_left_to_python(before):
    need_native()

    assert natively([Operation(WWW, 1, ADD, 60, b"\0\0\0\2")], before) is None


@pytest.mark.parametrize("left", range(2))
def test_what_is_too_much_is_left_to_python(left):
    need_native()
    before = (RRset(WWW, 1, 300, (b"\0\0\0\1",)),)
    more = [Operation(WWW, 1, ADD, 60, b"\0\0\0\2")]

    assert (natively(more, before, Limits(records_per_rrset=1 + left)) is not None) == bool(left)
    assert (natively(more, before, Limits(octets_per_rrset=7 + left)) is not None) == bool(left)
    other = [Operation(WWW, 28, ADD, 60, bytes(16))]
    assert (natively(other, before, Limits(types_per_name=1 + left)) is not None) == bool(left)
