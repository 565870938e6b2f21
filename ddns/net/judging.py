"""One verified update meets its zone: permission, prerequisites, prescan, what it changes, and what is said to it.

Law: pure but for the values that gather in `ZoneWork`. What an update sees is what those before it in its batch left;
whether the records were read under a lock or are what memory holds is no matter here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from ddns.auth import grants, verdicts
from ddns.auth.principal import Credential, Grant, Principal
from ddns.dns import names
from ddns.dns.codes import Ede, Rcode, Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset, SignedRRset, soa_serial, soa_with_serial
from ddns.dns.refusal import Refusal
from ddns.homes import fullness, rolling
from ddns.homes import leases as leasing
from ddns.net.answers import Answer
from ddns.net.guard import Guard
from ddns.signing.publish import Published, ZoneStep
from ddns.store import journal, requests
from ddns.store.home_policies import Room
from ddns.store.standing import Shown
from ddns.store.zones import Zone
from ddns.zone import update as updates
from ddns.zone.changes import ChangeSet, RRsetChange
from ddns.zone.edition import Edition
from ddns.zone.jobs import Node
from ddns.zone.lease import Leases, Terms
from ddns.zone.limits import Limits
from ddns.zone.request import LEASE_SIZES
from ddns.zone.srp import Registration
from ddns.zone.update import Update
from ddns.zone.view import View


class Verified(msgspec.Struct, frozen=True):
    """An update whose signature was good: *zone* is the id of the zone that it names, None for an enrolment.

    *digest* names the signed request, *expires* (seconds since 1970) says until when it could be sent again. A
    *registration* (RFC 9665) was signed with its own key; *credential* is then the policy that allows it. *roll* is the
    KEY that the update puts in the place of its signer's at its home's apex.
    """

    update: Update
    credential: Credential
    zone: int | None
    digest: bytes
    expires: int
    registration: Registration | None = None
    roll: Rdata | None = None

    @property
    def alone(self) -> bool:
        """Tell whether this shares no commit with other updates."""
        return self.zone is None or self.roll is not None


RULES = 16  # keys whose rules in one zone are kept

DONE = Answer(Rcode.NOERROR)
TOO_OLD = Answer.of(
    Refusal(
        "request-too-old",
        Rcode.REFUSED,
        "The signature of this update ended long ago by the database's clock; sign it anew.",
        Ede.PROHIBITED,
    )
)


class Committed(msgspec.Struct, frozen=True):
    """The answers in the order of the batch; before they are given, *editions* are shown and *keys* looked up anew.

    So are the editions of the zones *behind*.
    """

    answers: tuple[Answer, ...]
    editions: tuple[Edition, ...] = ()
    keys: tuple[Name, ...] = ()
    behind: tuple[int, ...] = ()


Found = dict[tuple[int, Name], tuple[RRset, ...]]
_TLSA = int(Type.TLSA)
_TAGGED = 0xFF  # begins what is stored of an answer that says more than a lease, which never lasts that long


class ZoneWork:
    """One locked zone of a batch: its row, its view, what of it is published, and the journal entries that gather.

    *everybody* are the denials that bind every key there; *rules* may outlive the batch where zone and denials do.
    *guarded*: a TLSA record changes, and there is no *guard*. *terms* are those of its policy for leases, and
    *room* is how much it may hold and holds, where it has some.
    """

    def __init__(
        self,
        zone: Zone,
        mentioned: Iterable[Name],
        found: Found,
        published: Published,
        everybody: tuple[Grant, ...],
        rules: dict[int, tuple[Credential, grants.Rules]] | None = None,
    ) -> None:
        nodes = {name: found.get((zone.id, name), ()) for name in mentioned}
        if zone.edition:
            nodes[zone.origin] = _at_serial(nodes[zone.origin], zone.serial)
        self.zone = zone
        self.view = View(nodes)
        self.entries: list[journal.Entry] = []
        self.everybody = everybody
        self.leases = Leases({})
        self.registered = 0
        self.terms: Terms | None = None
        self.room: Room | None = None
        self.guard: Guard | None = None
        self.guarded = False
        self._published = published
        self._rules = {} if rules is None else rules

    def rules(self, live: Credential) -> grants.Rules:
        """Return the rules that hold here for *live*: found out once for the batch, or for longer."""
        found = self._rules.get(live.id)
        if found is None or found[0] is not live:
            zone = self.zone
            if len(self._rules) >= RULES:
                self._rules.clear()
            rules = grants.Rules(live, zone.id, zone.origin, is_home=zone.home, everybody=self.everybody)
            found = self._rules[live.id] = live, rules
        return found[1]

    def step(self) -> ZoneStep:
        """Return what the batch does to this zone; changes that undo each other leave only a new serial."""
        view, zone, origin = self.view, self.zone, self.zone.origin
        changes = view.changes()
        if zone.edition and zone.denial != "none":
            plain = view.plain_step(changes, origin, zone.serial)
            if plain is not None:
                return ZoneStep(
                    zone, (), accepted=len(self.entries), published=self._published, changes=changes, plain=plain
                )
        mine = dict.fromkeys([one.name for one in changes.changes])
        apex = len(origin)
        between = set()
        for name in mine:
            up = names.parent(name) if len(name) > apex else name
            while len(up) > apex:
                between.add(up)
                up = names.parent(up)
        return ZoneStep(
            zone,
            tuple([Node(name, view.was(name), view.get(name)) for name in mine]),
            tuple([(up, tuple([one.type for one in view.was(up)])) for up in sorted(between) if up not in mine]),
            view.get(origin),
            accepted=len(self.entries),
            published=self._published,
            changes=changes,
        )


class PublishedRows:
    """What is published in *zone*, where the database has *shown* it."""

    __slots__ = ("_shown", "_zone")

    def __init__(self, zone: int, shown: Shown) -> None:
        self._zone = zone
        self._shown = shown

    def at(self, name: Name, rdtype: int) -> SignedRRset | None:
        """Return the RRset of *rdtype* at *name*, None where there is none."""
        for one in self._shown.get((self._zone, name), ()):
            if one.type == rdtype:
                return one
        return None

    def replaced_by(self, added: tuple[SignedRRset, ...]) -> tuple[SignedRRset, ...]:
        """Return the RRsets that *added* take the places of, where there are any."""
        return tuple([there for one in added if (there := self.at(one.name, one.type)) is not None])


def with_those_above(wanted: Iterable[tuple[int, Name, Iterable[Name]]]) -> dict[int, dict[Name, None]]:
    """Return, by zone, the names of *wanted*, those between them and the apex, and the apex.

    *wanted* is given as (zone, apex, names).
    """
    out: dict[int, dict[Name, None]] = {}
    for zone, origin, found in wanted:
        mine = out.setdefault(zone, {origin: None})
        for name in found:
            at = name
            while at not in mine and len(at) > len(origin):
                mine[at] = None
                at = names.parent(at)
    return out


class Judged(msgspec.Struct, frozen=True):
    """A batch that was judged: its *answers* in order, and what is *fresh* by digest: the update and what it hears."""

    answers: tuple[Answer, ...]
    fresh: dict[bytes, tuple[Verified, Answer]]

    def remembered(self) -> list[tuple[bytes, requests.Stored, int]]:
        """Return what a retransmission is to hear, as (digest, answer, expiry)."""
        return [
            (digest, _STORED_DONE if answer is DONE else to_store(answer), one.expires)
            for digest, (one, answer) in self.fresh.items()
        ]


def judge(
    batch: Sequence[Verified],
    known: Mapping[bytes, requests.Stored | None],
    live: Callable[[Verified], Credential | None],
    work: Mapping[int, ZoneWork],
    limits: Limits,
    terms: Terms,
) -> Judged:
    """Judge the updates of *batch* in order; *known* are answers that were given before, *live* finds the key of one.

    What they do gathers in *work*, by zone.
    """
    answers: list[Answer] = []
    fresh: dict[bytes, tuple[Verified, Answer]] = {}
    for one in batch:
        if one.digest in known:
            answers.append(repeated(known[one.digest]))
            continue
        said = fresh.get(one.digest)
        if said is None:
            said = fresh[one.digest] = one, _judge(one, live(one), work, limits, terms)
        answers.append(said[1])
    return Judged(tuple(answers), fresh)


def done_by(work: Mapping[int, ZoneWork]) -> tuple[list[ZoneStep], list[journal.Entry]]:
    """Return the steps and the journal's entries of the zones that something was done to."""
    touched = [item for item in work.values() if item.entries]
    return [item.step() for item in touched], [entry for item in touched for entry in item.entries]


def to_store(answer: Answer) -> requests.Stored:
    """Return what a retransmission hears: the very same words."""
    octets = answer.lease
    if answer.dane:
        octets = bytes((_TAGGED, len(octets))) + octets + answer.dane
    return requests.Stored(answer.rcode, answer.ede, answer.extra_text, octets)


_STORED_DONE = to_store(DONE)


def repeated(stored: requests.Stored | None) -> Answer:
    """Return the answer to a request that was answered before, or may have been and is too old to tell."""
    if stored is None:
        return TOO_OLD
    lease, dane = stored.lease, b""
    if len(lease) not in LEASE_SIZES and lease[:1] == bytes((_TAGGED,)):
        end = 2 + lease[1]
        lease, dane = lease[2:end], lease[end:]
    return Answer(stored.rcode, stored.ede, stored.text, lease=lease, dane=dane)


def _at_serial(apex: tuple[RRset, ...], serial: int) -> tuple[RRset, ...]:
    """Return the RRsets of the *apex*, the SOA with the serial that the world sees."""
    for one in apex:
        if one.type == Type.SOA:
            if soa_serial(one.rdatas[0]) == serial:
                break
            shown = RRset(one.name, one.type, one.ttl, (soa_with_serial(one.rdatas[0], serial),))
            return tuple([shown if other is one else other for other in apex])
    return apex


def _judge(
    one: Verified, live: Credential | None, work: Mapping[int, ZoneWork], limits: Limits, terms: Terms
) -> Answer:
    """Do one update to its zone's view, or refuse it (RFC 2136 §3; permission before prerequisites, RFC 3007 §3)."""
    item = work.get(one.zone) if one.zone is not None else None
    if item is None:
        return Answer.of(verdicts.zone_removed(one.update.zone))
    if live is None:
        return Answer.of(verdicts.key_revoked(one.credential))
    zone, update = item.zone, one.update
    if zone.origin != update.zone:
        return Answer.of(verdicts.zone_removed(update.zone))  # and another has come in its place
    if zone.suspended:
        return Answer.of(verdicts.home_suspended(zone.origin))
    if zone.is_away:
        return Answer.of(verdicts.home_away(zone.origin))
    rules = item.rules(live)
    registration = one.registration
    refusal = (
        (leasing.may_register(live, zone) if registration is not None else None)
        or rules.refuse(update.targets(), (one.name for one in update.prerequisites))
        or updates.prerequisites(update, item.view)
        or updates.prescan(update)
    )
    if refusal is not None:
        return Answer.of(refusal)
    guard, wish = item.guard, update.dane
    if guard is not None and wish is not None:
        refusal = guard.carry_out(update, item.view, rules.refuse)
        if refusal is not None:
            return Answer.of(refusal)
    refuse = rules.refuse_outcome if guard is None else _both(rules, guard, update)
    if zone.home:
        refuse = _of_home(refuse, item)
    done = leasing.apply(
        update, registration, zone, item.view, item.leases, terms=item.terms or terms, limits=limits,
        refuse=refuse, registered=item.registered,
    )  # fmt: skip
    if isinstance(done, Refusal):
        return Answer.of(done)
    changes = done.changes.changes
    note = ""
    if guard is not None:
        note = guard.follow(changes, wish)
    else:
        for change in changes:
            if change.type == _TLSA:
                item.guarded = True
    if changes:
        if item.room is not None:
            item.room = fullness.after(item.room, zone.origin, item.view, changes)
        item.view.apply(done.changes)
        item.entries.append(_entry(one, live, zone, len(item.entries), done.changes))
    if guard is not None and wish is not None:
        return Answer(Rcode.NOERROR, text=note, lease=done.option, dane=guard.describe(update, item.view))
    return Answer(Rcode.NOERROR, lease=done.option) if done.option else DONE


Refuse = Callable[[Sequence[RRsetChange]], Refusal | None]


def _of_home(refuse: Refuse, item: ZoneWork) -> Refuse:
    """Return what refuses an outcome in a home: what does so anywhere, other keys at its apex, and what is too much."""
    home, room = item.zone.origin, item.room
    if room is None:
        return lambda changes: refuse(changes) or rolling.refuse_keys(home, changes)
    return lambda changes: (
        refuse(changes)
        or rolling.refuse_keys(home, changes)
        or fullness.refuse(room, fullness.after(room, home, item.view, changes), home)
    )


def _both(rules: grants.Rules, guard: Guard, update: Update) -> Refuse:
    """Return what refuses an outcome: its key's rules, then the guard of TLSA records."""
    return lambda changes: rules.refuse_outcome(changes) or guard.refuses(changes, update.dane)


def _entry(one: Verified, live: Credential, zone: Zone, before: int, changes: ChangeSet) -> journal.Entry:
    seq = zone.head + before + 1
    who = Principal(live).label if one.registration is None else leasing.label(one.registration)
    return journal.Entry(zone.id, seq, who, live.id, one.digest, changes)
