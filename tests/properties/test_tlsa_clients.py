"""1,000 renewals and emergency rolls under DANE clients with any RRset that a cache may hold: nobody is ever refused.

The judge knows nothing of phases: which version of the RRset each server had from when to when, that a cache may hold
what it was given for the TTL, which key the device used from when to when, and `verifier.dane.match`. Time is
continuous in it: intervals that touch count. It finds a mismatch in every world from which a guard is taken.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import random
from itertools import pairwise

import dns.rrset
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.records import RRset
from ddns.verifier import dane as verifier
from ddns.zone import dane
from ddns.zone.dane import Phase, Rule

OWNER = names.from_text("_443._tcp.cam.smith.homes.example.")
TTLS = (30, 300, 3600)
ROLLS = 50  # in each of 20 worlds
EVERY = 60  # seconds between two looks at a server
FOREVER = float("inf")


@functools.cache
def certificate(number):
    """Return the DER certificate of the device's key *number*, and its TLSA record's data."""
    key = ec.derive_private_key(number + 1, ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "cam")])
    day = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = builder.serial_number(1).not_valid_before(day).not_valid_after(day).sign(key, hashes.SHA256())
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return made.public_bytes(Encoding.DER), bytes((3, 1, 1)) + hashlib.sha256(spki).digest()


@functools.cache
def trusts(rdatas, number):
    """Tell whether a client that holds *rdatas* takes the device with key *number*."""
    texts = [f"{one[0]} {one[1]} {one[2]} {one[3:].hex()}" for one in rdatas]
    return verifier.match(certificate(number)[0], dns.rrset.from_text("x.", 1, "IN", "TLSA", *texts)).trusted


class World:
    """A zone's servers, its watcher, and one device whose owner keeps to what the registry says."""

    PATIENCE = 300  # seconds at most until its owner asks again

    def __init__(self, seed, *, sees=True, remembers=True):
        self.dice = random.Random(seed)
        self.sees = sees  # a watcher looks at the servers
        self.remembers = remembers  # what caches hold of an RRset that has gone
        self.now = 1_800_000_000
        self.pins = ()
        self.rolls = 0
        self.refused = 0
        self.keys = 0
        self.used = [(self.now, None)]  # (since, key) of the device
        self.versions = []  # (RRset or None, when each server got it)
        self.commit(None)
        self.now += 2 * max(TTLS) + 1000
        self.key = self.fresh()
        self.change(self.with_(self.key))
        self.use(self.key)

    # -- the registry -----------------------------------------------------------------------------------------

    @property
    def rrset(self):
        return self.versions[-1][0]

    def commit(self, rrset):
        """Publish *rrset*; the first server has it at once, the others when they have it."""
        before = self.versions[-1][1] if self.versions else (self.now,) * 3
        lags = (0, self.dice.randrange(30), self.dice.choice([1, 20, 500, 9000]))
        self.versions.append((rrset, tuple(max(had, self.now + lag) for had, lag in zip(before, lags, strict=True))))

    def change(self, rrset, *, revoke=()):
        """Do what the owner asks for if the registry allows it, and tell whether it did."""
        revoked = frozenset(certificate(one)[1][3:] for one in revoke)
        verdict = dane.judge(
            OWNER, self.rrset, rrset, self.pins, Rule(), managed=True, revoke=revoked, now=self.now
        )  # fmt: skip
        if verdict.refusal is not None:
            self.refused += 1
            return False
        self.write(rrset, verdict.pins)
        return True

    def write(self, rrset, pins):
        if rrset != self.rrset:
            self.commit(rrset)
        self.pins = dane.numbered(pins, len(self.versions) - 1, self.now)
        if not self.remembers:
            self.pins = tuple(pin for pin in self.pins if pin.rdata)

    def seen(self, serial, _):
        """Return when the last server was seen with *serial*: each is asked once in a while."""
        had = self.versions[serial][1]
        if not self.sees:
            return had[0]
        looked = max(at + -at % EVERY for at in had)
        return looked if looked <= self.now else None

    def wait(self, seconds):
        """Let time pass; the registry keeps its books, and takes away what has retired."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + self.stride())
            self.tick()

    def stride(self):
        """Return for how many seconds the registry rests."""
        return self.dice.randrange(1, 400)

    def tick(self):
        """Have the registry keep its books."""
        self.pins = dane.settle(self.pins, self.seen, self.now)
        over = dane.due(self.rrset, self.pins, self.now)
        if over:
            left = RRset.of(OWNER, Type.TLSA, self.rrset.ttl, set(self.rrset.rdatas) - over)
            self.write(left, tuple(pin for pin in self.pins if pin.rdata not in over))

    def lapse(self, key):
        """Have the lease of a key's record end."""
        left = self.with_(without=[key])
        self.write(left, dane.lapsed(self.rrset, left, self.pins, self.now).pins)

    def deployed(self, key):
        """Take the owner's word that this key alone is used now, and tell whether it was taken."""
        verdict = dane.deployed(OWNER, self.rrset, self.pins, frozenset({certificate(key)[1][3:]}), self.now)
        if verdict.refusal is None:
            self.write(self.rrset, verdict.pins)
        return verdict.refusal is None

    # -- the owner --------------------------------------------------------------------------------------------

    def fresh(self):
        """Return a key that has not been used for long, or never."""
        there = self.rrset.rdatas if self.rrset else ()
        while True:
            self.keys += 1
            if certificate(self.keys % 60)[1] not in there:
                return self.keys % 60

    def with_(self, *keys, without=(), ttl=None):
        """Return the RRset with and without the records of some keys."""
        there = self.rrset
        rdatas = set(there.rdatas) if there else set()
        rdatas |= {certificate(one)[1] for one in keys}
        rdatas -= {certificate(one)[1] for one in without}
        ttl = ttl or (there.ttl if there else self.dice.choice(TTLS))
        return RRset.of(OWNER, Type.TLSA, ttl, rdatas) if rdatas else None

    def use(self, key):
        self.used.append((self.now, key))
        self.key = key if key is not None else self.key

    def phase(self, key):
        rdata = certificate(key)[1]
        return next((pin.phase for pin in self.pins if pin.rdata == rdata), None)

    def add(self, key):
        """Publish the record of the next key and wait until it is safe to use, with all that may happen meanwhile."""
        self.change(self.with_(key, ttl=self.dice.choice([None, *TTLS])))
        if self.dice.random() < 0.2:  # the answer got lost
            self.change(self.with_(key))
        while self.phase(key) == Phase.PUBLISHED:
            chance = self.dice.random()
            if chance < 0.05 and len(self.rrset.rdatas) == 2:  # somebody who does not want to wait
                self.change(self.with_(without=[self.key]))
            elif chance < 0.06 and len(self.rrset.rdatas) < 6:  # another standby
                self.change(self.with_(self.fresh()))
            elif chance < 0.065:  # a lease ends
                self.lapse(key)
                self.wait(self.dice.randrange(1, 900))
                self.change(self.with_(key))
            self.wait(self.dice.randrange(1, self.PATIENCE))

    def renew(self):
        """The usual way: next to old, wait, switch, away with the old."""
        old, new = self.key, self.fresh()
        self.add(new)
        self.use(new)
        self.wait(self.dice.choice([0, 10, 5000]))
        others = [key for key in range(60) if certificate(key)[1] in self.rrset.rdatas and key != new]
        if self.dice.random() < 0.5:
            assert self.change(self.with_(without=others))
        else:
            assert self.deployed(new)
        assert old != new

    def stolen_with_a_standby(self):
        """The next key was published long ago: switch and revoke in one moment."""
        old, standby = self.key, self.fresh()
        self.add(standby)
        self.wait(self.dice.randrange(20_000))
        self.use(standby)
        assert self.change(self.with_(without=[old]), revoke=[old])

    def stolen_and_kept_in_service(self):
        """No standby, and the service must go on: the old key is used until the new one is safe."""
        old, new = self.key, self.fresh()
        self.add(new)
        self.use(new)
        assert self.change(self.with_(without=[old]), revoke=[old])

    def stolen_and_stopped(self):
        """No standby, and the old key is not used for another second: the device is off until the new one is safe."""
        old, new = self.key, self.fresh()
        if self.dice.random() < 0.5:
            self.change(self.with_(new))
            self.wait(self.dice.randrange(1, 200))
        self.use(None)
        assert self.change(self.with_(without=[old]), revoke=[old])
        self.wait(self.dice.choice([0, 1, 100, 9999]))
        self.add(new)
        self.use(new)

    def live(self, rolls=ROLLS):
        """Roll and roll again."""
        ways = (
            self.renew,
            self.renew,
            self.stolen_with_a_standby,
            self.stolen_and_kept_in_service,
            self.stolen_and_stopped,
        )
        while self.rolls < rolls:
            self.dice.choice(ways)()
            self.rolls += 1
            self.wait(self.dice.choice([0, 0, 1, 50, 400, 3000, 50_000]))
        return self

    # -- the judge --------------------------------------------------------------------------------------------

    def mismatches(self):
        """Return the (version, key) that a client with that version in its cache has met, and refused."""
        until = [had for _, had in self.versions[1:]] + [(FOREVER,)]
        cached = [
            (rrset.rdatas, min(had), max(end) + rrset.ttl)
            for (rrset, had), end in zip(self.versions, until, strict=True)
            if rrset is not None
        ]
        spans = [(key, since, end) for (since, key), (end, _) in pairwise([*self.used, (FOREVER, None)])]
        return [
            (rdatas, key)
            for rdatas, first, last in cached
            for key, since, end in spans
            if key is not None and first < end and since <= last and since < end and not trusts(rdatas, key)
        ]


@pytest.mark.parametrize("seed", range(20))
def test_no_client_ever_refuses_a_device_whose_owner_waits_for_the_registrys_word(seed):
    """Fifty rolls in each of twenty worlds, with lagging servers, lost answers, impatience and ended leases."""
    world = World(seed).live()

    assert world.rolls == ROLLS
    assert world.mismatches() == []


def found_without(monkeypatch, guard):
    """Tell whether the judge finds a mismatch where one guard is missing."""
    if guard == "two TTLs":
        monkeypatch.setattr(dane, "safe_at", lambda pin: pin.seen_at)
    if guard == "a safe one before the last":
        monkeypatch.setattr(dane, "_held", lambda rdatas, _: rdatas)
    worlds = (World(seed, sees=guard != "sightings", remembers=guard != "memory") for seed in range(20))
    return any(world.live().mismatches() for world in worlds)


@pytest.mark.parametrize("guard", ["sightings", "two TTLs", "a safe one before the last", "memory"])
def test_the_judge_finds_a_mismatch_where_a_guard_is_missing(monkeypatch, guard):
    """Else its silence above would say nothing."""
    assert found_without(monkeypatch, guard)


def test_the_impatient_are_refused():
    """The worlds above do try to take the old record away too early."""
    assert World(1).live().refused > 10
