"""Say of a device's name whether whoever answers to it is who its registry says: one verdict, with reasons.

Law: *trusted* needs two proofs, the chain from the anchor to the TLSA records and the peer's key among them. Where one
of them fails the device is *untrusted*, where its records are not signed *insecure*, and where somebody whose word was
needed did not answer, nobody can tell: *unknown* is no verdict about the device.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA

from ddns.verifier import chain, dane, identity
from ddns.verifier.chain import Anchor, Failure, Proof, Server, Step, Why
from ddns.verifier.dane import Record


class Standing(StrEnum):
    """The verdict."""

    TRUSTED = "trusted"
    UNTRUSTED = "untrusted"
    INSECURE = "insecure"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found: *reasons* are sentences in the order in which it was, *until* (seconds) is when the proof ends.

    *owner* is where the TLSA *records* stand; *steps* are the links of the chain that held.
    """

    name: str
    owner: str
    standing: Standing
    reasons: tuple[str, ...]
    steps: tuple[Step, ...] = ()
    records: tuple[Record, ...] = ()
    connected: bool = False
    until: int | None = None


def server(
    asked: Server,
    anchor: Anchor,
    name: str,
    *,
    port: int = 443,
    address: str | None = None,
    timeout: float = 5.0,
) -> Verdict:
    """Connect to the device *name* at TCP *port* and judge it; to *address*, or to those that it publishes.

    *timeout* (seconds) is for each connection.
    """
    owner = identity.server(name, port)
    proof = chain.validate(asked, anchor, owner, "TLSA")
    if isinstance(proof, Failure):
        return _unproved(name, owner, proof)
    reasons = [_proved(proof, owner)]
    addresses = [address] if address else _addresses(asked, anchor, name, reasons)
    found: dane.Verdict | None = None
    for one in addresses:
        found = dane.connect(one, port, name, proof.rrset, timeout=timeout)
        reasons.append(found.sentence)
        if found.connected:
            return _judged(name, owner, proof, reasons, found)
    records = dane.records_of(proof.rrset)
    return Verdict(name, owner, Standing.UNKNOWN, tuple(reasons), proof.steps, records, until=proof.until)


def client(asked: Server, anchor: Anchor, name: str, shown: Sequence[bytes]) -> Verdict:
    """Judge the DER certificates that a client which calls itself *name* has *shown*, its own first."""
    owner = identity.client(name)
    return _offline(asked, anchor, name, owner, shown, client=True)


def certificate(asked: Server, anchor: Anchor, name: str, port: int, shown: Sequence[bytes]) -> Verdict:
    """Judge the DER certificates that a server has *shown* to somebody, its own first; nobody connects."""
    return _offline(asked, anchor, name, identity.server(name, port), shown, client=False)


def _offline(asked: Server, anchor: Anchor, name: str, owner: str, shown: Sequence[bytes], *, client: bool) -> Verdict:
    proof = chain.validate(asked, anchor, owner, "TLSA")
    if isinstance(proof, Failure):
        return _unproved(name, owner, proof)
    # A CA binds a client to the name that it claims, which may have the label `_device` (RFC 7671 §10.2 for servers).
    found = dane.judge(shown, proof.rrset, owner if client else name, client=client, now=time.time())
    return _judged(name, owner, proof, [_proved(proof, owner), found.sentence], found, connected=False)


def _judged(
    name: str, owner: str, proof: Proof, reasons: Sequence[str], found: dane.Verdict, *, connected: bool = True
) -> Verdict:
    standing = Standing.TRUSTED if found.trusted else Standing.UNTRUSTED
    return Verdict(name, owner, standing, tuple(reasons), proof.steps, found.records, connected, proof.until)


def _unproved(name: str, owner: str, failure: Failure) -> Verdict:
    standings = {Why.SILENT: Standing.UNKNOWN, Why.UNSIGNED: Standing.INSECURE}
    standing = standings.get(failure.why, Standing.UNTRUSTED)
    return Verdict(name, owner, standing, (failure.sentence,), failure.steps)


def _proved(proof: Proof, owner: str) -> str:
    zones = list(dict.fromkeys(step.zone for step in proof.steps))
    return f"The TLSA of {owner.rstrip('.')} is proved by {' and '.join(zones)}."


def _addresses(asked: Server, anchor: Anchor, name: str, reasons: list[str]) -> list[str]:
    """Return the device's proved addresses; where there are none, say so in *reasons*."""
    found: list[str] = []
    for rdtype in ("AAAA", "A"):
        proof = chain.validate(asked, anchor, name, rdtype)
        if isinstance(proof, Proof):
            found += [rdata.address for rdata in proof.rrset if isinstance(rdata, (A, AAAA))]
        elif proof.why != Why.MISSING:
            reasons.append(proof.sentence)
    if not found:
        reasons.append(f"{name.rstrip('.')} has no address that is proved; say where it is.")
    return found
