"""Labels of homes: what people write becomes one label of the DNS, or is refused by name."""

from __future__ import annotations

# ruff: noqa: RUF001 - letters that look alike are what this is about
import random
from pathlib import Path

import pytest
import write_skeletons
from hypothesis import given
from hypothesis import strategies as st

from ddns.dns import names
from ddns.dns.refusal import Refusal
from ddns.homes import labels, skeleton_table, tables
from ddns.homes.allocation import STYLES, TRIES, offers
from ddns.homes.labels import Label, LabelRules
from ddns.homes.skeletons import skeleton
from ddns.homes.tables import CYRILLIC, GREEK, LATIN, Table

ZONE = names.from_text("homes.example.")
HEBREW = Table("hebrew", ((0x5D0, 0x5EA),))
PERSIAN = Table("persian", ((0x620, 0x64A), (0x66E, 0x6D3), (0x6F0, 0x6F9), (0x200C, 0x200D)))
HINDI = Table("hindi", ((0x900, 0x97F), (0x200C, 0x200D)))
JAPANESE = Table("japanese", ((0x3041, 0x3096), (0x30A1, 0x30FE), (0x4E00, 0x9FFF), (0x3005, 0x3007)))
ALL = LabelRules(tables=(LATIN, GREEK, CYRILLIC, HEBREW, PERSIAN, HINDI, JAPANESE))


def read(text: str, rules: LabelRules = ALL, zone: str = "homes.example.") -> Label | Refusal:
    return labels.read(text, rules, names.from_text(zone))


def code(text: str, rules: LabelRules = ALL, zone: str = "homes.example.") -> str:
    refused = read(text, rules, zone)
    assert isinstance(refused, Refusal), refused
    return refused.code


@pytest.mark.parametrize(
    ("written", "wire", "shown"),
    [
        ("smith", b"smith", "smith"),
        ("Smith-7", b"smith-7", "smith-7"),
        ("a--b", b"a--b", "a--b"),
        ("x" * 63, b"x" * 63, "x" * 63),
        ("müller", b"xn--mller-kva", "müller"),
        ("MÜLLER", b"xn--mller-kva", "müller"),
        ("mu\u0308ller", b"xn--mller-kva", "müller"),  # decomposed: NFC is made (RFC 5895 §2)
        ("XN--MLLER-KVA", b"xn--mller-kva", "müller"),
        ("faß", b"xn--fa-hia", "faß"),  # IDNA 2008 keeps it, as 2003 did not
        ("\uff53\uff4d\uff49\uff54\uff48", b"smith", "smith"),  # full width
        ("l·l", b"xn--ll-0ea", "l·l"),  # CONTEXTO, RFC 5892 A.3
        ("βόλος", b"xn--hxarsa5b", None),
        ("дом", b"xn--d1aqf", "дом"),
        ("שלום", b"xn--9dbne9b", "שלום"),
        ("אב1", b"xn--1-zhcd", "אב1"),
        ("نامه\u200cای", b"xn--mgba3gch31f060k", "نامه\u200cای"),  # CONTEXTJ, RFC 5892 A.1
        ("क\u094d\u200dष", b"xn--11b2ezcw70k", "क\u094d\u200dष"),  # CONTEXTJ, RFC 5892 A.2
        ("東京タワー", b"xn--hckxam3skb8412g", None),
    ],
)
def test_what_people_write_becomes_one_label(written, wire, shown):
    label = read(written)

    assert isinstance(label, Label), label
    if shown is not None:
        assert (label.wire, label.shown) == (wire, shown)
    assert read(label.wire.decode()) == label
    assert read(label.shown) == label


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("", "without dots"), ("a.b", "without dots"), ("x" * 257, "without dots"), ("_dmarc", "RFC 8552"),
        ("-a", "inner hyphens"), ("a-", "inner hyphens"), ("a b", "inner hyphens"), ("x" * 64, "1 to 63"),
        ("ab--c", "third and fourth"), ("äb--c", "third and fourth"),
        ("-ü", "IDNA 2008"), ("\u2603", "IDNA 2008"), ("a\u200cb", "IDNA 2008"), ("a·b", "IDNA 2008"),
        ("\u0660\u06f0", "IDNA 2008"), ("\u0308a", "IDNA 2008"), ("\ud800", "IDNA 2008"), ("ü" * 63, "IDNA 2008"),
        ("a\u3002ü", "IDNA 2008"),  # maps to a dot
        ("xn--", "A-label"), ("xn--abc-", "A-label"), ("xn--zzzzzz99999", "A-label"), ("xn--a", "A-label"),
        ("xn--smith-", "A-label"), ("xn--mller-KVA9", "A-label"),
        ("1אב", "directions"), ("אa", "directions"), ("א\u0661", None),
    ],
)  # fmt: skip
def test_what_is_no_label_is_refused_and_the_sentence_says_why(written, says):
    refused = read(written)

    assert isinstance(refused, Refusal)
    assert refused.code in ("label-not-allowed", "label-mixed-scripts")
    assert says is None or says in refused.text


@pytest.mark.parametrize(
    "written",
    [
        "p\u0430ypal", "раураl", "wрad", "мäil", "σmith", "ёlka", "αб",
    ],
)  # fmt: skip
def test_letters_of_two_scripts_do_not_stand_in_one_label(written):
    assert code(written) == "label-mixed-scripts"


def test_a_registry_takes_the_letters_of_its_tables_alone():
    latin = LabelRules(tables=(LATIN,))

    assert code("дом", latin) == "label-not-allowed"
    assert "U+0434" in read("дом", latin).text
    assert "those of latin" in read("дом", latin).text
    assert isinstance(read("müller", latin), Label)
    assert code("müller", LabelRules(tables=())) == "label-not-allowed"
    assert isinstance(read("smith", LabelRules(tables=())), Label)


@pytest.mark.parametrize("written", ["www", "NS", "mail", "smtp", "localhost", "wpad", "isatap"])
def test_names_that_programs_look_for_are_nobodys(written):
    assert code(written) == "label-special"


def test_a_name_that_looks_like_one_that_programs_look_for_is_nobodys():
    both = Table("both", ((0x61, 0x7A), (0x430, 0x45F)))  # as no table may be, but old ones

    assert code("n\u0455", LabelRules(tables=(both,))) == "label-special"
    assert isinstance(read("nѕ1", LabelRules(tables=(both,))), Label)


@pytest.mark.parametrize(("pattern", "written"), [("bank*", "bank-of-x"), ("*müll*", "müller"), ("xn--*", "дом")])
def test_what_a_registry_keeps_back_cannot_be_told_from_what_is_taken(pattern, written):
    refused = read(written, LabelRules(tables=ALL.tables, reserved=(pattern,)))

    assert refused == labels.unavailable()


@pytest.mark.parametrize(
    "zone", ["home.arpa.", "x.service.arpa.", "local.", "a.onion.", "invalid.", "localhost.", "alt.", "internal."]
)
def test_no_home_is_below_a_special_use_name(zone):
    assert code("smith", zone=zone) == "label-special"


def test_length_is_counted_as_people_read_and_bounded_as_the_dns_has_it():
    rules = LabelRules(least=3, most=12, tables=ALL.tables)

    assert code("ab", rules) == "label-not-allowed"
    assert isinstance(read("abc", rules), Label)
    assert isinstance(read("дом", rules), Label)  # xn--d1aqf
    assert isinstance(read("x" * 12, rules), Label)
    assert code("x" * 13, rules) == "label-not-allowed"
    assert code("müller", rules) == "label-not-allowed"  # 13 octets


def test_the_bidi_rule_looks_at_the_whole_name():
    assert isinstance(read("שלום"), Label)
    assert code("שלום", zone="1st.example.") == "label-not-allowed"  # RFC 5893 §2, rule 1: no digit begins a label
    assert code("7eleven", zone="xn--9dbne9b.example.") == "label-not-allowed"
    assert isinstance(read("eleven7", zone="xn--9dbne9b.example."), Label)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("paypal", "раураl"), ("scope", "ѕсоре"), ("modern", "rnodern"), ("ά", "á"), ("ёж", "ëж"),
        ("oo", "оо"), ("epa", "ера"),
    ],
)  # fmt: skip
def test_names_that_look_alike_have_one_skeleton(one, other):
    assert skeleton(one) == skeleton(other)


def test_names_that_do_not_look_alike_have_two():
    found = [skeleton(one) for one in ("smith", "smyth", "müller", "muller", "дом", "dom", "σπίτι", "0", "o")]

    assert len(set(found)) == len(found)


def test_likeness_counts_only_where_a_letter_is_beyond_ascii():
    cyrillic, plain, other = read("ѕсоре"), read("scope"), read("rnodern")

    assert isinstance(cyrillic, Label)
    assert isinstance(plain, Label)
    assert isinstance(other, Label)
    assert labels.clash(cyrillic, "scope")
    assert labels.clash(plain, "ѕсоре")
    assert not labels.clash(other, "modern")
    assert not labels.clash(cyrillic, "ѕсоре")
    assert not labels.clash(cyrillic, "smith")


@given(st.text(st.characters(max_codepoint=0x2FFF), max_size=20))
def test_no_text_breaks_the_reader_and_what_it_takes_it_takes_again(written):
    label = read(written)
    if isinstance(label, Label):
        assert read(label.wire.decode()) == label
        assert 0 < len(label.wire) <= 63
        assert skeleton(label.skeleton) == label.skeleton


@given(st.text(max_size=12))
def test_a_skeleton_is_its_own(written):
    assert skeleton(skeleton(written)) == skeleton(written)


def test_the_table_of_skeletons_is_what_unicode_says():
    pytest.importorskip("confusable_homoglyphs")

    assert Path(skeleton_table.__file__).read_text() == write_skeletons.module()


# -- names that the registry makes


@pytest.mark.parametrize("style", STYLES)
def test_each_offer_after_a_taken_one_has_more_room(style):
    made = list(offers(style, LabelRules(), ZONE, random.Random(7).randrange))
    again = list(offers(style, LabelRules(), ZONE, random.Random(7).randrange))

    assert len(made) == TRIES
    assert [one.wire for one in made] == [one.wire for one in again]
    assert all(isinstance(read(one.wire.decode()), Label) for one in made)
    if style == "hex":
        assert [len(one.wire) for one in made[:3]] == [6, 8, 10]
    else:
        assert [one.shown.count("-") for one in made] == [1] * 3 + [2] * 3 + [3] * 6
        assert made[-1].shown[-6:].isdigit()


def test_offers_obey_the_rules_of_the_registry():
    assert list(offers("hex", LabelRules(reserved=("*",)), ZONE, random.Random(7).randrange)) == []
    assert [len(one.wire) for one in offers("hex", LabelRules(least=9, most=12), ZONE, random.Random(7).randrange)] == [
        10,
        12,
    ]


# -- tables


def test_tables_that_mix_scripts_are_told_from_those_that_people_write():
    assert not tables.mixes(LATIN.spans)
    assert not tables.mixes(GREEK.spans)
    assert not tables.mixes(CYRILLIC.spans)
    assert not tables.mixes(JAPANESE.spans)
    assert tables.mixes(tables.joined([*LATIN.spans, *CYRILLIC.spans]))
    assert tables.scripts(tables.joined([*LATIN.spans, *CYRILLIC.spans])) == ["CYRILLIC", "LATIN"]


def test_spans_are_joined_where_they_touch():
    assert tables.joined([(5, 9), (1, 3), (4, 4), (20, 22), (21, 30)]) == ((1, 9), (20, 30))
