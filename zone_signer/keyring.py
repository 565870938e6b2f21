"""Which keys sign a zone, opened and ready: a bounded memory, so that an update needs no look into the database.

What is remembered is what a zone's row said under one number, its keyset; whoever asks says which number the row has
now, and is given nothing else. What is not written yet is never remembered, for its transaction may fail.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from ddns.dns.names import Name
from ddns.dns.records import Rdata, RRset
from ddns.zone.jobs import SealedKey
from zone_signer.policies import DEFAULT, Policies
from zone_signer.records_of_keys import KeyRecords
from zone_signer.rrsig import Signatory
from zone_signer.vault import SigningKey
from zone_signer.vaults import Opener

CAPACITY = 20_000  # zones, some 3.5 KiB each


class ZoneKeys:
    """The keys that sign one zone under the number *keyset*, and the *records* that it has because of its keys.

    *policy* is the name of the zone's. *newest* is the newest inception that is known, in seconds since 1970.
    """

    __slots__ = ("at_apex", "blocks", "in_zone", "keyset", "newest", "origin", "policy", "records", "used")

    def __init__(
        self,
        origin: Name,
        opened: Sequence[SigningKey],
        records: KeyRecords,
        policy: str = DEFAULT,
        keyset: int = 0,
        newest: int = 0,
    ) -> None:
        signatories = [Signatory(origin, key) for key in opened]
        self.origin = origin
        self.records = records
        self.at_apex = tuple([who for who in signatories if who.mark in records.apex])
        self.in_zone = tuple([who for who in signatories if who.mark in records.zone])
        self.blocks = any(key.blocks for key in opened)  # to sign takes long: not in a loop
        self.policy = policy
        self.keyset = keyset
        self.newest = newest
        self.used = False  # since it was looked at last, to make room

    def sign(self, rrsets: Sequence[RRset], inception: int, expiration: int) -> tuple[tuple[Rdata, ...], ...]:
        """Return the RRSIGs of each of *rrsets*, one by every key of the zone; times in seconds since 1970.

        None of them may be of a type that the keys of the apex sign.
        """
        return tuple(zip(*[who.sign_each(rrsets, inception, expiration) for who in self.in_zone], strict=True))


class Kept(msgspec.Struct, frozen=True):
    """What a database keeps of a zone's keys at one moment: those that sign are *sealed*, the rest as in `ZoneKeys`.

    *denial* is how the zone says what it does not hold.
    """

    sealed: tuple[SealedKey, ...]
    records: KeyRecords
    policy: str
    keyset: int
    newest: int
    denial: str = ""


class KeyRing:
    """The opened keys of the zones that were signed lately, and the *policies* in force; *capacity* in zones.

    What has been used since it was looked at last is spared once when room is made: whoever finds keys writes one
    mark, and neither waits for a lock nor moves anything about.
    """

    def __init__(self, vault: Opener, capacity: int = CAPACITY) -> None:
        self.vault = vault
        self.policies = Policies()
        self._capacity = capacity
        self._zones: OrderedDict[int, ZoneKeys] = OrderedDict()
        self._lock = threading.Lock()  # several threads open keys and make room

    def get(self, zone: int, origin: Name, keyset: int) -> ZoneKeys | None:
        """Return the keys of *zone* under the number *keyset*, if they are remembered. For any thread."""
        known = self._zones.get(zone)
        if known is None or known.keyset != keyset or known.origin != origin:
            return None
        known.used = True
        return known

    def open(self, zone: int, origin: Name, kept: Kept) -> ZoneKeys:
        """Open the committed keys of *zone* and remember them. For any thread. Raises `vault.VaultError`."""
        opened = self.opened(origin, kept)
        with self._lock:
            while len(self._zones) >= self._capacity:
                self._make_room()
            self._zones[zone] = opened
        return opened

    def opened(self, origin: Name, kept: Kept) -> ZoneKeys:
        """Open keys that are not to be remembered. For any thread. Raises `vault.VaultError`."""
        keys = [self.vault.open(origin, one) for one in kept.sealed]
        return ZoneKeys(origin, keys, kept.records, kept.policy, kept.keyset, kept.newest)

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
