"""A compact zone with the two programs that deny in it, without sockets: a responder, and a prover with real keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdataset
import dns.rdatatype
import dns.rrset
import signing
from asking import TCP, UDP, query
from twins import Both
from windows import Source

from ddns.answer.image import ZoneImage
from ddns.answer.online import NeedSigned, Proofs
from ddns.answer.options import Options
from ddns.answer.responder import Responder
from ddns.answer.table import Table
from ddns.answer.window import Window
from ddns.dns.names import Name, from_text
from ddns.dns.records import SignedRRset
from ddns.zone.jobs import ProofJob, Proven
from zone_signer import plan as plans
from zone_signer.keyring import Kept, KeyRing
from zone_signer.policy import Policy
from zone_signer.proving import Prover
from zone_signer.records_of_keys import KeyRecords
from zone_signer.sign import carry_out
from zone_signer.vault import Vault

NOW = signing.NOW
POLICY = Policy()
CO = 0x4000  # RFC 9824 §5.1


class Rows:
    """The rows of a database that holds one zone's keys; *asked* counts the looks."""

    def __init__(self, zone: int, kept: Kept) -> None:
        self.zone = zone
        self.kept = kept
        self.asked = 0

    def keys(self, zones: Sequence[int], now: int) -> Mapping[int, Kept]:
        self.asked += 1
        return {self.zone: self.kept} if self.zone in zones else {}


class House:
    """The zone *origin* of *lines*, in its first edition, and who answers for it at *now*.

    *window*: it is too large to be held, and read in pieces.
    """

    def __init__(
        self,
        origin: str,
        *lines: str,
        algorithm: int = 13,
        content: signing.Content | None = None,
        memory: int = 1 << 20,
        window: bool = False,
        denial: str = "compact",
    ) -> None:
        self.now = NOW
        self.origin = from_text(origin)
        vault = Vault(bytes(32))
        key, sealed = vault.make(self.origin, algorithm)
        self.records = KeyRecords.of_one(key.public, (algorithm, key.tag))
        self.ring = KeyRing(vault)
        self.rows = Rows(1, Kept((sealed,), self.records, "default", 4, 0, "compact"))
        self.keys = self.ring.opened(self.origin, self.rows.kept)
        self.ticks = 0.0
        self.prover = Prover(self.ring, self.rows, lambda: self.now, lambda: self.ticks)
        self.proofs = Proofs(lambda: self.now, memory)
        self.table = Table()
        self.lookup = Both(self.table).lookup
        self.window = window
        self.denial = denial
        self.responder = Responder(self.table, Options(clock=lambda: self.now), self.proofs)
        self.asked: list[ProofJob] = []
        self.edition = 0
        self.publish(content or signing.read(origin, *lines))

    def publish(self, content: signing.Content) -> None:
        """Publish *content*, signed, as the next edition."""
        self.content = content
        self.edition += 1
        plan = plans.whole(self.origin, self.denial, content, self.records, {}, POLICY, self.now)
        self.shown = {(one.name, one.type): one for one in carry_out(plan, self.keys, POLICY, self.now).added}
        self.source = Source(self.origin, self.shown)
        if self.window:
            self.table.install(Window(1, self.origin, self.edition, self.source.apex(), complete=True))
        else:
            self.table.install(ZoneImage(1, self.origin, self.edition, self.shown.values()))

    def wire(self, message: bytes, *, tcp: bool = False) -> bytes:
        """Return the answer, signed as often as it takes; the hot path may only say the same or nothing."""
        before = self.lookup(message)
        for _ in range(100):
            answer = self.responder.respond(message, TCP if tcp else UDP)
            if isinstance(answer, bytes):
                assert tcp or {before, self.lookup(message)} <= {None, answer}
                return answer
            if isinstance(answer, NeedSigned):
                self.have_signed(answer)
            else:
                window = self.table.image(1)
                assert isinstance(window, Window)
                assert answer is not None
                assert answer.wanted is not None
                self.source.give(window, answer.wanted)
        raise AssertionError("an answer that never ends")

    def have_signed(self, needed: NeedSigned) -> tuple[Proven, ...]:
        """Have signed what is needed, and keep it."""
        answers = []
        for need in needed.needs:
            job = ProofJob(need.zone_id, need.origin, need.edition, need.ttl, (need.asked(),))
            self.asked.append(job)
            (proven,) = self.prover.prove([job])
            assert (proven.error, len(proven.sigs)) == ("", 1)
            self.proofs.put(need, need.made(proven.sigs[0]), proven.until)
            answers.append(proven)
        return tuple(answers)

    def __call__(
        self, name: str, rdtype: str = "A", *, do: bool = True, co: bool = False, tcp: bool = False
    ) -> dns.message.Message:
        message = dns.message.from_wire(query(name, rdtype, do=do))
        if co:
            message.ednsflags |= CO
        return dns.message.from_wire(self.wire(message.to_wire(), tcp=tcp))

    def dnskeys(self) -> dict[dns.name.Name, dns.rdataset.Rdataset]:
        shown = [_rdata(48, one) for one in self.records.dnskeys]
        return {dns.name.from_wire(self.origin, 0)[0]: dns.rdataset.from_rdata_list(3600, shown)}

    def judge(self, message: dns.message.Message) -> None:
        """Have dnspython validate everything in *message* that is signed; all is, but glue and delegations."""
        for section in (message.answer, message.authority):
            sigs = {(one.name, one.covers): one for one in section if one.rdtype == dns.rdatatype.RRSIG}
            for one in section:
                if one.rdtype == dns.rdatatype.RRSIG:
                    continue
                sig = sigs.get((one.name, one.rdtype))
                if sig is None:
                    assert one.rdtype == dns.rdatatype.NS or any(
                        other.rdtype == dns.rdatatype.DNAME for other in section
                    ), one
                    continue
                dns.dnssec.validate(one, sig, self.dnskeys(), now=self.now)
                if one.rdtype == dns.rdatatype.NSEC or section is message.answer:
                    # RFC 9824 §3.3: nothing is signed as a wildcard's that is shown at another name.
                    wild = one.name.labels[0] == b"*"
                    assert all(made.labels == len(one.name) - 1 - wild for made in sig), one


def nsec(message: dns.message.Message) -> dict[str, tuple[str, str]]:
    """Return the NSEC records among the authorities: what follows, and the types, by owner."""
    found = {}
    for one in message.authority:
        if one.rdtype == dns.rdatatype.NSEC:
            following, *types = str(one[0]).split(" ")
            found[str(one.name)] = following, " ".join(types).replace("TYPE128", "NXNAME")
    return found


def _rdata(rdtype: int, octets: bytes) -> dns.rdata.Rdata:
    return signing.rdata(rdtype, octets)


def shown(house: House) -> dict[tuple[Name, int], SignedRRset]:
    """Return what *house* publishes."""
    return house.shown
