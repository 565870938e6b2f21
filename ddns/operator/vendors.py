"""Bonds with vendors: which keys may vouch for which models of boxes. Withdrawing one needs a written reason.

A bond lets a vendor's word count when a box enrols for the first time. It gives no say over a home that there is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from ddns.auth.principal import ASSURANCES
from ddns.operator.change import Conn
from ddns.operator.fault import CannotDo
from ddns.operator.webhooks import read_url as read_place
from ddns.proof import voucher
from ddns.store import bonds, home_events, vouchers
from ddns.store.bonds import Bond
from ddns.store.home_events import Event
from ddns.store.tenancy import REGISTRY

BY_VOUCHER = "voucher"
GIVEN = ("open", "token", "qr", BY_VOUCHER)  # what a vendor's word may give, the least first
MOST_ANCHORS = 16
MOST_MODELS = 64
MOST_TEXT = 100  # characters of a vendor's name or a model's
MOST_REASON = 400  # characters
MOST_EVENTS = 500  # of a maker's log that are looked at
ISSUERS, SIGNERS, SERVERS = (
    "certificates that issue those of boxes", "certificates that sign vouchers", "certificates that issue the MASA's",
)  # fmt: skip


def read_certificates(pem: bytes, what: str) -> tuple[bytes, ...]:
    """Return the certificates in a PEM file, in DER. Raises `CannotDo`, naming *what* they are."""
    try:
        found = x509.load_pem_x509_certificates(pem)
        for one in found:
            one.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise CannotDo(f"The {what} cannot be read: give certificates as PEM.") from None
    if len(found) > MOST_ANCHORS:
        raise CannotDo(f"There are more than {MOST_ANCHORS} {what}; one bond is one vendor's.")
    return tuple(one.public_bytes(Encoding.DER) for one in found)


def read_url(text: str) -> str:
    """Return the address of a MASA as https://HOST or https://HOST:PORT. Raises `CannotDo`."""
    try:
        place = read_place(text if "://" in text else f"https://{text}")
    except CannotDo:
        raise CannotDo("The address of a MASA is a host, or https://HOST:PORT.") from None
    if place.path != "/":
        raise CannotDo("The address of a MASA has no path of its own: RFC 8995 says what follows the host.")
    return f"https://{place.authority}"


def read_reason(text: str) -> str:
    """Return a written reason. Raises `CannotDo`."""
    if not 0 < len(text.strip()) <= MOST_REASON or not text.isprintable():
        raise CannotDo(f"Say why, in 1 to {MOST_REASON} printable characters.")
    return text.strip()


async def bond(
    conn: Conn,
    tenant: int | None,
    vendor: str,
    anchors: bytes,
    who: str,
    now: int,
    *,
    models: Sequence[str] = (),
    masa_keys: bytes = b"",
    masa_url: str = "",
    masa_anchors: bytes = b"",
    assurance: str = BY_VOUCHER,
    until: int | None = None,
) -> Bond:
    """Bond a vendor: boxes with a certificate that leads to *anchors* (PEM) may enrol by its vouchers.

    *tenant* None: for all. Raises `CannotDo`.
    """
    wanted = Bond(
        0, tenant, vendor, tuple(models), read_certificates(anchors, ISSUERS),
        read_certificates(masa_keys, SIGNERS) if masa_keys else (), masa_url,
        read_certificates(masa_anchors, SERVERS) if masa_anchors else (), assurance, now, until,
    )  # fmt: skip
    return await keep(conn, checked(wanted, now), who, now)


def checked(one: Bond, now: int) -> Bond:
    """Return the bond as it may be kept at *now*. Raises `CannotDo` for one that makes no sense."""
    if not 0 < len(one.vendor) <= MOST_TEXT or not one.vendor.isprintable():
        raise CannotDo(f"The name of a vendor has 1 to {MOST_TEXT} printable characters.")
    models = tuple(dict.fromkeys(one.models))
    if len(one.models) > MOST_MODELS or not all(
        0 < len(text) <= MOST_TEXT and text.isprintable() for text in one.models
    ):
        raise CannotDo(f"There may be {MOST_MODELS} models of up to {MOST_TEXT} printable characters each.")
    if ASSURANCES.index(one.assurance) > ASSURANCES.index(BY_VOUCHER):
        raise CannotDo("A vendor's word gives voucher at most; what hardware says of a key, a verifier tells.")
    if one.until is not None and one.until <= now:
        raise CannotDo("That bond would be over already; choose a later end.")
    if not one.anchors:
        raise CannotDo("There is no certificate that issues those of boxes; give at least one.")
    for octets in (*one.anchors, *one.masa_keys):
        _check_key(octets)
    if one.masa_url and not one.masa_keys:
        raise CannotDo("Vouchers of a MASA are worth nothing without its certificate; give what signs them, too.")
    signers = tuple(octets for octets in one.masa_keys if octets not in one.anchors)  # a chain's CA may stand there too
    if one.masa_keys and not signers:
        raise CannotDo("What issues boxes' certificates must not sign vouchers too: else each box could make its own.")
    url = read_url(one.masa_url) if one.masa_url else ""
    return msgspec.structs.replace(one, models=models, masa_keys=signers, masa_url=url)


async def keep(conn: Conn, one: Bond, who: str, now: int, statement: bytes | None = None) -> Bond:
    """Keep a bond that was checked, and write that down; *statement* is the digest of what its vendor signed."""
    made = await bonds.insert(conn, one)
    event = Event(
        at=now, event="vendor-bonded", who=who, before="none", after="bonded", statement=statement,
        why=f"bond {made.id}",
    )  # fmt: skip
    await home_events.append(conn, [event])
    return made


class Brought(msgspec.Struct, frozen=True):
    """A voucher that was brought to a box: *domains* is how many its maker has sent the box to; None: it did not say.

    More than one: the box was somebody else's before. *idevid* is the SHA-256 of its certificate. *status* is what the
    box said of it, or of its enrolment.
    """

    serial: str
    idevid: bytes
    bond: int
    at: int
    domains: int | None
    status: str


async def brought(conn: Conn, tenant: int, most: int) -> list[Brought]:
    """Return the last *most* vouchers that were brought to boxes of *tenant*, the newest first."""
    found = []
    for one in await vouchers.listing(conn, tenant, most):
        said, _ = voucher.read_voucher(one.voucher, one.media)
        found.append(Brought(said.serial_number, one.idevid, one.bond, one.at, domains(one.audit), one.status))
    return found


def domains(audit: bytes) -> int | None:
    """Return to how many domains a maker's log says that it gave vouchers for a box (RFC 8995 §5.8.1); None: no log."""
    try:
        found: Any = json.loads(audit)
        return len({str(one["domainID"]) for one in found["events"][:MOST_EVENTS]})
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


async def the_bond(conn: Conn, tenant: int | None, ident: int) -> Bond:
    """Return the bond *ident* of *tenant*, None: of those for all. Raises `CannotDo`."""
    found = await bonds.get(conn, ident)
    if found is None or found.tenant != tenant:
        raise CannotDo(f"There is no bond {ident}; `ddns vendor list` shows those there are.")
    return found


async def withdraw(
    conn: Conn, tenant: int | None, ident: int, reason: str, who: str, now: int, statement: bytes | None = None
) -> Bond:
    """Let the vendor's word count no more for boxes that are not enrolled yet; what is enrolled stays.

    *statement* is the digest of what the vendor signed, where it asked for that itself. Raises `CannotDo`.
    """
    why = read_reason(reason)
    found = await the_bond(conn, tenant, ident)
    if found.withdrawn_at is not None:
        raise CannotDo(f"The bond {ident} is withdrawn already: {found.why}.")
    await bonds.withdraw(conn, ident, why, now)
    event = Event(
        at=now, event="bond-withdrawn", who=who, before="bonded", after="withdrawn", statement=statement,
        why=f"bond {ident}: {why}",
    )  # fmt: skip
    await home_events.append(conn, [event])
    return await the_bond(conn, tenant, ident)


def scope(tenant: int) -> int | None:
    """Return for whom a bond or a verifier of *tenant* counts: the registry's own for all, which is None."""
    return None if tenant == REGISTRY else tenant


def _check_key(certificate: bytes) -> None:
    """Refuse keys by which nothing is verified here: 802.1AR-2018 §7.2 has P-256, P-384 and RSA with 2048 bits."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in {"secp256r1", "secp384r1"}:
        return
    if isinstance(key, rsa.RSAPublicKey) and 2048 <= key.key_size <= 4096:
        return
    raise CannotDo("A certificate has a key that is not taken; it must be P-256, P-384 or RSA of 2048 to 4096 bits.")
