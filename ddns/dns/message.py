"""The careful path: RDATA checked by dnspython's parser. Never used for queries."""

from __future__ import annotations

import dns.exception
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from ddns.dns.codes import Type

# Short rules for the types that gateways write all day; dnspython's parser costs 20 to 50 µs a record.
_KEY_HEAD = 4  # octets before the public key (RFC 2535 §3.1)
_TLSA_SIZES = {1: 3 + 32, 2: 3 + 64}  # octets by matching type: SHA-256 and SHA-512 (RFC 6698 §2.1)


def checked_rdata(rdtype: int, rdata: bytes, error: type[ValueError]) -> bytes:
    """Return *rdata* (uncompressed) of type *rdtype* in canonical form, or raise *error* with the reason.

    Types that dnspython does not know are opaque (RFC 3597 §3).
    """
    if rdtype == Type.KEY and len(rdata) >= _KEY_HEAD:
        return rdata
    if rdtype == Type.TLSA and len(rdata) == _TLSA_SIZES.get(rdata[2] if len(rdata) > 2 else 0):
        return rdata
    if rdtype == Type.TXT:
        return _checked_strings(rdata, error)
    try:
        parsed = dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.RdataType.make(rdtype), rdata, 0, len(rdata))
        return parsed.to_digestable()
    except (dns.exception.DNSException, ValueError, IndexError, KeyError, OverflowError) as reason:
        text = dns.rdatatype.to_text(dns.rdatatype.RdataType.make(rdtype))
        raise error(f"the data of a {text} record is malformed: {reason or type(reason).__name__}") from None


def _checked_strings(rdata: bytes, error: type[ValueError]) -> bytes:
    at = 0
    while at < len(rdata):
        at += 1 + rdata[at]
    if at != len(rdata) or not rdata:
        raise error("a TXT record holds one or more character-strings")
    return rdata
