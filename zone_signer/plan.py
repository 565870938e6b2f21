"""What a signing run does to a zone, decided before anything is signed: a value that can be printed.

Law: a plan tells what to sign, what to publish without a signature and what to drop, and so turns what is published
into what ought to be. `whole` compares all of a zone; `change.Change` plans for a few names and gives the same
zone, because both ask `shape` and `denial` about each name. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset, SignedRRset
from ddns.zone import compact
from zone_signer import denial as denials
from zone_signer import rrsig, shape
from zone_signer.policy import Policy, negative_ttl
from zone_signer.records_of_keys import KeyRecords

NEVER = 1 << 40  # seconds since 1970: behind every due date

Records = Mapping[Name, tuple[RRset, ...]]
Published = Mapping[tuple[Name, int], SignedRRset]


class BadZone(ValueError):
    """A zone that cannot be signed as it is; the message is one sentence."""


class Plan(msgspec.Struct, frozen=True):
    """What to do to zone *origin*.

    *sign* and *bare* are published anew, with and without signatures; *drop* is published no more; *old* is what
    stands published at all these places, as far as it was read. *wake* is when the earliest of the
    signatures that stay falls due. *spread*: new signatures end at different times; *together*: at one time, which is
    another one in other zones, because all of a small zone is renewed in one go.
    """

    origin: Name
    sign: tuple[RRset, ...] = ()
    bare: tuple[RRset, ...] = ()
    drop: tuple[tuple[Name, int], ...] = ()
    old: tuple[SignedRRset, ...] = ()
    wake: int = NEVER
    spread: bool = False
    together: bool = False

    def lines(self) -> Iterator[str]:
        """Yield the plan for people, a line for each RRset."""
        for verb, places in (
            ("sign", [(one.name, one.type) for one in self.sign]),
            ("publish", [(one.name, one.type) for one in self.bare]),
            ("drop", list(self.drop)),
        ):
            for name, rdtype in places:
                yield f"{verb:8}{names.to_text(name)} {_type_text(rdtype)}"


def _type_text(rdtype: int) -> str:
    try:
        return Type(rdtype).name
    except ValueError:
        return f"TYPE{rdtype}"  # RFC 3597 §5


def soa_of(apex: tuple[RRset, ...], origin: Name) -> RRset:
    """Return the SOA among the records of a zone's apex. Raises `BadZone`."""
    for rrset in apex:
        if rrset.type == Type.SOA:
            if not is_soa(rrset.rdatas):
                raise BadZone(f"the SOA of {names.to_text(origin)} cannot be read; import the zone anew")
            return rrset
    raise BadZone(f"{names.to_text(origin)} has no SOA at its apex; import it anew")


def is_soa(rdatas: Sequence[Rdata]) -> bool:
    """Tell whether *rdatas* are that of one SOA: two names and five numbers (RFC 1035 §3.3.13)."""
    if len(rdatas) != 1:
        return False
    rdata, at = rdatas[0], 0
    for _ in range(2):
        while at < len(rdata) and rdata[at]:
            at += 1 + rdata[at]
        at += 1
    return len(rdata) - at == 20


def desired(
    origin: Name, denial: str, records: Records, keys: KeyRecords, policy: Policy
) -> dict[tuple[Name, int], tuple[RRset, bool]]:
    """Return what the zone ought to publish: each RRset, and whether it is signed.

    *records* are all unsigned records, the SOA with the serial to publish. With the *denial* none, they are all.
    """
    soa = soa_of(records.get(origin, ()), origin)
    own = {name: kept for name, rrsets in records.items() if (kept := shape.own(rrsets))}
    if denial == "none":
        return {(name, rrset.type): (rrset, False) for name, rrsets in own.items() for rrset in rrsets}
    types = {name: tuple(one.type for one in rrsets) for name, rrsets in own.items()}
    blockers = {name for name, found in types.items() if shape.blocks(name, found, origin)}
    out: dict[tuple[Name, int], tuple[RRset, bool]] = {}
    visible: list[Name] = []
    for name, rrsets in own.items():
        if shape.hidden(name, blockers, origin):
            for rrset in rrsets:
                out[name, rrset.type] = rrset, False
            continue
        visible.append(name)
        cut = name in blockers and shape.is_cut(name, types[name], origin)
        for rrset in rrsets:
            out[name, rrset.type] = rrset, shape.is_signed(rrset.type, cut=cut)
    apex = keys.rrsets(origin, policy.dnskey_ttl)
    if denial == "nsec3":
        apex.append(RRset(origin, Type.NSEC3PARAM, policy.nsec3param_ttl, (denials.NSEC3PARAM,)))
    if denial in denials.WITH_EMPTY:
        visible.extend(_empty_non_terminals(visible, origin))
    for rrset in apex:
        out[origin, rrset.type] = rrset, True
    for rrset in _chain(origin, denial, visible, types, negative_ttl(soa), keys.types):
        out[rrset.name, rrset.type] = rrset, True
    return out


def _empty_non_terminals(visible: list[Name], origin: Name) -> Iterator[Name]:
    """Yield the names without records that have visible names below (RFC 4592 §2.2.2, RFC 5155 §7.1, RFC 9824 §3.2)."""
    seen = set(visible)
    for name in visible:
        above = name
        while len(above) > len(origin):
            above = names.parent(above)
            if above in seen:
                break
            seen.add(above)
            yield above


def _chain(
    origin: Name,
    denial: str,
    visible: list[Name],
    types: Mapping[Name, tuple[int, ...]],
    ttl: int,
    of_keys: frozenset[int],
) -> Iterator[RRset]:
    """Yield the denial record of every one of *visible*, each leading to the next and the last to the first.

    Those of a compact zone lead to no name that exists.
    """
    places = {denials.chain_owner(denial, name, origin): name for name in visible}
    if len(places) != len(visible):
        raise BadZone(f"two names of {names.to_text(origin)} have one NSEC3 hash; sign it with --denial nsec")
    # Hashed owners are equally long, so that their plain order is the canonical one.
    ordered = sorted(places) if denial == "nsec3" else sorted(places, key=names.order_key)
    rdtype = denials.TYPES[denial]
    for at, owner in enumerate(ordered):
        name = places[owner]
        bits = denials.bitmap(shape.chain_types(name, types.get(name, ()), origin, denial, of_keys))
        if denial == compact.DENIAL:
            cut = shape.is_cut(name, types.get(name, ()), origin)
            following = compact.following(name, origin, cut=cut)
        else:
            following = ordered[at + 1 - len(ordered)]
        yield RRset(owner, rdtype, ttl, (denials.rdata_of(denial, following, bits),))


def whole(
    origin: Name,
    denial: str,
    records: Records,
    keys: KeyRecords,
    published: Published,
    policy: Policy,
    now: int,
) -> Plan:
    """Plan a zone by comparing all that it ought to publish with all that it publishes.

    Signatures that other keys than those of *keys* made or that are due, or fall due within the policy's horizon where
    any is due, are made anew; all others stay.
    """
    wanted = desired(origin, denial, records, keys, policy)
    drop = tuple(place for place in published if place not in wanted)
    old = [published[place] for place in drop]
    bare: list[RRset] = []
    sign: list[RRset] = []
    kept: list[tuple[int, RRset, SignedRRset]] = []
    for place, (rrset, signed) in wanted.items():
        there = published.get(place)
        marks = keys.marks(rrset.type)
        same = there is not None and there.ttl == rrset.ttl and there.rdatas == rrset.rdatas
        if not signed:
            if same and there is not None and not there.sigs:
                continue
            bare.append(rrset)
        elif same and there is not None and (due := due_of(there.sigs, marks, policy, now)) is not None:
            kept.append((due, rrset, there))
            continue
        else:
            sign.append(rrset)
        if there is not None:
            old.append(there)
    wake = min((due for due, _, _ in kept), default=NEVER)
    if wake <= now:
        horizon = policy.horizon(now, len(wanted))
        for due, rrset, there in kept:
            if due <= horizon:
                sign.append(rrset)
                old.append(there)
        wake = min((due for due, _, _ in kept if due > horizon), default=NEVER)
    together = len(wanted) <= policy.small
    return Plan(origin, tuple(sign), tuple(bare), drop, tuple(old), wake, spread=True, together=together)


def due_of(sigs: Sequence[Rdata], marks: frozenset[tuple[int, int]], policy: Policy, now: int) -> int | None:
    """Return when the earliest of an RRset's signatures is due; None where those keys did not make them."""
    made = [rrsig.read(sig, now) for sig in sigs]
    if len(made) != len(marks) or {one.mark for one in made} != marks:
        return None
    return policy.due(min(one.expiration for one in made))


def newest_inception(published: Published, now: int) -> int:
    """Return the newest inception among the signatures of what is published, or 0."""
    return max((rrsig.read(sig, now).inception for one in published.values() for sig in one.sigs), default=0)
