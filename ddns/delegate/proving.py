"""Signatures of other people's zones, checked by dnspython: nothing of our own signer is used.

This is the `Verify` of `ddns.zone.child`.
"""

from __future__ import annotations

import dns.dnssec
import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.RRSIG import RRSIG

from ddns.dns.codes import Type
from ddns.dns.names import Name
from ddns.dns.records import Rdata, SignedRRset


def verify(rrset: SignedRRset, sig: Rdata, key: Rdata, origin: Name, now: int) -> bool:
    """Tell whether *sig* is *origin*'s signature by *key* over *rrset*, valid at *now* (RFC 4035 §5.3).

    One made from a wildcard does not count, because nobody proves that nothing is nearer.
    """
    try:
        owner = _name(rrset.name)
        signature = _rdata(Type.RRSIG, sig)
        if not isinstance(signature, RRSIG) or signature.labels != len(owner) - 1 - int(owner.is_wild()):
            return False
        keys = dns.rdataset.from_rdata(rrset.ttl, _rdata(Type.DNSKEY, key))
        data = dns.rrset.from_rdata_list(owner, rrset.ttl, [_rdata(rrset.type, one) for one in rrset.rdatas])
        dns.dnssec.validate_rrsig(data, signature, {_name(origin): keys}, now=now)
    except (dns.exception.DNSException, ValueError):
        return False
    return True


def _name(name: Name) -> dns.name.Name:
    return dns.name.from_wire(name, 0)[0]


def _rdata(rdtype: int, rdata: Rdata) -> dns.rdata.Rdata:
    return dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.RdataType.make(rdtype), rdata, 0, len(rdata))
