"""Compact denial of existence (RFC 9824): the octets of its records, and what is answered, by whose signature."""

import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import pytest
from asking import UDP, aa, ede, query, rcode, section
from compacting import NOW, House, nsec
from hypothesis import given
from hypothesis import strategies as st
from signing import read

from ddns.answer.online import NeedSigned
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import from_text
from ddns.zone import compact
from ddns.zone.jobs import Asked, ProofJob
from zone_signer import denial, proving
from zone_signer.clockkeeper import ClockRefused
from zone_signer.denial import NameTooLong, chain_owner

ORIGIN = from_text("example.com.")
LINES = (
    "www 300 A 192.0.2.1",
    "x.ent 300 A 192.0.2.2",
    "*.w 300 A 192.0.2.3",
    "*.w 300 TXT hello",
    "*.alias 300 CNAME www",
    "chain 300 CNAME nowhere",
    "sub 300 NS ns.sub",
    "ns.sub 300 A 192.0.2.4",
    "safe 300 NS ns.elsewhere.test.",
    "safe 300 DS 1 13 2 " + "00" * 32,
    "moved 300 DNAME other",
)


def octets(text):
    """Return the RDATA of an NSEC record as dnspython writes it."""
    return dns.rdata.from_text("IN", "NSEC", text).to_wire()


# ---- the records, octet by octet -----------------------------------------------------------------


def test_the_record_of_a_name_that_does_not_exist_is_rfc_9824s_own_example():
    """§3.1: `a.example.com. 3600 IN NSEC \\000.a.example.com. RRSIG NSEC NXNAME`."""
    made = compact.absent(from_text("a.example.com."), ORIGIN)

    assert made == octets(r"\000.a.example.com. RRSIG NSEC TYPE128")
    types = bytes.fromhex("00110000000000030000000000000000000080")  # 46, 47 and 128
    assert made == b"\x01\x00\x01a\x07example\x03com\x00" + types


def test_the_record_of_a_delegation_is_rfc_9824s_own_example():
    """§3.4: `sub.example.com. 3600 IN NSEC sub\\000.example.com. NS RRSIG NSEC`."""
    following = compact.following(from_text("sub.example.com."), ORIGIN, cut=True)

    assert following + denial.bitmap(frozenset({Type.NS, Type.RRSIG, Type.NSEC})) == octets(
        r"sub\000.example.com. NS RRSIG NSEC"
    )


def test_a_name_that_a_wildcard_answers_for_has_the_types_of_the_wildcard_without_those_it_keeps():
    """§3.3, RFC 4592 §4.2: delegations, DNAMEs and the like of a wildcard are not for others."""
    own = octets(r"\000.*.w.example.com. A NS SOA TXT DNAME DS RRSIG NSEC TYPE128 TYPE300")

    made = compact.expanded(from_text("q.w.example.com."), ORIGIN, own)

    assert made == octets(r"\000.q.w.example.com. A TXT RRSIG NSEC TYPE300")


LABEL = st.binary(min_size=1, max_size=63).map(bytes.lower)


@given(labels=st.lists(LABEL, min_size=1, max_size=8), cut=st.booleans())
def test_nothing_can_stand_between_a_name_and_what_follows_it(labels, cut):
    name = ORIGIN
    for label in labels:
        if len(label) + 1 + len(name) <= 255:
            name = names.prepend(label, name)
    following = compact.following(name, ORIGIN, cut=cut)
    key, behind = names.order_key(name), names.order_key(following)
    asked = dns.name.from_wire(name, 0)[0]

    assert behind > key or following == ORIGIN
    assert dns.name.from_wire(following, 0)[0].is_subdomain(dns.name.from_wire(ORIGIN, 0)[0])
    assert names.is_subdomain(following, name) == (not cut and len(name) <= 253)
    if not cut and len(name) <= 253:
        assert dns.name.from_wire(following, 0)[0] == asked.successor(dns.name.from_wire(ORIGIN, 0)[0])
    if cut and following != ORIGIN:
        assert behind >= names.subtree_end(key)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (b"a" * 63, b"a" * 62 + b"b"),
        (b"a" * 62 + b"@", b"a" * 62 + b"["),  # what lies between are capitals, which are letters
        (b"a" * 61 + b"z\xff", b"a" * 61 + b"{"),
    ],
)
def test_a_delegation_whose_label_is_full_is_followed_by_the_next_label(label, expected):
    assert compact.behind(names.prepend(label, ORIGIN), ORIGIN) == names.prepend(expected, ORIGIN)


def test_the_longest_name_is_followed_by_one_that_is_no_longer():
    name = names.prepend(
        b"b" * 60, names.prepend(b"a" * 63, names.prepend(b"c" * 63, names.prepend(b"d" * 52, ORIGIN)))
    )
    assert len(name) == 255

    assert compact.successor(name, ORIGIN) == b"\x3c" + b"b" * 59 + b"c" + name[61:]


def test_a_zone_whose_name_leaves_no_room_is_signed_another_way():
    origin = b"\x3fa" + b"a" * 62 + (b"\x3f" + b"b" * 63) * 2 + b"\x3d" + b"c" * 61 + b"\0"
    assert len(origin) == 255

    with pytest.raises(NameTooLong, match="--denial nsec"):
        chain_owner("compact", origin, origin)


@pytest.mark.parametrize(
    ("apex", "expected"),
    [
        (r"\000.example.com. SOA NS RRSIG NSEC", True),
        ("example.com. SOA NS RRSIG NSEC", False),
        (r"\000.a.example.com. SOA NS RRSIG NSEC", False),
        ("a.example.com. SOA NS RRSIG NSEC", False),
    ],
)
def test_a_compact_zone_is_told_by_its_apex(apex, expected):
    assert compact.may_be_compact(ORIGIN, octets(apex)) is expected


@pytest.mark.parametrize("window", [False, True])
@pytest.mark.parametrize(("kind", "expected"), [("nsec", "NXDOMAIN"), ("compact", "NOERROR")])
@pytest.mark.parametrize("deeper", [(), (r"\000.\000 3600 A 192.0.2.2",)])
def test_a_zone_that_has_the_first_name_that_there_can_be_is_still_told(kind, expected, window, deeper):
    """The apex of a chain of names leads to it as well; anybody who may write in a zone may give it that name."""
    house = House("example.com.", *LINES, r"\000 3600 A 192.0.2.1", *deeper, denial=kind, window=window)

    answer = house.wire(query("nobody.example.com.", "A", do=True))

    assert dns.rcode.to_text(dns.message.from_wire(answer).rcode()) == expected
    assert bool(house.asked) == (kind == "compact")


# ---- the answers ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def house():
    return House("example.com.", *LINES)


def test_a_name_that_does_not_exist_has_no_data_and_says_so(house):
    """§3.1."""
    message = house("nowhere.example.com.")

    assert (rcode(message), aa(message), message.answer) == ("NOERROR", True, [])
    assert nsec(message) == {"nowhere.example.com.": (r"\000.nowhere.example.com.", "RRSIG NSEC NXNAME")}
    assert message.authority[0].rdtype == dns.rdatatype.SOA
    assert {one.ttl for one in message.authority} == {60}  # RFC 9077 §3: the lesser of the SOA's TTL and MINIMUM
    house.judge(message)


def test_a_type_that_does_not_exist_is_denied_by_what_is_signed_already(house):
    """§3.2: nobody is asked to sign."""
    before = len(house.asked)

    message = house("www.example.com.", "AAAA")

    assert nsec(message) == {"www.example.com.": (r"\000.www.example.com.", "A RRSIG NSEC")}
    assert len(house.asked) == before
    house.judge(message)


def test_an_empty_non_terminal_exists_and_has_nothing(house):
    """§3.2."""
    message = house("ent.example.com.")

    assert rcode(message) == "NOERROR"
    assert nsec(message) == {"ent.example.com.": (r"\000.ent.example.com.", "RRSIG NSEC")}
    house.judge(message)


def test_a_wildcards_answer_is_signed_for_the_name_that_was_asked_for(house):
    """§3.3: the labels are those of the name, and no other record is needed."""
    message = house("q.w.example.com.")

    assert section(message.answer) == ["q.w.example.com. A 192.0.2.3", "q.w.example.com. RRSIG(A)"]
    assert message.authority == []
    house.judge(message)


def test_a_wildcard_denies_a_type_with_the_types_that_it_has(house):
    """§3.3."""
    message = house("q.w.example.com.", "AAAA")

    assert (rcode(message), message.answer) == ("NOERROR", [])
    assert nsec(message) == {"q.w.example.com.": (r"\000.q.w.example.com.", "A TXT RRSIG NSEC")}
    house.judge(message)


def test_an_alias_of_a_wildcard_leads_on(house):
    message = house("q.alias.example.com.")

    assert section(message.answer) == [
        "q.alias.example.com. CNAME www.example.com.",
        "q.alias.example.com. RRSIG(CNAME)",
        "www.example.com. A 192.0.2.1",
        "www.example.com. RRSIG(A)",
    ]
    house.judge(message)


@pytest.mark.parametrize(
    ("name", "target"),
    [("chain.example.com.", "nowhere.example.com."), ("a.moved.example.com.", "a.other.example.com.")],
)
def test_what_is_denied_is_the_end_of_a_chain(house, name, target):
    message = house(name)

    assert rcode(message) == "NOERROR"
    assert nsec(message) == {target: (rf"\000.{target}", "RRSIG NSEC NXNAME")}
    house.judge(message)


def test_an_unsigned_delegation_is_proved_by_a_record_that_has_all_of_it(house):
    """§3.4."""
    message = house("deep.sub.example.com.")

    assert not aa(message)
    assert nsec(message) == {"sub.example.com.": (r"sub\000.example.com.", "NS RRSIG NSEC")}
    house.judge(message)


def test_a_delegations_ds_is_denied_in_the_same_words(house):
    message = house("sub.example.com.", "DS")

    assert (rcode(message), aa(message)) == ("NOERROR", True)
    assert nsec(message) == {"sub.example.com.": (r"sub\000.example.com.", "NS RRSIG NSEC")}
    house.judge(message)


def test_a_signed_delegation_needs_no_proof(house):
    message = house("deep.safe.example.com.")

    assert nsec(message) == {}
    assert {dns.rdatatype.to_text(one.rdtype) for one in message.authority} == {"NS", "DS", "RRSIG"}


def test_who_does_not_ask_for_signatures_gets_nxdomain(house):
    """§5."""
    before = len(house.asked)

    for name in ("nowhere.example.com.", "chain.example.com."):
        message = house(name, do=False)
        assert (rcode(message), nsec(message)) == ("NXDOMAIN", {})
    assert rcode(house("ent.example.com.", do=False)) == "NOERROR"
    assert len(house.asked) == before


@pytest.mark.parametrize("rdtype", ["A", "DS", "ANY"])
def test_who_understands_it_gets_nxdomain_with_the_same_proof(house, rdtype):
    """§5.1: the flag comes back."""
    message = house("nowhere.example.com.", rdtype, co=True)

    assert (rcode(message), message.ednsflags & 0xFFFF) == ("NXDOMAIN", 0xC000)
    assert nsec(message) == {"nowhere.example.com.": (r"\000.nowhere.example.com.", "RRSIG NSEC NXNAME")}
    house.judge(message)


@pytest.mark.parametrize(("name", "rdtype"), [("ent", "A"), ("www", "A"), ("www", "AAAA"), ("q.w", "A"), ("sub", "DS")])
def test_the_flag_comes_back_with_every_answer_of_such_a_zone(house, name, rdtype):
    message = house(f"{name}.example.com.", rdtype, co=True)

    assert (rcode(message), message.ednsflags & 0xFFFF) == ("NOERROR", 0xC000)


def test_nobody_gets_the_flag_who_did_not_send_it(house):
    assert house("nowhere.example.com.").ednsflags & 0xFFFF == 0x8000


@pytest.mark.parametrize("co", [False, True])
@pytest.mark.parametrize("name", ["nowhere", "www"])
def test_nobody_can_ask_for_the_type_that_means_nothing_is_there(house, name, co):
    """§3.5: FORMERR, and the extended error says why."""
    message = house(f"{name}.example.com.", "TYPE128", co=co)

    assert rcode(message) == "FORMERR"
    assert ede(message)[0] == 30


@pytest.mark.parametrize("name", ["nowhere", "q.w", "www", "ent"])
def test_who_asks_for_the_record_itself_gets_it_for_an_answer(house, name):
    """It says of itself that it is there: to deny it would be bogus."""
    message = house(f"{name}.example.com.", "NSEC")

    assert [one.rdtype for one in message.answer] == [dns.rdatatype.NSEC, dns.rdatatype.RRSIG]
    assert str(message.answer[0].name) == f"{name}.example.com."
    house.judge(message)


def test_who_asks_for_what_signs_it_gets_that(house):
    message = house("nowhere.example.com.", "RRSIG")

    assert section(message.answer) == ["nowhere.example.com. RRSIG(NSEC)"]


@pytest.mark.parametrize("rdtype", ["ANY", "RRSIG"])
def test_a_wildcard_answers_for_everything_with_something_signed(house, rdtype):
    message = house("q.w.example.com.", rdtype)

    assert [str(one.name) for one in message.answer] == ["q.w.example.com."] * len(message.answer) != []
    assert all(made.labels == 4 for one in message.answer if one.rdtype == dns.rdatatype.RRSIG for made in one)
    house.judge(message) if rdtype == "ANY" else None


def test_a_name_with_a_star_in_it_is_a_name_like_any_other(house):
    message = house("*.nowhere.example.com.")

    assert nsec(message) == {"*.nowhere.example.com.": (r"\000.*.nowhere.example.com.", "RRSIG NSEC NXNAME")}
    house.judge(message)


def test_the_longest_name_is_denied(house):
    name = ".".join(["d" * 63, "c" * 63, "b" * 63, "a" * 47]) + ".example.com."
    assert len(from_text(name)) in (253, 254, 255)

    message = house(name)

    assert list(nsec(message)) == [name]
    house.judge(message)


@pytest.mark.parametrize("algorithm", [13, 14, 15, 8])
def test_every_algorithm_denies(algorithm):
    house = House("example.com.", *LINES, algorithm=algorithm)

    for name in ("nowhere", "q.w"):
        message = house(f"{name}.example.com.")
        assert message.answer or nsec(message)
        house.judge(message)


# ---- what is kept --------------------------------------------------------------------------------


def test_a_name_is_signed_once_and_again_after_the_next_edition_or_an_hour():
    house = House("example.com.", *LINES)
    for _ in range(3):
        house("nowhere.example.com.")
    assert len(house.asked) == 1

    house.publish(house.content)
    house("nowhere.example.com.")
    assert len(house.asked) == 2

    house.now += proving.GIVEN - 1
    house("nowhere.example.com.")
    assert len(house.asked) == 2

    house.now += 1
    house.judge(house("nowhere.example.com."))
    assert len(house.asked) == 3


def test_a_name_that_comes_to_be_is_denied_no_more():
    house = House("example.com.", *LINES)
    house("nowhere.example.com.")

    house.publish(read("example.com.", *LINES, "nowhere 300 A 192.0.2.9"))

    assert section(house("nowhere.example.com.").answer)[0] == "nowhere.example.com. A 192.0.2.9"


def test_what_is_kept_is_bounded_in_octets():
    house = House("example.com.", *LINES, memory=20_000)
    for number in range(60):
        house(f"n{number}.example.com.")
        assert house.proofs.octets <= 20_000
    assert 10 < len(house.proofs) < 40

    asked = len(house.asked)
    house("n59.example.com.")
    assert len(house.asked) == asked
    house("n0.example.com.")
    assert len(house.asked) == asked + 1


# ---- what the signer signs, and what not ---------------------------------------------------------


def job(house, *asked, ttl=60, edition=1, origin=ORIGIN, zone=1):
    return ProofJob(zone, origin, edition, ttl, asked)


def absent(text):
    return Asked(from_text(text))


def wild(house, name, rdtype=Type.A, at="*.w.example.com."):
    return Asked(from_text(name), house.shown[from_text(at), rdtype])


@pytest.mark.parametrize(
    "name",
    [
        ORIGIN,
        from_text("example.org."),
        from_text("com."),
        from_text("www.example.com.").upper(),
        b"\x03www\xc0\x0c",
        b"\x40" + b"a" * 64 + ORIGIN,
        from_text("www.example.com.") + b"x",
        b"",
        b"\x03ww",
    ],
)
def test_only_names_below_the_apex_are_denied(house, name):
    (proven,) = house.prover.prove([job(house, Asked(name), absent("nowhere.example.com."))])

    assert proven.error == ""
    assert [len(sigs) for sigs in proven.sigs] == [0, 1]  # and its neighbour is none the worse for it


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"ttl": -1}, "TTL"),
        ({"ttl": compact.MOST_TTL + 1}, "TTL"),
        ({"origin": from_text("example.")}, "no key"),
        ({"zone": 2}, "no key"),
    ],
)
def test_a_job_that_is_not_of_this_zone_is_refused(house, changed, says):
    (proven,) = house.prover.prove([job(house, absent("nowhere.example.com."), **changed)])

    assert says in proven.error or "key" in proven.error
    assert proven.sigs == ()


@pytest.mark.parametrize("much", [0, proving.AT_ONCE + 1])
def test_a_job_has_a_bounded_number_of_names(house, much):
    (proven,) = house.prover.prove([job(house, *[absent("nowhere.example.com.")] * much)])

    assert (proven.sigs, "names" in proven.error) == ((), True)


def test_a_zone_that_denies_in_another_way_has_nothing_signed():
    house = House("example.com.", *LINES)
    kept = house.rows.kept
    house.rows.kept = type(kept)(kept.sealed, kept.records, kept.policy, kept.keyset, kept.newest, "nsec")

    (proven,) = house.prover.prove([job(house, absent("www.example.com."))])

    assert proven.error == "the zone does not deny in this way"


def forged(house, **changed):
    there = house.shown[from_text("*.w.example.com."), int(Type.A)]
    values = {name: getattr(there, name) for name in there.__struct_fields__} | changed
    return Asked(from_text("q.w.example.com."), type(there)(**values))


@pytest.mark.parametrize(
    "changed",
    [
        {"rdatas": (b"\xc0\x00\x02\x63",)},
        {"rdatas": ()},
        {"ttl": 301},
        {"ttl": -1},
        {"type": int(Type.TXT)},
        {"type": int(Type.NS)},
        {"type": int(Type.DS)},
        {"name": from_text("*.example.com.")},
        {"name": from_text("w.example.com.")},
        {"name": from_text("*.q.w.example.com.")},
        {"name": b"\x01*"},
        {"sigs": ()},
        {"sigs": (b"",)},
        {"sigs": (b"\0" * 96,)},
        {"rdatas": (b"x" * 70_000,)},
        {"type": 0},
        {"type": 1 << 16},
        {"type": -1},
    ],
)
def test_a_wildcard_gives_only_what_the_zones_keys_have_signed_there(house, changed):
    (proven,) = house.prover.prove([job(house, forged(house, **changed))])

    assert (proven.error, proven.sigs) == ("", ((),))


def test_a_wildcard_gives_nothing_to_itself_or_elsewhere(house):
    asked = [wild(house, name) for name in ("w.example.com.", "*.w.example.com.", "q.example.com.", "q.w.example.org.")]

    (proven,) = house.prover.prove([job(house, *asked, wild(house, "a.b.w.example.com."))])

    assert [len(sigs) for sigs in proven.sigs] == [0, 0, 0, 0, 1]


def test_data_of_a_name_that_is_no_wildcard_is_signed_for_no_other(house):
    there = house.shown[from_text("www.example.com."), int(Type.A)]

    (proven,) = house.prover.prove([job(house, Asked(from_text("q.example.com."), there))])

    assert proven.sigs == ((),)


def test_the_keys_of_another_zone_have_signed_nothing_here(house):
    other = House("example.com.", *LINES)

    (proven,) = house.prover.prove([job(house, wild(other, "q.w.example.com."))])

    assert proven.sigs == ((),)


def test_nothing_is_valid_for_longer_than_at_the_wildcard():
    house = House("example.com.", *LINES)
    asked = wild(house, "q.w.example.com.")
    ends = int.from_bytes(asked.wildcard.sigs[0][8:12], "big")

    house.now = ends - 60
    (proven,) = house.prover.prove([job(house, asked)])
    assert int.from_bytes(proven.sigs[0][0][8:12], "big") == ends
    assert proven.until == ends

    house.now = ends
    (proven,) = house.prover.prove([job(house, asked)])
    assert proven.sigs == ((),)


def test_a_denial_outlives_its_ttl_and_what_a_server_may_give_out(house):
    (proven,) = house.prover.prove([job(house, absent("nowhere.example.com."), ttl=compact.MOST_TTL)])
    ((sig,),) = proven.sigs

    assert proven.until == house.now + proving.GIVEN
    assert int.from_bytes(sig[8:12], "big") == house.now + proving.VALID >= proven.until + compact.MOST_TTL
    assert int.from_bytes(sig[12:16], "big") == house.now - 3600


def test_the_signer_signs_no_more_than_so_many_a_second_whoever_asks():
    house = House("example.com.", *LINES)
    jobs = [job(house, *[absent(f"n{number}.example.com.") for number in range(250)]) for _ in range(16)]
    assert proving.MOST == 250 * 16

    assert [one.error for one in house.prover.prove(jobs)] == [""] * 16
    (refused,) = house.prover.prove([job(house, absent("one.example.com."))])
    assert refused.error == "the signer signs 4000 denials a second, and no more"

    house.ticks += 1 / proving.MOST
    done, refused = house.prover.prove([job(house, absent("one.example.com.")), job(house, absent("two.example.com."))])
    assert (done.error, bool(refused.error)) == ("", True)


def test_keys_are_read_again_for_a_later_edition_and_after_a_while():
    house = House("example.com.", *LINES)

    def ask(edition):
        (proven,) = house.prover.prove([job(house, absent("nowhere.example.com."), edition=edition)])
        assert proven.error == ""
        return house.rows.asked

    assert [ask(5), ask(5), ask(4), ask(6), ask(6)] == [1, 1, 1, 2, 2]
    house.ticks += proving.FRESH
    assert [ask(6), ask(6)] == [3, 3]


def test_a_number_that_nobody_can_know_is_not_believed_for_long():
    """A server that was taken over says that it is far ahead: the others still see the keys change."""
    house = House("example.com.", *LINES)
    house.prover.prove([job(house, absent("nowhere.example.com."), edition=1 << 62)])

    house.ticks += proving.FRESH
    house.prover.prove([job(house, absent("nowhere.example.com."), edition=7)])

    assert house.rows.asked == 2


def test_a_clock_that_went_back_signs_nothing():
    house = House("example.com.", *LINES)
    kept = house.rows.kept
    house.rows.kept = type(kept)(kept.sealed, kept.records, kept.policy, kept.keyset, NOW, "compact")
    house.now = NOW - 7200

    (proven,) = house.prover.prove([job(house, absent("nowhere.example.com."))])

    assert "the clock is" in proven.error


def test_a_clock_that_is_not_believed_signs_nothing_and_says_so(house):
    def refused():
        raise ClockRefused("the clock leapt")

    (proven,) = proving.Prover(house.ring, house.rows, refused).prove([job(house, absent("nowhere.example.com."))])

    assert (proven.error, proven.sigs) == ("the clock leapt", ())


def test_a_question_waits_for_all_that_its_answer_needs_at_once():
    """Two wildcards in one chain are one turn, not two."""
    house = House("example.com.", "*.a 300 CNAME q.b", "*.b 300 A 192.0.2.1")

    needed = house.responder.respond(query("q.a.example.com.", do=True), UDP)

    assert isinstance(needed, NeedSigned)
    assert [names.to_text(need.name) for need in needed.needs] == ["q.a.example.com.", "q.b.example.com."]
    house.judge(house("q.a.example.com."))
