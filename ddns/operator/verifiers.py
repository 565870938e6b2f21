"""Verifiers of evidence, as data: whose keys, which rules, for how long; and what they would make of a token."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import msgspec
from psycopg import errors

from ddns.homes import appraising
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo, ThereAlready
from ddns.operator.vendors import read_certificates, read_reason
from ddns.proof import appraisal, eat, jwk, strict_json
from ddns.proof.bad import BadProof
from ddns.store import home_events, verifiers
from ddns.store.home_events import Event
from ddns.store.verifiers import Verifier

DAYS = 365
MOST_DAYS = 3650
MOST_KEYS = 32
_DAY = 86_400
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


class Tried(msgspec.Struct, frozen=True):
    """What a verifier would make of evidence; *signed*: by a key of it. *missed* are claims that its rules want."""

    signed: bool
    assurance: str
    missed: tuple[str, ...]
    evidence: eat.Evidence


def read_keys(octets: bytes) -> tuple[bytes, ...]:
    """Return the keys of a JWK set (RFC 7517 §5), or of one JWK. Raises `CannotDo`."""
    try:
        members = strict_json.members(octets)
        held = members.get("keys", [members])
        if not isinstance(held, list) or not 0 < len(held) <= MOST_KEYS:
            raise CannotDo(f"A verifier has 1 to {MOST_KEYS} keys; give a JWK set.")
        if not all(isinstance(one, dict) for one in held):
            raise CannotDo("The keys of a JWK set are objects; give a JWK set.")
        return tuple(jwk.to_json(jwk.from_members(one, jwk.EVERY)) for one in held)
    except BadProof as error:
        raise CannotDo(f"The keys cannot be read: {error.sentence}") from None


def read_rules(octets: bytes) -> bytes:
    """Return rules as they are kept. Raises `CannotDo`."""
    try:
        appraisal.read(octets)
    except appraisal.BadRules as error:
        raise CannotDo(f"The rules cannot be followed: {str(error).rstrip('.')}.") from None
    return json.dumps(json.loads(octets), separators=(",", ":")).encode()


async def add(
    conn: Conn, tenant: int | None, name: str, rules: bytes, who: str, now: int, *,
    keys: bytes = b"", anchors: bytes = b"", seconds: int = DAYS * _DAY,
) -> Verifier:  # fmt: skip
    """Have the word of a verifier count: of who has one of *keys* (JWK), or a certificate of *anchors* (PEM).

    *tenant* None: for all. Raises `CannotDo`.
    """
    return await keep(conn, fresh(tenant, name, rules, keys=keys, anchors=anchors, seconds=seconds), who, now)


def fresh(tenant: int | None, name: str, rules: bytes, *, keys: bytes, anchors: bytes, seconds: int) -> Verifier:
    """Return a verifier as it may be kept. Raises `CannotDo` for one that makes no sense."""
    if not _NAME.fullmatch(name):
        raise CannotDo(f"{name[:60]!r} is no name of a verifier: write 1 to 32 of a-z, 0-9 and -, a letter first.")
    if not 0 < seconds <= MOST_DAYS * _DAY:
        raise CannotDo(f"What a verifier says is good for 1 to {MOST_DAYS} days.")
    read = read_keys(keys) if keys else ()
    roots = read_certificates(anchors, "certificates that issue the verifier's") if anchors else ()
    if not read and not roots:
        raise CannotDo("A verifier is known by its keys; give keys, anchors, or both.")
    return Verifier(0, tenant, name, read, roots, read_rules(rules), seconds)


async def keep(conn: Conn, one: Verifier, who: str, now: int) -> Verifier:
    """Have the word of *one* count, and write that down. Raises `ThereAlready`."""
    try:
        async with conn.transaction():
            made = await verifiers.insert(conn, one)
    except errors.UniqueViolation:
        raise ThereAlready(
            f"There is a verifier {one.name} already; withdraw it first, or choose another name."
        ) from None
    event = Event(at=now, event="verifier-added", who=who, before="none", after="counts", why=f"verifier {one.name}")
    await home_events.append(conn, [event])
    return made


async def the_verifier(conn: Conn, tenant: int | None, name: str) -> Verifier:
    """Return the verifier of that name that counts for *tenant* alone, None: for all. Raises `CannotDo`."""
    for one in await verifiers.listing(conn, tenant or 0):
        if one.name == name and one.tenant == tenant and one.withdrawn_at is None:
            return one
    raise CannotDo(f"There is no verifier {name[:60]}; `ddns verifier list` shows those there are.")


async def withdraw(conn: Conn, tenant: int | None, name: str, reason: str, who: str, now: int) -> None:
    """Let the verifier's word count no more for new evidence; what it said before stays good. Raises `CannotDo`."""
    why = read_reason(reason)
    found = await the_verifier(conn, tenant, name)
    await verifiers.withdraw(conn, found.id, why, now)
    event = Event(
        at=now, event="verifier-withdrawn", who=who, before="counts", after="withdrawn", why=f"verifier {name}: {why}"
    )
    await home_events.append(conn, [event])


def read_evidence(octets: bytes) -> eat.Evidence:
    """Return the token in a file, in JSON or CBOR. Raises `CannotDo`."""
    try:
        stripped = octets.strip()
        return eat.read_jwt(stripped) if stripped[:1] in {b"{", b"e"} else eat.read_cwt(octets)
    except BadProof as error:
        raise CannotDo(error.sentence) from None


def try_out(evidence: eat.Evidence, verifier: Verifier, now: int) -> Tried:
    """Return what *verifier* would make of *evidence*, whatever its nonce, its key and its times."""
    signed = appraising.signer(evidence, [verifier], now) is not None
    result = appraisal.appraise(evidence.claims, appraisal.read(verifier.rules))
    return Tried(signed, result.assurance if signed else "", result.missed, evidence)


def thumbprints(verifier: Verifier) -> Sequence[str]:
    """Return the thumbprints of the verifier's keys."""
    return [jwk.kid(jwk.from_json(one, jwk.EVERY)) for one in verifier.keys]
