"""How other people's servers are asked what they show."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from ddns.settings.places import DNS_PORT


class Watch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom the service asks what they show: secondaries for serials, a parent's servers for the DS. Key rolls wait."""

    every: Annotated[
        float, Meta(ge=1, le=3600, description="Seconds, at most, until a secondary is asked again that a roll awaits.")
    ] = 60.0
    fast: Annotated[
        float, Meta(ge=0.1, le=60, description="Seconds until it is asked again at first; then less and less often.")
    ] = 5.0
    rest: Annotated[
        float,
        Meta(
            ge=1,
            le=1800,
            description="Seconds between two looks at a zone that nothing awaits, for the alarms of zone-signer check; "
            "its parent is asked at every fourth.",
        ),
    ] = 900.0
    timeout: Annotated[float, Meta(ge=0.1, le=30, description="Seconds for one answer.")] = 3.0
    at_once: Annotated[int, Meta(ge=1, le=1000, description="Questions under way.")] = 50
    resolver: Annotated[
        str,
        Meta(
            description="ADDR or ADDR:PORT of the resolver that finds parents and addresses; empty: those of "
            "/etc/resolv.conf. Let it validate: who finds false servers believes false answers."
        ),
    ] = ""
    port: Annotated[int, Meta(ge=1, le=0xFFFF, description="The port of servers that are known by their names.")] = (
        DNS_PORT
    )
    tcp: Annotated[bool, Meta(description="Ask by TCP alone, where answers by UDP could be forged.")] = False
    private: Annotated[
        bool,
        Meta(description="Tell a parent of new CDS records at loopback and private addresses too (RFC 9859)."),
    ] = False
