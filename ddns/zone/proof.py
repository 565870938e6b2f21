"""Whether what a child's server says is proved by the DS that its parent publishes, or would publish. Pure.

Law: every algorithm of the DS must lead to a key that signed the keys, and every one of them must have signed the data;
strict validators ask for all of them (RFC 4035 §2.2). How many signatures are tried is bounded, because whoever made
them may wish us to try many.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable

from ddns.dns import ds as signer
from ddns.dns.names import Name
from ddns.dns.records import Rdata, SignedRRset
from ddns.zone.child import Verify

MOST_TRIES = 8  # signatures of one RRset that are checked: more keys with one tag are somebody's attack
_FIXED = struct.Struct("!HBBIIIH")  # RRSIG up to its signer's name (RFC 4034 §3.1)


def algorithms(ds: Iterable[Rdata]) -> frozenset[int]:
    """Return the algorithms that *ds* oblige a zone to."""
    return frozenset(signer.algorithm(one) for one in ds if signer.is_usable(one))


def inception(sig: Rdata) -> int:
    """Return when an RRSIG began to be valid, in seconds since 1970 (RFC 4034 §3.1.5)."""
    begin: int = _FIXED.unpack_from(sig)[5]
    return begin


def expiration(sig: Rdata) -> int:
    """Return when an RRSIG ends to be valid, in seconds since 1970 (RFC 4034 §3.1.5)."""
    end: int = _FIXED.unpack_from(sig)[4]
    return end


def entries(origin: Name, ds: Collection[Rdata], keys: Iterable[Rdata]) -> tuple[Rdata, ...]:
    """Return those of a zone's *keys* that *ds* name."""
    return tuple(
        key for key in keys if signer.is_zone_key(key) and any(signer.names_key(origin, one, key) for one in ds)
    )


def made_by(
    origin: Name, rrset: SignedRRset, keys: Iterable[Rdata], algorithm: int | None, verify: Verify, now: int
) -> Rdata | None:
    """Return a signature over *rrset* by one of *keys* that is valid now, of *algorithm* where one is given."""
    known: dict[tuple[int, int], list[Rdata]] = {}
    for key in keys:
        if signer.is_zone_key(key) and algorithm in (None, key[3]):
            known.setdefault((signer.tag(key), key[3]), []).append(key)
    tries = 0
    for sig in rrset.sigs:
        if len(sig) <= _FIXED.size:
            continue
        _, of_algorithm, *_, tag = _FIXED.unpack_from(sig)
        for key in known.get((tag, of_algorithm), ()):
            tries += 1
            if tries > MOST_TRIES:
                return None
            if verify(rrset, sig, key, origin, now):
                return sig
    return None


def unproved_keys(origin: Name, ds: Collection[Rdata], dnskey: SignedRRset | None, verify: Verify, now: int) -> str:
    """Say why *ds* do not prove the DNSKEY RRset, as what its server "shows"; nothing where they do."""
    if dnskey is None:
        return "shows no DNSKEY"
    wanted = algorithms(ds)
    if not wanted:
        return "is to have no DS with a digest that is trusted"
    for algorithm in sorted(wanted):
        of_it = [one for one in ds if signer.algorithm(one) == algorithm]
        found = entries(origin, of_it, dnskey.rdatas)
        if not found:
            return f"shows no key of algorithm {algorithm} that a DS names"
        if made_by(origin, dnskey, found, algorithm, verify, now) is None:
            return f"shows no valid signature over its keys by one of algorithm {algorithm} that a DS names"
    return ""


def unproved(
    origin: Name,
    ds: Collection[Rdata],
    dnskey: SignedRRset | None,
    rrset: SignedRRset | None,
    what: str,
    verify: Verify,
    now: int,
) -> str:
    """Say why *ds* do not prove *rrset*, called *what*, as what its server "shows"; nothing where they do."""
    reason = unproved_keys(origin, ds, dnskey, verify, now)
    if reason or dnskey is None:
        return reason
    if rrset is None:
        return f"shows no {what}"
    for algorithm in sorted(algorithms(ds)):
        if made_by(origin, rrset, dnskey.rdatas, algorithm, verify, now) is None:
            return f"shows no valid signature of algorithm {algorithm} over its {what}"
    return ""
