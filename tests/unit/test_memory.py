"""What a worker holds in memory is bounded, and what goes from there is not missed by anybody who asks."""

import pytest
from asking import UDP, query
from twins import Both
from windows import PARENT, Source, answer, home, registry

from ddns.answer import packed
from ddns.answer.compile import NeedZone
from ddns.answer.image import ZoneImage
from ddns.answer.responder import Responder
from ddns.answer.served import rdatas
from ddns.answer.table import Table
from ddns.answer.window import Window
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.records import SignedRRset
from ddns.zone.edition import Edition


def image(number, edition=1, address=b"\xc0\0\2\1"):
    """Return the image of a home as the database sends it."""
    apex, rrsets = home(number, address)
    return ZoneImage(number, apex, edition, b"".join(packed.pack(one, names.order_key(one.name)) for one in rrsets))


def ask(table, number):
    return Responder(table).respond(query(names.to_text(home(number)[0]), do=True), UDP)


def change(number, edition, before, after):
    apex, _ = home(number)
    old, new = (SignedRRset(apex, Type.A, 300, (address,)) for address in (before, after))
    return Edition(number, edition, 1, 2, (old,), (new,))


def test_zones_in_memory_stay_below_the_bound():
    table = Table(memory=400_000)
    for number in range(1, 500):
        table.install(image(number))
        assert table.shelf.octets <= 200_000
        assert table.image(number) is not None  # what came last is there for who asked for it

    held = [number for number in range(1, 500) if table.image(number) is not None]

    assert len(held) == len(table.editions()) > 20
    assert sum(table.image(number).octets for number in held) == table.shelf.octets
    assert all(table.has(number) for number in range(1, 500))


def test_a_zone_that_was_asked_for_outlives_those_that_were_not():
    table = Table(memory=400_000)
    table.install(image(1))
    for number in range(2, 2000):
        table.image(1).find(home(1)[0])
        table.install(image(number))

    assert table.image(1) is not None
    assert table.image(2) is None


def test_what_is_unpacked_counts():
    table = Table(memory=400_000)
    table.install(image(1))
    before = table.shelf.octets

    ask(table, 1)

    assert table.shelf.octets == table.image(1).octets > before


def test_answers_outlive_their_zone_until_its_next_edition():
    table = Table(memory=400_000)
    table.install(image(1))
    said = ask(table, 1)
    asked = query(names.to_text(home(1)[0]), do=True)
    for number in range(2, 500):
        table.install(image(number))
    assert table.image(1) is None

    assert table.lookup(asked) == said
    assert table.edition(1) == 1
    assert (1, 1) in table.editions()
    assert table.patch(change(1, 2, b"\xc0\0\2\1", b"\xc0\0\2\2"))

    assert table.lookup(asked) is None
    assert isinstance(ask(table, 1), NeedZone)
    assert table.edition(1) is None


def test_answers_of_a_zone_that_comes_back_unchanged_stay_and_those_of_another_edition_go():
    for edition, stays in ((1, True), (2, False)):
        table = Table(memory=400_000)
        table.install(image(1))
        said = ask(table, 1)
        for number in range(2, 500):
            table.install(image(number))

        address = b"\xc0\0\2\1" if stays else b"\xc0\0\2\2"
        table.install(image(1, edition, address))

        assert len(table) == (1 if stays else 0)
        known = table.lookup(query(names.to_text(home(1)[0]), do=True))
        assert known == said.replace(b"\xc0\0\2\1", address)
        assert (ask(table, 1) == said) is stays


def test_a_zone_that_is_forgotten_takes_the_answers_that_outlived_it_along():
    table = Table(memory=400_000)
    table.install(image(1))
    ask(table, 1)
    for number in range(2, 500):
        table.install(image(number))

    table.forget(1)

    assert table.lookup(query(names.to_text(home(1)[0]), do=True)) is None
    assert table.editions() == [(zone, 1) for zone in table.zone_ids() if table.image(zone) is not None]


def test_an_answer_whose_zone_had_to_go_for_it_is_forgotten_with_the_next_edition():
    """Both zones were asked for just now, and there is room for one that is unpacked, and for part of another."""
    sizes = Table()
    sizes.install(image(1))
    packed_size = sizes.shelf.octets
    ask(sizes, 1)
    table = Table(memory=2 * (packed_size + sizes.shelf.octets + 100))
    table.install(image(1))
    table.install(image(2))
    ask(table, 2)
    ask(table, 1)
    assert table.image(1) is None

    assert table.patch(change(1, 2, b"\xc0\0\2\1", b"\xc0\0\2\2"))

    assert table.lookup(query(names.to_text(home(1)[0]), do=True)) is None


def test_remembered_answers_stay_below_the_bound():
    table = Table(memory=200_000)
    for number in range(1, 1000):
        table.install(image(number))
        ask(table, number)

    assert 100 < len(table) < 1000
    assert table._octets <= 100_000 + 1500
    for number in table.zone_ids():
        table.forget(number)
    assert table._octets == len(table) == len(table._by_zone) == len(table._shed) == 0


def test_a_home_that_nobody_asks_for_costs_its_octets_and_little_more():
    """Bytes per home: what the database sends, once, and a fixed part; nothing is copied until somebody asks."""
    apex, rrsets = home(1)
    octets = b"".join(packed.pack(one, names.order_key(one.name)) for one in rrsets)

    one = ZoneImage(1, apex, 1, octets)

    assert one._packed is octets
    assert one.octets <= len(octets) + 800
    with pytest.raises(AttributeError):
        object.__getattribute__(one, "nodes")


def test_the_octets_of_an_answer_are_those_of_the_zone():
    """Copies per answer: a remembered answer is the RRset as it lies in the zone."""
    table = Table()
    table.install(image(1))
    ask(table, 1)
    apex, _ = home(1)

    (entry,) = table._signed.values()

    assert any(entry[1] is served.wire for served in table.image(1).nodes[apex])


# ---- a large zone ------------------------------------------------------------------------------

ASKED = [
    *[(f"h{number:06d}.homes.test.", rdtype) for number in (0, 7, 39) for rdtype in ("DS", "A", "NS")],
    ("www.h000003.homes.test.", "A"), ("homes.test.", "SOA"), ("homes.test.", "MX"), ("ns.homes.test.", "AAAA"),
    ("nobody.homes.test.", "A"), ("h000003x.homes.test.", "TXT"), ("x.y.z.homes.test.", "A"),
    ("a.b.c.d.e.f.g.homes.test.", "TXT"), ("c.d.e.f.g.homes.test.", "TXT"), ("x.c.d.e.f.g.homes.test.", "A"),
    ("x.w.homes.test.", "TXT"), ("x.w.homes.test.", "A"), ("w.homes.test.", "A"), ("*.w.homes.test.", "TXT"),
]  # fmt: skip


@pytest.fixture(scope="module", params=["nsec3", "nsec", "none"])
def published(request):
    return request.param, registry(40, request.param)


@pytest.mark.parametrize("room", [1 << 30, 9000])
def test_a_large_zone_answers_as_if_it_was_held_whole(published, room):
    """However little of it stays in memory; and each question needs few turns."""
    denial, rrsets = published
    source = Source(PARENT, rrsets)
    large, small = Table(), Table()
    large.install(Window(1, PARENT, 1, source.apex(), complete=denial != "none"))
    small.install(ZoneImage(1, PARENT, 1, rrsets.values()))

    for _ in range(2):
        for name, rdtype in ASKED:
            for do in (True, False):
                message = query(name, rdtype, do=do)
                done, turns = answer(Responder(large), large, source, message, UDP, room)
                assert done == Responder(small).respond(message, UDP), (name, rdtype, do)
                assert Both(large).lookup(message) in (None, done)
                assert turns <= 6
                assert large.image(1).octets <= max(room, 12_000)


def test_what_the_chain_denies_is_not_read_again():
    """A flood of names that do not exist reads each gap of the chain once, and leaves nothing else behind."""
    rrsets = registry(40, "nsec3")
    source = Source(PARENT, rrsets)
    table = Table()
    table.install(Window(1, PARENT, 1, source.apex()))
    responder = Responder(table)
    links = sum(one.type == Type.NSEC3 for one in rrsets.values())

    for number in range(1000):
        answer(responder, table, source, query(f"n{number}.homes.test.", do=True), UDP)
    read = source.read
    for number in range(1000, 1500):
        answer(responder, table, source, query(f"n{number}.homes.test.", do=True), UDP)

    assert read <= 4 * links + 20  # a name and its wildcard are looked for once for each gap that is not known yet
    assert source.read == read
    assert len(table.image(1).nodes) <= 1 + len(rrsets)


def test_an_edition_takes_out_of_a_window_what_it_touched():
    before = registry(40, "nsec3")
    after = registry(41, "nsec3")
    source = Source(PARENT, before)
    table = Table()
    table.install(Window(1, PARENT, 1, source.apex()))
    responder = Responder(table)
    new = query("h000040.homes.test.", "DS", do=True)
    old = query("h000007.homes.test.", "DS", do=True)
    absent, _ = answer(responder, table, source, new, UDP)
    kept, _ = answer(responder, table, source, old, UDP)
    read = source.read

    source.published = {**after, **{at: one for at, one in before.items() if same(after.get(at), one)}}
    gone = tuple(one for at, one in before.items() if source.published.get(at) != one)
    come = tuple(one for at, one in source.published.items() if before.get(at) != one)
    assert table.patch(Edition(1, 2, 1, 2, gone, come))

    assert table.lookup(old) == kept  # a home that came does not make all others be read again
    shown, _ = answer(responder, table, source, new, UDP)
    assert shown != absent
    assert source.read > read
    fresh = Table()
    fresh.install(ZoneImage(1, PARENT, 2, source.published.values()))
    assert shown == Responder(fresh).respond(new, UDP)


def same(one, other):
    """Tell whether two RRsets differ in their signatures at most: each signing makes others."""
    return one is not None and (one.ttl, one.rdatas) == (other.ttl, other.rdatas)


def test_a_name_in_an_opted_out_span_may_exist():
    """What stands in a span with opt-out is read, never denied by the span alone (RFC 5155 §6)."""
    rrsets = registry(3, "nsec3")
    spans = {at: one for at, one in rrsets.items() if one.type == Type.NSEC3}
    for at, one in spans.items():
        rrsets[at] = SignedRRset(
            one.name, one.type, one.ttl, tuple(r[:1] + b"\1" + r[2:] for r in one.rdatas), one.sigs
        )
    hidden = names.prepend(b"unsigned", PARENT)
    source = Source(PARENT, rrsets)
    table = Table()
    table.install(Window(1, PARENT, 1, source.apex()))
    responder = Responder(table)
    for number in range(200):
        answer(responder, table, source, query(f"n{number}.homes.test.", do=True), UDP)
    rrsets[hidden, int(Type.NS)] = SignedRRset(hidden, Type.NS, 300, (b"\2ns\7example\0",))
    window = table.image(1)
    window.patch(Edition(1, 2, 1, 2, (), (rrsets[hidden, int(Type.NS)],)))

    done, _ = answer(responder, table, source, query("www.unsigned.homes.test.", do=True), UDP)

    match = window.find(names.prepend(b"www", hidden))
    assert match.owner == hidden
    assert rdatas(match.node[0]) == [b"\2ns\7example\0"]
    assert done[3] & 15 == 0
