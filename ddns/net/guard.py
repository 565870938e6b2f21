"""What DANE's guard means for the updates of a batch in one zone: which of them it refuses, and what it remembers.

The rules are in `ddns.zone.dane`; here they meet the batch, whose updates see each other. Only the careful way has a
guard, and only for the names whose TLSA records an update is about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ddns.dns import names
from ddns.dns.codes import Ede, Rcode, Type
from ddns.dns.names import Name
from ddns.dns.refusal import Refusal
from ddns.zone import dane, dane_option
from ddns.zone.changes import RRsetChange
from ddns.zone.dane import Pin, Rule, Verdict
from ddns.zone.dane_option import Verb, Wish
from ddns.zone.update import Update
from ddns.zone.view import View

CROWDED = Refusal(
    "tlsa-too-many",
    Rcode.REFUSED,
    "So many TLSA records of this zone are on their way that no more are followed; wait until some have settled.",
    Ede.PROHIBITED,
)

_TLSA = int(Type.TLSA)
_ANY = int(Type.ANY)

Pins = tuple[Pin, ...]


class Guard:
    """The TLSA records of one zone while a batch is judged, and what the zone demands of them as *rule*.

    *stored* is what the database knows of each name's records, in *serial* (None: the signer is behind); *seen* is for
    `dane.settle`, *now* in seconds since 1970. *anchored* is False where it is known that nobody can validate the zone.
    *crowded*: so much is remembered of the zone that no more may come to it.
    """

    def __init__(
        self,
        rule: Rule,
        stored: Mapping[Name, Pins],
        seen: Callable[[int, int], int | None],
        *,
        serial: int | None,
        now: int,
        anchored: bool | None,
        crowded: bool = False,
    ) -> None:
        self._rule = rule
        self._stored = stored
        self._seen = seen
        self._pins = {name: self._settled(pins, serial, now) for name, pins in stored.items()}
        self._now = now
        self._anchored = anchored
        self._crowded = crowded

    def refuses(self, changes: Iterable[RRsetChange], wish: Wish | None) -> Refusal | None:
        """Return why *changes*, which nobody has done yet, may not be done."""
        for one in changes:
            if one.type == _TLSA:
                verdict = self._judged(one, wish)
                if verdict.refusal is not None:
                    return verdict.refusal
                if self._crowded and len(verdict.pins) > len(self._pins.get(one.name, ())):
                    return CROWDED
        return None

    def follow(self, changes: Iterable[RRsetChange], wish: Wish | None) -> str:
        """Remember what *changes*, which were not refused, mean; return what they cost, where they do."""
        note = ""
        for one in changes:
            if one.type == _TLSA:
                verdict = self._judged(one, wish)
                self._pins[one.name] = verdict.pins
                note = note or verdict.note
                if wish is not None and one.after is not None and self._anchored is False:
                    note = note or (
                        f"No client believes TLSA records of {names.to_text(one.name)} yet: the zone is not signed, or "
                        "has no DS above it."
                    )
        return note

    def carry_out(
        self, update: Update, view: View, refuse: Callable[[Sequence[tuple[Name, int]]], Refusal | None]
    ) -> Refusal | None:
        """Do what *update*'s wish asks for beside its operations, or refuse it; *view* has not seen these.

        *refuse* tells whether its key may write at names and types.
        """
        wish = update.dane
        if wish is None or wish.is_change:
            return None
        if update.operations:
            return Refusal(
                "update-malformed",
                Rcode.FORMERR,
                "The update is malformed: its TLSA option goes with no operations; send them in another update.",
            )
        if wish.verb != Verb.DEPLOYED:
            return None
        owners = owners_of(update)
        refusal = refuse([(owner, _TLSA) for owner in owners])
        if refusal is not None:
            return refusal
        after: dict[Name, Pins] = {}
        for owner in owners:
            rrset = view.rrset(owner, _TLSA)
            if rrset is not None:
                verdict = dane.deployed(owner, rrset, self._pins.get(owner, ()), wish.data, self._now)
                if verdict.refusal is not None:
                    return verdict.refusal
                after[owner] = verdict.pins
        self._pins |= after
        return None

    def describe(self, update: Update, view: View) -> bytes:
        """Return the octets that tell how the records stand of which *update* speaks, as *view* has them."""
        owners = owners_of(update)
        return dane_option.pack_services(
            dane.describe(one, view.rrset(one, _TLSA), self._pins.get(one, ())) for one in owners
        )

    def changed(self, serial: int | None, now: int) -> dict[Name, tuple[Pins, Pins]]:
        """Return what is stored of each name's records, and what is to be, where these differ.

        What changed is about to be seen *now* in *serial*; None: the signer will publish it later.
        """
        after = {name: self._settled(pins, serial, now) for name, pins in self._pins.items()}
        return {
            name: (self._stored.get(name, ()), pins)
            for name, pins in after.items()
            if pins != self._stored.get(name, ())
        }

    def _settled(self, pins: Pins, serial: int | None, now: int) -> Pins:
        return dane.settle(dane.numbered(pins, serial, now), self._seen, now)

    def _judged(self, one: RRsetChange, wish: Wish | None) -> Verdict:
        managed = wish is not None and wish.is_change
        revoke = wish.data if wish is not None and wish.verb == Verb.REVOKE else frozenset()
        pins = self._pins.get(one.name, ())
        return dane.judge(
            one.name, one.before, one.after, pins, self._rule, managed=managed, revoke=revoke, now=self._now
        )


def owners_of(update: Update) -> list[Name]:
    """Return the names of whose TLSA records *update* speaks: what it writes there, or demands to be there."""
    written = [name for name, rdtype in update.writes if rdtype == _TLSA]
    return list(dict.fromkeys([*written, *(one.name for one in update.prerequisites if one.type == _TLSA)]))


def followed_in(update: Update) -> list[tuple[Name, bool]]:
    """Return the names whose TLSA records *update* may change, True where only if there are any."""
    sure = [(name, False) for name in owners_of(update)]
    return [*sure, *((name, True) for name, rdtype in update.writes if rdtype == _ANY)]
