"""Builders of what the key machine is told: keys in any phase, policies of seconds, facts, sightings, orders."""

from __future__ import annotations

import hashlib

from msgspec.structs import replace

from ddns.dns.names import from_text
from zone_signer import keys as public
from zone_signer.goal import Goal, Order
from zone_signer.keypolicy import KeyPolicy
from zone_signer.keyview import KeyView, Motion
from zone_signer.phase import Phase, Record, Role
from zone_signer.policy import Policy
from zone_signer.seen import Sighting
from zone_signer.stage import Facts

ORIGIN = from_text("a.test.")
NOW = 1_800_000_000
ZONE, REGISTRY = 7, 3
N, H, R, O, U = Phase.NONE, Phase.HIDDEN, Phase.RUMOURED, Phase.OMNIPRESENT, Phase.UNRETENTIVE  # noqa: E741
LETTERS = {"n": N, "h": H, "r": R, "o": O, "u": U, "-": N}
POLICY = KeyPolicy(publish_safety=10, retire_safety=20, ds_ttl=300, signatures=Policy(dnskey_ttl=100))
GOAL = Goal(secure=True, algorithm=13, roles=(Role.CSK,), vault="sealed")
SPLIT = replace(GOAL, roles=(Role.KSK, Role.ZSK))


def rdata(name: str, algorithm: int, role: Role) -> bytes:
    """Return the DNSKEY that a key called *name* has: the same one each time."""
    return public.dnskey(256 if role is Role.ZSK else 257, algorithm, hashlib.sha256(name.encode()).digest())


def key(
    name: str,
    phases: str,
    *,
    role: Role = Role.CSK,
    algorithm: int = 13,
    stays: bool = True,
    born: int = NOW - 1000,
    **more,
) -> KeyView:
    """Return a key; *phases* are those of its DNSKEY, its signatures and its DS: one of n h r o u each, - for none."""
    made = rdata(name, algorithm, role)
    dnskey, zrrsig, ds = (LETTERS[letter] for letter in phases)
    return KeyView(
        name, public.tag(made), algorithm, role, born, stays, compromised=False, vault="sealed",
        dnskey=dnskey, zrrsig=zrrsig, ds=ds, rdata=made, **more,
    )  # fmt: skip


def ksk(name: str, phases: str, **more) -> KeyView:
    return key(name, phases[0] + "-" + phases[1], role=Role.KSK, **more)


def zsk(name: str, phases: str, **more) -> KeyView:
    return key(name, phases + "-", role=Role.ZSK, **more)


def moving(
    view: KeyView,
    record: Record,
    since: int = NOW,
    *,
    ttl: int = 100,
    serial: int | None = 5,
    seen_at: int | None = None,
) -> KeyView:
    """Return *view* with a motion of *record*."""
    place = 0 if record is Record.DS else ZONE
    motion = Motion(since, place, None if record is Record.DS else serial, ttl, seen_at)
    return view.with_phase(record, view.phase(record), motion)


def facts(**more) -> Facts:
    """Return the facts of a zone with a parent elsewhere, at serial 5, whole since long ago."""
    known = {
        "zone": ZONE, "origin": ORIGIN, "parent": 0, "dnskey_ttl": 100, "negative_ttl": 60, "max_ttl": 200,
        "whole": (NOW - 5000, 5), "serial": 5, "keyset": 1, "fresh": False,
    }  # fmt: skip
    return Facts(**(known | more))


def secondary(
    serial: int | None, answered: int | None = NOW, server: str = "ns2.test. 192.0.2.2:53", problem: str = ""
):
    return Sighting(
        "secondary", server, NOW if answered is None else answered, answered, serial=serial, problem=problem
    )


def parent(
    *shown: KeyView, answered: int | None = NOW, ttl: int | None = None, server: str = "a.nic.test. 192.0.2.9:53"
):
    """Return the sighting of a parent's server that shows the DS of the keys *shown*."""
    ds = None if answered is None else tuple(public.ds(ORIGIN, one.rdata) for one in shown)
    return Sighting("parent", server, NOW if answered is None else answered, answered, ds=ds, ds_ttl=ttl)


def order(
    kind: str, *, number: int = 1, role: Role | None = None, tag: int | None = None, at: int = NOW, **more
) -> Order:
    return Order(number, kind, role, tag, at, **more)
