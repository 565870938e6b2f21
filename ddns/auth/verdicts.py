"""Refusals that say how a key, a zone or a home stands, whoever finds out first."""

from __future__ import annotations

from ddns.auth.principal import Credential
from ddns.dns import names
from ddns.dns.codes import Ede, Rcode
from ddns.dns.names import Name
from ddns.dns.refusal import Refusal

SERVER_BUSY = Refusal(
    "server-busy",
    Rcode.SERVFAIL,
    "Too many updates are waiting here; send this one again in a moment.",
    Ede.NOT_READY,
)
SIG0_RATIONED = Refusal(
    "sig0-rationed",
    Rcode.REFUSED,
    "Too many SIG(0) signatures to check from this key or place; send this again in a while.",
    Ede.BLOCKED,
)


def key_unfit(reason: object) -> Refusal:
    """Return the refusal for a KEY record that cannot sign updates here, and why."""
    return Refusal("key-unfit", Rcode.REFUSED, f"This KEY cannot be enrolled: {reason}.", Ede.PROHIBITED)


def key_revoked(credential: Credential) -> Refusal:
    """Return the refusal for a key that was good when the message came and is no more."""
    return Refusal(
        "key-revoked",
        Rcode.REFUSED,
        f"The key {names.to_text(credential.name)} has been revoked; enrol again to get a new one.",
        Ede.PROHIBITED,
    )


def zone_unknown(zone: Name) -> Refusal:
    """Return the refusal for an update of a zone that is not here."""
    return Refusal(
        "zone-unknown",
        Rcode.NOTAUTH,
        f"The zone {names.to_text(zone)} is not served here; send the update for the zone that holds the name.",
        Ede.NOT_AUTHORITATIVE,
    )


def zone_removed(zone: Name) -> Refusal:
    """Return the refusal for an update of a zone that was here when the message came."""
    return Refusal(
        "zone-removed",
        Rcode.NOTAUTH,
        f"The zone {names.to_text(zone)} has been removed here; ask the registry where it went.",
        Ede.NOT_AUTHORITATIVE,
    )


def home_suspended(zone: Name) -> Refusal:
    """Return the refusal for an update of a home that takes none."""
    return Refusal(
        "home-suspended",
        Rcode.REFUSED,
        f"The home {names.to_text(zone)} is suspended and takes no updates; speak to the registry.",
        Ede.PROHIBITED,
    )


def home_away(zone: Name) -> Refusal:
    """Return the refusal for an update of a home whose zone is elsewhere."""
    return Refusal(
        "home-away",
        Rcode.REFUSED,
        f"The home {names.to_text(zone)} has servers of its own and is not changed here; send updates to those.",
        Ede.PROHIBITED,
    )


def invitation_spent() -> Refusal:
    """Return the refusal for an invitation that is not good any more."""
    return Refusal(
        "invitation-spent",
        Rcode.REFUSED,
        "This invitation has been spent, has expired or was withdrawn; ask the registry for a new one.",
        Ede.PROHIBITED,
    )


def home_exists(home: Name) -> Refusal:
    """Return the refusal for a home that is there already."""
    return Refusal(
        "home-exists",
        Rcode.YXDOMAIN,
        f"The home {names.to_text(home)} has been given already; ask the registry for another name.",
        Ede.PROHIBITED,
    )
