"""Bonds with vendors, verifiers of evidence, and the vouchers that boxes were brought, as the API shows them.

They are made and withdrawn by the command line alone: whose word counts is decided at the registry, not from afar.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ddns.operator import vendors as work
from ddns.operator import verifiers as verifier_words
from ddns.store import bonds, verifiers
from ddns.store.pool import Connection
from ddns.web import rights
from ddns.web.paging import MOST
from ddns.web.routes import Answer, Asked, Means, Route

Moment = Annotated[int, msgspec.Meta(description="Seconds since 1970.")]
Prints = Annotated[list[str], msgspec.Meta(description="SHA-256 of certificates, in hexadecimal.")]


class BondShown(msgspec.Struct, frozen=True):
    """A bond: which keys of a vendor may vouch for which models, and with what assurance."""

    id: int
    vendor: str
    shared: Annotated[bool, msgspec.Meta(description="It is the registry's, and holds for all tenants.")]
    models: list[str]
    assurance: str
    anchors: Prints
    masa_keys: Prints
    masa_url: str
    holds: bool
    since: Moment
    until: Moment | None
    withdrawn_at: Moment | None
    why: str


class Bonds(msgspec.Struct, frozen=True):
    """The bonds that hold, or held, for the tenant."""

    bonds: list[BondShown]


class VerifierShown(msgspec.Struct, frozen=True):
    """A verifier: whose tokens count, by which rules, and for how many seconds."""

    name: str
    shared: Annotated[bool, msgspec.Meta(description="It is the registry's, and counts for all tenants.")]
    keys: Annotated[list[str], msgspec.Meta(description="Thumbprints of its keys (RFC 7638).")]
    anchors: Prints
    rules: dict[str, Any]
    valid: int
    withdrawn_at: Moment | None
    why: str


class Verifiers(msgspec.Struct, frozen=True):
    """The verifiers that count, or counted, for the tenant."""

    verifiers: list[VerifierShown]


class VoucherShown(msgspec.Struct, frozen=True):
    """A voucher that was brought to a box."""

    serial: str
    bond: int
    at: Moment
    domains: Annotated[
        int | None, msgspec.Meta(description="How many its maker has sent the box to; more than one: it was resold.")
    ]
    status: str


class Vouchers(msgspec.Struct, frozen=True):
    """The last vouchers, the newest first."""

    vouchers: list[VoucherShown]


async def all_bonds(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """List the bonds."""
    return Answer(
        Bonds(
            [
                BondShown(
                    one.id, one.vendor, one.tenant is None, list(one.models), one.assurance, _prints(one.anchors),
                    _prints(one.masa_keys), one.masa_url, one.holds(asked.now), one.since, one.until,
                    one.withdrawn_at, one.why,
                )
                for one in await bonds.listing(conn, asked.tenant)
            ]
        )
    )  # fmt: skip


async def all_verifiers(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """List the verifiers."""
    return Answer(
        Verifiers(
            [
                VerifierShown(
                    one.name, one.tenant is None, list(verifier_words.thumbprints(one)), _prints(one.anchors),
                    json.loads(one.rules), one.valid, one.withdrawn_at, one.why,
                )
                for one in await verifiers.listing(conn, asked.tenant)
            ]
        )
    )  # fmt: skip


async def last_vouchers(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """List the last vouchers."""
    found = await work.brought(conn, asked.tenant, MOST)
    return Answer(Vouchers([VoucherShown(one.serial, one.bond, one.at, one.domains, one.status) for one in found]))


def _prints(held: tuple[bytes, ...]) -> list[str]:
    return [x509.load_der_x509_certificate(one).fingerprint(hashes.SHA256()).hex() for one in held]


ROUTES: tuple[Route, ...] = (
    Route(
        method="GET", path="/v1/bonds", summary="List the makers of boxes whose word counts.", tag="vendors",
        right=rights.VENDORS, answers={200: Bonds}, within=all_bonds,
    ),
    Route(
        method="GET", path="/v1/verifiers", summary="List those who judge evidence, with their rules.", tag="vendors",
        right=rights.VENDORS, answers={200: Verifiers}, within=all_verifiers,
    ),
    Route(
        method="GET", path="/v1/vouchers", summary="List the last vouchers that boxes were brought.", tag="vendors",
        right=rights.VENDORS, answers={200: Vouchers}, within=last_vouchers,
    ),
)  # fmt: skip
