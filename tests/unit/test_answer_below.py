"""Names without an entry of their own: answered from pieces, in the responder's octets; nobody grows them by asking."""

import random
import sys

import pytest
from asking import UDP, Asker, query, rcode, read, section
from published import image, read_zone
from twins import answerer

from ddns.answer.below import Below
from ddns.answer.image import ZoneImage
from ddns.answer.responder import Responder
from ddns.answer.rrl import Rrl, RrlLimits
from ddns.answer.table import Table
from ddns.dns import names
from ddns.zone.edition import Edition

HEAD = "$TTL 300\n@ SOA ns1 admin {serial} 7200 3600 1209600 60\n@ NS ns1\nns1 A 192.0.2.1\n"
ZONE = """www A 192.0.2.10
deep.er.empty A 192.0.2.12
alias CNAME www
*.wild A 192.0.2.30
sub NS ns.sub
sub NS ns1
ns.sub A 192.0.2.31
bend DNAME www
"""
FORMS = (
    {"edns": False},
    *({"do": do, "payload": size} for do in (False, True) for size in (512, 600, 1232, 4096)),
)
ASKED = (
    "nowhere",
    "NoWhere.At.All",
    "x.www",
    "x.y.z.www",
    "er.empty",
    "x.er.empty",
    "empty",
    "x.empty",
    "www",
    "@",
    "alias",
    "x.alias",
    "x.wild",
    "wild",
    "sub",
    "Far.Below.SUB",
    "ns.sub",
    "x.ns.sub",
    "bend",
    "x.bend",
    "_443._tcp." + "l" * 63 + ".nowhere",
)
TYPES = ("A", "AAAA", "DS", "NS", "SOA", "ANY", "RRSIG", "NSEC", "NSEC3PARAM", "TYPE1234", "TYPE128", "AXFR")


def zone(text, serial=1):
    return HEAD.format(serial=serial) + text


def edition(before, after, number, origin="example.", zone_id=1):
    """Return the edition that leads from one master text to the other."""
    old, new = set(read_zone(before, origin)), set(read_zone(after, origin))
    return Edition(zone_id, number, number - 1, number, tuple(old - new), tuple(new - old))


def fresh(*images):
    """Return a responder that has answered nothing yet."""
    table = Table()
    for one in images:
        table.install(one)
    return Responder(table)


@pytest.fixture
def ask():
    return Asker(image(zone(ZONE), "example."))


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("nowhere.example.", "other.example."),
        ("nowhere.example.", "any.thing.AT.all.example."),
        ("x.www.example.", "a.b.www.example."),
        ("x.er.empty.example.", "y.er.empty.example."),
        ("x.sub.example.", "yyy.zz.sub.example."),
        ("sub.example.", "www.sub.example."),
    ],
)
@pytest.mark.parametrize("how", [{"edns": False}, {"do": False}, {"do": True}])
def test_what_was_said_once_is_said_of_every_name_at_that_place(ask, first, then, how):
    asked = ask.wire(query(first, **how))
    message = query(then, "TXT", flags=0x0100, **how)

    told = ask.table.lookup(message)

    assert asked is not None
    assert told is not None
    assert told == fresh(ask.table.image(1)).respond(message, UDP)
    read(told)


def test_a_type_that_a_name_lacks_is_known_after_another_that_it_lacks(ask):
    ask("www.example.", "MX")

    assert ask.table.lookup(query("WWW.example.", "AAAA")) is not None
    for rdtype in ("A", "ANY", "RRSIG", "AXFR", "TYPE128"):
        assert ask.table.lookup(query("www.example.", rdtype)) is None
    assert ask.table.lookup(query("ww.example.", "AAAA")) is None


def test_every_question_gets_the_responders_octets_whoever_asked_before(ask):
    slow = {}
    messages = [
        query(f"{name}.example." if name != "@" else "example.", rdtype, ident=len(name), **how)
        for name in ASKED
        for rdtype in TYPES
        for how in FORMS
    ]
    for message in messages:
        slow[message] = fresh(ask.table.image(1)).respond(message, UDP)
    seen = 0
    for turn in range(3):
        random.Random(turn).shuffle(messages)
        for message in messages:
            fast = ask.table.lookup(message)
            assert fast in (None, slow[message])
            seen += fast is not None
            assert ask.responder.respond(message, UDP) == slow[message]
    assert seen > 2000


def test_asking_grows_nothing_past_the_names_that_exist(ask):
    for number in range(500):
        for name in (f"n{number}", f"{number}.www", f"a.{number}.sub", f"{number}.deep.er.empty"):
            ask(f"{name}.example.", do=True)
        ask("www.example.", f"TYPE{1000 + number}", do=True)

    assert len(ask.table) == 0
    assert len(ask.table.below) == 5


def test_pieces_have_a_bound():
    """At the bound the oldest go, of the kind that has most."""
    table = Table()
    table.below = Below(10)
    table.install(image(zone("".join(f"h{number} A 192.0.2.1\n" for number in range(40))), "example."))
    responder = Responder(table)

    for number in range(40):
        responder.respond(query(f"x.h{number}.example."), UDP)
        responder.respond(query(f"h{number}.example.", "TXT"), UDP)
        assert len(table.below) <= 10

    assert table.lookup(query("y.h39.example.")) is not None
    assert table.lookup(query("y.h0.example.")) is None


@pytest.mark.parametrize(
    ("name", "rdtype", "added", "removed"),
    [
        ("new", "A", "new A 192.0.2.99\n", ""),
        ("a.b.new", "A", "b.new A 192.0.2.99\n", ""),
        ("x", "A", "* A 192.0.2.99\n", ""),
        ("x.www", "A", "*.www A 192.0.2.99\n", ""),
        ("x.www", "A", "www NS ns1\n", ""),
        ("x.www", "A", "www DNAME alias\n", ""),
        ("x.www", "A", "", "www A 192.0.2.10\n"),
        ("www", "TXT", "www TXT text\n", ""),
        ("www", "TXT", "www NS ns1\n", ""),
        ("x.sub", "A", "", "sub NS ns1\n"),
        ("x.sub", "A", "sub DS 1 13 2 " + "00" * 32 + "\n", ""),
        ("x.sub", "A", "", "sub NS ns1\nsub NS ns.sub\n"),
        ("x.sub", "A", "ns1 AAAA 2001:db8::1\n", ""),
    ],
)
def test_an_edition_shows_in_the_very_next_answer(name, rdtype, added, removed):
    before = zone(ZONE)
    changed = ZONE + added
    for line in removed.splitlines(keepends=True):
        changed = changed.replace(line, "", 1)
    after = zone(changed, 2)
    ask = Asker(image(before, "example."))
    messages = [query(f"{name}.example.", rdtype, **how) for how in FORMS]
    for message in messages:
        ask.wire(message)

    assert ask.table.patch(edition(before, after, 2))

    other = fresh(image(after, "example."))
    assert not any(ask.table.lookup(message) for message in messages)
    for message in messages:
        assert read(ask.wire(message)).to_text() == read(other.respond(message, UDP)).to_text()


# ---- zones that come and go ----------------------------------------------------------------------


def test_the_nearest_zone_speaks_also_where_nothing_delegates_to_it(ask):
    ask("x.y.example.", do=True)
    assert ask.table.lookup(query("z.y.example.", do=True)) is not None

    ask.table.install(image(zone("www A 192.0.2.80\n"), "y.example.", zone_id=2))

    assert ask.table.lookup(query("z.y.example.", do=True)) is None
    assert section(ask("z.y.example.", do=True).authority)[0].startswith("y.example. SOA")
    assert section(ask("z.x.example.", do=True).authority)[0].startswith("example. SOA")
    ask.table.forget(2)
    assert section(ask("z.y.example.", do=True).authority)[0].startswith("example. SOA")


def test_a_delegation_ends_where_its_zone_comes_to_be_served(ask):
    ask("x.sub.example.")
    assert ask.table.lookup(query("y.sub.example.")) is not None

    ask.table.install(image(zone("www A 192.0.2.80\n"), "sub.example.", zone_id=2))

    assert ask.table.lookup(query("y.sub.example.")) is None
    assert rcode(ask("y.sub.example.")) == "NXDOMAIN"
    assert section(ask("www.sub.example.").answer) == ["www.sub.example. A 192.0.2.80"]
    ask.table.evict(2)
    assert ask.table.lookup(query("y.sub.example.")) is None


@pytest.mark.parametrize("change", ["evict", "forget", "install"])
def test_a_zone_that_goes_takes_its_pieces_along(ask, change):
    messages = [query(name, "TXT", do=True) for name in ("x.example.", "www.example.", "x.sub.example.")]
    for message in messages:
        ask.wire(message)
        assert ask.table.lookup(message) is not None

    if change == "install":
        ask.table.install(image(zone(ZONE, 9), "example."))
    else:
        getattr(ask.table, change)(1)

    assert [ask.table.lookup(message) for message in messages] == [None] * 3


def test_the_root_is_left_to_the_responder():
    ask = Asker(image(zone("www A 192.0.2.10\n"), "."))

    for name in ("nowhere.", "x.www.", "www.", "."):
        for how in FORMS:
            ask.wire(query(name, "TXT", **how))
            ask.wire(query(name, "TXT", **how))
    assert ask.table.lookup(query("nowhere.", "TXT")) is None


# ---- what the native twin trusts -----------------------------------------------------------------


def test_the_native_twin_leaves_a_piece_in_another_shape_to_python(ask):
    """It reads only what it has looked at; there is no trust in what Python left there."""
    native = answerer("native", ask.table, Rrl(RrlLimits()))
    below, apex, www = ask.table.below, names.from_text("example."), names.from_text("www.example.")
    for messages, pieces, name in (
        ([query("nowhere.example."), query("elsewhere.example.")], below.plain, apex),
        (
            [query("www.example.", "MX"), query("www.example.", "TXT")],
            below.said_plain,
            www,
        ),
    ):
        ask.wire(messages[0])
        piece = pieces[name]
        assert native.lookup(messages[1]) is not None
        others = [None, (), piece[:-1], (*piece, None), list(piece), (object(), *piece[1:])]
        others += [(*piece[:at], None, *piece[at + 1 :]) for at in range(2, 5)]
        others.append((*piece[:4], piece[4] * 100, *piece[5:]))
        if pieces is below.plain:
            others.append((*piece[:5], b"\xff\xff", *piece[6:]))
            others += [(piece[0], 4, *piece[2:]), (piece[0], 99, *piece[2:])]
        for other in others:
            pieces[name] = other
            assert native.lookup(messages[1]) is None


def test_the_native_twin_keeps_no_piece_alive(ask):
    """As many references afterwards as before: nothing is leaked, nothing released twice."""
    messages = [query(name, "TXT", do=True) for name in ("nowhere.example.", "www.example.", "x.sub.example.")]
    for message in messages:
        ask.wire(message)
    native = answerer("native", ask.table, Rrl(RrlLimits()))
    image, below = ask.table.image(1), ask.table.below
    held = [image, image.remembered, image.remembered.mark, image.nodes, *image.nodes, *below.signed.values()]
    held += [*below.said_signed.values(), *(value for piece in below.signed.values() for value in piece)]
    before = [sys.getrefcount(one) for one in held]
    for _ in range(1000):
        assert all(native.lookup(message) for message in messages)

    assert all(abs(now - then) < 100 for now, then in zip(map(sys.getrefcount, held), before, strict=True))


@pytest.mark.parametrize("labels", [30, 39, 40, 41, 100])
def test_a_name_of_many_labels_gets_the_same_octets(ask, labels):
    """The native twin leaves those of more than 40 to Python."""
    ask("nowhere.example.", do=True)
    message = query("x." * labels + "example.", do=True)
    native = answerer("native", ask.table, Rrl(RrlLimits())).lookup(message)

    assert ask.table.lookup(message) == ask.responder.respond(message, UDP)
    assert native == (ask.table.lookup(message) if labels < 40 else None)


# ---- octets that are no names --------------------------------------------------------------------


@pytest.mark.parametrize(
    "spoil",
    [
        lambda m: m[:12] + b"\x40" + m[13:],
        lambda m: m[:12] + b"\xc0\x0c" + m[14:],
        lambda m: m[:12] + b"\x3f" + m[13:],
        lambda m: m[:12] + b"\0" + m[13:],
        lambda m: m[:12] + b"\x41" + bytes(65) + m[12:],
        lambda m: m[:12] + (b"\x3f" + b"a" * 63) * 4 + m[12:],
        lambda m: m[:-15] + m[-11:],
        lambda m: m[:12] + m[-15:],
        lambda m: m[:12] + m[-11:],
        lambda m: m[:-12] + b"\3" + m[-11:],
        *(lambda m, at=at: m[:at] for at in range(12, 50)),
        *(lambda m, at=at: m[:at] + m[-11:] for at in range(12, 40)),
        *(lambda m, at=at: m[:12] + m[at:] for at in range(13, 40)),
    ],
)
@pytest.mark.parametrize("how", [{"edns": False}, {"do": True}])
def test_what_is_no_name_is_left_to_the_responder(ask, spoil, how):
    message = query("nowhere.example.", **how)
    ask.wire(message)
    spoilt = spoil(message)

    assert ask.table.lookup(spoilt) in (None, ask.responder.respond(spoilt, UDP))


def test_a_name_may_have_255_octets_and_no_more(ask):
    ask("nowhere.example.")
    start = query("nowhere.example.")
    longest = b"".join(bytes((size,)) + b"a" * size for size in (63, 63, 63, 53)) + b"\7example\0"
    assert len(longest) == 255
    message = start[:12] + longest + start[-15:]
    too_long = start[:12] + longest[:-9].replace(b"\x35", b"\x36", 1) + b"a" + longest[-9:] + start[-15:]

    assert ask.table.lookup(message) == ask.responder.respond(message, UDP)
    assert ask.table.lookup(message) is not None
    assert ask.table.lookup(too_long) is None


def test_a_zone_image_without_a_record_says_nothing():
    table = Table()
    table.install(ZoneImage(1, names.from_text("example."), 1, []))
    responder = Responder(table)

    answer = responder.respond(query("www.example."), UDP)

    assert rcode(read(answer)) == "SERVFAIL"
    assert table.lookup(query("www.example.")) is None
