"""Which keys sign a zone, opened and ready: a bounded memory, so that an update needs no look into the database.

A zone's keys do not change while it exists, so what is remembered stays true; what is not written yet is never
remembered, for its transaction may fail.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset
from ddns.zone.jobs import SealedKey
from zone_signer import keys
from zone_signer.rrsig import Signatory
from zone_signer.vault import SigningKey, Vault

CAPACITY = 20_000  # zones


class ZoneKeys:
    """The keys that sign one zone. *newest* is the newest inception that is known, in seconds since 1970."""

    __slots__ = ("dnskeys", "newest", "origin", "signatories")

    def __init__(self, origin: Name, opened: Sequence[SigningKey], newest: int = 0) -> None:
        self.origin = origin
        self.signatories = tuple([Signatory(origin, key) for key in opened])
        self.dnskeys: tuple[Rdata, ...] = tuple([key.public for key in opened])
        self.newest = newest

    @property
    def marks(self) -> frozenset[tuple[int, int]]:
        """Return algorithm and tag of each key: what tells whose a signature is."""
        return frozenset(who.mark for who in self.signatories)

    def sign(self, rrsets: Sequence[RRset], inception: int, expiration: int) -> tuple[tuple[Rdata, ...], ...]:
        """Return the RRSIGs of each of *rrsets*, one by every key; times in seconds since 1970."""
        return tuple(zip(*[who.sign_each(rrsets, inception, expiration) for who in self.signatories], strict=True))

    def ds(self) -> tuple[Rdata, ...]:
        """Return the DS records that the parent ought to have."""
        return tuple(sorted(keys.ds(self.origin, dnskey) for dnskey in self.dnskeys))


class KeyRing:
    """The opened keys of the zones that were signed last; *capacity* in zones."""

    def __init__(self, vault: Vault, capacity: int = CAPACITY) -> None:
        self.vault = vault
        self._capacity = capacity
        self._zones: OrderedDict[int, ZoneKeys] = OrderedDict()
        self._lock = threading.Lock()  # big zones are signed in threads

    def get(self, zone: int, origin: Name) -> ZoneKeys | None:
        """Return the keys of *zone*, if they are remembered."""
        with self._lock:
            known = self._zones.get(zone)
            if known is None or known.origin != origin:
                return None
            self._zones.move_to_end(zone)
            return known

    def open(self, zone: int, origin: Name, sealed: Sequence[SealedKey], newest: int) -> ZoneKeys:
        """Open the committed keys of *zone* and remember them. Raises `vault.VaultError`."""
        opened = ZoneKeys(origin, [self.vault.open(origin, one) for one in sealed], newest)
        with self._lock:
            self._zones[zone] = opened
            if len(self._zones) > self._capacity:
                self._zones.popitem(last=False)
        return opened

    def forget(self, zone: int) -> None:
        """Drop what is remembered of *zone*."""
        with self._lock:
            self._zones.pop(zone, None)
