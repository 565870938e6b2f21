"""Random rules and random updates against a second reading of the language: nothing that is denied is ever written."""

from __future__ import annotations

import dns.name
from craft import ANY, IN, NONE, ORIGIN, message, name, rdata, rr, rrsets_of
from hypothesis import given, settings
from hypothesis import strategies as st

from ddns.auth.grants import Rules
from ddns.auth.principal import ASSURANCES, Credential, Grant
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.refusal import Refusal
from ddns.zone import update as updates
from ddns.zone.changes import ChangeSet
from ddns.zone.view import View

ZONE = 7
KEY = name("cam")  # a device's, by its name: of a home that it is bound to it owns nothing
ELSEWHERE = names.from_text("gw.example.net.")
TEXTS = {
    "A": [f"192.0.2.{number}" for number in range(1, 5)],
    "TXT": ['"one"', '"two"', '"three"'],
    "MX": ["10 a.example.", "20 b.example."],
}
OWNERS = ["@", "cam", "a.cam", "x.a.cam", "camera", "*.cam", "_acme-challenge", "_acme-challenge.cam", r"a\.cam"]
TYPES = {int(Type.A), int(Type.TXT), int(Type.MX)}

owner = st.sampled_from(OWNERS)
data = st.sampled_from(sorted(TEXTS)).flatmap(lambda kind: st.tuples(st.just(kind), st.sampled_from(TEXTS[kind])))
adding = st.tuples(st.just("add"), owner, data)
removing = st.tuples(st.just("remove"), owner, data)
clearing = st.tuples(st.just("clear"), owner, st.sampled_from([*sorted(TEXTS), "ANY"]))
crowding = owner.flatmap(
    lambda where: st.lists(st.tuples(st.just("add"), st.just(where), data), min_size=3, max_size=6)
)
operations = st.lists(adding | removing | clearing, min_size=1, max_size=6) | crowding
content = st.lists(st.tuples(owner, data), max_size=8)


@st.composite
def rule(draw) -> Grant:
    kind = draw(st.sampled_from(["zone", "subdomain", "name", "self", "selfsub", "wildcard", "acme"]))
    where = name(draw(st.sampled_from(["*", "*.cam"] if kind == "wildcard" else OWNERS)))
    types = draw(st.none() | st.frozensets(st.sampled_from(sorted(TYPES)), min_size=1))
    most = tuple((one, draw(st.integers(1, 2))) for one in sorted(types or ()) if draw(st.integers(0, 3)))
    return Grant(
        zone=draw(st.sampled_from([ZONE, ZONE, ZONE, 8])),
        name=where,
        types=frozenset({int(Type.TXT)}) if kind == "acme" else types,
        rule=kind,
        most=() if kind == "acme" else most,
        min_assurance=draw(st.none() | st.sampled_from(["token", "manual", "attested"])),
        denied=draw(st.sampled_from([None, None, "no"])),
        id=draw(st.integers(1, 99)),
    )


# -- the second reading: labels as dnspython has them, one rule at a time, no index


def labels(of: Name) -> tuple[bytes, ...]:
    return tuple(label.lower() for label in dns.name.from_wire(of, 0)[0].labels)


def below(one: tuple[bytes, ...], other: tuple[bytes, ...]) -> bool:
    return one[-len(other) :] == other


def speaks(one: Grant, called: Name, where: Name, rdtype: int) -> bool:
    if one.zone != ZONE or (one.types is not None and rdtype not in one.types):
        return False
    asked, mine, own = labels(where), labels(one.name), labels(called)
    return {
        "zone": True,
        "subdomain": below(asked, mine),
        "name": asked == mine,
        "self": asked == own,
        "selfsub": below(asked, own),
        "wildcard": below(asked, mine[1:]) and len(asked) >= len(mine),
        "acme": asked[0] == b"_acme-challenge" and below(asked[1:], mine) and rdtype == Type.TXT,
    }[one.rule]


def good_enough(one: Grant, assurance: str) -> bool:
    return one.min_assurance is None or ASSURANCES.index(assurance) >= ASSURANCES.index(one.min_assurance)


def may(some: list[Grant], called: Name, assurance: str, where: Name, rdtype: int, *, owner: bool) -> bool:
    """Tell whether the type at the name may be written, whatever the numbers say."""
    for one in some:
        spared = one.min_assurance is not None and good_enough(one, assurance)
        counted = any(kind == rdtype for kind, _ in one.most)
        if one.denied is not None and not counted and speaks(one, called, where, rdtype) and not spared:
            return False
    return owner or any(
        one.denied is None and speaks(one, called, where, rdtype) and good_enough(one, assurance) for one in some
    )


def room(some: list[Grant], called: Name, assurance: str, where: Name, rdtype: int, *, owner: bool) -> float:
    """Return how many records of the type the name may have."""
    given_, taken = [float("inf")] if owner else [], [float("inf")]
    for one in some:
        if speaks(one, called, where, rdtype):
            number = dict(one.most).get(rdtype, float("inf"))
            if one.denied is None and good_enough(one, assurance):
                given_.append(number)
            elif one.denied is not None and not (one.min_assurance is not None and good_enough(one, assurance)):
                taken.append(number)
    return min(max(given_), *taken)


def wire_of(asked: tuple) -> bytes:
    match asked:
        case ("add", where, (kind, text)):
            return rr(where, kind, IN, 60, rdata(kind, text))
        case ("remove", where, (kind, text)):
            return rr(where, kind, NONE, 0, rdata(kind, text))
    _, where, kind = asked
    return rr(where, kind, ANY)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(rule(), max_size=6),
    st.sampled_from(ASSURANCES),
    st.booleans(),
    st.sampled_from((KEY, ELSEWHERE)),
    content,
    operations,
)
def test_what_is_written_is_granted_and_not_denied_and_what_is_refused_is_not(
    some, assurance, bound, called, before, asked
):
    """Both ways: nothing that is not allowed is written, and nothing that is allowed is refused."""
    zone = rrsets_of(*(f"{where} 60 {kind} {text}" for where, (kind, text) in before))
    own = [one for one in some if one.denied is None or one.id % 2]
    everybody = [one for one in some if one.denied is not None and not one.id % 2 and one.zone == ZONE]
    owned = bound and called == ELSEWHERE
    credential = Credential(
        1, called, "sig0", "13", grants=tuple(own), assurance=assurance, home=ZONE if bound else None
    )
    update = updates.parse(message(*map(wire_of, asked)))
    assert not isinstance(update, Refusal)
    view = View({where: zone.get(where, ()) for where in update.names})
    changes = updates.apply(update, view, signed=False)
    assert isinstance(changes, ChangeSet)

    rules = Rules(credential, ZONE, ORIGIN, is_home=True, everybody=everybody)
    refusal = rules.refuse(update.targets()) or rules.refuse_outcome(changes.changes)

    # What a whole name's deletion needs: a grant of all types, so one that speaks of a type that nothing else names.
    allowed = owned or any(one.denied is None and one.zone == ZONE and good_enough(one, assurance) for one in some)
    for operation in update.operations:
        rdtype = 65_000 if operation.type == Type.ANY else operation.type
        allowed = allowed and may(some, called, assurance, operation.name, rdtype, owner=owned)
    for change in changes.changes:
        allowed = allowed and may(some, called, assurance, change.name, change.type, owner=owned)
        after = set(change.after.rdatas) if change.after else set()
        if after - (set(change.before.rdatas) if change.before else set()):
            allowed = allowed and len(after) <= room(some, called, assurance, change.name, change.type, owner=owned)
    assert (refusal is None) == allowed
