"""Names that are not in a zone with compact denial (RFC 9824): signed when somebody asks, by the signers' own keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
from holding import Held, Place

from ddns.answer.online import NeedSigned, Proofs
from ddns.answer.table import Table
from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import SignedRRset, canonical
from ddns.zone import compact
from ddns.zone.jobs import ProofJob
from zone_signer.keyring import KeyRing
from zone_signer.lookup import Lookup
from zone_signer.proving import Prover

ABSENT = "nobody"  # a label that no zone has


class Denier:
    """The signers' line for denials: *ring* says with which keys, *clock* when it is, *signs* whether any runs."""

    def __init__(
        self, dsn: str, ring: Callable[[], KeyRing], clock: Callable[[], int], signs: Callable[[], bool]
    ) -> None:
        self.clock, self.signs = clock, signs
        self._lookup = Lookup(dsn, "zone_signer")
        self._ring, self._prover = ring, Prover(ring(), self._lookup, clock)

    def prove(self, needed: NeedSigned, proofs: Proofs) -> bool:
        """Have signed what is needed, and keep it; False where nobody does."""
        if not self.signs():
            return False
        if self._prover._ring is not self._ring():
            self._prover = Prover(self._ring(), self._lookup, self.clock)
        for need in needed.needs:
            job = ProofJob(need.zone_id, need.origin, need.edition, need.ttl, (need.asked(),))
            (proven,) = self._prover.prove([job])
            if proven.error or not proven.sigs[0]:
                return False
            proofs.put(need, need.made(proven.sigs[0]), proven.until)
        return True

    def close(self) -> None:
        """End the line."""
        self._lookup.close()


class Asker(Protocol):
    """A server by a name, with its own copies of zones."""

    name: str
    away: bool
    table: Table

    def ask(self, name: Name, rdtype: str) -> dns.message.Message | None:
        """Return what it answers; None is silence."""
        ...


class Denied:
    """Whoever asks for names that are not there, and has all caches hold what compact zones say of them.

    *signs* tells whether anybody can sign that. Of each edition each server is asked once: what is signed later is
    signed by the same keys.
    """

    def __init__(self, signs: Callable[[], bool]) -> None:
        self._signs = signs
        self._asked: dict[tuple[Name, str], int | None] = {}

    def ask(self, zones: Iterable[Held], servers: Sequence[Asker], now: int) -> None:
        """Ask *servers* for a name in each of *zones* that denies in this way."""
        for held in zones:
            for server in servers:
                place, edition = (held.origin, server.name), server.table.edition(held.id)
                if not is_compact(held, held.shown.get(server.name, {})):
                    held.answered(server.name, None, now)
                    self._asked.pop(place, None)
                elif self._asked.get(place) != edition and not server.away and self._signs():
                    self._asked[place] = edition
                    answer = server.ask(absent(held), "A")
                    held.answered(server.name, None if answer is None else denial(held, answer), now)


def failed(wire: bytes) -> bytes:
    """Return what a server says that has nobody to sign."""
    message = dns.message.make_response(dns.message.from_wire(wire))
    message.set_rcode(dns.rcode.SERVFAIL)
    return message.to_wire()


def is_compact(held: Held, shown: Mapping[Place, SignedRRset]) -> bool:
    """Tell whether a zone denies in this way where it is *shown* so."""
    nsec = shown.get((held.origin, int(Type.NSEC)))
    return nsec is not None and compact.may_be_compact(held.origin, nsec.rdatas[0])


def denial(held: Held, answer: dns.message.Message) -> SignedRRset | None:
    """Return what *answer* to a question for `ABSENT` says of it; None where it says that it cannot tell."""
    owner = dns.name.from_text(f"{ABSENT}.{held.text}")
    nsec = answer.get_rrset(answer.authority, owner, 1, dns.rdatatype.NSEC)
    sigs = answer.get_rrset(answer.authority, owner, 1, dns.rdatatype.RRSIG, dns.rdatatype.NSEC)
    if nsec is None:
        return None
    assert sigs is not None, f"a denial of {owner} without a signature"
    rdatas = tuple(canonical(int(Type.NSEC), one.to_wire()) for one in nsec)
    return SignedRRset(absent(held), int(Type.NSEC), nsec.ttl, rdatas, tuple(sorted(one.to_wire() for one in sigs)))


def absent(held: Held) -> Name:
    """Return a name that is not in a zone."""
    return names.from_text(f"{ABSENT}.{held.text}")
