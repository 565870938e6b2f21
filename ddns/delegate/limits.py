"""How homes with servers of their own are looked at, as one worker is told it."""

from __future__ import annotations

import msgspec

from ddns.settings import Settings


class DelegationLimits(msgspec.Struct, frozen=True):
    """What looking at homes with servers of their own may cost, and by which ways they may ask; times in seconds.

    *scan_every*: the time between two visits to the servers of a home that is away; *look*: between two while it is on
    its way. *hold*: the shortest time between two changes that its servers or its key ask for. *private*: servers at
    loopback and private addresses will do. *per_child* and *per_source* are NOTIFYs an hour that hasten a visit.

    *validator* is ADDR or ADDR:PORT of a resolver on this machine that validates, empty: none; *witness* is a server
    that answers while our own network is up, empty: those of the root. DSYNC records lead to *dsync_port*, 0: there are
    none; *dsync_update* is the number of the scheme UPDATE in them. *resolver* and *port* are those of `[watch]`.
    """

    private: bool = False
    scan_every: float = 900.0
    look: float = 60.0
    hold: float = 300.0
    at_once: int = 20
    dark_after: float = 3600.0
    per_child: int = 6
    per_source: int = 60
    validator: str = ""
    witness: str = ""
    copy_octets: int = 16 * 1024 * 1024
    dsync_port: int = 0
    dsync_update: int = 0
    resolver: str = ""
    port: int = 53
    timeout: float = 3.0


def from_settings(settings: Settings, port: int = 0) -> DelegationLimits:
    """Return what `[delegation]` and `[watch]` say; *port* is where this service is asked."""
    chosen, watch = settings.delegation, settings.watch
    return DelegationLimits(
        private=chosen.private,
        scan_every=chosen.scan_every,
        look=chosen.look,
        hold=chosen.hold,
        dark_after=chosen.dark_after,
        per_child=chosen.per_child,
        per_source=chosen.per_source,
        validator=chosen.validator,
        witness=chosen.witness,
        copy_octets=chosen.copy_mib * 1024 * 1024,
        dsync_port=port if chosen.dsync else 0,
        dsync_update=chosen.dsync_update,
        resolver=watch.resolver,
        port=watch.port,
        timeout=watch.timeout,
    )
