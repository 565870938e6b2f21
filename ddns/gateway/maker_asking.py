"""The phone asks a box's maker whose the box shall be (smarkaklink): it brings the box's request there, and comes back.

Law: only the service that is printed on the box is asked, for who stands before the box has read it there; what the box
itself says about its maker's address is not followed.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from ddns.gateway import desk, scanning, vouching
from ddns.gateway.desk import Desk, Said
from ddns.gateway.outcome import Status, judge_said
from ddns.proof import b64, idevid, jwe, selfdevid, voucher
from ddns.proof.bad import BadProof
from ddns.proof.dpp import DppUri
from ddns.proof.jwk import PrivateKey
from ddns.proof.voucher import Assertion, Request

PATH = "/.well-known/brski/requestvoucher"
Dice = Callable[[int], bytes]


class MakerAway(Exception):
    """The maker gave no voucher; the message says why and *status* what it means."""

    def __init__(self, status: Status, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def fetch(
    uri: DppUri, box: tuple[str, int], owner: PrivateKey, nonce: str, now: int, dice: Dice, cafile: str = ""
) -> bool:
    """Bring *box* the voucher by which the maker that the code *uri* names gives it to *owner*; False: it has no maker.

    *nonce* is the registry's, *now* in seconds since 1970; *cafile* (PEM) is whom the maker's service is believed by.
    Raises `BadProof`, `scanning.BoxAway` and `MakerAway`.
    """
    if not isinstance(owner, ec.EllipticCurvePrivateKey):
        raise BadProof("key-unfit", "A maker names owners with P-256 keys alone; make such a key for this box.")
    mine = selfdevid.make(owner, now, dice(16))
    asked = vouching.Asked(nonce, b64.encode(mine.public_bytes(Encoding.DER)), now)
    once = ec.generate_private_key(ec.SECP256R1())
    sealed = jwe.seal(msgspec.json.encode(asked), uri.public_key, once, dice(jwe.NONCE))
    prior = scanning.post(box, vouching.REQUEST_PATHS[0], vouching.question(sealed), vouching.MEDIA)
    if not prior:
        return False
    said, signed = voucher.read_request(prior, voucher.CMS)
    signer = signed.signer
    if signer is None or not signed.verify(signer) or idevid.read(signer).serial != said.serial_number:
        raise _not_the_box("its request is not signed by its maker's certificate")
    if idevid.public_octets(signer) == idevid.spki(uri.public_key):
        raise _not_the_box("its certificate has the printed key, which everybody can read")
    if said.challenge != vouching.challenge(nonce):
        raise _not_the_box("its request does not answer the question")
    if said.proximity_registrar_cert != mine.public_bytes(Encoding.DER):
        raise _not_the_box("its request names somebody else")
    document = voucher.request_json(
        Request(
            serial_number=said.serial_number, created_on=now, assertion=Assertion.PROXIMITY, nonce=said.nonce,
            prior=prior,
        )
    )  # fmt: skip
    given = _ask(uri.maker, voucher.write_cms(document, mine, owner, now), cafile)
    scanning.post(box, vouching.VOUCHER_PATHS[0], given, voucher.CMS)
    return True


def _ask(maker: str, octets: bytes, cafile: str) -> bytes:
    """Return the voucher that the service *maker* gives for the request *octets*. Raises `MakerAway`."""
    try:
        parts = urllib.parse.urlsplit(f"//{maker}")
        host, port = parts.hostname or "", parts.port or 443
    except ValueError:
        host, port = "", 0
    if not host:
        raise MakerAway(Status.USAGE, f"The code names no maker's service that can be asked: {maker[:64]!r}.")
    where = Desk(host, port, host, (), cafile)
    headers = {"Content-Type": voucher.CMS, "Accept": voucher.CMS}
    said = desk.ask(where, "POST", PATH, octets, headers=headers)
    if isinstance(said, Said) and said.status == 200:
        return said.octets
    if isinstance(said, Said) and 400 <= said.status < 500:
        why = "".join(one for one in said.octets[:200].decode("utf-8", "replace") if one.isprintable())
        raise MakerAway(Status.REFUSED, f"The maker of the box gives no voucher for it. {why}".strip())
    status, sentence = judge_said(said, where)
    raise MakerAway(status, sentence.replace("The registry", "The maker's service"))


def _not_the_box(why: str) -> BadProof:
    return BadProof("qr-proof-wrong", f"Who answers is not the box whose code was scanned: {why}.")
