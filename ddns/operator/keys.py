"""Keys that may sign updates: shared secrets (TSIG) and public keys (SIG(0)), added, listed and revoked."""

from __future__ import annotations

import base64
import binascii
import secrets
import uuid

import msgspec
from psycopg import errors

from ddns.auth import keys as sig0_keys
from ddns.auth.principal import ASSURANCES, DEFAULT_ASSURANCE, Credential, Secret
from ddns.auth.sealing import Sealer
from ddns.dns import names
from ddns.dns.names import Name
from ddns.dns.records import Rdata
from ddns.dns.refusal import Refusal
from ddns.homes import keying, knowing
from ddns.homes.keying import NewKey
from ddns.homes.operating import Operator, with_home
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.signing.publish import Signs
from ddns.store import credentials, home_people, homes, keys_of_homes, notify, zones
from ddns.store.home_people import Standing
from ddns.store.tenancy import entered

DEFAULT_ALGORITHM = "hmac-sha256"
BY_OPERATOR = "by the operator"  # the reason of who writes none
# Octets of a secret that we make: the hash's own length (RFC 8945 §6, RFC 2104 §3).
SECRET_SIZES = {"hmac-sha1": 20, "hmac-sha224": 28, "hmac-sha256": 32, "hmac-sha384": 48, "hmac-sha512": 64}
MOST_SECRET = 1024  # octets; ours


class Added(msgspec.Struct, frozen=True):
    """A key that was stored: whether it is a *home*'s, and the zones that wait for the signer."""

    home: bool = False
    pending: tuple[int, ...] = ()


class Revoked(msgspec.Struct, frozen=True):
    """How many keys were revoked, whether they are called like a *home*, and the zones that wait for the signer."""

    count: int = 0
    home: bool = False
    pending: tuple[int, ...] = ()


def read_algorithm(text: str) -> str:
    """Return the TSIG algorithm *text*, with or without `hmac-`. Raises `CannotDo`."""
    name = text.lower().rstrip(".")
    name = name if name.startswith("hmac-") else f"hmac-{name}"
    if name not in SECRET_SIZES:
        raise CannotDo(f"The TSIG algorithm {text!r} is not known; choose {', '.join(sorted(SECRET_SIZES))}.")
    return name


def read_secret(text: str) -> Secret:
    """Return the secret that *text* says in base64. Raises `CannotDo`, never with the secret in it."""
    try:
        octets = base64.b64decode("".join(text.split()), validate=True)
    except (ValueError, binascii.Error):
        raise CannotDo("The secret is not base64; copy it whole, or leave it out to have one made.") from None
    if not 0 < len(octets) <= MOST_SECRET:
        raise CannotDo(f"A secret has 1 to {MOST_SECRET} octets; leave it out to have a good one made.")
    return Secret(octets)


def read_assurance(text: str) -> str:
    """Return the assurance *text*. Raises `CannotDo`."""
    if text not in ASSURANCES:
        raise CannotDo(f"The assurance {text!r} is not known; choose {', '.join(ASSURANCES)}.")
    return text


def made_secret(algorithm: str) -> Secret:
    """Return a new random secret for *algorithm*."""
    return Secret(secrets.token_bytes(SECRET_SIZES[algorithm]))


def key_file(name: Name, algorithm: str, secret: Secret) -> str:
    """Return the text of a key file for `nsupdate -k`."""
    shown = base64.b64encode(secret.reveal()).decode()
    return f'key "{names.to_text(name)}" {{\n\talgorithm {algorithm};\n\tsecret "{shown}";\n}};\n'


async def _home(conn: Conn, name: Name) -> int | None:
    """Return the zone id of the home called *name*: a key of that name belongs to it, and goes when it goes."""
    zone = await zones.find(conn, name)
    return zone.id if zone is not None and zone.home else None


async def add_tsig(
    conn: Conn,
    sealer: Sealer,
    name: Name,
    algorithm: str,
    secret: Secret,
    assurance: str = DEFAULT_ASSURANCE,
    ends: int | None = None,
) -> bool:
    """Store a shared secret, sealed; tell whether it is the key of a home, which it may then write.

    It is revoked by itself at *ends*, in seconds since 1970; None: never.
    Raises `CannotDo` where the name has one already.
    """
    try:
        async with conn.transaction():
            home = await _home(conn, name)
            sealed = sealer.seal(name, secret)
            await credentials.insert(
                conn, name, "tsig", algorithm, secret=sealed, home=home, assurance=assurance, expires_at=ends
            )
            await notify.keys(conn, name)
            return home is not None
    except errors.UniqueViolation:
        raise CannotDo(
            f"There is a key {names.to_text(name)} already; revoke it first (`ddns key revoke {names.to_text(name)}`)."
        ) from None


async def add_sig0(
    conn: Conn, signer: Signs, name: Name, rdata: Rdata, who: str, assurance: str = DEFAULT_ASSURANCE
) -> Added:
    """Store a public key whose fitness was checked; a home's, which it may then write, stands at its apex as well.

    *who* stands in the journal. Raises `CannotDo` where it is there already.
    """
    try:
        async with conn.transaction():
            there = await home_people.called(conn, name)
            if there is None:
                await credentials.insert(
                    conn, name, "sig0", str(rdata[3]), tag=sig0_keys.key_tag(rdata), public=rdata, assurance=assurance
                )
                await notify.keys(conn, name)
                return Added()
            if there.state == homes.CLOSED:
                raise CannotDo(f"{names.to_text(name)} has left, and takes no keys; its owner can return.")
            await entered(conn, there.tenant)
            zone = (await zones.lock(conn, [there.zone]))[there.zone]
            swapped = await keying.swap(conn, signer, zone, [NewKey(rdata, assurance)], [], who)
            return Added(True, swapped.outcome.pending)
    except errors.UniqueViolation:
        raise CannotDo(f"This key of {names.to_text(name)} is here already.") from None


async def assure(conn: Conn, name: Name, assurance: str) -> int:
    """Say that every live key of *name* has this assurance; return how many. Raises `CannotDo` where there is none."""
    async with conn.transaction():
        count = await credentials.assure(conn, [one.id for one in await named(conn, name)], assurance)
        await notify.keys(conn, name)
    return count


async def revoke(conn: Conn, signer: Signs, name: Name, reason: str, who: str, now: int) -> Revoked:
    """Revoke every key of *name*, at once and for good; what stands of it in a home's zone goes with it.

    *who* says so, for the *reason* that a home's owner reads, at *now* (seconds since 1970). Raises `CannotDo` where
    there is none.
    """
    async with conn.transaction():
        there = await home_people.called(conn, name)
        done = Revoked() if there is None else await _revoke_of_home(conn, signer, there, reason, who, now)
        found = (await credentials.by_names(conn, [name], _closed)).get(name, ())
        devices = [one for one in found if one.kind == "sig0" and one.home is not None]
        pending = done.pending
        if devices:  # keys of one name below a home
            locked = await zones.lock(conn, {one.home for one in devices if one.home is not None})
            for zone in locked.values():
                ids = [one.id for one in devices if one.home == zone.id]
                pending += (await keying.swap(conn, signer, zone, [], ids, who)).outcome.pending
        count = done.count + len(devices) + await credentials.revoke(conn, name)
        await notify.keys(conn, name)
    if not count:
        raise CannotDo(f"There is no key {names.to_text(name)}; `ddns key list` shows those there are.")
    return Revoked(count, done.home, pending)


async def _revoke_of_home(conn: Conn, signer: Signs, there: Standing, reason: str, who: str, now: int) -> Revoked:
    """Revoke the keys at a home's apex, each by the machine of ownership: its owner is told."""
    await entered(conn, there.tenant)
    operator = Operator(
        name=who.removeprefix("operator:"), reason=reason.strip(), tenant=there.tenant, now=now, new_id=uuid.uuid4
    )
    count, pending = 0, set[int]()
    for one in await keys_of_homes.live(conn, there.zone):
        if one.kind == "sig0" and one.name == there.name:
            thumbprint = knowing.thumbprint_of(one.public)
            done = await with_home(conn, signer, there.name, "revoke-key", operator, thumbprint)
            if isinstance(done, Refusal):
                raise CannotDo(done.text)
            count += 1
            pending.update(done.pending)
    return Revoked(count, True, tuple(sorted(pending)))


async def listing(conn: Conn, *, revoked: bool = False) -> list[credentials.Listed]:
    """Return the keys by name."""
    return await credentials.listing(conn, revoked=revoked)


async def named(conn: Conn, name: Name) -> tuple[Credential, ...]:
    """Return the live keys of *name*, secrets closed. Raises `CannotDo` where there is none."""
    found = (await credentials.by_names(conn, [name], _closed)).get(name, ())
    if not found:
        raise CannotDo(f"There is no key {names.to_text(name)}; add it first with `ddns key add`.")
    return found


def _closed(_name: Name, _sealed: bytes) -> Secret:
    return Secret(b"")
