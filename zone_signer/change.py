"""A change of a few names on its way to a plan: what must be read for it, and then what it does. Sans-IO.

Law: `questions` says what must be known and is not, `learn` takes the answers, and when nothing is asked any more
`plan` gives what `plan.whole` would give for the zone as a whole. Where records change but no name comes or goes, no
type comes or goes and no cut moves, nothing is asked at all; servers send most of these as jobs of another kind, in
few words (`ddns.zone.plain`).

What is read is the committed state; the job's own names lie over it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping

import msgspec

from ddns.dns import names
from ddns.dns.codes import SIGNER_TYPES, Type
from ddns.dns.names import Name
from ddns.dns.records import RRset, SignedRRset
from ddns.zone import compact
from ddns.zone.jobs import SignJob
from zone_signer import chain, shape
from zone_signer import denial as denials
from zone_signer.chain import Link, Place
from zone_signer.plan import NEVER, BadZone, Plan, soa_of
from zone_signer.policy import negative_ttl


class Questions(msgspec.Struct, frozen=True):
    """What a change must know of its zone.

    *everything*: all records, stored and published. *subtrees*: all below these names, stored and published. *chain*:
    the denial record at each of these owners and the one before it. *below*: whether anything is stored below
    each of these names, the names *leaving* left out.
    """

    everything: bool = False
    subtrees: tuple[Name, ...] = ()
    chain: tuple[Name, ...] = ()
    below: tuple[Name, ...] = ()
    leaving: tuple[Name, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.everything or self.subtrees or self.chain or self.below)


class Answers(msgspec.Struct, frozen=True):
    """What was read: *stored* and *published* below the subtrees, *chain* records with those before, *below* where so.

    *last* is the zone's last denial record, which stands before its first.
    """

    stored: Mapping[Name, tuple[RRset, ...]]
    published: tuple[SignedRRset, ...]
    chain: tuple[SignedRRset, ...]
    last: SignedRRset | None
    below: frozenset[Name]


class _Touched(msgspec.Struct, frozen=True):
    """A name whose records, or whose standing in the zone, may change; without what the signer makes itself."""

    before: tuple[RRset, ...]
    after: tuple[RRset, ...]


def _types(rrsets: Iterable[RRset]) -> tuple[int, ...]:
    return tuple([one.type for one in rrsets])


class Change:
    """One job that is being worked out."""

    def __init__(self, job: SignJob, of_keys: frozenset[int] = frozenset({int(Type.DNSKEY)})) -> None:
        """Begin *job*; *of_keys* are the types that the apex publishes because of the zone's keys."""
        self._of_keys = of_keys
        self._origin = origin = job.origin
        self._denial = job.denial
        self._touched: dict[Name, _Touched] = {}
        self._blockers_before: set[Name] = set()
        self._blockers_after: set[Name] = set()
        self._subtrees: set[Name] = set()
        self._published: dict[Name, list[SignedRRset]] = {}
        self._places: dict[Name, Place] = {}
        self._below: dict[Name, bool] = {}
        # Names between the touched ones and the apex that have records before and after.
        self._standing: set[Name] = set()
        flips: list[Name] = []
        for node in job.nodes:
            name = node.name
            before, after = shape.own(node.before), shape.own(node.after)
            self._touched[name] = _Touched(before, after)
            blocked = shape.blocks(name, _types(before), origin)
            blocks = shape.blocks(name, _types(after), origin)
            if blocked:
                self._blockers_before.add(name)
            if blocks:
                self._blockers_after.add(name)
            if blocked != blocks:
                flips.append(name)
        for name, there in job.above:
            types = [one for one in there if one not in SIGNER_TYPES]  # an empty name of a compact zone has an NSEC
            if name not in self._touched and types:
                self._standing.add(name)
                if shape.blocks(name, types, origin):
                    self._blockers_before.add(name)
                    self._blockers_after.add(name)
        # Names that begin or cease to hide what is below them; the topmost of them stand for the rest.
        turned = {name for name in flips if not (self._hidden_before(name) and self._hidden_after(name))}
        self._flips = tuple(name for name in turned if not shape.hidden(name, turned, origin))
        apex = self._touched.get(origin)
        if apex is None:
            raise BadZone(f"the job for {names.to_text(origin)} does not hold its apex")
        self._ttl = negative_ttl(soa_of(apex.after, origin))
        self._everything = origin in self._flips or negative_ttl(soa_of(apex.before, origin)) != self._ttl
        self._wanted: dict[Name, bytes | None] | None = None

    def _hidden_before(self, name: Name) -> bool:
        return shape.hidden(name, self._blockers_before, self._origin)

    def _hidden_after(self, name: Name) -> bool:
        return shape.hidden(name, self._blockers_after, self._origin)

    def questions(self) -> Questions:
        """Return what must still be read."""
        if self._everything:
            return Questions(everything=True)
        subtrees = tuple(name for name in self._flips if name not in self._subtrees)
        candidates = self._candidates()
        if not candidates:
            self._wanted = {}
            return Questions(subtrees=subtrees)
        unsure = self._unsure(candidates)
        below = tuple(name for name in unsure if name not in self._below)
        owners = tuple(
            owner
            for owner in (denials.chain_owner(self._denial, name, self._origin) for name in candidates)
            if owner not in self._places
        )
        if not (below or owners or subtrees):
            self._wanted = self._chain_wanted(candidates)
            return Questions()
        leaving = tuple(name for name, touched in self._touched.items() if not touched.after) if below else ()
        return Questions(subtrees=subtrees, chain=owners, below=below, leaving=leaving)

    def learn(self, asked: Questions, answers: Answers) -> None:
        """Take what was read in answer to *asked*."""
        for name in asked.below:
            self._below[name] = name in answers.below
        self._subtrees.update(asked.subtrees)
        for rrset in answers.published:
            self._published.setdefault(rrset.name, []).append(rrset)
        for name, stored in answers.stored.items():
            if name in self._touched:
                continue
            kept = shape.own(stored)
            if not kept:
                continue
            self._touched[name] = _Touched(kept, kept)
            if shape.blocks(name, _types(kept), self._origin):
                self._blockers_before.add(name)
                self._blockers_after.add(name)
        self._learn_chain(asked.chain, answers)

    def _learn_chain(self, owners: tuple[Name, ...], answers: Answers) -> None:
        if not owners:
            return
        if answers.last is None:
            raise chain.BrokenChain(f"{names.to_text(self._origin)} has no denial records to change")
        links = {one.name: Link.of(self._denial, one, self._origin) for one in answers.chain}
        last = links.get(answers.last.name) or Link.of(self._denial, answers.last, self._origin)
        keys = sorted((names.order_key(owner), owner) for owner in links)
        ordered = [owner for _, owner in keys]
        position = {owner: at for at, owner in enumerate(ordered)}
        plain = [key for key, _ in keys]
        for owner in owners:
            at = position.get(owner)
            if at is None:
                at = bisect_left(plain, names.order_key(owner))
            self._places[owner] = Place(links.get(owner), links[ordered[at - 1]] if at else last)

    def _existed(self, name: Name, touched: _Touched) -> frozenset[int] | None:
        """Return the types of the name's denial record before the change; None where it had none by itself."""
        if not touched.before or self._hidden_before(name):
            return None
        return shape.chain_types(name, _types(touched.before), self._origin, self._denial, self._of_keys)

    def _exists(self, name: Name, touched: _Touched) -> frozenset[int] | None:
        if not touched.after or self._hidden_after(name):
            return None
        return shape.chain_types(name, _types(touched.after), self._origin, self._denial, self._of_keys)

    def _candidates(self) -> dict[Name, frozenset[int] | None]:
        """Return the names whose denial record may change, with its types; None where it has no records of its own."""
        found: dict[Name, frozenset[int] | None] = {}
        for name, touched in self._touched.items():
            if touched.before == touched.after and not self._flips:
                continue
            before, after = self._existed(name, touched), self._exists(name, touched)
            if before != after:
                found[name] = after
            if (before is None) != (after is None) and self._denial in denials.WITH_EMPTY:
                self._climb(name, found)
        return found

    def _climb(self, name: Name, found: dict[Name, frozenset[int] | None]) -> None:
        """Add the empty non-terminals above *name* that may come or go with it."""
        while len(name) > len(self._origin):
            name = names.parent(name)
            if name == self._origin:
                return
            touched = self._touched.get(name)
            if touched is None:
                if name in self._standing and not self._flips:
                    return
                if name not in self._standing:
                    found.setdefault(name, None)
            elif not (touched.before and touched.after):
                found.setdefault(name, self._exists(name, touched))

    def _unsure(self, candidates: Mapping[Name, frozenset[int] | None]) -> list[Name]:
        """Return the candidates without records of their own that may or may not have names below them."""
        if self._denial not in denials.WITH_EMPTY:
            return []
        surely = self._with_descendants()
        return [
            name
            for name, types in candidates.items()
            if types is None and name not in surely and not self._hidden_after(name)
        ]

    def _with_descendants(self) -> set[Name]:
        return {
            above
            for name, touched in self._touched.items()
            if touched.after
            for above in names.ancestors(name, self._origin)
        }

    def _chain_wanted(self, candidates: Mapping[Name, frozenset[int] | None]) -> dict[Name, bytes | None]:
        surely = self._with_descendants()
        wanted: dict[Name, bytes | None] = {}
        for name, types in candidates.items():
            kept = types
            if (
                types is None
                and self._denial in denials.WITH_EMPTY
                and not self._hidden_after(name)
                and (name in surely or self._below.get(name, False))
            ):
                kept = shape.chain_types(name, (), self._origin, self._denial)
            owner = denials.chain_owner(self._denial, name, self._origin)
            wanted[owner] = None if kept is None else denials.bitmap(kept)
        return wanted

    def _following(self, name: Name) -> Name:
        touched = self._touched.get(name)
        cut = touched is not None and shape.is_cut(name, _types(touched.after), self._origin)
        return compact.following(name, self._origin, cut=cut)

    def plan(self) -> Plan:
        """Return what the change does; `questions` must have nothing left."""
        if self._wanted is None:
            raise LookupError("a change is planned before its questions are answered")
        sign: list[RRset] = []
        bare: list[RRset] = []
        drop: list[tuple[Name, int]] = []
        old: list[SignedRRset] = []
        for name, touched in self._touched.items():
            self._records(name, touched, sign, bare, drop)
        if self._published:
            places = {(one.name, one.type) for one in (*sign, *bare)}
            old = [one for rrsets in self._published.values() for one in rrsets if (one.name, one.type) in places]
        if self._denial == compact.DENIAL:
            made, links = chain.stand(self._places, self._wanted, self._following)
        else:
            made, links = chain.mend(self._places, self._wanted)
        rdtype = denials.TYPES[self._denial]
        for owner, (following, bits) in made.items():
            rdata = denials.rdata_of(self._denial, following, bits)
            sign.append(RRset(owner, rdtype, self._ttl, (rdata,)))
        old.extend(link.record for link in links)
        drop.extend((link.owner, rdtype) for link in links if link.owner not in made)
        return Plan(self._origin, tuple(sign), tuple(bare), tuple(drop), tuple(old), NEVER)

    def _records(
        self, name: Name, touched: _Touched, sign: list[RRset], bare: list[RRset], drop: list[tuple[Name, int]]
    ) -> None:
        """Sort the name's own RRsets into what is signed, published bare and dropped."""
        before, after = touched.before, touched.after
        was_hidden = self._hidden_before(name)
        is_hidden = self._hidden_after(name)
        was_cut = shape.is_cut(name, _types(before), self._origin)
        is_cut = shape.is_cut(name, _types(after), self._origin)
        known = {one.type: one for one in before}
        for rrset in after:
            one = known.pop(rrset.type, None)
            signed = not is_hidden and shape.is_signed(rrset.type, cut=is_cut)
            if one == rrset:
                was_signed = not was_hidden and shape.is_signed(rrset.type, cut=was_cut)
                # The SOA always has a new serial; a job may bring the one already there as before.
                if signed == was_signed and rrset.type != Type.SOA:
                    continue
            (sign if signed else bare).append(rrset)
        drop.extend((name, rdtype) for rdtype in known)
