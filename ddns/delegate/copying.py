"""The last copy of what a home's own servers have: transferred whole (AXFR, RFC 5936), proved by its DS, and bounded.

Law: what is kept may be served one day in their place, so nothing in it is believed that its own signatures do not
prove, and nothing is missing that its chain of NSEC or NSEC3 says is there. All of it is done in a thread: reading and
checking a zone takes seconds.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import dns.dnssec
import dns.exception
import dns.name
import dns.query
import dns.rdatatype
import dns.tsig
import dns.tsigkeyring

from ddns.auth.principal import Credential
from ddns.delegate.scanning import Proofs
from ddns.dns import names, records
from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata, SignedRRset
from ddns.store.delegations import Taken
from ddns.zone import proof
from ddns.zone.child import Fault
from ddns.zone.csync import types_of
from ddns.zone.hand import Copy

SECONDS = 60.0  # for a transfer
SILENCE = 10.0  # seconds for one message of it
MOST_RRSETS = 20_000
MOST_ITERATIONS = 100  # of NSEC3 (RFC 9276 §3.2)
LABEL = b"copy"  # the owner's TSIG key is called so, below the home's name

_Place = tuple[Name, int]


class _Unfit(Exception):
    """A copy that cannot be kept; the message is the rest of a sentence about their server."""


def key_name(origin: Name) -> Name | None:
    """Return what the TSIG key is called with which *origin* is transferred, if there is such a key."""
    try:
        return names.prepend(LABEL, origin)
    except names.BadName:
        return None


def take(
    origin: Name, ds: tuple[Rdata, ...], address: str, port: int, key: Credential | None, most: int, now: int
) -> tuple[Taken, tuple[SignedRRset, ...]] | Fault:
    """Return a copy of *origin* from the server at *address*, of at most *most* octets, proved by *ds*.

    *key* signs the transfer. This blocks: call it in a thread. *now* is in seconds since 1970.
    """
    try:
        return _proved(origin, ds, _transferred(origin, address, port, key, most), now)
    except _Unfit as reason:
        return Fault("no-copy", f"{address} {reason}, so no copy of {names.to_text(origin)} is kept.")
    except (dns.exception.DNSException, OSError, EOFError, records.BadRdata, names.BadName, ValueError) as error:
        return Fault(
            "no-copy",
            f"{address} does not hand out {names.to_text(origin)} ({type(error).__name__}); let this service transfer "
            "it, or say `ddns delegation continuity … none`.",
        )


def _transferred(
    origin: Name, address: str, port: int, key: Credential | None, most: int
) -> dict[_Place, tuple[int, set[Rdata]]]:
    """Return all records of the zone, with the TTL of each RRset."""
    zone = dns.name.from_wire(origin, 0)[0]
    more: dict[str, Any] = {}
    if key is not None and key.secret is not None:
        owner = names.to_text(key.name)
        secret = base64.b64encode(key.secret.reveal()).decode()
        more = {
            "keyring": dns.tsigkeyring.from_text({owner: (key.algorithm, secret)}),
            "keyname": dns.name.from_text(owner),
            "keyalgorithm": dns.name.from_text(key.algorithm),
        }
    found: dict[_Place, tuple[int, set[Rdata]]] = {}
    octets = 0
    for message in dns.query.xfr(  # bounded here: it has bounds of time alone
        address, zone, rdtype="AXFR", port=port, timeout=SILENCE, lifetime=SECONDS, relativize=False, **more
    ):
        for rrset in message.answer:
            name = rrset.name.canonicalize().to_wire()
            if not names.is_subdomain(name, origin):
                raise _Unfit("hands out names that are not in the zone")
            place = name, int(rrset.rdtype)
            ttl, there = found.setdefault(place, (rrset.ttl, set()))
            for rdata in rrset:
                wire = records.canonical(int(rrset.rdtype), rdata.to_wire())
                octets += len(name) + len(wire)
                there.add(wire)
            found[place] = min(ttl, rrset.ttl), there
            if octets > most or len(found) > MOST_RRSETS:
                raise _Unfit("hands out more than is kept")
    return found


def _proved(
    origin: Name, ds: tuple[Rdata, ...], found: dict[_Place, tuple[int, set[Rdata]]], now: int
) -> tuple[Taken, tuple[SignedRRset, ...]]:
    rrsets = tuple(_signed(found))
    by_place = {(one.name, one.type): one for one in rrsets}
    soa, keys = by_place.get((origin, int(Type.SOA))), by_place.get((origin, int(Type.DNSKEY)))
    if soa is None or keys is None or not ds:
        raise _Unfit("hands out a zone that is not signed")
    verify = Proofs(8 * MOST_RRSETS).verify
    cuts = {one.name for one in rrsets if one.type == Type.NS and one.name != origin}
    for one in rrsets:
        above = [up for up in names.suffixes(one.name) if len(up) > len(origin) and up in cuts]
        glue = any(up != one.name for up in above)
        if glue or (above and one.type not in (Type.DS, Type.NSEC)):
            continue  # the zone's own signatures do not cover what is delegated away (RFC 4035 §2.2)
        reason = proof.unproved(origin, ds, keys, one, f"{names.to_text(one.name)} records", verify, now)
        if reason:
            raise _Unfit(reason)
    if not (_is_whole(origin, by_place, cuts) or _is_whole_hashed(origin, by_place, cuts)):
        raise _Unfit("hands out less than its chain of NSEC or NSEC3 says is there")
    expires = min(proof.expiration(sig) for one in rrsets for sig in one.sigs)
    copy = Copy(records.soa_serial(soa.rdatas[0]), frozenset(keys.rdatas), expires)
    return Taken(copy, max(one.ttl for one in rrsets), now), rrsets


def _signed(found: dict[_Place, tuple[int, set[Rdata]]]) -> Iterable[SignedRRset]:
    sigs: dict[_Place, list[Rdata]] = {}
    for (name, rdtype), (_, rdatas) in found.items():
        for rdata in rdatas if rdtype == Type.RRSIG else ():
            sigs.setdefault((name, int.from_bytes(rdata[:2], "big")), []).append(rdata)
    for (name, rdtype), (ttl, rdatas) in sorted(found.items()):
        if rdtype != Type.RRSIG:
            yield SignedRRset(name, rdtype, ttl, tuple(sorted(rdatas)), tuple(sorted(sigs.get((name, rdtype), ()))))


def _types(by_place: dict[_Place, SignedRRset], cuts: set[Name]) -> dict[Name, set[int]]:
    """Return the types at each name that is the zone's own, without what is below its delegations."""
    out: dict[Name, set[int]] = {}
    for (name, rdtype), one in by_place.items():
        if rdtype == Type.NSEC3 or any(up in cuts and up != name for up in names.suffixes(name)):
            continue
        if name in cuts and rdtype not in (Type.NS, Type.DS, Type.NSEC):
            continue
        out.setdefault(name, set()).update({rdtype, *([int(Type.RRSIG)] if one.sigs else [])})
    return out


def _is_whole(origin: Name, by_place: dict[_Place, SignedRRset], cuts: set[Name]) -> bool:
    """Tell whether a chain of NSEC goes around, and says of every name what is there (RFC 4034 §4)."""
    chain: dict[Name, tuple[Name, frozenset[int]]] = {}
    for (name, rdtype), one in by_place.items():
        if rdtype == Type.NSEC:
            following, at = names.read(one.rdatas[0], 0)
            chain[name] = following, types_of(one.rdatas[0][at:])
    there = _types(by_place, cuts)
    if origin not in chain or set(chain) != set(there):
        return False
    return {one for one, _ in chain.values()} == set(chain) and all(
        chain[name][1] == types for name, types in there.items()
    )


def _is_whole_hashed(origin: Name, by_place: dict[_Place, SignedRRset], cuts: set[Name]) -> bool:
    """Tell whether a chain of NSEC3 goes around, and says of every name what is there (RFC 5155 §7.1).

    Delegations without a DS may be left out of it (opt-out).
    """
    chain: dict[bytes, frozenset[int]] = {}
    following: set[bytes] = set()
    parameters: set[bytes] = set()
    for (name, rdtype), one in by_place.items():
        if rdtype == Type.NSEC3:
            rdata = one.rdatas[0]
            salt_end = 5 + rdata[4]
            size = rdata[salt_end]
            parameters.add(rdata[:1] + rdata[2:salt_end])
            following.add(rdata[salt_end + 1 : salt_end + 1 + size])
            chain[base64.b32hexdecode(names.labels(name)[0].upper())] = types_of(rdata[salt_end + 1 + size :])
    if len(parameters) != 1 or following != set(chain):
        return False
    (parameter,) = parameters
    iterations, salt = int.from_bytes(parameter[1:3], "big"), parameter[4:]
    if iterations > MOST_ITERATIONS:
        return False
    hashed: dict[bytes, set[int]] = {}
    for name, types in _types(by_place, cuts).items():
        if name in cuts and Type.DS not in types:
            types = types - {int(Type.RRSIG)}  # noqa: PLW2901 - its NS is not signed
        for up in [name, *(one for one in names.suffixes(name) if len(origin) < len(one) < len(name))]:
            digest = dns.dnssec.nsec3_hash(dns.name.from_wire(up, 0)[0], salt, iterations, "SHA1")
            hashed.setdefault(base64.b32hexdecode(digest.upper()), set()).update(types if up == name else ())
    return all(
        chain.get(digest, types if types == {int(Type.NS)} else None) == types for digest, types in hashed.items()
    ) and set(chain) <= set(hashed)
