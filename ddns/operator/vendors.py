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

BY_VOUCHER = "voucher"
MOST_ANCHORS = 16
MOST_MODELS = 64
MOST_TEXT = 100  # characters of a vendor's name or a model's
MOST_REASON = 400  # characters
MOST_EVENTS = 500  # of a maker's log that are looked at


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
        raise CannotDo(f"Say why, in 1 to {MOST_REASON} printable characters: --reason TEXT.")
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
    if not 0 < len(vendor) <= MOST_TEXT or not vendor.isprintable():
        raise CannotDo(f"The name of a vendor has 1 to {MOST_TEXT} printable characters.")
    if len(models) > MOST_MODELS or not all(0 < len(one) <= MOST_TEXT and one.isprintable() for one in models):
        raise CannotDo(f"There may be {MOST_MODELS} models of up to {MOST_TEXT} printable characters each.")
    if ASSURANCES.index(assurance) > ASSURANCES.index(BY_VOUCHER):
        raise CannotDo("A vendor's word gives voucher at most; what hardware says of a key, a verifier tells.")
    if until is not None and until <= now:
        raise CannotDo("That bond would be over already; choose a later --until.")
    issuers = read_certificates(anchors, "certificates that issue those of boxes")
    if not issuers:
        raise CannotDo("There is no certificate that issues those of boxes; give --anchors.")
    signers = read_certificates(masa_keys, "certificates that sign vouchers") if masa_keys else ()
    for one in (*issuers, *signers):
        _check_key(one)
    if masa_url and not signers:
        raise CannotDo("Vouchers of a MASA are worth nothing without its certificate; give --masa-keys too.")
    signers = tuple(one for one in signers if one not in issuers)  # a chain's CA may stand in the file too
    if masa_keys and not signers:
        raise CannotDo("What issues boxes' certificates must not sign vouchers too: else each box could make its own.")
    made = await bonds.insert(
        conn,
        Bond(
            0, tenant, vendor, tuple(models), issuers, signers, read_url(masa_url) if masa_url else "",
            read_certificates(masa_anchors, "certificates that issue the MASA's") if masa_anchors else (),
            assurance, now, until,
        ),
    )  # fmt: skip
    await home_events.append(
        conn, [Event(at=now, event="vendor-bonded", who=who, before="none", after="bonded", why=f"bond {made.id}")]
    )
    return made


class Brought(msgspec.Struct, frozen=True):
    """A voucher that was brought to a box: *domains* is how many its maker has sent the box to; None: it did not say.

    More than one: the box was somebody else's before. *status* is what the box said of it, or of its enrolment.
    """

    serial: str
    bond: int
    at: int
    domains: int | None
    status: str


async def brought(conn: Conn, tenant: int, most: int) -> list[Brought]:
    """Return the last *most* vouchers that were brought to boxes of *tenant*, the newest first."""
    found = []
    for one in await vouchers.listing(conn, tenant, most):
        said, _ = voucher.read_voucher(one.voucher, one.media)
        found.append(Brought(said.serial_number, one.bond, one.at, domains(one.audit), one.status))
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


async def withdraw(conn: Conn, tenant: int | None, ident: int, reason: str, who: str, now: int) -> Bond:
    """Let the vendor's word count no more for boxes that are not enrolled yet; what is enrolled stays.

    Raises `CannotDo`.
    """
    why = read_reason(reason)
    found = await the_bond(conn, tenant, ident)
    if found.withdrawn_at is not None:
        raise CannotDo(f"The bond {ident} is withdrawn already: {found.why}.")
    await bonds.withdraw(conn, ident, why, now)
    event = Event(
        at=now, event="bond-withdrawn", who=who, before="bonded", after="withdrawn", why=f"bond {ident}: {why}"
    )
    await home_events.append(conn, [event])
    return await the_bond(conn, tenant, ident)


def _check_key(certificate: bytes) -> None:
    """Refuse keys by which nothing is verified here: 802.1AR-2018 §7.2 has P-256, P-384 and RSA with 2048 bits."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in {"secp256r1", "secp384r1"}:
        return
    if isinstance(key, rsa.RSAPublicKey) and 2048 <= key.key_size <= 4096:
        return
    raise CannotDo("A certificate has a key that is not taken; it must be P-256, P-384 or RSA of 2048 to 4096 bits.")
