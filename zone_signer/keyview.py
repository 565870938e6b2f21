"""A signing key as the key machine sees it: its public half, its role, and where its records are. Pure.

Law: what moves has a motion, and what has settled has none. The label is derived, never decided: it is stored so that
people, and signers of the version before, find the words of RFC 7583 there.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from ddns.dns.records import Rdata
from zone_signer.phase import GONE, SHOWN, STRAY, Phase, Record, Role


class Motion(msgspec.Struct, frozen=True):
    """A record on its way: begun at *since* and shown by the servers of zone *place* from *serial* on.

    *place* is 0 and *serial* None where the servers are those of a parent elsewhere. *ttl* is that of what caches may
    hold instead, *seen_at* when the last server had shown it. Times in seconds since 1970, *ttl* in seconds.
    """

    since: int
    place: int
    serial: int | None
    ttl: int
    seen_at: int | None = None


class KeyView(msgspec.Struct, frozen=True):
    """A key of a zone.

    *stays*: it is meant to; one that does not is on its way out. *foreign*: another signer's, published here only.
    *rdata* is its DNSKEY. *born* and *removed* in seconds since 1970; a removed key has no private half any more.
    """

    id: str
    tag: int
    algorithm: int
    role: Role
    born: int
    stays: bool
    compromised: bool
    vault: str
    dnskey: Phase
    zrrsig: Phase
    ds: Phase
    motions: Mapping[Record, Motion] = {}
    foreign: bool = False
    rdata: Rdata = b""
    removed: int | None = None

    @property
    def is_sep(self) -> bool:
        """Tell whether the key has a DS and signs the DNSKEY RRset."""
        return self.role is not Role.ZSK

    @property
    def is_living(self) -> bool:
        """Tell whether the key is ours and has a private half."""
        return self.removed is None and not self.foreign

    @property
    def phases(self) -> tuple[Phase, Phase, Phase]:
        """Return the phases of the key itself, its signatures and its DS."""
        return self.dnskey, self.zrrsig, self.ds

    def phase(self, record: Record) -> Phase:
        """Return the phase of one of the key's records."""
        phase: Phase = getattr(self, record.value)
        return phase

    def label(self) -> str:
        """Return the key's state in the words of RFC 7583 §3.1, and *generated* before it is published."""
        if not any(phase in STRAY for phase in self.phases):
            return "generated" if self.stays else "removed"
        if not self.stays:
            if self.zrrsig in SHOWN or self.ds in SHOWN:
                return "active"
            return "retired" if Phase.UNRETENTIVE in (self.zrrsig, self.ds) else "dead"
        if self.dnskey is not Phase.OMNIPRESENT:
            return "published"
        working = {Role.KSK: (self.ds,), Role.ZSK: (self.zrrsig,), Role.CSK: (self.ds, self.zrrsig)}[self.role]
        return "active" if any(phase in SHOWN for phase in working) else "ready"

    def with_phase(self, record: Record, phase: Phase, motion: Motion | None) -> KeyView:
        """Return the key with one record in another phase; *motion* None where it has settled."""
        motions = {kept: one for kept, one in self.motions.items() if kept is not record}
        if motion is not None:
            motions[record] = motion
        match record:
            case Record.DNSKEY:
                return replace(self, dnskey=phase, motions=motions)
            case Record.ZRRSIG:
                return replace(self, zrrsig=phase, motions=motions)
            case Record.DS:
                return replace(self, ds=phase, motions=motions)

    def is_gone(self) -> bool:
        """Tell whether no cache holds anything of the key."""
        return all(phase in GONE for phase in self.phases)
