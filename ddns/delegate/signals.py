"""What the servers of a child without a DS signal for it in their own, signed zones (RFC 9615 §2).

Law: a signal counts only where a validating resolver says that it is proved (AD, RFC 4035 §3.2.3). That bit is believed
because the resolver is on this machine and the operator has named it; nothing on the way can set it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from ddns.dns import names
from ddns.dns.codes import Type
from ddns.dns.names import BadName, Name
from ddns.dns.records import Rdata
from ddns.watch.ask import Server, ask
from ddns.zone.cds import Signal

MOST_RECORDS = 32  # of one RRset, as of a child's own
MOST_SERVERS = 13
_DSBOOT, _SIGNAL = b"_dsboot", b"_signal"  # RFC 9615 §2


def name_of(origin: Name, server: Name) -> Name | None:
    """Return where the zone of *server* signals for *origin* (RFC 9615 §2); None: the name would be too long."""
    try:
        out = names.prepend(_SIGNAL, server)
        for label in reversed(names.labels(origin)):
            out = names.prepend(label, out)
        return names.prepend(_DSBOOT, out)
    except BadName:
        return None


async def signals(origin: Name, servers: Iterable[Name], validator: Server, seconds: float) -> dict[Name, Signal]:
    """Return the proved signals of those of *servers* that are outside of *origin* and have one.

    *seconds* is for one answer of *validator*. What it does not prove, or does not answer, is no signal.
    """
    outside = [one for one in servers if not names.is_subdomain(one, origin)][:MOST_SERVERS]
    found = await asyncio.gather(*(_signal(origin, one, validator, seconds) for one in outside))
    return {server: signal for server, signal in zip(outside, found, strict=True) if signal is not None}


async def _signal(origin: Name, server: Name, validator: Server, seconds: float) -> Signal | None:
    where = name_of(origin, server)
    if where is None:
        return None
    cds = await _proved(where, Type.CDS, validator, seconds)
    cdnskey = await _proved(where, Type.CDNSKEY, validator, seconds)
    if cds is None or cdnskey is None:
        return None
    return Signal(cds, cdnskey)


async def _proved(name: Name, rdtype: int, validator: Server, seconds: float) -> tuple[Rdata, ...] | None:
    said = await ask(validator, name, rdtype, seconds=seconds, recursive=True)
    message = said.message
    if message is None or message.rcode() != dns.rcode.NOERROR or not message.flags & dns.flags.AD:
        return None
    owner = dns.name.from_wire(name, 0)[0]
    found = message.get_rrset(message.answer, owner, dns.rdataclass.IN, dns.rdatatype.RdataType.make(rdtype))
    if found is None or len(found) > MOST_RECORDS:
        return None
    return tuple(sorted(one.to_wire() for one in found))
