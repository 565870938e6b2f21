"""Homes with servers of their own: how they are looked at, and when they come back."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class Delegation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Homes with servers of their own (`ddns delegation`): how these are looked at, and how they ask for changes."""

    scan_every: Annotated[
        float,
        Meta(
            ge=1,
            le=86400,
            description="Seconds between two visits to the servers of a home that is away: whether they answer, and "
            "what CDS and CSYNC ask for. A NOTIFY hastens the next.",
        ),
    ] = 900.0
    look: Annotated[float, Meta(ge=0.2, le=3600, description="The same while the home is on its way, out or back.")] = (
        60.0
    )
    safety: Annotated[
        float,
        Meta(
            ge=0,
            le=604800,
            description="Seconds that are waited on top of every TTL; longer than servers are left unasked.",
        ),
    ] = 3600.0
    hold: Annotated[
        float,
        Meta(ge=0, le=604800, description="Seconds, at least, between two changes that a home that is away asks for."),
    ] = 300.0
    dark_after: Annotated[
        float,
        Meta(ge=1, le=604800, description="Seconds of silence of all its servers after which a home counts as dark."),
    ] = 3600.0
    back_after: Annotated[
        float,
        Meta(ge=0, le=604800, description="Seconds for which they must be right again before they are led to again."),
    ] = 900.0
    witness: Annotated[
        str,
        Meta(
            description="ADDR or ADDR:PORT of a server elsewhere that answers while our own network is up; nobody is "
            "dark unless it does, or other homes' servers do. Empty: the root's, as [watch] resolver finds them."
        ),
    ] = ""
    private: Annotated[
        bool,
        Meta(description="Take servers at loopback and private addresses too, for networks of one's own."),
    ] = False
    per_child: Annotated[
        int, Meta(ge=0, le=3600, description="NOTIFYs about one home that hasten a visit, an hour (RFC 9859).")
    ] = 6
    per_source: Annotated[
        int, Meta(ge=0, le=1_000_000, description="NOTIFYs from one IPv4 /24 or IPv6 /56 that do, an hour.")
    ] = 60
    validator: Annotated[
        str,
        Meta(
            description="ADDR or ADDR:PORT, on this machine, of a resolver that validates: by it homes without a DS "
            "get their first one (RFC 9615). Empty: they do not."
        ),
    ] = ""
    dsync: Annotated[
        bool,
        Meta(
            description="Publish in zones that have homes where NOTIFY and UPDATE about these go: to [serve] name, "
            "where there is one (DSYNC, RFC 9859)."
        ),
    ] = True
    dsync_update: Annotated[
        int,
        Meta(
            ge=0,
            le=255,
            description="The number of the scheme UPDATE in these records, which is a draft's still; 0: none is "
            "published.",
        ),
    ] = 2
    copy_mib: Annotated[
        int, Meta(ge=1, le=1024, description="MiB of the last copy of a home's zone, at most (`continuity copy`).")
    ] = 16
