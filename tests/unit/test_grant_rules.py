"""The language of grants, rule by rule: which names, types and numbers each means, and what denials take away."""

from __future__ import annotations

import ipaddress

import msgspec
import pytest

from ddns.auth import grants
from ddns.auth.grants import Rules
from ddns.auth.principal import ASSURANCES, RULES, Credential, Grant
from ddns.dns import names
from ddns.dns.codes import Ede, Rcode
from ddns.dns.names import Name
from ddns.dns.records import RRset
from ddns.dns.refusal import Refusal
from ddns.zone.changes import RRsetChange

ZONE = 7
ORIGIN = names.from_text("lab.example.")
KEY = names.from_text("gw.lab.example.")
ELSEWHERE = names.from_text("gw.example.net.")
A, NS, CNAME, MX, TXT, AAAA, ANY = 1, 2, 5, 15, 16, 28, 255
LONG = ".".join(["a" * 63] * 3) + "." + "b" * 47  # 255 octets with the rest


def n(text: str) -> Name:
    return names.from_text(text, ORIGIN)


def rule(kind: str = "zone", name: str = "@", *, types: tuple[int, ...] = (), **more: object) -> Grant:
    where = ORIGIN if name == "@" else n(name)
    return Grant(ZONE, where, frozenset(types) or None, kind, **more)


def key(*granted: Grant, called: Name = KEY, **more: object) -> Credential:
    numbered = [msgspec.structs.replace(one, id=number) for number, one in enumerate(granted, 1)]
    return Credential(1, called, "sig0", "13", grants=tuple(numbered), **more)


def rules(credential: Credential, *everybody: Grant, is_home: bool = False) -> Rules:
    return Rules(credential, ZONE, ORIGIN, is_home=is_home, everybody=everybody)


def code(refusal: Refusal | None) -> str:
    """Return a refusal's code, or nothing; whatever it says, it is REFUSED, prohibited, and a sentence."""
    if refusal is None:
        return ""
    assert (refusal.rcode, refusal.ede) == (Rcode.REFUSED, Ede.PROHIBITED)
    assert refusal.text.endswith(".")
    assert any(names.to_text(one) in refusal.text for one in (KEY, ELSEWHERE, ORIGIN))
    return refusal.code


def change(name: str, rdtype: int, before: int, after: int) -> RRsetChange:
    """Return a change from so many records of a type to so many: the first ones stay."""

    def rrset(number: int) -> RRset | None:
        return RRset(n(name), rdtype, 60, tuple(bytes((0, 0, 0, one)) for one in range(number))) if number else None

    return RRsetChange(n(name), rdtype, rrset(before), rrset(after))


# rule, its name, the name that is asked for, the type, whether that is meant
MEANS = [
    ("zone", "@", "@", A, True),
    ("zone", "@", "a.b.c", TXT, True),
    ("zone", "@", "*.x", ANY, True),
    ("subdomain", "x", "x", A, True),
    ("subdomain", "x", "a.b.x", A, True),
    ("subdomain", "x", "X", A, True),
    ("subdomain", "x", "*.x", A, True),
    ("subdomain", "x", "xx", A, False),
    ("subdomain", "x", "a-x", A, False),
    ("subdomain", "x", "@", A, False),
    ("subdomain", "x", r"a\.x", A, False),  # one label with a dot in it
    ("subdomain", "x", r"\001x", A, False),  # octets that look like a label's length
    ("subdomain", "x", r"a\001x", A, False),
    ("subdomain", "x", r"\000.x", A, True),
    ("subdomain", r"a\.b", r"a\.b", A, True),
    ("subdomain", r"a\.b", "a.b", A, False),
    ("subdomain", "x", LONG + ".x", A, True),
    ("name", "x", "x", A, True),
    ("name", "x", "X", ANY, True),
    ("name", "x", "a.x", A, False),
    ("name", "x", "*.x", A, False),
    ("name", "@", "@", A, True),
    ("name", "@", "x", A, False),
    ("name", "*.x", "*.x", A, True),  # the asterisk itself, no pattern
    ("name", "*.x", "a.x", A, False),
    ("self", "gw", "gw", A, True),
    ("self", "gw", "GW", A, True),
    ("self", "gw", "a.gw", A, False),
    ("self", "gw", "@", A, False),
    ("selfsub", "gw", "gw", A, True),
    ("selfsub", "gw", "a.b.gw", A, True),
    ("selfsub", "gw", "agw", A, False),
    ("wildcard", "*.x", "a.x", A, True),
    ("wildcard", "*.x", "a.b.x", A, True),  # BIND's: at any depth
    ("wildcard", "*.x", "*.x", A, True),
    ("wildcard", "*.x", "x", A, False),
    ("wildcard", "*.x", "ax", A, False),
    ("wildcard", "*", "a", A, True),
    ("wildcard", "*", "@", A, False),
    ("wildcard", "*.*.x", "a.*.x", A, True),  # below the name whose first label is an asterisk
    ("wildcard", "*.*.x", "a.b.x", A, False),
    ("acme", "x", "_acme-challenge.x", TXT, True),
    ("acme", "x", "_ACME-Challenge.x", TXT, True),
    ("acme", "x", "_acme-challenge.a.b.x", TXT, True),
    ("acme", "x", "_acme-challenge.*.x", TXT, True),
    ("acme", "@", "_acme-challenge", TXT, True),
    ("acme", "x", "_acme-challenge", TXT, False),
    ("acme", "x", "_acme-challenge.y", TXT, False),
    ("acme", "x", "x", TXT, False),
    ("acme", "x", "a._acme-challenge.x", TXT, False),
    ("acme", "x", "a-acme-challenge.x", TXT, False),
    ("acme", "x", r"_acme-challenge\.x", TXT, False),
    ("acme", "x", r"_acme-challenge\.a.x", TXT, False),
    ("acme", "x", "_acme-challenge2.x", TXT, False),
    ("acme", "x", "_acme-challenge.xx", TXT, False),
    ("acme", "x", "_acme-challenge.x", CNAME, False),
    ("acme", "x", "_acme-challenge.x", NS, False),
    ("acme", "x", "_acme-challenge.x", ANY, False),
    ("within", "x", "x", A, True),
    ("within", "x", "a.b.x", ANY, True),
    ("within", "x", "xx", A, False),
    ("within", "x", "@", A, False),
    ("within", "x-*", "x-1", A, True),
    ("within", "x-*", "x-", A, True),
    ("within", "x-*", "a.b.x-1", A, True),
    ("within", "x-*", "x", A, False),
    ("within", "x-*", "x-1.b", A, False),
    ("within", "x-*.b", "x-1.b", A, True),
    ("within", "x-*.b", "b", A, False),
    ("within", "*", "a", A, True),
    ("within", "*", "a.b", A, True),
    ("within", "*", "@", A, False),
]


@pytest.mark.parametrize(("kind", "name", "asked", "rdtype", "meant"), MEANS)
def test_a_grant_gives_the_names_that_its_rule_means(kind, name, asked, rdtype, meant):
    """And a denial of the same words takes exactly those from a key that may write everything."""
    granted = rules(key(rule(kind, name))).refuse([(n(asked), rdtype)])
    denied = rules(key(rule("zone"), rule(kind, name, denied="no"))).refuse([(n(asked), rdtype)])

    assert code(granted) == ("" if meant else "name-not-granted")
    assert code(denied) == ("denied-by-rule" if meant else "")


def test_the_table_has_every_rule():
    assert {row[0] for row in MEANS} == set(RULES)


@pytest.mark.parametrize(
    ("name", "home", "there"),
    [
        ("lock.example.", "smith.example.", "lock.smith.example."),
        ("a.lock-*.example.", "smith.example.", "a.lock-*.smith.example."),
        ("x" * 63 + ".example.", "smith.example.", "x" * 63 + ".smith.example."),
    ],
)
def test_a_rule_within_homes_is_about_the_names_of_each(name, home, there):
    one = Grant(ZONE, names.from_text(name), None, "within", denied="no", homes=True)

    assert one.for_home(names.from_text(home)) == msgspec.structs.replace(one, name=names.from_text(there))


def test_a_rule_within_homes_whose_names_a_home_cannot_have_means_none_there():
    one = Grant(ZONE, n(LONG), None, "within", denied="no", homes=True)

    assert one.for_home(n("smith")) is None
    other = rule("subdomain", "x")
    assert other.for_home(n("smith")) is other


@pytest.mark.parametrize(
    ("networks", "rdtype", "address", "taken"),
    [
        (("10.0.0.0/8",), A, "10.1.2.3", True),
        (("10.0.0.0/8",), A, "9.255.255.255", False),
        (("10.0.0.0/8",), A, "11.0.0.0", False),
        (("192.0.2.1/32",), A, "192.0.2.1", True),
        (("10.0.0.0/8",), AAAA, "::ffff:10.1.2.3", True),
        (("10.0.0.0/8",), AAAA, "0a01::", False),
        (("fd00::/8", "10.0.0.0/8"), AAAA, "fdff::1", True),
        (("fd00::/8",), A, "253.0.0.1", False),
        (("::/0",), A, "192.0.2.1", False),
        (("0.0.0.0/0",), A, "192.0.2.1", True),
    ],
)
def test_a_denial_of_networks_takes_their_addresses_and_no_others(networks, rdtype, address, taken):
    denial = rule("zone", types=(A, AAAA), denied="private", id=9, addresses=networks)
    ours = rules(key(rule("zone")), denial)
    octets = ipaddress.ip_address(address).packed
    there = RRset(n("x"), rdtype, 60, (octets,))

    assert ours.refuse([(n("x"), rdtype)]) is None
    refusal = ours.refuse_outcome([RRsetChange(n("x"), rdtype, None, there)])
    assert code(refusal) == ("address-not-allowed" if taken else "")
    assert refusal is None or f"the address {ipaddress.ip_address(octets)} at x.lab.example.: private" in refusal.text
    assert ours.refuse_outcome([RRsetChange(n("x"), rdtype, there, None)]) is None
    stays = RRset(n("x"), rdtype, 90, (octets,))
    assert ours.refuse_outcome([RRsetChange(n("x"), rdtype, there, stays)]) is None


def test_a_denial_of_networks_spares_other_names_other_types_and_keys_of_more_assurance():
    denial = rule("name", "x", types=(A, AAAA), denied="no", id=9, addresses=("10.0.0.0/8",), min_assurance="qr")
    change_of = {
        name: RRsetChange(n(name), A, None, RRset(n(name), A, 60, (bytes((10, 0, 0, 1)),))) for name in ("x", "y")
    }
    text = RRsetChange(n("x"), TXT, None, RRset(n("x"), TXT, 60, (b"\x03abc",)))

    low, high = rules(key(rule("zone")), denial), rules(key(rule("zone"), assurance="qr"), denial)

    assert "needs the assurance qr" in low.refuse_outcome([change_of["x"]]).text
    assert low.refuse_outcome([change_of["y"], text]) is None
    assert high.refuse_outcome([change_of["x"]]) is None


def test_a_rule_of_another_zone_means_nothing():
    """Even where the name would fit."""
    elsewhere = msgspec.structs.replace(rule("zone"), zone=8)

    assert code(rules(key(elsewhere)).refuse([(n("x"), A)])) == "zone-not-granted"
    assert code(rules(key(rule(), msgspec.structs.replace(elsewhere, denied="no"))).refuse([(n("x"), A)])) == ""


def test_grants_add_up_in_any_order():
    granted = [rule("name", "x", types=(A,)), rule("name", "x", types=(TXT,)), rule("subdomain", "y")]

    for some in (granted, granted[::-1]):
        held = rules(key(*some))
        assert code(held.refuse([(n("x"), A), (n("x"), TXT), (n("a.y"), ANY)])) == ""
        assert code(held.refuse([(n("x"), AAAA)])) == "name-not-granted"
        assert code(held.refuse([(n("x"), ANY)])) == "name-not-granted"


def test_a_denial_wins_in_any_order():
    granted = [rule("zone", types=(A, MX)), rule("name", "x", types=(MX,), denied="no mail"), rule("name", "x")]

    for some in (granted, granted[::-1]):
        held = rules(key(*some))
        assert code(held.refuse([(n("x"), A), (n("y"), MX)])) == ""
        assert code(held.refuse([(n("x"), MX)])) == "denied-by-rule"


def test_a_denial_by_itself_gives_nothing():
    """A key with nothing but a denial is a stranger, and does not even come in."""
    held = key(rule("name", "x", denied="no"))

    assert code(rules(held).refuse([(n("y"), A)])) == "zone-not-granted"
    assert not grants.enters(held, ZONE, ORIGIN, is_home=False)


def test_strangers_do_not_read_the_reasons_of_denials():
    """What is not granted is refused as not granted, whatever denies it too."""
    everybody = rule("zone", denied="the secret reason")

    assert code(rules(key(), everybody).refuse([(n("x"), A)])) == "zone-not-granted"
    assert code(rules(key(rule("name", "y")), everybody).refuse([(n("x"), A)])) == "name-not-granted"


def test_a_denial_for_everybody_binds_a_homes_own_key():
    """Its right to its home is a grant like any other."""
    own = key(called=ORIGIN, home=ZONE)
    held = rules(own, rule("zone", types=(MX,), denied="no mail here", id=12), is_home=True)

    refusal = held.refuse([(n("x"), A), (ORIGIN, MX)])

    assert isinstance(refusal, Refusal)
    assert refusal.code == "denied-by-rule"
    assert refusal.text == "Rule 12 denies the key lab.example. lab.example. MX: no mail here; leave it out."
    assert held.refuse([(n("x"), A), (ORIGIN, TXT), (ORIGIN, ANY)]) is None


def test_self_in_a_denial_for_homes_is_the_homes_name():
    """Whatever its keys are called."""
    bound = key(called=ELSEWHERE, home=ZONE)
    held = rules(bound, rule("self", denied="no", homes=True), is_home=True)

    assert code(held.refuse([(ORIGIN, A)])) == "denied-by-rule"
    assert code(held.refuse([(KEY, A)])) == ""


@pytest.mark.parametrize(
    ("kind", "name", "denied"),
    [
        ("wildcard", "*.example.", True),
        ("wildcard", "*.cam.lab.example.", True),
        ("subdomain", "lab.example.", True),
        ("name", "x.cam.lab.example.", True),
        ("acme", "example.", False),
        ("subdomain", "other.example.", False),
        ("name", "x.cam.other.example.", False),
        ("wildcard", "*.other.example.", False),
    ],
)
def test_a_denial_for_homes_may_name_names_above_and_beside_a_home(kind, name, denied):
    """It means in each home what it says, and nothing in a home whose names it does not speak of."""
    own = key(called=ELSEWHERE, home=ZONE)
    bound = msgspec.structs.replace(rule(kind, homes=True, denied="no"), name=names.from_text(name))

    refusal = rules(own, bound, is_home=True).refuse([(n("x.cam"), A)])

    assert code(refusal) == ("denied-by-rule" if denied else "")


def test_a_whole_name_is_deleted_where_all_types_are_granted_and_nothing_denied_is_there():
    """A denial of some types is asked of what the deletion took away."""
    held = rules(key(rule("zone"), rule("zone", types=(MX,), denied="no")))

    assert code(held.refuse([(n("x"), ANY)])) == ""
    assert code(held.refuse_outcome([change("x", A, 1, 0)])) == ""
    assert code(held.refuse_outcome([change("x", A, 1, 0), change("x", MX, 1, 0)])) == "denied-by-rule"


@pytest.mark.parametrize(
    ("before", "after", "refused"),
    [(0, 2, False), (0, 3, True), (2, 3, True), (1, 2, False), (5, 4, False), (5, 0, False)],
)
def test_a_number_bounds_what_is_there_after_the_update(before, after, refused):
    """At n and at n + 1; what only takes records away is never too many."""
    held = rules(key(rule("zone", types=(A,), most=((A, 2),))))

    refusal = held.refuse_outcome([change("x", A, before, after)])

    assert code(refusal) == ("too-many-for-rule" if refused else "")


def test_replacing_a_record_in_a_set_that_is_too_long_is_refused():
    """The set stays as long as it was, but what is new in it goes beyond the number."""
    held = rules(key(rule("zone", types=(A,), most=((A, 2),))))
    old = RRset(n("x"), A, 60, (b"1", b"2", b"3"))

    def outcome(*rdatas: bytes, ttl: int = 60) -> str:
        return code(held.refuse_outcome([RRsetChange(n("x"), A, old, RRset(n("x"), A, ttl, rdatas))]))

    assert outcome(b"1", b"2", b"4") == "too-many-for-rule"
    assert outcome(b"1", b"2", b"3", ttl=90) == ""
    assert outcome(b"1", b"4") == ""


def test_the_most_generous_grant_counts_and_the_strictest_denial():
    one, three = rule(types=(A,), most=((A, 1),)), rule("name", "x", types=(A,), most=((A, 3),))
    free = rule("name", "y", types=(A,))
    strict = rule(types=(A,), most=((A, 2),), denied="two are enough")

    granted = rules(key(one, three, free))
    assert [code(granted.refuse_outcome([change(*row)])) for row in (("x", A, 0, 3), ("y", A, 0, 9))] == ["", ""]
    assert code(granted.refuse_outcome([change("x", A, 0, 4)])) == "too-many-for-rule"
    assert code(granted.refuse_outcome([change("z", A, 0, 2)])) == "too-many-for-rule"
    denied = rules(key(one, three, free, strict))
    assert code(denied.refuse([(n("y"), A)])) == ""
    assert code(denied.refuse_outcome([change("y", A, 0, 2)])) == ""
    assert code(denied.refuse_outcome([change("y", A, 0, 3)])) == "too-many-for-rule"
    assert denied.decide(n("y"), A).most == 2
    assert denied.decide(n("z"), A).most == 1


def test_numbers_bind_a_homes_owner_only_by_denials():
    own = key(rule(types=(A,), most=((A, 1),)), called=ELSEWHERE, home=ZONE)

    assert code(rules(own, is_home=True).refuse_outcome([change("x", A, 0, 9)])) == ""
    bound = rules(own, rule(types=(A,), most=((A, 4),), denied="four"), is_home=True)
    assert code(bound.refuse_outcome([change("x", A, 0, 5)])) == "too-many-for-rule"


@pytest.mark.parametrize("level", ASSURANCES)
@pytest.mark.parametrize("needed", ASSURANCES)
def test_a_grant_needs_its_assurance_and_a_denial_spares_it(level, needed):
    enough = ASSURANCES.index(level) >= ASSURANCES.index(needed)

    granted = rules(key(rule(min_assurance=needed), assurance=level))
    spared = rules(key(rule(), rule("name", "lock", min_assurance=needed, denied="locks"), assurance=level))

    assert code(granted.refuse([(n("x"), A)])) == ("" if enough else "assurance-too-low")
    assert code(spared.refuse([(n("lock"), A)])) == ("" if enough else "denied-by-rule")
    assert code(spared.refuse([(n("x"), A)])) == ""


def test_where_only_assurance_is_missing_the_refusal_says_so():
    held = rules(key(rule("name", "x", min_assurance="attested"), rule("name", "y"), assurance="token"))

    assert code(held.refuse([(n("x"), A)])) == "assurance-too-low"
    assert code(held.refuse([(n("z"), A)])) == "name-not-granted"


def test_a_key_for_certificates_may_not_ask_about_other_names():
    """Its prerequisites are those about its own TXT records; a key with more rights may ask about everything."""
    acme = rule("acme", "x", types=(TXT,))
    mine, other = n("_acme-challenge.x"), n("www")

    assert code(rules(key(acme)).refuse([(mine, TXT)], [mine])) == ""
    assert code(rules(key(acme)).refuse([(mine, TXT)], [mine, other])) == "prerequisite-not-granted"
    assert code(rules(key(acme)).refuse([], [ORIGIN])) == "prerequisite-not-granted"
    assert code(rules(key(acme, rule("name", "y"))).refuse([(mine, TXT)], [other])) == ""
    assert code(rules(key(acme, called=ELSEWHERE, home=ZONE), is_home=True).refuse([(mine, TXT)], [other])) == ""


def test_an_invitation_has_no_rights_by_any_rule():
    held = key(*(rule(kind, "gw") for kind in RULES), invitation=5)

    assert code(rules(held).refuse([(KEY, A)])) == "zone-not-granted"


def test_a_refusal_names_the_rule_that_comes_near():
    """By its number and its types, or says that none covers the name."""
    held = rules(key(rule("name", "x", types=(A, AAAA)), rule("acme", "x")))

    near = held.refuse([(n("x"), TXT)])
    far = held.refuse([(n("y"), A)])

    assert near is not None
    assert "it has only rule 1 for A,AAAA" in near.text
    assert far is not None
    assert "none of its rules covers that name" in far.text


def test_a_decision_tells_which_rules_allow_it():
    held = rules(key(rule("name", "x"), rule("subdomain", "y"), rule(types=(A,), most=((A, 2),))))

    assert [one.id for one in held.decide(n("x"), A).grants] == [1, 3]
    assert held.decide(n("x"), A).most is None
    assert held.decide(n("z"), A).bounded_by is not None
    assert code(held.decide(n("z"), TXT).refusal) == "name-not-granted"


def test_thousands_of_rules_are_looked_at_by_name():
    """An update of many records by a key with many rules is no way to keep a processor busy."""
    granted = [rule("name", f"h{number}", types=(A,)) for number in range(5000)]
    looked = 0

    class Counted(Grant):
        def means(self, key: Name, name: Name, rdtype: int) -> bool:
            nonlocal looked
            looked += 1
            return super().means(key, name, rdtype)

    counted = [Counted(**{field: getattr(one, field) for field in one.__struct_fields__}) for one in granted]
    held = rules(Credential(1, KEY, "sig0", "13", grants=tuple(counted)))

    assert held.refuse([(n(f"h{number}"), A) for number in range(1000)]) is None
    assert looked == 1000
