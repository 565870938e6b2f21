"""A box and a phone before it: the phone asks for the key that is printed on the box, and gets a wish to accept.

The phone seals its question for the key of the code that it has scanned (JWE), so that only the box can read whose it
is to be; the box answers with a wish that its new key has signed, and what the printed key has signed about both. So
the way between them needs no secrecy, and nobody in between can put himself in the place of either. In the end the
phone brings what the registry answered, signed by the owner's key: all that the box needs to know.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from ddns.dns import names
from ddns.dns.names import ROOT, BadName
from ddns.gateway import agent, state, vouched
from ddns.gateway.clock import Clock
from ddns.gateway.key import GatewayKey, write_private
from ddns.gateway.outcome import Status
from ddns.gateway.state import BadState, Outcome, State
from ddns.proof import b64, dpp, jwe, jwk, jws, statements
from ddns.proof.bad import BadProof
from ddns.proof.dpp import DppUri
from ddns.proof.statements import Claim, Enrol

KEY = "printed.pem"  # the private half of what is printed on the box
FILE = "pairing.json"
CHALLENGE_PATH = "/nameplate/challenge"
CLAIM_PATH = "/nameplate/claim"
ANSWER_PATH = "/nameplate/enrolled"
MOST = 16_384  # octets of a body
TYP_ENROLLED = "nameplate-enrolled+jws"
TYP_PROOF = "nameplate-qr+jws"

_Text = Annotated[str, msgspec.Meta(max_length=255)]
_Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class Challenge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the phone asks, sealed: whose the box is to be (*owner*, a JWK in base64url), where, and when it is now.

    *registry* is the zone, *nonce* the registry's, *label* the name that is wished for, empty: any. *secret* is that
    of a seller who let the box go to its bearer.
    """

    owner: Annotated[str, msgspec.Meta(max_length=1024)]
    registry: _Text
    nonce: Annotated[str, msgspec.Meta(max_length=64)]
    now: Annotated[int, msgspec.Meta(ge=0, le=2**32)]
    label: _Text = ""
    secret: Annotated[str, msgspec.Meta(max_length=64)] = ""


class Enrolled(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the phone brings back: the home, its registry's zone, and where that takes updates and statements."""

    home: _Text
    registry: _Text
    host: _Text
    port: _Port
    tls: _Port = 0
    name: _Text = ""
    web: _Port = 0
    pins: Annotated[tuple[str, ...], msgspec.Meta(max_length=8)] = ()
    cafile: Annotated[str, msgspec.Meta(max_length=8192)] = ""


class Pairing(msgspec.Struct, frozen=True):
    """A pairing under way: the stem of the key that was made, and the owner's JWK in base64url."""

    key: str
    owner: str


def printed(folder: Path, *, maker: str = "", information: str = "") -> str:
    """Return the text of the code to print on the box; its key is made in *folder* if there is none yet.

    Raises `BadState` and `BadProof`.
    """
    path = folder / KEY
    if not path.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = ec.generate_private_key(ec.SECP256R1())
        write_private(path, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    key = printed_key(folder)
    return dpp.write(DppUri(dpp.key_of(key.public_key()), maker=maker, information=information))


def printed_key(folder: Path) -> ec.EllipticCurvePrivateKey:
    """Return the private half of the key that is printed on the box. Raises `BadState`."""
    path = folder / KEY
    try:
        found = load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        raise BadState(f"the key {path} of the box's code cannot be read; `ddns gateway qr` makes one") from None
    if not isinstance(found, ec.EllipticCurvePrivateKey) or not isinstance(found.curve, ec.SECP256R1):
        raise BadState(f"{path} holds no P-256 key")
    return found


def answer(folder: Path, sealed: str) -> bytes:
    """Return the wish that answers a phone's challenge: signed by a new key, with the printed key's proof in it.

    A box that has a home answers nobody. Raises `BadProof` and `BadState`.
    """
    with state.held(folder):
        mine, asked, owner = _asked(folder, sealed)
        there = _read(folder)
        if there is None or there.owner != asked.owner:
            there = Pairing(GatewayKey.make(ROOT).save(folder), asked.owner)
            write_private(folder / FILE, msgspec.json.encode(there) + b"\n")
        key = GatewayKey.load(folder, there.key)
        said = {"nonce": asked.nonce, "key": jwk.kid(jwk.of(key.private)), "owner": owner}
        proof = jws.sign(msgspec.json.encode(said), [jws.shown(mine, TYP_PROOF)])
        request, given = vouched.of(folder, asked.owner, asked.nonce)
        wish = Enrol(
            aud=asked.registry,
            iat=asked.now,
            exp=asked.now + statements.MINUTES,
            jti=secrets.token_urlsafe(16),
            method="qr",
            label=asked.label,
            owner=owner,
            secret=asked.secret,
            proof=b64.encode(proof),
            request=request,
            voucher=given,
        )
        return statements.sign(wish, key.private)


def claim(folder: Path, sealed: str) -> bytes:
    """Return the claim on this box that a phone's challenge asks for, signed by the printed key for that owner alone.

    Raises `BadProof` and `BadState`.
    """
    mine, asked, owner = _asked(folder, sealed)
    said = Claim(
        aud=asked.registry,
        iat=asked.now,
        exp=asked.now + statements.MINUTES,
        jti=secrets.token_urlsafe(16),
        nonce=asked.nonce,
        owner=owner,
    )
    return statements.sign(said, mine)


def settle(folder: Path, octets: bytes, *, system: Callable[[], float] = time.time) -> Outcome:
    """Take over what the phone brings, signed by the owner who was named. Raises `BadProof` and `BadState`."""
    ticking = Clock(system)
    with state.held(folder):
        there = _read(folder)
        if there is None:
            raise BadProof("qr-proof-wrong", "No phone has asked this box yet; scan its code again.")
        signed = jws.read(octets)
        owner = jwk.from_json(b64.decode(there.owner))
        if len(signed.signatures) != 1 or signed.signatures[0].typ != TYP_ENROLLED or not jws.verify(signed, 0, owner):
            raise BadProof("statement-signature-wrong", "Only the owner who was named can say where the home is.")
        try:
            said = msgspec.json.decode(signed.payload, type=Enrolled)
            home = names.from_text(said.home)
        except (msgspec.DecodeError, BadName):
            raise BadProof(
                "statement-malformed", "What the phone brings cannot be read; scan the code again."
            ) from None
        key = GatewayKey(home, GatewayKey.load(folder, there.key).private)
        known = state.read(folder)
        stem = key.save(folder)
        fresh = known or State(said.home, said.registry, said.host, said.port, stem)
        fresh = msgspec.structs.replace(
            fresh, home=said.home, registry=said.registry, host=said.host, port=said.port, key=stem, tls=said.tls,
            web=(said.name, said.web) if said.web else None, pins=said.pins, cafile=said.cafile,
        )  # fmt: skip
        if not agent.is_known(fresh, key, agent.LEARNING, ticking):
            (folder / f"{stem}.private").unlink()
            (folder / f"{stem}.key").unlink()
            sentence = f"The registry at {said.host} does not know the key of {said.home} yet; bring it again."
            return agent.outcome_of(ticking, Status.LATER, sentence)
        outcome = agent.settle(folder, fresh, None, agent.LEARNING, ticking)
        for end in (".private", ".key"):
            (folder / f"{there.key}{end}").unlink(missing_ok=True)
        (folder / FILE).unlink(missing_ok=True)
        vouched.forget(folder)
        return outcome


def _asked(folder: Path, sealed: str) -> tuple[ec.EllipticCurvePrivateKey, Challenge, str]:
    """Return the printed key, the challenge that was sealed for it, and the thumbprint of the owner who asks."""
    known = state.read(folder)
    if known is not None and known.enrolled_at is not None:
        raise BadProof("qr-proof-wrong", f"This box has {known.home} already; its owner resets it first.")
    mine = printed_key(folder)
    asked = _challenge(jwe.unseal(sealed, mine))
    return mine, asked, jwk.kid(jwk.from_json(b64.decode(asked.owner)))


def _challenge(octets: bytes) -> Challenge:
    try:
        return msgspec.json.decode(octets, type=Challenge)
    except msgspec.DecodeError:
        raise BadProof("qr-proof-wrong", "The challenge cannot be read; scan the code on the box again.") from None


def _read(folder: Path) -> Pairing | None:
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Pairing)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError):
        raise BadState(f"{folder / FILE} cannot be read; remove it and scan the code again") from None
