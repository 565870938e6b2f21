"""The hot path, what it remembers, and that every change of a zone shows in the very next answer."""

import dns.edns
import dns.message
import pytest
from asking import UDP, Asker, aa, query, rcode, section
from published import image, read_zone

from ddns.answer.image import ZoneImage
from ddns.answer.table import Table
from ddns.dns import names
from ddns.zone.edition import Edition

HEAD = "$TTL 300\n@ SOA ns1 admin {serial} 7200 3600 1209600 60\n@ NS ns1\nns1 A 192.0.2.1\n"
ZONE = """www A 192.0.2.10
www AAAA 2001:db8::10
www TXT "text"
c1 CNAME c2
c2 CNAME www
out CNAME www.other.
mail MX 10 ns1
mail MX 20 later
*.wild A 192.0.2.30
cut NS ns1
a.deep A 192.0.2.12
"""
OTHER = "www A 192.0.2.70\nback CNAME www.example.\n"


def zone(text, serial=1):
    return HEAD.format(serial=serial) + text


def edition(before, after, number, origin="example.", zone_id=1):
    """Return the edition that leads from one master text to the other."""
    old, new = set(read_zone(before, origin)), set(read_zone(after, origin))
    return Edition(zone_id, number, number - 1, number, tuple(old - new), tuple(new - old))


@pytest.fixture
def ask():
    return Asker(image(zone(ZONE), "example."))


def remembered(ask, name, rdtype="A", **how):
    """Ask once, and tell whether the hot path knows the answer from then on."""
    message = query(name, rdtype, **how)
    answer = ask.wire(message)
    assert ask.table.lookup(message) in (None, answer)
    return ask.table.lookup(message) is not None


@pytest.mark.parametrize("how", [{"edns": False}, {"do": False}, {"do": True}, {"payload": 4096}, {"payload": 513}])
def test_what_exists_is_remembered_after_the_first_question(ask, how):
    assert ask.table.lookup(query("www.example.", **how)) is None
    assert remembered(ask, "www.example.", **how)
    assert remembered(ask, "c1.example.", **how)
    assert remembered(ask, "example.", "SOA", **how)
    assert remembered(ask, "mail.example.", "MX", **how)


@pytest.mark.parametrize(
    ("name", "rdtype"),
    [
        ("x.wild.example.", "A"),
        ("www.example.", "ANY"),
        ("elsewhere.", "A"),
        ("out.example.", "TYPE1234"),
    ],
)
def test_what_an_asker_can_invent_is_not_remembered(ask, name, rdtype):
    """Nobody grows the table by asking."""
    assert not remembered(ask, name, rdtype)
    assert len(ask.table) == 0


def test_every_plain_form_of_a_question_gets_the_responders_octets(ask):
    """id, RD, AD, CD, case, OPT or none, DO, payloads: the hot path and its slow twin never differ."""
    seen = 0
    for name in ("wWw.ExamPle.", "C1.example.", "mail.example.", "out.EXAMPLE.", "a.deep.example."):
        for rdtype in ("A", "AAAA", "TXT", "MX", "CNAME", "TYPE65"):
            for flags in (0, 0x0100, 0x0020, 0x0130, 0x0010):
                for how in (
                    {"edns": False},
                    *({"do": do, "payload": size} for do in (False, True) for size in (0, 512, 1232, 4096, 65535)),
                ):
                    message = query(name, rdtype, flags=flags, ident=seen & 0xFFFF, **how)
                    slow = ask.responder.respond(message, UDP)
                    fast = ask.table.lookup(message)
                    assert fast in (None, slow)
                    seen += fast is not None
    assert seen > 500


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m[:2] + b"\x80" + m[3:],  # QR
        lambda m: m[:2] + b"\x28" + m[3:],  # UPDATE
        lambda m: m[:2] + b"\x02" + m[3:],  # TC
        lambda m: m[:5] + b"\x02" + m[6:],  # two questions
        lambda m: m[:7] + b"\x01" + m[8:],
        lambda m: m[:9] + b"\x01" + m[10:],
        lambda m: m[:11] + b"\x02" + m[12:],
        lambda m: m[:11] + b"\x00" + m[12:],
        lambda m: m + b"\0",
        lambda m: m[:-1],
        lambda m: m[:-11],
        lambda m: m[:-15] + b"\0\1\0\3" + m[-11:],  # class CH
        lambda m: m[:-5] + b"\1" + m[-4:],  # EDNS version 1
        lambda m: b"",
        lambda m: m[:11],
    ],
)
def test_anything_but_a_plain_question_is_left_to_the_responder(ask, change):
    message = query("www.example.")
    assert remembered(ask, "www.example.")

    assert ask.table.lookup(message) is not None
    assert ask.table.lookup(change(message)) is None


def test_only_the_name_is_lower_cased():
    """QTYPE 65 is the octet of an A: lower-cased it would be QTYPE 97."""
    ask = Asker(image(zone("www HTTPS 1 . alpn=h2\nwww TYPE97 \\# 1 00\n"), "example."))

    assert remembered(ask, "WWW.example.", "TYPE97")
    assert section(ask("WWW.example.", "HTTPS").answer) == ['WWW.example. HTTPS 1 . alpn="h2"']


def test_a_sender_with_little_room_gets_what_fits():
    """The answer that is remembered fits into 1,232 octets; who has less gets TC."""
    ask = Asker(image(zone("big TXT " + " ".join(['"' + "b" * 200 + '"'] * 4) + "\n"), "example."))

    assert remembered(ask, "big.example.", "TXT", payload=1232)
    assert ask.table.lookup(query("big.example.", "TXT", payload=600)) is None
    assert ask("big.example.", "TXT", payload=600).flags & 0x0200
    assert remembered(ask, "big.example.", "TXT", payload=1000)


@pytest.mark.parametrize(
    ("name", "rdtype", "before", "after", "lines"),
    [
        ("www", "A", "www A 192.0.2.1\n", "www A 192.0.2.2\n", ["www.example. A 192.0.2.2"]),
        ("www", "A", "www A 192.0.2.1\n", "www 60 A 192.0.2.1\n", ["www.example. A 192.0.2.1"]),
        ("www", "A", "www A 192.0.2.1\nwww TXT x\n", "www TXT x\n", []),
        ("www", "A", "www A 192.0.2.1\n", "www CNAME b\nb A 192.0.2.2\n",
         ["b.example. A 192.0.2.2", "www.example. CNAME b.example."]),
        ("c", "A", "c CNAME b\nb A 192.0.2.1\n", "c CNAME b\nb A 192.0.2.2\n",
         ["b.example. A 192.0.2.2", "c.example. CNAME b.example."]),
        ("c", "A", "c CNAME b\nb A 192.0.2.1\n", "c CNAME b\n", ["c.example. CNAME b.example."]),
        ("c", "A", "c CNAME b\nb A 192.0.2.1\n", "c A 192.0.2.3\nb A 192.0.2.1\n", ["c.example. A 192.0.2.3"]),
        ("c", "A", "c CNAME b\nb CNAME a\na A 192.0.2.1\n", "c CNAME b\nb CNAME a\na A 192.0.2.2\n",
         ["a.example. A 192.0.2.2", "b.example. CNAME a.example.", "c.example. CNAME b.example."]),
        ("a.b", "A", "a.b A 192.0.2.1\n", "a.b A 192.0.2.1\nb NS ns1\n", []),
        ("a.b", "A", "a.b A 192.0.2.1\n", "a.b A 192.0.2.1\nb DNAME c\na.c A 192.0.2.9\n",
         ["a.b.example. CNAME a.c.example.", "a.c.example. A 192.0.2.9", "b.example. DNAME c.example."]),
        ("a.b", "A", "a.b A 192.0.2.1\nb NS ns1\n", "a.b A 192.0.2.1\n", ["a.b.example. A 192.0.2.1"]),
        ("c", "A", "c CNAME a.b\na.b A 192.0.2.1\n", "c CNAME a.b\na.b A 192.0.2.1\nb NS ns1\n",
         ["c.example. CNAME a.b.example."]),
        ("d", "DS", "d NS ns1\nd DS 1 13 2 {}\n", "d NS ns1\nd DS 2 13 2 {}\n", ["d.example. DS 2 13 2 {}"]),
        ("n", "A", "", "n A 192.0.2.4\n", ["n.example. A 192.0.2.4"]),
        ("n", "A", "*  A 192.0.2.5\n", "* A 192.0.2.6\n", ["n.example. A 192.0.2.6"]),
    ],
)  # fmt: skip
def test_the_first_answer_after_an_edition_is_right(name, rdtype, before, after, lines):
    """Whatever was remembered: the edition is patched in, and the next answer is the new one, in every form."""
    digest = "00112233445566778899aabbccddeeff" * 2
    before, after = zone(before.replace("{}", digest)), zone(after.replace("{}", digest), 2)
    ask = Asker(image(before, "example."))
    for how in ({"edns": False}, {"do": False}, {"do": True}):
        ask(f"{name}.example.", rdtype, **how)

    assert ask.table.patch(edition(before, after, 2))

    fresh = Asker(image(after, "example."))
    for how in ({"edns": False}, {"do": False}, {"do": True}):
        message = query(f"{name}.example.", rdtype, **how)
        assert section(dns.message.from_wire(ask.wire(message)).answer) == [
            line.replace("{}", digest) for line in lines
        ]
        assert ask.wire(message) == fresh.wire(message)


def test_an_address_that_an_answer_led_to_is_renewed_in_it(ask):
    """Also where the host had no address before."""
    assert remembered(ask, "mail.example.", "MX")
    before, after = zone(ZONE), zone(ZONE + "later A 192.0.2.99\n", 2)

    ask.table.patch(edition(before, after, 2))

    assert "later.example. A 192.0.2.99" in section(ask("mail.example.", "MX").additional)


def test_a_denial_shows_the_new_serial_at_once(ask):
    ask("nowhere.example.")

    ask.table.patch(edition(zone(ZONE), zone(ZONE, 2), 2))

    assert " 2 7200 " in section(ask("nowhere.example.").authority)[0]
    assert " 2 7200 " in section(ask("example.", "SOA").answer)[0]


def test_an_edition_out_of_order_is_not_applied(ask):
    step = edition(zone(ZONE), zone(ZONE, 2), 2)

    assert not ask.table.patch(Edition(1, 3, 2, 3, step.removed, step.added))
    assert ask.table.patch(step)
    assert ask.table.patch(step)  # it is already there
    assert ask.table.patch(Edition(99, 5, 1, 2, (), ()))  # no such zone in memory: nothing old is shown
    assert ask.table.edition(1) == 2


def test_only_what_an_edition_touches_is_forgotten(ask):
    for name in ("www", "c1", "a.deep", "ns1"):
        assert remembered(ask, f"{name}.example.")
    count = len(ask.table)

    ask.table.patch(edition(zone(ZONE), zone(ZONE.replace("192.0.2.12", "192.0.2.13"), 2), 2))

    assert len(ask.table) == count - 1
    assert ask.table.lookup(query("www.example.")) is not None


def test_a_new_delegation_of_a_new_name_costs_the_others_nothing(ask):
    """A home that enrols must not empty the registry's table."""
    for name in ("www", "c1", "a.deep"):
        assert remembered(ask, f"{name}.example.")
    count = len(ask.table)

    ask.table.patch(edition(zone(ZONE), zone(ZONE + "smith NS ns1\n", 2), 2))

    assert len(ask.table) == count


# ---- zones that come and go ----------------------------------------------------------------------


def test_an_alias_out_is_followed_as_soon_as_its_zone_is_served(ask):
    assert remembered(ask, "out.example.")

    ask.table.install(image(zone(OTHER), "other.", zone_id=2))

    assert section(ask("out.example.").answer) == ["out.example. CNAME www.other.", "www.other. A 192.0.2.70"]

    ask.table.forget(2)

    assert section(ask("out.example.").answer) == ["out.example. CNAME www.other."]


def test_an_alias_through_two_zones_follows_the_changes_of_both(ask):
    ask.table.install(image(zone(OTHER), "other.", zone_id=2))
    assert remembered(ask, "back.other.")
    assert remembered(ask, "out.example.")

    ask.table.patch(edition(zone(ZONE), zone(ZONE.replace("192.0.2.10", "192.0.2.11"), 2), 2))
    ask.table.patch(edition(zone(OTHER), zone(OTHER.replace(".70", ".71"), 2), 2, "other.", 2))

    assert "www.example. A 192.0.2.11" in section(ask("back.other.").answer)
    assert "www.other. A 192.0.2.71" in section(ask("out.example.").answer)


def test_a_zone_below_another_takes_over_its_names_at_once():
    parent = zone("child NS ns1\nsub.plain A 192.0.2.1\n")
    ask = Asker(image(parent, "example."))
    assert remembered(ask, "sub.plain.example.")

    ask.table.install(image(zone("sub A 192.0.2.2\n"), "plain.example.", zone_id=2))
    assert section(ask("sub.plain.example.").answer) == ["sub.plain.example. A 192.0.2.2"]
    ask.table.forget(2)

    assert section(ask("sub.plain.example.").answer) == ["sub.plain.example. A 192.0.2.1"]


def test_the_ds_at_a_zones_own_apex_gives_way_to_the_parents():
    digest = "00112233445566778899aabbccddeeff" * 2
    ask = Asker(image(zone(f"@ DS 1 13 2 {digest}\n"), "child.example.", zone_id=2))
    assert len(ask("child.example.", "DS").answer) == 1

    ask.table.install(image(zone(f"child NS ns1\nchild DS 7 13 2 {digest}\n"), "example."))

    assert section(ask("child.example.", "DS").answer) == [f"child.example. DS 7 13 2 {digest}"]
    assert remembered(ask, "child.example.", "DS")
    ask.table.forget(1)
    assert ask.table.lookup(query("child.example.", "DS")) is None


def test_a_zone_that_was_let_go_answers_nothing_old(ask):
    assert remembered(ask, "www.example.")

    ask.table.evict(1)

    assert ask.table.lookup(query("www.example.")) is None
    assert (ask.table.has(1), ask.table.image(1)) == (True, None)


def test_a_zone_made_anew_under_another_number_replaces_the_old_one(ask):
    ask.table.install(image(zone("www A 192.0.2.99\n"), "example.", zone_id=5))

    assert section(ask("www.example.").answer) == ["www.example. A 192.0.2.99"]
    assert ask.table.zone_ids() == {5}
    ask.table.forget(1)
    assert rcode(ask("www.example.")) == "NOERROR"
    ask.table.forget(5)
    assert rcode(ask("www.example.")) == "REFUSED"
    assert len(ask.table) == 0


def test_the_table_holds_as_many_answers_as_it_may():
    table = Table(entries=50)
    text = zone("".join(f"h{number} A 192.0.2.1\n" for number in range(200)))
    ask = Asker(table=table)
    table.install(ZoneImage(1, names.from_text("example."), 1, read_zone(text, "example.")))

    for number in range(200):
        assert aa(ask(f"h{number}.example."))
        assert len(table) <= 50

    assert remembered(ask, "h199.example.")
    assert table.lookup(query("h0.example.")) is None
    assert len(table._by_zone[1]) <= 50


def test_nothing_is_left_behind_when_zones_go(ask):
    """What leaned on what is forgotten with the answers, or it would pile up for ever."""
    ask.table.install(image(zone(OTHER), "other.", zone_id=2))
    for name in ("www.example.", "c1.example.", "out.example.", "back.other.", "www.other."):
        assert remembered(ask, name)
    assert remembered(ask, "mail.example.", "MX")

    ask.table.forget(1)
    ask.table.forget(2)

    table = ask.table
    assert not any(
        (table._by_zone.get(1), table._by_zone.get(2), table._leaning, table._reached, table._left, len(table))
    )


def test_options_do_not_change_the_answer(ask):
    """A resolver's cookie is ignored so far; the octets are those of the question without."""
    plain = ask.wire(query("www.example.", do=True))

    assert ask.wire(query("www.example.", do=True, options=[dns.edns.GenericOption(10, b"12345678")])) == plain
