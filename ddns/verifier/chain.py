"""Walk DNSSEC from a trust anchor down to an RRset: DS, DNSKEY, DS, DNSKEY, …, the RRset (RFC 4035 §5).

Law: nothing that a server says is believed before a signature proves it, and a proof starts at the
anchor that the caller brought. Only positive answers are proved. One that is missing, unsigned,
altered, expired, or made from a wildcard (whose denial would need a proof too) is a `Failure` with one sentence.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum

import dns.dnssec
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset
from dns.dnssectypes import DSDigest
from dns.rdtypes.ANY.DNSKEY import DNSKEY
from dns.rdtypes.ANY.DS import DS
from dns.rdtypes.ANY.RRSIG import RRSIG

PAYLOAD = 1232  # octets, under the ceiling of RFC 9715 §3.2
DIGESTS = (DSDigest.SHA256, DSDigest.SHA384)  # RFC 8624 §3.3: what a validator must know and may trust


@dataclass(frozen=True, slots=True)
class Server:
    """The one server that is asked; *timeout* is in seconds for each question.

    A *resolver* is asked to find what it does not have, and to keep its own opinion of signatures to itself.
    """

    address: str
    port: int = 53
    timeout: float = 3.0
    resolver: bool = False


@dataclass(frozen=True, slots=True)
class Anchor:
    """What the caller trusts before anything is asked: the DS records of *zone*."""

    zone: dns.name.Name
    ds: tuple[DS, ...]

    @classmethod
    def from_text(cls, zone: str, *records: str) -> Anchor:
        """Read DS *records* as `12345 13 2 0123ABCD…`. Raises `ValueError` where one does not parse."""
        rdataset = dns.rdataset.from_text_list(dns.rdataclass.IN, dns.rdatatype.DS, 0, records)
        return cls(dns.name.from_text(zone), tuple(rdata for rdata in rdataset if isinstance(rdata, DS)))


@dataclass(frozen=True, slots=True)
class Step:
    """One link of the chain that held: an RRset by *name* and *type*, the *zone* that signed it, its key's *tag*."""

    name: str
    type: str
    zone: str
    tag: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Proof:
    """The RRset is what the holder of the anchor's key lets be published; *until* is when the proof expires."""

    rrset: dns.rrset.RRset
    steps: tuple[Step, ...]
    until: int


class Why(StrEnum):
    """What kind of failure it is."""

    BOGUS = "bogus"  # what came cannot be true: altered, expired, signed by another key
    UNSIGNED = "unsigned"  # what came has no signature, so that nobody can tell
    MISSING = "missing"  # the server says that there is none
    SILENT = "silent"  # the server does not answer, or cannot


@dataclass(frozen=True, slots=True)
class Failure:
    """The RRset is not proved: *why*, in one *sentence*, and the *steps* that held before."""

    sentence: str
    steps: tuple[Step, ...] = ()
    why: Why = Why.BOGUS


class _Broken(Exception):
    """The chain breaks here; the message is the sentence."""

    def __init__(self, sentence: str, why: Why = Why.BOGUS) -> None:
        super().__init__(sentence)
        self.why = why


def validate(server: Server, anchor: Anchor, name: str, rdtype: str, *, now: float | None = None) -> Proof | Failure:
    """Prove *rdtype* at *name* by asking *server*, from *anchor* down; *now* is in seconds since 1970."""
    walk = _Walk(server, anchor, time.time() if now is None else now)
    try:
        rrset = walk.down(dns.name.from_text(name), dns.rdatatype.from_text(rdtype))
    except _Broken as broken:
        return Failure(str(broken), tuple(walk.steps), broken.why)
    except dns.exception.Timeout:
        sentence = f"The server {server.address} port {server.port} did not answer in time."
        return Failure(sentence, tuple(walk.steps), Why.SILENT)
    except (OSError, dns.exception.DNSException) as error:
        reason = str(error) or type(error).__name__
        sentence = f"The server {server.address} port {server.port}: {reason}."
        return Failure(sentence, tuple(walk.steps), Why.SILENT)
    return Proof(rrset, tuple(walk.steps), walk.until)


class _Walk:
    """One way down; *steps* grows by each link that held."""

    def __init__(self, server: Server, anchor: Anchor, now: float) -> None:
        self.server = server
        self.anchor = anchor
        self.now = now
        self.steps: list[Step] = []
        self.until = 0xFFFFFFFF

    def down(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> dns.rrset.RRset:
        """Return the proved RRset."""
        zone = self.anchor.zone
        if not name.is_subdomain(zone):
            raise _Broken(f"{_text(name)} is not below the trust anchor {_text(zone)}.")
        keys = self._keys(zone, self.anchor.ds)
        for depth in range(len(zone) + 1, len(name) + 1):
            cut = name.split(depth)[1]
            if cut == name and rdtype == dns.rdatatype.DS:
                break  # a DS is the parent's (RFC 4035 §3.1.4.1)
            # A server that hides a DS gains nothing: what lies below is signed by a key that only a DS leads to.
            ds, sigs = self._find(cut, dns.rdatatype.DS)
            if ds is None:
                continue
            self._check(ds, sigs, zone, keys, f"{_text(zone)} says which key speaks for {_text(cut)}")
            zone, keys = cut, self._keys(cut, tuple(rdata for rdata in ds if isinstance(rdata, DS)))
        rrset, sigs = self._find(name, rdtype)
        if rrset is None:
            raise _Broken(
                f"{_text(name)} has no {rdtype.name} record at {self.server.address} port {self.server.port}.",
                Why.MISSING,
            )
        self._check(rrset, sigs, zone, keys, f"{_text(zone)} signed the {rdtype.name} of {_text(name)}")
        rrset.ttl = min(rrset.ttl, max(0, self.until - int(self.now)))  # RFC 4035 §5.3.3
        return rrset

    def _keys(self, zone: dns.name.Name, trusted: tuple[DS, ...]) -> dns.rrset.RRset:
        """Return the DNSKEY RRset of *zone*, signed by a key that one of the *trusted* DS names (RFC 4035 §5.2)."""
        keys, sigs = self._find(zone, dns.rdatatype.DNSKEY)
        if keys is None:
            raise _Broken(f"{_text(zone)} has no DNSKEY record, though a DS says that it is signed.")
        usable = [ds for ds in trusted if ds.digest_type in DIGESTS]
        if not usable:
            raise _Broken(f"No DS of {_text(zone)} has a digest that is trusted here (SHA-256 or SHA-384).")
        entries = [key for key in keys if isinstance(key, DNSKEY) and any(_named(zone, key, ds) for ds in usable)]
        if not entries:
            raise _Broken(f"No key of {_text(zone)} is the one that its DS names.")
        entry = dns.rrset.from_rdata_list(zone, keys.ttl, entries)
        self._check(keys, sigs, zone, entry, f"a DS names the key that signed the keys of {_text(zone)}")
        return keys

    def _check(
        self,
        rrset: dns.rrset.RRset,
        sigs: dns.rrset.RRset | None,
        zone: dns.name.Name,
        keys: dns.rrset.RRset,
        sentence: str,
    ) -> None:
        """Record a step if *rrset* is signed by one of *keys* of *zone*; else break."""
        what = f"the {rrset.rdtype.name} of {_text(rrset.name)}"
        signatures = [sig for sig in sigs or () if isinstance(sig, RRSIG)]
        if not signatures:
            raise _Broken(f"There is no signature over {what}.", Why.UNSIGNED)
        reason = ""
        for sig in signatures:
            if sig.labels < len(rrset.name) - 1 - int(rrset.name.is_wild()):
                reason = (
                    f"{what.capitalize()} comes from a wildcard, and no proof was asked for that nothing is nearer."
                )
                continue
            alone = dns.rrset.from_rdata(rrset.name, rrset.ttl, sig)
            try:
                dns.dnssec.validate(rrset, alone, {zone: keys}, now=self.now)
            except dns.exception.DNSException:
                reason = reason or self._why(sig, what, zone, keys)
                continue
            self.until = min(self.until, sig.expiration)
            rrset.ttl = min(rrset.ttl, sig.original_ttl)
            self.steps.append(Step(_text(rrset.name), rrset.rdtype.name, _text(zone), sig.key_tag, sentence))
            return
        raise _Broken(reason)

    def _why(self, sig: RRSIG, what: str, zone: dns.name.Name, keys: dns.rrset.RRset) -> str:
        """Say why *sig* does not prove *what*."""
        if sig.signer != zone:
            return f"The signature over {what} is by {_text(sig.signer)}, and the chain leads to {_text(zone)}."
        if sig.expiration < self.now:
            return f"The signature over {what} has expired."
        if sig.inception > self.now:
            return f"The signature over {what} is not valid yet; compare the clocks."
        if all(dns.dnssec.key_id(key) != sig.key_tag for key in keys if isinstance(key, DNSKEY)):
            return (
                f"The signature over {what} is by key {sig.key_tag}, which is not one of {_text(zone)}'s trusted keys."
            )
        return f"The signature over {what} does not verify: these are not the octets that {_text(zone)} signed."

    def _find(
        self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType
    ) -> tuple[dns.rrset.RRset | None, dns.rrset.RRset | None]:
        """Ask for an RRset and its signatures, over UDP and then TCP where it is truncated."""
        question = dns.message.make_query(name, rdtype, want_dnssec=True, payload=PAYLOAD)
        if self.server.resolver:
            question.flags |= dns.flags.CD  # what it finds bogus is to be seen here, and judged here
        else:
            question.flags &= ~dns.flags.RD
        reply, _ = dns.query.udp_with_fallback(
            question,
            self.server.address,
            timeout=self.server.timeout,
            port=self.server.port,
            ignore_unexpected=True,
            ignore_errors=True,  # a forged datagram that does not fit must not end the walk
        )
        if reply.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            said = dns.rcode.to_text(reply.rcode())
            raise _Broken(f"The server answered {said} for {_text(name)} {rdtype.name}.", Why.SILENT)
        rrset = reply.get_rrset(reply.answer, name, dns.rdataclass.IN, rdtype)
        sigs = reply.get_rrset(reply.answer, name, dns.rdataclass.IN, dns.rdatatype.RRSIG, rdtype)
        return rrset, sigs


def _named(zone: dns.name.Name, key: DNSKEY, ds: DS) -> bool:
    """Tell whether *ds* names *key* (RFC 4034 §5.1.4)."""
    if ds.algorithm != key.algorithm or ds.key_tag != dns.dnssec.key_id(key):
        return False
    made = dns.dnssec.make_ds(zone, key, DSDigest(ds.digest_type), validating=True)
    return bool(made == ds)


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=len(name) > 1)
