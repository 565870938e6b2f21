"""What a child asks for by CDS and CDNSKEY: which DS its parent is to publish (RFC 7344, RFC 8078, RFC 9615). Pure.

Law: a wish is one that all of the child's servers, at all their addresses, express alike, in CDS and CDNSKEY both
(RFC 9975 §3.1), signed by a key that the present DS name (RFC 7344 §4.1), later than the last wish that was granted,
and that breaks nothing. In all other cases nothing is done. A server that says that it has none has answered; one that
does not answer has not, and it is asked again another day: nobody is left out as gone.

Which digests a DS has is ours to choose, which keys it names is not (RFC 9975 §3.1).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from ddns.dns import ds as signer
from ddns.dns import names
from ddns.dns.names import Name
from ddns.dns.records import Rdata, SignedRRset
from ddns.zone import proof
from ddns.zone.child import Asked, Child, Fault, ServerSaid, Verify

DELETE_CDS: Rdata = b"\0\0\0\0\0"  # 0 0 0 00 (RFC 8078 §4)
DELETE_CDNSKEY: Rdata = b"\0\0\3\0\0"  # 0 3 0 AA== (RFC 8078 §4)


class Signal(msgspec.Struct, frozen=True):
    """What the zone of a server says of the child, proved by a validating resolver (RFC 9615 §3)."""

    cds: tuple[Rdata, ...]
    cdnskey: tuple[Rdata, ...]


def from_cds(
    origin: Name, present: Child, said: Sequence[ServerSaid], verify: Verify, newest: int, now: int
) -> Asked | Fault | None:
    """Return what the child *origin* asks for, why that is not granted, or None where it asks for nothing new.

    *present* is what is published now, *said* what every one of its servers said at every address; *newest* is the
    stamp of the last wish that was granted (0: none).
    """
    if not present.ds:
        return Fault("unsigned", f"{_text(origin)} has no DS yet, so nothing proves its CDS; its first one is given.")
    fault = _unheard(origin, present, said)
    if fault is not None:
        return fault
    if not any(one.cds or one.cdnskey for one in said):
        return None
    for one in said:
        for rrset, what in ((one.cds, "CDS"), (one.cdnskey, "CDNSKEY")):
            if rrset is None:
                continue
            reason = _unsigned(origin, present.ds, one.dnskey, rrset, what, verify, now)
            if reason:
                return Fault("bogus", f"{one.who} {reason}.")
    wanted = _agreed(origin, said)
    if isinstance(wanted, Fault):
        return wanted
    if sorted(wanted) == sorted(present.ds):
        return None
    stamp = _stamp(said)
    if stamp < newest:
        return Fault("older", f"The CDS of {_text(origin)} were signed before those that were followed last.")
    child = msgspec.structs.replace(present, ds=wanted)
    return _unbroken(origin, child, said, verify, now) or Asked(child, stamp)


def from_signals(
    origin: Name,
    present: Child,
    said: Sequence[ServerSaid],
    signals: Mapping[Name, Signal],
    verify: Verify,
    now: int,
) -> Asked | Fault | None:
    """Return what DS a child without one is to have, as its servers' own zones say (RFC 9615 §4.2).

    *signals* are those of its servers outside of the child that a validating resolver found, and proved.
    """
    if present.ds:
        return None
    fault = _unheard(origin, present, said)
    if fault is not None:
        return fault
    outside = [server for server in present.servers if not names.is_subdomain(server, origin)]
    if not outside or not any(one.cds or one.cdnskey for one in said):
        return None
    wanted = _agreed(origin, said)
    if isinstance(wanted, Fault):
        return wanted
    if not wanted:
        return None
    for server in outside:
        signal = signals.get(server)
        if signal is None:
            return Fault("no-signal", f"The zone of {_text(server)} has no proved signal for {_text(origin)}.")
        for one in said:
            if (_rdatas(one.cds), _rdatas(one.cdnskey)) != (set(signal.cds), set(signal.cdnskey)):
                return Fault("differs", f"The zone of {_text(server)} signals other CDS than {one.who} shows.")
    child = msgspec.structs.replace(present, ds=wanted)
    return _unbroken(origin, child, said, verify, now) or Asked(child, _stamp(said))


def _unheard(origin: Name, present: Child, said: Sequence[ServerSaid]) -> Fault | None:
    """Return a fault where a server of the child has not answered; all are needed."""
    for one in said:
        if one.problem or not one.authoritative:
            return Fault("lame", f"{one.who} {one.problem or f'does not answer for {_text(origin)}'}.")
    missing = sorted(set(present.servers) - {one.server for one in said})
    if missing:
        return Fault("lame", f"{_text(missing[0])} has not been asked; nobody knows an address of it.")
    return None


def _unsigned(
    origin: Name,
    ds: Collection[Rdata],
    dnskey: SignedRRset | None,
    rrset: SignedRRset,
    what: str,
    verify: Verify,
    now: int,
) -> str:
    """Say why *rrset* is not signed by a key that is in the zone and in the present DS (RFC 7344 §4.1)."""
    reason = proof.unproved_keys(origin, ds, dnskey, verify, now)
    if reason or dnskey is None:
        return reason
    if proof.made_by(origin, rrset, proof.entries(origin, ds, dnskey.rdatas), None, verify, now) is None:
        return f"shows no valid signature over its {what} by a key that a DS names"
    return ""


def _agreed(origin: Name, said: Sequence[ServerSaid]) -> tuple[Rdata, ...] | Fault:
    """Return the DS that all servers ask for alike, by CDS and by CDNSKEY; none where they ask to have none."""
    known = {key for one in said for key in (*one.keys, *_rdatas(one.cdnskey))}
    first: frozenset[Rdata] | None = None
    for one in said:
        named = [
            frozenset(_key_of(origin, cds, known) for cds in _rdatas(one.cds)),
            frozenset(_NOTHING if key == DELETE_CDNSKEY else key for key in _rdatas(one.cdnskey)),
        ]
        for keys in named:
            first = keys if first is None else first
            if keys != first:
                text = (
                    f"{one.who} shows CDS or CDNSKEY of other keys of {_text(origin)} than {said[0].who}, or lacks one"
                )
                return Fault("differs", f"{text}; let every server show both, of the same keys.")
    if not first or first == {_NOTHING}:
        return ()
    if _NOTHING in first:
        return Fault("differs", f"{_text(origin)} asks for a DS and for none at the same time.")
    if not all(key in known for key in first):
        return Fault("digest", f"A CDS of {_text(origin)} names none of its keys.")
    asked = {cds for one in said for cds in _rdatas(one.cds) if signer.is_usable(cds)}
    out = set()
    for key in first:
        out |= {cds for cds in asked if signer.names_key(origin, cds, key)} or {signer.of(origin, key)}
    return tuple(sorted(out))


_NOTHING: Rdata = b""  # stands for the wish to have no DS among keys


def _key_of(origin: Name, cds: Rdata, known: Collection[Rdata]) -> Rdata:
    """Return the key that *cds* names, or *cds* itself where no such key is known."""
    if cds == DELETE_CDS:
        return _NOTHING
    for key in known:
        if signer.names_key(origin, cds, key):
            return key
        if not signer.is_usable(cds) and cds[:3] == signer.of(origin, key)[:3]:
            return key  # a digest that is not trusted: the CDNSKEY beside it says which key is meant
    return cds


def _stamp(said: Sequence[ServerSaid]) -> int:
    """Return the oldest inception of any signature over a CDS or CDNSKEY (RFC 7344 §6.2)."""
    sigs = [sig for one in said for rrset in (one.cds, one.cdnskey) if rrset is not None for sig in rrset.sigs]
    return min((proof.inception(sig) for sig in sigs), default=0)


def _unbroken(origin: Name, child: Child, said: Sequence[ServerSaid], verify: Verify, now: int) -> Fault | None:
    """Return a fault where what is published now would not validate under the new DS (RFC 7344 §4.1, continuity)."""
    for one in said if child.ds else ():
        reason = proof.unproved(origin, child.ds, one.dnskey, one.soa, "SOA", verify, now)
        if reason:
            return Fault("bogus", f"{one.who} {reason}; {_text(origin)} would be bogus.")
    return None


def _rdatas(rrset: SignedRRset | None) -> set[Rdata]:
    return set(() if rrset is None else rrset.rdatas)


def _text(name: Name) -> str:
    return names.to_text(name)
