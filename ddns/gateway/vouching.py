"""A box with a maker, before a phone: the maker's voucher says whose it is to be (smarkaklink), if it is asked for one.

The phone seals a question for the printed key; the box answers with a request for a voucher that names the phone's own
certificate and holds the digest of what the phone asked; the phone has the maker sign the voucher, and brings it. What
smarkaklink does inside TLS is done by that seal and these signatures, so that a box needs no certificate for the home's
network. Law: a voucher that is not good leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
from cryptography import x509

from ddns.gateway import pairing, pledge, state, under_way, vouched
from ddns.gateway.pledge import Identity
from ddns.proof import b64, cms, idevid, jwe, selfdevid, voucher
from ddns.proof.bad import BadProof

REQUEST_PATHS = tuple(f"/.well-known/{one}/requestvoucherrequest" for one in ("brski", "est"))
VOUCHER_PATHS = tuple(f"/.well-known/{one}/voucher" for one in ("brski", "est"))
MEDIA = "application/json"
_Text = Annotated[str, msgspec.Meta(max_length=4096)]


class Maker(msgspec.Struct, frozen=True):
    """What a maker put into the box: its *identity*, and the certificates *anchors* that its vouchers are by."""

    identity: Identity
    anchors: tuple[x509.Certificate, ...]


class Asked(msgspec.Struct, frozen=True):
    """What a phone asks, sealed: its *nonce*, its own *certificate* (DER in base64url), and when it is *now*."""

    nonce: Annotated[str, msgspec.Meta(min_length=8, max_length=64)]
    certificate: _Text
    now: Annotated[int, msgspec.Meta(ge=0, le=2**32)]


class _Sealed(msgspec.Struct, frozen=True, rename={"sealed": "voucher-request challenge"}):
    sealed: _Text


class Question(msgspec.Struct, frozen=True, rename={"held": "ietf:request-voucher-request"}):
    """The body of smarkaklink's question: what is sealed for the printed key."""

    held: _Sealed


def question(sealed: str) -> bytes:
    """Return the body that asks a box for its request with what is *sealed* for its printed key."""
    return msgspec.json.encode(Question(_Sealed(sealed)))


def challenge(nonce: str) -> bytes:
    """Return what a box's request holds of the phone's *nonce*: SHA-256 of its characters."""
    return hashlib.sha256(nonce.encode("ascii", "replace")).digest()


def request(folder: Path, maker: Maker, body: bytes, media: str) -> bytes:
    """Return the box's request for a voucher that names the phone behind *body*. Raises `BadProof` and `BadState`."""
    with state.held(folder):
        known = state.read(folder)
        if known is not None and known.enrolled_at is not None:
            raise _wrong(f"this box has {known.home} already; its owner resets it first")
        printed = pairing.printed_key(folder)
        if idevid.spki(printed.public_key()) == idevid.public_octets(maker.identity.idevid.certificate):
            raise _wrong("the printed key is that of the box's certificate, which everybody can read")
        try:
            sealed = msgspec.json.decode(body, type=Question).held.sealed
            asked = msgspec.json.decode(jwe.unseal(sealed, printed), type=Asked)
        except msgspec.DecodeError:
            raise _wrong("the question cannot be read") from None
        phone = selfdevid.read(asked.certificate)
        nonce = secrets.token_bytes(pledge.NONCE)
        made = pledge.request(maker.identity, phone, nonce, asked.now, media, challenge(asked.nonce))
        under_way.write(folder / vouched.FILE, vouched.Vouched(asked.nonce, b64.decode(asked.certificate), nonce, made))
        return made


def take(folder: Path, maker: Maker, octets: bytes, media: str, *, system: Callable[[], float] = time.time) -> None:
    """Keep the voucher that a phone brings: the maker has to name that phone in it. Raises `BadProof`, `BadState`."""
    with state.held(folder):
        there = under_way.read(folder / vouched.FILE, vouched.Vouched)
        if there is None:
            raise _wrong("no phone has asked this box for its request")
        phone = cms.certificate(there.certificate)
        try:
            pledge.judge(octets, media, maker.identity, there.nonce, maker.anchors, (phone,), int(system()))
        except BadProof:
            vouched.forget(folder)
            raise
        under_way.write(folder / vouched.FILE, msgspec.structs.replace(there, voucher=octets))


def media_of(accept: str) -> str:
    """Return in which form a phone wants the request: CMS, unless it asks for JWS."""
    return voucher.JWS if voucher.JWS in accept else voucher.CMS


def _wrong(why: str) -> BadProof:
    return BadProof("qr-proof-wrong", f"The box gives no request for a voucher: {why}.")
