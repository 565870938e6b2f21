"""What a box asks the registry as its registrar (RFC 8995 §5): a voucher, and to hear how it went.

Law: the maker's word is asked for before a box has an owner, and never again. Nothing is asked of a maker without a
bond, nor at an address that only the box names; what it answers is judged before it is passed on, unchanged.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from cryptography import x509
from twisted.logger import Logger

from ddns.dns import names
from ddns.dns.codes import Ede, Rcode
from ddns.dns.refusal import Refusal
from ddns.homes import expecting, registrar, vendors
from ddns.homes.registrar import Registrar
from ddns.homes.vendors import Known
from ddns.proof import cms, idevid, voucher
from ddns.proof.bad import BadProof
from ddns.proof.voucher import Request
from ddns.store import vouchers
from ddns.store.vouchers import Kept
from ddns.web import device_proofs, masa_asking
from ddns.web.masa_client import Said
from ddns.web.routes import Answer, Asked, Listener, Means, Refused, Route

LATER = "60"  # seconds after which a box asks again for a voucher that its maker has not given yet (RFC 8995 §5.6)

log = Logger(namespace="ddns.web")


class Told(msgspec.Struct, frozen=True):
    """What a box tells of its voucher or of its enrolment (RFC 8995 §5.7, §5.9.4); other members are left alone."""

    status: bool
    version: int | str = 1
    reason: str = ""


async def requestvoucher(means: Means, asked: Asked) -> Answer:
    """Bring a box the voucher that its maker gives for it and this registry; 202 where it gives none just now."""
    shown = device_proofs.certificate_of(asked)
    request, signed = voucher.read_request(asked.octets, asked.media)
    mine = registrar.of(means.secret, means.place.name)
    _check_request(request, signed, shown, mine, asked.now)
    digest = hashlib.sha256(asked.octets).digest()
    async with means.transaction(asked.tenant) as conn:
        known = await device_proofs.known_box(conn, asked, signed.certificates)
        if known.idevid.serial != request.serial_number:
            raise BadProof("voucher-other-serial", "The request names another serial number than the certificate does.")
        refusal = await expecting.refuse_vouched(conn, asked.tenant, means.secret, known)
        if refusal is not None:
            raise Refused(refusal)
        await device_proofs.refuse_taken(conn, known)
        kept = await vouchers.of_box(conn, asked.tenant, known.idevid.digest)
    if kept is not None and kept.digest == digest and kept.bond == known.bond.id:
        return Answer(kept.voucher, media=kept.media)
    if not known.bond.masa_url:
        raise BadProof("bond-missing", "The bond of this maker names no MASA; enrol by invitation, or bring a voucher.")
    wanted = masa_asking.around(request, known.issuer, asked.octets, asked.media, mine, asked.now)
    said = await masa_asking.ask(means, known.bond, mine, "requestvoucher", asked.media, wanted)
    if said.status != 200:
        return _nothing(said, known)
    vouchers_media = said.media if said.media in voucher.MEDIA else asked.media
    vendors.check_voucher(said.body, vouchers_media, known, request.nonce, mine.keys, asked.now)
    audit = await masa_asking.audit(means, known.bond, mine, asked.media, wanted)
    async with means.transaction(asked.tenant) as conn:
        await device_proofs.refuse_taken(conn, known)
        await vouchers.keep(
            conn,
            Kept(
                known.idevid.digest, known.bond.id, digest, asked.octets, said.body, vouchers_media,
                audit, asked.now,
            ),
        )  # fmt: skip
    log.info("voucher.passed vendor={vendor} bond={bond}", vendor=known.bond.vendor, bond=known.bond.id)
    return Answer(said.body, media=vouchers_media)


async def voucher_status(means: Means, asked: Asked) -> Answer:
    """Hear from a box what it makes of its voucher."""
    shown = idevid.read(device_proofs.certificate_of(asked))
    told: Told = asked.body
    async with means.transaction(asked.tenant) as conn:
        if not await vouchers.report(conn, asked.tenant, shown.digest, _status("voucher", told)):
            raise Refused(
                Refusal(
                    "voucher-unknown", Rcode.NXDOMAIN,
                    "No voucher was brought to this box here; ask for one at /.well-known/brski/requestvoucher.",
                )
            )  # fmt: skip
    log.info("voucher.reported good={good}", good=told.status)
    return Answer(b"", media="application/octet-stream")


async def enrollstatus(means: Means, asked: Asked) -> Answer:
    """Hear from a box how its enrolment went: it comes anew, with the certificate that it was given, or its own."""
    shown = device_proofs.certificate_of(asked)
    told: Told = asked.body
    home = registrar.of(means.secret, means.place.name).home_of(shown, asked.now)
    async with means.transaction(asked.tenant) as conn:
        if home is not None:
            await vouchers.report_of_home(conn, asked.tenant, names.order_key(home), _status("enrolment", told))
        else:
            await vouchers.report(conn, asked.tenant, idevid.read(shown).digest, _status("enrolment", told))
    log.info("enrolment.reported good={good}", good=told.status)
    return Answer(b"", media="application/octet-stream")


def _check_request(
    request: Request, signed: voucher.Signed, shown: x509.Certificate, mine: Registrar, now: int
) -> None:
    """Refuse a request that the box in the handshake did not make for this registrar. Raises `BadProof`."""
    if not signed.verify(shown):
        raise BadProof("voucher-signature-wrong", "The request is not signed by the key that the box showed over TLS.")
    if not request.proximity_registrar_cert or not mine.is_mine(cms.certificate(request.proximity_registrar_cert)):
        raise BadProof(
            "registrar-not-named", "The request names another registrar than this one; somebody may be in between."
        )
    if request.created_on is not None and request.created_on > now + voucher.LATENESS:
        raise BadProof("voucher-not-yet", "The request comes from the future; set the clock of the box.")


def _nothing(said: Said, known: Known) -> Answer:
    """Answer a box whose maker gave no voucher: later, where it may give one yet. Raises `Refused`."""
    why = said.problem or f"it answered {said.status}"
    log.warn("voucher.missing vendor={vendor} reason={why}", vendor=known.bond.vendor, why=why)
    if said.status in {0, 202, 429} or said.status >= 500:
        return Answer(b"", 202, "application/octet-stream", (("Retry-After", LATER),))
    raise Refused(
        Refusal(
            "voucher-denied", Rcode.REFUSED,
            "The maker gives no voucher for this box; ask the maker, or enrol by invitation.", Ede.PROHIBITED,
        )
    )  # fmt: skip


def _status(what: str, told: Told) -> str:
    """Return what is kept of it: a box's own words, as far as they can be printed."""
    if told.status:
        return f"{what} good"
    reason = "".join(one if one.isprintable() else "?" for one in told.reason)
    return f"{what} failed: {reason or 'no reason given'}"


def _route(path: str, summary: str, handler: Any, **more: Any) -> Route:
    return Route(
        method="POST", path=f"/.well-known/brski/{path}", summary=summary, tag="devices", right=None,
        answers={200: None}, alone=handler, gives=(*voucher.MEDIA, "application/octet-stream"),
        listener=Listener.DEVICES, api=False, **more,
    )  # fmt: skip


ROUTES: tuple[Route, ...] = (
    _route("requestvoucher", "Ask for a voucher.", requestvoucher, media=tuple(sorted(voucher.MEDIA))),
    _route("voucher_status", "Tell what came of the voucher.", voucher_status, body=Told),
    _route("enrollstatus", "Tell what came of the enrolment.", enrollstatus, body=Told),
)
