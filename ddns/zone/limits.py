"""What one update may ask for, in numbers. Above a limit an update is refused whole.

The defaults leave room for a home with hundreds of devices and keep one message's work in the
milliseconds. Limits hold for what updates write; a zone file may hold more.
"""

from __future__ import annotations

import msgspec

from ddns.dns.codes import MAX_TTL


class Limits(msgspec.Struct, frozen=True):
    """Bounds for one update; each is the greatest value that is accepted.

    *records_per_update* counts prerequisites and operations; *octets_per_rrset* counts RDATA, so that an
    RRset and its signatures fit into one message over TCP; *ttl* is in seconds.
    """

    records_per_update: int = 1000
    records_per_rrset: int = 256
    octets_per_rrset: int = 32 * 1024
    types_per_name: int = 100
    ttl: int = MAX_TTL


DEFAULT = Limits()
