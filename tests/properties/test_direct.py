"""What is read straight out of a zone's packed octets is what the responder says, by both twins, or nothing."""

from __future__ import annotations

import pytest
from asking import Asker, query
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import Both
from windows import SOA, home

from ddns.answer import direct, packed
from ddns.answer.image import ZoneImage
from ddns.answer.table import Table
from ddns.dns import names
from ddns.dns.codes import EdnsOption, Type
from ddns.dns.records import SignedRRset
from ddns.zone.edition import Edition

ORIGIN = names.from_text("h1.homes.test.")
OWNERS = [names.from_text(f"{label}h1.homes.test.") for label in ("", "cam.", "_443._tcp.cam.", "*.", "a.b.", "b.")]
ODD = b"\3a\0b" + ORIGIN
ASKED = [*OWNERS, ODD, names.from_text("x.h1.homes.test."), names.from_text("x.cam.h1.homes.test.")]
PLAIN = sorted(direct.TYPES)
TARGET = names.from_text("cam.h1.homes.test.")
ELSEWHERE = names.from_text("b.h1.homes.test.")
SINGLE = {Type.CNAME: TARGET, Type.DNAME: ELSEWHERE, Type.NS: TARGET, Type.MX: b"\0\1" + TARGET}

octets = st.binary(min_size=1, max_size=70)
sigs = st.lists(st.binary(min_size=20, max_size=120), max_size=2).map(tuple)


@st.composite
def zones(draw):
    """Draw a zone's RRsets: most are plain, some lead elsewhere."""
    found = {}
    if draw(st.integers(0, 9)):
        found[ORIGIN, Type.SOA] = SignedRRset(ORIGIN, Type.SOA, 300, (SOA,), draw(sigs))
        found[ORIGIN, Type.NS] = SignedRRset(ORIGIN, Type.NS, 300, (names.from_text("ns.test."),), draw(sigs))
    for owner in draw(st.lists(st.sampled_from([*OWNERS, ODD]), max_size=6)):
        rdtype = draw(st.sampled_from(PLAIN))
        rdatas = tuple(sorted(set(draw(st.lists(octets, min_size=1, max_size=12)))))
        found[owner, rdtype] = SignedRRset(owner, rdtype, draw(st.integers(0, 2**31 - 1)), rdatas, draw(sigs))
    if not draw(st.integers(0, 4)):
        owner, rdtype = draw(st.sampled_from(OWNERS)), draw(st.sampled_from(sorted(SINGLE)))
        found[owner, rdtype] = SignedRRset(owner, rdtype, 300, (SINGLE[rdtype],), draw(sigs))
    return list(found.values())


def image(rrsets, edition=1):
    return ZoneImage(1, ORIGIN, edition, b"".join(packed.pack(one, names.order_key(one.name)) for one in rrsets))


@settings(max_examples=60, deadline=None)
@given(zones(), st.data())
def test_both_twins_say_what_the_responder_says(rrsets, data):
    for _ in range(12):
        name = names.to_text(data.draw(st.sampled_from(ASKED)))
        rdtype = Type(data.draw(st.sampled_from([*PLAIN, Type.MX, Type.DS, Type.SOA, Type.ANY]))).name
        form = data.draw(st.sampled_from([{"edns": False}, {"do": False}, {"do": True}, {"do": True, "payload": 512}]))
        asker = Asker(image(rrsets))
        asker.wire(query("homes.test.", **form))  # from now on this OPT record is known
        asker.wire(query(name, rdtype, **form))


@settings(max_examples=60, deadline=None)
@given(zones(), st.data())
def test_damaged_octets_are_left_to_others(rrsets, data):
    whole = b"".join(packed.pack(one, names.order_key(one.name)) for one in rrsets)
    at = data.draw(st.integers(0, max(len(whole) - 1, 0)))
    damaged = whole[:at] + data.draw(st.binary(max_size=4)) + whole[at + data.draw(st.integers(0, 4)) :]
    table = Table()
    table.install(ZoneImage(1, ORIGIN, 1, damaged))
    table.opt(query("homes.test.", do=True)[-11:])
    native = Both(table)._native
    for name in ASKED if native else ():
        try:
            native(query(names.to_text(name), "A", do=True))
        except Exception:  # noqa: BLE001 - Python may say what it cannot read; nothing else may happen
            continue


def table_of(**options):
    table = Table(**options)
    apex, rrsets = home(1)
    table.install(ZoneImage(1, apex, 1, b"".join(packed.pack(one, names.order_key(one.name)) for one in rrsets)))
    table.opt(query("homes.test.", do=True)[-11:])
    return table


@pytest.mark.parametrize("edns", [True, False])
def test_a_home_that_was_only_loaded_is_answered_for_and_nothing_is_unpacked_or_remembered(edns):
    table = table_of()
    before = table.shelf.octets

    assert Both(table).lookup(query("h000001.homes.test.", edns=edns, do=edns)) is not None

    assert (len(table), table.shelf.octets) == (0, before)
    assert not has(table.image(1), "_chained")


def has(one, name):
    """Tell whether *one* has unpacked what *name* says."""
    try:
        object.__getattribute__(one, name)
    except AttributeError:
        return False
    return True


def test_octets_that_an_edition_has_changed_are_not_read_any_more():
    table = table_of()
    question = query("h000001.homes.test.", do=True)
    before = SignedRRset(home(1)[0], Type.A, 300, (b"\xc0\0\2\1",))
    after = SignedRRset(home(1)[0], Type.A, 300, (b"\xc0\0\2\2",))
    assert b"\xc0\0\2\1" in Both(table).lookup(question)

    table.patch(Edition(1, 2, 1, 2, (before,), (after,)))

    assert Both(table).lookup(question) is None
    asker = Asker(table=table)
    assert b"\xc0\0\2\2" in asker.wire(question)


def test_while_not_all_zones_are_known_a_zone_does_not_answer_for_one_below_it():
    table = Table()
    table.is_complete = False
    apex, rrsets = home(1)
    table.install(ZoneImage(1, apex, 1, b"".join(packed.pack(one, names.order_key(one.name)) for one in rrsets)))
    table.opt(query("homes.test.", do=True)[-11:])

    assert Both(table).lookup(query("h000001.homes.test.", do=True)) is None


def test_a_zone_with_the_agent_that_hears_of_errors_does_not_name_it():
    agent = names.from_text("errors.h000001.homes.test.")
    table = table_of(options=((EdnsOption.REPORT_CHANNEL, agent),))

    assert Both(table).lookup(query("h000001.homes.test.", do=True)) is None
    assert Both(table).lookup(query("h000001.homes.test.", edns=False)) is None
