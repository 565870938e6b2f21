"""Keys that may sign updates: shared secrets (TSIG) and public keys (SIG(0)), added, listed and revoked."""

from __future__ import annotations

import base64
import binascii
import secrets

from psycopg import errors

from ddns.auth import keys as sig0_keys
from ddns.auth.principal import ASSURANCES, DEFAULT_ASSURANCE, Credential, Secret
from ddns.auth.sealing import Sealer
from ddns.dns import names
from ddns.dns.names import Name
from ddns.dns.records import Rdata
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.store import credentials, notify, zones

DEFAULT_ALGORITHM = "hmac-sha256"
# Octets of a secret that we make: the hash's own length (RFC 8945 §6, RFC 2104 §3).
SECRET_SIZES = {"hmac-sha1": 20, "hmac-sha224": 28, "hmac-sha256": 32, "hmac-sha384": 48, "hmac-sha512": 64}
MOST_SECRET = 1024  # octets; ours


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


async def add_sig0(conn: Conn, name: Name, rdata: Rdata, assurance: str = DEFAULT_ASSURANCE) -> bool:
    """Store a public key whose fitness was checked; tell whether it is the key of a home, which it may then write.

    Raises `CannotDo` where it is there already.
    """
    try:
        async with conn.transaction():
            home = await _home(conn, name)
            await credentials.insert(
                conn, name, "sig0", str(rdata[3]), tag=sig0_keys.key_tag(rdata), public=rdata, home=home,
                assurance=assurance,
            )  # fmt: skip
            await notify.keys(conn, name)
            return home is not None
    except errors.UniqueViolation:
        raise CannotDo(f"This key of {names.to_text(name)} is here already.") from None


async def assure(conn: Conn, name: Name, assurance: str) -> int:
    """Say that every live key of *name* has this assurance; return how many. Raises `CannotDo` where there is none."""
    async with conn.transaction():
        count = await credentials.assure(conn, [one.id for one in await named(conn, name)], assurance)
        await notify.keys(conn, name)
    return count


async def revoke(conn: Conn, name: Name) -> int:
    """Revoke every key of *name*, at once and for good; return how many. Raises `CannotDo` where there is none."""
    async with conn.transaction():
        count = await credentials.revoke(conn, name)
        await notify.keys(conn, name)
    if not count:
        raise CannotDo(f"There is no key {names.to_text(name)}; `ddns key list` shows those there are.")
    return count


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
