"""The owner's side: keys that a person has, what they sign, and where it goes. `ddns phone` is a phone of this kind.

Law: a key never leaves its file, and nothing is signed that has not been shown. What somebody else has signed first is
taken as it is: the owner's signature is put beside it, over the same octets.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from ddns.gateway import desk
from ddns.gateway.client import Unreachable
from ddns.gateway.clock import Clock
from ddns.gateway.desk import Desk, Said
from ddns.gateway.key import write_private
from ddns.gateway.reply import Unproved
from ddns.gateway.state import BadState
from ddns.proof import b64, jwk, jws, statements
from ddns.proof.bad import BadProof
from ddns.proof.jwk import PrivateKey
from ddns.proof.statements import AnyStatement

FILE = "phone.json"
ROLES = ("owner", "admin", "recovery")
CURVES = ("P-256", "Ed25519")
MOST = 65_536  # octets of a statement in a file
_PLACE = 1  # where an owner's signature stands beside a gateway's: the second


class BadPhone(ValueError):
    """A key or a statement that cannot be used; the message names it and the cure."""


class Phone(msgspec.Struct, frozen=True):
    """What a phone remembers besides its keys: its registry's zone, where it is, and the homes that it has accepted."""

    registry: str = ""
    desk: Desk | None = None
    homes: tuple[str, ...] = ()
    version: int = 1


def read(folder: Path) -> Phone:
    """Return what the phone in *folder* remembers; nothing where it is new. Raises `BadState`."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Phone)
    except FileNotFoundError:
        return Phone()
    except (OSError, msgspec.DecodeError):
        raise BadState(f"{folder / FILE} cannot be read; remove it: the keys stand beside it and stay") from None


def write(folder: Path, phone: Phone) -> None:
    """Replace what the phone in *folder* remembers. Raises `BadState`."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(folder / FILE, msgspec.json.format(msgspec.json.encode(phone), indent=2) + b"\n")
    except OSError as error:
        raise BadState(f"{folder / FILE} cannot be written: {error.strerror}") from None


def make(folder: Path, role: str, curve: str) -> PrivateKey:
    """Make the key *role*, `owner`, `admin` or `recovery`, in *folder*. Raises `BadPhone` where there is one."""
    made: PrivateKey = (
        ed25519.Ed25519PrivateKey.generate() if curve == "Ed25519" else ec.generate_private_key(ec.SECP256R1())
    )
    return keep(folder, role, made)


def keep(folder: Path, role: str, made: PrivateKey) -> PrivateKey:
    """Write the key *made* for *role* into *folder*. Raises `BadPhone` where there is one."""
    path = folder / f"{role}.pem"
    if path.exists():
        raise BadPhone(f"{path} is there already; an owner who loses it needs another key, so it is never replaced")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / f"{role}.jwk").write_bytes(jwk.to_json(jwk.of(made)) + b"\n")
    return made


def load(path: Path) -> PrivateKey:
    """Read the key that `make` wrote. Raises `BadPhone`."""
    try:
        found = load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise BadPhone(f"the key {path} cannot be read: {error.strerror}; `ddns phone make` makes one") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadPhone(f"{path} holds no private key in PEM without a password") from None
    if isinstance(found, ed25519.Ed25519PrivateKey) or (
        isinstance(found, ec.EllipticCurvePrivateKey) and isinstance(found.curve, ec.SECP256R1)
    ):
        return found
    raise BadPhone(f"{path} holds another key than P-256 or Ed25519")


def common(registry: str, home: str, now: int, good_for: int = statements.MINUTES) -> dict[str, Any]:
    """Return the fields that every statement has: to *registry* about *home*, good for so many seconds from *now*."""
    return {"aud": registry, "sub": home, "iat": now, "exp": now + good_for, "jti": secrets.token_urlsafe(16)}


def read_request(path: Path) -> tuple[bytes, AnyStatement]:
    """Return the statement in *path* as it was signed, and what it says. Raises `BadPhone`."""
    try:
        with path.open("rb") as file:
            octets = file.read(MOST + 1).strip()
    except OSError as error:
        raise BadPhone(f"{path} cannot be read: {error.strerror}") from None
    try:
        return octets, statements.read(jws.read(octets))
    except BadProof as error:
        raise BadPhone(f"{path} is no statement: {error.sentence}") from None


def beside(octets: bytes, key: PrivateKey, place: int = _PLACE) -> bytes:
    """Return the statement *octets* with *key*'s signature too, over the same payload. Raises `BadProof`.

    *place* is how many signatures stand before it.
    """
    signed = jws.read(octets)
    mine = json.loads(jws.sign(signed.payload, [jws.shown(key, statements.TYP)]))
    theirs = [{"protected": one.protected, "signature": b64.encode(one.signature)} for one in signed.signatures]
    entries = [*theirs[:place], *mine["signatures"], *theirs[place:]]
    return msgspec.json.encode({"payload": mine["payload"], "signatures": entries})


def post(where: Desk, octets: bytes, *, wait: float = desk.WAIT) -> Said | Unproved | Unreachable:
    """Post a signed statement to the place that its act has."""
    act = statements.read(jws.read(octets)).act
    path = "/v1/enrol" if act == "enrol" else "/v1/statements"
    return desk.ask(where, "POST", path, octets, headers={"Content-Type": statements.MEDIA_TYPE}, wait=wait)


def offered(where: Desk, octets: bytes, *, wait: float = desk.WAIT) -> Said | Unproved | Unreachable:
    """Ask which name a gateway's wish for a home would get, before its owner signs it."""
    return desk.ask(
        where, "POST", "/v1/labels/offer", octets, headers={"Content-Type": statements.MEDIA_TYPE}, wait=wait
    )


def say(
    where: Desk,
    make_statement: Callable[[int], AnyStatement],
    keys: Sequence[PrivateKey],
    *,
    system: Callable[[], float] = time.time,
    wait: float = desk.WAIT,
) -> Said | Unproved | Unreachable:
    """Sign what *make_statement* makes of the time and post it; where only our clock is wrong, with the registry's."""
    ticking = Clock(system)
    said = post(where, statements.sign(make_statement(ticking.now), *keys), wait=wait)
    if isinstance(said, Said) and said.code == "statement-stale" and said.at is not None and ticking.correct(said.at):
        said = post(where, statements.sign(make_statement(ticking.now), *keys), wait=wait)
    return said
