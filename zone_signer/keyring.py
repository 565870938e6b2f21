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

CAPACITY = 20_000  # zones, some 3.5 KiB each


class ZoneKeys:
    """The keys that sign one zone. *newest* is the newest inception that is known, in seconds since 1970."""

    __slots__ = ("dnskeys", "newest", "origin", "signatories", "used")

    def __init__(self, origin: Name, opened: Sequence[SigningKey], newest: int = 0) -> None:
        self.origin = origin
        self.signatories = tuple([Signatory(origin, key) for key in opened])
        self.dnskeys: tuple[Rdata, ...] = tuple([key.public for key in opened])
        self.newest = newest
        self.used = False  # since it was looked at last, to make room

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
    """The opened keys of the zones that were signed lately; *capacity* in zones.

    What has been used since it was looked at last is spared once when room is made: whoever finds keys writes one
    mark, and neither waits for a lock nor moves anything about.
    """

    def __init__(self, vault: Vault, capacity: int = CAPACITY) -> None:
        self.vault = vault
        self._capacity = capacity
        self._zones: OrderedDict[int, ZoneKeys] = OrderedDict()
        self._lock = threading.Lock()  # several threads open keys and make room

    def get(self, zone: int, origin: Name) -> ZoneKeys | None:
        """Return the keys of *zone*, if they are remembered. For any thread."""
        known = self._zones.get(zone)
        if known is None or known.origin != origin:
            return None
        known.used = True
        return known

    def open(self, zone: int, origin: Name, sealed: Sequence[SealedKey], newest: int) -> ZoneKeys:
        """Open the committed keys of *zone* and remember them. For any thread. Raises `vault.VaultError`."""
        opened = ZoneKeys(origin, [self.vault.open(origin, one) for one in sealed], newest)
        with self._lock:
            while len(self._zones) >= self._capacity:
                self._make_room()
            self._zones[zone] = opened
        return opened

    def _make_room(self) -> None:
        """Look at the keys that were not looked at for longest: let them go, or spare them once."""
        zone, keys = next(iter(self._zones.items()))
        if keys.used:
            keys.used = False
            self._zones.move_to_end(zone)
        else:
            del self._zones[zone]

    def forget(self, zone: int) -> None:
        """Drop what is remembered of *zone*."""
        with self._lock:
            self._zones.pop(zone, None)
