"""Bonds with vendors, verifiers of evidence, and the vouchers that boxes were brought: made, listed, withdrawn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from ddns.operator import vendor_statements
from ddns.operator import vendors as work
from ddns.operator import verifiers as verifier_words
from ddns.operator.fault import CannotDo, ThereAlready
from ddns.operator.vendor_statements import Terms
from ddns.store import bonds, verifiers
from ddns.store.bonds import Bond
from ddns.store.pool import Connection
from ddns.store.verifiers import Verifier
from ddns.web import refusing, rights
from ddns.web.paging import MOST
from ddns.web.routes import JOSE, JSON, Answer, Asked, Means, Refused, Route

MOST_BODY = 256 * 1024  # octets: three times 16 certificates, as PEM

Pem = Annotated[str, msgspec.Meta(max_length=65_536, description="Certificates as PEM.")]
_Model = Annotated[str, msgspec.Meta(min_length=1, max_length=work.MOST_TEXT)]
Moment = Annotated[int, msgspec.Meta(description="Seconds since 1970.")]
Prints = Annotated[list[str], msgspec.Meta(description="SHA-256 of certificates, in hexadecimal.")]


class Reason(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why something is withdrawn."""

    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=work.MOST_REASON, description="For the history: why.")]


class BondWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bond that is to be; the words are those of `ddns vendor bond`."""

    vendor: Annotated[str, msgspec.Meta(min_length=1, max_length=work.MOST_TEXT)]
    anchors: Annotated[
        str, msgspec.Meta(min_length=1, max_length=65_536, description="What issues its boxes' certificates, as PEM.")
    ]
    masa_keys: Pem = ""
    masa_url: Annotated[str, msgspec.Meta(max_length=500)] = ""
    masa_anchors: Pem = ""
    models: Annotated[list[_Model], msgspec.Meta(max_length=work.MOST_MODELS)] = []
    assurance: Literal["open", "token", "qr", "voucher"] = "voucher"
    until: Annotated[int, msgspec.Meta(ge=0, le=2**40, description="Seconds since 1970.")] | None = None


class Accepted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is accepted of a vendor's signed statement; what is left out is as the statement has it."""

    assurance: Literal["open", "token", "qr", "voucher"] | None = None
    models: Annotated[str, msgspec.Meta(max_length=8000, description="These alone, with commas between them.")] = ""
    until: Annotated[int, msgspec.Meta(ge=0, le=2**40, description="Seconds since 1970.")] | None = None
    widen: Annotated[bool, msgspec.Meta(description="Accept more than was accepted of this vendor before.")] = False


class BondHeard(msgspec.Struct, frozen=True):
    """What holds after a vendor's statement: no more than an operator has accepted."""

    vendor: str
    models: Annotated[list[str], msgspec.Meta(description="None: all.")]
    assurance: str
    holds: bool
    until: Moment | None


class VerifierWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A verifier that is to count; the words are those of `ddns verifier add`."""

    name: Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9-]{0,31}$")]
    rules: Annotated[dict[str, Any], msgspec.Meta(description="What tokens have to say, and what it gives.")]
    keys: Annotated[
        dict[str, Any] | None, msgspec.Meta(description="A JWK set (RFC 7517), or one JWK: what signs its tokens.")
    ] = None
    anchors: Pem = ""
    valid: Annotated[
        int, msgspec.Meta(ge=1, le=verifier_words.MOST_DAYS * 86_400, description="Seconds for which a result holds.")
    ] = verifier_words.DAYS * 86_400


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
    key: Annotated[str, msgspec.Meta(description="Thumbprint of the vendor's own key that signed for it; or empty.")]


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
    idevid: Annotated[str, msgspec.Meta(description="SHA-256 of the box's certificate, in hexadecimal.")]
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
    return Answer(Bonds([_bond(one, asked.now) for one in await bonds.listing(conn, asked.tenant)]))


async def make_bond(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Bond a vendor, for all tenants where the registry itself does; a statement of its own comes as JWS."""
    given: Accepted = asked.query
    if asked.media == JOSE:
        models = tuple(one.strip() for one in given.models.split(",") if one.strip())
        terms = Terms(given.assurance, models, given.until, given.widen)
        with _read():
            taken = await vendor_statements.accept(
                conn, asked.tenant, asked.octets, terms, asked.who.principal, asked.now
            )
        return Answer(_bond(taken, asked.now), 201)
    if given != Accepted():
        raise Refused(refusing.field_unknown("parameters are for signed statements; say it in the body"))
    wish: BondWish = asked.body
    with _read():
        made = await work.bond(
            conn, work.scope(asked.tenant), wish.vendor, wish.anchors.encode(), asked.who.principal, asked.now,
            models=wish.models, masa_keys=wish.masa_keys.encode(), masa_url=wish.masa_url,
            masa_anchors=wish.masa_anchors.encode(), assurance=wish.assurance, until=wish.until,
        )  # fmt: skip
    return Answer(_bond(made, asked.now), 201)


async def hear(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Take what a vendor says of its own bond, narrower or withdrawn."""
    with _read():
        one = await vendor_statements.hear(conn, asked.tenant, asked.octets, asked.now)
    return Answer(BondHeard(one.vendor, list(one.models), one.assurance, one.holds(asked.now), one.until))


async def withdraw_bond(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Withdraw a bond of the tenant's own."""
    ident = asked.path["id"]
    found = await bonds.get(conn, int(ident)) if ident.isascii() and ident.isdigit() and len(ident) < 19 else None
    if found is None or found.tenant != work.scope(asked.tenant):
        raise Refused(refusing.not_found())
    if found.withdrawn_at is None:
        with _read():
            work.read_reason(asked.query.reason)
    gone = await work.withdraw(conn, found.tenant, found.id, asked.query.reason, asked.who.principal, asked.now)
    return Answer(_bond(gone, asked.now))


async def all_verifiers(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """List the verifiers."""
    return Answer(Verifiers([_verifier(one) for one in await verifiers.listing(conn, asked.tenant)]))


async def make_verifier(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Have the word of a verifier count, for all tenants where the registry itself does."""
    wish: VerifierWish = asked.body
    with _read():
        made = await verifier_words.add(
            conn, work.scope(asked.tenant), wish.name, json.dumps(wish.rules).encode(), asked.who.principal, asked.now,
            keys=b"" if wish.keys is None else json.dumps(wish.keys).encode(), anchors=wish.anchors.encode(),
            seconds=wish.valid,
        )  # fmt: skip
    return Answer(_verifier(made), 201)


async def withdraw_verifier(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """Withdraw a verifier of the tenant's own."""
    scope, name = work.scope(asked.tenant), asked.path["name"]
    try:
        await verifier_words.the_verifier(conn, scope, name)
    except CannotDo:
        raise Refused(refusing.not_found()) from None
    with _read():
        await verifier_words.withdraw(conn, scope, name, asked.query.reason, asked.who.principal, asked.now)
    return Answer(status=204)


@contextmanager
def _read() -> Iterator[None]:
    """Say of what cannot be read that a field is wrong; that something is there already is another matter."""
    try:
        yield
    except ThereAlready:
        raise
    except CannotDo as error:
        raise Refused(refusing.field_wrong(str(error))) from None


def _bond(one: Bond, now: int) -> BondShown:
    return BondShown(
        one.id, one.vendor, one.tenant is None, list(one.models), one.assurance, _prints(one.anchors),
        _prints(one.masa_keys), one.masa_url, one.holds(now), one.since, one.until, one.withdrawn_at, one.why,
        vendor_statements.thumbprint(one),
    )  # fmt: skip


def _verifier(one: Verifier) -> VerifierShown:
    return VerifierShown(
        one.name, one.tenant is None, list(verifier_words.thumbprints(one)), _prints(one.anchors),
        json.loads(one.rules), one.valid, one.withdrawn_at, one.why,
    )  # fmt: skip


async def last_vouchers(conn: Connection, _means: Means, asked: Asked) -> Answer:
    """List the last vouchers."""
    found = await work.brought(conn, asked.tenant, MOST)
    return Answer(
        Vouchers(
            [VoucherShown(one.serial, one.idevid.hex(), one.bond, one.at, one.domains, one.status) for one in found]
        )
    )


def _prints(held: tuple[bytes, ...]) -> list[str]:
    return [x509.load_der_x509_certificate(one).fingerprint(hashes.SHA256()).hex() for one in held]


ROUTES: tuple[Route, ...] = (
    Route(
        method="GET", path="/v1/bonds", summary="List the makers of boxes whose word counts.", tag="vendors",
        right=rights.VENDORS, answers={200: Bonds}, within=all_bonds,
    ),
    Route(
        method="POST", path="/v1/bonds", summary="Bond a maker of boxes: which keys vouch for which of them.",
        tag="vendors", right=rights.VENDORS, query=Accepted, body=BondWish, media=(JSON, JOSE),
        answers={201: BondShown}, within=make_bond, most=MOST_BODY,
    ),
    Route(
        method="POST", path="/v1/vendors/statements", summary="Update, narrow or withdraw one's own bond, as a vendor.",
        tag="vendors", right=None, media=(JOSE,), answers={200: BondHeard}, within=hear,
    ),
    Route(
        method="DELETE", path="/v1/bonds/{id}", summary="Withdraw a bond; no home changes.", tag="vendors",
        right=rights.VENDORS, query=Reason, answers={200: BondShown}, within=withdraw_bond,
    ),
    Route(
        method="POST", path="/v1/verifiers", summary="Have the word of one who judges evidence count.", tag="vendors",
        right=rights.VENDORS, body=VerifierWish, answers={201: VerifierShown}, within=make_verifier,
        most=MOST_BODY,
    ),
    Route(
        method="DELETE", path="/v1/verifiers/{name}", summary="Let its word count no more; what it said stays good.",
        tag="vendors", right=rights.VENDORS, query=Reason, answers={204: None}, within=withdraw_verifier,
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
