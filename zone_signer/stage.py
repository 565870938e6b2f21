"""What the key machine is told and what it answers: values. Pure.

`Facts` is all that a step knows about a zone beside its keys, `Step` all that it decides. Neither is kept: facts are
read and steps are carried out under the lock of the zone's row.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from ddns.dns import names
from ddns.dns.names import Name
from zone_signer.keyview import KeyView
from zone_signer.phase import SHOWN, STRAY, Phase, Record, Role
from zone_signer.seen import Sighting


class Facts(msgspec.Struct, frozen=True):
    """What is so about a zone now; TTLs in seconds, times in seconds since 1970.

    *parent* is the id of the registry's zone that holds its DS, 0 where that is elsewhere; *parent_signed* whether that
    one is signed, *parent_serial* its published serial, *ds_ttl* the TTL of the zone's DS there, or of its absence.
    *dnskey_ttl* and *max_ttl* are the greatest TTLs that a DNSKEY RRset, or any RRset, was published with of late: one
    that was lowered or removed may still be in caches, and on a server that lags. *whole* is when and with which serial
    all RRsets had the signatures of today's signers, None while slices of it are under way.
    *serial* is the published one. *fresh*: nothing was ever published. *secondaries* and *parents* are the sightings of
    the servers that count; for a zone with *parent* those of the registry's secondaries are its parents'.
    *crowded*: so many zones under that parent move that no roll of a policy begins. *lost*: ids of keys in use that
    no vault opens.

    The sightings must be read after the zone's row was locked, or a server could seem to be ahead of us.
    """

    zone: int
    origin: Name
    parent: int
    dnskey_ttl: int
    negative_ttl: int
    max_ttl: int
    whole: tuple[int, int] | None
    serial: int
    keyset: int
    fresh: bool
    secondaries: tuple[Sighting, ...] = ()
    parents: tuple[Sighting, ...] = ()
    parent_signed: bool = True
    parent_serial: int = 0
    ds_ttl: int | None = None
    crowded: bool = False
    lost: tuple[str, ...] = ()

    @property
    def wants_ds(self) -> bool:
        """Tell whether a DS does any good: under an unsigned registry it does not."""
        return not self.parent or self.parent_signed

    @property
    def name(self) -> str:
        """Return the zone's name for people."""
        return names.to_text(self.origin)

    def place(self, record: Record) -> int:
        """Return the zone whose servers must show *record*; 0 for a parent elsewhere."""
        return self.parent if record is Record.DS else self.zone


class Move(msgspec.Struct, frozen=True):
    """One record of one key goes from one phase to another; *ttl* is that of its motion, *evidence* what was observed.

    A move to the same phase writes down a motion that nobody has written down.
    """

    key: str
    record: Record
    before: Phase
    after: Phase
    ttl: int
    why: str
    evidence: str = ""


class NewKey(msgspec.Struct, frozen=True):
    """A key that is to be made; *replaces* is the id of its predecessor."""

    role: Role
    algorithm: int
    vault: str
    replaces: str | None
    why: str


class Noticed(msgspec.Struct, frozen=True):
    """The last server has shown a motion at *at*; from then on its TTL runs."""

    key: str
    record: Record
    at: int
    evidence: str


class Wait(msgspec.Struct, frozen=True):
    """What a motion, or a motion that has not begun, waits for.

    *until* is when it will be over, None where that hangs on somebody: *who* must act (or "nobody") is a sentence with
    the command or record that helps. *stuck*: it takes longer than the policy's patience.
    """

    key: str
    tag: int
    record: Record
    until: int | None
    what: str
    who: str
    stuck: bool


class Refused(msgspec.Struct, frozen=True):
    """An order that is not carried out, and why, in one sentence."""

    order: int
    sentence: str


class Step(msgspec.Struct, frozen=True):
    """What one step does; it is carried out wholly or not at all.

    *make*: keys to make. *leave*, *stay*, *compromised*, *destroy*, *purge*: ids of keys that stop to stay, stay again,
    are known to others, lose their private half, are forgotten. *wake* is when to look again, *denial* the zone's
    from now on, *wish* likewise. *resign*: all signatures are made anew. *done_orders* are no longer orders, among
    them the *refused*.
    """

    make: tuple[NewKey, ...] = ()
    leave: tuple[str, ...] = ()
    moves: tuple[Move, ...] = ()
    destroy: tuple[str, ...] = ()
    purge: tuple[str, ...] = ()
    waits: tuple[Wait, ...] = ()
    wake: int | None = None
    denial: str | None = None
    done_orders: tuple[int, ...] = ()
    stay: tuple[str, ...] = ()
    compromised: tuple[str, ...] = ()
    noticed: tuple[Noticed, ...] = ()
    wish: str | None = None
    resign: bool = False
    refused: tuple[Refused, ...] = ()

    def visible(self) -> bool:
        """Tell whether what is published of a key, a signature or a DS is another afterwards.

        CDS and CDNSKEY come and go with a DS that begins or ends to move, too: whoever carries out a step compares
        the `keyset.KeySet` before and after it.
        """
        return self.resign or any((one.before in SHOWN) != (one.after in SHOWN) for one in self.moves)

    def does(self) -> bool:
        """Tell whether the step does anything at all but wait."""
        return bool(
            self.make or self.leave or self.moves or self.destroy or self.purge or self.denial or self.done_orders
            or self.stay or self.compromised or self.noticed or self.wish or self.resign
        )  # fmt: skip


def anchored(keys: Sequence[KeyView]) -> bool:
    """Tell whether some cache may hold a DS of *keys*, so that somebody trusts the zone."""
    return any(key.ds in STRAY for key in keys)


def unsigned(keys: Sequence[KeyView]) -> bool:
    """Tell whether none of *keys* is published and none signs."""
    return not any(key.dnskey in SHOWN or key.zrrsig in SHOWN for key in keys)


def shown_time(at: int) -> str:
    """Return a time for people, to the minute and in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
