"""Sign what compact denial says of names that are not in a zone, because a server was asked for them (RFC 9824 §3).

Law: this is no oracle. Whoever asks chooses a zone that denies in this way, and a name below its apex; what is said of
the name is made here. Of a name that does not exist it is always the same; of one that a wildcard answers for it is
what this zone's keys have signed at the wildcard, and no longer than that is valid. All that is signed here in a second
is bounded, whoever asks.

That a name is not there is for the server to know. One that was taken over could have names denied that exist, for the
hours that such a signature is valid; it could not have data signed that the zone does not have, nor make a secure
delegation insecure, because no such record has the bit of NS.
"""

from __future__ import annotations

import logging
import struct
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec
import psycopg

from ddns.dns import names
from ddns.dns.codes import MAX_TTL, Type
from ddns.dns.names import BadName, Name
from ddns.dns.records import Rdata, RRset, SignedRRset
from ddns.zone import compact
from ddns.zone.jobs import Asked, ProofJob, Proven
from zone_signer import canon, rrsig
from zone_signer import keys as public
from zone_signer.checking import verifies
from zone_signer.clockkeeper import ClockRefused
from zone_signer.keyring import Kept, KeyRing, ZoneKeys
from zone_signer.keyset import APEX_TYPES
from zone_signer.sign import ClockBack, check_clock
from zone_signer.vault import VaultError

log = logging.getLogger("zone_signer")

VALID = 172_800  # seconds for which what is signed here is valid: a denial's greatest TTL twice
GIVEN = 3600  # seconds for which a server may give it out
MOST = 4000  # names a second, whoever asks: some three tenths of a processor with P-256
AT_ONCE = 256  # names of one job
FRESH = 60.0  # seconds for which a zone's number of keys is believed that was read for an edition
CHECKED = 4096  # signatures at wildcards that are known to be good

# What stands at a wildcard and is not given to others (RFC 4592 §4.2 to §4.6), or is at no wildcard.
_NEVER = frozenset({*APEX_TYPES, Type.SOA, Type.NS, Type.DS, Type.DNAME, Type.NSEC3, Type.NSEC3PARAM, Type.RRSIG})
_NSEC = int(Type.NSEC)
_TYPES = 1 << 16
_LONGEST = 0xFFFF  # octets of RDATA (RFC 1035 §3.2.1)
_HEAD = struct.Struct("!HBBIIIH")  # RFC 4034 §3.1


class Rows(Protocol):
    """What reads the keys of zones: `lookup.Lookup`."""

    def keys(self, zones: Sequence[int], now: int) -> Mapping[int, Kept]:
        """Return what is kept of each of *zones* that has keys. For any thread. Raises `psycopg.Error`."""


class _Refused(Exception):
    """What is not signed; the message is one sentence."""


class _Known(msgspec.Struct, frozen=True, gc=False):
    """Which keys a zone had when they were read for *edition*, at *read_at* by the clock that only grows."""

    edition: int
    keyset: int
    read_at: float


class Prover:
    """Answers `ProofJob`s with the keys of *ring*, which *lookup* reads. Everything is for any thread.

    *clock* gives seconds since 1970, *ticks* seconds that only grow.
    """

    def __init__(
        self,
        ring: KeyRing,
        lookup: Rows | None,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ring = ring
        self._lookup = lookup
        self._clock = clock
        self._ticks = ticks
        self._lock = threading.Lock()
        self._left, self._filled = float(MOST), ticks()
        self._known: OrderedDict[int, _Known] = OrderedDict()
        self._good: OrderedDict[tuple[Name, SignedRRset], int] = OrderedDict()

    def prove(self, jobs: Sequence[ProofJob]) -> tuple[Proven, ...]:
        """Answer *jobs* in their order; one that cannot be done says why."""
        return tuple([self._answered(job) for job in jobs])

    def _answered(self, job: ProofJob) -> Proven:
        try:
            return self._prove(job, int(self._clock()))
        except (_Refused, ClockBack, ClockRefused, VaultError) as error:
            return Proven(job.zone, error=str(error))
        except (OSError, psycopg.Error) as error:
            log.warning("signer.database_away reason=%s", " ".join(str(error).split()))
            return Proven(job.zone, error="the signer cannot reach its database")
        except Exception:
            log.exception("signer.bug zone=%s", job.zone)
            return Proven(job.zone, error="the signer failed; its log says where")

    def _prove(self, job: ProofJob, now: int) -> Proven:
        if not 0 < len(job.asked) <= AT_ONCE:
            raise _Refused(f"a job has 1 to {AT_ONCE} names")
        if not 0 <= job.ttl <= compact.MOST_TTL:
            raise _Refused(f"a denial's TTL is 0 to {compact.MOST_TTL}")
        keys = self._keys(job, now)
        check_clock(job.origin, keys.newest, now)
        if not self._pay(len(job.asked)):
            raise _Refused(f"the signer signs {MOST} denials a second, and no more")
        inception = now - self._ring.policies.named(keys.policy).signatures.backdate
        sigs: list[tuple[Rdata, ...]] = []
        ends = now + VALID
        for one in job.asked:
            try:
                rrset, end = self._made(job, keys, one, now)
            except (_Refused, BadName):
                sigs.append(())
                continue
            sigs.extend(keys.sign((rrset,), inception, end))
            ends = min(ends, end)
        return Proven(job.zone, tuple(sigs), min(now + GIVEN, ends))

    def _made(self, job: ProofJob, keys: ZoneKeys, one: Asked, now: int) -> tuple[RRset, int]:
        """Return what is said of a name, and until when. Raises `_Refused` and `BadName`."""
        name, origin = _name(one.name), job.origin
        if not names.is_subdomain(name, origin) or name == origin:
            raise _Refused("it is not below the zone's apex")
        if one.wildcard is None:
            return RRset(name, _NSEC, job.ttl, (compact.absent(name, origin),)), now + VALID
        there = one.wildcard
        wildcard = _name(there.name)
        above = names.parent(wildcard) if names.is_wildcard(wildcard) else name
        if not names.is_subdomain(above, origin) or not names.is_subdomain(name, above) or name in (above, wildcard):
            raise _Refused("that wildcard does not answer for it")
        if there.type in _NEVER or not 0 < there.type < _TYPES or not 0 <= there.ttl <= MAX_TTL:
            raise _Refused("a wildcard gives nothing of that type")
        if not there.rdatas or max(map(len, there.rdatas)) > _LONGEST:
            raise _Refused("that is no RRset")
        end = min(now + VALID, self._checked(origin, keys, there, now))
        rdatas = there.rdatas
        if there.type == _NSEC:
            rdatas = (compact.expanded(name, origin, rdatas[0]),)
        return RRset(name, there.type, there.ttl, rdatas), end

    def _checked(self, origin: Name, keys: ZoneKeys, there: SignedRRset, now: int) -> int:
        """Return until when a signature of *keys* over *there* is valid. Raises `_Refused` where none is."""
        known = self._good.get((origin, there))
        if known is not None and now < known:
            return known
        for sig in there.sigs:
            end = _good_until(origin, keys.records.dnskeys, there, sig, now)
            if end:
                with self._lock:
                    while len(self._good) >= CHECKED:
                        self._good.popitem(last=False)
                    self._good[origin, there] = end
                return end
        raise _Refused("the zone's keys have not signed that")

    def _keys(self, job: ProofJob, now: int) -> ZoneKeys:
        """Return the keys that sign the zone in its edition or a later one. Raises `_Refused` and what `open` does.

        Which keys sign never changes without an edition that shows it, so a number of keys that was read for an edition
        holds for all before it. Whoever asks might say a number that there is not yet: nothing is believed for long.
        """
        ring, known = self._ring, self._known.get(job.zone)
        tick = self._ticks()
        if known is not None and known.edition >= job.edition and tick < known.read_at + FRESH:
            keys = ring.get(job.zone, job.origin, known.keyset)
            if keys is not None:
                return keys
        if self._lookup is None:
            raise _Refused("this signer does not sign denials")
        kept = self._lookup.keys([job.zone], now).get(job.zone)
        if kept is None or not kept.records.zone:
            raise _Refused("the zone has no key that signs it")
        if kept.denial != compact.DENIAL:
            raise _Refused("the zone does not deny in this way")
        keys = ring.get(job.zone, job.origin, kept.keyset) or ring.open(job.zone, job.origin, kept)
        with self._lock:
            self._known.pop(job.zone, None)
            while len(self._known) >= CHECKED:
                self._known.popitem(last=False)
            self._known[job.zone] = _Known(job.edition, kept.keyset, tick)
        return keys

    def _pay(self, much: int) -> bool:
        """Tell whether so many names may be signed now, and count them."""
        with self._lock:
            tick = self._ticks()
            self._left = min(self._left + max(0.0, tick - self._filled) * MOST, MOST)
            self._filled = tick
            if self._left < much:
                return False
            self._left -= much
            return True


def _name(octets: bytes) -> Name:
    """Return *octets* where they are a name as this program writes them. Raises `BadName`."""
    name, end = names.read(octets, 0)
    if end != len(octets) or name != octets:
        raise BadName("it is not written as names are here")
    return name


def _good_until(origin: Name, dnskeys: Sequence[Rdata], there: SignedRRset, sig: Rdata, now: int) -> int:
    """Return until when *sig* over *there* is valid; 0: it is not, or not made by one of *dnskeys* (RFC 4035 §5.3)."""
    head = sig[: _HEAD.size] + origin
    if sig[: len(head)] != head:
        return 0
    covered, algorithm, labels, ttl, _, _, tag = _HEAD.unpack_from(sig)
    made = rrsig.read(sig, now)
    if (covered, labels, ttl) != (there.type, canon.labels(there.name), there.ttl):
        return 0
    if not made.inception <= now < made.expiration:
        return 0
    signed = head + canon.wire(there.name, there.type, there.ttl, there.rdatas)
    for dnskey in dnskeys:
        if dnskey[3] == algorithm and public.tag(dnskey) == tag and verifies(dnskey, signed, sig[len(head) :]):
            return made.expiration
    return 0
