"""What a credential may write: the home that it is named after, and what rules grant and deny.

Nothing is writable by default. The order in which rules were made means nothing:

- Something may be written where at least one grant gives it and no denial takes it. Grants add up, and of
  two that bound a number the more generous one holds; of denials every one holds.
- A key called like a home's zone, or enrolled for the home, has a grant of all of that home and by itself
  nothing else: not the delegation of it in the registry's zone. Denials bind it like any other.
- To delete a whole name one must be granted all types there: a key for A and AAAA alone would otherwise
  take away what it may not write. A denial strikes what such a deletion really takes away.
- An invitation's key covers nothing here, whatever it is called: it is spent by an enrolment.

RFC 3007 §3 leaves the policy to the server; the rules are modelled on BIND's `update-policy`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

import msgspec

from ddns.auth.principal import ADDRESSES, Credential, Grant
from ddns.dns import names
from ddns.dns.codes import Ede, Rcode, Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata
from ddns.dns.refusal import Refusal
from ddns.dns.spelling import type_to_text
from ddns.zone.changes import RRsetChange

# What a refusal names before it says that there is more: an extended error has little room.
_NAMED = 2  # rules
_SHOWN = 4  # types of a rule


class Decision(msgspec.Struct, frozen=True):
    """What holds for one name and type: refused with *refusal*, or allowed by *grants* (none: by owning the home).

    *most* is how many records of the type the name may have after an update (None: no rule bounds that), by
    the rule *bounded_by*.
    """

    refusal: Refusal | None = None
    grants: tuple[Grant, ...] = ()
    most: int | None = None
    bounded_by: Grant | None = None


def owns(credential: Credential, zone: int, origin: Name, *, is_home: bool) -> bool:
    """Tell whether *credential* speaks for the home *origin* whose zone has the id *zone*.

    Its name alone means nothing: a key is bound to the home for which it was enrolled. So it does not come back with
    the next home of that name, and one that was there before owns no home that is later called like it. A key that is
    called like something below the home, a device's or one that was minted, has the rights that it was given, no more;
    by what lets a home's hosts register themselves nobody signs (`ddns.net.services`).
    """
    if not is_home or credential.invitation is not None or credential.home != zone:
        return False
    return credential.name == origin or credential.kind == "srp" or not names.is_subdomain(credential.name, origin)


def enters(credential: Credential, zone: int, origin: Name, *, is_home: bool) -> bool:
    """Tell whether *credential* may write anything at all in the zone: the coarse question, before any cost."""
    if credential.invitation is None and zone in credential.zones:
        return True
    return permitted(credential, zone, origin, (), is_home=is_home) is None


def permitted(
    credential: Credential,
    zone: int,
    origin: Name,
    targets: Iterable[tuple[Name, int]],
    *,
    is_home: bool,
    everybody: Sequence[Grant] = (),
    asked: Iterable[Name] = (),
) -> Refusal | None:
    """Refuse an update of the *zone* called *origin*, unless *credential* may do all of it: see `Rules.refuse`."""
    return Rules(credential, zone, origin, is_home=is_home, everybody=everybody).refuse(targets, asked)


class Rules:
    """The rules that hold for one credential in one zone.

    *everybody* are the denials that bind every key there. A rule is found by the names above the one that is
    asked for, so that thousands of rules cost no more than a few.
    """

    __slots__ = ("_bounded", "_credential", "_denials", "_everything", "_grants", "_origin", "_owner", "_zone")

    def __init__(
        self, credential: Credential, zone: int, origin: Name, *, is_home: bool, everybody: Sequence[Grant] = ()
    ) -> None:
        self._credential = credential
        self._zone = zone
        self._origin = origin
        self._owner = owns(credential, zone, origin, is_home=is_home)
        self._grants: list[Grant] = []
        self._denials = list(everybody)
        if credential.invitation is None:
            for one in credential.grants:
                if one.zone == zone:
                    (self._grants if one.denied is None else self._denials).append(one)
        # What each update asks: whether nothing is forbidden, and whether nothing is bounded.
        free = not self._denials
        self._everything = free and (self._owner or any(map(self._gives_all, self._grants)))
        self._bounded = not (free and (self._owner or not any(one.most for one in self._grants)))

    def refuse(self, targets: Iterable[tuple[Name, int]], asked: Iterable[Name] = ()) -> Refusal | None:
        """Refuse an update that writes *targets* and has prerequisites about *asked*, unless all of it is allowed.

        An update that writes nothing still asks things of the zone, so it needs some right there. What lies
        outside of the zone is left to the prescan, which answers NOTZONE (RFC 2136 §3.4.1.3).
        """
        if not self._owner and not self._grants:
            return _stranger(self._credential, self._origin)
        if self._everything:
            return None
        targets = tuple(targets)
        if not self._denials and len(self._grants) == 1 and self._gives(self._grants[0], targets):
            return None
        granted, denied = _index(self._grants, self._origin), _index(self._denials, self._origin)
        for name, rdtype in targets:
            if names.is_subdomain(name, self._origin):
                refusal = self._refuse_one(name, rdtype, granted, denied)
                if refusal is not None:
                    return refusal
        if not self._owner and not any(one.reached(self._credential.assurance) for one in self._grants):
            return self._too_low(self._grants[0], f"in the zone {names.to_text(self._origin)}")
        if not self._owner and all(one.rule == "acme" for one in self._grants):
            for name in asked:
                if names.is_subdomain(name, self._origin) and not self._meant(granted, name, Type.TXT):
                    return self._may_not_ask(name)
        return None

    def refuse_outcome(self, changes: Iterable[RRsetChange]) -> Refusal | None:
        """Refuse what only the outcome of an update shows: too many records, or a denied type in a whole name.

        *changes* are those of an update that `refuse` let pass. To take records away is never too many.
        """
        if not self._bounded:
            return None
        granted, denied = _index(self._grants, self._origin), _index(self._denials, self._origin)
        for change in changes:
            name, rdtype = change.name, change.type
            denial = self._denial(denied, name, rdtype)
            if denial is not None:
                return self._denied(denial, name, rdtype)
            if change.after is None:
                continue
            before = frozenset(change.before.rdatas if change.before is not None else ())
            after = change.after.rdatas
            if before.issuperset(after):
                continue
            if rdtype in ADDRESSES:
                refusal = self._address(denied, name, rdtype, [one for one in after if one not in before])
                if refusal is not None:
                    return refusal
            most, rule = self._bound(granted, denied, name, rdtype)
            if most is not None and rule is not None and len(after) > most:
                return self._too_many(rule, name, rdtype, most, len(after))
        return None

    def decide(self, name: Name, rdtype: int) -> Decision:
        """Tell whether *rdtype* at *name*, a name of the zone, may be written, and by which rules."""
        if not self._owner and not self._grants:
            return Decision(_stranger(self._credential, self._origin))
        granted, denied = _index(self._grants, self._origin), _index(self._denials, self._origin)
        refusal = self._refuse_one(name, rdtype, granted, denied)
        if refusal is not None:
            return Decision(refusal)
        most, rule = self._bound(granted, denied, name, rdtype)
        allowing = () if self._owner else tuple(sorted(self._meant(granted, name, rdtype), key=lambda one: one.id))
        return Decision(None, allowing, most, rule)

    # -- finding

    def _refuse_one(self, name: Name, rdtype: int, granted: _Index, denied: _Index) -> Refusal | None:
        if not self._owner and not self._meant(granted, name, rdtype):
            return self._not_granted(granted, name, rdtype)
        denial = self._denial(denied, name, rdtype)
        return None if denial is None else self._denied(denial, name, rdtype)

    def _near(self, index: _Index, name: Name) -> Iterable[Grant]:
        """Return the rules that may mean *name*: those for the whole zone, and those anchored at it or above."""
        yield from index.get(_EVERYWHERE, ())
        if len(index) > (_EVERYWHERE in index):
            yield from index.get(name, ())
            for above in names.ancestors(name, self._origin):
                yield from index.get(above, ())

    def _gives_all(self, grant: Grant) -> bool:
        """Tell whether *grant* alone gives everything in the zone, as most keys have it."""
        if grant.rule != "zone" and not (grant.rule == "subdomain" and names.is_subdomain(self._origin, grant.name)):
            return False
        return grant.types is None and grant.reached(self._credential.assurance)

    def _gives(self, grant: Grant, targets: Sequence[tuple[Name, int]]) -> bool:
        """Tell whether *grant* alone gives all of *targets* and lets ask about every name, as a home's key has it."""
        if grant.rule == "acme" or not grant.reached(self._credential.assurance):
            return False
        key = self._credential.name
        return all(grant.means(key, name, rdtype) for name, rdtype in targets)

    def _meant(self, index: _Index, name: Name, rdtype: int) -> list[Grant]:
        """Return the grants that give *rdtype* at *name* to this key."""
        key, assurance = self._credential.name, self._credential.assurance
        return [one for one in self._near(index, name) if one.means(key, name, rdtype) and one.reached(assurance)]

    def _strikes(self, denial: Grant, name: Name, rdtype: int) -> bool:
        """Tell whether *denial* speaks of *rdtype* at *name* and is not lifted by the key's assurance.

        In a denial for homes the key's name stands for the home's.
        """
        key = self._origin if denial.homes else self._credential.name
        if not denial.means(key, name, rdtype):
            return False
        return denial.min_assurance is None or not denial.reached(self._credential.assurance)

    def _denial(self, denied: _Index, name: Name, rdtype: int) -> Grant | None:
        """Return the denial of *rdtype* at *name*, of several the eldest; one with a number denies only the surplus."""
        found = [
            one
            for one in self._near(denied, name)
            if not one.addresses and one.bound(rdtype) is None and self._strikes(one, name, rdtype)
        ]
        return min(found, key=lambda one: one.id, default=None)

    def _address(self, denied: _Index, name: Name, rdtype: int, added: Sequence[Rdata]) -> Refusal | None:
        """Refuse an address among those that are *added*, where a denial takes its network."""
        for one in sorted(self._near(denied, name), key=lambda one: one.id):
            if one.addresses and self._strikes(one, name, rdtype):
                for rdata in added:
                    if one.holds(rdtype, rdata):
                        return self._not_there(one, name, rdata)
        return None

    def _bound(self, granted: _Index, denied: _Index, name: Name, rdtype: int) -> tuple[int | None, Grant | None]:
        """Return how many records of *rdtype* may be at *name*, and the rule that says so."""
        most: int | None = None
        rule: Grant | None = None
        if not self._owner:
            for one in self._meant(granted, name, rdtype):
                bound = one.bound(rdtype)
                if bound is None:
                    most = rule = None
                    break
                if most is None or bound > most:
                    most, rule = bound, one
        for one in self._near(denied, name):
            bound = None if one.addresses else one.bound(rdtype)
            if bound is not None and (most is None or bound < most) and self._strikes(one, name, rdtype):
                most, rule = bound, one
        return most, rule

    # -- saying so

    def _not_granted(self, granted: _Index, name: Name, rdtype: int) -> Refusal:
        key, where = names.to_text(self._credential.name), names.to_text(name)
        called = self._credential.name
        near = [
            one
            for one in self._near(granted, name)
            if one.means(called, name, rdtype)
            or (one.types is not None and any(one.means(called, name, each) for each in one.types))
        ]
        for one in near:
            if one.means(called, name, rdtype):  # so it is only the assurance that is missing
                return self._too_low(one, f"{where} {_type_text(rdtype)}")
        if near:
            some = " and ".join(map(_grant_text, near[:_NAMED]))
            why = f"there it has only {some}{' and more' if len(near) > _NAMED else ''}"
        else:
            why = "none of its rules covers that name"
        if rdtype == Type.ANY:
            text = f"The key {key} may not delete the whole name {where}: {why}; delete the types that it may write."
        else:
            text = f"The key {key} may not write {where} {_type_text(rdtype)}: {why}; ask the registry for a grant."
        return Refusal("name-not-granted", Rcode.REFUSED, text, Ede.PROHIBITED)

    def _denied(self, rule: Grant, name: Name, rdtype: int) -> Refusal:
        cure = "leave it out"
        if rule.min_assurance is not None:
            cure = f"it needs the assurance {rule.min_assurance}"
        return Refusal(
            "denied-by-rule",
            Rcode.REFUSED,
            f"Rule {rule.id} denies the key {names.to_text(self._credential.name)} {names.to_text(name)} "
            f"{_type_text(rdtype)}: {_reason(rule)}; {cure}.",
            Ede.PROHIBITED,
        )

    def _not_there(self, rule: Grant, name: Name, rdata: Rdata) -> Refusal:
        cure = "publish another address"
        if rule.min_assurance is not None:
            cure = f"it needs the assurance {rule.min_assurance}"
        return Refusal(
            "address-not-allowed",
            Rcode.REFUSED,
            f"Rule {rule.id} denies the key {names.to_text(self._credential.name)} the address "
            f"{ipaddress.ip_address(rdata)} at {names.to_text(name)}: {_reason(rule)}; {cure}.",
            Ede.PROHIBITED,
        )

    def _too_many(self, rule: Grant, name: Name, rdtype: int, most: int, number: int) -> Refusal:
        why = "" if rule.denied is None else f" ({_reason(rule)})"
        return Refusal(
            "too-many-for-rule",
            Rcode.REFUSED,
            f"Rule {rule.id} allows the key {names.to_text(self._credential.name)} {most} {_type_text(rdtype)} at "
            f"{names.to_text(name)}{why}, this update makes {number}; delete old ones with it.",
            Ede.PROHIBITED,
        )

    def _too_low(self, rule: Grant, what: str) -> Refusal:
        return Refusal(
            "assurance-too-low",
            Rcode.REFUSED,
            f"Rule {rule.id} lets keys of the assurance {rule.min_assurance} write {what}, and the key "
            f"{names.to_text(self._credential.name)} has {self._credential.assurance}; ask the registry to raise it.",
            Ede.PROHIBITED,
        )

    def _may_not_ask(self, name: Name) -> Refusal:
        return Refusal(
            "prerequisite-not-granted",
            Rcode.REFUSED,
            f"The key {names.to_text(self._credential.name)} has only {_grant_text(self._grants[0])} and may not ask "
            f"about {names.to_text(name)}; leave that prerequisite out.",
            Ede.PROHIBITED,
        )


_Index = dict[Name, list[Grant]]
_EVERYWHERE = b""  # no name: where the rules stand that may mean any name of the zone


def _index(rules: Iterable[Grant], origin: Name) -> _Index:
    """Return *rules* by the names in the zone *origin* below which each means something."""
    out: _Index = {}
    for one in rules:
        if one.rule in ("zone", "self", "selfsub") or names.is_subdomain(origin, one.anchor):
            out.setdefault(_EVERYWHERE, []).append(one)
        elif names.is_subdomain(one.anchor, origin):  # else it is for another home
            out.setdefault(one.anchor, []).append(one)
    return out


def _grant_text(rule: Grant) -> str:
    if rule.rule == "acme":
        return f"rule {rule.id} for _acme-challenge TXT"
    if rule.types is None:
        return f"rule {rule.id}"
    shown = sorted(rule.types)
    more = ",…" if len(shown) > _SHOWN else ""
    return f"rule {rule.id} for {','.join(map(type_to_text, shown[:_SHOWN]))}{more}"


def _type_text(rdtype: int) -> str:
    return "of all types" if rdtype == Type.ANY else type_to_text(rdtype)


def _reason(rule: Grant) -> str:
    return (rule.denied or "").rstrip(" .")


def _stranger(credential: Credential, origin: Name) -> Refusal:
    return Refusal(
        "zone-not-granted",
        Rcode.REFUSED,
        f"The key {names.to_text(credential.name)} may not write in the zone {names.to_text(origin)}; "
        "ask the registry for a grant.",
        Ede.PROHIBITED,
    )
