"""EST (RFC 7030, RFC 8951, RFC 9908): a box that showed itself asks for a certificate, and has a home with it.

The key in the request is the box's SIG(0) key, so the certificate says nothing that the registry's rows do not say.
Law: simpleenroll makes the home in the transaction that it answers from; simplereenroll changes its key by the machine
of ownership, as a gateway's own statement does. Names and passwords, keys made here and CMC are not offered.
"""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

import msgspec
from psycopg import AsyncConnection
from twisted.logger import Logger

from ddns.dns import names
from ddns.dns.codes import Ede, Rcode
from ddns.dns.names import Name
from ddns.dns.refusal import Refusal
from ddns.homes import carrying, enrolment, knowing, nonces, ownership, registrar
from ddns.homes.carrying import Bearing
from ddns.homes.methods import Method, Proved, Spend, Wish, attested, vouched
from ddns.homes.ownership_facts import Asked as AskedOfMachine
from ddns.homes.ownership_facts import Who
from ddns.homes.vendors import Known
from ddns.proof import b64, csr, der, idevid, jwk
from ddns.proof.bad import BadProof
from ddns.proof.csr import Csr
from ddns.proof.jwk import PublicJwk
from ddns.proof.jws import Signed
from ddns.proof.statements import Enrol
from ddns.store import home_policies, tenants, verifiers, vouchers
from ddns.store.pool import Connection
from ddns.store.statements import Statement
from ddns.web import answering, device_proofs
from ddns.web.making_queue import Enrolling
from ddns.web.routes import Answer, Asked, Listener, Means, Refused, Route

CERTIFICATES = "application/pkcs7-mime"
REQUEST = "application/pkcs10"
ATTRIBUTES = "application/csrattrs"
LATER = "3600"  # seconds after which a box of an unknown maker asks again
_DAY = 86_400  # seconds for which the same request is answered as the first time
_P256, _ECDSA_SHA256 = "1.2.840.10045.3.1.7", "1.2.840.10045.4.3.2"
_EC_KEY, _SERIAL_NUMBER = "1.2.840.10045.2.1", "2.5.4.5"
_ID = 16  # octets

log = Logger(namespace="ddns.web")


class EstMethod:
    """What a box shows over TLS, as a way to enrol: its certificate, the voucher that it was brought, and evidence."""

    name = vouched.NAME

    def __init__(self, asked: Asked, request: Csr, secret: bytes) -> None:
        self._asked = asked
        self._request = request
        self._secret = secret

    def cheap(self, _wish: Wish, _now: int, /) -> None:
        """Refuse nothing: what could be refused was, before the wish was made."""

    async def prove(self, conn: AsyncConnection[Any], _wish: Wish, now: int) -> Proved | Refusal:
        """Return the box, at the tier of its maker's bond or of its evidence. Raises `BadProof`."""
        known = await device_proofs.known_box(conn, self._asked)
        if self._request.serial not in ("", known.idevid.serial):
            raise BadProof("voucher-other-serial", "The request names another serial number than the certificate does.")
        proved = vouched.of_box(self._secret, known, await self._shown(conn, known), Spend())
        if not self._request.evidence:
            return proved
        more = await attested.judge(conn, self._secret, self._request.evidence, self._request.key, now)
        return attested.joined(proved, more)

    async def _shown(self, conn: AsyncConnection[Any], known: Known) -> bytes:
        """Return what is remembered of the maker's word: the voucher, or where it signs none, the box's certificate."""
        kept = await vouchers.of_box(conn, self._asked.tenant, known.idevid.digest)
        if kept is not None and kept.bond == known.bond.id:
            return kept.voucher
        if known.bond.masa_keys:
            raise BadProof("voucher-missing", "Ask for a voucher first: POST it to /.well-known/brski/requestvoucher.")
        return known.idevid.digest


async def cacerts(means: Means, _asked: Asked) -> Answer:
    """Give the CA of this domain (RFC 7030 §4.1)."""
    mine = registrar.of(means.secret, means.place.name)
    return Answer(device_proofs.to_base64(registrar.only(mine.ca)), media=CERTIFICATES)


async def csrattrs(conn: Connection, _means: Means, _asked: Asked) -> Answer:
    """Say what a request should have (RFC 9908): a P-256 key, the serial number; evidence where somebody judges it."""
    wanted = [
        der.sequence(der.oid(_EC_KEY), der.set_of(der.oid(_P256))),
        der.oid(_ECDSA_SHA256),
        der.oid(_SERIAL_NUMBER),
    ]
    if await verifiers.counting(conn):
        wanted.append(der.oid(csr.ATTESTATION))
    return Answer(device_proofs.to_base64(der.sequence(*wanted)), media=ATTRIBUTES)


async def simpleenroll(means: Means, asked: Asked) -> Answer:
    """Make a home for the box, whose gateway has the key of the request, and give it a certificate that says so.

    A box of a maker without a bond waits until the registry has one, at whatever tier: 202.
    """
    certificate = device_proofs.certificate_of(asked)
    octets = device_proofs.from_base64(asked.octets)
    request = csr.read(octets)
    mine = registrar.of(means.secret, means.place.name)
    serial = idevid.read(certificate).serial
    signed = Signed(octets, ())
    kept = _statement(octets, request.key, "enrol", asked.now)

    async def asking(conn: Connection) -> tuple[Method, Wish]:
        registry = names.to_text(await _registry(conn, asked.tenant))
        said = Enrol(aud=registry, iat=asked.now, exp=asked.now + 1, jti=b64.encode(signed.digest), method="voucher")
        return EstMethod(asked, request, means.secret), Wish(signed, said, request.key, None)

    def told(done: enrolment.Enrolled) -> Answer:
        made = mine.issue(request.key, done.home, serial, asked.now, means.dice(_ID))
        return Answer(device_proofs.to_base64(registrar.only(made)), media=CERTIFICATES)

    try:
        return await means.enrolments.enrol(Enrolling(asked, signed, kept, asking, told))
    except BadProof as error:
        if error.code != "idevid-unknown-issuer":
            raise
        issuer = certificate.issuer.rfc4514_string()[:200]
        log.info("enrolment.waits for a bond with the maker {issuer!r}", issuer=issuer)
        return Answer(b"", 202, CERTIFICATES, (("Retry-After", LATER),))


async def simplereenroll(conn: Connection, means: Means, asked: Asked) -> Answer:
    """Give a box a fresh certificate; with another key in the request, that takes the place of the one that it has."""
    shown = device_proofs.certificate_of(asked)
    octets = device_proofs.from_base64(asked.octets)
    request = csr.read(octets)
    mine = registrar.of(means.secret, means.place.name)
    home, old = mine.home_of(shown, asked.now), device_proofs.key_of(shown)
    if home is None or old is None:
        raise Refused(device_proofs.not_yours())
    serial = _serial_of(shown)
    if request.serial not in ("", serial) or not _names_alone(request, home):
        raise BadProof("voucher-other-serial", "The request has another subject than the certificate; ask for that.")

    async def work() -> Answer:
        known = await knowing.about_home(conn, home, asked.now, "roll-key")
        if known is None or jwk.thumbprint(old) not in known.keys:
            raise Refused(device_proofs.not_yours())
        if request.key != old:
            await _roll(conn, means, asked, known, request, octets, jwk.thumbprint(old))
        made = mine.issue(request.key, home, serial, asked.now, means.dice(_ID))
        return Answer(device_proofs.to_base64(registrar.only(made)), media=CERTIFICATES)

    if request.key == old:
        return await work()
    kept = _statement(octets, old, "roll-key", asked.now)
    return await answering.once(conn, means, asked, Signed(octets, ()), kept, work)


def _statement(octets: bytes, key: PublicJwk, act: str, now: int) -> Statement:
    """Return as what a request is remembered, so that the same again is answered the same."""
    digest = hashlib.sha256(octets).digest()
    return Statement(digest, jwk.thumbprint(key), f"est-{b64.encode(digest)}", act, octets, now, now + _DAY)


async def _registry(conn: Connection, tenant: int) -> Name:
    """Return the registry's zone where boxes of *tenant* enrol by vouchers: the first whose policy says so."""
    for zone, origin in await tenants.zones(conn, tenant):
        if vouched.NAME in (await home_policies.of(conn, tenant, zone)).methods:
            return origin
    raise Refused(
        Refusal(
            "method-not-allowed-here", Rcode.REFUSED,
            "Homes here do not enrol by a maker's voucher; ask the registry for an invitation.", Ede.PROHIBITED,
        )
    )  # fmt: skip


async def _roll(
    conn: Connection, means: Means, asked: Asked, known: knowing.Known, request: Csr, octets: bytes, old: bytes
) -> None:
    """Put the request's key in the place of the home's key with the thumbprint *old*. Raises `Refused`."""
    wanted = AskedOfMachine(event="roll-key", who=Who.GATEWAY, by=old, key=jwk.thumbprint(request.key))
    more: Proved | None = None
    if request.evidence:
        more = await attested.judge(conn, means.secret, request.evidence, request.key, asked.now)
        if (refusal := await nonces.spend(conn, more.spend.nonce)) is not None:
            raise Refused(refusal)
        wanted = msgspec.structs.replace(wanted, assurance=more.assurance)
    decision = ownership.decide(known.facts, wanted, asked.now)
    if isinstance(decision, Refusal):
        raise Refused(decision)
    bearing = Bearing(
        digest=hashlib.sha256(octets).digest(), new_id=lambda: UUID(bytes=means.dice(_ID), version=4),
        tenant=asked.tenant, source=asked.source, rdata=jwk.to_key_rdata(request.key), proved=more,
    )  # fmt: skip
    done = await carrying.carry_out(conn, means.signer, known, wanted, decision, bearing, asked.now)
    if isinstance(done, Refusal):
        raise Refused(done)


def _serial_of(shown: Any) -> str:
    """Return the box's serial number in a certificate that this registry gave it, or nothing."""
    try:
        return idevid.read(shown).serial
    except BadProof:
        return ""


def _names_alone(request: Csr, home: Name) -> bool:
    """Tell whether a request names no other host than the *home* (RFC 7030 §4.2.2)."""
    host = names.to_text(home).rstrip(".")
    return request.hosts in ((), (host,))


ROUTES: tuple[Route, ...] = (
    Route(
        method="GET", path="/.well-known/est/cacerts", summary="Get the CA of this domain.", tag="devices", right=None,
        answers={200: None}, alone=cacerts, gives=(CERTIFICATES,), listener=Listener.DEVICES, api=False,
    ),
    Route(
        method="GET", path="/.well-known/est/csrattrs", summary="Ask what a certification request should have.",
        tag="devices", right=None, answers={200: None}, within=csrattrs, gives=(ATTRIBUTES,),
        listener=Listener.DEVICES, api=False,
    ),
    Route(
        method="POST", path="/.well-known/est/simpleenroll", summary="Ask for a certificate, and a home.",
        tag="devices", right=None, answers={200: None}, alone=simpleenroll, media=(REQUEST,), gives=(CERTIFICATES,),
        listener=Listener.DEVICES, api=False,
    ),
    Route(
        method="POST", path="/.well-known/est/simplereenroll", summary="Renew a certificate, with its key or another.",
        tag="devices", right=None, answers={200: None}, within=simplereenroll, media=(REQUEST,), gives=(CERTIFICATES,),
        listener=Listener.DEVICES, api=False,
    ),
)  # fmt: skip
