"""Whether what was confirmed is served: new addresses, and signatures that an independent implementation validates."""

from __future__ import annotations

import dns.dnssec
import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import homes

WAIT = 5.0  # seconds for one answer


def fault(server: tuple[str, int], number: int, generation: int) -> str:
    """Return what is wrong with the addresses that *server* gives for home *number*; empty: nothing."""
    name = dns.name.from_text(f"{homes.label(number)}.{homes.ORIGIN}")
    try:
        keys, _ = _ask(server, name, "DNSKEY")
        for rdtype, wanted in (("A", homes.ipv4(number, generation)), ("AAAA", homes.ipv6(number, generation))):
            found, signatures = _ask(server, name, rdtype)
            if found != dns.rrset.from_text(name, 0, "IN", rdtype, wanted):
                return f"{name} {rdtype} is {[rdata.to_text() for rdata in found]}, not {wanted}"
            dns.dnssec.validate(found, signatures, {name: keys})
    except (dns.exception.DNSException, KeyError, OSError) as error:
        return f"{name}: {error!r}"
    return ""


def _ask(server: tuple[str, int], name: dns.name.Name, rdtype: str) -> tuple[dns.rrset.RRset, dns.rrset.RRset]:
    """Return the records and their signatures. Raises `KeyError` where the answer lacks one."""
    question = dns.message.make_query(name, rdtype, want_dnssec=True)
    question.flags = 0
    answer, _ = dns.query.udp_with_fallback(question, server[0], WAIT, server[1])
    covered = dns.rdatatype.from_text(rdtype)
    records = answer.find_rrset(answer.answer, name, dns.rdataclass.IN, covered)
    return records, answer.find_rrset(answer.answer, name, dns.rdataclass.IN, dns.rdatatype.RRSIG, covered)
