"""What answers say about serials and DS records. Pure.

Law: only who is authoritative is a witness (AA, RFC 1035 §4.1.1). A DS is the parent's to show (RFC 4035 §2.4,
§3.1.4.1), so an answer about it from the child's side is none.
"""

from __future__ import annotations

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import msgspec

from ddns.dns.names import Name
from ddns.dns.records import Rdata

_IN = dns.rdataclass.IN


class Shown(msgspec.Struct, frozen=True):
    """What one server shows: a *serial*, or *ds* records with their TTL in seconds; or why that is not known.

    *ds* is None where nobody asked, empty where there is none; *ds_ttl* is then the time for which that is remembered.
    """

    serial: int | None = None
    ds: tuple[Rdata, ...] | None = None
    ds_ttl: int | None = None
    problem: str = ""


def serial(message: dns.message.Message, origin: Name) -> Shown:
    """Return the serial that the answer to a question for the SOA of *origin* shows."""
    problem = _unfit(message)
    if problem:
        return Shown(problem=problem)
    found = message.get_rrset(message.answer, _name(origin), _IN, dns.rdatatype.SOA)
    if found is None:
        return Shown(problem="does not serve the zone")
    return Shown(serial=found[0].serial)


def withdrawn(message: dns.message.Message, origin: Name) -> Shown:
    """Return whether the answer to a question for the SOA of *origin* shows that it is not served there any more.

    Whoever refers to others, or knows nothing of it, serves it not; a failure says nothing.
    """
    found = message.get_rrset(message.answer, _name(origin), _IN, dns.rdatatype.SOA)
    if message.flags & dns.flags.AA and found is not None:
        return Shown(problem="still serves the home; take its zone away there")
    rcode = message.rcode()
    if rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.REFUSED, dns.rcode.NOTAUTH):
        return Shown(problem=f"answers {dns.rcode.to_text(rcode)}")
    return Shown()


def ds(message: dns.message.Message, origin: Name) -> Shown:
    """Return the DS records that the answer to a question for the DS of *origin* shows; NXDOMAIN shows none."""
    problem = _unfit(message, dns.rcode.NXDOMAIN)
    if problem:
        return Shown(problem=problem)
    owner = _name(origin)
    found = message.get_rrset(message.answer, owner, _IN, dns.rdatatype.DS)
    if found is not None:
        return Shown(ds=tuple(sorted(one.to_wire() for one in found)), ds_ttl=found.ttl)
    if message.answer:
        return Shown(problem="answers something else than a DS")
    soa = _soa(message)
    if soa is None:
        return Shown(problem="says neither that there is a DS nor that there is none")
    if not owner.is_subdomain(soa.name) or owner == soa.name:
        return Shown(problem="answers for the zone itself, not for its parent")
    return Shown(ds=(), ds_ttl=min(soa.ttl, soa[0].minimum))  # RFC 2308 §5


def apex(message: dns.message.Message) -> Name | None:
    """Return the zone that the answer of a resolver to a question for a SOA speaks for, None where that is unclear."""
    for section in (message.answer, message.authority):
        for rrset in section:
            if rrset.rdtype == dns.rdatatype.SOA:
                return rrset.name.canonicalize().to_wire()
    return None


def _unfit(message: dns.message.Message, *also: dns.rcode.Rcode) -> str:
    rcode = message.rcode()
    if rcode not in (dns.rcode.NOERROR, *also):
        return f"answers {dns.rcode.to_text(rcode)}"
    if not message.flags & dns.flags.AA:
        return "is not authoritative"
    return ""


def _soa(message: dns.message.Message) -> dns.rrset.RRset | None:
    return next((one for one in message.authority if one.rdtype == dns.rdatatype.SOA), None)


def _name(name: Name) -> dns.name.Name:
    return dns.name.from_wire(name, 0)[0]
