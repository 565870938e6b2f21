"""Random compact zones, asked for everything: each answer validates, says what is so, and denies nothing that is there.

The judge knows the zone as its lines were written, and RFC 4592's and RFC 6672's rules; it shares nothing with what
answers. dnspython checks every signature.
"""

from __future__ import annotations

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
from compacting import House
from hypothesis import given, settings
from hypothesis import strategies as st

APEX = dns.name.from_text("z.test.")
LABELS = st.sampled_from(["a", "b", "*", r"\000x", "zz"])
OWNERS = st.lists(LABELS, min_size=1, max_size=3).map(".".join)
RECORDS = st.sampled_from(
    [
        "A 192.0.2.1",
        "A 192.0.2.2",
        "TXT one",
        "TYPE4711 \\# 1 00",
        "CNAME a",
        "CNAME b.a",
        "NS ns.elsewhere.test.",
        "DNAME b",
    ]
)
LINES = st.lists(st.tuples(OWNERS, RECORDS), max_size=8)
ASKED = st.lists(LABELS, min_size=0, max_size=4).map(lambda labels: dns.name.from_text(".".join(labels) or "@", APEX))
TYPES = st.sampled_from(["A", "TXT", "AAAA", "NSEC", "DS", "TYPE4711", "CNAME"])
SPECIAL = {"CNAME", "DNAME"}


def sensible(lines):
    """Return the lines of one zone that servers take: an alias stands alone, a DNAME once, nothing beside NS."""
    kept: list[tuple[str, str]] = []
    for owner, record in lines:
        kind = record.split()[0]
        there = {other.split()[0] for name, other in kept if name == owner}
        if owner.startswith("*") and kind in ("NS", "DNAME"):
            continue
        if (there & {"CNAME", "DNAME", "NS"}) or (there and kind in ("CNAME", "DNAME", "NS")):
            continue
        kept.append((owner, record))
    return kept


class Model:
    """What a zone holds, and where a name leads in it."""

    def __init__(self, lines):
        self.records: dict[dns.name.Name, dict[str, set[str]]] = {APEX: {"SOA": {""}, "NS": {""}, "DNSKEY": {""}}}
        for owner, record in lines:
            kind, data = record.split(maxsplit=1)
            self.records.setdefault(dns.name.from_text(owner, APEX), {}).setdefault(kind, set()).add(data)
        self.names = {above for name in self.records for above in ancestors(name)}

    def lead(self, name):
        """Return (kind, name or wildcard or cut): what RFC 1034 §4.3.2 step 3 finds."""
        for above in reversed(ancestors(name)):
            types = self.records.get(above, {})
            if above != APEX and "NS" in types:
                return "cut", above
            if above != name and "DNAME" in types:
                return "dname", above
        if name in self.names:
            return "exact", name
        encloser = name.parent()
        while encloser not in self.names:
            encloser = encloser.parent()
        wildcard = dns.name.Name((b"*", *encloser.labels))
        return ("wildcard", wildcard) if wildcard in self.names else ("nothing", name)

    def types(self, name):
        return {rdtype_text(kind) for kind in self.records.get(name, {})} - {"SOA", "NS", "DNSKEY"} | (
            {"SOA", "NS", "DNSKEY"} if name == APEX else set()
        )


def rdtype_text(kind):
    return dns.rdatatype.to_text(dns.rdatatype.from_text(kind))


def ancestors(name):
    """Return *name* and all names above it up to the apex."""
    found = [name]
    while found[-1] != APEX:
        found.append(found[-1].parent())
    return found


def covered(name, nsec_owner, following):
    """Tell whether an NSEC record speaks of *name*: it stands there, or *name* lies in its gap."""
    return name == nsec_owner or nsec_owner < name < following


@settings(max_examples=200, deadline=None)
@given(
    lines=LINES.map(sensible),
    asked=st.lists(st.tuples(ASKED, TYPES), min_size=1, max_size=12),
    window=st.booleans(),
)
def test_every_answer_is_signed_and_says_what_is_so(lines, asked, window):
    model = Model(lines)
    house = House("z.test.", *[f"{owner} 300 {record}" for owner, record in lines], window=window)
    for name, rdtype in asked:
        if len(name.to_text()) > 200:
            continue
        answer = house(name.to_text(), rdtype)
        house.judge(answer)
        assert answer.rcode() == dns.rcode.NOERROR
        judge_denials(model, answer)
        follow(model, answer, name, rdtype)


def judge_denials(model, answer):
    """No record denies a name or a type that is there, and none covers more than the name that it stands at."""
    for rrset in (*answer.answer, *answer.authority):
        if rrset.rdtype != dns.rdatatype.NSEC:
            continue
        (rdata,) = rrset
        said = set(str(rdata).split(" ")[1:])
        kind, at = model.lead(rrset.name)
        cut = kind == "cut" and at == rrset.name
        for name in model.names:
            if name != rrset.name and covered(name, rrset.name, rdata.next):
                assert cut
                assert name.is_subdomain(rrset.name), (rrset, name)
        assert rdata.next.is_subdomain(rrset.name) != cut  # what is below a delegation is in its gap, else nothing is
        if kind == "nothing":
            assert said == {"RRSIG", "NSEC", "NXNAME"}
        elif cut:
            assert said == {"NS", "RRSIG", "NSEC"}
        else:
            assert kind in ("exact", "wildcard"), (rrset, kind)
            have = model.types(at) | ({"DNAME"} if "DNAME" in model.records.get(at, {}) else set())
            assert said - {"CDS", "CDNSKEY"} == have | {"RRSIG", "NSEC"}, (rrset, have)


def follow(model, answer, name, rdtype):
    """Follow the answer's chain from the question, and compare its end with the model."""
    seen = set()
    while name not in seen and name.is_subdomain(APEX):
        seen.add(name)
        kind, at = model.lead(name)
        if kind == "cut" and not (rdtype == "DS" and at == name):
            assert any(one.rdtype == dns.rdatatype.NS and one.name == at for one in answer.authority)
            return
        here = [one for one in answer.answer if one.name == name and one.rdtype != dns.rdatatype.RRSIG]
        if kind == "dname":
            (alias,) = [one for one in here if one.rdtype == dns.rdatatype.CNAME]
            name = alias[0].target
            if rdtype == "CNAME":
                return
            continue
        types = model.types(at) if kind in ("exact", "wildcard") else set()
        if rdtype == "NSEC":
            if "CNAME" not in types:
                assert [one.rdtype for one in here] == [dns.rdatatype.NSEC]
            return
        if rdtype_text(rdtype) in types:
            assert [dns.rdatatype.to_text(one.rdtype) for one in here] == [rdtype_text(rdtype)]
            return
        if "CNAME" in types and rdtype != "DS":
            (alias,) = here
            name = alias[0].target
            continue
        if "CNAME" in types and rdtype == "DS":
            return  # an alias for a DS is an alias as well
        assert here == []
        (proof,) = [one for one in answer.authority if one.rdtype == dns.rdatatype.NSEC]
        assert proof.name == name
        assert rdtype_text(rdtype) not in str(proof[0]).split(" ")[1:]
        assert not answer.flags & dns.flags.TC
        return
