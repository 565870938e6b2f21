"""Homes: invite one, make one at once, list, show, suspend and remove them."""

from __future__ import annotations

import secrets
import time

import msgspec
from psycopg import errors

from ddns.auth.principal import Secret
from ddns.auth.sealing import Sealer
from ddns.dns import names
from ddns.dns.names import Name
from ddns.dns.records import Rdata
from ddns.homes import naming, policies, quotas
from ddns.homes.delegating import undelegate
from ddns.homes.making import WHOEVER, Collided, NoRegistry, Unmade, Wanted, Why, make
from ddns.operator import keys, words
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.operator.zones import the_zone
from ddns.signing.client import SignerClient
from ddns.store import credentials, home_policies, homes, invitations, notify, rrsets, zones
from ddns.store.tenancy import current
from ddns.store.zones import Zone

INVITATION_DAYS = 7
INVITATION_ALGORITHM = "hmac-sha256"
_NAME_OCTETS = 5  # of randomness in an invitation's key name: enough that two never meet


class Made(msgspec.Struct, frozen=True):
    """A home that has just come to be: its zone's id, its name, and the ids of both zones that wait for the signer."""

    zone: int
    name: Name
    pending: tuple[int, ...]


class Invited(msgspec.Struct, frozen=True):
    """An invitation: the home that it is for, its one-time key, and until when it holds (seconds since 1970)."""

    home: Name
    registry: Name
    key: Name
    secret: Secret
    expires_at: int


async def find_registry(conn: Conn, label: str, zone: str | None) -> tuple[Zone, Name]:
    """Return the registry's zone and the full name of the home *label*.

    *label* is one label, or a full name whose parent is the zone. Without *zone* there must be exactly one
    zone that is no home's, or that holds homes already. Raises `CannotDo`.
    """
    if zone is None and "." in label.rstrip("."):
        label, _, zone = label.partition(".")
    first = words.read_label(label.rstrip("."))
    if zone is not None:
        registry = await the_zone(conn, words.read_name(zone, "zone"))
    else:
        there = await zones.listing(conn)
        open_zones = [one for one in there if not one.home]
        if len(open_zones) > 1:
            registries = {one.parent for one in there}
            open_zones = [one for one in open_zones if one.id in registries] or open_zones
        if len(open_zones) != 1:
            raise CannotDo(
                "There is no zone yet to put homes into; add one with `ddns zone add NAME`."
                if not open_zones
                else f"There are {len(open_zones)} zones that could hold the home; say which with --zone NAME."
            )
        registry = open_zones[0]
    if registry.home:
        raise CannotDo(f"{names.to_text(registry.origin)} is a home; homes are put into the registry's zone.")
    try:
        home = names.prepend(first, registry.origin)
    except names.BadName as error:
        raise CannotDo(f"The home {label!r} cannot be named: {error}.") from None
    words.refuse_special(home)
    return registry, home


async def invite(conn: Conn, sealer: Sealer, registry: Zone, home: Name, expires_at: int, now: int) -> Invited:
    """Make an invitation for *home*, of the tenant whose connection it is; one that has expired gives way.

    Raises `CannotDo`.
    """
    try:
        async with conn.transaction():
            tenant = await current(conn)
            await _refuse_taken(conn, registry, home)
            await _refuse_by_policy(conn, registry, home, tenant, now, by="invitation")
            return await put_invitation(conn, sealer, registry, home, expires_at, now)
    except errors.UniqueViolation:
        raise CannotDo(
            f"{names.to_text(home)} is invited already; `ddns home invite --again` withdraws that invitation."
        ) from None


async def put_invitation(conn: Conn, sealer: Sealer, registry: Zone, home: Name, expires_at: int, now: int) -> Invited:
    """Write an invitation for *home*, which may be invited; one that has expired gives way.

    Raises `psycopg.errors.UniqueViolation` (home_invited_twice).
    """
    key = names.prepend(b"invite-" + secrets.token_hex(_NAME_OCTETS).encode(), registry.origin)
    secret = keys.made_secret(INVITATION_ALGORITHM)
    await invitations.withdraw_expired(conn, home, now)
    invitation = await invitations.insert(conn, registry.id, home, expires_at)
    await credentials.insert(
        conn, key, "tsig", INVITATION_ALGORITHM, secret=sealer.seal(key, secret), invitation=invitation,
        assurance="token",
    )  # fmt: skip
    await notify.keys(conn, key)
    return Invited(home, registry.origin, key, secret, expires_at)


async def withdraw(conn: Conn, home: Name) -> int:
    """Withdraw the invitation of *home* that is not spent; return how many there were."""
    async with conn.transaction():
        count = await invitations.withdraw(conn, home)
        await notify.keys(conn, None)
    return count


async def _refuse_taken(conn: Conn, registry: Zone, home: Name) -> None:
    """Refuse a name that is a zone already, or under which the registry's zone has records of its own."""
    if await zones.find(conn, home) is not None:
        raise CannotDo(f"{names.to_text(home)} is given already; choose another label.")
    has_records = await rrsets.read_names(conn, [(registry.id, home)])
    if has_records or await rrsets.has_descendants(conn, [(registry.id, home)]):
        raise CannotDo(
            f"The zone {names.to_text(registry.origin)} has records at {names.to_text(home)}; choose another."
        )


async def _refuse_by_policy(
    conn: Conn, registry: Zone, home: Name, tenant: int, now: int, by: str | None = None
) -> None:
    """Refuse a name that the tenant's policy does not give, and an invitation that it does not take, or that is full.

    *by* is how the home will enrol, None: an operator makes it at once.
    """
    refusal = None
    if by is not None:
        policy = await home_policies.of(conn, tenant, registry.id)
        refusal = policies.admits(policy, by, "token", has_owner=True) or await quotas.room(
            conn, tenant, registry.id, now, invitations=1
        )
    if refusal is None:
        refusal = await naming.refuse(conn, tenant, registry, home)
    if refusal is not None:
        name = names.to_text(home)
        raise CannotDo(
            f"{name} is kept back by the policy, or looks like another home's name; choose another label."
            if refusal.code == "label-unavailable"
            else refusal.text
        )


async def add(
    conn: Conn,
    signer: SignerClient,
    registry: Zone,
    home: Name,
    key: Rdata | None,
    principal: str,
    tenant: int | None = None,
) -> Made:
    """Make the home at once: its zone with the registry's name servers, its delegation, and its *key* where given.

    It is of *tenant*, None: of whose connection it is. Raises `CannotDo`.
    """
    one = Wanted(name=home, key=key or b"", invitation=WHOEVER, who=principal)
    now = int(time.time())
    try:
        async with conn.transaction():
            parent = await the_zone(conn, registry.origin)
            tenant = tenant or await current(conn)
            await _refuse_taken(conn, parent, home)
            await _refuse_by_policy(conn, parent, home, tenant, now)
            done = await make(conn, signer, parent, [one], now, tenant)
            made = done.made[0]
            if isinstance(made, Unmade):
                raise CannotDo(_unmade(made))
    except (errors.UniqueViolation, Collided):
        raise CannotDo(f"{names.to_text(home)} is being given to somebody else just now; look, and choose.") from None
    except NoRegistry:
        raise CannotDo(f"The zone {names.to_text(registry.origin)} has just been removed.") from None
    return Made(made.zone, home, done.pending)


def _unmade(one: Unmade) -> str:
    """Return why a home cannot be made, for an operator, from whom nothing is kept back."""
    name = names.to_text(one.name)
    return {
        Why.TAKEN: f"{name} is given already; choose another label.",
        Why.RESTING: f"{name} was somebody's not long ago and rests; choose another label.",
        Why.INVITED: f"{name} is invited; withdraw the invitation first, or choose another label.",
        Why.OCCUPIED: f"The registry's zone has records at {name}; choose another label.",
    }.get(one.why, one.refusal.text)


async def remove(conn: Conn, signer: SignerClient, home: Name, principal: str) -> tuple[int, ...]:
    """Remove a home: its zone, its keys, its delegation; return the zones that wait for the signer.

    Raises `CannotDo`.
    """
    async with conn.transaction():
        found = await the_zone(conn, home)
        if found.parent is None:
            raise CannotDo(f"{names.to_text(home)} is no home; remove it with `ddns zone remove`.")
        held = await zones.lock(conn, [found.id, found.parent])
        parent = held[found.parent]
        pending = await undelegate(conn, signer, parent, found.id, home, principal)
        await zones.remove(conn, found.id)
        await notify.zones(conn, [(found.id, None)])
        await notify.keys(conn, None)
    return pending


async def listing(conn: Conn) -> tuple[list[homes.Home], list[invitations.Invitation]]:
    """Return all homes, and the invitations that are not spent."""
    invited = [one for one in await invitations.listing(conn) if one.spent_at is None]
    return await homes.listing(conn), invited
