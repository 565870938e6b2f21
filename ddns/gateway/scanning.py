"""The phone before a box: the code is scanned, the box shows the printed key, and the owner has something to accept."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from ddns.gateway import desk, pairing, phone
from ddns.gateway.client import Unreachable
from ddns.gateway.clock import Clock
from ddns.gateway.desk import Desk, Said
from ddns.gateway.pairing import Challenge, Enrolled
from ddns.gateway.reply import Unproved
from ddns.proof import b64, dpp, jwe, jwk, jws, statements, strict_json
from ddns.proof.bad import BadProof
from ddns.proof.dpp import DppUri
from ddns.proof.jwk import PrivateKey
from ddns.proof.statements import Claim, Enrol

FILE = "scanned.json"  # what waits for the owner's word
MOST = 65_536  # octets of a box's answer
WAIT = 10.0  # seconds for one question to a box
Dice = Callable[[int], bytes]


class Scanned(msgspec.Struct, frozen=True):
    """A box that has shown its printed key: the *wish* that it has signed, and the *box*'s address."""

    wish: str
    box: tuple[str, int]


class Offer(msgspec.Struct, frozen=True):
    """What a box is offered: a home below *registry* called *label* (empty: any), with the registry's *nonce*.

    *secret* is that of a seller who let the box go to its bearer, empty: nobody's.
    """

    registry: str
    nonce: str
    label: str = ""
    secret: str = ""

    def __repr__(self) -> str:
        return f"Offer({self.registry!r})"


class BoxAway(Exception):
    """The box could not be spoken to; the message says why."""


def fresh_nonce(where: Desk, ticking: Clock) -> str | Said | Unproved | Unreachable:
    """Ask the registry for a nonce, and set *ticking* by its time; else return what it said."""
    said = desk.ask(where, "POST", "/v1/nonces", b"{}", headers={"Content-Type": "application/json"})
    if not isinstance(said, Said) or said.status != 201:
        return said
    if said.at is not None:
        ticking.correct(said.at)
    return str(said.members.get("nonce", ""))


def challenge(uri: DppUri, box: tuple[str, int], owner: PrivateKey, offer: Offer, now: int, dice: Dice) -> Scanned:
    """Ask *box* for the printed key that the code *uri* names, and for a wish that *owner* may accept.

    Raises `BadProof` where somebody else answers, and `BoxAway`.
    """
    mine = jwk.of(owner)
    octets = _ask(pairing.CHALLENGE_PATH, uri, box, owner, offer, now, dice)
    signed = jws.read(octets)
    wish = statements.read(signed)
    if not isinstance(wish, Enrol) or (wish.method, wish.owner, wish.label) != ("qr", jwk.kid(mine), offer.label):
        raise _not_the_box("it asks for something else than was offered")
    key = signed.signatures[0].key
    if wish.aud != offer.registry or len(signed.signatures) != 1 or key is None or not jws.verify(signed, 0, key):
        raise _not_the_box("its own signature is wrong")
    proof = jws.read(b64.decode(wish.proof))
    printed = jwk.of(uri.public_key)
    if proof.signatures[0].key != printed or not jws.verify(proof, 0, printed):
        raise _not_the_box("it does not have the printed key")
    members = strict_json.members(proof.payload)
    if members != {"nonce": offer.nonce, "key": jwk.kid(key), "owner": jwk.kid(mine)}:
        raise _not_the_box("what it signed is about something else")
    return Scanned(octets.decode("ascii"), box)


def claim(uri: DppUri, box: tuple[str, int], owner: PrivateKey, offer: Offer, now: int, dice: Dice) -> bytes:
    """Ask *box* for what the printed key signs of a claim by *owner*, and return the claim, signed by both.

    Raises `BadProof` where somebody else answers, and `BoxAway`.
    """
    octets = _ask(pairing.CLAIM_PATH, uri, box, owner, offer, now, dice)
    signed = jws.read(octets)
    said = statements.read(signed)
    if not isinstance(said, Claim) or (said.aud, said.nonce) != (offer.registry, offer.nonce):
        raise _not_the_box("it signs something else than was asked")
    if said.owner != jwk.kid(jwk.of(owner)):
        raise _not_the_box("it signs for somebody else")
    printed = jwk.of(uri.public_key)
    if len(signed.signatures) != 1 or signed.signatures[0].key != printed or not jws.verify(signed, 0, printed):
        raise _not_the_box("it does not have the printed key")
    return phone.beside(octets, owner, 0)


def _ask(path: str, uri: DppUri, box: tuple[str, int], owner: PrivateKey, offer: Offer, now: int, dice: Dice) -> bytes:
    """Seal what *owner* asks for the key that the code *uri* names, and return what *box* answers at *path*."""
    asked = Challenge(
        b64.encode(jwk.to_json(jwk.of(owner))), offer.registry, offer.nonce, now, offer.label, offer.secret
    )
    once = ec.generate_private_key(ec.SECP256R1())
    sealed = jwe.seal(msgspec.json.encode(asked), uri.public_key, once, dice(jwe.NONCE))
    return post(box, path, sealed.encode(), "application/jose")


def accept(scanned: Scanned, owner: PrivateKey, where: Desk) -> Said | Unproved | Unreachable:
    """Sign the wish of the box as its owner, and post it."""
    return phone.post(where, phone.beside(scanned.wish.encode(), owner))


def bring(scanned: Scanned, owner: PrivateKey, where: Desk, said: Said) -> str:
    """Bring the box what the registry *said*, signed by *owner*; return the box's words. Raises `BoxAway`."""
    members = said.members
    place = members.get("update")
    place = place if isinstance(place, dict) else {}
    told = Enrolled(
        home=str(members.get("home", "")),
        registry=str(members.get("registry", "")),
        host=where.host,
        port=int(place.get("dns", 0)),
        tls=int(place.get("tls", 0)),
        name=where.name,
        web=where.port,
        pins=where.pins,
        cafile=where.cafile,
    )
    octets = jws.sign(msgspec.json.encode(told), [jws.shown(owner, pairing.TYP_ENROLLED)])
    answer = post(scanned.box, pairing.ANSWER_PATH, octets, statements.MEDIA_TYPE)
    return str(msgspec.json.decode(answer, type=dict[str, str]).get("said", ""))


def read(text: str) -> DppUri:
    """Read what was scanned. Raises `BadProof`."""
    return dpp.read(text)


def post(box: tuple[str, int], path: str, body: bytes, media: str) -> bytes:
    """Post *body* to the box and return what it answers; nothing where it has no such *path*.

    Raises `BoxAway`, and `BadProof` where it refuses.
    """
    status, octets = exchange(box, path, body, media)
    if status == 200 and len(octets) <= MOST:
        return octets
    if status == 404:
        return b""
    code, sentence = desk.problem(octets)
    if status == 403 and code:
        raise BadProof("qr-proof-wrong", sentence)
    raise BoxAway(sentence or f"the box answered {status}")


def exchange(box: tuple[str, int], path: str, body: bytes, media: str) -> tuple[int, bytes]:
    """Post *body* to the box and return the status of its answer, and what that holds. Raises `BoxAway`.

    Of an answer that is too long not all is read, but more than `MOST`.
    """
    end = time.monotonic() + WAIT
    connection = http.client.HTTPConnection(*box, timeout=WAIT)
    try:
        connection.request("POST", path, body, {"Content-Type": media})
        response = connection.getresponse()
        octets = b""
        while len(octets) <= MOST and time.monotonic() < end and (piece := response.read1(4096)):
            octets += piece
    except (OSError, http.client.HTTPException) as error:
        raise BoxAway(f"the box at {box[0]} port {box[1]} does not answer ({error}); be in its network") from None
    finally:
        connection.close()
    return response.status, octets


def _not_the_box(why: str) -> BadProof:
    return BadProof(
        "qr-proof-wrong", f"Who answers is not the box whose code was scanned: {why}; stand before it and scan again."
    )
