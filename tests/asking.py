"""Questions as octets, and what a table of given zones answers, read by dnspython."""

import struct

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
from twins import Both

from ddns.answer.responder import Responder
from ddns.answer.table import Table
from ddns.dns.asker import Asker as Sender
from ddns.dns.asker import Transport

UDP = Sender(Transport.UDP, "192.0.2.1")
TCP = Sender(Transport.TCP, "192.0.2.1")


def query(name, rdtype="A", *, edns=True, do=False, payload=1232, options=(), flags=0, ident=0x1234):
    """Return the wire of a question; RD is set only by *flags*."""
    message = dns.message.make_query(name, rdtype)
    message.id = ident
    message.flags = flags
    if edns:
        message.use_edns(0, dns.flags.DO if do else 0, payload, options=list(options))
    return message.to_wire()


class Asker:
    """Asks the responder of a table that holds *images*, and both twins of the hot path beside it."""

    def __init__(self, *images, table=None):
        self.table = Table() if table is None else table
        for image in images:
            self.table.install(image)
        self.responder = Responder(self.table)
        self.lookup = Both(self.table).lookup

    def wire(self, message, *, tcp=False):
        """Return the answer's octets; the hot path may only say the same or nothing."""
        before = self.lookup(message)
        answer = self.responder.respond(message, TCP if tcp else UDP)
        after = self.lookup(message)
        if not tcp:
            assert before in (None, answer)
            assert after in (None, answer)
        return answer

    def __call__(self, name, rdtype="A", *, tcp=False, **how):
        return read(self.wire(query(name, rdtype, **how), tcp=tcp))


def read(wire):
    """Return *wire* as dnspython reads it; a record that stands twice in a section is a fault."""
    message = dns.message.from_wire(wire)
    sections = (message.answer, message.authority, message.additional)
    records = [sum(len(rrset) for rrset in section) for section in sections]
    records[2] += message.edns >= 0
    assert list(struct.unpack_from("!3H", wire, 6)) == records
    return message


def rcode(message):
    return dns.rcode.to_text(message.rcode())


def aa(message):
    return bool(message.flags & dns.flags.AA)


def tc(message):
    return bool(message.flags & dns.flags.TC)


def section(rrsets):
    """Return a section as sorted lines `owner type rdata`, RRSIGs as `owner RRSIG(type)`."""
    lines = []
    for rrset in rrsets:
        for rdata in rrset:
            what = (
                f"RRSIG({dns.rdatatype.to_text(rdata.type_covered)})"
                if rrset.rdtype == dns.rdatatype.RRSIG
                else f"{dns.rdatatype.to_text(rrset.rdtype)} {rdata}"
            )
            lines.append(f"{rrset.name} {what}")
    return sorted(lines)


def ede(message):
    """Return the extended error's code and text, or None."""
    for option in message.options:
        if option.otype == dns.edns.OptionType.EDE:
            return int(option.code), option.text
    return None


def header(wire):
    """Return id, flags and the four counts."""
    return struct.unpack_from("!6H", wire)
