"""A simulated zone as its servers show it, all that caches may hold of it, and whether any of it is bogus together.

Every signature is checked by dnspython against every DNSKEY RRset that some cache may hold beside it, every DNSKEY
RRset against every DS RRset. What has been checked once is remembered. `caches` judges algorithms beside that, since
dnspython is content with one good signature.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

import dns.dnssec
import dns.exception
import dns.name
import dns.rdatatype
import dns.rrset
from caches import NEVER, Caches
from signing import rdata

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata, SignedRRset
from zone_signer import keys as public
from zone_signer.keyset import APEX_TYPES

Place = tuple[Name, int]
NEGATIVE = 300  # seconds for which it is remembered that there is no DS

_checked: dict[tuple, str] = {}  # what dnspython said, by what it was asked


class Version(NamedTuple):
    """An RRset that some cache may hold from *begin* until *end*, because of one server."""

    rrset: SignedRRset
    begin: int
    end: int


class Held:
    """A zone: what each server shows of it, and what caches may hold. *parent* is another one, None for the anchor's.

    *meant* is what the script says of it: secure, insecure, or moving where it is on its way from one to the other.
    """

    def __init__(self, origin: Name, parent: Held | None, ident: int, meant: str = "secure") -> None:
        self.origin = origin
        self.id = ident
        self.parent = parent
        self.meant = meant
        self.caches = Caches()
        self.shown: dict[str, dict[Place, SignedRRset]] = {}
        self.edition = 0
        self.serial = 0
        self.problems: list[str] = []
        self.validated = 0
        self._minded = True  # some cache may hold that the zone above is secure
        self._versions: dict[Place, dict[str, list[Version]]] = {}
        self._kinds: dict[str, frozenset] = {}
        self._told: dict[tuple[str, str], object] = {}
        self._ends: dict[str, tuple[int, int]] = {}
        self._asked: dict[str, SignedRRset] = {}  # what servers had signed because they were asked
        self._times: dict[str, int] = {}  # how often a server has ceased to show it

    @property
    def text(self) -> str:
        return names.to_text(self.origin)

    # What servers show

    def take(self, server: str, removed: Iterable[SignedRRset], added: Iterable[SignedRRset], now: int) -> set[Place]:
        """Have *server* show *added* instead of *removed*; return which places changed."""
        shown = self.shown.setdefault(server, {})
        places: set[Place] = set()
        fresh: list[SignedRRset] = []
        for one in removed:
            gone = shown.pop((one.name, one.type), None)
            if gone is not None:
                places.add((one.name, one.type))
                self._end((one.name, one.type), server, now + gone.ttl)
        for one in added:
            place = one.name, one.type
            places.add(place)
            fresh.append(one)
            shown[place] = one
            self._versions.setdefault(place, {}).setdefault(server, []).append(Version(one, now, NEVER))
        self._note(server, now)
        for one in fresh:
            self._compare(one, now)
        return places

    def show(self, server: str, content: dict[Place, SignedRRset], now: int) -> None:
        """Have *server* show *content* and nothing else; where that is empty, it serves the zone no more."""
        before = self.shown.get(server, {})
        if content:
            gone = [one for place, one in before.items() if content.get(place) != one]
            self.take(server, gone, [one for place, one in content.items() if before.get(place) != one], now)
        elif before:
            self.drop(server, now)

    def answered(self, server: str, one: SignedRRset | None, now: int) -> None:
        """Have *server* give out, of late and from now on, a record that is signed for whoever asks; None: none."""
        before = self._asked.get(server)
        if one == before:
            return
        if before is not None:
            self._end((before.name, before.type), server, now + before.ttl)
            del self._asked[server]
        if one is not None:
            self._asked[server] = one
            self._versions.setdefault((one.name, one.type), {}).setdefault(server, []).append(Version(one, now, NEVER))
            self._note(server, now)
            self._compare(one, now)

    def drop(self, server: str, now: int) -> None:
        """Have *server* serve the zone no more; what it showed is in caches as long as its TTLs say."""
        self.answered(server, None, now)
        for place, one in self.shown.pop(server, {}).items():
            self._end(place, server, now + one.ttl)
        label = self._label(server)
        kinds = [("data", self._of_kind(server, kind)) for kind in self._kinds.pop(server, ())]
        for place in [("dnskey", label), *kinds]:
            if self._told.pop(place, None) is not None:
                self.caches.withdraw(place[0], now, place[1])
        self._ends.pop(server, None)
        self._times[server] = self._times.get(server, 0) + 1

    def _label(self, server: str) -> str:
        """Return what caches call *server*, which is another one after it has ceased to serve the zone."""
        return f"{server}/{self._times.get(server, 0)}"

    def _of_kind(self, server: str, kind: frozenset) -> str:
        return f"{self._label(server)} {sorted(kind)}"

    def _end(self, place: Place, server: str, end: int) -> None:
        versions = self._versions[place][server]
        last = versions[-1]
        if last.end == NEVER:
            versions[-1] = last._replace(end=end)

    def delegated(self, server: str, parent_shown: dict[Place, SignedRRset], now: int) -> None:
        """Hear that a server of the parent shows these records."""
        found = parent_shown.get((self.origin, int(Type.DS)))
        named = frozenset() if found is None else ds_keys(found.rdatas)
        self._tell("ds", server, named, now, NEGATIVE if found is None else found.ttl)
        for version in self.cached(self.origin, Type.DNSKEY, now):
            self._enter(version, now)
        if named:
            self._compare_all(now)

    def _compare_all(self, now: int) -> None:
        for place in list(self._versions):
            for one in self.cached(*place, now):
                self._compare(one, now)

    # What caches may hold

    def _note(self, server: str, now: int) -> None:
        """Have caches take the keys and the kinds of signatures that *server* shows."""
        shown = self.shown[server]
        dnskey = shown.get((self.origin, int(Type.DNSKEY)))
        keys = frozenset() if dnskey is None else frozenset((str(public.tag(one)), one[3]) for one in dnskey.rdatas)
        signers = frozenset() if dnskey is None else makers(dnskey)
        self._tell("dnskey", self._label(server), (keys, signers), now, 3600 if dnskey is None else dnskey.ttl)
        kinds: set[frozenset] = {makers(one) for one in shown.values() if one.sigs and one.type not in APEX_TYPES}
        kinds |= {makers(one) for one in (self._asked.get(server),) if one is not None}
        kinds = kinds or {frozenset()}
        greatest = max(one.ttl for one in shown.values())
        for kind in self._kinds.get(server, frozenset()) - kinds:
            self.caches.withdraw("data", now, self._of_kind(server, kind))
            self._told.pop(("data", self._of_kind(server, kind)), None)
        for kind in kinds:
            self._tell("data", self._of_kind(server, kind), kind, now, greatest)
        self._kinds[server] = frozenset(kinds)
        windows = [window(sig) for one in shown.values() for sig in one.sigs]
        self._ends[server] = (
            max((begin for begin, _ in windows), default=0),
            min((end for _, end in windows), default=NEVER),
        )

    def _tell(self, kind: str, server: str, version: object, now: int, ttl: int) -> None:
        if self._told.get((kind, server)) != (version, ttl):
            self._told[kind, server] = version, ttl
            self.caches.publish(kind, version, now, ttl, server=server)

    def cached(self, name: Name, rdtype: int, now: int) -> Iterator[SignedRRset]:
        """Return what caches may hold of an RRset; what none does any more is forgotten."""
        found = self._versions.get((name, int(rdtype)), {})
        for server, versions in found.items():
            if versions and versions[0].end <= now:
                found[server] = [one for one in versions if one.end > now]
            for one in found[server]:
                yield one.rrset

    def anchors(self, now: int) -> set[tuple[Rdata, ...]]:
        """Return the DS RRsets that caches may hold; the empty one where there may be none."""
        if self.parent is None:
            return set()
        held = {one.rdatas for one in self.parent.cached(self.origin, Type.DS, now)}
        return held | ({()} if frozenset() in self.caches.held("ds", now) else set())

    # What is judged

    def _compare(self, one: SignedRRset, now: int) -> None:
        """Check an RRset that some cache begins to hold with all that others may hold."""
        if self.parent is not None and not any(self.anchors(now)):
            return  # nobody has a reason to check anything
        if one.type == Type.DNSKEY and one.name == self.origin:
            self._enter(one, now)
            for place in list(self._versions):
                if place != (self.origin, Type.DNSKEY):
                    for other in self.cached(*place, now):
                        self._check(other, one)
        elif one.sigs:
            for keys in self.cached(self.origin, Type.DNSKEY, now):
                self._check(one, keys)

    def _enter(self, dnskey: SignedRRset, now: int) -> None:
        """Check that each DS RRset names a key of *dnskey* that signed it."""
        for ds in self.anchors(now):
            if ds:
                keys = tuple(key for key in dnskey.rdatas if public.ds(self.origin, key) in ds)
                self._check(dnskey, SignedRRset(self.origin, int(Type.DNSKEY), dnskey.ttl, keys, ()))

    def _check(self, one: SignedRRset, keys: SignedRRset) -> None:
        if not one.sigs:
            return
        asked = one.name, one.type, one.rdatas, one.sigs, keys.rdatas
        said = _checked.get(asked)
        if said is None:
            said = _checked[asked] = _validated(self.origin, one, keys)
            self.validated += 1
        if said:
            tags = [public.tag(key) for key in keys.rdatas]
            self.problems.append(f"{self.text} {names.to_text(one.name)} {one.type} with the keys {tags}: {said}")

    def judge(self, now: int, away: Collection[str] = ()) -> list[str]:
        """Return what is wrong at *now*, seconds since 1970, and what has been found wrong since it was last asked.

        The servers *away* answer nobody, so that it is no matter how old their signatures are.
        """
        minds = self.parent is None or self.parent.is_secure(now) is not False
        if minds and not self._minded:
            self._compare_all(now)  # nobody has minded what there was, and now somebody may
        self._minded = minds
        found, self.problems = self.problems if minds else [], []
        self.caches.forget(now)
        for server, (begin, end) in self._ends.items():
            if server not in away and not begin <= now < end and (self.parent is None or any(self.anchors(now))):
                found.append(f"{self.text} at {server} has a signature that is valid from {begin} to {end} only")
        found += [f"{self.text} {one}" for one in self.caches.bogus(now) if minds]
        if self.parent is not None and self.meant != "moving" and self.is_secure(now) is not (self.meant == "secure"):
            found.append(f"{self.text} is meant to be {self.meant}, and caches hold {self.caches.held('ds', now)}")
        return found

    def is_secure(self, now: int) -> bool | None:
        """Tell whether every cache has a DS of it, or none; None where some have and others may not."""
        if self.parent is None:
            return True
        held = self.caches.held("ds", now)
        if frozenset() not in held:
            return self.parent.is_secure(now)
        return False if held == {frozenset()} or self.parent.is_secure(now) is False else None


def _validated(origin: Name, one: SignedRRset, dnskey: SignedRRset) -> str:
    """Return what dnspython has against an RRset under these keys; '' where one of its signatures is good."""
    apex = dns.name.from_wire(origin, 0)[0]
    owner = dns.name.from_wire(one.name, 0)[0]
    if not dnskey.rdatas:
        return "no DS names a key"
    keys = {apex: dns.rrset.from_rdata_list(apex, dnskey.ttl, [rdata(Type.DNSKEY, key) for key in dnskey.rdatas])}
    rrset = dns.rrset.from_rdata_list(owner, one.ttl, [rdata(one.type, octets) for octets in one.rdatas])
    sigs = dns.rrset.from_rdata_list(owner, one.ttl, [rdata(Type.RRSIG, octets) for octets in one.sigs])
    try:
        dns.dnssec.validate(rrset, sigs, keys, now=window(one.sigs[0])[0])
    except dns.exception.DNSException as error:
        return str(error) or type(error).__name__
    return ""


def window(sig: Rdata) -> tuple[int, int]:
    """Return from when to when a signature is valid (RFC 4034 §3.1.5), in seconds since 1970."""
    return int.from_bytes(sig[12:16], "big"), int.from_bytes(sig[8:12], "big")


def makers(one: SignedRRset) -> frozenset[tuple[str, int]]:
    """Return the keys that signed an RRset, as tag and algorithm (RFC 4034 §3.1)."""
    return frozenset((str(int.from_bytes(sig[16:18], "big")), sig[2]) for sig in one.sigs)


def ds_keys(ds: Iterable[Rdata]) -> frozenset[tuple[str, int]]:
    """Return the keys that DS records name, as tag and algorithm (RFC 4034 §5.1)."""
    return frozenset((str(int.from_bytes(one[:2], "big")), one[2]) for one in ds)
