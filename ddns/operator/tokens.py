"""Tokens of the HTTPS API: made with narrow rights and an end, shown once, listed with their last use, revoked."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Callable, Sequence
from uuid import UUID

import msgspec

from ddns.auth.principal import Secret
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.proof import b64
from ddns.store import tokens
from ddns.store.tenancy import REGISTRY
from ddns.store.tokens import Token
from ddns.web.rights import EVERY, REGISTRYS

DAYS = 90
MOST_DAYS = 400
MOST_NETWORKS = 16
MOST_NOTE = 200  # characters
SCHEME = "np1"

_FORM = re.compile(r"np1\.([0-9]{1,18}-[a-z2-7]{16})\.([A-Za-z0-9_-]{43})")
_DAY = 86400
_SECRET = 32  # octets
_ID = 10  # octets of chance in an id

Dice = Callable[[int], bytes]


class Fresh(msgspec.Struct, frozen=True):
    """A token that has just been made, and its text, which is told once and kept nowhere."""

    token: Token
    text: Secret


class Shown(msgspec.Struct, frozen=True):
    """What a token's text says: its id, whose it claims to be, and the digest of its secret."""

    id: str
    tenant: int
    digest: bytes


def read(text: str) -> Shown | None:
    """Read a token as it was shown; None where it has not the form of one."""
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    ident = found[1]
    return Shown(ident, int(ident.partition("-")[0]), hashlib.sha256(found[2].encode()).digest())


def is_its(token: Token, shown: Shown) -> bool:
    """Tell whether what was shown is *token*'s secret, in a time that tells nothing."""
    return hmac.compare_digest(token.digest, shown.digest)


async def add(
    conn: Conn,
    tenant: int,
    rights: Sequence[str],
    now: int,
    dice: Dice,
    *,
    seconds: int = DAYS * _DAY,
    networks: Sequence[str] = (),
    note: str = "",
    home: int | None = None,
    owner: UUID | None = None,
) -> Fresh:
    """Make a token of *tenant* that holds for so many *seconds* from *now*. Raises `CannotDo`.

    Bound to a *home* or *owner* it reads what is theirs, and nothing else.
    """
    _check_rights(tenant, rights)
    if not 0 < seconds <= MOST_DAYS * _DAY:
        raise CannotDo(f"A token lasts {MOST_DAYS} days at most; choose fewer.")
    if len(note) > MOST_NOTE or not note.isprintable():
        raise CannotDo(f"A note has {MOST_NOTE} printable characters at most.")
    ident = f"{tenant}-{_word(dice(_ID))}"
    secret = b64.encode(dice(_SECRET))
    token = Token(
        ident, tenant, hashlib.sha256(secret.encode()).digest(), tuple(sorted(set(rights))), home, owner, note,
        _networks(networks), now, now + seconds, None, None, None,
    )  # fmt: skip
    await tokens.insert(conn, token)
    return Fresh(token, Secret(f"{SCHEME}.{ident}.{secret}".encode()))


async def revoke(conn: Conn, tenant: int, ident: str, now: int) -> None:
    """Revoke the token *ident* of *tenant*; the next request with it is refused. Raises `CannotDo`."""
    if not await tokens.revoke(conn, tenant, ident, now):
        raise CannotDo(f"There is no token {ident!r} that could be revoked; `ddns token list` shows those there are.")


def may_be_used(token: Token, source: str) -> bool:
    """Tell whether *token* is for the address *source*."""
    if not token.networks:
        return True
    address = ipaddress.ip_address(source.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None) or address
    return any(mapped in ipaddress.ip_network(one) for one in token.networks)


def _check_rights(tenant: int, rights: Sequence[str]) -> None:
    if not rights:
        raise CannotDo("A token without rights is of no use; say which with --rights.")
    for right in rights:
        if right not in EVERY:
            raise CannotDo(f"There is no right {right!r}; there are {', '.join(sorted(EVERY))}.")
        if right in REGISTRYS and tenant != REGISTRY:
            raise CannotDo(f"The right {right} is for the registry's own tokens; a tenant's cannot have it.")


def _networks(given: Sequence[str]) -> tuple[str, ...]:
    if len(given) > MOST_NETWORKS:
        raise CannotDo(f"A token may be bound to {MOST_NETWORKS} networks at most.")
    out = []
    for text in given:
        try:
            out.append(str(ipaddress.ip_network(text)))
        except ValueError:
            raise CannotDo(f"{text!r} is no network; write 192.0.2.0/24 or 2001:db8::/32.") from None
    return tuple(out)


def _word(octets: bytes) -> str:
    """Return *octets* in the letters of RFC 4648 §6, lower case."""
    number, out = int.from_bytes(octets, "big"), []
    for _ in range(len(octets) * 8 // 5):
        number, digit = divmod(number, 32)
        out.append("abcdefghijklmnopqrstuvwxyz234567"[digit])
    return "".join(out)
