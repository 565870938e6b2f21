"""What leases and registrations mean for one update of a batch: between its permission and its change set.

The algebra is in `ddns.zone.lease` and `ddns.zone.srp`; here it meets the batch, whose updates see each other.
An update of a zone that has no lease, and that asks for none, passes through untouched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from ddns.auth.principal import Credential
from ddns.dns import names
from ddns.dns.codes import Ede, Rcode
from ddns.dns.refusal import Refusal
from ddns.store.zones import Zone
from ddns.zone import lease, srp, update
from ddns.zone.changes import ChangeSet, RRsetChange
from ddns.zone.lease import Leases, Terms
from ddns.zone.limits import Limits
from ddns.zone.srp import Registration
from ddns.zone.update import Update
from ddns.zone.view import View

MOST_REGISTERED = 2000  # records of registrations in one zone: strangers must not fill it


class Done(msgspec.Struct, frozen=True):
    """What an update does, and the octets of the Update Lease option that its answer carries."""

    changes: ChangeSet
    option: bytes = b""


def apply(
    asked: Update,
    registration: Registration | None,
    zone: Zone,
    view: View,
    leases: Leases,
    *,
    terms: Terms,
    limits: Limits,
    refuse: Callable[[Sequence[RRsetChange]], Refusal | None],
    registered: int = 0,
) -> Done | Refusal:
    """Return what *asked* does to *view* and has *leases* follow, or a refusal; then nothing was touched.

    *refuse* is asked about the outcome. *registered* counts the records of registrations that the zone has already.
    """
    signed = zone.denial != "none"
    if registration is None and asked.lease is None:
        changes = update.apply(asked, view, signed=signed, limits=limits)
        if isinstance(changes, Refusal):
            return changes
        refusal = refuse(changes.changes)
        if refusal is not None:
            return refusal
        if not zone.leased and not leases.puts():
            return Done(changes)
        return Done(leases.settle(zone.origin, asked.operations, changes, view, None))
    granted = lease.grant(asked.lease, terms)
    operations = asked.operations
    if registration is not None:
        refusal = srp.taken(registration, view, leases)
        is_new = any(not view.get(name) for name in (registration.host, *registration.described))
        if refusal is None and is_new and registered + len(leases.puts()) >= MOST_REGISTERED:
            refusal = _full(zone)
        if refusal is not None:
            return refusal
        operations = srp.operations(registration, operations, view, granted, leases.of_host(registration.host))
    operations = lease.shaped(operations, granted, zone.origin)
    changes = update.apply(msgspec.structs.replace(asked, operations=operations), view, signed=signed, limits=limits)
    if isinstance(changes, Refusal):
        return changes
    refusal = refuse(changes.changes)
    if refusal is not None:
        return refusal
    host = registration.host if registration is not None else None
    done = leases.settle(zone.origin, operations, changes, view, granted, host)
    if host is not None and granted.lease:
        done = leases.cap(host, granted.lease, done, view)
    return Done(done, granted.option() if asked.lease is not None else b"")


def may_register(live: Credential, zone: Zone) -> Refusal | None:
    """Refuse a registration where the policy *live*, good when the message came, is not *zone*'s."""
    if live.kind == srp.POLICY and live.home == zone.id:
        return None
    return Refusal(
        "zone-not-granted",
        Rcode.REFUSED,
        f"Nobody may register services in {names.to_text(zone.origin)}; ask the registry.",
        Ede.PROHIBITED,
    )


def label(registration: Registration) -> str:
    """Return how the journal names whom a registration speaks for."""
    return f"srp:{names.to_text(registration.host)}"


def _full(zone: Zone) -> Refusal:
    return Refusal(
        "srp-zone-full",
        Rcode.REFUSED,
        f"{names.to_text(zone.origin)} holds {MOST_REGISTERED} registered records, as many as it may; let some end.",
        Ede.PROHIBITED,
    )
